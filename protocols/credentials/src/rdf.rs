//! The RDF that a credential means, in its one canonical form, for the cryptosuites that sign that
//! instead of the text: `eddsa-rdfc-2022` and `Ed25519Signature2020`.
//!
//! JSON-LD in general needs contexts from anywhere and a full processor. The documents here have the
//! few contexts this node knows, so each of their terms has a fixed meaning, which stands in the tables
//! below. A term that is not there would be dropped and so be covered by no signature: it is an error
//! instead, as is every value that means the same as another one. What remains is one way to write
//! each meaning, and canonical N-Quads of it (RDF Dataset Canonicalization 1.0).

use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

use crate::{
    context::{CREDENTIALS_V2, ED25519_2020, own_context},
    error::ProofError,
    proof::{canonical, cut},
};

const RDF_TYPE: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";
const RDF_JSON: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#JSON";
const XSD_BOOLEAN: &str = "http://www.w3.org/2001/XMLSchema#boolean";
const XSD_DATE_TIME: &str = "http://www.w3.org/2001/XMLSchema#dateTime";
const XSD_DOUBLE: &str = "http://www.w3.org/2001/XMLSchema#double";
const XSD_INTEGER: &str = "http://www.w3.org/2001/XMLSchema#integer";
const MULTIBASE: &str = "https://w3id.org/security#multibase";
const CRYPTOSUITE: &str = "https://w3id.org/security#cryptosuiteString";
/// From here on a number is a double even where it is whole (JSON-LD 1.1 API, section 8.6).
const WHOLE_BELOW: f64 = 1e21;
/// Fractions below this are read in two ways by processors in use, so none is signed.
const SMALLEST: f64 = 1e-6;

