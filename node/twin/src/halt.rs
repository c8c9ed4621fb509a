//! The kill switch as a mind obeys it: while a stop is in force, its twins take no goal, call no tool
//! and do not act.

use std::sync::PoisonError;

use pagi_messages::{Did, Order, Orders, Rank, Verified};
use pagi_store::{AuditRecord, Batch, TwinRecord};
use serde_json::json;

use crate::{
    error::TwinError,
    mind::{Mind, now_ms, now_text},
};

/// Where the orders are kept.
const DOCUMENT: &str = "orders";

impl Mind {
    /// The orders that were kept.
    pub(crate) fn stored_orders(store: &pagi_store::Store) -> Result<Orders, TwinError> {
        Ok(match store.document(DOCUMENT)? {
            Some(value) => serde_json::from_value(value)
                .map_err(|error| TwinError::Invalid(format!("the kept orders: {error}")))?,
            None => Orders::default(),
        })
    }

    /// The orders in force.
    #[must_use]
    pub fn orders(&self) -> Orders {
        self.inner
            .orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Obeys an order: it is in store, and in force, when this returns.
    ///
    /// # Errors
    /// [`TwinError::Order`] where it is not to be obeyed.
    pub async fn obey(
        &self,
        order: Verified<Order>,
        swarm: &str,
        rank: Option<Rank>,
    ) -> Result<(), TwinError> {
        let _changing = self.inner.patching.lock().await;
        let mut orders = self.orders();
        let (author, body) = (order.author().clone(), order.body().clone());
        orders.take(order, swarm, rank, now_ms())?;
        let action = match body.action {
            pagi_messages::Action::Stop => "stopped",
            pagi_messages::Action::Resume => "resumed",
        };
        let target = body.twin.as_ref().map_or("swarm", Did::as_str);
        let audit = AuditRecord::new(now_text(), author.as_str(), action, "allowed")
            .about(target)
            .with_detail(json!({"reason": body.reason, "rank": rank}));
        self.keep(orders, audit).await
    }

    /// Goes on in spite of every stop in force, by the word of the node's own user; gives how many
    /// there were.
    ///
    /// # Errors
    /// [`TwinError::Store`].
    pub async fn override_stops(&self) -> Result<usize, TwinError> {
        let _changing = self.inner.patching.lock().await;
        let mut orders = self.orders();
        let count = orders.override_stops();
        if count > 0 {
            let audit = AuditRecord::new(now_text(), "user", "stop_overridden", "allowed")
                .with_detail(json!({"orders": count}));
            self.keep(orders, audit).await?;
        }
        Ok(count)
    }

    async fn keep(&self, orders: Orders, audit: AuditRecord) -> Result<(), TwinError> {
        let value =
            serde_json::to_value(&orders).map_err(|error| TwinError::Invalid(error.to_string()))?;
        let batch = Batch::new().document(DOCUMENT, value).audit(audit);
        self.store().write(batch).await?;
        *self
            .inner
            .orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = orders;
        Ok(())
    }

    /// Why the twin may do nothing now, if a stop is in force for it, or for the node without one.
    #[must_use]
    pub fn stopped(&self, did: Option<&str>) -> Option<String> {
        let did = did.and_then(|did| did.parse::<Did>().ok());
        let orders = self
            .inner
            .orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let order = &orders.stopped(did.as_ref())?.signed;
        let what = match &order.body.twin {
            None => "the swarm is stopped".to_owned(),
            Some(twin) => format!("the twin {twin} is stopped"),
        };
        let why = if order.body.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", order.body.reason)
        };
        Some(format!("{what} by {}{why}", order.author))
    }

    /// Fails where the twin is stopped.
    pub(crate) fn going(&self, twin: &TwinRecord) -> Result<(), TwinError> {
        self.stopped(Some(&twin.did))
            .map_or(Ok(()), |why| Err(TwinError::Stopped(why)))
    }
}
