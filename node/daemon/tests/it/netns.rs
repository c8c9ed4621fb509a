//! Networks that loopback cannot show, by `scripts/interop/netns/run.sh`: routers, multicast, loss,
//! delay and partition, in network namespaces. The script says SKIP where it cannot work, for want of
//! root or of a tool.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

/// Runs scenarios with the program under test; the summary line of each.
async fn run(scenarios: &[&str], patience: Duration) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/interop/netns/run.sh");
    let child = Command::new(script)
        .args(scenarios)
        .env("PAGI", env!("CARGO_BIN_EXE_pagi"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let output = timeout(patience, child.wait_with_output())
        .await
        .expect("an end in time")
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    if let Some(why) = text.lines().find(|line| line.starts_with("SKIP: ")) {
        eprintln!("{why}");
        return;
    }
    for name in scenarios {
        let skipped = format!("skip {name}:");
        if let Some(line) = text.lines().find(|line| line.starts_with(&skipped)) {
            eprintln!("{line}");
            continue;
        }
        let start = format!("ok   {name} ");
        let line = text.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("nothing of {name}: {said}"));
        assert!(line.contains("one swarm"), "{line}");
        eprintln!("{line}");
    }
}

#[tokio::test]
async fn nodes_of_a_local_network_find_each_other() {
    run(&["mdns"], Duration::from_secs(300)).await;
}

/// Minutes: `cargo test -p pagi --test it -- --ignored netns`.
#[tokio::test]
#[ignore = "takes minutes"]
async fn behind_routers_over_bad_cables_and_after_a_partition_it_is_one_swarm() {
    let all = ["lans", "lans_relayed", "loss", "partition"];
    run(&all, Duration::from_secs(1800)).await;
}
