//! What a cache must not do to its shared tier, and what that must not do to requests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tower::ServiceExt as _;
use tower_query_cache::{Policy, QueryCache, RedisConfig};

use crate::support::http::{assert_hit, cache_status, field, ok, ok_with, text};
use crate::support::store::{config, patient};
use crate::support::{FakeRedis, Hoard, RedisServer, eventually, eventually_async};
use crate::{MINUTE, Site, bounded, request, site_with};

type Answer = Response<Full<Bytes>>;

/// A site over Redis whose lookups and writes a busy machine doesn't cut short.
fn over_redis(
    redis: &RedisServer,
    handler: impl Fn() -> Answer + Send + Sync + 'static,
) -> (QueryCache, Site) {
    let mut config = patient(redis.url());
    config.write_timeout = config.lookup_timeout;
    over(config, handler)
}

fn over(config: RedisConfig, handler: impl Fn() -> Answer + Send + Sync + 'static) -> (QueryCache, Site) {
    let cache = QueryCache::builder().redis(config).build().unwrap();
    let site = site_with(&cache, Policy::ttl(MINUTE), move |_| handler());
    (cache, site)
}

async fn is_ready(cache: &QueryCache) -> bool {
    cache.ready(Duration::from_secs(5)).await
}

/// The number that stands behind `name` in `info`.
fn figure(info: &str, name: &str) -> usize {
    let number = info.split(name).nth(1).unwrap_or("0");
    number.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn requests_share_a_few_connections_and_a_closed_list_of_commands() {
    let redis = RedisServer::start();
    let (cache, site) = over_redis(&redis, || ok("page"));
    assert!(is_ready(&cache).await);
    // The test support's own commands until now don't count.
    redis.cli(&["CONFIG", "RESETSTAT"]);
    for number in 0..200 {
        site.get(&format!("/{number}")).await;
    }
    cache.settled().await;
    let connections = figure(&redis.cli(&["INFO", "stats"]), "total_connections_received:");
    assert!(connections < 20, "{connections} connections for 200 requests");

    let commands = redis.cli(&["INFO", "commandstats"]);
    // The journal's tail asks for its head about once a second.
    let gets = figure(&commands, "cmdstat_get:calls=");
    assert!((200..220).contains(&gets), "one GET for each: {commands}");
    assert_eq!(figure(&commands, "cmdstat_set:calls="), 200, "one SET for each: {commands}");
    // A lane is probed when it opens or owes replies, and not for a request.
    assert!(figure(&commands, "cmdstat_ping:calls=") < 20, "{commands}");
    for never in ["hset", "expire", "pexpire", "keys:", "scan", "client|tracking", "unwatch", "flushall"] {
        assert!(!commands.contains(&format!("cmdstat_{never}")), "{never} in {commands}");
    }
    // No entry without an end, even if the process dies the moment after.
    for key in redis.keys() {
        let left: i64 = redis.cli(&["PTTL", &key]).trim().parse().unwrap();
        assert!((1..=60_000).contains(&left), "{left} ms left");
    }
}

#[tokio::test]
async fn keys_have_all_their_256_bits() {
    let redis = RedisServer::start();
    let (cache, site) = over_redis(&redis, || ok("page"));
    assert!(is_ready(&cache).await);
    for path in ["/a", "/b"] {
        site.get(path).await;
    }
    cache.settled().await;
    let names = redis.keys().join("\n");
    let digests: Vec<&str> = names.lines().map(|name| name.rsplit(':').next().unwrap().trim()).collect();
    let [a, b] = digests[..] else { panic!("{digests:?}") };
    // 43 characters of base64; each quarter of one key differs from that of the other.
    for quarter in [0..11, 11..22, 22..33, 33..43] {
        assert_ne!(a[quarter.clone()], b[quarter]);
    }
}

#[tokio::test]
async fn an_entry_is_little_more_than_its_body() {
    let redis = RedisServer::start();
    let (cache, site) = over_redis(&redis, || ok((0..=255).cycle().take(100_000).collect::<Vec<u8>>()));
    assert!(is_ready(&cache).await);
    site.get("/").await;
    cache.settled().await;
    let keys = redis.keys();
    let length: usize = redis.cli(&["STRLEN", &keys[0]]).trim().parse().unwrap();
    assert!((100_000..100_512).contains(&length), "{length} bytes");
}

#[tokio::test]
async fn a_dead_or_frozen_redis_fails_no_request() {
    let mut redis = RedisServer::start();
    let (cache, site) = over(config(redis.url()), || ok("page"));
    assert!(is_ready(&cache).await);
    redis.pause();
    assert_eq!(text(bounded(site.get("/frozen")).await).await, "page");
    redis.resume();
    redis.stop();
    assert_eq!(text(bounded(site.get("/dead")).await).await, "page");
    let (_never, site) = over(config(redis.url()), || ok("page"));
    for _ in 0..2 {
        assert_eq!(text(bounded(site.get("/never-there")).await).await, "page");
    }
}

#[tokio::test]
async fn no_request_waits_for_a_connection_however_long_a_lookup_may_take() {
    let redis = FakeRedis::silent();
    let mut config = config(redis.url());
    config.lookup_timeout = Duration::from_secs(60);
    let (_cache, site) = over(config, || ok("page"));
    assert_eq!(text(bounded(site.get("/")).await).await, "page");
}

#[tokio::test]
async fn a_connect_that_hangs_is_given_up_and_tried_again() {
    let redis = FakeRedis::silent();
    let mut config = config(redis.url());
    config.connect_timeout = Duration::from_millis(100);
    let (_cache, site) = over(config, || ok("page"));
    site.get("/").await;
    eventually("three lanes try three times", || redis.accepted() >= 9).await;
}

#[tokio::test]
async fn a_lookup_has_the_time_that_was_configured_and_not_the_clients_500_ms() {
    let redis = RedisServer::start();
    let (first, site) = over_redis(&redis, || ok("page"));
    assert!(is_ready(&first).await);
    site.get("/").await;
    first.settled().await;
    let (second, site) = over_redis(&redis, || ok("not asked"));
    assert!(is_ready(&second).await);
    // Every reply is held back for more than two such time-outs.
    redis.cli(&["CLIENT", "PAUSE", "1200", "ALL"]);
    assert_hit(site.get("/").await, "page").await;
}

#[tokio::test]
async fn an_entry_from_redis_is_no_fresher_in_memory_than_it_was() {
    let redis = RedisServer::start();
    let aged = || ok_with(&[("age", "50"), ("cache-control", "max-age=60")], "page");
    let (first, site) = over_redis(&redis, aged);
    assert!(is_ready(&first).await);
    site.get("/").await;
    first.settled().await;
    let (second, site) = over_redis(&redis, || ok("not asked"));
    assert!(is_ready(&second).await);
    for tier in ["redis", "memory"] {
        let response = site.get("/").await;
        let age: u64 = field(response.headers(), "age").parse().unwrap();
        let ttl: u64 = cache_status(&response).rsplit('=').next().unwrap().parse().unwrap();
        assert!(age >= 50 && ttl <= 10, "{tier}: age {age}, ttl {ttl}");
        assert_hit(response, "page").await;
    }
}

#[tokio::test]
async fn a_stale_entry_of_the_shared_tier_is_not_taken_for_a_fresh_one() {
    let store = Arc::new(Hoard::open());
    let cache = || QueryCache::builder().store(Arc::clone(&store) as _).build().unwrap();
    let first = cache();
    let moment = Policy::ttl(Duration::from_millis(20));
    site_with(&first, moment, |_| ok("old")).get("/").await;
    first.settled().await;
    assert_eq!(store.len(), 1);
    let second = site_with(&cache(), Policy::ttl(MINUTE), |_| ok("new"));
    eventually_async("the old entry ends", || async { text(second.get("/").await).await == "new" }).await;
    assert_eq!(second.calls(), 1);
}

#[tokio::test]
async fn dropping_handles_layers_and_services_stops_no_work() {
    let redis = RedisServer::start();
    let (cache, site) = over_redis(&redis, || ok("page"));
    assert!(is_ready(&cache).await);
    drop(cache.layer(Policy::ttl(MINUTE)));
    drop(cache.clone());
    drop(site.service.clone());
    site.service.clone().oneshot(request(http::Method::GET, "/a", &[])).await.unwrap();
    drop(cache.stats_handler());
    let last = cache.clone();
    drop(cache);
    site.get("/b").await;
    drop(site);
    last.settled().await;
    assert_eq!(redis.keys().len(), 2);
}
