//! Which twin a command is about.

use clap::Args;
use pagi_api::twins::Twin;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::CliError;
use crate::client::Client;

const LIST: &str = "`pagi twin list` shows the twins there are";
const CREATE: &str = "make one with `pagi twin create`";

/// `--twin ID`.
#[derive(Clone, Debug, Default, Args)]
pub struct TwinArg {
    /// The twin: its id or the first letters of it, its DID or its name [default: the only twin,
    /// or the oldest active one]
    #[arg(long = "twin", value_name = "ID")]
    wanted: Option<String>,
}

impl TwinArg {
    /// The twin that is meant.
    ///
    /// # Errors
    /// [`CliError`] when there is none, or more than one fits.
    pub async fn resolve(&self, client: &Client) -> Result<Twin, CliError> {
        find(client, self.wanted.as_deref()).await
    }
}

/// `--twin ID` of a command that can do without one.
#[derive(Clone, Debug, Default, Args)]
pub struct OptionalTwinArg {
    /// Only for or about this twin: its id or the first letters of it, its DID or its name
    #[arg(long = "twin", value_name = "ID")]
    wanted: Option<String>,
}

impl OptionalTwinArg {
    /// The id of the twin that is named, if one is.
    ///
    /// # Errors
    /// As [`TwinArg::resolve`].
    pub async fn resolve(&self, client: &Client) -> Result<Option<String>, CliError> {
        match &self.wanted {
            None => Ok(None),
            Some(wanted) => Ok(Some(find(client, Some(wanted)).await?.twin_id)),
        }
    }
}

/// The twin called `wanted`, or the one that is meant when none is named.
///
/// # Errors
/// As [`TwinArg::resolve`].
pub async fn find(client: &Client, wanted: Option<&str>) -> Result<Twin, CliError> {
    let twins: Vec<Twin> = client.get("/twins").await?;
    match wanted {
        Some(wanted) => pick(&twins, wanted).cloned(),
        None => default_twin(&twins).cloned(),
    }
}

/// The name in a twin's state; empty if it has none.
pub fn name(twin: &Twin) -> &str {
    twin.state
        .get("name")
        .and_then(|name| name.as_str())
        .unwrap_or_default()
}

/// The status in a twin's state; empty if it has none.
pub fn status(twin: &Twin) -> &str {
    twin.state
        .get("status")
        .and_then(|status| status.as_str())
        .unwrap_or_default()
}

/// The twin `wanted` stands for: an id, a DID or a name in full, or a prefix only one id has.
fn pick<'a>(twins: &'a [Twin], wanted: &str) -> Result<&'a Twin, CliError> {
    if wanted.is_empty() {
        return Err(CliError::usage("the twin's id is empty", LIST));
    }
    let only = |found: Vec<&'a Twin>| match found.as_slice() {
        [] => None,
        [twin] => Some(Ok(*twin)),
        many => Some(Err(CliError::usage(
            format!("`{wanted}` stands for {} twins", many.len()),
            format!("give more letters of the id; {LIST}"),
        ))),
    };
    let matching =
        |test: &dyn Fn(&Twin) -> bool| only(twins.iter().filter(|twin| test(twin)).collect());
    let prefix = wanted.to_ascii_lowercase();
    matching(&|twin| twin.twin_id == wanted || twin.did == wanted)
        .or_else(|| matching(&|twin| name(twin) == wanted))
        .or_else(|| matching(&|twin| twin.twin_id.starts_with(&prefix)))
        .unwrap_or_else(|| {
            let next = if twins.is_empty() { CREATE } else { LIST };
            Err(CliError::new(format!("there is no twin `{wanted}`"), next))
        })
}

/// The only twin, or the oldest active one.
pub fn default_twin(twins: &[Twin]) -> Result<&Twin, CliError> {
    match twins {
        [] => Err(CliError::new("there is no twin yet", CREATE)),
        [only] => Ok(only),
        many => {
            let active = many.iter().filter(|twin| status(twin) == "active");
            active.min_by_key(|twin| made_at(twin)).ok_or_else(|| {
                CliError::new(
                    "no twin is active",
                    format!("name one with --twin ID; {LIST}"),
                )
            })
        }
    }
}

/// When the twin was made; twins whose time cannot be read come last.
fn made_at(twin: &Twin) -> (bool, OffsetDateTime) {
    match OffsetDateTime::parse(&twin.created_at, &Rfc3339) {
        Ok(time) => (false, time),
        Err(_) => (true, OffsetDateTime::UNIX_EPOCH),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn twin(id: &str, status: &str, created_at: &str) -> Twin {
        Twin {
            twin_id: id.into(),
            state: json!({ "status": status, "name": format!("name-{id}") }),
            did: format!("did:key:{id}"),
            did_document: None,
            created_at: created_at.into(),
            updated_at: created_at.into(),
            stopped: None,
        }
    }

    fn three() -> Vec<Twin> {
        vec![
            twin("abc1", "active", "2026-01-01T00:00:00.5Z"),
            twin("abd2", "paused", "2025-01-01T00:00:00Z"),
            twin("b", "active", "2026-01-01T00:00:00Z"),
        ]
    }

    #[test]
    fn a_prefix_an_id_a_did_and_a_name_all_find_the_twin() {
        let twins = three();
        for wanted in ["abc", "ABC", "abc1", "did:key:abc1", "name-abc1"] {
            assert_eq!(pick(&twins, wanted).unwrap().twin_id, "abc1", "{wanted}");
        }
    }

    #[test]
    fn an_exact_id_wins_over_a_longer_one_it_begins() {
        let mut twins = three();
        twins.push(twin("bc", "active", "2026-01-01T00:00:00Z"));
        assert_eq!(pick(&twins, "b").unwrap().twin_id, "b");
    }

    #[test]
    fn what_fits_several_or_none_is_an_error() {
        let twins = three();
        let several = pick(&twins, "ab").unwrap_err();
        assert_eq!(several.code, 2);
        assert!(several.cause.contains("2 twins"), "{several:?}");
        let none = pick(&twins, "x").unwrap_err();
        assert!(none.next.contains("pagi twin list"), "{none:?}");
        assert!(
            pick(&[], "x")
                .unwrap_err()
                .next
                .contains("pagi twin create")
        );
        assert_eq!(pick(&twins, "").unwrap_err().code, 2);
    }

    #[test]
    fn the_default_is_the_only_twin_or_the_oldest_active_one() {
        let mut twins = three();
        assert_eq!(default_twin(&twins).unwrap().twin_id, "b");
        assert_eq!(default_twin(&twins[1..2]).unwrap().twin_id, "abd2");
        assert!(
            default_twin(&[])
                .unwrap_err()
                .next
                .contains("pagi twin create")
        );
        for twin in &mut twins {
            twin.state = json!({ "status": "paused" });
        }
        assert!(default_twin(&twins).unwrap_err().next.contains("--twin"));
    }

    #[test]
    fn an_unreadable_time_comes_last() {
        let twins = [
            twin("a", "active", "?"),
            twin("b", "active", "2026-01-01T00:00:00Z"),
        ];
        assert_eq!(default_twin(&twins).unwrap().twin_id, "b");
    }
}
