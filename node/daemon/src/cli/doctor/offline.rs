//! The checks of what a node reads at its start, for one that does not run.

use std::path::Path;

use pagi_store::{Store, StoreError};

use super::Check;
use crate::{
    config::{Config, FILE},
    render,
    wiring::keys,
};

/// The checks of the configuration, the store and the keys in `dir`; nothing is made that is not there.
pub(super) fn checks(dir: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    if dir.join(FILE).is_file() {
        checks.extend(configuration(dir));
    }
    if Store::exists(dir) {
        checks.extend(store(dir));
    }
    checks
}

/// The file itself, and that the folders it names are there.
fn configuration(dir: &Path) -> Vec<Check> {
    const NAME: &str = "configuration";
    let config = match Config::load(dir) {
        Ok(config) => config,
        Err(error) => return vec![Check::fail(NAME, error.cause, error.next)],
    };
    let mut checks = vec![Check::ok(NAME, dir.join(FILE).display().to_string())];
    if let Err(error) = config.engine(None) {
        checks.push(Check::fail("inference", error.cause, error.next));
    }
    let folder = &config.plugins.dir;
    if !folder.is_empty() && !Path::new(folder).is_dir() {
        checks.push(Check::fail(
            "plugin folder",
            format!("{folder} is no directory"),
            "make it, or correct PLUGIN_DIR or plugins.dir in config.toml",
        ));
    }
    checks
}

/// Whether the store opens, and whether the keys of all it names are there.
fn store(dir: &Path) -> Vec<Check> {
    const NAME: &str = "store";
    let store = match Store::open(dir) {
        Ok(store) => store,
        Err(StoreError::InUse { .. }) => {
            return vec![Check::fail(
                NAME,
                "a process has it open, and yet the node does not answer",
                "end that process: `pagi` may be starting, or hang",
            )];
        }
        Err(error) => {
            let fix = "restore the data directory from a backup, or choose another --data-dir";
            return vec![Check::fail(NAME, error.to_string(), fix)];
        }
    };
    let mut checks = Vec::new();
    match store.list_twins() {
        Ok(twins) => checks.push(Check::ok(
            NAME,
            format!("opens, with {}", render::count(twins.len(), "twin")),
        )),
        Err(error) => checks.push(Check::fail(
            NAME,
            error.to_string(),
            "restore the data directory from a backup",
        )),
    }
    checks.push(match keys::missing(dir, &store) {
        Ok(()) => Check::ok("keys", "all that the store names are there"),
        Err(error) => Check::fail("keys", error.cause, error.next),
    });
    checks
}

#[cfg(test)]
mod tests {
    use super::{super::Verdict, *};

    fn failed(dir: &Path) -> Vec<&'static str> {
        let failed = |check: &Check| check.status == Verdict::Fail;
        let checks = checks(dir);
        checks
            .iter()
            .filter(|c| failed(c))
            .map(|c| c.name)
            .collect()
    }

    #[test]
    fn a_broken_configuration_and_a_missing_plugin_folder_are_told() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(failed(dir.path()), [""; 0]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let file = dir.path().join(FILE);
        std::fs::write(&file, "[node]\nlisten = 3\n").unwrap();
        assert_eq!(failed(dir.path()), ["configuration"]);
        std::fs::write(&file, "[plugins]\ndir = \"/no/such/folder\"\n").unwrap();
        assert_eq!(failed(dir.path()), ["plugin folder"]);
    }

    #[test]
    fn a_damaged_store_is_told() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path()).unwrap());
        assert_eq!(failed(dir.path()), [""; 0]);
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "redb")
            {
                std::fs::write(path, "no database").unwrap();
            }
        }
        assert_eq!(failed(dir.path()), ["store"]);
    }
}
