//! The node, its swarm and its counters at a glance.

use std::collections::BTreeSet;

use pagi_api::{
    ApiError,
    swarm::{KnownTwin, NodeInfo, Peer, SwarmView},
    twins::Twin,
};
use pagi_messages::{
    Capabilities, Did, TwinPresence,
    event::{from_unix_ms, rfc3339},
};
use pagi_twin::{inference::Engine, now_text, ports::Tools};

use super::PagiNode;
use crate::wiring::{
    reach,
    views::{store_error, swarm_error, twin_error},
};

impl PagiNode {
    pub(super) async fn glance(&self) -> Result<NodeInfo, ApiError> {
        Ok(NodeInfo {
            peer_id: self.swarm.peer_id().to_owned(),
            did: self.identity.did().to_string(),
            swarm: self.swarm_name.clone(),
            listen: self.swarm.listen_addrs().await.map_err(swarm_error)?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            twins: self.store.list_twins().map_err(store_error)?.len(),
            tools: self.gateway.host().list().len(),
            peers: self
                .swarm
                .peers()
                .await
                .map_err(swarm_error)?
                .iter()
                .filter(|peer| peer.admitted)
                .count(),
            bootstrap: self.bootstrap.clone(),
            inference: self.engine_text(),
            keys: if self.mind.keys().is_encrypted() {
                "encrypted"
            } else {
                "plain files"
            }
            .to_owned(),
            stopped: self.mind.stopped(None),
        })
    }

    fn engine_text(&self) -> String {
        match self.mind.engine() {
            Engine::Planner => "planner".to_owned(),
            Engine::Model(model) => format!("{} at {}", model.name(), model.base()),
        }
    }

    pub(super) async fn counters(&self) -> Result<String, ApiError> {
        let snapshot = self.hive.playbook();
        let mut text = String::new();
        let mut put = |name: &str, kind: &str, help: &str, value: f64| {
            text.push_str(&format!(
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
            ));
        };
        put(
            "pagi_uptime_seconds",
            "gauge",
            "Time since start.",
            self.started.elapsed().as_secs_f64(),
        );
        put(
            "pagi_twins",
            "gauge",
            "Twins on this node.",
            self.store.list_twins().map_err(store_error)?.len() as f64,
        );
        put(
            "pagi_tools",
            "gauge",
            "Tools registered.",
            self.gateway.host().list().len() as f64,
        );
        put(
            "pagi_nodes_known",
            "gauge",
            "Other nodes heard lately.",
            self.hive.nodes().len() as f64,
        );
        put(
            "pagi_twins_known",
            "gauge",
            "Twins of other nodes heard lately.",
            self.hive.known_twins().len() as f64,
        );
        put(
            "pagi_event_log_last_seq",
            "counter",
            "Sequence number of the newest event.",
            self.store.last_event_seq().map_err(store_error)? as f64,
        );
        put(
            "pagi_playbook_revisions",
            "gauge",
            "Playbook revisions held.",
            snapshot.revisions as f64,
        );
        put(
            "pagi_playbook_heads",
            "gauge",
            "Playbook heads; more than 1 is a fork to be joined.",
            snapshot.heads.len() as f64,
        );
        let (boxes, letters, bytes) = self.keeper.held().await;
        put(
            "pagi_mail_boxes",
            "gauge",
            "Boxes leased to twins of others.",
            boxes as f64,
        );
        put(
            "pagi_mail_letters",
            "gauge",
            "Letters kept in them.",
            letters as f64,
        );
        put("pagi_mail_bytes", "gauge", "Their bytes.", bytes as f64);
        let term = self.hive.office().map_or(0, |office| office.term);
        put(
            "pagi_mo_term",
            "gauge",
            "Term of the MO in office; 0 without one.",
            term as f64,
        );
        let members = self.gate.membership().await?.members.len();
        text.push_str(&reach::metrics(&self.swarm, &self.catchup, members).await?);
        Ok(text)
    }

