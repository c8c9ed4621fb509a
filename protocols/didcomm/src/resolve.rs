//! DID documents found without a network: `did:key`, and `did:peer` of the methods 0, 2 and 4 (Peer DID
//! Method Specification), whose identifiers hold their documents. A `did:web` says where its document
//! is; whoever fetched one has it checked here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use multibase::Base;
use pagi_messages::Did;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Longest identifier that is looked at, bytes.
pub const MAX_DID: usize = 16 * 1024;
/// Most keys and services of a `did:peer:2`.
const MAX_ELEMENTS: usize = 64;
/// Multicodec prefixes: Ed25519 and X25519 public keys, and JSON.
const ED25519: [u8; 2] = [0xed, 0x01];
const X25519: [u8; 2] = [0xec, 0x01];
const JSON: [u8; 2] = [0x80, 0x04];
/// Multihash prefix of a SHA-256.
const SHA2_256: [u8; 2] = [0x12, 0x20];

/// Why a DID has no document here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The identifier breaks the rules of its method.
    #[error("it is not a sound {method}: {reason}")]
    Malformed {
        /// The method, with its number where it has one.
        method: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// The method is not spoken here.
    #[error(
        "DIDs of the method `{0}` are not resolved here; did:key, did:peer:0, 2 and 4, and did:web are"
    )]
    UnknownMethod(String),
    /// The document is on a web server.
    #[error("its document is at {url}; fetch it and have it checked")]
    Elsewhere {
        /// Where.
        url: String,
    },
    /// The document is another's.
    #[error("the document is that of `{0}`")]
    Foreign(String),
}

fn malformed(method: &'static str, reason: &'static str) -> ResolveError {
    ResolveError::Malformed { method, reason }
}

/// The document of a DID, as far as the identifier itself holds it.
///
/// # Errors
/// [`ResolveError`]; [`ResolveError::Elsewhere`] for a `did:web`.
pub fn resolve(did: &str) -> Result<Value, ResolveError> {
    if did.len() > MAX_DID {
        return Err(malformed("DID", "it is too long"));
    }
    let mut parts = did.splitn(3, ':');
    let (scheme, method, rest) = (parts.next(), parts.next(), parts.next());
    let (Some("did"), Some(method), Some(rest)) = (scheme, method, rest) else {
        return Err(malformed("DID", "it is not did:METHOD:NAME"));
    };
    match method {
        "key" => did
            .parse::<Did>()
            .and_then(|key| key.document())
            .map_err(|_| malformed("did:key", "it is not that of an Ed25519 key")),
        "peer" => match rest.split_at_checked(1) {
            Some(("0", key)) => peer_0(did, key),
            Some(("2", elements)) => peer_2(did, elements),
            Some(("4", rest)) => peer_4(did, rest),
            _ => Err(ResolveError::UnknownMethod(
                did.chars().take("did:peer:X".len()).collect(),
            )),
        },
        "web" => Err(ResolveError::Elsewhere { url: web_url(did)? }),
        other => Err(ResolveError::UnknownMethod(
            other.chars().take(32).collect(),
        )),
    }
}

/// Where the document of a `did:web` is.
///
/// # Errors
/// [`ResolveError::Malformed`].
pub fn web_url(did: &str) -> Result<String, ResolveError> {
    let bad = |reason| malformed("did:web", reason);
    let name = did
        .strip_prefix("did:web:")
        .ok_or_else(|| bad("it does not start with did:web:"))?;
    let mut parts = name.split(':');
    // A port is written with its colon escaped.
    let host = parts.next().unwrap_or_default().replace("%3A", ":");
    let host = host.replace("%3a", ":");
    let (domain, port) = host.split_once(':').unwrap_or((&host, "443"));
    let labels = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if domain.is_empty() || !domain.chars().all(labels) || port.parse::<u16>().is_err() {
        return Err(bad("its first part is not a domain name"));
    }
    let path: Vec<&str> = parts.collect();
    let plain = |part: &&str| {
        let letters = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
        !part.is_empty() && !matches!(*part, "." | "..") && part.chars().all(letters)
    };
    if !path.iter().all(plain) {
        return Err(bad("its path has a part that is not plain"));
    }
    Ok(match path.as_slice() {
        [] => format!("https://{host}/.well-known/did.json"),
        parts => format!("https://{host}/{}/did.json", parts.join("/")),
    })
}

