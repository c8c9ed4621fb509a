//! Whether a twin may call a tool.
//!
//! The order of authority: what the node's owner said about this twin and this tool, then whom the
//! tool belongs to, then the default of its kind. Tools that the owner registered through the
//! control API are open to every twin, or to the one twin named at registration; tools that were
//! found by scanning a plugin folder are closed until they are granted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the decision needs to know of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolFacts<'a> {
    /// The name it is called by.
    pub name: &'a str,
    /// It is part of the node itself.
    pub native: bool,
    /// It changes nothing, neither here nor elsewhere.
    pub read_only: bool,
    /// The one twin it was registered for; `None` when it belongs to no twin.
    pub owner_twin: Option<&'a str>,
    /// Twins may use it unless told otherwise: `true` for native tools of the default set and for
    /// tools the owner registered through the control API, `false` for tools of scanned plugins.
    pub default_allowed: bool,
}

/// The decision, with a reason fit for the audit log and for the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "grant", rename_all = "snake_case")]
pub enum Grant {
    /// The call may go ahead.
    Allowed {
        /// On what authority.
        why: String,
    },
    /// The call must not be made.
    Denied {
        /// On what ground, and how to change it.
        why: String,
    },
}

impl Grant {
    /// Whether the call may go ahead.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }

    /// The reason.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Allowed { why } | Self::Denied { why } => why,
        }
    }
}

/// Decides whether `twin_id` may call `tool`.
///
/// `twin_id` is `None` when the node's owner calls a tool without acting for a twin. `grants` are
/// the explicit answers for this twin by tool name (`true` allows, `false` denies).
/// `grant_all_plugins` is the setting `plugins.grant = "all"`.
///
/// In this order, the first that applies decides:
/// 1. an explicit deny for this twin;
/// 2. an explicit allow for this twin;
/// 3. a tool that belongs to one twin is for that twin alone;
/// 4. native tools: allowed when in the default set or read-only;
/// 5. tools registered by the owner for all: allowed;
/// 6. tools of scanned plugins: allowed for the owner, or with `grant_all_plugins`; else denied.
#[must_use]
pub fn decide(
    tool: &ToolFacts<'_>,
    twin_id: Option<&str>,
    grants: &BTreeMap<String, bool>,
    grant_all_plugins: bool,
) -> Grant {
    let name = tool.name;
    if let Some(twin) = twin_id {
        match grants.get(name) {
            Some(false) => {
                return denied(format!(
                    "`{name}` is denied to twin {twin} by an explicit rule"
                ));
            }
            Some(true) => return allowed(format!("`{name}` is granted to twin {twin}")),
            None => {}
        }
    }
    match (tool.owner_twin, twin_id) {
        (Some(owner), Some(twin)) if owner == twin => {
            return allowed(format!("`{name}` was registered for twin {twin}"));
        }
        (Some(_), Some(_)) => {
            return denied(format!(
                "`{name}` was registered for another twin; {}",
                how_to_allow(name, twin_id)
            ));
        }
        (Some(owner), None) => {
            return denied(format!(
                "`{name}` was registered for one twin only; call it with twin_id {owner}"
            ));
        }
        (None, _) => {}
    }
    if tool.native {
        return if tool.default_allowed || tool.read_only {
            allowed(format!("`{name}` is a native tool open to every twin"))
        } else if twin_id.is_none() {
            allowed(format!("`{name}` was called by the node's owner"))
        } else {
            denied(format!(
                "`{name}` needs a grant; {}",
                how_to_allow(name, twin_id)
            ))
        };
    }
    if tool.default_allowed {
        return allowed(format!(
            "`{name}` was registered by the node's owner for every twin"
        ));
    }
    if twin_id.is_none() {
        return allowed(format!("`{name}` was called by the node's owner"));
    }
    if grant_all_plugins {
        return allowed(format!(
            "`{name}` comes from a plugin and plugins.grant is \"all\""
        ));
    }
    denied(format!(
        "`{name}` comes from a plugin and twins get nothing from plugins unless granted; {}",
        how_to_allow(name, twin_id)
    ))
}

fn how_to_allow(name: &str, twin_id: Option<&str>) -> String {
    match twin_id {
        Some(twin) => format!("allow it with `pagi tool allow {name} --twin {twin}`"),
        None => format!("allow it with `pagi tool allow {name}`"),
    }
}

const fn allowed(why: String) -> Grant {
    Grant::Allowed { why }
}

