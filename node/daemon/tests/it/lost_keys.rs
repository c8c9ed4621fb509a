//! A key that is lost is not replaced in silence.

use crate::node::Home;

#[tokio::test]
async fn a_node_does_not_become_another_one() {
    let home = Home::new();
    let node = home.start().await;
    let did = node.ready.did.clone();
    node.terminate().await;

    let key = home.data().join("keys/node.key");
    let seed = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let refused = home.launch().fail().await.document_of(1);
    let cause = refused["error"]["cause"].as_str().unwrap();
    assert!(
        cause.contains("node.key") && cause.contains(&did),
        "{cause}"
    );
    let next = refused["error"]["next"].as_str().unwrap();
    assert!(
        next.contains("backup") && next.contains("--data-dir"),
        "{next}"
    );
    assert!(!key.exists(), "a new key was made");
    let doctor = home.pagi(&["doctor", "--json"]).await.document_of(1);
    assert!(doctor.to_string().contains("node.key"), "{doctor}");

    // Another node's key is not taken either.
    std::fs::write(&key, [7; 32]).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let refused = home.launch().fail().await.document_of(1);
    assert!(refused["error"]["cause"].as_str().unwrap().contains(&did));

    std::fs::write(&key, seed).unwrap();
    assert_eq!(home.start().await.ready.did, did);
}

#[tokio::test]
async fn a_twin_does_not_become_another_one() {
    let home = Home::new();
    let node = home.start().await;
    let twin = node.twin().await;
    node.terminate().await;
    let key = home.data().join(format!("keys/twins/{twin}.key"));
    let away = home.root().join("away.key");
    std::fs::rename(&key, &away).unwrap();
    let refused = home.launch().fail().await.document_of(1);
    let cause = refused["error"]["cause"].as_str().unwrap();
    assert!(cause.contains(&twin), "{cause}");
    std::fs::rename(&away, &key).unwrap();
    let twins = home.start().await.get("/twins").await;
    assert_eq!(twins[0]["twin_id"], twin.as_str(), "{twins}");
}
