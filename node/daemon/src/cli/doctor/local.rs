//! The checks that need no node: the data directory, its secrets, the disk and the clock.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::Check;
use crate::render;

/// How deep below the data directory key files lie.
const DEPTH: usize = 4;
/// Less free disk than this is too little to go on with, bytes.
const DISK_FAIL: u64 = 64 * 1024 * 1024;
/// Less free disk than this deserves a look, bytes.
const DISK_WARN: u64 = 1024 * 1024 * 1024;
/// A file this much newer than now means that the clock went back.
const CLOCK_SLACK: Duration = Duration::from_secs(120);

/// The checks of the data directory `dir`.
pub(super) fn checks(dir: &Path) -> Vec<Check> {
    let mut checks = vec![directory(dir)];
    if dir.is_dir() {
        checks.push(secrets(dir));
        checks.push(disk(dir));
        checks.push(clock(dir, SystemTime::now()));
    }
    checks
}

fn directory(dir: &Path) -> Check {
    const NAME: &str = "data directory";
    let place = dir.display();
    match fs::metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Check::fail(
            NAME,
            format!("{place} does not exist"),
            "`pagi up` makes it",
        ),
        Err(error) => {
            let fix = "make it readable for you, or pass another with --data-dir";
            Check::fail(NAME, format!("{place}: {error}"), fix)
        }
        Ok(found) if !found.is_dir() => Check::fail(
            NAME,
            format!("{place} is no directory"),
            "pass another with --data-dir",
        ),
        Ok(found) => match found.permissions().mode() & 0o777 {
            mode if mode & 0o022 != 0 => Check::fail(
                NAME,
                format!("others may write to {place} (mode {mode:o})"),
                format!("chmod 700 {place}"),
            ),
            mode if mode & 0o077 != 0 => Check::warn(
                NAME,
                format!("others may look into {place} (mode {mode:o})"),
                format!("chmod 700 {place}"),
            ),
            _ => Check::ok(NAME, place.to_string()),
        },
    }
}

/// Keys, token and socket must be for their owner alone.
fn secrets(dir: &Path) -> Check {
    const NAME: &str = "secrets";
    let mut found = Vec::new();
    if let Err(error) = secret_files(dir, DEPTH, &mut found) {
        let fix = "make the data directory readable for you";
        return Check::fail(
            NAME,
            format!("cannot look through the key files: {error}"),
            fix,
        );
    }
    let open: Vec<&(PathBuf, u32)> = found.iter().filter(|(_, mode)| mode & 0o077 != 0).collect();
    match open.as_slice() {
        [] if found.is_empty() => {
            Check::warn(NAME, "there are no keys yet", "`pagi up` makes them")
        }
        [] => Check::ok(
            NAME,
            format!(
                "{}, readable for you alone",
                render::count(found.len(), "file")
            ),
        ),
        open => {
            let names: Vec<String> = open
                .iter()
                .map(|(path, _)| path.display().to_string())
                .collect();
            let fix = format!("chmod 600 {}", names.join(" "));
            let first = open.first().map(|(_, mode)| *mode).unwrap_or_default();
            let detail = format!(
                "others may use {} (mode {first:o}), so it may have leaked",
                names.join(", ")
            );
            Check::fail(NAME, detail, fix)
        }
    }
}

fn secret_files(dir: &Path, depth: usize, out: &mut Vec<(PathBuf, u32)>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        // The type of the entry itself: a link is not followed out of the directory.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if depth > 1 {
                secret_files(&path, depth - 1, out)?;
            }
            continue;
        }
        let name = entry.file_name();
        let secret = name == "token"
            || name == "control.sock"
            || path
                .extension()
                .is_some_and(|extension| extension == "key" || extension == "swarm");
        if secret && !kind.is_symlink() {
            match entry.metadata() {
                Ok(found) => out.push((path, found.permissions().mode() & 0o777)),
                // A node that stops meanwhile removes its socket.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn disk(dir: &Path) -> Check {
    match rustix::fs::statvfs(dir) {
        Ok(found) => disk_verdict(found.f_bavail.saturating_mul(found.f_frsize)),
        Err(error) => Check::warn(
            "disk",
            format!("the free space is not known: {error}"),
            "see `df`",
        ),
    }
}

fn disk_verdict(free: u64) -> Check {
    const NAME: &str = "disk";
    let fix = "make room, or move the data directory with --data-dir";
    let detail = format!("{} MiB free", free / (1024 * 1024));
    if free < DISK_FAIL {
        Check::fail(NAME, detail, fix)
    } else if free < DISK_WARN {
        Check::warn(NAME, detail, fix)
    } else {
        Check::ok(NAME, detail)
    }
}

/// A clock that went back shows in files that are newer than now.
fn clock(dir: &Path, now: SystemTime) -> Check {
    const NAME: &str = "clock";
    let newest = fs::read_dir(dir).ok().and_then(|entries| {
        let times = entries.filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok());
        times.max()
    });
    match newest.and_then(|newest| newest.duration_since(now).ok()) {
        Some(ahead) if ahead > CLOCK_SLACK => Check::fail(
            NAME,
            format!(
                "the clock is at least {} s behind the node's own files",
                ahead.as_secs()
            ),
            "set the clock, for example with `timedatectl set-ntp true`",
        ),
        _ => Check::ok(NAME, "not behind the node's own files"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Verdict, *};

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_directory_must_exist_and_be_the_owners() {
        let dir = tempfile::tempdir().unwrap();
        let missing = directory(&dir.path().join("none"));
        assert_eq!(missing.status, Verdict::Fail);
        assert!(missing.fix.unwrap().contains("pagi up"));
        for (mode, status) in [
            (0o700, Verdict::Ok),
            (0o755, Verdict::Warn),
            (0o777, Verdict::Fail),
        ] {
            chmod(dir.path(), mode);
            assert_eq!(directory(dir.path()).status, status, "{mode:o}");
        }
        chmod(dir.path(), 0o700);
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(directory(&file).status, Verdict::Fail);
    }

    #[test]
    fn open_keys_are_found_wherever_they_lie() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(secrets(dir.path()).status, Verdict::Warn);
        let twins = dir.path().join("keys/twins");
        fs::create_dir_all(&twins).unwrap();
        for (path, mode) in [
            (dir.path().join("token"), 0o600),
            (twins.join("a.key"), 0o600),
            (dir.path().join("config.toml"), 0o644),
        ] {
            fs::write(&path, "x").unwrap();
            chmod(&path, mode);
        }
        assert_eq!(secrets(dir.path()).status, Verdict::Ok);
        chmod(&twins.join("a.key"), 0o640);
        let open = secrets(dir.path());
        assert_eq!(open.status, Verdict::Fail);
        assert!(open.fix.unwrap().contains("twins/a.key"));
    }

    #[test]
    fn little_disk_is_told() {
        assert_eq!(disk_verdict(DISK_FAIL - 1).status, Verdict::Fail);
        assert_eq!(disk_verdict(DISK_FAIL).status, Verdict::Warn);
        assert_eq!(disk_verdict(DISK_WARN).status, Verdict::Ok);
    }

    #[test]
    fn a_clock_behind_the_files_is_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let now = SystemTime::now();
        assert_eq!(clock(dir.path(), now).status, Verdict::Ok);
        assert_eq!(
            clock(dir.path(), now - Duration::from_secs(3600)).status,
            Verdict::Fail
        );
    }
}
