//! Messages of the swarm's coordination topic.
//!
//! Their bodies are JSON-compatible: `{"type":"twin_online","twin_id":…,…}`. They travel as
//! DAG-CBOR of [`Signed<Coordination>`](crate::Signed), signed by the sending node's DID.

use cid::Cid;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{did::Did, signed::Domain};

/// What a twin can do, and what it says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Names of the tools it may call.
    #[serde(default)]
    pub tools: Vec<String>,
    /// The inference it runs on: `planner`, or the name of a model.
    #[serde(default)]
    pub inference: String,
    /// What its user calls it; absent where it has no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for, in its user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// A twin on the air.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwinPresence {
    /// The twin's id.
    pub twin_id: String,
    /// The twin's DID.
    pub did: Did,
    /// Milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// Longest id of a twin in presence, bytes.
pub const MAX_TWIN_ID_BYTES: usize = 64;
/// Most tools a presence names, and the most bytes that their names and the inference may take.
pub const MAX_PRESENCE_TOOLS: usize = 256;
/// See [`MAX_PRESENCE_TOOLS`].
pub const MAX_PRESENCE_BYTES: usize = 4096;
/// Longest name of a twin in presence, bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Longest role of a twin in presence, bytes.
pub const MAX_ROLE_BYTES: usize = 256;

impl TwinPresence {
    /// Whether everybody can afford to keep it.
    #[must_use]
    pub fn is_modest(&self) -> bool {
        let Capabilities {
            tools,
            inference,
            name,
            role,
        } = &self.capabilities;
        let bytes: usize = tools.iter().map(String::len).sum();
        let within =
            |text: &Option<String>, most| text.as_ref().is_none_or(|one| one.len() <= most);
        self.twin_id.len() <= MAX_TWIN_ID_BYTES
            && tools.len() <= MAX_PRESENCE_TOOLS
            && bytes + inference.len() <= MAX_PRESENCE_BYTES
            && within(name, MAX_NAME_BYTES)
            && within(role, MAX_ROLE_BYTES)
    }

    /// Leaves out what would make it too large: the tools named last, the end of a long text.
    #[must_use]
    pub fn modest(mut self) -> Self {
        let Capabilities {
            tools,
            inference,
            name,
            role,
        } = &mut self.capabilities;
        cut(inference, 256);
        for (text, most) in [(name, MAX_NAME_BYTES), (role, MAX_ROLE_BYTES)] {
            if let Some(text) = text {
                cut(text, most);
            }
        }
        let mut left = MAX_PRESENCE_BYTES - inference.len();
        tools.truncate(MAX_PRESENCE_TOOLS);
        tools.retain(|tool| {
            let fits = tool.len() <= left;
            left -= if fits { tool.len() } else { 0 };
            fits
        });
        self
    }
}

/// Cuts `text` to at most `most` bytes, between two characters.
fn cut(text: &mut String, most: usize) {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// A message of the coordination topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Coordination {
    /// A twin is up.
    TwinOnline(TwinPresence),
    /// A node is up, with or without twins, and its playbook head.
    NodeOnline {
        /// Milliseconds since the Unix epoch.
        timestamp: u64,
        /// The sender's playbook heads.
        #[serde(with = "crate::content::cid_text::list")]
        heads: Vec<Cid>,
    },
    /// Work offered to the swarm.
    TaskBroadcast {
        /// The task, by the sender's own shape: at least `id` and `goal`.
        task: Value,
        /// Milliseconds since the Unix epoch.
        timestamp: u64,
    },
    /// A new playbook revision can be fetched.
    PlaybookUpdate {
        /// The revision.
        #[serde(with = "crate::content::cid_text")]
        cid: Cid,
        /// Milliseconds since the Unix epoch.
        timestamp: u64,
    },
    /// A refinement artifact can be fetched by the MO.
    ArtifactPublished {
        /// The signed artifact.
        #[serde(with = "crate::content::cid_text")]
        cid: Cid,
        /// Milliseconds since the Unix epoch.
        timestamp: u64,
    },
    /// The MO will not merge an artifact.
    ArtifactRefused {
        /// The artifact.
        #[serde(with = "crate::content::cid_text")]
        cid: Cid,
        /// Which gate refused it, and why.
        reason: String,
        /// Milliseconds since the Unix epoch.
        timestamp: u64,
    },
    /// The MO tries artifacts on a part of the swarm before it merges them.
    CanaryOpened {
        /// The trial.
        #[serde(with = "crate::content::cid_text")]
        trial: Cid,
        /// What is tried.
        #[serde(with = "crate::content::cid_text::list")]
        artifacts: Vec<Cid>,
        /// Nodes whose lot for the trial is not above this try it.
        bar: u32,
        /// When it ends at the latest, in milliseconds since the Unix epoch.
        until: u64,
        /// Milliseconds since the Unix epoch.
        timestamp: u64,
    },
    /// How the goals of the sender ended before and since a trial began, as (reached, failed).
    CanaryOutcomes {
        /// The trial.
        #[serde(with = "crate::content::cid_text")]
        trial: Cid,
        /// Before.
        before: (u32, u32),
        /// Since.
        since: (u32, u32),
        /// Milliseconds since the Unix epoch.
        timestamp: u64,
    },
}

