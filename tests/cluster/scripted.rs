//! Answers that a real node can't be made to give on demand.

use std::sync::Arc;
use std::time::Duration;

use tower_query_cache::{RedisStore, Store as _, StoreError};

use super::support::store::{bounded, key, open, patient};
use super::support::{FakeRedis, eventually, eventually_async};

/// A map in which one node has all slots.
fn map(port: u16) -> String {
    format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$0\r\n\r\n:{port}\r\n$2\r\nid\r\n")
}

/// A node that says that it has all slots, and a store that believes it.
async fn node() -> (FakeRedis, Arc<RedisStore>) {
    let node = FakeRedis::answering("+OK\r\n");
    node.answer_to("CLUSTER", &map(node.port()));
    let store = open(&patient(node.url().replace("redis://", "redis-cluster://")));
    store.ready().await.unwrap();
    (node, store)
}

fn asked(node: &FakeRedis, command: &str) -> usize {
    node.commands().iter().filter(|parts| parts[0] == command).count()
}

#[tokio::test]
async fn nodes_that_point_at_each_other_are_followed_a_little_and_no_further() {
    for word in ["MOVED", "ASK"] {
        let (one, store) = node().await;
        let other = FakeRedis::answering("+OK\r\n");
        one.answer_to("GET", &format!("-{word} 1 127.0.0.1:{}\r\n", other.port()));
        other.answer_to("GET", &format!("-{word} 1 127.0.0.1:{}\r\n", one.port()));
        eventually_async("both are asked", || async {
            let _ = store.get(&key(0)).await;
            asked(&other, "GET") > 0
        })
        .await;
        let sent = || asked(&one, "GET") + asked(&other, "GET");
        let before = sent();
        let error = bounded(&store, &key(0)).await.unwrap_err();
        assert!(matches!(&error, StoreError::Server(text) if text.starts_with(word)), "{error}");
        assert_eq!(sent() - before, 3, "one try and two redirects");
        assert_eq!(asked(&other, "ASKING") > 0, word == "ASK");
    }
}

#[tokio::test]
async fn a_slot_that_moved_is_asked_for_where_it_is_though_the_map_cannot_be_read() {
    let (one, store) = node().await;
    let other = FakeRedis::answering("$1\r\nx\r\n");
    one.answer_to("CLUSTER", "+OK\r\n");
    // The slot of this key, by `CLUSTER KEYSLOT`.
    one.answer_to("GET", &format!("-MOVED 4816 127.0.0.1:{}\r\n", other.port()));
    eventually_get(&store).await;
    let before = asked(&one, "GET");
    for _ in 0..50 {
        assert_eq!(store.get(&key(0)).await.unwrap(), Some("x".into()));
    }
    assert_eq!(asked(&one, "GET"), before);
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_a_miss() {
    let (node, store) = node().await;
    for word in ["MOVED", "ASK"] {
        // Nobody listens there, nor is the second an address.
        for place in ["127.0.0.1:1", "nonsense", ":0"] {
            node.answer_to("GET", &format!("-{word} 1 {place}\r\n"));
            assert!(bounded(&store, &key(0)).await.is_err());
        }
    }
    node.answer_to("GET", "$-1\r\n");
    eventually_get(&store).await;
}

/// Waits until a lookup is answered.
async fn eventually_get(store: &RedisStore) {
    eventually_async("an answer", || async { store.get(&key(0)).await.is_ok() }).await;
}

#[tokio::test]
async fn a_cluster_that_is_down_is_a_miss_and_its_map_is_asked_for_once_a_second() {
    let (node, store) = node().await;
    node.answer_to("GET", "-CLUSTERDOWN The cluster is down\r\n");
    let before = asked(&node, "CLUSTER");
    let start = tokio::time::Instant::now();
    while start.elapsed() < Duration::from_millis(2500) {
        let error = bounded(&store, &key(0)).await.unwrap_err();
        assert!(matches!(&error, StoreError::Server(text) if text.starts_with("CLUSTERDOWN")), "{error}");
    }
    let (gets, maps) = (asked(&node, "GET"), asked(&node, "CLUSTER") - before);
    println!("{gets} lookups refused, the map asked for {maps} times in 2.5 s");
    assert!((1..=3).contains(&maps), "{maps}");
    assert!(!store.answers_in_part());
    assert!(store.probe().await.is_err(), "no sign of life");
    node.answer_to("GET", "-MOVED 1 127.0.0.1:1\r\n");
    store.probe().await.expect("who knows who has the slot is well");
}

#[tokio::test]
async fn while_suspended_nothing_is_sent_but_the_probe() {
    let (node, store) = node().await;
    // No connect, and no look at the map, is under way any more.
    eventually("all lanes", || store.pool().connections_created == 3).await;
    node.answer_to("GET", "-CLUSTERDOWN The cluster is down\r\n");
    let before = asked(&node, "CLUSTER");
    eventually_async("the map is asked for", || async {
        let _ = store.get(&key(0)).await;
        asked(&node, "CLUSTER") > before
    })
    .await;
    store.suspend(true);
    let before = node.commands().len();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(600)).await;
    tokio::time::resume();
    assert_eq!(node.commands().len(), before);
    node.answer_to("GET", "$-1\r\n");
    store.probe().await.unwrap();
    let sent: Vec<_> = node.commands().split_off(before).into_iter().map(|parts| parts.join(" ")).collect();
    let sent: Vec<_> = sent.into_iter().filter(|text| text != "PING").collect();
    assert_eq!(sent, ["CLUSTER SLOTS", "GET test:v1:probe"]);
    store.suspend(false);
    eventually_get(&store).await;
}

#[tokio::test]
async fn a_map_that_makes_no_sense_is_not_taken_over() {
    let (node, store) = node().await;
    node.answer_to("GET", "$1\r\nx\r\n");
    assert_eq!(store.get(&key(0)).await.unwrap(), Some("x".into()));
    for nonsense in ["*0\r\n", "+OK\r\n", "-ERR no\r\n", "*1\r\n*3\r\n:9\r\n:1\r\n*2\r\n$1\r\nh\r\n:1\r\n"] {
        node.answer_to("CLUSTER", nonsense);
        assert!(store.probe().await.is_err(), "{nonsense:?}");
        assert_eq!(store.get(&key(0)).await.unwrap(), Some("x".into()), "the map that was known holds");
    }
}
