//! The kill switch: signed orders to stop and to go on, for a swarm or for one twin, and what they
//! come to. Sans-IO.
//!
//! A founder's order stands above one of the Master Orchestrator: what a founder stopped, only a
//! founder lets go on, and what the orchestrator stopped, a founder's later word lets go on. Among
//! orders of one rank the newer wins, and of two made in the same millisecond the stop. So it cannot
//! matter in which order they arrive.

use serde::{Deserialize, Serialize};

use crate::{
    did::Did,
    signed::{Domain, Signed, Verified},
    wire::MAX_CLOCK_SKEW_MS,
};

/// Longest reason, characters.
pub const MAX_REASON: usize = 300;
/// Most twins that orders are remembered for; the order that is oldest goes first.
pub const MAX_TARGETS: usize = 4_096;

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Go on.
    Resume,
    /// Stop.
    Stop,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The swarm's name: an order of one swarm is none in another.
    pub swarm: String,
    /// The twin that is meant; the whole swarm without it.
    pub twin: Option<Did>,
    /// What is to be done.
    pub action: Action,
    /// Why, for people to read.
    pub reason: String,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl Domain for Order {
    const DOMAIN: &'static str = "halt-order/1";
}

/// On what ground an author may give orders, the weaker first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// The Master Orchestrator whose certificate this node has checked.
    Orchestrator,
    /// A founder of the swarm.
    Founder,
}

/// Why an order is not obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// It is for another swarm.
    #[error("it is for the swarm `{0}`")]
    OtherSwarm(String),
    /// Its author may give none.
    #[error("{0} is neither a founder nor the Master Orchestrator of this swarm")]
    NoAuthority(Did),
    /// Its time lies in the future.
    #[error("it is of a time to come")]
    FromTheFuture,
    /// Its reason is too long.
    #[error("its reason is longer than {MAX_REASON} characters")]
    TooLong,
    /// A newer or a higher one is in force.
    #[error("a newer order, or one of higher rank, is in force")]
    Outranked,
    /// It was known.
    #[error("it is known")]
    Known,
}

/// An order in force, and by which right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The order as it travels.
    pub signed: Signed<Order>,
    /// Its author's rank when it was taken.
    pub rank: Rank,
    /// The node's own user does not follow it.
    #[serde(default)]
    pub overridden: bool,
}

/// The newest order of each rank for each target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    standing: Vec<Standing>,
}

impl Standing {
    fn is_for(&self, twin: Option<&Did>, rank: Rank) -> bool {
        self.signed.body.twin.as_ref() == twin && self.rank == rank
    }
}

impl Orders {
    /// Takes an order in, at `now_ms`. `rank` says on what ground its author may give one, if any.
    ///
    /// # Errors
    /// [`OrderRefused`]; nothing has changed then.
    pub fn take(
        &mut self,
        order: Verified<Order>,
        swarm: &str,
        rank: Option<Rank>,
        now_ms: u64,
    ) -> Result<(), OrderRefused> {
        let body = order.body();
        if body.swarm != swarm {
            return Err(OrderRefused::OtherSwarm(
                body.swarm.chars().take(64).collect(),
            ));
        }
        if body.reason.chars().count() > MAX_REASON {
            return Err(OrderRefused::TooLong);
        }
        if self
            .standing
            .iter()
            .any(|known| known.signed == *order.as_signed())
        {
            return Err(OrderRefused::Known);
        }
        let rank = rank.ok_or_else(|| OrderRefused::NoAuthority(order.author().clone()))?;
        if body.at_ms > now_ms.saturating_add(MAX_CLOCK_SKEW_MS) {
            return Err(OrderRefused::FromTheFuture);
        }
        let newness = |order: &Order| (order.at_ms, order.action);
        let place = self
            .standing
            .iter()
            .position(|known| known.is_for(body.twin.as_ref(), rank));
        if let Some(place) = place
            && newness(&self.standing[place].signed.body) >= newness(body)
        {
            return Err(OrderRefused::Outranked);
        }
        if let Some(place) = place {
            self.standing.remove(place);
        } else if self.standing.len() >= MAX_TARGETS {
            let oldest = (0..self.standing.len())
                .filter(|at| self.standing[*at].signed.body.twin.is_some())
                .min_by_key(|at| self.standing[*at].signed.body.at_ms);
            if let Some(oldest) = oldest {
                self.standing.remove(oldest);
            }
        }
        self.standing.push(Standing {
            signed: order.into_signed(),
            rank,
            overridden: false,
        });
        Ok(())
    }

    /// The stop that holds for the twin `did` (for the node as a whole without one), if one does.
    #[must_use]
    pub fn stopped(&self, did: Option<&Did>) -> Option<&Standing> {
        self.stop_of(None)
            .or_else(|| did.and_then(|did| self.stop_of(Some(did))))
    }

    /// The stop of one target. A founder's stop binds; the orchestrator's does unless a founder let
    /// the target go on later.
    fn stop_of(&self, twin: Option<&Did>) -> Option<&Standing> {
        let of = |rank| self.standing.iter().find(|one| one.is_for(twin, rank));
        let stops = |one: &&Standing| one.signed.body.action == Action::Stop;
        let founder = of(Rank::Founder);
        let found = founder.filter(stops).or_else(|| {
            let freed_ms = founder.map(|one| one.signed.body.at_ms);
            of(Rank::Orchestrator)
                .filter(stops)
                .filter(|one| freed_ms.is_none_or(|freed_ms| one.signed.body.at_ms > freed_ms))
        });
        found.filter(|one| !one.overridden)
    }

