//! Whatever bytes come in, the server answers the next client.

use std::{sync::Arc, time::Duration};

use proptest::{prelude::*, test_runner::TestRunner};

use crate::{
    SECRET,
    client::{Client, raw, status_of},
    start,
};

/// Bytes that are HTTP in part: a head that may be fine or not, and any body.
fn almost_http() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![
        Just("GET"),
        Just("POST"),
        Just("PATCH"),
        Just("PRI"),
        Just("")
    ];
    let path = prop_oneof![
        Just("/twins".to_owned()),
        Just("/ipfs/dag".to_owned()),
        Just("/interact/x".to_owned()),
        "[ -~]{0,30}",
        "/(%[0-9a-f]{2}|[a-z/.]){0,20}",
    ];
    let header = prop_oneof![
        Just("content-type: application/json".to_owned()),
        Just(format!("authorization: Bearer {SECRET}")),
        Just("host: localhost".to_owned()),
        Just("transfer-encoding: chunked".to_owned()),
        "content-length: [0-9]{1,30}",
        "accept: [ -~]{0,20}",
        "[ -~]{0,40}",
    ];
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "[\\[\\]{}\":,a-z0-9 ]{0,100}".prop_map(String::into_bytes),
    ];
    (method, path, proptest::collection::vec(header, 0..6), body).prop_map(
        |(method, path, headers, body)| {
            let mut bytes = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
            for header in headers {
                bytes.extend_from_slice(header.as_bytes());
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(&body);
            bytes
        },
    )
}

#[test]
fn no_bytes_keep_the_server_from_its_next_client() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(start());
    let node = Arc::clone(&server.node);
    let addr = server.addr();
    let anything = prop_oneof![
        3 => almost_http(),
        1 => proptest::collection::vec(any::<u8>(), 0..500),
    ];
    let config = ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..Default::default()
    };
    TestRunner::new(config)
        .run(&anything, |bytes| {
            runtime.block_on(async {
                let answer = raw(addr, &bytes, Duration::from_millis(20)).await;
                let status = status_of(&answer);
                prop_assert!(
                    answer.is_empty() || (200..=505).contains(&status),
                    "{status}"
                );
                prop_assert!(status != 500, "{}", String::from_utf8_lossy(&answer));
                let next = Client::tcp(addr).get("/healthz").await;
                prop_assert_eq!(next.status, 200);
                Ok(())
            })
        })
        .unwrap();
    runtime.block_on(async {
        let head = "GET /twins HTTP/1.1\r\nhost: localhost\r\n";
        let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
        let long = format!("x: {}\r\n", "y".repeat(200_000));
        for headers in [many, long] {
            let request = format!("{head}{headers}\r\n");
            let answer = raw(addr, request.as_bytes(), Duration::from_secs(10)).await;
            assert!(
                matches!(status_of(&answer), 0 | 400 | 431),
                "{}",
                status_of(&answer)
            );
        }
        assert_eq!(server.client().get("/twins").await.status, 200);
    });
    drop(node);
}
