//! The public behaviour: bootstrap lists here, swarms and admission beside it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "test helpers outside #[test] functions may panic: that is how a test fails"
)]

mod swarm;

use pagi_bootstrap::{AddressError as E, BootstrapAddress, BootstrapError, BootstrapList};
use proptest::prelude::*;

const ID: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
const RSA: &str = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
const RSA_CID: &str = "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe";

#[test]
fn good_addresses() {
    for head in [
        "/ip4/192.0.2.7/tcp/4001",
        "/ip4/127.0.0.1/udp/4001/quic-v1",
        "/ip6/2001:db8::1/tcp/443/wss",
        "/ip6/::1/udp/1/quic-v1",
        "/dns/node.example.org/tcp/443/tls/ws",
        "/dns4/node.example.org/tcp/80/ws",
        "/dns6/node_1.example.org/tcp/65535",
        "/dns/bücher.example/tcp/4001",
        "/dnsaddr/boot.example.org",
        "/dnsaddr/boot.example.org/tcp/4001",
    ] {
        for id in [ID, RSA, RSA_CID] {
            let text = format!("{head}/p2p/{id}");
            let address = BootstrapAddress::parse(&text).unwrap();
            assert_eq!(address.as_str(), text);
            assert_eq!(address.peer_id().as_str(), if id == ID { ID } else { RSA });
        }
    }
    let relayed = format!("/ip4/192.0.2.7/tcp/4001/p2p/{RSA}/p2p-circuit/p2p/{ID}");
    assert_eq!(
        BootstrapAddress::parse(&relayed)
            .unwrap()
            .peer_id()
            .as_str(),
        ID
    );
}

#[test]
fn bad_addresses_say_what_is_missing() {
    let s = str::to_owned;
    let rows: Vec<(String, E)> = vec![
        (s(""), E::Empty),
        (s("   "), E::Empty),
        (s("192.0.2.7:4001"), E::NoLeadingSlash),
        (s("/"), E::UnknownHost(s(""))),
        (s("/tcp/4001"), E::UnknownHost(s("tcp"))),
        (s("/unix/run/x"), E::UnknownHost(s("unix"))),
        (s("/ip4"), E::MissingValue(s("ip4"))),
        (s("/ip4//tcp/1"), E::MissingValue(s("ip4"))),
        (
            s("/ip4/node.example.org/tcp/4001"),
            E::BadIp4(s("node.example.org")),
        ),
        (s("/ip4/300.1.1.1/tcp/4001"), E::BadIp4(s("300.1.1.1"))),
        (s("/ip6/192.0.2.7/tcp/4001"), E::BadIp6(s("192.0.2.7"))),
        (s("/ip4/0.0.0.0/tcp/4001"), E::Unspecified(s("0.0.0.0"))),
        (s("/ip6/::/tcp/4001"), E::Unspecified(s("::"))),
        (s("/dns/-bad-/tcp/4001"), E::BadName(s("-bad-"))),
        (s("/dns/a..b/tcp/4001"), E::BadName(s("a..b"))),
        (s("/dns/a b/tcp/4001"), E::BadName(s("a b"))),
        (s("/ip4/192.0.2.7"), E::MissingTransport),
        (format!("/ip4/192.0.2.7/p2p/{ID}"), E::MissingTransport),
        (s("/ip4/192.0.2.7/sctp/1"), E::UnknownTransport(s("sctp"))),
        (s("/ip4/192.0.2.7/tcp"), E::MissingValue(s("tcp"))),
        (s("/ip4/192.0.2.7/tcp/http"), E::BadPort(s("http"))),
        (s("/ip4/192.0.2.7/tcp/+80"), E::BadPort(s("+80"))),
        (s("/ip4/192.0.2.7/tcp/0"), E::BadPort(s("0"))),
        (s("/ip4/192.0.2.7/tcp/65536"), E::BadPort(s("65536"))),
        (format!("/ip4/192.0.2.7/udp/4001/p2p/{ID}"), E::MissingQuic),
        (
            format!("/ip4/192.0.2.7/udp/4001/quic/p2p/{ID}"),
            E::MissingQuic,
        ),
        (s("/ip4/192.0.2.7/tcp/4001"), E::MissingPeerId),
        (s("/ip4/192.0.2.7/tcp/4001/"), E::MissingPeerId),
        (s("/ip4/192.0.2.7/tcp/4001/p2p"), E::MissingPeerId),
        (s("/ip4/192.0.2.7/tcp/4001/p2p/"), E::MissingPeerId),
        (s("/dnsaddr/boot.example.org"), E::MissingPeerId),
        (format!("/ip4/192.0.2.7/tcp/4001/ipfs/{ID}"), E::LegacyName),
        (
            format!("/ip4/192.0.2.7/tcp/4001/http/p2p/{ID}"),
            E::Unexpected(s("http")),
        ),
        (
            format!("/ip4/192.0.2.7/tcp/4001/p2p/{ID}/extra"),
            E::Unexpected(s("extra")),
        ),
        (format!("/dns/{}/tcp/1", "a".repeat(2000)), E::TooLong),
    ];
    for (text, error) in rows {
        assert_eq!(BootstrapAddress::parse(&text), Err(error), "{text}");
    }
    for id in [
        "PEERID",
        "12D3KooWEyopp",
        "Qm123",
        "bafyreigdyrzt5sfp7udm7hu76uh7y26nf3efuyl",
    ] {
        let text = format!("/ip4/192.0.2.7/tcp/4001/p2p/{id}");
        assert!(
            matches!(BootstrapAddress::parse(&text), Err(E::BadPeerId { .. })),
            "{id}"
        );
    }
    assert_eq!(
        E::MissingPeerId.to_string(),
        "add /p2p/PEERID: `pagi run` on the other node prints the full address"
    );
}

