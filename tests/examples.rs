//! The examples, run as their users run them.
#![cfg(feature = "redis")]

mod support;

use std::net::SocketAddr;

use http::Method;
use serde_json::{Value, json};
use support::net::{Reply, fetch, fetch_with};
use support::program::{Corpus, Program, command, run};
use support::{RedisServer, eventually_async};

const QUERY: &str = "/v1/search?q=connection+pool&limit=2";

fn corpus(name: &str) -> Corpus {
    Corpus::new(
        name,
        &[
            ("pool.txt", "A connection pool keeps every connection open for those who come next."),
            ("cache.txt", "A cache answers what was asked before, without a connection."),
            ("ranking.txt", "Ranking reads every document anew, which is what makes it slow."),
            ("binary.bin", "\0not text"),
        ],
    )
}

fn search(name: &str, variables: &[(&str, &str)]) -> (Corpus, Program) {
    let corpus = corpus(name);
    let program = Program::serve("axum_search", Some(corpus.path()), variables);
    (corpus, program)
}

async fn get(address: SocketAddr, target: &str) -> Reply {
    fetch(address, Method::GET, target, "").await
}

async fn post(address: SocketAddr, body: &str) -> Reply {
    fetch(address, Method::POST, "/v1/search", body).await
}

async fn stats(address: SocketAddr) -> Value {
    get(address, "/v1/cache/stats").await.json()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Asserts the documented shape of a search's answer.
fn assert_search(answer: &Value, query: &str, hits: usize) {
    assert_eq!(keys(answer), ["hits", "query", "took_ms"]);
    assert_eq!(answer["query"], query);
    assert!(answer["took_ms"].is_u64());
    let found = answer["hits"].as_array().unwrap();
    assert_eq!(found.len(), hits, "{answer}");
    for hit in found {
        assert_eq!(keys(hit), ["id", "score", "snippet"]);
        assert!(hit["score"].as_f64() > Some(0.0) && hit["id"].is_string() && hit["snippet"].is_string());
    }
    let scores: Vec<_> = found.iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "best first");
}

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

const TOKEN: &str = "a-token-that-nobody-guesses";

/// A request by somebody who has this token, or none.
async fn admin(at: SocketAddr, method: Method, target: &str, token: Option<&str>, body: &Value) -> Reply {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let fields: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    fetch_with(at, method, target, &fields, &body.to_string()).await
}

async fn purge(at: SocketAddr, token: Option<&str>, body: Value) -> Reply {
    admin(at, Method::POST, "/v1/cache/purge", token, &body).await
}

/// Where the document is that a search finds first.
async fn found(at: SocketAddr, words: &str) -> String {
    let answer = get(at, &format!("/v1/search?q={words}&limit=1")).await.json();
    format!("/v1/documents/{}", answer["hits"][0]["id"].as_str().unwrap())
}

#[tokio::test]
async fn those_who_have_the_token_may_purge() {
    let (_corpus, program) = search("purge", &[("ADMIN_TOKEN", TOKEN)]);
    let at = program.address;
    let path = found(at, "ranking").await;
    let all = json!({"all": true});
    for (token, body, status) in [
        (None, all.clone(), 401),
        (Some("wrong"), all.clone(), 401),
        (Some(TOKEN), json!({}), 400),
        (Some(TOKEN), json!({"tag": "a", "all": true}), 400),
        (Some(TOKEN), json!({"tag": "a\nb"}), 400),
        (Some(TOKEN), json!({"key": "a"}), 400),
    ] {
        get(at, &path).await;
        let reply = purge(at, token, body).await;
        assert_eq!((reply.status, reply.field("content-type")), (status, "application/problem+json"));
        assert_eq!(reply.field("www-authenticate").starts_with("Bearer"), status == 401);
        assert!(get(at, &path).await.is_hit());
    }
    let tag = json!({"tag": path.replace("/v1/documents/", "document:")});
    for (target, reached) in [
        (tag, true),
        (json!({"url": path}), true),
        (json!({"route": "documents"}), true),
        (all, true),
        (json!({"route": "search"}), false),
    ] {
        get(at, &path).await;
        assert!(get(at, &path).await.is_hit());
        let reply = purge(at, Some(TOKEN), target.clone()).await;
        assert_eq!((reply.status, &reply.json()["everything"]), (200, &json!(false)));
        assert_eq!(get(at, &path).await.is_hit(), !reached, "{target}");
    }

    let (_corpus, closed) = search("closed", &[]);
    let at = closed.address;
    assert_eq!(
        purge(at, Some(TOKEN), json!({"all": true})).await.status,
        404,
        "it isn't there without a token"
    );
    assert_eq!(admin(at, Method::PUT, &path, Some(TOKEN), &json!({"text": "other"})).await.status, 405);
}

#[test]
fn a_token_that_is_none_ends_the_start_with_one_line() {
    for token in ["", "two words"] {
        let output = run(&mut command("axum_search", &[("ADMIN_TOKEN", token)]));
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.starts_with("axum_search: ADMIN_TOKEN: the token ") && text.lines().count() == 1,
            "{text}"
        );
        assert!(!text.contains("two words"), "{text}");
    }
}

