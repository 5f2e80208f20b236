//! How soon the other nodes know.

use std::time::Duration;

use tokio::time::Instant;
use tower_query_cache::{MemoryConfig, Policy};

use crate::support::RedisServer;
use crate::support::proxy::Fault;
use crate::support::site::MINUTE;
use crate::team::{Node, Truth, warm};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_knows_of_a_purge_within_milliseconds() {
    const PURGES: usize = 500;
    let server = RedisServer::start();
    let truth = Truth::default();
    let (here, there) = (Node::start(&server, &truth).await, Node::start(&server, &truth).await);
    let mut delays = Vec::with_capacity(PURGES);
    for _ in 0..PURGES {
        warm(&[&here, &there], &truth).await;
        let new = truth.change();
        assert!(!here.cache.purge_tag("pages").await.unwrap().everything);
        let returned = Instant::now();
        let mut delay = Duration::ZERO;
        // What is asked for after the delay is told right.
        while there.tells().await != new {
            delay = returned.elapsed();
            assert!(delay < Duration::from_secs(10), "it never hears of it");
            tokio::task::yield_now().await;
        }
        delays.push(delay);
    }
    delays.sort();
    let (median, late) = (delays[PURGES / 2], delays[PURGES * 99 / 100]);
    println!("{PURGES} purges: the other node knew after {median:?} (median), {late:?} (99th percentile)");
    assert!(median < Duration::from_millis(5) && late < Duration::from_millis(50), "{median:?} {late:?}");
}

#[tokio::test]
async fn strict_reads_know_at_once_even_if_the_tail_is_cut_off() {
    let server = RedisServer::start();
    let truth = Truth::default();
    let here = Node::start(&server, &truth).await;
    let there = Node::start(&server, &truth).await;
    let strict = Node::with(&server, &truth, Policy::ttl(MINUTE).strict(), MemoryConfig::default()).await;
    let mut stale = 0;
    for tails in [Fault::None, Fault::BlackHoleTails] {
        stale = 0;
        for node in [&there, &strict] {
            node.proxy.inject(tails);
            node.proxy.cut();
        }
        for _ in 0..20 {
            warm(&[&here, &strict, &there], &truth).await;
            let new = truth.change();
            here.cache.purge_tag("pages").await.unwrap();
            assert_eq!(strict.tells().await, new, "{tails:?}: strict reads are right at once");
            assert_eq!(here.tells().await, new);
            stale += usize::from(there.tells().await != new);
            there.learns(new).await;
        }
        println!("{tails:?}: 0 of 20 strict reads were stale, {stale} of 20 others");
    }
    assert!(stale > 0, "the tails were cut off");
}
