//! Discover Features 2.0: which protocols does the other side speak?

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{body_of, read_body, spoken};
use crate::{
    error::DidcommError,
    message::{Headers, Message},
};

/// The protocol without its version.
pub const PROTOCOL: &str = "https://didcomm.org/discover-features";
const QUERIES: &str = "https://didcomm.org/discover-features/2.0/queries";
const DISCLOSE: &str = "https://didcomm.org/discover-features/2.0/disclose";
/// Most queries answered of one message.
const MAX_QUERIES: usize = 64;

/// Queries, or the disclosures that answer them.
#[derive(Clone, Debug, PartialEq)]
pub enum DiscoverFeatures {
    /// Which of these do you support?
    Queries(Vec<Query>),
    /// These, as far as you may know. An empty list says nothing.
    Disclose(Vec<Disclosure>),
}

/// A question for features of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// `protocol`, `goal-code`, `header` or another; the unknown are passed over.
    #[serde(rename = "feature-type")]
    pub feature_type: String,
    /// An identifier, in which `*` stands for any text.
    #[serde(rename = "match")]
    pub pattern: String,
}

/// A feature that is supported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disclosure {
    /// As in [`Query::feature_type`].
    #[serde(rename = "feature-type")]
    pub feature_type: String,
    /// The feature's identifier.
    pub id: String,
    /// The roles played, where the feature is a protocol and its discloser says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Every other member, as it came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct QueriesBody {
    queries: Vec<Query>,
}

#[derive(Serialize, Deserialize)]
struct DiscloseBody {
    disclosures: Vec<Disclosure>,
}

impl DiscoverFeatures {
    /// Asks for features.
    #[must_use]
    pub fn queries(headers: Headers, queries: Vec<Query>) -> Message {
        headers.message(QUERIES, body_of(&QueriesBody { queries }))
    }

    /// Discloses features; make `headers` with [`Headers::reply`] to answer a query.
    #[must_use]
    pub fn disclose(headers: Headers, disclosures: Vec<Disclosure>) -> Message {
        headers.message(DISCLOSE, body_of(&DiscloseBody { disclosures }))
    }

    /// The protocols spoken here that any of `queries` asks for.
    #[must_use]
    pub fn answer(queries: &[Query]) -> Vec<Disclosure> {
        let asked = |id: &str| {
            queries
                .iter()
                .take(MAX_QUERIES)
                .any(|query| query.feature_type == "protocol" && matches(&query.pattern, id))
        };
        let disclosure = |id| Disclosure {
            feature_type: "protocol".to_owned(),
            id,
            roles: Vec::new(),
            extra: Map::new(),
        };
        spoken()
            .into_iter()
            .filter(|id| asked(id))
            .map(disclosure)
            .collect()
    }

    pub(super) fn read(name: &str, message: &Message) -> Result<Option<Self>, DidcommError> {
        Ok(match name {
            "queries" => Some(Self::Queries(read_body::<QueriesBody>(message)?.queries)),
            "disclose" => Some(Self::Disclose(
                read_body::<DiscloseBody>(message)?.disclosures,
            )),
            _ => None,
        })
    }
}

/// Whether `id` matches `pattern`, in which each `*` stands for any text. The pieces between the stars
/// are looked for from left to right, so the time taken is bounded by the product of the lengths.
fn matches(pattern: &str, id: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = id.strip_prefix(pieces.next().unwrap_or_default()) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;

    use super::*;
    use crate::Content;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, id, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcd", false),
            ("aa*a", "aa", false),
            ("", "", true),
            ("", "a", false),
            ("**", "é", true),
        ] {
            assert_eq!(matches(pattern, id), expected, "{pattern} {id}");
        }
    }

    #[test]
    fn a_query_is_answered_with_what_it_asks_for() {
        let did = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let query = |feature_type: &str, pattern: &str| Query {
            feature_type: feature_type.into(),
            pattern: pattern.into(),
        };
        let asked = vec![
            query("protocol", "https://didcomm.org/trust-ping/2.*"),
            query("goal-code", "*"),
        ];
        let message = DiscoverFeatures::queries(Headers::new("1", &did, &did, 5), asked.clone());
        assert_eq!(message.body["queries"][0]["feature-type"], "protocol");
        let Content::DiscoverFeatures(DiscoverFeatures::Queries(read)) =
            Content::of(&message).unwrap()
        else {
            panic!("not queries");
        };
        assert_eq!(read, asked);
        let answer = DiscoverFeatures::answer(&read);
        assert_eq!(answer.len(), 1);
        assert_eq!(answer[0].id, "https://didcomm.org/trust-ping/2.0");
        assert_eq!(
            DiscoverFeatures::answer(&[query("protocol", "*")]).len(),
            spoken().len()
        );

        let reply = Headers::reply("2", &message, &did, 6);
        let message = DiscoverFeatures::disclose(reply, answer.clone());
        let read = Content::of(&message).unwrap();
        assert_eq!(
            read,
            Content::DiscoverFeatures(DiscoverFeatures::Disclose(answer))
        );
    }
}
