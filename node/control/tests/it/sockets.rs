//! The unix socket and what may be bound.

use std::{
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::Path,
    sync::Arc,
    time::Duration,
};

use pagi_control::{Control, ControlConfig, ControlError, Token, serve};
use serde_json::json;

use crate::{SECRET, client::Client, config, fake_node::FakeNode};

async fn serve_socket(path: &Path) -> Result<Control, ControlError> {
    let config = ControlConfig {
        unix_socket: Some(path.to_owned()),
        ..ControlConfig::new(Token::parse(SECRET).unwrap())
    };
    serve(config, Arc::new(FakeNode::default())).await
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[tokio::test]
async fn the_socket_is_its_owners_and_wants_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let control = serve_socket(&path).await.unwrap();
    assert_eq!(control.unix_socket(), Some(path.as_path()));
    assert_eq!(control.tcp_addr(), None);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(entries(dir.path()), 1);
    let client = Client::unix(&path);
    assert_eq!(client.post("/twins", &json!({})).await.status, 201);
    assert_eq!(
        client.with("host", "any.thing").get("/twins").await.status,
        200
    );
    client
        .with("origin", "http://evil.example")
        .get("/twins")
        .await
        .problem(403, "forbidden");
    control.shutdown(Duration::from_secs(5)).await;
    assert_eq!(entries(dir.path()), 0);
}

#[tokio::test]
async fn a_dead_nodes_socket_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    // Dropping a listener of the standard library leaves its file, as a crash does.
    drop(UnixListener::bind(&path).unwrap());
    let dead = std::fs::metadata(&path).unwrap().ino();
    let _control = serve_socket(&path).await.unwrap();
    assert_ne!(std::fs::metadata(&path).unwrap().ino(), dead);
    assert_eq!(Client::unix(&path).get("/twins").await.status, 200);
}

#[tokio::test]
async fn a_living_nodes_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let first = serve_socket(&path).await.unwrap();
    let error = serve_socket(&path).await.unwrap_err();
    assert!(matches!(error, ControlError::SocketInUse { .. }), "{error}");
    assert_eq!(Client::unix(&path).get("/twins").await.status, 200);
    first.shutdown(Duration::from_secs(5)).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    std::fs::write(&path, "precious").unwrap();
    let error = serve_socket(&path).await.unwrap_err();
    assert!(matches!(error, ControlError::NotASocket { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let nowhere = serve_socket(&dir.path().join("none/control.sock"))
        .await
        .unwrap_err();
    assert!(matches!(nowhere, ControlError::Unix { .. }), "{nowhere}");
    // A name that the file system takes but no client could connect to.
    let long = serve_socket(&dir.path().join("x".repeat(200)))
        .await
        .unwrap_err();
    assert!(matches!(long, ControlError::Unix { .. }), "{long}");
    assert_eq!(entries(dir.path()), 1);
}

#[tokio::test]
async fn a_successors_socket_survives_its_predecessor() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let first = serve_socket(&path).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let _second = serve_socket(&path).await.unwrap();
    first.shutdown(Duration::from_secs(5)).await;
    assert_eq!(Client::unix(&path).get("/twins").await.status, 200);
}

#[tokio::test]
async fn only_loopback_is_bound_unless_remote_access_is_allowed() {
    let node = || Arc::new(FakeNode::default());
    let remote = "0.0.0.0:0".parse().unwrap();
    let tcp = ControlConfig {
        tcp: Some(remote),
        ..config()
    };
    assert!(matches!(
        serve(tcp, node()).await,
        Err(ControlError::NotLoopback(_))
    ));
    let compat = ControlConfig {
        compat_ports: vec![remote],
        ..config()
    };
    assert!(matches!(
        serve(compat, node()).await,
        Err(ControlError::NotLoopback(_))
    ));
    let nothing = ControlConfig {
        tcp: None,
        ..config()
    };
    assert!(matches!(
        serve(nothing, node()).await,
        Err(ControlError::NoListener)
    ));
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = ControlConfig {
        tcp: Some(holder.local_addr().unwrap()),
        ..config()
    };
    let error = serve(taken, node()).await.unwrap_err();
    assert!(matches!(error, ControlError::Tcp { .. }), "{error}");
    let everywhere = ControlConfig {
        tcp: Some(remote),
        allow_remote: true,
        ..config()
    };
    assert!(serve(everywhere, node()).await.is_ok());
}