    /// Lets the node's own user go on in spite of every stop so far; gives how many there were. An
    /// order that comes later counts again.
    pub fn override_stops(&mut self) -> usize {
        let mut count = 0;
        for one in &mut self.standing {
            if one.signed.body.action == Action::Stop && !one.overridden {
                one.overridden = true;
                count += 1;
            }
        }
        count
    }

    /// The orders, in the order they came.
    #[must_use]
    pub fn all(&self) -> &[Standing] {
        &self.standing
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::did::SigningIdentity;

    fn key(n: u8) -> SigningIdentity {
        SigningIdentity::from_seed(&[n; 32])
    }

    fn order(author: u8, action: Action, at_ms: u64) -> Verified<Order> {
        let order = Order {
            swarm: "s".into(),
            twin: None,
            action,
            reason: "a test".into(),
            at_ms,
        };
        Verified::sign(&key(author), order).unwrap()
    }

    #[test]
    fn a_stop_holds_until_a_newer_resume_and_strangers_are_not_heard() {
        let mut orders = Orders::default();
        let founder = Some(Rank::Founder);
        assert!(matches!(
            orders.take(order(9, Action::Stop, 5), "s", None, 10),
            Err(OrderRefused::NoAuthority(_))
        ));
        assert!(matches!(
            orders.take(order(1, Action::Stop, 5), "other", founder, 10),
            Err(OrderRefused::OtherSwarm(_))
        ));
        assert!(matches!(
            orders.take(order(1, Action::Stop, 900_000), "s", founder, 10),
            Err(OrderRefused::FromTheFuture)
        ));
        assert!(orders.stopped(None).is_none());
        let stop = order(1, Action::Stop, 5);
        orders.take(stop.clone(), "s", founder, 10).unwrap();
        assert_eq!(
            orders.take(stop, "s", founder, 10),
            Err(OrderRefused::Known)
        );
        assert!(orders.stopped(Some(key(7).did())).is_some());
        // An older resume, and one of the orchestrator, do not lift it.
        let resume = order(1, Action::Resume, 4);
        assert_eq!(
            orders.take(resume, "s", founder, 10),
            Err(OrderRefused::Outranked)
        );
        let resume = order(2, Action::Resume, 9);
        orders
            .take(resume, "s", Some(Rank::Orchestrator), 10)
            .unwrap();
        assert!(orders.stopped(None).is_some());
        orders
            .take(order(1, Action::Resume, 6), "s", founder, 10)
            .unwrap();
        assert!(orders.stopped(None).is_none());
        // After a founder let the swarm go on, the orchestrator may stop it anew.
        orders
            .take(
                order(2, Action::Stop, 10),
                "s",
                Some(Rank::Orchestrator),
                10,
            )
            .unwrap();
        assert!(orders.stopped(None).is_some());
    }

    #[test]
    fn a_twin_is_stopped_alone_and_the_user_overrides_what_came_so_far() {
        let mut orders = Orders::default();
        let twin = key(7).did().clone();
        let mut body = order(1, Action::Stop, 5).body().clone();
        body.twin = Some(twin.clone());
        let one = Verified::sign(&key(1), body).unwrap();
        orders.take(one, "s", Some(Rank::Founder), 10).unwrap();
        assert!(orders.stopped(Some(&twin)).is_some());
        assert!(orders.stopped(Some(key(8).did())).is_none() && orders.stopped(None).is_none());
        assert_eq!((orders.override_stops(), orders.override_stops()), (1, 0));
        assert!(orders.stopped(Some(&twin)).is_none());
        let newer = order(1, Action::Stop, 6);
        orders.take(newer, "s", Some(Rank::Founder), 10).unwrap();
        assert!(orders.stopped(Some(&twin)).is_some());
        let text = serde_json::to_string(&orders).unwrap();
        assert_eq!(serde_json::from_str::<Orders>(&text).unwrap(), orders);
    }

    proptest! {
        #[test]
        fn orders_come_to_the_same_in_whatever_order_they_arrive(
            given in proptest::collection::vec((any::<bool>(), any::<bool>(), 0u64..6), 1..8),
            turn in 0usize..8,
        ) {
            let orders: Vec<_> = given
                .iter()
                .map(|(founder, stop, at)| {
                    let action = if *stop { Action::Stop } else { Action::Resume };
                    let (author, rank) = if *founder {
                        (1, Rank::Founder)
                    } else {
                        (2, Rank::Orchestrator)
                    };
                    (order(author, action, *at), rank)
                })
                .collect();
            let fold = |list: &[(Verified<Order>, Rank)]| {
                let mut state = Orders::default();
                for (one, rank) in list {
                    let _ = state.take(one.clone(), "s", Some(*rank), 10);
                }
                state.stopped(None).is_some()
            };
            let mut turned = orders.clone();
            turned.rotate_left(turn % orders.len());
            prop_assert_eq!(fold(&orders), fold(&turned));
            turned.reverse();
            prop_assert_eq!(fold(&orders), fold(&turned));
        }
    }
}
