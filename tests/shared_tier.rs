//! Handles that share a Redis: what one stores the others answer with, and what stands there meanwhile.
#![cfg(feature = "redis")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};
use support::http::{assert_hit, cache_status, field, ok, ok_with, text};
use support::site::{MINUTE, Site, stats};
use support::store::{clients, patient};
use support::{RedisServer, eventually};
use tower_query_cache::{CacheBuilder, Policy, QueryCache};

/// A handle on the Redis, connected, with a lookup limit that a busy machine doesn't reach.
async fn handle(redis: &RedisServer) -> QueryCache {
    let cache = QueryCache::builder().redis(patient(redis.url())).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    cache
}

/// A handle and a site on it that answers with `body`.
async fn site(redis: &RedisServer, body: &'static str) -> (QueryCache, Site) {
    let cache = handle(redis).await;
    let site = Site::new(&cache, Policy::ttl(MINUTE), move |_| ok(body));
    (cache, site)
}

/// A site that finds what others stored, and never stores anything itself.
fn finder(cache: &QueryCache) -> Site {
    Site::new(cache, Policy::ttl(MINUTE), |_| ok_with(&[("cache-control", "no-store")], "own"))
}

const NOT_FOUND: &str = "tower-query-cache; fwd=miss; detail=no-store";

