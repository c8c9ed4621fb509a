//! The `system_monitor` tool: how busy and how full this machine is.

use crate::HARMLESS;
use async_trait::async_trait;
use pagi_plugin_host::{Caller, NativeTool, ToolError, ToolSpec};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use sysinfo::{
    CpuRefreshKind, DiskRefreshKind, Disks, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind,
    ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System,
};

/// Reads figures of this machine. Host name, users and process names are left out on purpose:
/// the answer may end up in what a twin publishes.
///
/// The answer holds, by `include` (everything if that is missing or empty):
///
/// | part | fields |
/// |---|---|
/// | `cpu` | `cpu_percent` (all cores together, 0-100), `cpu_cores` |
/// | `memory` | `memory_percent`, `memory_used_bytes`, `memory_total_bytes`, `swap_percent` |
/// | `disk` | `disks`: `{mount, used_percent, total_bytes, free_bytes}` each |
/// | `load` | `load_average` (1, 5, 15 minutes), `uptime_seconds` |
/// | `processes` | `processes` (how many) |
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemMonitor;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Cpu,
    Memory,
    Disk,
    Load,
    Processes,
}

const ALL: [Part; 5] = [
    Part::Cpu,
    Part::Memory,
    Part::Disk,
    Part::Load,
    Part::Processes,
];

#[derive(Default, Deserialize)]
struct Parameters {
    #[serde(default)]
    include: Vec<Part>,
}

#[async_trait]
impl NativeTool for SystemMonitor {
    fn spec(&self) -> ToolSpec {
        ToolSpec::native(
            "system_monitor",
            "Monitors the health of this machine: reports CPU usage, memory and swap usage, disk \
             space, load average, uptime and number of processes. Use it to check system \
             status, resources, performance, or how much RAM, storage or processor is free or \
             in use on this computer, host or server.",
            json!({
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "include": {
                        "type": "array",
                        "description": "Parts to report; all of them by default",
                        "uniqueItems": true,
                        "items": {"enum": ["cpu", "memory", "disk", "load", "processes"]}
                    }
                }
            }),
        )
        .with_annotations(HARMLESS)
    }

    async fn call(&self, _caller: &Caller, parameters: Value) -> Result<Value, ToolError> {
        let Parameters { include } = serde_json::from_value(parameters)
            .map_err(|error| ToolError::failed(error.to_string()))?;
        let parts = if include.is_empty() {
            ALL.to_vec()
        } else {
            include
        };
        // Reading /proc and asking file systems can block.
        tokio::task::spawn_blocking(move || measure(&parts))
            .await
            .map_err(|_| ToolError::failed("reading the figures of this machine failed"))?
            .map_err(|error| {
                ToolError::failed(format!("this machine does not tell its figures: {error}"))
            })
    }
}

fn measure(parts: &[Part]) -> Result<Value, sysinfo::Error> {
    let wants = |part| parts.contains(&part);
    let mut refresh = RefreshKind::nothing();
    if wants(Part::Cpu) {
        refresh = refresh.with_cpu(CpuRefreshKind::nothing().with_usage());
    }
    if wants(Part::Memory) {
        refresh = refresh.with_memory(MemoryRefreshKind::everything());
    }
    let mut system = System::new_with_specifics(refresh)?;
    let mut out = Map::new();
    if wants(Part::Cpu) {
        // Usage is the difference between two readings.
        std::thread::sleep(MINIMUM_CPU_UPDATE_INTERVAL);
        system.refresh_cpu_usage();
        out.insert(
            "cpu_percent".into(),
            tenths(f64::from(system.global_cpu_usage())),
        );
        out.insert("cpu_cores".into(), system.cpus().len().into());
    }
    if wants(Part::Memory) {
        let (used, total) = (system.used_memory(), system.total_memory());
        out.insert("memory_percent".into(), percent(used, total));
        out.insert("memory_used_bytes".into(), used.into());
        out.insert("memory_total_bytes".into(), total.into());
        out.insert(
            "swap_percent".into(),
            percent(system.used_swap(), system.total_swap()),
        );
    }
    if wants(Part::Load) {
        let load = System::load_average()?;
        out.insert(
            "load_average".into(),
            json!([load.one, load.five, load.fifteen]),
        );
        out.insert("uptime_seconds".into(), System::uptime()?.into());
    }
    if wants(Part::Disk) {
        out.insert("disks".into(), disks()?);
    }
    if wants(Part::Processes) {
        system.refresh_processes_specifics(
            ProcessesToUpdate::All,
            true,
            ProcessRefreshKind::nothing().without_tasks(),
        );
        out.insert("processes".into(), system.processes().len().into());
    }
    Ok(Value::Object(out))
}

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    device: String,
    file_system: String,
    mount: String,
    total: u64,
    free: u64,
}

