//! The table of targets, and what their checks share.

mod api;
mod credentials;
mod gossip;
mod joining;
mod messages;
mod names;
mod playbook;
mod tools;
mod transport;

use std::fmt::Debug;

use pagi_messages::{
    Domain, Signed, SigningIdentity, Verified, cid_of, from_dag_cbor, to_dag_cbor,
};
use serde::de::DeserializeOwned;

/// One decoder of bytes from the network.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it decodes.
    pub about: &'static str,
    /// Messages to start from, made by the crates' own encoders. The decoder takes every one.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Panics where something does not hold; otherwise says whether the decoder took the input.
    pub check: fn(&[u8]) -> bool,
    /// The longest input tried, bytes.
    pub max_bytes: usize,
    /// What a check may hold beyond 256 bytes for each of its input, bytes.
    pub memory: usize,
}

const fn target(
    name: &'static str,
    about: &'static str,
    seeds: fn() -> Vec<Vec<u8>>,
    check: fn(&[u8]) -> bool,
) -> Target {
    Target {
        name,
        about,
        seeds,
        check,
        max_bytes: 64 * 1024,
        memory: 4 * 1024 * 1024,
    }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target(
        "coordination",
        "messages of the coordination topic",
        gossip::coordination_seeds,
        gossip::coordination,
    ),
    target(
        "election",
        "messages of the election topic",
        gossip::election_seeds,
        gossip::election,
    ),
    target(
        "certificate",
        "election certificates as blocks",
        gossip::certificate_seeds,
        gossip::certificate,
    ),
    target(
        "task",
        "messages of the task market, up to the machine",
        gossip::task_seeds,
        gossip::task,
    ),
    target(
        "artifact",
        "refinement artifacts as blocks, and their gates",
        playbook::artifact_seeds,
        playbook::artifact,
    ),
    target(
        "revision",
        "playbook revisions as blocks, up to the DAG",
        playbook::revision_seeds,
        playbook::revision,
    ),
    target(
        "playbook-genesis",
        "the genesis block of a playbook",
        playbook::genesis_seeds,
        playbook::genesis,
    ),
    target(
        "playbook-toml",
        "playbooks in TOML",
        playbook::toml_seeds,
        playbook::toml,
    ),
    target(
        "dag-cbor",
        "DAG-CBOR documents",
        playbook::document_seeds,
        playbook::document,
    ),
    target(
        "frame",
        "framing of requests and replies between nodes",
        transport::frame_seeds,
        transport::frame,
    ),
    target(
        "block-request",
        "private requests for a block",
        transport::block_request_seeds,
        transport::block_request,
    ),
    target(
        "bitswap",
        "what peers want, have and send of blocks",
        transport::bitswap_seeds,
        transport::bitswap,
    ),
    target("did", "did:key identifiers", names::did_seeds, names::did),
    target(
        "did-document",
        "DIDs that hold their documents: did:peer beside did:key",
        messages::resolve_seeds,
        messages::resolve,
    ),
    target(
        "peer-id",
        "peer ids as text",
        names::peer_id_seeds,
        names::peer_id,
    ),
    target(
        "bootstrap",
        "multiaddrs and bootstrap lists, as lines and TOML",
        names::bootstrap_seeds,
        names::bootstrap,
    ),
    target(
        "swarm-genesis",
        "the genesis block of a swarm",
        joining::genesis_seeds,
        joining::genesis,
    ),
    target(
        "invitation",
        "invitations, with delegations, up to the gatekeeper",
        joining::invitation_seeds,
        joining::invitation,
    ),
    target(
        "revocation",
        "revocations, up to the gatekeeper",
        joining::revocation_seeds,
        joining::revocation,
    ),
    target(
        "join-ticket",
        "join strings, their checksum mended",
        joining::ticket_seeds,
        joining::ticket,
    ),
    target(
        "envelope",
        "DIDComm envelopes: JWE, JWS and layers of both",
        messages::envelope_seeds,
        messages::envelope,
    ),
    target(
        "plaintext",
        "DIDComm plaintexts and the protocols in them",
        messages::plaintext_seeds,
        messages::plaintext,
    ),
    target(
        "recipients",
        "whom a packed message names on its outside",
        messages::envelope_seeds,
        messages::recipients,
    ),
    target(
        "credential",
        "verifiable credentials and their proofs",
        credentials::seeds,
        credentials::check,
    ),
    target("event", "event envelopes", api::event_seeds, api::event),
    target(
        "rest-body",
        "bodies of the REST API",
        api::body_seeds,
        api::body,
    ),
    target(
        "manifest",
        "plugin manifests",
        tools::manifest_seeds,
        tools::manifest,
    ),
    Target {
        memory: 64 * 1024 * 1024,
        ..target(
            "wasm-module",
            "WebAssembly modules and what they register",
            tools::module_seeds,
            tools::module,
        )
    },
    Target {
        memory: 64 * 1024 * 1024,
        max_bytes: 4 * 1024,
        ..target(
            "wasm-result",
            "what a WebAssembly tool returns",
            tools::result_seeds,
            tools::result,
        )
    },
    Target {
        memory: 16 * 1024 * 1024,
        ..target(
            "tool-answer",
            "HTTP answers of a tool",
            tools::answer_seeds,
            tools::answer,
        )
    },
    Target {
        memory: 16 * 1024 * 1024,
        ..target(
            "chat-stream",
            "streamed and whole answers of a chat completions server",
            tools::chat_seeds,
            tools::chat,
        )
    },
];

/// The target called `name`.
#[must_use]
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Now, for every check: the same in each run.
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;
/// The same in seconds.
pub(crate) const NOW_S: u64 = NOW_MS / 1000;

/// Some identity.
pub(crate) fn identity(number: u8) -> SigningIdentity {
    SigningIdentity::from_seed(&[number; 32])
}

/// A body signed by identity 1, as it travels.
pub(crate) fn sealed<T: Domain>(body: T) -> Vec<u8> {
    let signed = Verified::sign(&identity(1), body).expect("a body of ours has a form");
    to_dag_cbor(signed.as_signed()).expect("so has its signed form")
}

/// What must hold of any bytes read as a signed body: it comes back from the encoder as it was; if it
/// verifies it still does; and signed by us it verifies here and after a trip. Returns the body signed
/// by identity 1, whose content is the input's.
pub(crate) fn signed<T>(data: &[u8]) -> Option<Verified<T>>
where
    T: Domain + DeserializeOwned + Clone + PartialEq + Debug,
{
    let read: Signed<T> = from_dag_cbor(data).ok()?;
    assert!(
        read.author.as_str().parse() == Ok(read.author.clone()),
        "a decoded DID does not read back"
    );
    assert!(read.author.public_key().is_ok(), "a decoded DID has no key");
    let bytes = to_dag_cbor(&read).expect("what was read can be written");
    let again: Signed<T> = from_dag_cbor(&bytes).expect("what was written can be read");
    assert_eq!(again, read, "a trip through the encoder changes it");
    assert_eq!(
        read.clone().verify().is_ok(),
        again.verify().is_ok(),
        "a trip changes whether it verifies"
    );
    let ours = Verified::sign(&identity(1), read.body).expect("a decoded body can be signed");
    let bytes = to_dag_cbor(ours.as_signed()).expect("and written");
    let back: Signed<T> = from_dag_cbor(&bytes).expect("and read");
    assert_eq!(back.verify().expect("and verified"), ours);
    Some(ours)
}

/// The CID of DAG-CBOR bytes, and the bytes.
pub(crate) fn block(bytes: Vec<u8>) -> (cid::Cid, Vec<u8>) {
    (cid_of(&bytes), bytes)
}
