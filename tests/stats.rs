//! The stats handler over a real Redis.
#![cfg(feature = "redis")]

mod support;

use serde_json::Value;
use support::http::{ok, ok_with};
use support::site::{MINUTE, Site, stats, stats_text};
use support::store::patient;
use support::{RedisServer, eventually_async};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower_query_cache::{Policy, QueryCache};

/// A handle on the Redis, connected.
async fn handle(redis: &RedisServer, max_connections: usize) -> QueryCache {
    let mut config = patient(redis.url());
    config.max_connections = max_connections;
    let cache = QueryCache::builder().redis(config).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    cache
}

/// The positions of keys in JSON text, of which each must be there.
fn positions(text: &str, keys: &[&str]) -> Vec<usize> {
    keys.iter()
        .map(|key| text.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key} in {text}")))
        .collect()
}

#[tokio::test]
async fn the_top_keys_are_those_that_are_documented_in_their_order() {
    let redis = RedisServer::start();
    let cache = handle(&redis, 10).await;
    let site = Site::new(&cache, Policy::ttl(MINUTE), |_| ok("page"));
    for path in ["/a", "/b", "/a"] {
        site.get(path).await;
    }
    cache.settled().await;
    let text = stats_text(&cache).await;
    println!("{text}");
    assert!(text.starts_with(r#"{"enabled":true,"type":"redis","connected":true,"keys":2,"memory_used":""#));
    let top = ["enabled", "type", "connected", "keys", "memory_used", "uptime_seconds", "connection_pool"];
    let pool = ["max_connections", "connections_created", "available_connections", "in_use_connections"];
    let order = positions(&text, &[top.as_slice(), &pool, &["hits"]].concat());
    assert!(order.is_sorted(), "{order:?}");

    let value: Value = serde_json::from_str(&text).unwrap();
    assert!(value["memory_used"].as_str().is_some_and(|memory| memory.ends_with(['K', 'M'])));
    assert!(value["uptime_seconds"].as_u64().is_some_and(|seconds| seconds < 600));
    assert_eq!(value["connection_pool"].as_object().unwrap().len(), 4);
    assert_eq!(value["connection_pool"]["max_connections"], 10);
    assert!(value.get("error").is_none());
    assert_eq!((&value["hits"]["memory"], &value["forwarded"]), (&1.into(), &2.into()));
    assert_eq!(value["misses"], serde_json::json!({"memory": 2, "shared": 2}));
    assert_eq!(value["queue"]["written"], 2);
    assert_eq!((&value["fill_time"]["count"], &value["lookup_time"]["count"]), (&2.into(), &2.into()));
    assert!(!text.contains("tqc:"), "keys are not shown");
}

#[tokio::test]
async fn a_redis_that_is_down_is_told_without_credentials() {
    let mut redis = RedisServer::with_args(&["--requirepass", "correct-horse"]);
    let cache = handle(&redis, 10).await;
    assert_eq!(stats(&cache).await["connected"], true);
    redis.stop();
    eventually_async("it is noticed", || async { stats(&cache).await["connected"] == false }).await;
    let text = stats_text(&cache).await;
    println!("{text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert!(value["error"].as_str().is_some_and(|error| !error.is_empty()));
    for key in ["keys", "memory_used", "uptime_seconds"] {
        assert!(value[key].is_null() && text.contains(&format!("\"{key}\":null")), "{key}");
    }
    assert!(!text.contains("correct-horse") && !text.contains("redis://"), "{text}");

    redis.restart();
    eventually_async("it is back", || async { stats(&cache).await["connected"] == true }).await;
}

/// Calls of a command, by the server's own count.
fn calls(redis: &RedisServer, command: &str) -> u64 {
    let counts = redis.cli(&["INFO", "commandstats"]);
    let line = counts.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_thousand_requests_ask_the_server_once_a_second_at_most() {
    let redis = RedisServer::start();
    let cache = handle(&redis, 10).await;
    redis.cli(&["CONFIG", "RESETSTAT"]);
    let started = Instant::now();
    let mut requests = JoinSet::new();
    // Some at once, and some after others had their answer.
    for _ in 0..10 {
        let cache = cache.clone();
        requests.spawn(async move {
            for _ in 0..100 {
                assert_eq!(stats(&cache).await["connected"], true);
            }
        });
    }
    while let Some(done) = requests.join_next().await {
        done.unwrap();
    }
    let (seconds, asked) = (started.elapsed().as_secs(), calls(&redis, "dbsize"));
    println!("1000 requests in {:?}: asked {asked} times", started.elapsed());
    // One question is a DBSIZE and two sections of INFO.
    assert!((1..=seconds + 1).contains(&asked), "{asked} times in {seconds} s");
    assert!(calls(&redis, "info") <= 2 * (seconds + 1) + 1);
}

#[tokio::test]
async fn under_load_the_pool_grows_up_to_its_limit() {
    let redis = RedisServer::start();
    let cache = handle(&redis, 8).await;
    // Nothing is stored: each request is a lookup in Redis.
    let site = Site::new(&cache, Policy::ttl(MINUTE), |_| ok_with(&[("cache-control", "no-store")], "page"));
    eventually_async("the pool at rest", || async {
        stats(&cache).await["connection_pool"]["connections_created"] == 3
    })
    .await;
    let mut load = JoinSet::new();
    for task in 0..3000 {
        let site = site.clone();
        load.spawn(async move {
            loop {
                site.get(&format!("/{task}")).await;
            }
        });
    }
    eventually_async("the pool under load", || async {
        let pool = stats(&cache).await["connection_pool"].clone();
        let count = |key: &str| pool[key].as_u64().unwrap();
        let open = count("connections_created");
        assert!(open <= 8 && count("max_connections") == 8, "{pool}");
        assert_eq!(count("in_use_connections") + count("available_connections"), open);
        if open > 3 {
            println!("under load: {pool}");
        }
        open > 3
    })
    .await;
    load.shutdown().await;
    assert!(stats(&cache).await["errors"]["connection"] == 0);
}

#[tokio::test]
async fn every_fill_is_timed_however_it_ends() {
    let cache = QueryCache::builder().build().unwrap();
    let site = Site::new(&cache, Policy::ttl(MINUTE).max_body(8), |parts| match parts.uri.path() {
        "/refused" => ok_with(&[("cache-control", "private")], "mine"),
        "/too-large" => ok("more than 8 bytes"),
        _ => ok("stored"),
    });
    for (count, path) in ["/refused", "/too-large", "/stored"].into_iter().enumerate() {
        site.get(path).await;
        assert_eq!(stats(&cache).await["fill_time"]["count"], count + 1, "{path}");
    }
    site.get("/stored").await;
    assert_eq!(stats(&cache).await["fill_time"]["count"], 3, "a hit is no fill");
}