/// Used space as `df` gives it: of what users may use, so reserved blocks count as neither.
fn disk_percent(mount: &str, total: u64, free: u64) -> Value {
    #[cfg(unix)]
    if let Ok(stat) = rustix::fs::statvfs(mount) {
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        return percent(used, used.saturating_add(stat.f_bavail));
    }
    percent(total.saturating_sub(free), total)
}

fn disks() -> Result<Value, sysinfo::Error> {
    let disks =
        Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_storage())?;
    let mounts = disks
        .iter()
        // Containers mount single files, which are no disks.
        .filter(|disk| disk.mount_point().is_dir())
        .map(|disk| Mount {
            device: disk.name().to_string_lossy().into_owned(),
            file_system: disk.file_system().to_string_lossy().into_owned(),
            mount: disk.mount_point().to_string_lossy().into_owned(),
            total: disk.total_space(),
            free: disk.available_space(),
        })
        .collect();
    Ok(real(mounts)
        .into_iter()
        .map(|disk| {
            json!({
                "mount": disk.mount,
                "used_percent": disk_percent(&disk.mount, disk.total, disk.free),
                "total_bytes": disk.total,
                "free_bytes": disk.free,
            })
        })
        .collect())
}

/// Leaves out what holds no data of its own, and all but the shortest mount point of a device.
fn real(mounts: Vec<Mount>) -> Vec<Mount> {
    const PSEUDO: [&str; 16] = [
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "nsfs",
        "proc",
        "ramfs",
        "securityfs",
        "tmpfs",
        "tracefs",
    ];
    let mut by_device: BTreeMap<(String, u64), Mount> = BTreeMap::new();
    for mount in mounts {
        if mount.total == 0 || PSEUDO.contains(&mount.file_system.as_str()) {
            continue;
        }
        let key = (mount.device.clone(), mount.total);
        match by_device.get(&key) {
            Some(held) if rank(held) <= rank(&mount) => {}
            _ => {
                by_device.insert(key, mount);
            }
        }
    }
    let mut mounts: Vec<Mount> = by_device.into_values().collect();
    mounts.sort_by(|a, b| a.mount.cmp(&b.mount));
    mounts
}

fn rank(mount: &Mount) -> (usize, &str) {
    (mount.mount.len(), &mount.mount)
}

/// `part` of `whole` in percent, 0 if there is no whole.
fn percent(part: u64, whole: u64) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "one decimal is kept")]
    let percent = if whole == 0 {
        0.0
    } else {
        part as f64 * 100.0 / whole as f64
    };
    tenths(percent)
}

/// A percentage within 0-100 with one decimal.
fn tenths(percent: f64) -> Value {
    json!((percent.clamp(0.0, 100.0) * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(device: &str, file_system: &str, mount: &str, total: u64) -> Mount {
        Mount {
            device: device.into(),
            file_system: file_system.into(),
            mount: mount.into(),
            total,
            free: total / 2,
        }
    }

    #[test]
    fn each_disk_counts_once() {
        let kept: Vec<_> = real(vec![
            mount("/dev/a", "ext4", "/var/lib/x", 100),
            mount("/dev/a", "ext4", "/", 100),
            mount("/dev/a", "ext4", "/home", 100),
            mount("/dev/b", "xfs", "/data", 100),
            mount("tmpfs", "tmpfs", "/tmp", 100),
            mount("none", "bpf", "/bpf", 100),
            mount("/dev/c", "ext4", "/empty", 0),
        ])
        .into_iter()
        .map(|disk| disk.mount)
        .collect();
        assert_eq!(kept, ["/", "/data"]);
    }

    #[test]
    fn percentages_are_bounded() {
        assert_eq!(percent(1, 3), json!(33.3));
        assert_eq!(percent(5, 0), json!(0.0));
        assert_eq!(percent(7, 5), json!(100.0));
    }
}