#[tokio::test]
async fn what_one_handle_stored_another_answers_with() {
    let mut redis = RedisServer::start();
    let (first, writer) = site(&redis, "page").await;
    let (second, reader) = site(&redis, "never asked").await;
    assert_eq!(cache_status(&writer.get("/a?b=1").await), "tower-query-cache; fwd=miss; stored");
    first.settled().await;

    let keys = redis.keys();
    let [key] = keys.as_slice() else { panic!("one key an entry: {keys:?}") };
    let digest = key.strip_prefix("tqc:v1:e:").unwrap();
    assert_eq!(digest.len(), 43);
    assert!(digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{digest}");
    let left: i64 = redis.cli(&["PTTL", key]).parse().unwrap();
    assert!(0 < left && left <= 60_000, "{left}");
    println!("1 key, {key}, {left} ms left of 60000");

    assert_hit(reader.get("/a?b=1").await, "page").await;
    assert_eq!((writer.calls(), reader.calls()), (1, 0));
    let figures = stats(&second).await;
    assert_eq!((&figures["hits"]["shared"], &figures["hits"]["memory"]), (&1.into(), &0.into()));

    // From here on memory answers.
    redis.stop();
    assert_hit(reader.get("/a?b=1").await, "page").await;
    assert_eq!(stats(&second).await["hits"]["memory"], 1);
}

#[tokio::test]
async fn a_stored_entry_comes_back_whole() {
    let redis = RedisServer::start();
    let body: Vec<u8> = (0..=255).cycle().take(100_001).collect();
    let answer = body.clone();
    let first = handle(&redis).await;
    let writer = Site::new(&first, Policy::ttl(MINUTE), move |_| {
        let mut response = Response::new(Full::from(answer.clone()));
        let headers = response.headers_mut();
        headers.insert("x-odd", http::HeaderValue::from_bytes(b"caf\xe9 \t!").unwrap());
        headers.append("link", "<a>".parse().unwrap());
        headers.append("link", "<b>".parse().unwrap());
        response
    });
    let sent = writer.get("/").await;
    first.settled().await;
    let (_second, reader) = site(&redis, "never asked").await;
    let found = reader.get("/").await;
    assert!(cache_status(&found).contains("; hit; ttl="));
    for name in ["x-odd", "link", "etag", "date"] {
        let lines = |headers: &http::HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(lines(found.headers()), lines(sent.headers()), "{name}");
        assert!(found.headers().contains_key(name));
    }
    assert_eq!(found.into_body().collect().await.unwrap().to_bytes(), Bytes::from(body));
}

#[tokio::test]
async fn variants_are_found_by_another_handle() {
    let redis = RedisServer::start();
    let tongues = |cache: &QueryCache| {
        Site::new(cache, Policy::ttl(MINUTE), |parts| {
            ok_with(&[("vary", "accept-language")], field(&parts.headers, "accept-language"))
        })
    };
    let first = handle(&redis).await;
    let writer = tongues(&first);
    for language in ["de", "fr"] {
        writer.get_with("/", &[("accept-language", language)]).await;
        first.settled().await;
    }
    assert_eq!(redis.keys().len(), 3, "a list of variants, and two of them");

    let second = handle(&redis).await;
    let reader = tongues(&second);
    for language in ["de", "fr", "de"] {
        assert_hit(reader.get_with("/", &[("accept-language", language)]).await, language).await;
    }
    let third = reader.get_with("/", &[("accept-language", "it")]).await;
    assert_eq!(text(third).await, "it");
    assert_eq!(reader.calls(), 1);
    second.settled().await;
    // The first handle knows of the variant that the second has added.
    assert_hit(writer.get_with("/", &[("accept-language", "it")]).await, "it").await;
}

#[tokio::test]
async fn an_entry_of_another_version_is_left_alone() {
    let redis = RedisServer::start();
    let (first, writer) = site(&redis, "page").await;
    writer.get("/").await;
    first.settled().await;
    let key = redis.keys().remove(0);
    let mut foreign = redis.call(&[b"GET", key.as_bytes()]);
    assert_eq!(&foreign[..5], b"TQCE\x01");
    foreign[4] = 2;
    redis.call(&[b"SET", key.as_bytes(), &foreign, b"KEEPTTL"]);

    let second = handle(&redis).await;
    let reader = finder(&second);
    for count in 1..=3 {
        assert_eq!(cache_status(&reader.get("/").await), NOT_FOUND);
        second.settled().await;
        assert_eq!(redis.call(&[b"GET", key.as_bytes()]), foreign, "it belongs to the other version");
        let errors = stats(&second).await["errors"].clone();
        assert_eq!((&errors["foreign"], &errors["corrupt"]), (&count.into(), &0.into()));
    }
}

#[tokio::test]
async fn every_truncation_is_a_miss_and_removed() {
    let redis = RedisServer::start();
    let (first, writer) = site(&redis, "page").await;
    writer.get("/").await;
    first.settled().await;
    let key = redis.keys().remove(0);
    let whole = redis.call(&[b"GET", key.as_bytes()]);
    let second = handle(&redis).await;
    let reader = finder(&second);
    for length in 0..whole.len() {
        redis.call(&[b"SET", key.as_bytes(), &whole[..length], b"PX", b"60000"]);
        assert_eq!(cache_status(&reader.get("/").await), NOT_FOUND, "{length} bytes");
        second.settled().await;
        assert_eq!(redis.cli(&["EXISTS", &key]), "0", "{length} bytes");
    }
    assert_eq!(stats(&second).await["errors"]["corrupt"], whole.len());
    println!("{} truncations, each a miss and removed", whole.len());

    redis.call(&[b"SET", key.as_bytes(), &whole, b"PX", b"60000"]);
    assert_hit(reader.get("/").await, "page").await;
}

#[tokio::test]
async fn damage_under_a_right_checksum_is_a_miss_too() {
    // Behind the head of a record with three tags (of its key, URL and route) and an entry's own numbers.
    const BODY_LENGTH: std::ops::Range<usize> = 148..156;
    let redis = RedisServer::start();
    let (first, writer) = site(&redis, "page").await;
    for path in ["/", "/other"] {
        writer.get(path).await;
        first.settled().await;
    }
    let [one, other] = redis.keys().try_into().unwrap();
    let value = redis.call(&[b"GET", one.as_bytes()]);
    assert_eq!(value[BODY_LENGTH], 4_u64.to_le_bytes());

    let second = handle(&redis).await;
    let reader = finder(&second);
    let mut damaged = Vec::new();
    for lie in [0, 3, 5, 1 << 20, u64::MAX] {
        let mut value = value.clone();
        value[BODY_LENGTH].copy_from_slice(&lie.to_le_bytes());
        let content = value.len() - 8;
        let sum = xxhash_rust::xxh3::xxh3_64(&value[..content]);
        value[content..].copy_from_slice(&sum.to_le_bytes());
        damaged.push(value);
    }
    // A whole entry under another's key.
    damaged.push(redis.call(&[b"GET", other.as_bytes()]));
    let count = damaged.len();
    for value in damaged {
        redis.call(&[b"SET", one.as_bytes(), &value, b"PX", b"60000"]);
        for path in ["/", "/other"] {
            reader.get(path).await;
        }
        second.settled().await;
        assert_eq!(redis.cli(&["EXISTS", &one]), "0");
    }
    assert_eq!(stats(&second).await["errors"]["corrupt"], count);
    assert!(reader.calls() >= count);
}

#[tokio::test]
async fn another_type_under_our_key_is_a_miss_and_replaced() {
    let redis = RedisServer::start();
    let (first, writer) = site(&redis, "page").await;
    writer.get("/").await;
    first.settled().await;
    let key = redis.keys().remove(0);
    redis.cli(&["DEL", &key]);
    redis.cli(&["LPUSH", &key, "x"]);

    let (second, replacing) = site(&redis, "new").await;
    assert_eq!(text(replacing.get("/").await).await, "new");
    second.settled().await;
    let figures = stats(&second).await;
    assert_eq!((&figures["errors"]["server"], &figures["errors"]["corrupt"]), (&1.into(), &0.into()));
    let (_third, reader) = site(&redis, "never asked").await;
    assert_hit(reader.get("/").await, "new").await;
}

#[tokio::test]
async fn settled_waits_for_writes_and_shutdown_ends_caching() {
    let redis = RedisServer::start();
    let (cache, site) = site(&redis, "page").await;
    for number in 0..50 {
        site.get(&format!("/{number}")).await;
    }
    cache.settled().await;
    assert_eq!(redis.keys().len(), 50);
    for number in 50..100 {
        site.get(&format!("/{number}")).await;
    }
    cache.shutdown().await;
    assert_eq!(redis.keys().len(), 100, "what had begun is written");
    let calls = site.calls();
    for _ in 0..2 {
        let past = site.get("/0").await;
        assert!(!past.headers().contains_key("cache-status") && !past.headers().contains_key("age"));
    }
    assert_eq!(site.calls(), calls + 2);
    assert_eq!(redis.keys().len(), 100);
    assert_eq!(stats(&cache).await["enabled"], false);
}

#[tokio::test]
async fn when_all_is_dropped_all_connections_close() {
    let redis = RedisServer::start();
    let (cache, site) = site(&redis, "page").await;
    site.get("/").await;
    cache.settled().await;
    eventually("every lane, and the journal's tail", || clients(&redis, "id").len() == 5).await;
    let handler = cache.stats_handler();
    drop((cache, site));
    assert!(clients(&redis, "id").len() > 1, "the stats handler still holds them");
    drop(handler);
    eventually("only the asking client is left", || clients(&redis, "id").len() == 1).await;
}

#[tokio::test]
async fn a_ttl_bounds_the_life_in_redis() {
    let redis = RedisServer::start();
    let cache = handle(&redis).await;
    let site = Site::new(&cache, Policy::ttl(MINUTE), |_| {
        ok_with(&[("cache-control", "max-age=30"), ("age", "20")], "page")
    });
    site.get("/").await;
    cache.settled().await;
    let left: i64 = redis.cli(&["PTTL", &redis.keys()[0]]).parse().unwrap();
    assert!(0 < left && left <= 10_000, "what is left of its lifetime: {left}");
    let short = Site::new(&cache, Policy::ttl(Duration::from_millis(100)), |_| ok("short"));
    short.get("/short").await;
    eventually("its end", || redis.keys().len() == 1).await;
}

#[tokio::test]
async fn namespace_app_and_generation_keep_entries_apart() {
    let redis = RedisServer::start();
    let base = || QueryCache::builder().redis(patient(redis.url())).app("shop").generation("1");
    let settings: [fn(CacheBuilder) -> CacheBuilder; 4] = [
        |builder| builder,
        |builder| builder.app("blog"),
        |builder| builder.generation("2"),
        |builder| builder.namespace("else"),
    ];
    for (number, setting) in settings.into_iter().enumerate() {
        let cache = setting(base()).build().unwrap();
        assert!(cache.ready(MINUTE).await);
        let site = Site::new(&cache, Policy::ttl(MINUTE), |_| ok("x"));
        assert_eq!(cache_status(&site.get("/").await), "tower-query-cache; fwd=miss; stored");
        cache.settled().await;
        assert_eq!(redis.keys().len(), number + 1);
    }
    let again = base().build().unwrap();
    assert!(again.ready(MINUTE).await);
    let site = Site::new(&again, Policy::ttl(MINUTE), |_| ok("not asked"));
    assert_hit(site.get("/").await, "x").await;
    assert_eq!(stats(&again).await["hits"]["shared"], 1);
    assert_eq!(redis.keys().iter().filter(|key| key.starts_with("else:v1:e:")).count(), 1);
}
