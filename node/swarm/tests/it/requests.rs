//! Requests and replies.

use std::time::Duration;

use pagi_swarm::{InboundRequest, SwarmError};

use crate::support::{DEADLINE, Node, acquainted, node, node_with};

async fn next(node: &mut Node) -> InboundRequest {
    tokio::time::timeout(DEADLINE, node.inbound.requests.recv())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_answered_or_says_why_not() {
    let limit = 10_000;
    let a = node(20, |config| config.limits.max_request_bytes = limit).await;
    let addr = a.addr().await;
    let mut b = node(21, |config| {
        config.bootstrap = vec![addr];
        config.limits.max_request_bytes = limit;
    })
    .await;
    acquainted(&a, &b).await;
    let to = b.id();
    let ask = |data: Vec<u8>, timeout| a.swarm.request(&to, data, timeout);

    for size in [0, 5, limit] {
        let (reply, ()) = tokio::join!(ask(vec![3; size], DEADLINE), async {
            let request = next(&mut b).await;
            assert_eq!(request.peer_id, a.id());
            let mut reply = request.data;
            reply.reverse();
            request.reply.send(reply);
        });
        assert_eq!(reply.unwrap(), vec![3; size]);
    }

    let too_large = ask(vec![3; limit + 1], DEADLINE).await;
    assert!(matches!(too_large, Err(SwarmError::TooLarge { .. })));

    let (reply, ()) = tokio::join!(ask(b"much".to_vec(), DEADLINE), async {
        next(&mut b).await.reply.send(vec![0; limit + 1]);
    });
    assert!(
        matches!(reply, Err(SwarmError::NoReply { .. })),
        "{reply:?}"
    );

    let (reply, ()) = tokio::join!(ask(b"drop".to_vec(), DEADLINE), async {
        drop(next(&mut b).await);
    });
    assert!(
        matches!(reply, Err(SwarmError::NoReply { .. })),
        "{reply:?}"
    );

    let (reply, held) = tokio::join!(
        ask(b"hold".to_vec(), Duration::from_millis(100)),
        next(&mut b)
    );
    assert!(matches!(reply, Err(SwarmError::Timeout)), "{reply:?}");
    held.reply.send(b"late".to_vec());

    let stats = (a.swarm.stats(), b.swarm.stats());
    assert_eq!((stats.0.requests_out, stats.1.requests_in), (6, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversize_request_of_a_stranger_is_not_delivered() {
    let a = node(22, |_| ()).await;
    let addr = a.addr().await;
    let mut b = node(23, |config| {
        config.bootstrap = vec![addr];
        config.limits.max_request_bytes = 100;
    })
    .await;
    acquainted(&a, &b).await;
    let to = b.id();
    let refused = a.swarm.request(&to, vec![0; 200], DEADLINE).await;
    assert!(
        matches!(refused, Err(SwarmError::NoReply { .. })),
        "{refused:?}"
    );
    let (reply, ()) = tokio::join!(a.swarm.request(&to, vec![0; 100], DEADLINE), async {
        let request = next(&mut b).await;
        assert_eq!(request.data.len(), 100);
        request.reply.send(Vec::new());
    });
    assert_eq!(reply.unwrap(), Vec::<u8>::new());
    assert_eq!(b.swarm.stats().requests_in, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_cannot_be_reached_are_named() {
    let a = node(24, |_| ()).await;
    let b = node_with(25, &a).await;
    acquainted(&a, &b).await;
    let nobody = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    let error = a
        .swarm
        .request(nobody, Vec::new(), DEADLINE)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SwarmError::Unreachable { peer, .. } if peer == nobody),
        "{error}"
    );
    let error = a
        .swarm
        .request(&a.id(), Vec::new(), DEADLINE)
        .await
        .unwrap_err();
    assert!(matches!(error, SwarmError::Unreachable { .. }), "{error}");
    let error = a
        .swarm
        .request("me", Vec::new(), DEADLINE)
        .await
        .unwrap_err();
    assert!(matches!(error, SwarmError::BadPeerId(_)), "{error}");
    // Port 1 of loopback: nothing listens there.
    let error = a.swarm.dial("/ip4/127.0.0.1/tcp/1").await.unwrap_err();
    assert!(matches!(error, SwarmError::Unreachable { .. }), "{error}");
    let error = a.swarm.dial("127.0.0.1:1").await.unwrap_err();
    assert!(matches!(error, SwarmError::BadAddress { .. }), "{error}");
    assert!(
        a.swarm.dial(&b.addr().await).await.is_ok(),
        "already connected is success"
    );
}
