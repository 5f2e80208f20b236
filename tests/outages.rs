//! Redis is never the reason that a request fails: unwilling, full, killed, frozen or never there.
#![cfg(feature = "redis")]

mod support;

use std::time::Duration;

use http::Response;
use http_body_util::Full;
use support::http::{assert_hit, cache_status, ok, text};
use support::site::{MINUTE, Site, stats, stats_text};
use support::store::{SLACK, config, patient};
use support::{FakeRedis, RedisServer, eventually_async};
use tokio::time::Instant;
use tower_query_cache::{Policy, QueryCache, RedisConfig};

fn echo(parts: &http::request::Parts) -> Response<Full<bytes::Bytes>> {
    ok(parts.uri.path().to_owned())
}

fn over(redis: RedisConfig) -> (QueryCache, Site) {
    let cache = QueryCache::builder().redis(redis).build().unwrap();
    let site = Site::new(&cache, Policy::ttl(MINUTE), echo);
    (cache, site)
}

/// Asserts that requests are answered: the first by the handler, the second from memory.
async fn assert_served(site: &Site, prefix: &str) {
    for number in 0..20 {
        let path = format!("/{prefix}/{number}");
        let miss = site.get(&path).await;
        assert_eq!(cache_status(&miss), "tower-query-cache; fwd=miss; stored");
        assert_eq!(text(miss).await, path);
        assert_hit(site.get(&path).await, &path).await;
    }
}

#[tokio::test]
async fn a_server_that_is_loading_costs_misses_alone() {
    let redis = FakeRedis::answering("-LOADING Redis is loading the dataset in memory\r\n");
    let (cache, site) = over(patient(redis.url()));
    assert!(!cache.ready(Duration::from_millis(200)).await, "the purge journal can't be read");
    assert_served(&site, "a").await;
    cache.settled().await;
    let figures = stats(&cache).await;
    // Until the journal was read nothing is asked of it, and nothing written.
    assert_eq!(
        (&figures["errors"]["unavailable"], &figures["journal"]["followed"]),
        (&20.into(), &false.into())
    );
    let count = |key: &str| figures["queue"][key].as_u64().unwrap();
    assert_eq!((count("failed") + count("dropped"), site.calls()), (0, 20), "{figures}");
}

#[tokio::test]
async fn a_server_that_wants_a_password_costs_misses_alone_and_is_told() {
    let redis = RedisServer::with_args(&["--requirepass", "correct-horse"]);
    for (user, code) in [("", "NOAUTH"), (":hunter2@", "WRONGPASS")] {
        let (cache, site) = over(patient(format!("redis://{user}127.0.0.1:{}", redis.port())));
        assert_served(&site, "a").await;
        eventually_async("the reason", || async {
            let told = stats_text(&cache).await;
            assert!(!told.contains("hunter2") && !told.contains("127.0.0.1"), "{told}");
            let figures = stats(&cache).await;
            figures["connected"] == false && figures["error"].as_str().is_some_and(|text| text.contains(code))
        })
        .await;
        let figures = stats(&cache).await;
        let count = |part: &str, key: &str| figures[part][key].as_u64().unwrap();
        // A hit in memory would ask the journal first, and that isn't sent either.
        let asked = count("errors", "unavailable") + count("breaker", "rejected");
        assert!((20..=60).contains(&asked), "{figures}");
    }
}