    pub(super) async fn surroundings(&self) -> Result<SwarmView, ApiError> {
        let mut nodes: Vec<String> = self
            .hive
            .nodes()
            .into_iter()
            .map(|did| did.to_string())
            .collect();
        nodes.push(self.identity.did().to_string());
        nodes.sort();
        let twins = self.present().await?;
        Ok(SwarmView {
            name: self.swarm_name.clone(),
            node: self.glance().await?,
            nodes,
            twins,
            mo: self.hive.office().map(|office| office.mo.to_string()),
            playbook: self.hive.playbook().head.to_string(),
            stats: reach::statistics(&self.swarm, &self.catchup)?,
        })
    }

    /// The twins here and those heard lately.
    async fn present(&self) -> Result<Vec<KnownTwin>, ApiError> {
        let peers = self.swarm.peers().await.map_err(swarm_error)?;
        let connected: BTreeSet<Did> = peers
            .into_iter()
            .filter(|peer| peer.admitted)
            .filter_map(|peer| Did::from_peer_id(&peer.peer_id).ok())
            .collect();
        let mut twins = Vec::new();
        for twin in self.mind.twins().map_err(twin_error)? {
            let tools = self.gateway.catalog(&twin.twin_id).await;
            twins.push(KnownTwin {
                node: self.identity.did().to_string(),
                last_seen: now_text(),
                tools: tools.into_iter().map(|tool| tool.name).collect(),
                inference: self.mind.engine().name().to_owned(),
                local: true,
                name: said(&twin, "name"),
                role: said(&twin, "role"),
                reach: "here".to_owned(),
                reachable: true,
                stopped: twin.stopped,
                twin_id: twin.twin_id,
                did: twin.did,
            });
        }
        twins.extend(self.hive.known_twins().into_iter().map(|seen| {
            let reach = if connected.contains(&seen.node) {
                "connected"
            } else {
                "heard"
            };
            self.seen(seen.presence, &seen.node, seen.heard_ms, reach)
        }));
        Ok(twins)
    }

    /// Every twin that was heard and is not put out of the swarm, those that are away last.
    pub(super) async fn everybody(&self) -> Result<Vec<KnownTwin>, ApiError> {
        let mut twins = self.present().await?;
        let mut away: Vec<KnownTwin> = self
            .heard
            .list()
            .into_iter()
            .filter(|one| self.gate.has(&one.node))
            .map(|one| self.seen(one.presence, &one.node, one.seen_ms, "away"))
            // One that changed its node, or its key, is where it was heard last.
            .filter(|one| {
                let same = |other: &KnownTwin| {
                    other.did == one.did || (other.twin_id == one.twin_id && other.node == one.node)
                };
                !twins.iter().any(same)
            })
            .collect();
        away.sort_by(|one, other| other.last_seen.cmp(&one.last_seen));
        twins.extend(away);
        Ok(twins)
    }

    /// A twin of another node, by what it said.
    fn seen(&self, presence: TwinPresence, node: &Did, seen_ms: u64, reach: &str) -> KnownTwin {
        let did = presence.did.to_string();
        let Capabilities {
            tools,
            inference,
            name,
            role,
        } = presence.capabilities;
        KnownTwin {
            twin_id: presence.twin_id,
            stopped: self.mind.stopped(Some(&did)),
            did,
            node: node.to_string(),
            last_seen: rfc3339(from_unix_ms(seen_ms)),
            tools,
            inference,
            local: false,
            name,
            role,
            reach: reach.to_owned(),
            reachable: reach != "away",
        }
    }

    pub(super) async fn connected(&self) -> Result<Vec<Peer>, ApiError> {
        let peers = self.swarm.peers().await.map_err(swarm_error)?;
        Ok(peers
            .into_iter()
            .map(|peer| Peer {
                did: Did::from_peer_id(&peer.peer_id)
                    .ok()
                    .map(|did| did.to_string()),
                peer_id: peer.peer_id,
                addrs: peer.addrs,
                agent: peer.agent,
                admitted: peer.admitted,
                relayed: peer.relayed,
                in_mesh: peer.in_mesh,
                score: peer.score,
                connections: peer.connections,
                limited: peer.limited,
            })
            .collect())
    }
}

/// What a twin's state says of it under `key`, where that is a text.
pub(super) fn said(twin: &Twin, key: &str) -> Option<String> {
    let text = twin.state.get(key)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
