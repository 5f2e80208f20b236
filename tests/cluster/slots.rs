//! Where a key is, and where it is while its slot moves.

use std::time::Duration;

use tower_query_cache::{Leases as _, RedisStore, Store as _, StoreError};

use super::support::store::{LIFE, add_documented_user, key, open, patient, value};
use super::support::{RedisCluster, RedisServer, eventually, eventually_async};
use super::{key_on, name, store};

/// The sum of what all servers' `commandstats` say of a command.
fn calls(cluster: &RedisCluster, command: &str) -> usize {
    let of = |node: &RedisServer| {
        let stats = node.cli(&["INFO", "commandstats"]);
        let start = format!("cmdstat_{command}:calls=");
        let line = stats.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or("0,").to_owned();
        line.split(',').next().unwrap().parse::<usize>().unwrap()
    };
    cluster.running().map(of).sum()
}

#[tokio::test]
async fn keys_are_spread_over_the_nodes_without_a_redirect() {
    let cluster = RedisCluster::start();
    let store = store(&cluster).await;
    for number in 0..=255 {
        store.set(&key(number), value(usize::from(number)), LIFE).await.unwrap();
    }
    for number in 0..=255 {
        assert_eq!(store.get(&key(number)).await.unwrap(), Some(value(usize::from(number))));
    }
    let held: Vec<usize> =
        cluster.nodes()[..3].iter().map(|node| node.cli(&["DBSIZE"]).parse().unwrap()).collect();
    let figures = store.status().await.unwrap();
    println!("256 keys on three nodes: {held:?}; {figures:?}; {:?}", store.pool());
    assert!(held.iter().all(|keys| *keys > 40), "{held:?}");
    assert_eq!((held.iter().sum::<usize>(), figures.keys), (256, Some(256)));
    assert!(figures.memory_used.is_some() && figures.uptime_seconds.is_some());
    let errors: String = cluster.nodes().iter().map(|node| node.cli(&["INFO", "errorstats"])).collect();
    assert!(!errors.contains("MOVED") && !errors.contains("CROSSSLOT"), "{errors}");
    // Two read lanes and one for writes to each of three masters.
    assert_eq!((store.pool().connections_created, store.pool().max_connections), (9, 30));
    for number in 0..=255 {
        store.remove(&key(number)).await.unwrap();
    }
    assert_eq!(store.status().await.unwrap().keys, Some(0));
}

#[tokio::test]
async fn a_cold_store_finds_the_cluster_by_any_node_that_is_named() {
    let cluster = RedisCluster::start();
    // A replica alone, by a name that no node gives for itself, behind a host that nobody is at.
    let url = format!("redis-cluster://127.0.0.1:1,localhost:{}", cluster.nodes()[4].port());
    let writing = open(&patient(url));
    writing.set(&key(1), value(1), LIFE).await.unwrap();
    let whole = format!("redis://127.0.0.1:{},redis://127.0.0.1:1", cluster.nodes()[0].port());
    let reading = open(&patient(whole));
    reading.ready().await.unwrap();
    assert_eq!(reading.get(&key(1)).await.unwrap(), Some(value(1)));
}

#[tokio::test]
async fn a_slot_that_moved_is_followed_at_once_and_remembered() {
    let cluster = RedisCluster::start();
    let store = store(&cluster).await;
    let (key, slot) = key_on(&cluster, 0);
    store.set(&key, value(7), LIFE).await.unwrap();
    cluster.move_slot(slot, 1);
    // The very first read is a hit, although the store can't know yet.
    assert_eq!(store.get(&key).await.unwrap(), Some(value(7)));
    let redirects = || {
        let stats = cluster.nodes()[0].cli(&["INFO", "errorstats"]);
        let count =
            stats.lines().find_map(|line| line.strip_prefix("errorstat_MOVED:count=").map(str::to_owned));
        count.map_or(0, |count| count.parse::<u32>().unwrap())
    };
    assert_eq!(redirects(), 1);
    for _ in 0..50 {
        assert_eq!(store.get(&key).await.unwrap(), Some(value(7)));
        store.set(&key, value(7), LIFE).await.unwrap();
    }
    assert_eq!(redirects(), 1, "it is asked where it is");
    eventually("the map is read anew", || calls(&cluster, "cluster|slots") >= 2).await;
    // And written to by one who has the old map.
    cluster.move_slot(slot, 2);
    store.set(&key, value(8), LIFE).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), Some(value(8)));
}

