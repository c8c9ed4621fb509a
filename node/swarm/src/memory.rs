//! How much memory this process uses.

/// Resident memory of this process in bytes; `None` where the system does not tell.
pub(crate) fn resident_bytes() -> Option<u64> {
    resident(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Reads the `VmRSS` line of a process status file.
fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_file_is_read_or_refused() {
        let status = "Name:\tpagi\nVmHWM:\t  99 kB\nVmRSS:\t   2048 kB\nThreads:\t4\n";
        assert_eq!(resident(status), Some(2048 * 1024));
        for bad in ["", "VmRSS:", "VmRSS: x kB", "VmRSS: 5 MB"] {
            assert_eq!(resident(bad), None, "{bad:?}");
        }
    }
}
