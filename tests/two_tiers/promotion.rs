//! What is read in Redis is kept in memory, for what is left of its life; and memory weighs what it keeps.

use std::time::Duration;

use tower_query_cache::{Policy, QueryCache};

use crate::handle;
use crate::support::RedisServer;
use crate::support::http::{assert_hit, cache_status, ok, ok_with, text};
use crate::support::site::{MINUTE, Site, stats};

const MIB: u64 = 1 << 20;

fn site(cache: &QueryCache, body: &'static str) -> Site {
    Site::new(cache, Policy::ttl(MINUTE), move |_| ok(body))
}

#[tokio::test]
async fn one_read_from_redis_serves_all_that_follow_from_memory() {
    let redis = RedisServer::start();
    let (first, second) = (handle(&redis, 256, MIB).await, handle(&redis, 256, MIB).await);
    site(&first, "page").get("/").await;
    first.settled().await;
    let reader = site(&second, "never asked");
    for _ in 0..5 {
        assert_hit(reader.get("/").await, "page").await;
    }
    let figures = stats(&second).await;
    assert_eq!((&figures["hits"]["shared"], &figures["hits"]["memory"]), (&1.into(), &4.into()));
    redis.cli(&["FLUSHDB"]);
    assert_eq!(reader.calls(), 0);
}

#[tokio::test]
async fn memory_keeps_nothing_longer_than_the_entry_lives() {
    let redis = RedisServer::start();
    let (first, second) = (handle(&redis, 256, MIB).await, handle(&redis, 256, MIB).await);
    // A second of its life is left when it is stored, and less when it is promoted.
    let short = |body: &'static str| {
        move |_: &http::request::Parts| ok_with(&[("cache-control", "max-age=30"), ("age", "28")], body)
    };
    Site::new(&first, Policy::ttl(MINUTE), short("old")).get("/").await;
    first.settled().await;
    let reader = Site::new(&second, Policy::ttl(MINUTE), short("new"));
    assert_hit(reader.get("/").await, "old").await;
    let answered = tokio::time::Instant::now();
    crate::support::eventually_async("its end", || async { text(reader.get("/").await).await == "new" })
        .await;
    let lived = answered.elapsed();
    println!("promoted with at most 2 s left, it was served from memory for {lived:?} more");
    assert!(lived < Duration::from_secs(3), "{lived:?}");
}

#[tokio::test]
async fn memory_evicts_by_weight_and_redis_brings_back_what_it_lost() {
    let redis = RedisServer::start();
    let cache = handle(&redis, 10_000, MIB).await;
    let big = |_: &http::request::Parts| ok("x".repeat(16 << 10));
    let site = Site::new(&cache, Policy::ttl(MINUTE), big);
    for number in 0..200 {
        site.get(&format!("/{number}")).await;
        cache.settled().await;
    }
    let figures = stats(&cache).await;
    let (bytes, entries) = (figures["memory"]["bytes"].as_u64(), figures["memory"]["entries"].as_u64());
    println!("200 entries of 16 KiB in 1 MiB: {bytes:?} bytes, {entries:?} entries in memory");
    assert!(bytes.unwrap() <= MIB && (30..=64).contains(&entries.unwrap()), "{figures}");
    for number in 0..200 {
        assert!(cache_status(&site.get(&format!("/{number}")).await).contains("hit"), "{number}");
    }
    assert_eq!(site.calls(), 200);
}

#[tokio::test]
async fn after_a_restart_memory_is_filled_from_redis() {
    let redis = RedisServer::start();
    let before = handle(&redis, 256, MIB).await;
    let writer = site(&before, "page");
    for number in 0..100 {
        writer.get(&format!("/{number}")).await;
    }
    before.shutdown().await;
    drop((writer, before));

    let after = handle(&redis, 256, MIB).await;
    let reader = site(&after, "never asked");
    for _ in 0..2 {
        for number in 0..100 {
            assert_hit(reader.get(&format!("/{number}")).await, "page").await;
        }
    }
    let figures = stats(&after).await;
    assert_eq!((&figures["hits"]["shared"], &figures["hits"]["memory"]), (&100.into(), &100.into()));
}