#[tokio::test]
async fn a_changed_document_is_seen_at_once_where_it_was_changed() {
    let (_corpus, program) = search("change", &[("ADMIN_TOKEN", TOKEN)]);
    let at = program.address;
    let path = found(at, "ranking").await;
    let change = async |token, body: Value| admin(at, Method::PUT, &path, token, &body).await.status;
    assert_eq!(change(None, json!({"text": "other"})).await, 401);
    assert_eq!(change(Some("wrong"), json!({"text": "other"})).await, 401);
    for body in
        [json!({}), json!({"text": ""}), json!({"text": 1}), json!({"text": "x".repeat((256 << 10) + 1)})]
    {
        assert_eq!(change(Some(TOKEN), body).await, 400);
    }
    let none = admin(at, Method::PUT, "/v1/documents/none", Some(TOKEN), &json!({"text": "other"})).await;
    assert_eq!(none.status, 404);

    for number in 0..3 {
        let searched = "/v1/search?q=edition&limit=5";
        get(at, searched).await;
        assert!(get(at, &path).await.status == 200 && get(at, &path).await.is_hit());
        let text = format!("Edition {number} of a text");
        assert_eq!(change(Some(TOKEN), json!({"text": text})).await, 200);
        let reply = get(at, &path).await;
        assert_eq!((reply.is_hit(), &reply.json()["text"]), (false, &json!(text)));
        assert_eq!(get(at, searched).await.json()["hits"][0]["snippet"], json!(text));
    }
}

/// A purge reaches the other process by a message over Redis; loopback's are far below this.
const PUSH: std::time::Duration = std::time::Duration::from_secs(1);

#[tokio::test]
async fn a_document_changed_through_one_replica_is_not_served_old_by_the_other() {
    let redis = RedisServer::start();
    let corpus = corpus("replicas");
    let variables = [("REDIS_URL", &*redis.url()), ("ADMIN_TOKEN", TOKEN)];
    let replicas = [1, 2].map(|_| Program::serve("axum_search", Some(corpus.path()), &variables));
    let [one, other] = replicas.each_ref().map(|program| program.address);
    let path = found(one, "ranking").await;
    let searched = "/v1/search?q=edition&limit=1";
    let (mut hits, mut slowest) = (0, std::time::Duration::ZERO);
    for number in 0..20 {
        for at in [one, other, one, other] {
            for target in [path.as_str(), searched] {
                hits += usize::from(get(at, target).await.is_hit());
            }
        }
        let (changed, read) = if number % 2 == 0 { (one, other) } else { (other, one) };
        let text = format!("Edition {number} of a text");
        let reply = admin(changed, Method::PUT, &path, Some(TOKEN), &json!({"text": text})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let returned = tokio::time::Instant::now();
        assert_eq!(get(changed, &path).await.json()["text"], json!(text), "where it was changed, at once");
        loop {
            let asked = returned.elapsed();
            let (document, found) = (get(read, &path).await.json(), get(read, searched).await.json());
            if document["text"] == json!(text) && found["hits"][0]["snippet"] == json!(text) {
                slowest = slowest.max(asked);
                break;
            }
            assert!(asked < PUSH, "{number}: still {document} and {found} after {asked:?}");
        }
    }
    assert!(hits >= 100, "the caches are in use: {hits} of 160");
    println!(
        "20 documents changed through one replica and read through the other: new at the latest {slowest:?} after the purge"
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

#[test]
fn ctrl_c_ends_the_servers_with_status_0() {
    let (_corpus, program) = search("interrupt", &[]);
    assert_eq!(program.interrupt().code(), Some(0));
    let program = Program::serve("hyper_server", None, &[]);
    assert_eq!(program.interrupt().code(), Some(0));
}

#[tokio::test]
async fn the_hyper_server_answers_and_hits() {
    let redis = RedisServer::start();
    let program = Program::serve("hyper_server", None, &[("REDIS_URL", &redis.url())]);
    let first = get(program.address, "/primes/1000").await;
    assert_eq!(first.text(), "168 primes up to 1000\n");
    assert_eq!(first.field("cache-status"), "tower-query-cache; fwd=miss; stored");
    let second = get(program.address, "/primes/1000").await;
    assert!(second.is_hit());
    assert_eq!(second.body, first.body);
    assert_eq!(get(program.address, "/primes/x").await.status, 404);
    assert_eq!(get(program.address, "/stats").await.json()["hits"]["memory"], 1);
}

/// A figure that the embedding client prints.
fn figure(text: &str, name: &str) -> u64 {
    let line =
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    line.trim_start_matches(':').trim().parse().unwrap()
}

#[test]
fn the_embedding_client_reuses_connections_and_answers() {
    let output = run(&mut command("embedding_client", &[]));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    print!("{text}");
    assert_eq!(figure(&text, "texts embedded"), 18);
    assert_eq!(figure(&text, "calls made"), 6);
    assert_eq!(figure(&text, "connections opened"), 1);
    assert_eq!(figure(&text, "repeated texts answered without a call"), 12);
}
