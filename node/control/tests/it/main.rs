//! The control API over real TCP and a real unix socket, in front of a small node in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod access;
mod bodies;
mod client;
mod documents;
mod events;
mod fake_content;
mod fake_node;
mod fake_trust;
mod fuzz;
mod goals;
mod lifecycle;
mod messages;
mod sockets;
mod twins;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use pagi_control::{Control, ControlConfig, Token, serve};

use self::{client::Client, fake_node::FakeNode};

/// How long a test waits for what must happen.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// A token in the form of a real one.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A running server over TCP and what stands behind it.
struct Running {
    node: Arc<FakeNode>,
    control: Control,
}

impl Running {
    fn addr(&self) -> SocketAddr {
        self.control.tcp_addr().unwrap()
    }

    /// A client that shows the token.
    fn client(&self) -> Client {
        Client::tcp(self.addr()).with("authorization", &format!("Bearer {SECRET}"))
    }

    /// A client that shows nothing.
    fn stranger(&self) -> Client {
        Client::tcp(self.addr())
    }
}

/// A configuration for a free port.
fn config() -> ControlConfig {
    ControlConfig {
        tcp: Some("127.0.0.1:0".parse().unwrap()),
        ..ControlConfig::new(Token::parse(SECRET).unwrap())
    }
}

/// A server on a free port.
async fn start() -> Running {
    start_with(config()).await
}

/// A server as configured.
async fn start_with(config: ControlConfig) -> Running {
    let node = Arc::new(FakeNode::default());
    let control = serve(config, node.clone()).await.unwrap();
    Running { node, control }
}

/// Waits until `condition` holds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, waiting).await.is_ok(),
        "waited in vain: {what}"
    );
}
