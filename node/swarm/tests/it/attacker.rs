//! A hostile peer: a real libp2p connection, and whatever bytes it likes on whatever protocol. What it
//! sends is encoded here by hand, so that nothing a library would refuse to send is out of reach.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, SwarmBuilder, identify, noise, tcp, yamux,
};
use pagi_messages::{SigningIdentity, Verified, content::to_dag_cbor};
use pagi_swarm::Whereabouts;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Why an attack could not be carried out: the victim does not take it any more.
pub type Refused = Box<dyn std::error::Error + Send + Sync>;

/// Gossip in the default swarm.
const GOSSIP: &str = "/pagi/pagi/meshsub/1.1.0";
/// Blocks, whatever the swarm.
const BITSWAP: &str = "/ipfs/bitswap/1.2.0";
/// The DHT of the default swarm.
const KAD: &str = "/pagi/pagi/kad/1";
/// How long the victim may take to accept a connection or a stream.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an attacker speaks by itself; everything else it says by hand.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Speech {
    streams: libp2p_stream::Behaviour,
    identify: Toggle<identify::Behaviour>,
}

/// Makes the answer to a frame of the DHT.
pub type Answers = fn(&[u8]) -> Vec<u8>;

/// One hostile identity with a connection to one victim.
pub struct Attacker {
    pub key: Keypair,
    pub peer: PeerId,
    victim: PeerId,
    control: libp2p_stream::Control,
    connected: watch::Receiver<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Attacker {
    /// Connects to a multiaddr that ends in `/p2p/PEERID`, from the loopback address `from`.
    pub async fn connect(target: &str, from: IpAddr) -> Result<Attacker, Refused> {
        Attacker::enter(target, from, None).await
    }

    /// Connects, passes for a node of the swarm and answers questions to the DHT.
    pub async fn connect_as_member(
        target: &str,
        from: IpAddr,
        answers: Answers,
    ) -> Result<Attacker, Refused> {
        Attacker::enter(target, from, Some(answers)).await
    }

    async fn enter(
        target: &str,
        from: IpAddr,
        answers: Option<Answers>,
    ) -> Result<Attacker, Refused> {
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
            .with_behaviour(|key| Speech {
                streams: libp2p_stream::Behaviour::new(),
                identify: answers
                    .map(|_| identify::Config::new("/pagi/pagi/1".into(), key.public()))
                    .map(identify::Behaviour::new)
                    .into(),
            })?
            .with_swarm_config(|config| {
                config.with_idle_connection_timeout(Duration::from_secs(24 * 3600))
            })
            .build();
        let mut control = swarm.behaviour().streams.new_control();
        // A peer that takes no gossip is none to gossipsub, which then closes its ears to it as well; and
        // so it is with bitswap.
        let mut heard = futures::stream::select(
            control.accept(StreamProtocol::new(GOSSIP))?,
            control.accept(StreamProtocol::new(BITSWAP))?,
        );
        let listener = tokio::spawn(async move {
            let mut streams = JoinSet::new();
            while let Some((_, mut stream)) = heard.next().await {
                streams.spawn(async move {
                    let mut sink = futures::io::sink();
                    let _ = futures::io::copy(&mut stream, &mut sink).await;
                });
            }
        });
        let mut tasks = vec![listener];
        if let Some(answers) = answers {
            // A place of its own, so that it is worth asking.
            swarm.add_external_address(format!("/ip4/{from}/tcp/1").parse()?);
            let mut asked = control.accept(StreamProtocol::new(KAD))?;
            tasks.push(tokio::spawn(async move {
                let mut streams = JoinSet::new();
                while let Some((_, mut stream)) = asked.next().await {
                    streams.spawn(async move {
                        while let Ok(question) = read_frame(&mut stream).await {
                            if send(&mut stream, &answers(&question)).await.is_err() {
                                return;
                            }
                        }
                    });
                }
            }));
        }
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
            tasks: {
                tasks.extend([task, carrier]);
                tasks
            },
        })
    }

    /// A record that says where this attacker is to be found, signed as it should be.
    pub fn whereabouts(&self) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_millis() as u64);
        let body = Whereabouts {
            peer_id: self.peer.to_string(),
            addrs: vec!["/ip4/127.0.0.1/tcp/1".into()],
            issued_ms: now,
            expires_ms: now + 3_600_000,
        };
        let signed = Verified::sign(&identity(&self.key), body).expect("it can be signed");
        to_dag_cbor(signed.as_signed()).expect("it can be encoded")
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

fn identity(key: &Keypair) -> SigningIdentity {
    let key = key.clone().try_into_ed25519().expect("an Ed25519 key");
    let mut seed = [0; 32];
    seed.copy_from_slice(key.secret().as_ref());
    SigningIdentity::from_seed(&seed)
}

/// Where the DHT keeps the whereabouts of a key's DID.
pub fn record_key(key: &Keypair) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(b"pagi-whereabouts/1\0");
    hash.update(identity(key).did().as_str());
    [&[0x12, 32][..], &hash.finalize()].concat()
}

/// Reads a frame of the DHT, up to 16 KiB.
async fn read_frame(stream: &mut Stream) -> Result<Vec<u8>, Refused> {
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
        if shift > 14 {
            return Err("a long frame".into());
        }
    }
    let mut data = vec![0; length.min(16 * 1024)];
    stream.read_exact(&mut data).await?;
    Ok(data)
}

/// Answers every question to the DHT with twenty nodes that are not there, and a record that is none.
pub fn poison(question: &[u8]) -> Vec<u8> {
    // The question's kind and key come first in the questions of libp2p.
    let kind = question.get(1).copied().unwrap_or(4);
    let mut message = Vec::new();
    number(1, u64::from(kind), &mut message);
    if kind == 1 {
        let mut record = Vec::new();
        bytes(1, &[9; 34], &mut record);
        bytes(2, &[9; 500], &mut record);
        bytes(3, &record, &mut message);
    }
    for n in 0..20u8 {
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        let addr: Multiaddr = format!("/ip4/127.250.0.{}/tcp/1", n + 1)
            .parse()
            .expect("an address");
        let mut node = Vec::new();
        bytes(1, &peer.to_bytes(), &mut node);
        bytes(2, &addr.to_vec(), &mut node);
        bytes(8, &node, &mut message);
    }
    frame(&message)
}
