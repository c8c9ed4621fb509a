//! Secrets that must not leave a node.

use std::collections::BTreeMap;

/// Shapes of keys: a prefix, the fewest characters after it, and what it is.
const KEY_SHAPES: &[(&str, usize, &str)] = &[
    ("sk-", 20, "an API key (sk-…)"),
    ("sk_live_", 16, "an API key (sk_live_…)"),
    ("rk_live_", 16, "an API key (rk_live_…)"),
    ("AKIA", 16, "a cloud access key (AKIA…)"),
    ("ASIA", 16, "a cloud access key (ASIA…)"),
    ("AIza", 30, "an API key (AIza…)"),
    ("ghp_", 20, "an access token (ghp_…)"),
    ("gho_", 20, "an access token (gho_…)"),
    ("ghs_", 20, "an access token (ghs_…)"),
    ("ghu_", 20, "an access token (ghu_…)"),
    ("github_pat_", 20, "an access token (github_pat_…)"),
    ("glpat-", 16, "an access token (glpat-…)"),
    ("xoxb-", 16, "an access token (xoxb-…)"),
    ("xoxp-", 16, "an access token (xoxp-…)"),
    ("xoxa-", 16, "an access token (xoxa-…)"),
    ("hf_", 30, "an access token (hf_…)"),
    ("npm_", 30, "an access token (npm_…)"),
    ("pypi-", 30, "an access token (pypi-…)"),
    ("AGE-SECRET-KEY-", 20, "a private key (AGE-SECRET-KEY-…)"),
];

/// Names whose values are secrets when assigned.
const SECRET_NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "secretkey",
    "secret",
    "accesskey",
    "accesstoken",
    "authtoken",
    "clientsecret",
    "privatekey",
];

/// What secret `text` holds, if it holds one. Never the secret itself.
#[must_use]
pub fn secret(text: &str) -> Option<&'static str> {
    if text.contains("PRIVATE KEY") && text.contains("-----BEGIN") {
        return Some("a private key block");
    }
    let word_char = |c: char| c.is_ascii_alphanumeric() || "+/=_-.".contains(c);
    for word in text.split(|c: char| !word_char(c)) {
        let word = word.trim_matches(['.', '=', '/']);
        for (prefix, fewest, what) in KEY_SHAPES {
            if word
                .match_indices(prefix)
                .any(|(start, _)| key_follows(word, start, prefix, *fewest))
            {
                return Some(what);
            }
        }
        let parts: Vec<&str> = word.split('.').collect();
        if parts.len() == 3 && parts.iter().take(2).all(|part| part.starts_with("eyJ")) {
            return Some("a signed web token (eyJ…)");
        }
    }
    if bearer(text) {
        return Some("a bearer token");
    }
    if url_login(text) {
        return Some("a login inside a URL");
    }
    if assigned(text) {
        return Some("a password or key that is spelt out");
    }
    let path_like = |word: &str| word.contains("://") || word.starts_with(['/', '.', '~']);
    let random = text
        .split(|c: char| c.is_whitespace() || "\"'`,;()[]{}<>|".contains(c))
        .any(|word| {
            let path = path_like(word);
            word.split(|c: char| ".:?&=#@".contains(c) || (path && c == '/'))
                .any(looks_random)
        });
    random.then_some("a long random string")
}

fn key_follows(word: &str, start: usize, prefix: &str, fewest: usize) -> bool {
    // The prefix must begin the key: `task-…` is not `sk-…`.
    let begins = word.get(..start).is_some_and(|before| {
        !before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    });
    let body: &str = word.get(start + prefix.len()..).unwrap_or_default();
    let length = body
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-')
        .count();
    let mixed = body
        .chars()
        .any(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    begins && length >= fewest && mixed
}

fn bearer(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.match_indices("bearer ").any(|(start, found)| {
        let token: String = lower
            .get(start + found.len()..)
            .unwrap_or_default()
            .trim_start()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "-._~+/=".contains(*c))
            .collect();
        token.len() >= 16 && token.chars().any(|c| c.is_ascii_digit())
    })
}

fn url_login(text: &str) -> bool {
    text.match_indices("://").any(|(start, found)| {
        let authority: &str = text
            .get(start + found.len()..)
            .unwrap_or_default()
            .split(|c: char| c == '/' || c.is_whitespace() || c == '?')
            .next()
            .unwrap_or_default();
        authority
            .rsplit_once('@')
            .and_then(|(login, _)| login.split_once(':'))
            .is_some_and(|(_, password)| !password.is_empty())
    })
}

/// `password = …`, `"api_key": "…"` and the like.
fn assigned(text: &str) -> bool {
    text.match_indices(['=', ':']).any(|(place, _)| {
        let letters: String = text
            .get(..place)
            .unwrap_or_default()
            .trim_end_matches(['"', '\'', ' ', '`'])
            .chars()
            .rev()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-')
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let name: String = letters
            .chars()
            .rev()
            .collect::<String>()
            .to_ascii_lowercase();
        if !SECRET_NAMES.iter().any(|secret| name.ends_with(secret)) {
            return false;
        }
        let value: String = text
            .get(place + 1..)
            .unwrap_or_default()
            .trim_start_matches(['"', '\'', ' ', '`', '='])
            .chars()
            .take_while(|c| !c.is_whitespace() && !"\"'`,;".contains(*c))
            .collect();
        value.chars().count() >= 8 && value.chars().any(|c| !c.is_alphabetic())
    })
}

/// Whether a word looks drawn by lot: long, of mixed kinds, and with much information a character.
/// CIDs, DIDs and UUIDs are names, not secrets.
fn looks_random(word: &str) -> bool {
    const FEWEST: usize = 32;
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let alphabet = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    if word.len() < FEWEST || !word.chars().all(alphabet) || is_public_name(word) {
        return false;
    }
    let has = |test: fn(&char) -> bool| word.chars().filter(test).count();
    let digits = has(char::is_ascii_digit);
    if word.chars().all(|c| c.is_ascii_hexdigit()) {
        return digits >= 4 && entropy(word) >= 3.0;
    }
    let kinds = [
        digits,
        has(char::is_ascii_lowercase),
        has(char::is_ascii_uppercase),
    ];
    // Words joined by dashes have few digits and capitals; base32 has one case but many digits.
    let mixed = kinds.iter().all(|count| *count >= 3);
    let one_case = digits >= 5 && !word.contains(['-', '_', '/']);
    (mixed || one_case) && entropy(word) >= 4.0
}

fn is_public_name(word: &str) -> bool {
    let uuid = word.len() == 36
        && word.chars().enumerate().all(|(index, c)| match index {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        });
    uuid || word.parse::<cid::Cid>().is_ok()
        || format!("did:key:{word}")
            .parse::<pagi_messages::Did>()
            .is_ok()
}

/// Bits of information a character, by the characters' frequencies.
fn entropy(word: &str) -> f64 {
    let mut counts: BTreeMap<char, f64> = BTreeMap::new();
    for c in word.chars() {
        *counts.entry(c).or_default() += 1.0;
    }
    let total: f64 = counts.values().sum();
    counts
        .values()
        .map(|count| -(count / total) * (count / total).log2())
        .sum()
}
