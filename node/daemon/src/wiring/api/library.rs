//! The playbook's history, the office of the MO, and documents.

use pagi_api::{
    ApiError, Node,
    swarm::{MoView, PlaybookCheck, PlaybookDiff, RevisionView},
};
use pagi_hive::HiveError;
use pagi_messages::{
    content::{DAG_CBOR, from_dag_cbor, to_dag_cbor},
    event::{from_unix_ms, rfc3339},
};
use pagi_store::AuditRecord;
use pagi_swarm::SwarmError;
use pagi_twin::now_text;
use serde_json::{Value, json};

use super::PagiNode;
use crate::wiring::{
    blocks,
    changes::compare,
    views::{Ipld, hive_error, internal, ipld_json, parse_cid, store_error, summary, swarm_error},
};

/// Time to fetch a document for a user.
const FETCH_TIME: std::time::Duration = std::time::Duration::from_secs(30);

impl PagiNode {
    pub(super) async fn revisions(&self, limit: usize) -> Result<Vec<RevisionView>, ApiError> {
        let log = self.hive.log(limit).await.map_err(hive_error)?;
        Ok(log
            .into_iter()
            .map(|(cid, revision)| {
                let body = revision.body();
                RevisionView {
                    cid: cid.to_string(),
                    parents: body.parents.iter().map(ToString::to_string).collect(),
                    author: revision.author().to_string(),
                    term: body.term,
                    lamport: body.lamport,
                    merged: body
                        .merged
                        .iter()
                        .map(|merged| merged.artifact.to_string())
                        .collect(),
                    summary: summary(body),
                    ts: rfc3339(from_unix_ms(body.timestamp)),
                }
            })
            .collect())
    }

    pub(super) async fn replayed(&self) -> Result<PlaybookCheck, ApiError> {
        match self.hive.verify().await {
            Ok(checked) => Ok(PlaybookCheck {
                valid: true,
                revisions: checked.revisions,
                head: self.hive.playbook().head.to_string(),
                problem: None,
            }),
            Err(HiveError::History(bad)) => Ok(PlaybookCheck {
                valid: false,
                revisions: self.hive.playbook().revisions,
                head: self.hive.playbook().head.to_string(),
                problem: Some(bad.to_string()),
            }),
            Err(error) => Err(hive_error(error)),
        }
    }

    pub(super) async fn compared(
        &self,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<PlaybookDiff, ApiError> {
        let from = from.map(parse_cid).transpose()?;
        let to = match to {
            Some(to) => parse_cid(to)?,
            None => self.hive.playbook().head,
        };
        let (genesis, blocks) = (
            self.genesis.clone(),
            self.store.revisions().map_err(store_error)?,
        );
        let compared = tokio::task::spawn_blocking(move || compare(genesis, blocks, from, to));
        compared.await.map_err(internal)?
    }

    pub(super) async fn give_up_office(&self) -> Result<MoView, ApiError> {
        if self
            .hive
            .office()
            .is_none_or(|office| office.mo != *self.identity.did())
        {
            return Err(ApiError::Conflict("this node is not the MO".to_owned()));
        }
        self.hive.step_down().await.map_err(hive_error)?;
        let mut office = self.hive.watch_office();
        let me = self.identity.did().clone();
        let gone = office.wait_for(|office| office.as_ref().is_none_or(|office| office.mo != me));
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), gone).await;
        self.log_audit(
            "user",
            "stepped_down",
            "done",
            json!({"node": self.identity.did()}),
        )
        .await;
        self.mo().await
    }

    pub(super) async fn keep_document(&self, document: Value) -> Result<String, ApiError> {
        let bytes = to_dag_cbor(&document).map_err(|error| ApiError::invalid(error.to_string()))?;
        let cid = self
            .swarm
            .put_block(bytes, true)
            .await
            .map_err(swarm_error)?;
        if let Err(error) = self.swarm.provide(&cid).await {
            tracing::debug!(%cid, %error, "the document was not announced in the DHT");
        }
        Ok(cid.to_string())
    }

    pub(super) async fn fetch_document(&self, cid: &str) -> Result<Value, ApiError> {
        let cid = parse_cid(cid)?;
        if cid.codec() != DAG_CBOR {
            return Err(ApiError::invalid(
                "only DAG-CBOR documents can be shown (bafyrei…)",
            ));
        }
        let bytes = blocks::fetch(&self.swarm, &cid, &[], FETCH_TIME)
            .await
            .map_err(|error| match error {
                SwarmError::Timeout => ApiError::Timeout(error.to_string()),
                other => swarm_error(other),
            })?;
        let document: Ipld =
            from_dag_cbor(&bytes).map_err(|error| ApiError::invalid(error.to_string()))?;
        Ok(ipld_json(document))
    }

    pub(super) async fn log_audit(&self, actor: &str, action: &str, verdict: &str, detail: Value) {
        let audit = AuditRecord::new(now_text(), actor, action, verdict).with_detail(detail);
        if let Err(error) = self.store.append_audit(audit).await {
            tracing::error!(%error, action, "an act could not be audited");
        }
    }
}