/// What the values of a term are.
enum Kind {
    /// The name of a thing.
    Iri,
    /// A text.
    Text,
    /// A text of the given data type.
    Typed(&'static str),
    /// A text, a number or a truth value.
    Native,
    /// Any JSON, as a whole.
    Json,
    /// Another node.
    Node(fn(&Map<String, Value>) -> &'static Shape),
}

/// The terms and types a node may have.
struct Shape {
    types: &'static [(&'static str, &'static str)],
    terms: &'static [(&'static str, &'static str, Kind)],
}

static CREDENTIAL: Shape = Shape {
    types: &[
        (
            "VerifiableCredential",
            "https://www.w3.org/2018/credentials#VerifiableCredential",
        ),
        (
            "BitstringStatusListCredential",
            "https://www.w3.org/ns/credentials/status#BitstringStatusListCredential",
        ),
        (
            "ReputationCredential",
            "urn:pagi:credentials#ReputationCredential",
        ),
        (
            "MembershipCredential",
            "urn:pagi:credentials#MembershipCredential",
        ),
        (
            "CapabilityCredential",
            "urn:pagi:credentials#CapabilityCredential",
        ),
    ],
    terms: &[
        ("name", "https://schema.org/name", Kind::Text),
        ("description", "https://schema.org/description", Kind::Text),
        (
            "issuer",
            "https://www.w3.org/2018/credentials#issuer",
            Kind::Iri,
        ),
        (
            "validFrom",
            "https://www.w3.org/2018/credentials#validFrom",
            Kind::Typed(XSD_DATE_TIME),
        ),
        (
            "validUntil",
            "https://www.w3.org/2018/credentials#validUntil",
            Kind::Typed(XSD_DATE_TIME),
        ),
        (
            "credentialSubject",
            "https://www.w3.org/2018/credentials#credentialSubject",
            Kind::Node(subject),
        ),
        (
            "credentialStatus",
            "https://www.w3.org/2018/credentials#credentialStatus",
            Kind::Node(|_| &STATUS),
        ),
    ],
};

static CLAIMS: Shape = Shape {
    types: &[],
    terms: &[
        (
            "reputation_score",
            "urn:pagi:credentials#reputation_score",
            Kind::Native,
        ),
        (
            "contributions",
            "urn:pagi:credentials#contributions",
            Kind::Json,
        ),
        ("swarm", "urn:pagi:credentials#swarm", Kind::Native),
        ("role", "urn:pagi:credentials#role", Kind::Native),
        (
            "capability",
            "urn:pagi:credentials#capability",
            Kind::Native,
        ),
        ("resource", "urn:pagi:credentials#resource", Kind::Native),
    ],
};

static LIST: Shape = Shape {
    types: &[(
        "BitstringStatusList",
        "https://www.w3.org/ns/credentials/status#BitstringStatusList",
    )],
    terms: &[
        (
            "encodedList",
            "https://www.w3.org/ns/credentials/status#encodedList",
            Kind::Typed(MULTIBASE),
        ),
        (
            "statusPurpose",
            "https://www.w3.org/ns/credentials/status#statusPurpose",
            Kind::Text,
        ),
    ],
};

static STATUS: Shape = Shape {
    types: &[(
        "BitstringStatusListEntry",
        "https://www.w3.org/ns/credentials/status#BitstringStatusListEntry",
    )],
    terms: &[
        (
            "statusPurpose",
            "https://www.w3.org/ns/credentials/status#statusPurpose",
            Kind::Text,
        ),
        (
            "statusListIndex",
            "https://www.w3.org/ns/credentials/status#statusListIndex",
            Kind::Native,
        ),
        (
            "statusListCredential",
            "https://www.w3.org/ns/credentials/status#statusListCredential",
            Kind::Iri,
        ),
    ],
};

static PROOF: Shape = Shape {
    types: &[
        (
            "DataIntegrityProof",
            "https://w3id.org/security#DataIntegrityProof",
        ),
        (
            "Ed25519Signature2020",
            "https://w3id.org/security#Ed25519Signature2020",
        ),
    ],
    terms: &[
        (
            "created",
            "http://purl.org/dc/terms/created",
            Kind::Typed(XSD_DATE_TIME),
        ),
        (
            "expires",
            "https://w3id.org/security#expiration",
            Kind::Typed(XSD_DATE_TIME),
        ),
        (
            "cryptosuite",
            "https://w3id.org/security#cryptosuite",
            Kind::Typed(CRYPTOSUITE),
        ),
        (
            "proofPurpose",
            "https://w3id.org/security#proofPurpose",
            Kind::Iri,
        ),
        (
            "verificationMethod",
            "https://w3id.org/security#verificationMethod",
            Kind::Iri,
        ),
    ],
};

fn subject(members: &Map<String, Value>) -> &'static Shape {
    if members.contains_key("type") {
        &LIST
    } else {
        &CLAIMS
    }
}

/// A statement; a blank node is its number.
struct Quad {
    subject: Place,
    predicate: &'static str,
    object: Object,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Iri(String),
    Blank(usize),
}

enum Object {
    Place(Place),
    Literal(String, &'static str),
}

/// The canonical N-Quads of a document without its proof. Only for a proof of the suite
/// `Ed25519Signature2020` (`suite_2020`), and then surely, the suite's context is among the document's.
///
/// # Errors
/// [`ProofError::UnknownContext`], [`ProofError::UnmappedTerm`], [`ProofError::InexactNumber`],
/// [`ProofError::NotCanonical`].
pub(crate) fn of_document(
    document: &Map<String, Value>,
    suite_2020: bool,
) -> Result<String, ProofError> {
    let own = contexts(document.get("@context"), suite_2020)?;
    let uses_own = |name: &str| name.ends_with("Credential") && !name.starts_with("Bitstring");
    let types = document.get("type").and_then(Value::as_array);
    let foreign = types.into_iter().flatten().filter_map(Value::as_str);
    if let Some(name) = foreign
        .filter(|name| uses_own(name) && *name != "VerifiableCredential")
        .find(|_| !own)
    {
        return Err(ProofError::UnmappedTerm(cut(name)));
    }
    let mut quads = Quads::default();
    quads.node(document, &CREDENTIAL, &["@context"])?;
    quads.canonical()
}

/// The canonical N-Quads of a proof without its value, under the contexts of its document.
///
/// # Errors
/// As [`of_document`].
pub(crate) fn of_proof(options: &Map<String, Value>) -> Result<String, ProofError> {
    let mut options = options.clone();
    options.remove("@context");
    // The value is a term of the vocabulary, and the only one there is here.
    options.insert(
        "proofPurpose".into(),
        "https://w3id.org/security#assertionMethod".into(),
    );
    let mut quads = Quads::default();
    quads.node(&options, &PROOF, &[])?;
    quads.canonical()
}

/// Whether this node's own terms are among the contexts, all of which must be known.
fn contexts(value: Option<&Value>, suite_2020: bool) -> Result<bool, ProofError> {
    let list = match value {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let mut rest = match list {
        [first, rest @ ..] if first == CREDENTIALS_V2 => rest,
        _ => return Err(ProofError::UnknownContext),
    };
    let own = matches!(rest, [first, ..] if *first == own_context());
    if own {
        rest = rest.get(1..).unwrap_or_default();
    }
    match rest {
        [] if !suite_2020 => Ok(own),
        [last] if suite_2020 && last == ED25519_2020 => Ok(own),
        _ => Err(ProofError::UnknownContext),
    }
}

#[derive(Default)]
struct Quads {
    quads: Vec<Quad>,
    blanks: usize,
}

impl Quads {
    fn node(
        &mut self,
        members: &Map<String, Value>,
        shape: &Shape,
        beside: &[&str],
    ) -> Result<Place, ProofError> {
        let place = match members.get("id") {
            Some(Value::String(id)) => Place::Iri(iri(id)?),
            Some(_) => return Err(ProofError::UnmappedTerm("id".into())),
            None => {
                self.blanks += 1;
                Place::Blank(self.blanks - 1)
            }
        };
        let types = match members.get("type") {
            None => &[],
            Some(Value::Array(list)) => list.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        for name in types {
            let known = shape.types.iter().find(|(known, _)| name == known);
            let (_, meaning) =
                known.ok_or_else(|| ProofError::UnmappedTerm(cut(&name.to_string())))?;
            let object = Object::Place(Place::Iri((*meaning).to_owned()));
            self.say(&place, RDF_TYPE, object);
        }
        for (name, value) in members {
            if name == "id" || name == "type" || beside.contains(&name.as_str()) {
                continue;
            }
            let unmapped = || ProofError::UnmappedTerm(cut(name));
            let (_, predicate, kind) = shape
                .terms
                .iter()
                .find(|(known, ..)| name == known)
                .ok_or_else(unmapped)?;
            let object = match (kind, value) {
                (Kind::Iri, Value::String(text)) => Object::Place(Place::Iri(iri(text)?)),
                (Kind::Text, Value::String(text)) => Object::Literal(text.clone(), ""),
                (Kind::Typed(data_type), Value::String(text)) => {
                    Object::Literal(text.clone(), data_type)
                }
                (Kind::Native, value) => native(value).ok_or_else(|| match value {
                    Value::Number(number) => ProofError::InexactNumber(cut(&number.to_string())),
                    _ => unmapped(),
                })?,
                (Kind::Json, value) => {
                    let text = String::from_utf8(canonical(value)?)
                        .map_err(|error| ProofError::NotCanonical(error.to_string()))?;
                    Object::Literal(text, RDF_JSON)
                }
                (Kind::Node(shape), Value::Object(members)) => {
                    Object::Place(self.node(members, shape(members), &[])?)
                }
                // A list, null or another kind of value means something else, or nothing.
                _ => return Err(unmapped()),
            };
            self.say(&place, predicate, object);
        }
        Ok(place)
    }

    fn say(&mut self, subject: &Place, predicate: &'static str, object: Object) {
        let subject = subject.clone();
        self.quads.push(Quad {
            subject,
            predicate,
            object,
        });
    }

    /// RDF Dataset Canonicalization 1.0, section 4.4, for the case that blank nodes can be told apart by
    /// what is said of each alone.
    fn canonical(&self) -> Result<String, ProofError> {
        let mut hashes: Vec<(String, usize)> = (0..self.blanks)
            .map(|blank| (self.first_degree(blank), blank))
            .collect();
        hashes.sort();
        if hashes
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a.0 == b.0))
        {
            let why = "two of its unnamed nodes cannot be told apart";
            return Err(ProofError::NotCanonical(why.to_owned()));
        }
        let label = |blank: usize| {
            let at = hashes.iter().position(|(_, one)| *one == blank);
            format!("_:c14n{}", at.unwrap_or(0))
        };
        Ok(self.lines(label).concat())
    }

    /// Section 4.6.
    fn first_degree(&self, blank: usize) -> String {
        let mut lines: Vec<String> = self
            .quads
            .iter()
            .filter(|quad| quad.mentions(blank))
            .map(|quad| quad.line(&|one| if one == blank { "_:a" } else { "_:z" }.to_owned()))
            .collect();
        lines.sort();
        hex(&Sha256::digest(lines.concat()))
    }

    fn lines(&self, label: impl Fn(usize) -> String) -> Vec<String> {
        let mut lines: Vec<String> = self.quads.iter().map(|quad| quad.line(&label)).collect();
        lines.sort();
        lines.dedup();
        lines
    }
}

impl Quad {
    fn mentions(&self, blank: usize) -> bool {
        let is = |place: &Place| *place == Place::Blank(blank);
        is(&self.subject) || matches!(&self.object, Object::Place(place) if is(place))
    }

