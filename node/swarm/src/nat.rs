//! Getting through routers: relays, hole punching, dial-back tests, port mapping.

use std::time::{Duration, Instant};

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{FromSwarm, ListenOpts};
use libp2p::{Multiaddr, PeerId, autonat, dcutr, identify, kad, relay, upnp};

use crate::behaviour::{Action, NodeBehaviour};
use crate::config::split_peer;
use crate::reach::{
    Reach, ReachInfo, Reachability, RelayLimits, Scope, farthest, is_relayed, scope,
};
use crate::relays::Relays;

/// How long a relayed connection is kept beside a direct one: what is under way may end.
const RELAYED_AFTER_DIRECT: Duration = Duration::from_secs(5);

/// Direct connections kept with one peer, and how long further ones may stay: tests whether a node
/// can be dialled leave one each time.
const DIRECT: usize = 2;
const SURPLUS_AGE: Duration = Duration::from_secs(10);
/// Pause between two looks around in the DHT while there are fewer peers than wanted.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Time for a relay to hear of the address it has just given us.
const LOOK_AFTER_RESERVATION: Duration = Duration::from_secs(1);

/// What the behaviour knows about its own place in the network.
#[derive(Debug)]
pub(crate) struct Nat {
    pub(crate) reach: Reach,
    /// Configured public addresses.
    announce: Vec<Multiaddr>,
    reachability: Reachability,
    relays: Relays,
    /// Listeners on relays.
    reservations: Vec<(ListenerId, PeerId)>,
    listening: Vec<Multiaddr>,
    external: Vec<Multiaddr>,
    /// External addresses that this node itself declared.
    declared: Vec<Multiaddr>,
    port_mapping: Option<String>,
    dht_server: bool,
    /// When to look around in the DHT again.
    look_at: Instant,
}

impl Nat {
    /// Whether this node is reached through a peer.
    pub(crate) fn relies_on(&self, peer: &PeerId) -> bool {
        self.relays.counts_on(peer)
    }

    pub(crate) fn new(reach: Reach, announce: Vec<Multiaddr>) -> Self {
        Nat {
            reach,
            announce,
            reachability: Reachability::default(),
            relays: Relays::default(),
            reservations: Vec::new(),
            listening: Vec::new(),
            external: Vec::new(),
            declared: Vec::new(),
            port_mapping: None,
            dht_server: true,
            look_at: Instant::now() + LOOK_AGAIN,
        }
    }
}

/// The relay server's configuration.
pub(crate) fn relay_config(limits: &RelayLimits) -> relay::Config {
    relay::Config {
        max_reservations: limits.reservations,
        max_circuits: limits.circuits,
        max_circuits_per_peer: limits.circuits_per_peer,
        max_circuit_duration: Duration::from_secs(limits.circuit_seconds.into()),
        max_circuit_bytes: limits.circuit_bytes,
        ..relay::Config::default()
    }
}

/// Dial-back tests, asked of chosen servers only (see [`NodeBehaviour::consider_for_reach`]) and
/// done for anyone, at the address they are seen at.
pub(crate) fn autonat_config() -> autonat::Config {
    autonat::Config {
        boot_delay: Duration::from_secs(3),
        retry_interval: Duration::from_secs(30),
        throttle_server_period: Duration::from_secs(20),
        timeout: Duration::from_secs(15),
        use_connected: false,
        only_global_ips: false,
        ..autonat::Config::default()
    }
}

impl NodeBehaviour {
    /// Twice a second.
    pub(crate) fn nat_tick(&mut self, now: Instant) {
        self.ask_relays(now);
        self.go_direct();
        self.leave_relayed(now);
        self.look_around(now);
    }

    /// Tries once to dial peers that are connected through relays only, at the addresses they say
    /// they listen on: one may be reachable after all, or both be on one local network. Where
    /// neither can be dialled, hole punching is left.
    fn go_direct(&mut self) {
        for (id, peer) in &mut self.peers {
            if peer.tried_direct || !peer.member || peer.direct().is_some() {
                continue;
            }
            peer.tried_direct = true;
            let mut addrs = peer.listen_addrs.clone();
            addrs.retain(|addr| !is_relayed(addr));
            if !addrs.is_empty() {
                let opts = DialOpts::peer_id(*id)
                    .condition(PeerCondition::Always)
                    .addresses(addrs)
                    .build();
                self.actions.push_back(Action::Dial(opts));
            }
        }
    }

    /// Asks the DHT who is there. A node that could not be dialled at first is in nobody's answers
    /// until later.
    fn look_around(&mut self, now: Instant) {
        let members = self.counters.connected.get();
        if now < self.nat.look_at || members == 0 {
            return;
        }
        self.nat.look_at = now + LOOK_AGAIN;
        if members < self.limits.target_peers as u64 {
            let _ = self.net.kad.bootstrap();
        }
    }

