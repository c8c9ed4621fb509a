//! Finds keys and other secrets in text that is about to leave the node.
//!
//! The patterns are of secrets that carry their own mark (PEM blocks, prefixed API keys, labelled
//! seed phrases), so ordinary text, hashes, CIDs and DIDs pass.

use regex::Regex;

use crate::PolicyError;

/// A kind of secret and how to see it.
struct Pattern {
    name: &'static str,
    regex: Regex,
    /// A further test of the match that a regular expression cannot state.
    confirm: Confirm,
}

/// Tells whether the match (first) with the text after it (second) is a secret indeed.
type Confirm = fn(&str, &str) -> bool;

/// Finds secrets; made once, used for every text.
pub struct SecretScanner {
    patterns: Vec<Pattern>,
}

/// Name, expression, confirmation.
type Source = (&'static str, &'static str, Confirm);

const SOURCES: &[Source] = &[
    (
        "private key block",
        r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        key_follows,
    ),
    (
        "API key (sk-…)",
        r"\bsk-(?:[a-z0-9]{2,8}-)*[A-Za-z0-9_\-]{20,}",
        letters_and_digits,
    ),
    (
        "AWS access key",
        r"\b(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}\b",
        always,
    ),
    (
        "AWS secret key",
        r#"(?i)\baws.{0,24}(?:secret|key).{0,24}?['"=:\s][0-9a-z/+]{40}(?:['"\s,;}]|$)"#,
        letters_and_digits,
    ),
    (
        "GitHub token",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,})",
        always,
    ),
    ("GitLab token", r"\bglpat-[A-Za-z0-9_\-]{20,}", always),
    (
        "Slack token",
        r"\bxox[abeoprs]-[A-Za-z0-9\-]{16,}",
        letters_and_digits,
    ),
    ("Google API key", r"\bAIza[0-9A-Za-z_\-]{35}", always),
    (
        "Stripe key",
        r"\b[sr]k_(?:live|test)_[0-9A-Za-z]{16,}",
        always,
    ),
    ("Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}", always),
    ("npm token", r"\bnpm_[A-Za-z0-9]{36}", always),
    (
        "age secret key",
        r"(?i)\bAGE-SECRET-KEY-1[0-9a-z]{40,}",
        always,
    ),
    (
        "extended private key",
        r"\b[xyzt]prv[1-9A-HJ-NP-Za-km-z]{90,}",
        always,
    ),
    (
        "seed phrase",
        r"(?i)\b(?:(?:seed|mnemonic|recovery|backup|wallet)\s+(?:seed|phrase|words?|mnemonic)|mnemonic|seed\s*[:=])",
        twelve_words_follow,
    ),
];

impl SecretScanner {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// [`PolicyError::Pattern`] if one does not compile.
    pub fn new() -> Result<Self, PolicyError> {
        let patterns = SOURCES
            .iter()
            .map(|(name, source, confirm)| {
                let regex = Regex::new(source).map_err(|error| PolicyError::Pattern {
                    name,
                    reason: error.to_string(),
                })?;
                Ok(Pattern {
                    name,
                    regex,
                    confirm: *confirm,
                })
            })
            .collect::<Result<_, PolicyError>>()?;
        Ok(Self { patterns })
    }

    /// The kind of the first secret in `text`, never the secret itself.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&'static str> {
        let visible = without_invisible(text);
        self.patterns
            .iter()
            .find(|pattern| {
                pattern.regex.find_iter(&visible).any(|found| {
                    let rest = visible.get(found.end()..).unwrap_or_default();
                    (pattern.confirm)(found.as_str(), rest)
                })
            })
            .map(|pattern| pattern.name)
    }
}

/// `text` without zero-width characters, which would hide a secret from the patterns.
fn without_invisible(text: &str) -> std::borrow::Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    text.chars()
        .filter(|c| !crate::ethics::is_invisible(*c))
        .collect::<String>()
        .into()
}

fn always(_: &str, _: &str) -> bool {
    true
}

/// After the header there is key material on the next line (by a real or an escaped newline), much
/// of it on the same line, or an end marker; a sentence that names the header has none of these.
fn key_follows(_: &str, rest: &str) -> bool {
    let rest: String = rest.chars().take(8192).collect();
    let body = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\\');
    let escaped = body.len() < rest.len() && rest.trim_start().starts_with('\\');
    let body = if escaped {
        body.trim_start_matches(['n', 'r', '\\'])
    } else {
        body
    };
    let head = rest.get(..rest.len() - body.len()).unwrap_or_default();
    let newline = escaped || head.contains('\n') || head.contains('\r');
    let material = body
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | ':'))
        .count();
    material >= if newline { 4 } else { 20 } || rest.contains("-----END")
}

