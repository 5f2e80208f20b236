//! Two builds of the crate on one Redis: they neither serve nor delete each other's entries, and purges reach both.
#![cfg(feature = "redis")]

mod support;

use support::http::{assert_hit, cache_status, field, ok, ok_with};
use support::site::{MINUTE, Site, stats};
use support::store::patient;
use support::{RedisServer, eventually_async};
use tower_query_cache::{CacheBuilder, KeyRing, Policy, QueryCache, SecretKey};
use xxhash_rust::xxh3::xxh3_64;

const NOT_FOUND: &str = "tower-query-cache; fwd=miss; detail=no-store";

fn settings(redis: &RedisServer) -> CacheBuilder {
    QueryCache::builder().redis(patient(redis.url())).app("shop").generation("1")
}

async fn handle(settings: CacheBuilder) -> QueryCache {
    let cache = settings.build().unwrap();
    assert!(cache.ready(MINUTE).await);
    cache
}

fn writer(cache: &QueryCache, body: &'static str) -> Site {
    Site::new(cache, Policy::ttl(MINUTE).tags(["pages"]), move |_| ok(body))
}

/// A site that finds what others stored, and never stores anything itself.
fn finder(cache: &QueryCache) -> Site {
    Site::new(cache, Policy::ttl(MINUTE).tags(["pages"]), |_| {
        ok_with(&[("cache-control", "no-store")], "own")
    })
}

/// Names and values of all entries.
fn entries(redis: &RedisServer) -> Vec<(String, Vec<u8>)> {
    let names = redis.keys().into_iter().filter(|key| key.contains(":v1:e:"));
    names.map(|name| (name.clone(), redis.call(&[b"GET", name.as_bytes()]))).collect()
}

#[tokio::test]
async fn another_generation_or_application_has_entries_of_its_own() {
    let redis = RedisServer::start();
    let first = handle(settings(&redis)).await;
    writer(&first, "first").get("/").await;
    first.settled().await;
    let before = entries(&redis);
    for (other, what) in [
        (settings(&redis).generation("2"), "another generation"),
        (settings(&redis).app("blog"), "another app"),
    ] {
        let second = handle(other).await;
        assert_eq!(cache_status(&finder(&second).get("/").await), NOT_FOUND, "{what}");
        second.settled().await;
        assert_eq!(entries(&redis), before, "{what}");
        let site = writer(&second, "second");
        site.get("/").await;
        second.settled().await;
        assert_hit(writer(&first, "").get("/").await, "first").await;
        second.erase_key(&http::Request::get("/").body("").unwrap()).await.unwrap();
        assert_eq!(entries(&redis), before, "{what}: an erasure is for its own");
    }
    // Its memory doesn't know either.
    let again = handle(settings(&redis)).await;
    assert_hit(finder(&again).get("/").await, "first").await;
}

#[tokio::test]
async fn another_version_of_the_codec_is_a_miss_counted_and_left_alone() {
    let redis = RedisServer::start();
    let first = handle(settings(&redis)).await;
    let site = Site::new(&first, Policy::ttl(MINUTE).tags(["pages"]), |parts| match parts.uri.path() {
        "/varies" => ok_with(&[("vary", "accept-language")], field(&parts.headers, "accept-language")),
        _ => ok("page"),
    });
    site.get("/").await;
    site.get("/varies").await;
    first.settled().await;
    for (name, mut value) in entries(&redis) {
        // Its own checksum is right: another build wrote it.
        value[4] = 2;
        let end = value.len() - 8;
        let sum = xxh3_64(&value[..end]);
        value[end..].copy_from_slice(&sum.to_le_bytes());
        redis.call(&[b"SET", name.as_bytes(), &value, b"EX", b"600"]);
    }
    let before = entries(&redis);
    assert_eq!(before.len(), 3, "an entry, a list of variants and a variant");
    let second = handle(settings(&redis)).await;
    let reader = finder(&second);
    for path in ["/", "/varies", "/"] {
        assert_eq!(cache_status(&reader.get(path).await), NOT_FOUND);
    }
    second.settled().await;
    assert_eq!(entries(&redis), before);
    let figures = stats(&second).await;
    assert_eq!((&figures["errors"]["foreign"], &figures["errors"]["corrupt"]), (&3.into(), &0.into()));
}

