//! `axum_search`: what it answers, and what is kept where.

use serde_json::json;

use crate::support::net::Reply;
use crate::support::{RedisServer, eventually_async};
use crate::{QUERY, assert_search, get, keys, post, search, stats};

#[tokio::test]
async fn a_search_is_answered_and_repeated_from_redis() {
    let redis = RedisServer::start();
    let (_corpus, program) = search("redis", &[("REDIS_URL", &redis.url())]);
    assert!(program.greeting.ends_with("3 documents, tiers: memory + redis"), "{}", program.greeting);
    let at = program.address;

    let first = get(at, QUERY).await;
    assert_eq!((first.status, first.field("cache-status")), (200, "tower-query-cache; fwd=miss; stored"));
    assert_search(&first.json(), "connection pool", 2);
    let second = get(at, QUERY).await;
    assert!(second.is_hit(), "{second:?}");
    assert_eq!(second.body, first.body, "the very bytes, took_ms and all");
    println!("second identical request: {}, age {}", second.field("cache-status"), second.field("age"));

    let entries = || {
        let mut keys = redis.keys();
        keys.retain(|key| key.starts_with("tqc:v1:e:"));
        keys
    };
    eventually_async("the entry in Redis", || async { entries().len() == 1 }).await;
    let key = entries().remove(0);
    let left: i64 = redis.cli(&["PTTL", &key]).parse().unwrap();
    assert!(key.starts_with("tqc:v1:e:") && 0 < left && left <= 60_000, "{key} {left}");
    println!("in Redis: {key}, PTTL {left}");

    let posted = post(at, r#"{"q": "connection pool", "limit": 2}"#).await;
    assert_eq!(posted.field("cache-status"), "tower-query-cache; fwd=miss; stored");
    assert_eq!(posted.json()["hits"], first.json()["hits"], "both ways find the same");
    for same in
        [r#"{"limit":2,"q":"connection pool"}"#, "\n{ \"limit\" : 2,\t\"q\":\"connection\\u0020pool\" }"]
    {
        let again = post(at, same).await;
        assert!(again.is_hit(), "{again:?}");
        assert_eq!(again.body, posted.body);
    }
    let figures = stats(at).await;
    assert_eq!((&figures["hits"]["memory"], &figures["forwarded"]), (&json!(3), &json!(2)));
    assert_eq!(figures["fill_time"]["count"], 2, "the handler was called twice: {figures}");
}

#[tokio::test]
async fn documents_have_a_lifetime_of_their_own() {
    let (_corpus, program) = search("documents", &[]);
    let at = program.address;
    assert!(program.greeting.ends_with("tiers: memory"), "{}", program.greeting);
    let found = get(at, QUERY).await.json();
    let path = format!("/v1/documents/{}", found["hits"][0]["id"].as_str().unwrap());
    let first = get(at, &path).await;
    assert_eq!(keys(&first.json()), ["id", "path", "text"]);
    for (target, longest) in [(path.as_str(), 300), (QUERY, 60)] {
        let hit = get(at, target).await;
        assert!(hit.is_hit(), "{hit:?}");
        let ttl: u64 = hit.field("cache-status").rsplit('=').next().unwrap().parse().unwrap();
        assert!(longest - 30 <= ttl && ttl <= longest, "{target}: {ttl}");
    }
    let etag = first.field("etag");
    assert!(etag.starts_with("W/\""), "{etag}");
    for _ in 0..2 {
        let missing = get(at, "/v1/documents/none").await;
        assert_eq!((missing.status, missing.is_hit()), (404, false));
        assert!(missing.json()["error"].is_string());
    }
}

#[tokio::test]
async fn bad_input_is_a_400_that_is_not_kept() {
    let (_corpus, program) = search("bad", &[]);
    let at = program.address;
    let long = format!("/v1/search?q={}", "a".repeat(300));
    for target in [
        "/v1/search",
        "/v1/search?q=",
        "/v1/search?q=a&limit=0",
        "/v1/search?q=a&limit=51",
        "/v1/search?q=a&limit=x",
        &long,
    ] {
        for _ in 0..2 {
            let reply = get(at, target).await;
            assert_eq!((reply.status, reply.is_hit()), (400, false), "{target}");
            assert_eq!(keys(&reply.json()), ["error"]);
        }
    }
    for body in ["", "{", "[]", r#"{"limit": 5}"#, r#"{"q": 5}"#, r#"{"q": "a", "limit": -1}"#] {
        let reply = post(at, body).await;
        assert_eq!((reply.status, keys(&reply.json())), (400, vec!["error"]), "{body}");
    }
    assert_search(&get(at, "/v1/search?q=nothinghasthis").await.json(), "nothinghasthis", 0);
    assert_search(&post(at, r#"{"q": "slow", "limit": 1}"#).await.json(), "slow", 1);
}

#[tokio::test]
async fn the_stats_have_the_documented_keys() {
    let redis = RedisServer::start();
    let (_corpus, program) = search("stats", &[("REDIS_URL", &redis.url())]);
    get(program.address, QUERY).await;
    eventually_async("a connection", || async { stats(program.address).await["connected"] == true }).await;
    let reply = get(program.address, "/v1/cache/stats").await;
    assert_eq!((reply.field("content-type"), reply.field("cache-control")), ("application/json", "no-store"));
    println!("{}", reply.text());
    let mut rest = reply.text();
    for key in [
        "{\"enabled\":true,\"type\":\"redis\",\"connected\":true,\"keys\":",
        ",\"memory_used\":\"",
        ",\"uptime_seconds\":",
        ",\"connection_pool\":{\"max_connections\":10,\"connections_created\":",
        ",\"available_connections\":",
        ",\"in_use_connections\":",
        "},\"hits\":{",
    ] {
        rest = rest.split_once(key).unwrap_or_else(|| panic!("{key} in {}", reply.text())).1;
    }
}

#[tokio::test]
async fn a_second_process_answers_with_what_the_first_stored() {
    let redis = RedisServer::start();
    let (_corpus, first) = search("first", &[("REDIS_URL", &redis.url())]);
    let (_corpus, second) = search("second", &[("REDIS_URL", &redis.url())]);
    assert_ne!(first.address, second.address);
    // Until it is connected, a lookup is a miss.
    get(second.address, "/v1/search?q=warm").await;
    eventually_async("a connection", || async { stats(second.address).await["connected"] == true }).await;

    // A machine that is busy may let a lookup run into its time-out: each try is another search.
    let mut tries = 0;
    eventually_async("hits of what the first stored", || {
        tries += 1;
        let target = format!("/v1/search?q=pool+{tries}&limit=2");
        let body = format!(r#"{{"q": "pool {tries}", "limit": 2}}"#);
        let (first, second) = (first.address, second.address);
        async move {
            let written = stats(first).await["queue"]["written"].as_u64().unwrap();
            let stored = [get(first, &target).await, post(first, &body).await];
            eventually_async("the entries in Redis", || async {
                stats(first).await["queue"]["written"] == written + 2
            })
            .await;
            let before = stats(second).await;
            let found = [get(second, &target).await, post(second, &body).await];
            if !found.iter().all(Reply::is_hit) {
                return false;
            }
            for (found, stored) in found.iter().zip(&stored) {
                assert_eq!(found.body, stored.body);
            }
            let after = stats(second).await;
            assert_eq!(after["fill_time"]["count"], before["fill_time"]["count"], "the handler isn't called");
            assert_eq!(
                after["hits"]["shared"].as_u64(),
                before["hits"]["shared"].as_u64().map(|hits| hits + 2)
            );
            true
        }
    })
    .await;
    println!(
        "second process: GET and POST answered from what the first stored, at try {tries}; handler not called"
    );
}

#[tokio::test]
async fn a_redis_that_goes_and_comes_back_fails_no_request() {
    let mut redis = RedisServer::start();
    let (_corpus, first) = search("outage-1", &[("REDIS_URL", &redis.url())]);
    let (_corpus, second) = search("outage-2", &[("REDIS_URL", &redis.url())]);
    for at in [first.address, second.address] {
        get(at, QUERY).await;
        eventually_async("a connection", || async { stats(at).await["connected"] == true }).await;
    }
    redis.stop();
    let mut answered = 0;
    for number in 0..50 {
        let reply = get(first.address, &format!("/v1/search?q=pool+{number}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_search(&reply.json(), &format!("pool {number}"), 1);
        answered += 1;
    }
    assert!(get(first.address, QUERY).await.is_hit(), "memory goes on");
    // The server's own figures may be a second old.
    eventually_async("the outage is told", || async {
        let figures = stats(first.address).await;
        figures["connected"] == false && figures["error"].is_string()
    })
    .await;

    redis.restart();
    let mut tries = 0;
    eventually_async("hits of what the other stored", || {
        tries += 1;
        let target = format!("/v1/search?q=again+{tries}");
        let (first, second) = (first.address, second.address);
        async move {
            let written = stats(first).await["queue"]["written"].as_u64();
            assert_eq!(get(first, &target).await.status, 200);
            if stats(first).await["queue"]["written"].as_u64() == written {
                return false;
            }
            get(second, &target).await.is_hit()
        }
    })
    .await;
    println!("Redis stopped: {answered} requests, 0 failed; back: a hit after {tries} tries, no restart");
}
