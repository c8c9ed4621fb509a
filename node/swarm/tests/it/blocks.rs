//! Content by CID.

use std::time::Duration;

use cid::Cid;
use pagi_swarm::{StoreCheck, SwarmError};

use crate::support::{DEADLINE, acquainted, config, dag_cbor, node, node_with};

const SOON: Duration = Duration::from_millis(700);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_travels_by_cid() {
    let a = node(60, |_| ()).await;
    let b = node_with(61, &a).await;
    acquainted(&a, &b).await;
    let block = dag_cbor(&[9; 5000]);
    let cid = a.swarm.put_block(block.clone(), false).await.unwrap();
    assert!(!b.swarm.has_block(&cid).await.unwrap());
    assert_eq!(b.swarm.get_block(&cid, &[], DEADLINE).await.unwrap(), block);
    assert!(
        b.swarm.has_block(&cid).await.unwrap(),
        "a fetched block is kept"
    );

    // From a node that is not connected yet, named by address.
    let other = dag_cbor(&[8; 300]);
    let c = node(62, |_| ()).await;
    let cid = c.swarm.put_block(other.clone(), false).await.unwrap();
    let from = [c.addr().await];
    assert_eq!(
        b.swarm.get_block(&cid, &from, DEADLINE).await.unwrap(),
        other
    );
    // And by peer id, connected by now.
    assert_eq!(
        a.swarm.get_block(&cid, &[b.id()], DEADLINE).await.unwrap(),
        other
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_block_times_out_and_can_be_had_later() {
    let a = node(63, |_| ()).await;
    let b = node_with(64, &a).await;
    acquainted(&a, &b).await;
    let block = dag_cbor(&[1; 400]);
    let elsewhere = node(65, |_| ()).await;
    let cid = elsewhere
        .swarm
        .put_block(block.clone(), false)
        .await
        .unwrap();
    for _ in 0..2 {
        let missing = b.swarm.get_block(&cid, &[], SOON).await;
        assert!(matches!(missing, Err(SwarmError::Timeout)), "{missing:?}");
    }
    // Asked for before it is there, delivered as soon as it is.
    let (got, put) = tokio::join!(
        b.swarm.get_block(&cid, &[], DEADLINE),
        a.swarm.put_block(block.clone(), false)
    );
    assert_eq!(put.unwrap(), cid);
    assert_eq!(got.unwrap(), block);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_are_found_in_the_dht() {
    let a = node(66, |_| ()).await;
    let b = node_with(67, &a).await;
    let c = node_with(68, &a).await;
    acquainted(&a, &b).await;
    acquainted(&a, &c).await;
    let cid = b.swarm.put_block(dag_cbor(&[2; 400]), true).await.unwrap();
    assert!(
        c.swarm
            .find_providers(&cid, DEADLINE)
            .await
            .unwrap()
            .is_empty()
    );
    b.swarm.provide(&cid).await.unwrap();
    assert_eq!(
        c.swarm.find_providers(&cid, DEADLINE).await.unwrap(),
        [b.id()]
    );
    let missing = c.swarm.provide(&cid).await;
    assert!(
        matches!(missing, Err(SwarmError::NotFound(_))),
        "{missing:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pins_and_bad_blocks() {
    let a = node(69, |_| ()).await;
    let cid = a.swarm.put_block(dag_cbor(&[3; 400]), false).await.unwrap();
    assert!(!a.swarm.pinned(&cid).await.unwrap());
    for _ in 0..2 {
        a.swarm.pin(&cid).await.unwrap();
        assert!(a.swarm.pinned(&cid).await.unwrap());
    }
    for _ in 0..2 {
        a.swarm.unpin(&cid).await.unwrap();
        assert!(!a.swarm.pinned(&cid).await.unwrap());
    }
    let absent: Cid = "bafyreihtx752fmf3zafbys5dtr4jxohb53yi3qtzfzf6wd5274jwtn5agu"
        .parse()
        .unwrap();
    assert!(matches!(
        a.swarm.pin(&absent).await,
        Err(SwarmError::NotFound(_))
    ));
    let refused = a.swarm.put_block(vec![0xff], false).await;
    assert!(
        matches!(refused, Err(SwarmError::NotDagCbor(_))),
        "{refused:?}"
    );
    let refused = a.swarm.put_block(vec![0; 1024 * 1024 + 1], false).await;
    assert!(
        matches!(refused, Err(SwarmError::TooLarge { .. })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_identity_blocks_and_pins() {
    let a = node(70, |_| ()).await;
    let block = dag_cbor(&[4; 400]);
    let cid = a.swarm.put_block(block.clone(), true).await.unwrap();
    let config = config(70, a.dir.path());

    let second = pagi_swarm::start(config.clone()).await;
    assert!(
        matches!(second, Err(SwarmError::InUse { .. })),
        "{second:?}"
    );

    let clone = a.swarm.clone();
    a.swarm.shutdown().await;
    assert!(matches!(
        clone.has_block(&cid).await,
        Err(SwarmError::Closed)
    ));
    let (swarm, _inbound) = pagi_swarm::start(config).await.unwrap();
    assert_eq!(swarm.peer_id(), a.id());
    assert!(swarm.pinned(&cid).await.unwrap());
    assert_eq!(swarm.get_block(&cid, &[], SOON).await.unwrap(), block);
    let whole = StoreCheck {
        blocks: 1,
        damaged: vec![],
    };
    assert_eq!(swarm.verify_store().await.unwrap(), whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_block_is_found_not_served_and_healed() {
    let a = node(71, |_| ()).await;
    let b = node_with(72, &a).await;
    acquainted(&a, &b).await;
    let block = dag_cbor(&[5; 400]);
    let cid = a.swarm.put_block(block.clone(), true).await.unwrap();
    let whole = a.swarm.put_block(dag_cbor(&[6; 400]), false).await.unwrap();
    let file = a.block_file(&cid);
    let flip = |bytes: &mut Vec<u8>| bytes[200] ^= 1;
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(17);
    let damages: [fn(&mut Vec<u8>); 3] = [flip, cut, Vec::clear];
    for damage in damages {
        let mut bytes = std::fs::read(&file).unwrap();
        assert_eq!(bytes, block);
        damage(&mut bytes);
        std::fs::write(&file, bytes).unwrap();

        let check = a.swarm.verify_store().await.unwrap();
        assert_eq!(
            check,
            StoreCheck {
                blocks: 2,
                damaged: vec![cid]
            }
        );
        assert!(!a.swarm.has_block(&cid).await.unwrap());
        let refused = b.swarm.get_block(&cid, &[], SOON).await;
        assert!(matches!(refused, Err(SwarmError::Timeout)), "{refused:?}");
        assert!(b.swarm.get_block(&whole, &[], DEADLINE).await.is_ok());

        assert_eq!(a.swarm.put_block(block.clone(), false).await.unwrap(), cid);
        assert_eq!(a.swarm.verify_store().await.unwrap().damaged, []);
        assert!(a.swarm.pinned(&cid).await.unwrap(), "healing keeps the pin");
    }
    // Healing from the network.
    assert_eq!(b.swarm.get_block(&cid, &[], DEADLINE).await.unwrap(), block);
    std::fs::write(&file, b"rubbish").unwrap();
    assert_eq!(a.swarm.get_block(&cid, &[], DEADLINE).await.unwrap(), block);
    assert_eq!(std::fs::read(&file).unwrap(), block);
}
