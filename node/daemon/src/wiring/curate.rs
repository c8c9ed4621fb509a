//! A person's hand on the playbook: reviews and reverts.

use std::{collections::BTreeSet, sync::Arc};

use cid::Cid;
use pagi_api::{
    ApiError,
    swarm::{ArtifactView, RevertPlaybook},
};
use pagi_hive::Hive;
use pagi_playbook::{Artifact, Merged, State, block};
use pagi_store::ArtifactRecord;

use super::{
    changes::changes,
    views::{artifact_view, hive_error, internal, parse_cid},
};

/// Longest reason, in characters.
const MAX_REASON: usize = 400;
/// Revisions searched for what is to be taken back.
const SEARCHED: usize = 100_000;

/// An artifact and, until it is merged, what it would change of the adopted playbook.
///
/// # Errors
/// [`ApiError::Internal`] where the stored artifact cannot be read.
pub fn with_changes(state: &Arc<State>, record: ArtifactRecord) -> Result<ArtifactView, ApiError> {
    let cid = parse_cid(&record.cid)?;
    let artifact = block::open::<Artifact>(&cid, &record.bytes).map_err(internal)?;
    let mut view = artifact_view(record)?;
    if !state.applied(&cid) {
        let merged = Merged {
            artifact: cid,
            author: artifact.author().clone(),
            delta: artifact.body().delta.clone(),
        };
        view.changes = changes(state, &state.preview(vec![merged]));
    }
    Ok(view)
}

/// Approves (`Ok`) or rejects an artifact.
///
/// # Errors
/// [`ApiError::NotFound`], [`ApiError::Conflict`] where it does not wait for a judgement, and
/// [`ApiError::Forbidden`] where a gate refuses it by now.
pub async fn review(hive: &Hive, cid: &str, verdict: Result<(), String>) -> Result<(), ApiError> {
    let cid = parse_cid(cid)?;
    let verdict = match verdict {
        Err(reason) => Err(one_line(&reason, "a person rejected it")?),
        Ok(()) => Ok(()),
    };
    hive.review(cid, verdict).await.map_err(hive_error)
}

/// Takes back artifacts, all artifacts of revisions, or all that came after a revision.
///
/// # Errors
/// [`ApiError::Conflict`] where this node is not the MO, [`ApiError::NotFound`] for a CID that is
/// neither a merged artifact nor a revision.
pub async fn revert(hive: &Hive, request: RevertPlaybook) -> Result<Cid, ApiError> {
    let reason = one_line(&request.reason.unwrap_or_default(), "reverted by a person")?;
    let log = hive.log(SEARCHED).await.map_err(hive_error)?;
    let state = hive.playbook().state;
    let merged_by = |cid: &Cid| {
        let found = log.iter().find(|(revision, _)| revision == cid);
        found.map(|(_, one)| one.body().merged.iter().map(|merged| merged.artifact))
    };
    let mut wanted = BTreeSet::new();
    for cid in &request.cids {
        let cid = parse_cid(cid)?;
        if let Some(artifacts) = merged_by(&cid) {
            wanted.extend(artifacts);
        } else if state.applied(&cid) {
            wanted.insert(cid);
        } else {
            return Err(ApiError::NotFound {
                what: "merged artifact or revision",
                id: cid.to_string(),
            });
        }
    }
    if let Some(to) = &request.to {
        let to = parse_cid(to)?;
        let then = hive.state_at(to).await.map_err(hive_error)?;
        let then = then.ok_or_else(|| ApiError::NotFound {
            what: "revision",
            id: to.to_string(),
        })?;
        let all = log.iter().flat_map(|(_, one)| &one.body().merged);
        wanted.extend(
            all.filter(|merged| merged.delta.revert.is_empty())
                .map(|merged| merged.artifact)
                .filter(|artifact| !then.applied(artifact)),
        );
    }
    wanted.retain(|artifact| !state.is_reverted(artifact));
    if wanted.is_empty() {
        return Err(ApiError::invalid("there is nothing to take back"));
    }
    hive.revert(wanted.into_iter().collect(), reason)
        .await
        .map_err(hive_error)
}

/// A reason as one line; `otherwise` where there is none.
fn one_line(reason: &str, otherwise: &str) -> Result<String, ApiError> {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > MAX_REASON {
        return Err(ApiError::invalid(format!(
            "a reason has {MAX_REASON} characters at the most"
        )));
    }
    Ok(if line.is_empty() {
        otherwise.to_owned()
    } else {
        line
    })
}