    fn ask_relays(&mut self, now: Instant) {
        if !self.nat.reach.relay_client || self.nat.reachability == Reachability::Public {
            return;
        }
        for relay in self.nat.relays.due(now) {
            let direct = self.peers.get(&relay).and_then(|peer| peer.direct());
            let Some(addr) = direct.cloned() else {
                self.nat.relays.failed(&relay, now);
                continue;
            };
            let addr = split_peer(addr).0;
            let circuit = addr.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
            tracing::debug!(%relay, %circuit, "asking for a reservation");
            let opts = ListenOpts::new(circuit);
            self.nat.reservations.push((opts.listener_id(), relay));
            self.actions.push_back(Action::Listen(opts));
        }
    }

    /// Closes relayed connections with peers that are connected directly as well, and direct ones
    /// beyond what two sides need that dialled each other at once.
    fn leave_relayed(&mut self, now: Instant) {
        for (id, peer) in &mut self.peers {
            for connection in peer.surplus(DIRECT, SURPLUS_AGE, now) {
                self.actions.push_back(Action::Close(*id, connection));
            }
            let both = peer.is_relayed() && peer.direct().is_some();
            let since = *peer.direct_too_since.get_or_insert(now);
            if !both {
                peer.direct_too_since = None;
            } else if now >= since + RELAYED_AFTER_DIRECT {
                for (connection, link) in &peer.connections {
                    if link.relayed {
                        self.actions.push_back(Action::Close(*id, *connection));
                    }
                }
                peer.direct_too_since = None;
            }
        }
    }

    /// Looks at a member of the swarm that has just said who it is: it may relay for us, or test
    /// whether we can be dialled.
    pub(crate) fn consider_for_reach(&mut self, peer: PeerId, info: &identify::Info, now: Instant) {
        let offers = |name: &str| info.protocols.iter().any(|p| p.as_ref() == name);
        let bootstrap = self.dialer.is_bootstrap(&peer);
        if self.nat.reach.relay_client && bootstrap {
            match offers(relay::HOP_PROTOCOL_NAME.as_ref()) {
                true => self.nat.relays.offered(peer, now),
                false => self.nat.relays.gone(&peer),
            }
        }
        let Some(link) = self.peers.get(&peer).and_then(|peer| peer.direct()) else {
            return;
        };
        // Somebody on the same network can always dial us, which says nothing about the others.
        let outside = bootstrap || scope(link) == Scope::Global;
        if outside
            && offers(autonat::DEFAULT_PROTOCOL_NAME.as_ref())
            && let Some(autonat) = self.net.autonat.as_mut()
        {
            autonat.add_server(peer, None);
        }
    }

    /// A peer is gone: it neither relays nor tests any more.
    pub(crate) fn gone_for_reach(&mut self, peer: &PeerId) {
        self.nat.relays.gone(peer);
        if let Some(autonat) = self.net.autonat.as_mut() {
            autonat.remove_server(peer);
        }
    }

    /// Listeners and addresses of this node that came and went.
    pub(crate) fn addresses_changed(&mut self, event: &FromSwarm) {
        match event {
            FromSwarm::NewListenAddr(new) => {
                let reservation = self.reservation(new.listener_id);
                if let Some(relay) = reservation {
                    tracing::info!(%relay, addr = %new.addr, "reachable through a relay");
                    self.nat.relays.reserved(&relay);
                    self.nat.look_at = Instant::now() + LOOK_AFTER_RESERVATION;
                    self.place_changed();
                } else if !self.nat.listening.contains(new.addr) {
                    self.nat.listening.push(new.addr.clone());
                    self.declare();
                }
            }
            FromSwarm::ExpiredListenAddr(old) => {
                self.nat.listening.retain(|addr| addr != old.addr);
                self.declare();
            }
            FromSwarm::ListenerError(failed) => self.reservation_ended(failed.listener_id),
            FromSwarm::ListenerClosed(closed) => self.reservation_ended(closed.listener_id),
            FromSwarm::ExternalAddrConfirmed(new) if !self.nat.external.contains(new.addr) => {
                self.nat.external.push(new.addr.clone());
            }
            FromSwarm::ExternalAddrExpired(old) => {
                self.nat.external.retain(|addr| addr != old.addr);
            }
            _ => {}
        }
    }

    fn reservation(&self, listener: ListenerId) -> Option<PeerId> {
        let mut reservations = self.nat.reservations.iter();
        reservations
            .find(|(id, _)| *id == listener)
            .map(|(_, relay)| *relay)
    }