#[tokio::test]
async fn another_seal_key_is_a_miss_counted_and_left_alone() {
    let redis = RedisServer::start();
    let sealed =
        |key: u8| settings(&redis).seal(KeyRing::new(SecretKey::new([key; 32])), SecretKey::new([9; 32]));
    let first = handle(sealed(1)).await;
    writer(&first, "page").get("/").await;
    first.settled().await;
    let before = entries(&redis);
    let second = handle(sealed(2)).await;
    assert_eq!(cache_status(&finder(&second).get("/").await), NOT_FOUND);
    second.settled().await;
    assert_eq!(entries(&redis), before);
    let figures = stats(&second).await;
    assert_eq!((&figures["errors"]["foreign"], &figures["errors"]["corrupt"]), (&1.into(), &0.into()));
    assert_hit(finder(&handle(sealed(1)).await).get("/").await, "page").await;
}

#[tokio::test]
async fn a_purge_reaches_other_generations_and_keys_of_the_application_and_no_other_application() {
    let redis = RedisServer::start();
    let sealed = settings(&redis).seal(KeyRing::new(SecretKey::new([1; 32])), SecretKey::new([9; 32]));
    let one = handle(settings(&redis)).await;
    let others = [
        (handle(settings(&redis).generation("2")).await, true),
        (handle(sealed).await, true),
        (handle(settings(&redis).app("blog")).await, false),
    ];
    for all in [false, true] {
        let sites: Vec<_> = others.iter().map(|(cache, reached)| (writer(cache, "page"), *reached)).collect();
        for (site, _) in &sites {
            site.get("/").await;
            assert_hit(site.get("/").await, "page").await;
        }
        let purge = if all { one.purge_all() } else { one.purge_tag("pages") };
        purge.await.unwrap();
        for (site, reached) in &sites {
            let before = site.calls();
            if *reached {
                eventually_async("the purge", || async {
                    site.get("/").await;
                    site.calls() > before
                })
                .await;
            } else {
                assert_hit(site.get("/").await, "page").await;
            }
        }
    }
}

#[tokio::test]
async fn a_record_of_a_newer_journal_counts_as_a_purge_of_everything_and_stays() {
    let redis = RedisServer::start();
    let cache = handle(settings(&redis)).await;
    let site = writer(&cache, "page");
    site.get("/").await;
    assert_hit(site.get("/").await, "page").await;
    cache.settled().await;
    let before = entries(&redis);
    let journal =
        redis.keys().into_iter().find(|key| redis.cli(&["TYPE", key]) == "stream").expect("the journal");
    let head = journal_head(&redis, &journal);
    let nonce = "00000000000000ff";
    redis.cli(&["XADD", &journal, "*", "v", "2", "n", nonce, "what", "ever"]);
    redis.cli(&["SET", &head, nonce]);
    let length = redis.cli(&["XLEN", &journal]);
    eventually_async("the record is heard", || async {
        site.get("/").await;
        site.calls() == 2
    })
    .await;
    cache.settled().await;
    assert_hit(site.get("/").await, "page").await;
    assert_eq!(redis.cli(&["XLEN", &journal]), length, "nobody takes it away");
    assert_eq!(entries(&redis).len(), before.len());
    assert_eq!(stats(&cache).await["journal"]["junk"], 0);
}

/// The key that holds the newest record's nonce: of the journal's slot.
fn journal_head(redis: &RedisServer, journal: &str) -> String {
    let mut strings = redis.keys().into_iter().filter(|key| key != journal && !key.contains(":v1:e:"));
    strings.next().expect("the head")
}
