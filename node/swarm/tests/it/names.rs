//! Host names in addresses, and DIDs looked up in the DHT.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pagi_messages::{Did, SigningIdentity};
use pagi_swarm::{Resolver, SwarmOptions};

use crate::attacker::{Attacker, put_value, send};
use crate::support::{Node, acquainted, node, node_opt, node_with, until};

/// A resolver with answers of the test's own, which may change.
#[derive(Default)]
struct Book {
    hosts: Mutex<HashMap<String, Vec<IpAddr>>>,
    texts: Mutex<HashMap<String, Vec<String>>>,
    asked: Mutex<usize>,
}

#[async_trait]
impl Resolver for Book {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        *self.asked.lock().unwrap() += 1;
        let found = self.hosts.lock().unwrap().get(host).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    async fn texts(&self, name: &str) -> io::Result<Vec<String>> {
        *self.asked.lock().unwrap() += 1;
        let found = self.texts.lock().unwrap().get(name).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A node that finds `target` by an address with a name.
async fn finds(seed: u8, addr: String, book: Option<Arc<Book>>) -> Node {
    let resolver = book.map(|book| book as Arc<dyn Resolver>);
    let options = SwarmOptions {
        resolver,
        ..SwarmOptions::default()
    };
    node_opt(seed, |config| config.bootstrap = vec![addr], options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn localhost_is_found_by_its_name() {
    let a = node(170, |_| ()).await;
    let addr = a.addr().await;
    let named = addr.replace("/ip4/127.0.0.1/", "/dns4/localhost/");
    assert_ne!(addr, named);
    let b = finds(171, named.clone(), None).await;
    acquainted(&a, &b).await;
    let c = node(172, |_| ()).await;
    c.swarm.dial(&named).await.unwrap();
    acquainted(&a, &c).await;
    let nowhere = c.swarm.dial("/dns4/no-such-host.invalid/tcp/1").await;
    assert!(nowhere.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_resolved_anew_until_the_peer_is_reached() {
    let a = node(173, |_| ()).await;
    let addr = a.addr().await;
    let book = Arc::new(Book::default());
    let b = finds(
        174,
        addr.replace("/ip4/127.0.0.1/", "/dns/node.example/"),
        Some(Arc::clone(&book)),
    )
    .await;
    until("the name is asked for in vain", || async {
        *book.asked.lock().unwrap() >= 2
    })
    .await;
    let here = vec![IpAddr::from([127, 0, 0, 1])];
    book.hosts
        .lock()
        .unwrap()
        .insert("node.example".into(), here);
    acquainted(&a, &b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_addresses_is_followed() {
    let a = node(175, |_| ()).await;
    let addr = a.addr().await;
    let book = Arc::new(Book::default());
    let texts = vec![
        "dnsaddr=/ip4/127.0.0.1/tcp/1/p2p/12D3KooWNvSZnPi3RrhrTwEY4LuuBeB6K6facKUCJcyWG1aoDd2p"
            .to_owned(),
        format!("dnsaddr={addr}"),
    ];
    let name = "_dnsaddr.boot.example".to_owned();
    book.texts.lock().unwrap().insert(name, texts);
    let list = format!("/dnsaddr/boot.example/p2p/{}", a.id());
    let b = finds(176, list, Some(book)).await;
    acquainted(&a, &b).await;
}

const SEARCH: Duration = Duration::from_secs(5);

async fn resolved(node: &Node, did: &Did) -> Option<pagi_swarm::Whereabouts> {
    node.swarm.resolve(did, SEARCH).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_did_leads_to_its_node_and_poisoned_records_to_nobody() {
    let a = node(177, |config| config.limits.spare_loopback = false).await;
    let b = node_with(178, &a).await;
    let c = node_with(179, &a).await;
    for node in [&b, &c] {
        acquainted(&a, node).await;
    }
    let twin = SigningIdentity::from_seed(&[42; 32]);
    assert_eq!(resolved(&c, twin.did()).await, None);
    until("it is announced", || async {
        b.swarm.announce(&twin).await.is_ok()
    })
    .await;
    let found = resolved(&c, twin.did()).await.unwrap();
    assert_eq!(found.peer_id, b.id());
    let addr = format!("{}/p2p/{}", found.addrs[0], found.peer_id);
    c.swarm.dial(&addr).await.unwrap();
    acquainted(&b, &c).await;

    // Moved: the later record counts.
    until("it is announced elsewhere", || async {
        c.swarm.announce(&twin).await.is_ok()
    })
    .await;
    assert_eq!(resolved(&a, twin.did()).await.unwrap().peer_id, c.id());

    // An attacker with a record of its own making, at many nodes' door.
    let before = a.swarm.stats().records_refused;
    let mut attacker = Attacker::connect(&a.addr().await, IpAddr::from([127, 0, 0, 80]))
        .await
        .unwrap();
    let mut stream = attacker.open("/pagi/pagi/kad/1").await.unwrap();
    for n in 0..50u8 {
        let key = [&[0x12, 32][..], &[n; 32]].concat();
        if send(&mut stream, &put_value(&key, b"lies")).await.is_err() {
            break;
        }
    }
    until("the poison is refused and its bearer banned", || async {
        let stats = a.swarm.stats();
        stats.records_refused >= before + 30 && stats.banned == 1
    })
    .await;
    assert_eq!(resolved(&a, twin.did()).await.unwrap().peer_id, c.id());
}
