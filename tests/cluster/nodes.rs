//! Nodes that are gone, silent or replaced: they cost their own slots, and come back by themselves.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tower_query_cache::{MemoryConfig, Policy, QueryCache, Store as _, StoreError};

use super::support::http::{ok, text};
use super::support::site::{MINUTE, Site, stats};
use super::support::store::{LIFE, SLACK, config, key, open, patient, value};
use super::support::{RedisCluster, eventually, eventually_async, eventually_within};
use super::{key_on, store};

/// Slots without a node don't keep the others from answering.
const IN_PART: [&str; 2] = ["--cluster-require-full-coverage", "no"];

#[tokio::test]
async fn a_node_that_is_gone_costs_its_own_slots_and_no_time() {
    let mut cluster = RedisCluster::with_args(&IN_PART);
    let store = store(&cluster).await;
    let keys: Vec<_> = (0..3).map(|place| key_on(&cluster, place).0).collect();
    for key in &keys {
        store.set(key, value(1), LIFE).await.unwrap();
    }
    // With its replica: nobody takes its place.
    cluster.nodes_mut()[3].stop();
    cluster.nodes_mut()[0].stop();
    eventually_async("it refuses", || async {
        matches!(store.get(&keys[0]).await, Err(StoreError::Unavailable))
    })
    .await;
    let started = Instant::now();
    for _ in 0..200 {
        assert!(store.get(&keys[0]).await.is_err());
        assert!(matches!(store.get(&keys[1]).await, Ok(Some(_))));
        assert!(matches!(store.get(&keys[2]).await, Ok(Some(_))));
        assert!(store.set(&keys[0], value(1), LIFE).await.is_err());
    }
    println!("a node gone: 800 commands in {:?}, {:?}", started.elapsed(), store.last_error());
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!((store.last_error(), store.answers_in_part()), (None, true));
    assert!(store.status().await.unwrap().keys >= Some(2), "the others' figures");
    let ready = tokio::time::timeout(Duration::from_secs(5), store.ready()).await;
    assert!(matches!(ready, Ok(Ok(()))), "what is up is ready");

    cluster.nodes_mut()[0].restart();
    eventually_within(Duration::from_secs(30), "it answers again", || async {
        store.set(&keys[0], value(2), LIFE).await.is_ok() && store.get(&keys[0]).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_silent_node_is_soon_not_waited_for_and_the_breaker_stays_closed() {
    let cluster = RedisCluster::with_args(&IN_PART);
    let mut memory = MemoryConfig::default();
    memory.max_entries = 1;
    // Longer than a busy machine makes the other nodes wait.
    const LOOKUP: Duration = Duration::from_millis(300);
    let mut redis = config(cluster.url());
    redis.lookup_timeout = LOOKUP;
    let cache = QueryCache::builder().redis(redis).memory(memory).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    let site = Site::new(&cache, Policy::ttl(MINUTE), |parts| ok(parts.uri.path().to_owned()));
    for number in 0..60 {
        site.get(&format!("/{number}")).await;
    }
    cache.settled().await;
    cluster.nodes()[3].pause();
    cluster.nodes()[0].pause();
    let started = Instant::now();
    let mut slow = 0;
    for round in 0..20 {
        // Many at once: their time-outs come in a row.
        let batch = (0..60).map(|number| {
            let site = site.clone();
            async move {
                let started = Instant::now();
                let path = format!("/{number}");
                let answer = site.get(&path).await;
                assert_eq!(answer.status(), StatusCode::OK);
                assert_eq!(text(answer).await, path);
                started.elapsed() >= LOOKUP
            }
        });
        let waited = futures_util::future::join_all(batch).await.into_iter().filter(|waited| *waited).count();
        slow += if round > 0 { waited } else { 0 };
    }
    let figures = stats(&cache).await;
    println!(
        "a silent node: 1200 requests in {:?}, {slow} after the first round waited; breaker {}, errors {}",
        started.elapsed(),
        figures["breaker"],
        figures["errors"]
    );
    assert!(started.elapsed() < Duration::from_secs(10) + SLACK);
    assert_eq!(figures["breaker"]["opened"], 0, "{figures}");
    assert!(figures["errors"]["timeout"].as_u64() > Some(0), "{figures}");
    assert!(figures["hits"]["shared"].as_u64() > Some(100), "{figures}");
    // Each of 19 rounds asks for some 20 entries there, and each lookup would wait.
    assert!(slow < 40, "{slow}");
    cluster.nodes()[0].resume();
    cluster.nodes()[3].resume();
}

#[tokio::test]
async fn a_cluster_that_is_gone_opens_the_breaker_and_its_return_closes_it() {
    let mut cluster = RedisCluster::start();
    let cache = QueryCache::builder().redis(config(cluster.url())).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    let site = Site::new(&cache, Policy::ttl(MINUTE), |parts| ok(parts.uri.path().to_owned()));
    cluster.nodes_mut().iter_mut().for_each(super::support::RedisServer::stop);
    let mut number = 0;
    eventually_async("the breaker opens", || {
        number += 1;
        let (cache, site) = (&cache, &site);
        async move {
            let path = format!("/{number}");
            assert_eq!(text(site.get(&path).await).await, path);
            stats(cache).await["breaker"]["state"] != "closed"
        }
    })
    .await;
    let told = stats(&cache).await;
    assert_eq!(told["connected"], false);
    assert!(!told["error"].as_str().unwrap().contains("127.0.0.1"), "{told}");
    cluster.nodes_mut().iter_mut().for_each(super::support::RedisServer::restart);
    eventually_within(Duration::from_secs(40), "it is ready", || cache.ready(Duration::from_millis(50)))
        .await;
    assert_eq!(stats(&cache).await["breaker"]["state"], "closed");
    println!("a whole Cluster gone and back: {}", stats(&cache).await["breaker"]);
}

#[tokio::test]
async fn lanes_go_with_their_node_and_with_the_store() {
    let cluster = RedisCluster::start();
    let one = store(&cluster).await;
    eventually("all lanes", || one.pool().connections_created == 9).await;
    let clients = |place: usize| {
        let list = cluster.nodes()[place].cli(&["CLIENT", "LIST"]);
        list.lines().filter(|line| line.contains("lib-name=redis-rs") || line.contains("cmd=get")).count()
    };
    // A replica becomes the master: the old one has no slots any more.
    assert_eq!(cluster.nodes()[3].cli(&["CLUSTER", "FAILOVER"]), "OK");
    let (key, _) = {
        eventually("the replica is the master", || cluster.nodes()[3].cli(&["ROLE"]).starts_with("master"))
            .await;
        cluster.settle();
        key_on(&cluster, 3)
    };
    eventually_async("the new master is known, and the old one forgotten", || async {
        one.get(&key).await.is_ok() && one.pool().max_connections == 30 && clients(0) <= 1
    })
    .await;
    eventually("all lanes", || one.pool().connections_created == 9).await;
    drop(one);
    eventually("no connection is left", || {
        cluster.nodes().iter().all(|node| {
            let list = node.cli(&["CLIENT", "LIST", "TYPE", "NORMAL"]);
            list.lines().filter(|line| !line.contains("cmd=client")).count() == 0
        })
    })
    .await;
}

#[tokio::test]
async fn a_server_alone_is_not_a_cluster_and_that_is_told() {
    let server = super::support::RedisServer::start();
    let store = open(&patient(format!("redis-cluster://user:hunter2@127.0.0.1:{}", server.port())));
    assert!(matches!(store.get(&key(1)).await, Err(StoreError::Unavailable)));
    eventually("why", || store.last_error().is_some_and(|text| text.contains("WRONGPASS"))).await;
    let store = open(&patient(format!("redis-cluster://127.0.0.1:{}", server.port())));
    assert!(matches!(store.set(&key(1), value(1), LIFE).await, Err(StoreError::Unavailable)));
    eventually("why", || {
        store.last_error().is_some_and(|text| text.contains("the server isn't a node of a Cluster"))
    })
    .await;
    assert!(tokio::time::timeout(Duration::from_millis(300), store.ready()).await.is_err());
}