    fn reservation_ended(&mut self, listener: ListenerId) {
        let Some(relay) = self.reservation(listener) else {
            return;
        };
        self.nat.reservations.retain(|(id, _)| *id != listener);
        match self.nat.reachability == Reachability::Public {
            true => self.nat.relays.released(&relay),
            false => {
                tracing::debug!(%relay, "no reservation, or no longer one");
                self.nat.relays.failed(&relay, Instant::now());
            }
        }
        self.place_changed();
    }

    /// A relay, and a node with configured public addresses, says where it is: nobody else may be
    /// there to find out.
    fn declare(&mut self) {
        let wanted = match (&self.nat.announce[..], &self.nat.reach.relay_server) {
            ([], None) => return,
            ([], Some(_)) => farthest(&self.nat.listening),
            (announce, _) => announce.to_vec(),
        };
        for addr in &wanted {
            if !self.nat.declared.contains(addr) {
                self.actions.push_back(Action::Confirm(addr.clone()));
            }
        }
        for addr in std::mem::replace(&mut self.nat.declared, wanted) {
            if !self.nat.declared.contains(&addr) {
                self.actions.push_back(Action::Expire(addr));
            }
        }
    }

    pub(crate) fn on_autonat(&mut self, event: autonat::Event) {
        let autonat::Event::StatusChanged { new, .. } = event else {
            return;
        };
        let reachability = match &new {
            autonat::NatStatus::Public(_) => Reachability::Public,
            autonat::NatStatus::Private => Reachability::Private,
            autonat::NatStatus::Unknown => Reachability::Unknown,
        };
        tracing::info!(?reachability, "whether others can dial this node");
        self.nat.reachability = reachability;
        if reachability == Reachability::Public {
            // What relays were needed for is no longer needed.
            for (listener, _) in &self.nat.reservations {
                self.actions.push_back(Action::StopListening(*listener));
            }
        }
        self.place_changed();
    }

    /// Serves the DHT unless nobody could ask.
    fn place_changed(&mut self) {
        let server =
            self.nat.reachability != Reachability::Private || !self.nat.relays.held().is_empty();
        if server != self.nat.dht_server {
            self.nat.dht_server = server;
            self.net.kad.set_mode(Some(match server {
                true => kad::Mode::Server,
                false => kad::Mode::Client,
            }));
        }
    }

    pub(crate) fn on_relay(&mut self, event: relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { renewed: false, .. } => {
                self.counters.reservations.add(1);
            }
            relay::Event::CircuitReqAccepted { .. } => self.counters.circuits.add(1),
            relay::Event::ReservationReqDenied { src_peer_id, .. }
            | relay::Event::CircuitReqDenied { src_peer_id, .. } => {
                tracing::info!(peer = %src_peer_id, "relaying refused: a limit is reached");
                self.counters.relay_refused.add(1);
            }
            _ => {}
        }
    }

    pub(crate) fn on_dcutr(&mut self, event: dcutr::Event) {
        let peer = event.remote_peer_id;
        match event.result {
            Ok(_) => {
                tracing::info!(%peer, "connected directly, through both routers");
                self.counters.holes_punched.add(1);
            }
            Err(error) => {
                tracing::info!(%peer, %error, "no direct connection: the relay stays in between");
                self.counters.holes_failed.add(1);
            }
        }
    }

    pub(crate) fn on_upnp(&mut self, event: upnp::Event) {
        self.nat.port_mapping = match event {
            upnp::Event::NewExternalAddr(addr) => {
                tracing::info!(%addr, "the router forwards a port");
                None
            }
            upnp::Event::ExpiredExternalAddr(addr) => Some(format!("{addr} could not be renewed")),
            upnp::Event::GatewayNotFound => Some("no router that forwards ports".into()),
            upnp::Event::NonRoutableGateway => Some("the router has no public address".into()),
        };
    }

    /// How this node can be reached.
    pub(crate) fn reach_info(&mut self) -> ReachInfo {
        let mut external_addrs: Vec<String> = self
            .nat
            .external
            .iter()
            .filter_map(|addr| addr.clone().with_p2p(self.local).ok())
            .map(|addr| addr.to_string())
            .collect();
        let public_dht_peers = self.public_peers();
        external_addrs.sort();
        external_addrs.dedup();
        ReachInfo {
            reachability: self.nat.reachability,
            external_addrs,
            relays: self
                .nat
                .relays
                .held()
                .iter()
                .map(ToString::to_string)
                .collect(),
            dht_server: self.nat.dht_server,
            public_dht_peers,
            port_mapping: self.nat.port_mapping.clone(),
        }
    }
}
