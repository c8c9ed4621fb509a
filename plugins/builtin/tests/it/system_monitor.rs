//! `system_monitor` against the machine the test runs on.

use crate::call;
use serde_json::json;

#[tokio::test]
async fn figures_are_sane() {
    let figures = call("system_monitor", json!({})).await.unwrap();
    for field in ["cpu_percent", "memory_percent", "swap_percent"] {
        let percent = figures[field].as_f64().unwrap();
        assert!((0.0..=100.0).contains(&percent), "{field} {percent}");
    }
    let total = figures["memory_total_bytes"].as_u64().unwrap();
    let used = figures["memory_used_bytes"].as_u64().unwrap();
    assert!(
        total > 1 << 20 && 0 < used && used <= total,
        "{used} of {total}"
    );
    assert!(figures["cpu_cores"].as_u64().unwrap() >= 1);
    assert!(figures["processes"].as_u64().unwrap() >= 1);
    assert!(figures["uptime_seconds"].as_u64().unwrap() >= 1);
    let load = figures["load_average"].as_array().unwrap();
    assert!(load.len() == 3 && load.iter().all(|x| x.as_f64().unwrap() >= 0.0));
    let mut mounts = Vec::new();
    for disk in figures["disks"].as_array().unwrap() {
        assert!(disk["free_bytes"].as_u64().unwrap() <= disk["total_bytes"].as_u64().unwrap());
        assert!((0.0..=100.0).contains(&disk["used_percent"].as_f64().unwrap()));
        mounts.push(disk["mount"].as_str().unwrap());
    }
    let all = mounts.len();
    mounts.dedup();
    assert_eq!(mounts.len(), all, "{mounts:?}");
}

/// The total that the system itself reports is a second opinion.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_agrees_with_the_kernel() {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = meminfo
        .lines()
        .find(|line| line.starts_with("MemTotal:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let figures = call("system_monitor", json!({"include": ["memory"]}))
        .await
        .unwrap();
    assert_eq!(figures["memory_total_bytes"].as_u64().unwrap(), kib * 1024);
}

#[tokio::test]
async fn only_what_is_asked_for() {
    let figures = call("system_monitor", json!({"include": ["load", "processes"]}))
        .await
        .unwrap();
    let mut fields: Vec<_> = figures
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["load_average", "processes", "uptime_seconds"]);
    let error = call("system_monitor", json!({"include": ["cpu", "gpu"]}))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/include/1"), "{error}");
}