/// Checks a document that was fetched for a `did:web`.
///
/// # Errors
/// [`ResolveError::Malformed`], and [`ResolveError::Foreign`] where it names another DID.
pub fn check_web(did: &str, document: Value) -> Result<Value, ResolveError> {
    web_url(did)?;
    match document.get("id").and_then(Value::as_str) {
        Some(id) if id == did => Ok(document),
        Some(other) => Err(ResolveError::Foreign(other.chars().take(128).collect())),
        None => Err(malformed("did:web", "its document has no id")),
    }
}

/// A `did:web` document that stands for the same keys as `did`.
///
/// # Errors
/// [`ResolveError::Malformed`] where `domain` is none.
pub fn web_document(domain: &str, did: &Did) -> Result<Value, ResolveError> {
    let web = format!("did:web:{}", domain.replace(':', "%3A"));
    web_url(&web)?;
    let document = did
        .document()
        .map_err(|_| malformed("did:key", "it holds no key"))?;
    // Key ids and controllers are names within the document.
    let text = document.to_string().replace(did.as_str(), &web);
    let mut document: Value = serde_json::from_str(&text)
        .map_err(|_| malformed("did:web", "its document cannot be written"))?;
    document["alsoKnownAs"] = json!([did]);
    Ok(document)
}

fn peer_0(did: &str, key: &str) -> Result<Value, ResolveError> {
    let same: Did = format!("did:key:{key}")
        .parse()
        .map_err(|_| malformed("did:peer:0", "it is not that of an Ed25519 key"))?;
    let document = same
        .document()
        .map_err(|_| malformed("did:peer:0", "it holds no key"))?;
    serde_json::from_str(&document.to_string().replace(same.as_str(), did))
        .map_err(|_| malformed("did:peer:0", "its document cannot be written"))
}

fn peer_2(did: &str, elements: &str) -> Result<Value, ResolveError> {
    let bad = |reason| malformed("did:peer:2", reason);
    let mut relations: Map<String, Value> = Map::new();
    let (mut methods, mut services) = (Vec::new(), Vec::new());
    let mut elements = elements.split('.');
    if elements.next() != Some("") {
        return Err(bad("its elements do not start with a dot"));
    }
    for (at, element) in elements.enumerate() {
        if at >= MAX_ELEMENTS {
            return Err(bad("it has too many elements"));
        }
        let (purpose, value) = element
            .split_at_checked(1)
            .ok_or_else(|| bad("an element is empty"))?;
        let relation = match purpose {
            "A" => "assertionMethod",
            "D" => "capabilityDelegation",
            "E" => "keyAgreement",
            "I" => "capabilityInvocation",
            "V" => "authentication",
            "S" => {
                let mut service = service(value)?;
                if service.get("id").is_none() {
                    service["id"] = match services.len() {
                        0 => json!("#service"),
                        number => json!(format!("#service-{number}")),
                    };
                }
                services.push(service);
                continue;
            }
            _ => return Err(bad("an element has a purpose that is not known")),
        };
        let prefix = key_prefix(value).ok_or_else(|| bad("a key is not Ed25519 or X25519"))?;
        if (prefix == X25519) != (relation == "keyAgreement") {
            return Err(bad("a key does not fit its purpose"));
        }
        let id = format!("#key-{}", methods.len() + 1);
        methods.push(json!({"id": id, "type": "Multikey", "controller": did,
            "publicKeyMultibase": value}));
        if let Some(list) = relations
            .entry(relation)
            .or_insert_with(|| json!([]))
            .as_array_mut()
        {
            list.push(json!(id));
        }
    }
    if methods.is_empty() {
        return Err(bad("it has no key"));
    }
    let mut document = json!({
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": did, "verificationMethod": methods,
    });
    for (relation, keys) in relations {
        document[relation] = keys;
    }
    if !services.is_empty() {
        document["service"] = Value::Array(services);
    }
    Ok(document)
}

/// The prefix of a key of a kind that is known; its bytes are as many as they should be.
fn key_prefix(key: &str) -> Option<[u8; 2]> {
    let (base, bytes) = multibase::decode(key).ok()?;
    let prefix = [*bytes.first()?, *bytes.get(1)?];
    let sound = base == Base::Base58Btc && bytes.len() == 34;
    (sound && (prefix == ED25519 || prefix == X25519)).then_some(prefix)
}

