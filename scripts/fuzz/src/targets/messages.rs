//! DIDComm: envelopes, plaintexts, and whom an envelope names.

use pagi_didcomm::{
    Attachment, AttachmentData, BasicMessage, Content, DiscoverFeatures, Headers, Limits, Message,
    Packing, TrustPing, pack, protocols::Query, unpack,
};
use serde_json::{Map, json};

use super::{NOW_S, identity};

fn headers() -> Headers {
    Headers::new("m-1", identity(1).did(), identity(2).did(), NOW_S)
}

fn messages() -> Vec<Message> {
    let mut rich = headers().expires_at(NOW_S + 60).message(
        "https://example.org/x/1.0/y",
        json!({"a": [1, null], "b": {"c": "d"}})
            .as_object()
            .cloned()
            .unwrap_or_default(),
    );
    rich.thid = Some("t-1".into());
    rich.extra.insert("lang".into(), json!("en"));
    rich.attachments.push(Attachment {
        id: Some("a".into()),
        description: None,
        filename: None,
        media_type: Some("text/plain".into()),
        format: None,
        lastmod_time: None,
        byte_count: Some(2),
        data: AttachmentData {
            base64: Some("aGk".into()),
            ..AttachmentData::default()
        },
        extra: Map::new(),
    });
    let query = Query {
        feature_type: "protocol".into(),
        pattern: "https://didcomm.org/*".into(),
    };
    let research = headers().message(
        "urn:pagi:coordinate-research/1.0/propose",
        json!({"question": "how many?", "deadline": NOW_S})
            .as_object()
            .cloned()
            .unwrap_or_default(),
    );
    vec![
        BasicMessage::message(headers(), "the backup is done", Some("en")),
        TrustPing::ping(headers(), true),
        DiscoverFeatures::queries(headers(), vec![query]),
        research,
        rich,
    ]
}

pub fn envelope_seeds() -> Vec<Vec<u8>> {
    let (sender, to) = (identity(1), identity(2));
    let message = BasicMessage::message(headers(), "the backup is done", None);
    let mut nameless = message.clone();
    nameless.from = None;
    let mut all: Vec<Vec<u8>> = [
        Packing::Authcrypt,
        Packing::HiddenAuthcrypt,
        Packing::Signed,
        Packing::SignedThenEncrypted,
    ]
    .into_iter()
    .map(|packing| {
        pack(&message, packing, Some(&sender), to.did())
            .expect("it packs")
            .into_bytes()
    })
    .collect();
    all.push(
        pack(&nameless, Packing::Anoncrypt, None, to.did())
            .expect("it packs")
            .into_bytes(),
    );
    all
}

pub fn envelope(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let limits = Limits::default();
    assert!(
        unpack(text, &identity(3), NOW_S, &limits).is_err(),
        "another can read it"
    );
    let Ok(unpacked) = unpack(text, &identity(2), NOW_S, &limits) else {
        return false;
    };
    // Nobody but identity 1 has packed anything: what opens is what it packed, or anonymous.
    if let Some(sender) = unpacked.sender() {
        assert_eq!(sender, identity(1).did(), "a sender who packed nothing");
        assert_eq!(unpacked.message.from.as_ref(), Some(sender));
    } else {
        assert!(unpacked.message.from.is_none(), "an unproven sender");
        assert!(unpacked.encrypted);
    }
    let json = unpacked.message.to_json().expect("it can be written");
    assert_eq!(
        Message::from_json(json.as_bytes()).expect("and read"),
        unpacked.message
    );
    true
}

pub fn recipients(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(found) = pagi_twin::messaging::recipients(text) else {
        return false;
    };
    assert!(found.len() <= 64, "{} recipients", found.len());
    // Whoever can open it is among those it names.
    let mine = unpack(text, &identity(2), NOW_S, &Limits::default()).is_ok();
    assert!(!mine || found.iter().any(|did| did == identity(2).did().as_str()));
    true
}

pub fn resolve_seeds() -> Vec<Vec<u8>> {
    let key = identity(1).did().clone();
    let agreement = key.agreement_key_id().expect("it has one");
    let agreement = agreement.rsplit('#').next().unwrap_or_default();
    let service = "SeyJ0IjoiZG0iLCJzIjp7InVyaSI6Imh0dHA6Ly9leGFtcGxlLmNvbSIsInIiOltdfX0";
    let peer = format!("did:peer:2.V{}.E{agreement}.{service}", key.fingerprint());
    let single = format!("did:peer:0{}", key.fingerprint());
    [key.to_string(), single, peer]
        .map(String::into_bytes)
        .into()
}

pub fn resolve(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    match pagi_didcomm::resolve::resolve(text) {
        Ok(document) => {
            assert_eq!(document["id"], text, "the document of another");
            true
        }
        Err(_) => false,
    }
}

pub fn plaintext_seeds() -> Vec<Vec<u8>> {
    messages()
        .iter()
        .map(|message| message.to_json().expect("it can be written").into_bytes())
        .collect()
}

pub fn plaintext(data: &[u8]) -> bool {
    let Ok(message) = Message::from_json(data) else {
        return false;
    };
    let json = message.to_json().expect("what was read can be written");
    let again = Message::from_json(json.as_bytes()).expect("and read");
    assert_eq!(again, message);
    let _ = Content::of(&message);
    let _ = message.thread();
    // What can be packed opens as what it was.
    let (sender, to) = (identity(1), identity(2));
    if let Ok(packed) = pack(&message, Packing::Authcrypt, Some(&sender), to.did()) {
        let limits = Limits {
            max_bytes: usize::MAX,
            ..Limits::default()
        };
        let now = message.created_time.unwrap_or(NOW_S);
        if let Ok(unpacked) = unpack(&packed, &to, now, &limits) {
            assert_eq!(unpacked.message, message);
            assert_eq!(unpacked.sender(), Some(sender.did()));
        }
    }
    true
}