/// Real keys are random: a run without digits, or of one repeated character, is a placeholder.
fn letters_and_digits(found: &str, _: &str) -> bool {
    let body = found
        .rsplit(['-', '=', ':', '"', '\'', ' '])
        .find(|part| part.len() >= 8);
    let body = body.unwrap_or(found);
    let distinct = body
        .chars()
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    found.chars().any(|c| c.is_ascii_digit())
        && found.chars().any(|c| c.is_ascii_alphabetic())
        && distinct >= 5
}

/// Words that prose is made of and the BIP-39 word list does not hold.
const PROSE: &[&str] = &[
    "the", "and", "for", "are", "not", "but", "from", "with", "your", "has", "was", "its", "our",
    "his", "her", "should", "they", "were", "been", "which", "would", "could", "than", "then",
];

/// Soon after the label come twelve words of the length of BIP-39 words, none of them of prose.
fn twelve_words_follow(_: &str, rest: &str) -> bool {
    const WORDS: usize = 12;
    let rest: String = rest
        .chars()
        .take(400)
        .flat_map(char::to_lowercase)
        .collect();
    let words: Vec<&str> = rest
        .split(|c: char| !c.is_alphabetic())
        .filter(|word| !word.is_empty())
        .take(WORDS + 6)
        .collect();
    words.windows(WORDS).any(|run| {
        run.iter().all(|word| {
            (3..=8).contains(&word.len())
                && word.bytes().all(|byte| byte.is_ascii_lowercase())
                && !PROSE.contains(word)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_seen() {
        let scanner = SecretScanner::new().unwrap();
        for (text, kind) in [
            (
                "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----",
                "private key",
            ),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", "private key"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\\nMIIEowIBAAKCAQEA",
                "private key",
            ),
            (
                "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF",
                "private key",
            ),
            (
                "-----BEGIN EC PRIVATE KEY----- MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04f",
                "private key",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
                "private key",
            ),
            ("use sk-proj-abcDEF1234567890abcDEF1234567890 here", "sk-"),
            ("sk-ant-api03-Zx81kQ0pLmN4vBt7", "sk-"),
            ("sk-1234567890abcdefghijklmnop", "sk-"),
            ("s\u{200b}k-1234567890abcdefghijklmnop", "sk-"),
            ("AKIAIOSFODNN7EXAMPLE", "AWS access"),
            (
                "aws_secret_access_key = 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",
                "AWS secret",
            ),
            ("token ghp_abcdefghijklmnopqrstuvwxyz0123456789", "GitHub"),
            ("xoxb-123456789012-abcdefABCDEF", "Slack"),
            ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "Google"),
            ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "Stripe"),
            (
                "my seed phrase is legal winner thank year wave sausage worth useful legal winner thank yellow",
                "seed",
            ),
            (
                "Recovery phrase:\n1. letter 2. advice 3. cage 4. absurd 5. amount 6. doctor 7. acoustic 8. avoid 9. letter 10. advice 11. cage 12. above",
                "seed",
            ),
            (
                "mnemonic: abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
                "seed",
            ),
        ] {
            let found = scanner.find(text);
            assert!(
                found.is_some_and(|name| name.contains(kind)),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn ordinary_text_passes() {
        let scanner = SecretScanner::new().unwrap();
        for text in [
            "",
            "A PEM file starts with -----BEGIN PRIVATE KEY----- and must stay secret.",
            "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEF\n-----END PUBLIC KEY-----",
            "-----BEGIN CERTIFICATE-----\nMIIBIjANBgkqhkiG9w0BAQEF\n-----END CERTIFICATE-----",
            "set OPENAI_API_KEY=sk-your-key-goes-here-please-now",
            "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "sk-learn pipelines and task-1234567890-abcdefghijklmnopqrst",
            "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
            "bafyreigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
            "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
            "The recovery phrase should never be shown to anyone, because whoever holds it can spend",
            "Your seed phrase is the only way back into the wallet and nobody can restore it for you",
            "Backup words: keep them offline with your other papers and tell nobody where they are",
            "mnemonic devices help pupils recall long lists, dates or poems before exams start",
            "backup: nginx redis postgres kafka grafana minio consul vault nomad traefik envoy",
            "AKIA is the prefix of access keys",
        ] {
            assert_eq!(scanner.find(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}", tail in "[A-Za-z\\\\nr \n=]{0,60}") {
            static SCANNER: LazyLock<SecretScanner> =
                LazyLock::new(|| SecretScanner::new().unwrap());
            let _ = SCANNER.find(&text);
            let _ = SCANNER.find(&format!("-----BEGIN PRIVATE KEY-----{tail}"));
        }
    }
}