/// A service, with the short names it may be written with.
fn service(text: &str) -> Result<Value, ResolveError> {
    let bad = |reason| malformed("did:peer:2", reason);
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| bad("a service is not base64url"))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| bad("a service is not JSON"))?;
    if !matches!(value, Value::Object(_)) {
        return Err(bad("a service is not an object"));
    }
    Ok(long(value))
}

fn long(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let value = match value {
                    Value::String(text) if name == "t" && text == "dm" => json!("DIDCommMessaging"),
                    other => long(other),
                };
                let name = match name.as_str() {
                    "t" => "type",
                    "s" => "serviceEndpoint",
                    "r" => "routingKeys",
                    "a" => "accept",
                    other => other,
                };
                (name.to_owned(), value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(long).collect(),
        other => other,
    }
}

fn peer_4(did: &str, rest: &str) -> Result<Value, ResolveError> {
    let bad = |reason| malformed("did:peer:4", reason);
    let (hash, encoded) = rest
        .split_once(':')
        .ok_or_else(|| bad("it is the short form, which holds no document"))?;
    let mut digest = SHA2_256.to_vec();
    digest.extend(Sha256::digest(encoded));
    if multibase::encode(Base::Base58Btc, digest) != hash {
        return Err(bad("its hash is not that of its document"));
    }
    let (base, bytes) =
        multibase::decode(encoded).map_err(|_| bad("its document is not multibase"))?;
    let text = bytes
        .strip_prefix(&JSON)
        .filter(|_| base == Base::Base58Btc)
        .ok_or_else(|| bad("its document is not JSON in base58btc"))?;
    let mut document: Value =
        serde_json::from_slice(text).map_err(|_| bad("its document is not JSON"))?;
    if !document.is_object() || document.get("id").is_some() {
        return Err(bad("its document is not an object without an id"));
    }
    document["id"] = json!(did);
    document["alsoKnownAs"] = match document["alsoKnownAs"].take() {
        Value::Array(mut names) => {
            names.push(json!(format!("did:peer:4{hash}")));
            json!(names)
        }
        _ => json!([format!("did:peer:4{hash}")]),
    };
    // Keys written into a relation are looked at as well.
    const WITH_KEYS: [&str; 6] = [
        "verificationMethod",
        "authentication",
        "assertionMethod",
        "keyAgreement",
        "capabilityInvocation",
        "capabilityDelegation",
    ];
    for relation in WITH_KEYS {
        let methods = document.get_mut(relation).and_then(Value::as_array_mut);
        for method in methods.into_iter().flatten() {
            if method.is_object() && method.get("controller").is_none() {
                method["controller"] = json!(did);
            }
        }
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use proptest::prelude::*;

    use super::*;

    /// An example of the Peer DID specification.
    const PEER_2: &str = "did:peer:2.Vz6Mkj3PUd1WjvaDhNZhhhXQdz5UnZXmS7ehtx8bsPpD47kKc.Ez6LSg8zQom395jKLrGiBNruB9MM6V8PWuf2FpEy4uRFiqQBR.SeyJ0IjoiZG0iLCJzIjp7InVyaSI6Imh0dHA6Ly9leGFtcGxlLmNvbS9kaWRjb21tIiwiYSI6WyJkaWRjb21tL3YyIl0sInIiOlsiZGlkOmV4YW1wbGU6MTIzNDU2Nzg5YWJjZGVmZ2hpI2tleS0xIl19fQ";

    #[test]
    fn a_peer_did_of_keys_and_a_service_is_its_document() {
        let document = resolve(PEER_2).unwrap();
        assert_eq!(document["id"], PEER_2);
        assert_eq!(document["authentication"], json!(["#key-1"]));
        assert_eq!(document["keyAgreement"], json!(["#key-2"]));
        assert_eq!(
            document["service"],
            json!([{"id": "#service", "type": "DIDCommMessaging", "serviceEndpoint": {
                "uri": "http://example.com/didcomm", "accept": ["didcomm/v2"],
                "routingKeys": ["did:example:123456789abcdefghi#key-1"]}}])
        );
        assert_eq!(
            document["verificationMethod"][1]["publicKeyMultibase"],
            "z6LSg8zQom395jKLrGiBNruB9MM6V8PWuf2FpEy4uRFiqQBR"
        );
        let bent = PEER_2.replace(".Ez6LS", ".Vz6LS");
        assert!(resolve(&bent).is_err(), "an agreement key that signs");
    }

    #[test]
    fn a_did_of_one_key_is_the_same_under_each_method() {
        let did = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let key = resolve(did.as_str()).unwrap();
        let peer = format!("did:peer:0{}", did.fingerprint());
        let document = resolve(&peer).unwrap();
        assert_eq!(document["id"], peer);
        assert_eq!(
            document["keyAgreement"][0]["publicKeyMultibase"],
            key["keyAgreement"][0]["publicKeyMultibase"]
        );
        let web = web_document("example.org:8443", &did).unwrap();
        assert_eq!(web["id"], "did:web:example.org%3A8443");
        assert_eq!(web["alsoKnownAs"], json!([did]));
        let id = web["verificationMethod"][0]["id"].as_str().unwrap();
        assert_eq!(web["authentication"], json!([id]));
        assert!(id.starts_with("did:web:example.org%3A8443#z6Mk"));
        assert!(check_web("did:web:example.org%3A8443", web.clone()).is_ok());
        assert_eq!(
            check_web("did:web:example.com", web),
            Err(ResolveError::Foreign("did:web:example.org%3A8443".into()))
        );
    }

    #[test]
    fn a_peer_did_that_holds_its_document_is_checked_by_its_hash() {
        let written = json!({"@context": ["https://www.w3.org/ns/did/v1"],
            "verificationMethod": [{"id": "#k", "type": "Multikey", "publicKeyMultibase": "z6Mk"}],
            "authentication": ["#k"]});
        let bytes = [&JSON[..], written.to_string().as_bytes()].concat();
        let encoded = multibase::encode(Base::Base58Btc, bytes);
        let digest = [&SHA2_256[..], &Sha256::digest(&encoded)].concat();
        let hash = multibase::encode(Base::Base58Btc, digest);
        let did = format!("did:peer:4{hash}:{encoded}");
        let document = resolve(&did).unwrap();
        assert_eq!(document["id"], did);
        assert_eq!(
            document["alsoKnownAs"],
            json!([format!("did:peer:4{hash}")])
        );
        assert_eq!(document["verificationMethod"][0]["controller"], did);
        let bent = format!("{}1", did);
        assert!(matches!(
            resolve(&bent),
            Err(ResolveError::Malformed { .. })
        ));
        assert!(resolve(&format!("did:peer:4{hash}")).is_err());
    }

    #[test]
    fn a_web_did_says_where_its_document_is() {
        for (did, url) in [
            (
                "did:web:example.org",
                "https://example.org/.well-known/did.json",
            ),
            (
                "did:web:example.org%3A3000:a:b",
                "https://example.org:3000/a/b/did.json",
            ),
        ] {
            assert_eq!(
                resolve(did),
                Err(ResolveError::Elsewhere { url: url.into() })
            );
        }
        for bad in [
            "did:web:",
            "did:web:a/b",
            "did:web:user@example.org",
            "did:web:example.org:..",
            "did:web:example.org::x",
            "did:web:example.org%3A99999",
        ] {
            assert!(
                matches!(resolve(bad), Err(ResolveError::Malformed { .. })),
                "{bad}"
            );
        }
        for bad in [
            "",
            "did",
            "did:",
            "did:key:z",
            "did:peer:",
            "did:peer:1zQm",
            "did:sov:x",
            "did:peer:2",
            "did:peer:2.",
            "did:peer:2.Xz",
        ] {
            assert!(resolve(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_did_makes_the_reader_panic(
            method in prop::sample::select(vec!["key:z", "peer:0z", "peer:2.", "peer:2.S", "peer:4z", "web:", ""]),
            name in "\\PC{0,80}",
        ) {
            let _ = resolve(&format!("did:{method}{name}"));
            let _ = resolve(&name);
        }

        #[test]
        fn a_bent_peer_did_is_no_other_ones_document(at in 10usize..PEER_2.len(), with in "[A-Za-z0-9.]") {
            let bent = format!("{}{with}{}", &PEER_2[..at], &PEER_2[at + 1..]);
            if let Ok(document) = resolve(&bent) {
                prop_assert_eq!(document["id"].as_str(), Some(bent.as_str()));
            }
        }
    }
}