impl Coordination {
    /// When the sender says it was sent, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        match self {
            Self::TwinOnline(presence) => presence.timestamp,
            Self::NodeOnline { timestamp, .. }
            | Self::TaskBroadcast { timestamp, .. }
            | Self::PlaybookUpdate { timestamp, .. }
            | Self::ArtifactPublished { timestamp, .. }
            | Self::ArtifactRefused { timestamp, .. }
            | Self::CanaryOpened { timestamp, .. }
            | Self::CanaryOutcomes { timestamp, .. } => *timestamp,
        }
    }
}

impl Domain for Coordination {
    const DOMAIN: &'static str = "coordination/1";
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Signed, SigningIdentity, Verified, content::*};

    #[test]
    fn presence_is_cut_to_what_everybody_can_keep() {
        let did = SigningIdentity::from_seed(&[3; 32]).did().clone();
        let presence = |tools: Vec<String>, inference: &str| TwinPresence {
            twin_id: "t1".into(),
            did: did.clone(),
            timestamp: 5,
            capabilities: Capabilities {
                tools,
                inference: inference.into(),
                ..Capabilities::default()
            },
        };
        let usual = presence(vec!["recall".into(); 40], "planner");
        assert!(usual.is_modest());
        assert_eq!(usual.clone().modest(), usual);
        for large in [
            presence(vec![String::new(); 257], ""),
            presence(vec!["x".repeat(100); 41], ""),
            presence(Vec::new(), &"\u{e4}".repeat(3000)),
        ] {
            assert!(!large.is_modest());
            assert!(large.modest().is_modest());
        }
        let mut long = presence(Vec::new(), "");
        long.twin_id = "x".repeat(65);
        assert!(!long.is_modest());
        for (name, role) in [(65, 0), (0, 257)] {
            let mut long = presence(Vec::new(), "");
            long.capabilities.name = Some("\u{e4}".repeat(name));
            long.capabilities.role = Some("\u{e4}".repeat(role));
            assert!(!long.is_modest());
            let modest = long.modest();
            assert!(modest.is_modest());
            assert_ne!(modest.capabilities.name, modest.capabilities.role);
        }
    }

    #[test]
    fn bodies_are_json_compatible_and_survive_the_wire() {
        let identity = SigningIdentity::from_seed(&[3; 32]);
        let body = Coordination::TwinOnline(TwinPresence {
            twin_id: "t1".into(),
            did: identity.did().clone(),
            timestamp: 5,
            capabilities: Capabilities {
                tools: vec!["recall".into()],
                inference: "planner".into(),
                ..Capabilities::default()
            },
        });
        assert_eq!(
            serde_json::to_value(&body).unwrap(),
            json!({"type": "twin_online", "twin_id": "t1", "did": identity.did(), "timestamp": 5,
                   "capabilities": {"tools": ["recall"], "inference": "planner"}})
        );
        for body in [
            body,
            Coordination::PlaybookUpdate {
                cid: cid_of(b"x"),
                timestamp: 1,
            },
            Coordination::NodeOnline {
                timestamp: 9,
                heads: vec![cid_of(b"y")],
            },
            Coordination::TaskBroadcast {
                task: json!({"id": "1", "n": 1.5}),
                timestamp: 1,
            },
            Coordination::CanaryOpened {
                trial: cid_of(b"t"),
                artifacts: vec![cid_of(b"a")],
                bar: u32::MAX,
                until: 9,
                timestamp: 1,
            },
            Coordination::CanaryOutcomes {
                trial: cid_of(b"t"),
                before: (3, 4),
                since: (5, 0),
                timestamp: 1,
            },
        ] {
            let bytes =
                to_dag_cbor(Verified::sign(&identity, body.clone()).unwrap().as_signed()).unwrap();
            let back: Signed<Coordination> = from_dag_cbor(&bytes).unwrap();
            assert_eq!(back.verify().unwrap().body(), &body);
        }
    }
}