    /// Section 5: canonical N-Quads.
    fn line(&self, label: &impl Fn(usize) -> String) -> String {
        let place = |place: &Place| match place {
            Place::Iri(iri) => format!("<{iri}>"),
            Place::Blank(blank) => label(*blank),
        };
        let object = match &self.object {
            Object::Place(object) => place(object),
            Object::Literal(text, "") => format!("\"{}\"", escaped(text)),
            Object::Literal(text, data_type) => format!("\"{}\"^^<{data_type}>", escaped(text)),
        };
        format!("{} <{}> {object} .\n", place(&self.subject), self.predicate)
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An absolute IRI, which JSON-LD neither completes nor drops.
fn iri(text: &str) -> Result<String, ProofError> {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let mut letters = scheme.chars();
    let sound = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
        && !text.contains(|c: char| c <= ' ' || "<>\"{}|^`\\".contains(c));
    if sound {
        Ok(text.to_owned())
    } else {
        Err(ProofError::UnmappedTerm(cut(text)))
    }
}

fn native(value: &Value) -> Option<Object> {
    Some(match value {
        Value::String(text) => Object::Literal(text.clone(), ""),
        Value::Bool(value) => Object::Literal(value.to_string(), XSD_BOOLEAN),
        Value::Number(number) => {
            let (text, data_type) = number_of(number)?;
            Object::Literal(text, data_type)
        }
        _ => return None,
    })
}

/// A number as RDF has it; `None` where another number has the same form there.
fn number_of(number: &Number) -> Option<(String, &'static str)> {
    let value = number.as_f64().filter(|value| value.is_finite())?;
    if value.fract() == 0.0 && value.abs() < WHOLE_BELOW {
        // Beyond 2^53 a whole number and its neighbour are the same double.
        let exact = number.is_f64() || value.abs() < 9_007_199_254_740_992.0;
        return exact.then(|| (format!("{:.0}", value + 0.0), XSD_INTEGER));
    }
    if value.abs() < SMALLEST {
        return None;
    }
    let text = format!("{value:.15e}");
    if text.parse() != Ok(value) {
        return None;
    }
    let (digits, exponent) = text.split_once('e')?;
    let digits = digits.trim_end_matches('0');
    let zero = if digits.ends_with('.') { "0" } else { "" };
    Some((format!("{digits}{zero}E{exponent}"), XSD_DOUBLE))
}

/// The number nearest to `value` that keeps its value in RDF, which has 16 digits.
pub(crate) fn told_exactly(value: f64) -> f64 {
    if value.abs() < SMALLEST {
        return 0.0;
    }
    format!("{value:.15e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn number(value: Value) -> Option<(String, &'static str)> {
        match value {
            Value::Number(number) => number_of(&number),
            _ => None,
        }
    }

    #[test]
    fn numbers_have_one_form_or_none() {
        for (value, text, data_type) in [
            (json!(7), "7", XSD_INTEGER),
            (json!(7.0), "7", XSD_INTEGER),
            (json!(-0.0), "0", XSD_INTEGER),
            (json!(-3), "-3", XSD_INTEGER),
            (json!(0.875), "8.75E-1", XSD_DOUBLE),
            (json!(0.1), "1.0E-1", XSD_DOUBLE),
            (json!(-12.5), "-1.25E1", XSD_DOUBLE),
            (json!(1e21), "1.0E21", XSD_DOUBLE),
            (json!(1e20), "100000000000000000000", XSD_INTEGER),
        ] {
            assert_eq!(
                number(value.clone()),
                Some((text.to_owned(), data_type)),
                "{value}"
            );
        }
        // 17 digits, fractions that processors read differently, whole numbers with neighbours.
        for value in [json!(0.1 + 0.2), json!(1e-7), json!((1u64 << 53) + 1)] {
            assert_eq!(number(value.clone()), None, "{value}");
        }
        assert_eq!(told_exactly(0.1 + 0.2), 0.3);
        assert_eq!(
            (told_exactly(0.9), told_exactly(1e-9), told_exactly(-0.0)),
            (0.9, 0.0, 0.0)
        );
    }

    #[test]
    fn texts_and_names_are_escaped_or_refused() {
        assert_eq!(
            escaped("a\"\\\n\t\r\u{8}\u{c}\u{1}\u{7f}ü"),
            "a\\\"\\\\\\n\\t\\r\\b\\f\\u0001\\u007Fü"
        );
        for bad in ["", "x", "_:b0", "did:key:a b", "1a:b", "a:<", "@id"] {
            assert!(iri(bad).is_err(), "{bad}");
        }
        assert!(iri("urn:pagi:status:did:key:z6Mk#list").is_ok());
    }

    #[test]
    fn a_credential_has_its_statements() {
        let mut document = json!({
            "@context": [CREDENTIALS_V2, own_context()],
            "type": ["VerifiableCredential", "ReputationCredential"],
            "issuer": "did:key:a", "validFrom": "2027-01-01T00:00:00Z",
            "credentialSubject": {"id": "did:key:b", "reputation_score": 0.5, "contributions": [1, "x"]},
            "credentialStatus": {"type": "BitstringStatusListEntry", "statusPurpose": "revocation",
                "statusListIndex": "3", "statusListCredential": "urn:l"},
        });
        let text = of_document(document.as_object().unwrap(), false).unwrap();
        assert!(text.contains(
            "<did:key:b> <urn:pagi:credentials#contributions> \"[1,\\\"x\\\"]\"^^<http://www.w3.org/1999/02/22-rdf-syntax-ns#JSON> .\n"
        ), "{text}");
        assert_eq!(text.lines().count(), 12);
        assert!(text.contains("_:c14n1") && !text.contains("_:c14n2"));
        for (pointer, value) in [
            ("/unmapped", json!(1)),
            ("/credentialSubject/unmapped", json!(1)),
            ("/credentialSubject/name", json!("x")),
            ("/credentialStatus/unmapped", json!(1)),
            ("/name", json!(["x"])),
            ("/issuer", json!("nobody")),
            ("/credentialSubject/reputation_score", json!(null)),
            ("/credentialSubject/swarm", json!([])),
            ("/validFrom", json!(7)),
            ("/type", json!(["VerifiableCredential", "Other"])),
            ("/id", json!(7)),
        ] {
            let before = document.clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[name] = value;
            let refused = of_document(document.as_object().unwrap(), false);
            assert!(
                matches!(refused, Err(ProofError::UnmappedTerm(_))),
                "{pointer}: {refused:?}"
            );
            document = before;
        }
        for context in [
            json!([]),
            json!(["urn:x"]),
            json!([CREDENTIALS_V2, "urn:x"]),
            json!(null),
        ] {
            document["@context"] = context;
            assert_eq!(
                of_document(document.as_object().unwrap(), false),
                Err(ProofError::UnknownContext)
            );
        }
        // Without our own terms our own types mean nothing.
        document["@context"] = json!([CREDENTIALS_V2]);
        assert!(matches!(
            of_document(document.as_object().unwrap(), false),
            Err(ProofError::UnmappedTerm(_))
        ));
    }
}
