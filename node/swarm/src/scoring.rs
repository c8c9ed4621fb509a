//! How gossipsub judges its neighbours.
//!
//! A peer loses for what it alone can help: invalid messages, and what `limiter.rs` holds against it. It
//! never loses for being quiet, slow, or on the receiving end of a burst of ours.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use libp2p::gossipsub::{
    PeerScoreParams, PeerScoreThresholds, TopicScoreParams, score_parameter_decay,
};

/// Weights that hold for a peer whatever the topic. `spare_loopback`: nodes of this machine are not
/// counted as one address.
pub(crate) fn params(spare_loopback: bool) -> PeerScoreParams {
    let loopback = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    PeerScoreParams {
        // Topics get their parameters when they are subscribed to.
        topics: HashMap::new(),
        // Good conduct earns at most this much, so that no peer can save up for a spree of abuse.
        topic_score_cap: 40.0,
        // What `limiter.rs` holds against a peer counts as it is.
        app_specific_weight: 1.0,
        // Beyond the threshold, peers behind one address lose by the square of the excess: many cheap
        // identities on one host gain nothing. As many as may connect do not fall below the graylist
        // threshold by this alone, for that gets a peer banned.
        ip_colocation_factor_weight: -0.4,
        // A household, a lab or a mobile carrier may well share one address.
        ip_colocation_factor_threshold: 16.0,
        // Nodes of one machine are nobody's sybils.
        ip_colocation_factor_whitelist: loopback.into_iter().filter(|_| spare_loopback).collect(),
        // Messages announced and not delivered are no offence: a send queue that a flood filled breaks
        // hundreds of such promises at once, and the count costs its square. gossipsub bounds what it
        // asks one peer for; packets in excess, grafting too, are counted by `watched.rs`.
        behaviour_penalty_weight: 0.0,
        // Without weight the threshold never matters.
        behaviour_penalty_threshold: 6.0,
        // Unused while the weight is zero, but the counter must decay.
        behaviour_penalty_decay: decay(600),
        // Counters shrink once a second.
        decay_interval: Duration::from_secs(1),
        // Below this a counter is zero.
        decay_to_zero: 0.01,
        // Reconnecting does not wash a peer clean for an hour.
        retain_score: Duration::from_secs(3600),
        // A full send queue is our burst, not the peer's fault: no weight at all. Scoring it would
        // make a busy publisher cut its own links one by one.
        slow_peer_weight: 0.0,
        // Without weight the threshold never matters.
        slow_peer_threshold: 0.0,
        // Kept small so that the unused counter stays near zero.
        slow_peer_decay: 0.2,
    }
}

/// At which scores a peer is treated worse or better.
pub(crate) fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        // Below, no gossip about message ids is exchanged with the peer.
        gossip_threshold: -20.0,
        // Below, our own messages are not sent to it.
        publish_threshold: -60.0,
        // Below, everything it sends is ignored, and the node parts with it.
        graylist_threshold: -120.0,
        // Peer exchange at pruning is off, so this is out of reach.
        accept_px_threshold: 100.0,
        // When the median mesh peer is worth less than this, better ones are sought.
        opportunistic_graft_threshold: 2.0,
    }
}

/// Weights for one subscribed topic.
pub(crate) fn topic() -> TopicScoreParams {
    TopicScoreParams {
        // All topics count alike.
        topic_weight: 1.0,
        // Time spent in the mesh earns a little...
        time_in_mesh_weight: 0.02,
        // ...for each second...
        time_in_mesh_quantum: Duration::from_secs(1),
        // ...up to five minutes' worth.
        time_in_mesh_cap: 300.0,
        // Being the first to bring a valid message earns more.
        first_message_deliveries_weight: 0.5,
        // That merit halves in about a minute and a half.
        first_message_deliveries_decay: decay(600),
        // It is worth at most ten points.
        first_message_deliveries_cap: 20.0,
        // No penalty for delivering little: swarm topics are quiet most of the time.
        mesh_message_deliveries_weight: 0.0,
        // Unused while the weight is zero, but the counter must decay.
        mesh_message_deliveries_decay: 0.5,
        // Unused while the weight is zero.
        mesh_message_deliveries_cap: 10.0,
        // Unused while the weight is zero.
        mesh_message_deliveries_threshold: 1.0,
        // Unused while the weight is zero.
        mesh_message_deliveries_window: Duration::from_millis(100),
        // Unused while the weight is zero.
        mesh_message_deliveries_activation: Duration::from_secs(60),
        // Without a delivery quota there is no failure to remember.
        mesh_failure_penalty_weight: 0.0,
        // Unused while the weight is zero.
        mesh_failure_penalty_decay: 0.5,
        // Invalid messages cost the square of their count: one is a bad moment (out of the mesh
        // for a while), four end the acquaintance.
        invalid_message_deliveries_weight: -10.0,
        // They are forgotten within about half an hour.
        invalid_message_deliveries_decay: decay(1800),
    }
}

/// The per-second factor after which a counter is near zero in `seconds`.
fn decay(seconds: u64) -> f64 {
    score_parameter_decay(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_pass_gossipsubs_own_checks() {
        params(true).validate().unwrap();
        thresholds().validate().unwrap();
        topic().validate().unwrap();
    }

    #[test]
    fn a_burst_of_ours_costs_a_peer_nothing() {
        assert_eq!(params(true).slow_peer_weight, 0.0);
        assert_eq!(params(true).behaviour_penalty_weight, 0.0);
    }

    #[test]
    fn sharing_an_address_alone_gets_nobody_banned() {
        let most = f64::from(crate::SwarmLimits::default().max_connections_per_ip);
        let beyond = most - params(true).ip_colocation_factor_threshold;
        let loss = params(true).ip_colocation_factor_weight * beyond * beyond;
        assert!(loss > thresholds().graylist_threshold, "{loss}");
        assert!(loss < thresholds().publish_threshold, "{loss}");
    }

    #[test]
    fn four_invalid_messages_silence_even_the_best_peer() {
        let best = params(true).topic_score_cap;
        let four = 16.0 * topic().invalid_message_deliveries_weight;
        assert!(best + four <= thresholds().graylist_threshold);
        let one = topic().invalid_message_deliveries_weight;
        assert!(
            one > thresholds().gossip_threshold,
            "one mistake is forgiven"
        );
    }
}
