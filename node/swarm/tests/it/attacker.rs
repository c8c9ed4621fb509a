//! A hostile peer: a real libp2p connection, and whatever bytes it likes on whatever protocol. What it
//! sends is encoded here by hand, so that nothing a library would refuse to send is out of reach.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Why an attack could not be carried out: the victim does not take it any more.
pub type Refused = Box<dyn std::error::Error + Send + Sync>;

/// Gossip in the default swarm.
const GOSSIP: &str = "/pagi/pagi/meshsub/1.1.0";
/// How long the victim may take to accept a connection or a stream.
const PATIENCE: Duration = Duration::from_secs(20);

/// One hostile identity with a connection to one victim.
pub struct Attacker {
    pub key: Keypair,
    pub peer: PeerId,
    victim: PeerId,
    control: libp2p_stream::Control,
    connected: watch::Receiver<bool>,
    tasks: [JoinHandle<()>; 3],
}

impl Attacker {
    /// Connects to a multiaddr that ends in `/p2p/PEERID`, from the loopback address `from`.
    pub async fn connect(target: &str, from: IpAddr) -> Result<Attacker, Refused> {
        let target: Multiaddr = target.parse()?;
        let victim = target
            .iter()
            .find_map(|part| match part {
                Protocol::P2p(peer) => Some(peer),
                _ => None,
            })
            .ok_or("an address without a peer id")?;
        let key = Keypair::generate_ed25519();
        let mut swarm = SwarmBuilder::with_existing_identity(key.clone())
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )?
            .with_behaviour(|_| libp2p_stream::Behaviour::new())?
            .with_swarm_config(|config| {
                config.with_idle_connection_timeout(Duration::from_secs(24 * 3600))
            })
            .build();
        let mut control = swarm.behaviour().new_control();
        // A peer that takes no gossip is none to gossipsub, which then closes its ears to it as well.
        let mut heard = control.accept(StreamProtocol::new(GOSSIP))?;
        let listener = tokio::spawn(async move {
            let mut streams = JoinSet::new();
            while let Some((_, mut stream)) = heard.next().await {
                streams.spawn(async move {
                    let mut sink = futures::io::sink();
                    let _ = futures::io::copy(&mut stream, &mut sink).await;
                });
            }
        });
        let peer = *swarm.local_peer_id();
        let (way, carrier) = through(from, &target).await?;
        swarm.dial(
            way.with_p2p(victim)
                .map_err(|way| format!("{way} names another"))?,
        )?;
        let ready = async {
            while let Some(event) = swarm.next().await {
                match event {
                    SwarmEvent::ConnectionEstablished { .. } => return Ok(()),
                    SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
                    _ => {}
                }
            }
            Err::<(), Refused>("no connection".into())
        };
        tokio::time::timeout(PATIENCE, ready).await??;
        let (tell, connected) = watch::channel(true);
        let task = tokio::spawn(async move {
            while let Some(event) = swarm.next().await {
                if let SwarmEvent::ConnectionClosed {
                    num_established: 0, ..
                } = event
                {
                    let _ = tell.send(false);
                    return;
                }
            }
        });
        Ok(Attacker {
            key,
            peer,
            victim,
            control,
            connected,
            tasks: [task, carrier, listener],
        })
    }

    /// Whether the victim still is connected.
    pub fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Waits until the victim closes the connection.
    pub async fn thrown_out(&mut self, patience: Duration) -> bool {
        let gone = self.connected.wait_for(|connected| !connected);
        let gone = tokio::time::timeout(patience, gone).await;
        gone.is_ok()
    }

    /// A new stream on a protocol.
    pub async fn open(&mut self, protocol: &str) -> Result<Stream, Refused> {
        let protocol = StreamProtocol::try_from_owned(protocol.to_owned())?;
        let stream = self.control.open_stream(self.victim, protocol);
        tokio::time::timeout(PATIENCE, stream)
            .await?
            .map_err(|error| error.to_string().into())
    }

    /// A stream for gossip in the default swarm.
    pub async fn gossip(&mut self) -> Result<Stream, Refused> {
        self.open(GOSSIP).await
    }

    /// A message that is as it should be.
    pub fn signed(&self, topic: &str, data: &[u8], number: u64) -> Vec<u8> {
        signed(&self.key, &self.peer.to_bytes(), topic, data, number)
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A way to the victim on which connections leave from the address `from`: libp2p itself leaves the
/// choice to the system, which takes 127.0.0.1. Carries one connection.
async fn through(from: IpAddr, target: &Multiaddr) -> Result<(Multiaddr, JoinHandle<()>), Refused> {
    let (mut ip, mut port) = (None, None);
    for part in target {
        match part {
            Protocol::Ip4(value) => ip = Some(IpAddr::V4(value)),
            Protocol::Tcp(value) => port = Some(value),
            _ => {}
        }
    }
    let to = SocketAddr::new(ip.ok_or("no IPv4 address")?, port.ok_or("no TCP port")?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let way = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr()?.port()).parse()?;
    let carrier = tokio::spawn(async move {
        let carry = async {
            let (mut near, _) = listener.accept().await?;
            drop(listener);
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(from, 0))?;
            let mut far = socket.connect(to).await?;
            tokio::io::copy_bidirectional(&mut near, &mut far).await
        };
        // Either end closing is daily life, and seen at the other one.
        let _ = carry.await;
    });
    Ok((way, carrier))
}