#[tokio::test]
async fn while_a_slot_moves_both_nodes_have_its_keys() {
    let cluster = RedisCluster::start();
    let store = store(&cluster).await;
    let (moving, slot) = key_on(&cluster, 0);
    store.set(&moving, value(1), LIFE).await.unwrap();
    cluster.begin_move(slot, 0, 1);
    assert_eq!(store.get(&moving).await.unwrap(), Some(value(1)), "still on the old node");
    cluster.move_keys(slot, 0, 1);
    let asked = calls(&cluster, "asking");
    assert_eq!(store.get(&moving).await.unwrap(), Some(value(1)), "already on the new node");
    store.set(&moving, value(2), LIFE).await.unwrap();
    assert_eq!(store.get(&moving).await.unwrap(), Some(value(2)));
    assert_eq!(calls(&cluster, "asking"), asked + 3);
    assert_eq!(cluster.owner(slot), 0, "the slot is the old node's all the while");

    // A lease is taken, its entry written in one step, and given back, on whichever node.
    let lease = store.acquire(&moving, LIFE).await.unwrap().expect("nobody has it");
    assert!(store.acquire(&moving, LIFE).await.unwrap().is_none());
    assert!(store.commit(&moving, &lease, value(3), LIFE).await.unwrap());
    assert_eq!(store.get(&moving).await.unwrap(), Some(value(3)));
    let lease = store.acquire(&moving, LIFE).await.unwrap().expect("given back by the commit");
    store.release(&moving, &lease).await.unwrap();
    cluster.end_move(slot, 1);
    let lease = store.acquire(&moving, LIFE).await.unwrap().expect("given back by the release");
    assert!(store.commit(&moving, &lease, value(4), LIFE).await.unwrap());
    assert_eq!(store.get(&moving).await.unwrap(), Some(value(4)));
}

#[tokio::test]
async fn a_script_that_would_need_both_nodes_stores_nothing_and_nobody_waits() {
    let cluster = RedisCluster::start();
    let store = store(&cluster).await;
    let (moving, slot) = key_on(&cluster, 0);
    let lease = store.acquire(&moving, LIFE).await.unwrap().unwrap();
    // The lease is on the old node, and an entry there is none: that may be on the new one.
    cluster.begin_move(slot, 0, 1);
    let error = store.commit(&moving, &lease, value(1), LIFE).await.unwrap_err();
    assert!(matches!(&error, StoreError::Server(text) if text.starts_with("TRYAGAIN")), "{error}");
    store.release(&moving, &lease).await.unwrap();
    assert!(store.acquire(&moving, LIFE).await.unwrap().is_some(), "it was given back");
    assert_eq!(store.get(&moving).await.unwrap(), None);
}

#[tokio::test]
async fn leases_and_their_words_go_round_the_whole_cluster() {
    let cluster = RedisCluster::start();
    let (one, other) = (store(&cluster).await, store(&cluster).await);
    for place in 0..3 {
        let (key, _) = key_on(&cluster, place);
        let lease = one.acquire(&key, LIFE).await.unwrap().expect("nobody has it");
        assert!(other.acquire(&key, LIFE).await.unwrap().is_none());
        let word = other.given_back(&key);
        // Until the subscription stands words may be missed.
        eventually_async("a subscription", || async {
            let channels = |node: &RedisServer| node.cli(&["PUBSUB", "CHANNELS"]);
            cluster.running().any(|node| channels(node).contains("test:v1:w"))
        })
        .await;
        let word = if place == 0 { other.given_back(&key) } else { word };
        assert!(one.commit(&key, &lease, value(1), LIFE).await.unwrap());
        assert!(tokio::time::timeout(Duration::from_secs(5), word).await.expect("a word"));
        assert_eq!(other.get(&key).await.unwrap(), Some(value(1)));
    }
}

#[tokio::test]
async fn the_documented_user_may_all_that_is_needed() {
    let cluster = RedisCluster::start();
    cluster.nodes().iter().for_each(add_documented_user);
    let store = RedisStore::new(&patient(cluster.url_with("cache:secret@")), "tqc").unwrap();
    tokio::time::timeout(Duration::from_secs(10), store.ready()).await.expect("in time").unwrap();
    let (key, slot) = (0..=255)
        .map(|number| (key(number), cluster.slot(&name(&key(number)).replace("test:", "tqc:"))))
        .find(|(_, slot)| cluster.owner(*slot) == 0)
        .unwrap();
    store.set(&key, value(1), LIFE).await.unwrap();
    cluster.begin_move(slot, 0, 1);
    cluster.move_keys(slot, 0, 1);
    assert_eq!(store.get(&key).await.unwrap(), Some(value(1)), "with ASKING");
    let lease = store.acquire(&key, LIFE).await.unwrap().unwrap();
    assert!(store.commit(&key, &lease, value(2), LIFE).await.unwrap());
    cluster.end_move(slot, 1);
    assert_eq!(store.get(&key).await.unwrap(), Some(value(2)));
    assert!(store.status().await.unwrap().keys.is_some());
    store.probe().await.unwrap();
    for node in cluster.nodes() {
        let log = node.cli(&["ACL", "LOG"]);
        assert!(!log.contains("cache"), "{log}");
    }
}

#[tokio::test]
async fn resp3_is_spoken_with_all_nodes() {
    let cluster = RedisCluster::start();
    let store = open(&patient(format!("{}?protocol=resp3", cluster.url())));
    store.ready().await.unwrap();
    for number in 0..30 {
        store.set(&key(number), value(1), LIFE).await.unwrap();
        assert_eq!(store.get(&key(number)).await.unwrap(), Some(value(1)));
    }
    let (moving, slot) = key_on(&cluster, 2);
    store.set(&moving, value(2), LIFE).await.unwrap();
    cluster.move_slot(slot, 0);
    assert_eq!(store.get(&moving).await.unwrap(), Some(value(2)));
    for node in &cluster.nodes()[..3] {
        assert!(node.cli(&["CLIENT", "LIST"]).contains("resp=3"));
    }
}
