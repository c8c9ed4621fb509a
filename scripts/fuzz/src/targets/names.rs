//! Names: DIDs, peer ids, addresses.

use pagi_bootstrap::{BootstrapAddress, BootstrapList, MAX_ADDRESSES, PeerIdText};
use pagi_messages::Did;

use super::identity;

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

pub fn did_seeds() -> Vec<Vec<u8>> {
    (1..5)
        .map(|n| identity(n).did().to_string().into_bytes())
        .collect()
}

pub fn did(data: &[u8]) -> bool {
    let Some(Ok(did)) = text(data).map(str::parse::<Did>) else {
        return false;
    };
    assert_eq!(did.as_str().as_bytes(), data);
    let key = did.public_key().expect("a DID holds a key");
    assert_eq!(Did::from_public_key(&key), did, "one key has two DIDs");
    let peer = did.peer_id().expect("a DID has a peer id");
    assert_eq!(Did::from_peer_id(&peer).expect("and back"), did);
    let document = did.document().expect("a DID has a document");
    assert_eq!(document["id"], did.as_str());
    if let Ok(id) = did.agreement_key_id() {
        assert_eq!(document["keyAgreement"][0]["id"], id);
    }
    let json = serde_json::to_string(&did).expect("a DID is JSON");
    assert_eq!(serde_json::from_str::<Did>(&json).expect("and back"), did);
    let signature = identity(1).sign(b"message");
    assert_eq!(
        did.verify(b"message", &signature).is_ok(),
        did == *identity(1).did(),
        "a signature holds for another"
    );
    true
}

pub fn peer_id_seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (1..4)
        .map(|n| identity(n).did().peer_id().expect("one").into_bytes())
        .collect();
    all.push(b"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".to_vec());
    all.push(b"bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe".to_vec());
    all
}

pub fn peer_id(data: &[u8]) -> bool {
    let Some(text) = text(data) else { return false };
    let did = Did::from_peer_id(text);
    let Ok(peer) = PeerIdText::parse(text) else {
        assert!(did.is_err(), "a DID comes of what is no peer id");
        return false;
    };
    let again = PeerIdText::parse(peer.as_str()).expect("its own form reads");
    assert_eq!(again, peer, "its one form is not fixed");
    if let Ok(did) = did {
        assert_eq!(did.peer_id().expect("and back"), peer.as_str());
    }
    true
}

pub fn bootstrap_seeds() -> Vec<Vec<u8>> {
    let id = identity(1).did().peer_id().expect("one");
    let address = |head: &str| format!("{head}/p2p/{id}");
    let heads = [
        "/ip4/192.0.2.7/tcp/4001",
        "/ip4/127.0.0.1/udp/4001/quic-v1",
        "/ip6/2001:db8::1/tcp/443/wss",
        "/dns/node.example.org/tcp/443/tls/ws",
        "/dnsaddr/boot.example.org",
    ];
    let lines: Vec<String> = heads.iter().map(|head| address(head)).collect();
    let relayed = format!("{}/p2p-circuit/p2p/{id}", address(heads[0]));
    let mut all: Vec<Vec<u8>> = lines.iter().map(|line| line.clone().into_bytes()).collect();
    all.push(relayed.into_bytes());
    all.push(format!("# ours\n{}\n", lines.join("\n")).into_bytes());
    all.push(format!("bootstrap = [{:?}, {:?}]\n", lines[0], lines[3]).into_bytes());
    all
}

pub fn bootstrap(data: &[u8]) -> bool {
    let Some(text) = text(data) else { return false };
    if let Ok(address) = BootstrapAddress::parse(text) {
        whole(&address);
    }
    let Ok(list) = BootstrapList::parse(text) else {
        return false;
    };
    assert!(list.as_slice().len() <= MAX_ADDRESSES);
    list.as_slice().iter().for_each(whole);
    let again = BootstrapList::from_args(list.as_slice().iter().map(BootstrapAddress::as_str))
        .expect("a list of addresses is a list");
    assert_eq!(again, list);
    assert_eq!(list.merge(&again).expect("they fit"), list);
    true
}

fn whole(address: &BootstrapAddress) {
    let again = BootstrapAddress::parse(address.as_str()).expect("an address reads back");
    assert_eq!(&again, address);
    let canonical = BootstrapAddress::parse(address.canonical()).expect("so does its one form");
    assert_eq!(&canonical, address, "its one form is another address");
    assert_eq!(canonical.canonical(), address.canonical());
    PeerIdText::parse(address.peer_id().as_str()).expect("its peer id is one");
}