/// Sends bytes, or says that they are not taken in time.
pub async fn send(stream: &mut Stream, bytes: &[u8]) -> Result<(), Refused> {
    let sending = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    Ok(tokio::time::timeout(PATIENCE, sending).await??)
}

/// Reads until the victim closes the stream.
pub async fn read_all(stream: &mut Stream) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await??;
    Ok(bytes)
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3, out);
    varint(value, out);
}

/// A length-delimited field of a protobuf message.
pub fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | 2, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// A frame: its length, and it.
pub fn frame(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// A gossip message without a signature.
pub fn unsigned(from: &[u8], topic: &str, data: &[u8], seqno: u64) -> Vec<u8> {
    let mut message = Vec::new();
    bytes(1, from, &mut message);
    bytes(2, data, &mut message);
    bytes(3, &seqno.to_be_bytes(), &mut message);
    bytes(4, topic.as_bytes(), &mut message);
    message
}

/// A gossip message signed by `key`, whoever it says it is from.
pub fn signed(key: &Keypair, from: &[u8], topic: &str, data: &[u8], seqno: u64) -> Vec<u8> {
    let mut message = unsigned(from, topic, data, seqno);
    let signature = key
        .sign(&[b"libp2p-pubsub:", &message[..]].concat())
        .expect("Ed25519 keys sign");
    bytes(5, &signature, &mut message);
    message
}

/// A gossip packet with these messages.
pub fn packet(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = Vec::new();
    for message in messages {
        bytes(2, message, &mut packet);
    }
    frame(&packet)
}

/// A DHT message that says this peer has the content of `key`.
pub fn add_provider(peer: &PeerId, key: &[u8]) -> Vec<u8> {
    let mut provider = Vec::new();
    bytes(1, &peer.to_bytes(), &mut provider);
    number(3, 1, &mut provider);
    let mut message = Vec::new();
    number(1, 2, &mut message);
    bytes(2, key, &mut message);
    bytes(9, &provider, &mut message);
    number(10, 1, &mut message);
    frame(&message)
}

/// A DHT message that asks to keep a record.
pub fn put_value(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    bytes(1, key, &mut record);
    bytes(2, value, &mut record);
    let mut message = Vec::new();
    number(1, 0, &mut message);
    bytes(2, key, &mut message);
    bytes(3, &record, &mut message);
    number(10, 1, &mut message);
    frame(&message)
}

/// A bitswap message that wants `count` blocks nobody has.
pub fn wantlist(count: u32, salt: u64) -> Vec<u8> {
    let mut list = Vec::new();
    for n in 0..count {
        // CIDv1, dag-cbor, sha2-256.
        let mut cid = vec![1, 0x71, 0x12, 32];
        cid.extend_from_slice(&salt.to_be_bytes());
        cid.extend_from_slice(&n.to_be_bytes());
        cid.resize(36, 7);
        let mut entry = Vec::new();
        bytes(1, &cid, &mut entry);
        number(2, 1, &mut entry);
        number(5, 1, &mut entry);
        bytes(1, &entry, &mut list);
    }
    let mut message = Vec::new();
    bytes(1, &list, &mut message);
    frame(&message)
}
