//! Nodes and waiting for conditions.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pagi_swarm::{GossipMessage, Inbound, PeerInfo, Swarm, SwarmConfig, SwarmOptions, start_with};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A running node in a temporary directory.
pub struct Node {
    pub swarm: Swarm,
    pub inbound: Inbound,
    pub dir: TempDir,
}

/// Configuration of a test node: loopback, TCP, any port.
pub fn config(seed: u8, dir: &Path) -> SwarmConfig {
    SwarmConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
        ..SwarmConfig::new([seed; 32], dir)
    }
}

/// Starts a node whose key is made of `seed`.
pub async fn node(seed: u8, change: impl FnOnce(&mut SwarmConfig)) -> Node {
    node_opt(seed, change, SwarmOptions::default()).await
}

/// Starts a node with options.
pub async fn node_opt(
    seed: u8,
    change: impl FnOnce(&mut SwarmConfig),
    options: SwarmOptions,
) -> Node {
    init_log();
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(seed, dir.path());
    change(&mut config);
    let (swarm, inbound) = start_with(config, options).await.unwrap();
    Node {
        swarm,
        inbound,
        dir,
    }
}

/// Starts a node that knows the address of another.
pub async fn node_with(seed: u8, bootstrap: &Node) -> Node {
    let addr = bootstrap.addr().await;
    node(seed, |config| config.bootstrap = vec![addr]).await
}

fn init_log() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .parse_lossy(std::env::var("RUST_LOG").unwrap_or_else(|_| pagi_swarm::LOG_FILTER.into()));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_test_writer()
        .try_init();
}

impl Node {
    /// Its first listen address.
    pub async fn addr(&self) -> String {
        self.swarm.listen_addrs().await.unwrap().remove(0)
    }

    pub fn id(&self) -> String {
        self.swarm.peer_id().to_owned()
    }

    /// Waits for the next gossip message.
    pub async fn message(&mut self) -> GossipMessage {
        let message = tokio::time::timeout(DEADLINE, self.inbound.gossip.recv());
        message
            .await
            .expect("a message in time")
            .expect("an open channel")
    }

    /// What it knows about another node it is connected with.
    pub async fn peer(&self, other: &Node) -> Option<PeerInfo> {
        let id = other.id();
        self.swarm
            .peers()
            .await
            .unwrap()
            .into_iter()
            .find(|peer| peer.peer_id == id)
    }

    /// The file of a block.
    pub fn block_file(&self, cid: &cid::Cid) -> PathBuf {
        let text = cid.to_string();
        let shard = &text[text.len() - 3..text.len() - 1];
        self.dir
            .path()
            .join("ipfs/blockstore")
            .join(shard)
            .join(format!("{text}.data"))
    }
}

/// Waits until `condition` holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until both nodes know each other as members of their swarm.
pub async fn acquainted(a: &Node, b: &Node) {
    until("both know each other", || async {
        let (ab, ba) = (a.peer(b).await, b.peer(a).await);
        ab.is_some_and(|peer| peer.member) && ba.is_some_and(|peer| peer.member)
    })
    .await;
}

/// Subscribes the nodes and waits until each of the given pairs is in each other's mesh.
pub async fn mesh(topic: &str, nodes: &[&Node], pairs: &[(usize, usize)]) {
    for node in nodes {
        node.swarm.subscribe(topic).await.unwrap();
    }
    for (a, b) in pairs {
        until("a mesh", || async {
            let (ab, ba) = (
                nodes[*a].peer(nodes[*b]).await,
                nodes[*b].peer(nodes[*a]).await,
            );
            ab.is_some_and(|peer| peer.in_mesh) && ba.is_some_and(|peer| peer.in_mesh)
        })
        .await;
    }
}

/// A DAG-CBOR block: a byte string.
pub fn dag_cbor(content: &[u8]) -> Vec<u8> {
    let mut block = vec![0x59];
    block.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
    block.extend_from_slice(content);
    assert!(content.len() > 255, "shorter ones would not be canonical");
    block
}