const fn denied(why: String) -> Grant {
    Grant::Denied { why }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NATIVE: ToolFacts<'static> = ToolFacts {
        name: "calculator",
        native: true,
        read_only: true,
        owner_twin: None,
        default_allowed: true,
    };
    const GATED_NATIVE: ToolFacts<'static> = ToolFacts {
        name: "hive_push",
        native: true,
        read_only: false,
        owner_twin: None,
        default_allowed: false,
    };
    const REGISTERED: ToolFacts<'static> = ToolFacts {
        name: "weather",
        native: false,
        read_only: false,
        owner_twin: None,
        default_allowed: true,
    };
    const OWNED: ToolFacts<'static> = ToolFacts {
        owner_twin: Some("ada"),
        ..REGISTERED
    };
    const PLUGIN: ToolFacts<'static> = ToolFacts {
        name: "ocr",
        default_allowed: false,
        ..REGISTERED
    };

    /// Which grants the twin holds, in a row of the table.
    #[derive(Clone, Copy)]
    enum Said {
        Nothing,
        Allow,
        Deny,
    }

    /// What, tool, twin, what was said, `plugins.grant = "all"`, whether it is allowed.
    type Row = (
        &'static str,
        ToolFacts<'static>,
        Option<&'static str>,
        Said,
        bool,
        bool,
    );

    fn grants(tool: &ToolFacts<'_>, said: Said) -> BTreeMap<String, bool> {
        match said {
            Said::Nothing => BTreeMap::new(),
            Said::Allow => BTreeMap::from([(tool.name.to_owned(), true)]),
            Said::Deny => BTreeMap::from([(tool.name.to_owned(), false)]),
        }
    }

    #[test]
    fn table() {
        use Said::{Allow, Deny, Nothing};
        let (ada, bob) = (Some("ada"), Some("bob"));
        let rows: &[Row] = &[
            ("natives are open", NATIVE, ada, Nothing, false, true),
            ("a native can be denied", NATIVE, ada, Deny, false, false),
            (
                "a denied native stays open to the owner",
                NATIVE,
                None,
                Deny,
                false,
                true,
            ),
            (
                "gated natives need a grant",
                GATED_NATIVE,
                ada,
                Nothing,
                false,
                false,
            ),
            (
                "plugins.grant is not about natives",
                GATED_NATIVE,
                ada,
                Nothing,
                true,
                false,
            ),
            (
                "gated natives can be granted",
                GATED_NATIVE,
                ada,
                Allow,
                false,
                true,
            ),
            (
                "the owner may call gated natives",
                GATED_NATIVE,
                None,
                Nothing,
                false,
                true,
            ),
            ("registered for all", REGISTERED, bob, Nothing, false, true),
            (
                "registered for all, denied to one",
                REGISTERED,
                bob,
                Deny,
                true,
                false,
            ),
            ("registered for ada: ada", OWNED, ada, Nothing, false, true),
            (
                "registered for ada: not bob",
                OWNED,
                bob,
                Nothing,
                true,
                false,
            ),
            (
                "registered for ada: bob by grant",
                OWNED,
                bob,
                Allow,
                false,
                true,
            ),
            (
                "registered for ada: deny wins over ownership",
                OWNED,
                ada,
                Deny,
                false,
                false,
            ),
            (
                "registered for ada: name the twin",
                OWNED,
                None,
                Nothing,
                true,
                false,
            ),
            ("plugins are closed", PLUGIN, ada, Nothing, false, false),
            ("plugins can be granted", PLUGIN, ada, Allow, false, true),
            (
                "all plugins can be granted",
                PLUGIN,
                ada,
                Nothing,
                true,
                true,
            ),
            (
                "deny wins over plugins.grant",
                PLUGIN,
                ada,
                Deny,
                true,
                false,
            ),
            (
                "the owner may call plugins",
                PLUGIN,
                None,
                Nothing,
                false,
                true,
            ),
        ];
        for (what, tool, twin, said, all, expected) in rows {
            let grant = decide(tool, *twin, &grants(tool, *said), *all);
            assert_eq!(grant.is_allowed(), *expected, "{what}: {}", grant.why());
        }
    }

    #[test]
    fn a_denied_plugin_says_how_to_allow_it() {
        let grant = decide(&PLUGIN, Some("ada"), &BTreeMap::new(), false);
        assert!(
            grant.why().contains("pagi tool allow ocr --twin ada"),
            "{}",
            grant.why()
        );
    }

    #[test]
    fn a_grant_for_another_tool_changes_nothing() {
        let other = BTreeMap::from([("ocr2".to_owned(), true)]);
        assert!(!decide(&PLUGIN, Some("ada"), &other, false).is_allowed());
    }

    proptest! {
        #[test]
        fn an_explicit_deny_always_wins(
            native: bool, read_only: bool, default_allowed: bool, all: bool, owned: bool,
        ) {
            let tool = ToolFacts {
                name: "t", native, read_only, default_allowed,
                owner_twin: owned.then_some("ada"),
            };
            let deny = BTreeMap::from([("t".to_owned(), false)]);
            prop_assert!(!decide(&tool, Some("ada"), &deny, all).is_allowed());
            let allow = BTreeMap::from([("t".to_owned(), true)]);
            prop_assert!(decide(&tool, Some("bob"), &allow, all).is_allowed());
        }
    }
}
