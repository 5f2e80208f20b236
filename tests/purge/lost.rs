//! What can be lost of the journal: nobody serves what it can't vouch for any more.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::proxy::{Fault, Proxy};
use crate::support::{RedisServer, eventually, eventually_async};
use crate::team::{Node, Truth, warm};

const STREAM: &str = "{tqc:v1:j}";
const HEAD: &str = "{tqc:v1:j}:h";

/// What may happen to the journal, by commands.
const DAMAGES: [(&str, &[&str]); 6] = [
    ("FLUSHALL", &["FLUSHALL"]),
    ("the stream deleted", &["UNLINK", STREAM]),
    ("stream and head deleted", &["UNLINK", STREAM, HEAD]),
    ("the stream trimmed to nothing", &["XTRIM", STREAM, "MAXLEN", "0"]),
    ("the stream trimmed to one entry", &["XTRIM", STREAM, "MAXLEN", "1"]),
    ("the head deleted", &["UNLINK", HEAD]),
];

/// Longer than a node may take to find out: a cycle of a second, with room for a busy machine.
const WINDOW: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_purge_after_the_damage_reaches_everybody() {
    let server = RedisServer::start();
    let truth = Truth::default();
    let (here, there) = (Node::start(&server, &truth).await, Node::start(&server, &truth).await);
    for (name, damage) in DAMAGES {
        warm(&[&here, &there], &truth).await;
        server.cli(damage);
        let new = truth.change();
        here.cache.purge_tag("pages").await.unwrap();
        assert_eq!(here.tells().await, new, "{name}: at once where it was purged");
        let window = there.learns(new).await;
        println!("{name}, then a purge: heard of after {window:?}");
        assert!(window < WINDOW, "{name}: {window:?}");
        let late = Node::start(&server, &truth).await;
        assert_eq!(late.tells().await, new, "{name}: a new node");
    }
}

#[tokio::test]
async fn a_purge_that_was_lost_before_a_node_heard_of_it_is_no_less_one() {
    let server = RedisServer::start();
    let truth = Truth::default();
    let (here, there) = (Node::start(&server, &truth).await, Node::start(&server, &truth).await);
    for (name, damage) in DAMAGES {
        warm(&[&here, &there], &truth).await;
        there.proxy.inject(Fault::BlackHole);
        let new = truth.change();
        here.cache.purge_tag("pages").await.unwrap();
        server.cli(damage);
        assert_eq!(here.tells().await, new, "{name}: at once where it was purged");
        // Without a sign of life for 2 s the node asks, and gets no answer.
        let window = there.learns(new).await;
        println!("{name} after a purge, to a node that is cut off: it asks after {window:?}");
        assert!(window < WINDOW, "{name}: {window:?}");
        there.proxy.inject(Fault::None);
        there.proxy.reset_lost();
        eventually_async("the node is back", || async {
            assert_eq!(there.tells().await, new, "{name}");
            there.journal("followed").await == true
        })
        .await;
        let late = Node::start(&server, &truth).await;
        assert_eq!((late.tells().await, there.tells().await, here.tells().await), (new, new, new), "{name}");
    }
}

#[tokio::test]
async fn without_a_purge_too_the_loss_is_noticed_by_all() {
    let server = RedisServer::start();
    let truth = Truth::default();
    let (here, there) = (Node::start(&server, &truth).await, Node::start(&server, &truth).await);
    for (name, damage) in &DAMAGES[..4] {
        warm(&[&here, &there], &truth).await;
        let new = truth.change();
        server.cli(damage);
        let lost = Instant::now();
        let windows = [here.learns(new).await, there.learns(new).await];
        println!("{name}: noticed after {windows:?}");
        assert!(lost.elapsed() < WINDOW, "{name}: {:?}", lost.elapsed());
    }
}

#[tokio::test]
async fn after_a_failover_without_the_last_purge_nothing_from_before_is_served() {
    let mut master = RedisServer::start();
    let link = Proxy::start(master.port());
    let port = link.url().rsplit(':').next().unwrap().to_owned();
    let replica = RedisServer::with_args(&["--replicaof", "127.0.0.1", &port]);
    eventually("the replica follows", || {
        replica.cli(&["INFO", "replication"]).contains("master_link_status:up")
    })
    .await;
    let truth = Truth::default();
    let (here, there) = (Node::start(&master, &truth).await, Node::start(&master, &truth).await);
    warm(&[&here, &there], &truth).await;
    eventually("the replica has it all", || {
        replica.cli(&["DBSIZE"]) == master.cli(&["DBSIZE"])
            && replica.cli(&["GET", HEAD]) == master.cli(&["GET", HEAD])
    })
    .await;
    link.inject(Fault::BlackHole);
    // This node hears of the purge neither.
    there.proxy.inject(Fault::BlackHole);
    let new = truth.change();
    here.cache.purge_tag("pages").await.unwrap();
    assert_ne!(replica.cli(&["GET", HEAD]), master.cli(&["GET", HEAD]), "the replica lacks the purge");
    master.stop();
    assert_eq!(replica.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    let promoted = Instant::now();
    for node in [&here, &there] {
        node.proxy.inject(Fault::None);
        node.proxy.switch(replica.port());
        node.proxy.cut();
    }
    assert_eq!(here.tells().await, new, "this one knows of the purge");
    let window = there.learns(new).await;
    println!(
        "failover to a replica that lacks the last purge: seen by a node that hadn't heard of it after {window:?}"
    );
    assert!(window < WINDOW, "{window:?}");
    for node in [&here, &there] {
        node.follows().await;
        assert_eq!(node.tells().await, new);
    }
    println!("both follow the new master {:?} after it was one", promoted.elapsed());
    // What the replica still holds was stamped on another server.
    let late = Node::start(&replica, &truth).await;
    assert_eq!(late.tells().await, new);
    warm(&[&here, &there, &late], &truth).await;
    let new = truth.change();
    assert!(!there.cache.purge_tag("pages").await.unwrap().everything);
    for node in [&here, &late] {
        assert!(node.learns(new).await < WINDOW);
    }
}