#[test]
fn text_lists_skip_comments_and_repeats() {
    let text = format!(
        "\u{feff}# nodes\r\n\r\n/ip4/192.0.2.7/tcp/4001/p2p/{ID} # the office\r\n\
         /dns/Node.Example.org/tcp/4001/p2p/{RSA}\n/dns/node.example.org./tcp/04001/p2p/{RSA_CID}\n\
         /ip4/192.0.2.7/tcp/4001/p2p/{ID}\n"
    );
    let list = BootstrapList::parse(&text).unwrap();
    let texts: Vec<_> = list
        .as_slice()
        .iter()
        .map(BootstrapAddress::as_str)
        .collect();
    assert_eq!(
        texts,
        [
            format!("/ip4/192.0.2.7/tcp/4001/p2p/{ID}"),
            format!("/dns/Node.Example.org/tcp/4001/p2p/{RSA}")
        ]
    );
    assert!(BootstrapList::parse("# none\n\n").unwrap().is_empty());
    assert!(BootstrapList::parse("").unwrap().is_empty());
}

#[test]
fn mistakes_carry_their_line() {
    let text = format!("# nodes\n/ip4/192.0.2.7/tcp/4001/p2p/{ID}\n\n/ip4/192.0.2.8/tcp/4001\n");
    let error = BootstrapList::parse(&text).unwrap_err();
    assert_eq!(
        error,
        BootstrapError::Line {
            line: 4,
            source: E::MissingPeerId
        }
    );
    assert!(
        error.to_string().starts_with("line 4: add /p2p/PEERID"),
        "{error}"
    );
    let error = BootstrapList::parse("office.example.org:4001\n").unwrap_err();
    assert_eq!(
        error,
        BootstrapError::Line {
            line: 1,
            source: E::NoLeadingSlash
        }
    );
}

#[test]
fn toml_lists() {
    let text = format!(
        "# nodes\nbootstrap = [\n  \"/ip4/192.0.2.7/tcp/4001/p2p/{ID}\", # the office\n  \
         \"/ip4/192.0.2.7/tcp/4001/p2p/{ID}\",\n]\n"
    );
    assert_eq!(BootstrapList::parse(&text).unwrap().as_slice().len(), 1);
    let wrong = text
        .replacen("/tcp/4001", "/tcp/x", 2)
        .replacen("/tcp/x", "/tcp/4001", 1);
    assert_eq!(
        BootstrapList::parse(&wrong),
        Err(BootstrapError::Line {
            line: 4,
            source: E::BadPort("x".into())
        })
    );
    assert!(matches!(
        BootstrapList::parse("bootstrap = [\n1,\n]"),
        Err(BootstrapError::Toml { line: 2, .. })
    ));
    assert!(matches!(
        BootstrapList::parse("[swarm]\n"),
        Err(BootstrapError::Toml { .. })
    ));
    assert!(matches!(
        BootstrapList::parse("a = = 1\n"),
        Err(BootstrapError::Toml { line: 1, .. })
    ));
}

#[test]
fn arguments_carry_their_position() {
    let good = format!("/ip4/192.0.2.7/tcp/4001/p2p/{ID}");
    assert_eq!(
        BootstrapList::from_args([&good, &good])
            .unwrap()
            .as_slice()
            .len(),
        1
    );
    let error = BootstrapList::from_args([good.as_str(), "/ip4/192.0.2.8/tcp/1"]).unwrap_err();
    assert!(
        matches!(error, BootstrapError::Argument { position: 2, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("/ip4/192.0.2.8/tcp/1"),
        "{error}"
    );
}

#[test]
fn merging_keeps_order_and_drops_repeats() {
    let a = BootstrapList::from_args([format!("/ip4/192.0.2.7/tcp/1/p2p/{ID}")]).unwrap();
    let b = BootstrapList::from_args([
        format!("/ip4/192.0.2.8/tcp/1/p2p/{ID}"),
        format!("/ip4/192.0.2.7/tcp/1/p2p/{ID}"),
    ])
    .unwrap();
    let merged = a.merge(&b).unwrap();
    assert_eq!(
        merged.as_slice(),
        [a.as_slice()[0].clone(), b.as_slice()[0].clone()]
    );
}

#[test]
fn lists_are_bounded() {
    let text: String = (1..=1001)
        .map(|port| format!("/ip4/192.0.2.7/tcp/{port}/p2p/{ID}\n"))
        .collect();
    assert_eq!(BootstrapList::parse(&text), Err(BootstrapError::TooMany));
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC{0,120}", lines in "[/a-z0-9:.#\\n =\\[\\]\"]{0,200}") {
        let _ = BootstrapAddress::parse(&text);
        let _ = BootstrapList::parse(&text);
        let _ = BootstrapList::parse(&lines);
    }

    #[test]
    fn made_up_of_valid_words_never_panics(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("ip4"), Just("ip6"), Just("dns"), Just("dnsaddr"), Just("tcp"), Just("udp"),
                Just("quic-v1"), Just("ws"), Just("tls"), Just("p2p"), Just("p2p-circuit"),
                Just(""), Just("1.2.3.4"), Just("::1"), Just("4001"), Just(ID), Just(RSA_CID),
            ],
            0..12,
        ),
    ) {
        let text = format!("/{}", parts.join("/"));
        if let Ok(address) = BootstrapAddress::parse(&text) {
            // What is accepted stays accepted in its canonical form, and names the same thing.
            let again = BootstrapAddress::parse(address.canonical()).unwrap();
            prop_assert_eq!(again.canonical(), address.canonical());
            prop_assert_eq!(again.peer_id(), address.peer_id());
        }
    }
}