#[tokio::test]
async fn a_full_server_fails_writes_and_no_request() {
    let redis = RedisServer::with_args(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let cache = QueryCache::builder().redis(patient(redis.url())).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    let site = Site::new(&cache, Policy::ttl(MINUTE), |_| ok("x".repeat(100_000)));
    for number in 0..30 {
        let answer = site.get(&format!("/{number}")).await;
        assert_eq!(cache_status(&answer), "tower-query-cache; fwd=miss; stored");
        assert_eq!(text(answer).await.len(), 100_000);
    }
    cache.settled().await;
    let figures = stats(&cache).await;
    assert!(figures["queue"]["failed"].as_u64() > Some(0), "{figures}");
    assert_eq!((&figures["connected"], site.calls()), (&true.into(), 30));
    println!("OOM: {} of 30 writes failed, no request", figures["queue"]["failed"]);
}

#[tokio::test]
async fn a_redis_that_is_killed_fails_nothing_and_its_return_needs_no_restart() {
    let mut redis = RedisServer::start();
    let (first, writer) = over(config(redis.url()));
    let (second, reader) = over(config(redis.url()));
    assert!(first.ready(MINUTE).await && second.ready(MINUTE).await);
    assert_served(&writer, "before").await;

    redis.stop();
    for number in 0..100 {
        let path = format!("/down/{number}");
        assert_eq!(text(writer.get(&path).await).await, path);
    }
    let figures = stats(&first).await;
    assert_eq!((&figures["connected"], figures["error"].is_string()), (&false.into(), true), "{figures}");
    assert!(!first.ready(Duration::from_millis(50)).await);

    redis.restart();
    let shared = || async { stats(&second).await["hits"]["shared"].as_u64() };
    assert_eq!(shared().await, Some(0));
    let mut number = 0;
    eventually_async("what one stores the other finds", || {
        number += 1;
        let path = format!("/again/{number}");
        let (first, writer, reader, shared) = (&first, &writer, &reader, &shared);
        async move {
            writer.get(&path).await;
            first.settled().await;
            assert_eq!(text(reader.get(&path).await).await, path);
            shared().await > Some(0)
        }
    })
    .await;
    println!("killed: 100 requests answered, 0 failed; hits again after {number} tries without a restart");
}

#[tokio::test]
async fn readiness_comes_back_without_any_traffic() {
    let mut redis = RedisServer::start();
    let (cache, site) = over(config(redis.url()));
    assert!(cache.ready(MINUTE).await);
    redis.stop();
    let mut number = 0;
    eventually_async("the breaker is open", || {
        number += 1;
        let (cache, site) = (&cache, &site);
        async move {
            site.get(&format!("/{number}")).await;
            stats(cache).await["breaker"]["state"] != "closed"
        }
    })
    .await;
    assert!(!cache.ready(Duration::from_millis(50)).await);
    redis.restart();
    let started = Instant::now();
    eventually_async("it is ready", || cache.ready(Duration::from_millis(50))).await;
    let breaker = stats(&cache).await["breaker"].clone();
    println!("ready again {:?} after the restart, by {} probes", started.elapsed(), breaker["probes"]);
    assert_eq!(breaker["state"], "closed");
}

#[tokio::test]
async fn a_frozen_redis_costs_each_request_a_lookup_timeout_at_most() {
    let redis = RedisServer::start();
    let (cache, site) = over(config(redis.url()));
    assert!(cache.ready(MINUTE).await);
    assert_served(&site, "before").await;
    redis.pause();
    let mut longest = Duration::ZERO;
    for number in 0..50 {
        let started = Instant::now();
        let path = format!("/frozen/{number}");
        assert_eq!(text(site.get(&path).await).await, path);
        longest = longest.max(started.elapsed());
    }
    println!("frozen: 50 requests answered, the longest in {longest:?} (lookup_timeout 50 ms)");
    // A gross bound: it only has to tell the limit from waiting for the server.
    assert!(longest < Duration::from_millis(50) + SLACK, "{longest:?}");
    assert!(stats(&cache).await["errors"]["timeout"].as_u64() > Some(0));
    let started = Instant::now();
    assert_eq!(stats(&cache).await["connected"], false);
    assert!(started.elapsed() < Duration::from_secs(1) + SLACK);

    redis.resume();
    let mut number = 0;
    eventually_async("entries go to Redis again", || {
        number += 1;
        let path = format!("/after/{number}");
        let (cache, site, redis) = (&cache, &site, &redis);
        async move {
            let keys = redis.keys().len();
            site.get(&path).await;
            cache.settled().await;
            redis.keys().len() > keys
        }
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_was_never_there_costs_nothing() {
    let port = {
        let mut redis = RedisServer::start();
        redis.stop();
        redis.port()
    };
    let (cache, site) = over(config(format!("redis://user:hunter2@127.0.0.1:{port}")));
    assert_served(&site, "a").await;
    cache.settled().await;
    let told = stats_text(&cache).await;
    assert!(told.contains(r#""connected":false"#) && !told.contains("hunter2"), "{told}");
}
