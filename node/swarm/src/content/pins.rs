//! Pins of whole DAGs: one small file for each root, so that a pin costs the same however much is
//! below it, and what is below is found by walking.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use cid::Cid;
use serde::{Deserialize, Serialize};

/// A pinned DAG.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// The root.
    pub cid: Cid,
    /// Whether everything below is pinned too.
    pub recursive: bool,
    /// What the user called it.
    pub name: Option<String>,
    /// When it was pinned, milliseconds since 1970.
    pub at_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Record {
    name: Option<String>,
    at_ms: u64,
}

/// The folder of pins.
pub(crate) fn folder(store_dir: &Path) -> PathBuf {
    store_dir.join("pins")
}

/// Pins a root, durably; the last name counts.
pub(crate) fn add(dir: &Path, cid: &Cid, name: Option<String>) -> io::Result<()> {
    if !dir.is_dir() {
        fs::create_dir_all(dir)?;
        if let Some(parent) = dir.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let at_ms = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let record = serde_ipld_dagcbor::to_vec(&Record { name, at_ms }).map_err(io::Error::other)?;
    let path = dir.join(cid.to_string());
    let temporary = dir.join(format!("{cid}.tmp"));
    let mut file = File::create(&temporary)?;
    file.write_all(&record)?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    File::open(dir)?.sync_all()
}

/// Takes a pin back, durably; whether there was one.
pub(crate) fn remove(dir: &Path, cid: &Cid) -> io::Result<bool> {
    match fs::remove_file(dir.join(cid.to_string())) {
        Ok(()) => {
            File::open(dir)?.sync_all()?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Every pinned root, by CID. A record that cannot be read still pins.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<Pin>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut pins = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(cid) = name.to_str().and_then(|name| name.parse::<Cid>().ok()) else {
            continue;
        };
        let record = serde_ipld_dagcbor::from_slice::<Record>(&fs::read(entry.path())?).ok();
        let (name, at_ms) = record.map_or((None, 0), |record| (record.name, record.at_ms));
        pins.push(Pin {
            cid,
            recursive: true,
            name,
            at_ms,
        });
    }
    pins.sort_by_key(|pin| pin.cid);
    Ok(pins)
}

#[cfg(test)]
mod tests {
    use super::super::dagpb::{RAW, cid_of};
    use super::*;

    #[test]
    fn pins_come_back_and_a_bad_record_still_pins() {
        let dir = tempfile::tempdir().unwrap();
        let pins = folder(dir.path());
        assert_eq!(list(&pins).unwrap(), []);
        let (a, b) = (cid_of(RAW, b"a"), cid_of(RAW, b"b"));
        assert!(!remove(&pins, &a).unwrap());
        add(&pins, &a, None).unwrap();
        add(&pins, &a, Some("mine".into())).unwrap();
        add(&pins, &b, None).unwrap();
        fs::write(pins.join(b.to_string()), b"rubbish").unwrap();
        fs::write(pins.join(format!("{b}.tmp")), b"left over").unwrap();
        let found = list(&pins).unwrap();
        assert_eq!(found.len(), 2);
        let mine = found.iter().find(|pin| pin.cid == a).unwrap();
        assert_eq!(mine.name.as_deref(), Some("mine"));
        assert!(mine.recursive && mine.at_ms > 0);
        assert!(remove(&pins, &a).unwrap());
        assert_eq!(list(&pins).unwrap().len(), 1);
    }
}
