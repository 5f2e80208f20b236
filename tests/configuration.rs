//! Settings as the example program takes them from its environment, and the same settings by builder and serde.
#![cfg(feature = "redis")]

mod support;

use std::process::{Command, Output};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use support::net::fetch;
use support::program::{Corpus, Program, command, run};
use tower_query_cache::{
    CacheBuilder, CacheConfig, HeadKey, LimitsConfig, Policy, PolicyError, QueryCache, RedisConfig, Routes,
    RoutesConfig,
};

/// What the example prints and how it ends where a variable can't be used.
fn refused(variables: &[(&str, &str)]) -> Output {
    let output = run(&mut command("axum_search", variables));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    output
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn a_variable_that_does_not_parse_is_one_clear_line_and_status_1() {
    for (name, value) in [
        ("REDIS_MAX_CONNECTIONS", "abc"),
        ("REDIS_MAX_CONNECTIONS", "0"),
        ("CACHE_TTL", "-1"),
        ("LRU_CACHE_SIZE", "1e3"),
        ("ENABLE_CACHE", "maybe"),
        ("CACHE_NAMESPACE", "a b"),
        ("REDIS_URL", "localhost:6379"),
    ] {
        let output = refused(&[(name, value)]);
        let line = stderr(&output);
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(
            line.starts_with(&format!("axum_search: {name}: ")) && line.contains("; accepted: "),
            "{line}"
        );
        print!("{name}={value}: {line}");
    }
}

#[test]
fn a_password_is_never_printed() {
    for url in [
        "redis://someone:hunter2@host:port",
        "http://someone:hunter2@host",
        "rediss://someone:hunter2@host#insecure",
        "redis://:hunter2@host/hunter2",
    ] {
        let output = refused(&[("REDIS_URL", url)]);
        let line = stderr(&output);
        assert!(line.starts_with("axum_search: REDIS_URL") && line.lines().count() == 1, "{line}");
        assert!(!line.contains("hunter2") && !line.contains("someone"), "{line}");
    }
}

#[tokio::test]
async fn a_cache_that_is_off_changes_no_answer_and_adds_no_field() {
    let corpus = Corpus::new("off", &[("a.txt", "a cache in front"), ("b.txt", "a pool of connections")]);
    let on = Program::serve("axum_search", Some(corpus.path()), &[]);
    let off = Program::serve("axum_search", Some(corpus.path()), &[("ENABLE_CACHE", "false")]);
    assert!(on.greeting.ends_with("tiers: memory") && off.greeting.ends_with("tiers: off"));
    let target = "/v1/search?q=cache&limit=3";
    let reference = fetch(on.address, Method::GET, target, "").await.json();
    assert!(fetch(on.address, Method::GET, target, "").await.is_hit());
    for (method, target, body) in
        [(Method::GET, target, ""), (Method::POST, "/v1/search", r#"{"q": "cache", "limit": 3}"#)]
    {
        for _ in 0..2 {
            let reply = fetch(off.address, method.clone(), target, body).await;
            assert_eq!(reply.status, 200);
            for field in ["cache-status", "age", "etag"] {
                assert!(!reply.headers.contains_key(field), "{field}: {:?}", reply.headers);
            }
            let answer = reply.json();
            assert_eq!((&answer["query"], &answer["hits"]), (&reference["query"], &reference["hits"]));
        }
    }
    let stats = fetch(off.address, Method::GET, "/v1/cache/stats", "").await.json();
    assert_eq!((&stats["enabled"], &stats["forwarded"]), (&json!(false), &json!(0)));
}

const CHILD: &str = "TOWER_QUERY_CACHE_TEST_CHILD";

/// What a process makes of an environment: this very test, run again with these variables alone.
fn from_environment(variables: &[(&str, &str)]) -> Value {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "builder_serde_and_environment_give_the_same", "--nocapture"])
        .env_clear()
        .envs(variables.iter().copied())
        .env(CHILD, "1");
    let output = run(&mut child);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| Some(line.split_once("config: ")?.1));
    serde_json::from_str(line.expect(&text)).unwrap()
}

#[test]
fn builder_serde_and_environment_give_the_same() {
    if std::env::var_os(CHILD).is_some() {
        println!("config: {}", serde_json::to_string(&CacheConfig::from_env().unwrap()).unwrap());
        return;
    }
    let all = [
        ("REDIS_URL", "redis://user:pw@cache:6380/2"),
        ("LRU_CACHE_SIZE", "1000"),
        ("CACHE_TTL", "60"),
        ("REDIS_MAX_CONNECTIONS", "4"),
        ("REDIS_CONNECT_TIMEOUT", "2"),
        ("REDIS_KEEPALIVE", "no"),
        ("CACHE_NAMESPACE", "shop:eu"),
        ("CACHE_APP", "search"),
        ("CACHE_GENERATION", "2f1c"),
    ];
    let serde: CacheConfig = serde_json::from_value(json!({
        "ttl": 60, "namespace": "shop:eu", "app": "search", "generation": "2f1c",
        "memory": {"max_entries": 1000},
        "redis": {"url": "redis://user:pw@cache:6380/2", "max_connections": 4, "connect_timeout": 2,
                  "keepalive": false},
    }))
    .unwrap();
    let (memory, redis) = (serde.memory.clone(), serde.redis.clone().unwrap());
    let environment: CacheConfig = serde_json::from_value(from_environment(&all)).unwrap();
    assert_eq!(environment, serde);

    let built = QueryCache::builder()
        .ttl(Duration::from_secs(60))
        .namespace("shop:eu")
        .app("search")
        .generation("2f1c")
        .memory(memory)
        .redis(redis);
    // `Debug` shows all but the credentials.
    assert_eq!(format!("{built:?}"), format!("{:?}", CacheBuilder::from(serde)));
    assert!(!format!("{built:?}").contains("pw@"));

    // Nothing set, and nothing meant: the defaults, whatever the two empty ones are.
    let defaults = serde_json::to_value(CacheConfig::default()).unwrap();
    assert_eq!(from_environment(&[]), defaults);
    assert_eq!(from_environment(&[("REDIS_URL", ""), ("CACHE_GENERATION", "")]), defaults);
}

#[test]
fn tags_are_data_of_a_route_and_checked_against_its_pattern() {
    let layer = |tags: &str, fields: &str| {
        let json = format!(
            r#"{{"routes": [{{"path": "/items/{{id}}", "policy": {{"tags": {tags}, "tag_fields": {fields}}}}}]}}"#
        );
        let routes =
            Routes::<HeadKey>::from_config(serde_json::from_str::<RoutesConfig>(&json).unwrap()).unwrap();
        QueryCache::builder().build().unwrap().try_layer(routes).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(
        layer(r#"["items", "item:{id}", "{{id}}"]"#, r#"["Cache-Tag", "surrogate-key", "Cache-Groups"]"#),
        Ok(())
    );
    for (tags, fields, field, words) in [
        (r#"["item:{key}"]"#, "[]", "tags", "`{key}`"),
        (r#"["a", ""]"#, "[]", "tags", "empty"),
        (r#"["a\u0007"]"#, "[]", "tags", "control"),
        ("[]", r#"["X-Tags"]"#, "tag_fields", "X-Tags"),
    ] {
        let error = layer(tags, fields).unwrap_err();
        let start = format!("route `/items/{{id}}`: policy field `{field}`: ");
        assert!(error.starts_with(&start) && error.contains(words), "{error}");
    }
}

#[test]
fn a_policy_that_contradicts_its_handle_is_refused_by_both_names() {
    let mut limits = LimitsConfig::default();
    limits.recording_bytes = 2 << 20;
    limits.key_body_bytes = 1 << 10;
    limits.fill_timeout = Duration::from_secs(10);
    let mut redis = RedisConfig::default();
    redis.queue_bytes = 1 << 20;
    let cache = QueryCache::builder().limits(limits.clone()).redis(redis).build().unwrap();
    limits.finish_fills = false;
    let unfinished = QueryCache::builder().limits(limits).build().unwrap();

    let policy = || Policy::ttl(Duration::from_secs(60));
    let seconds = Duration::from_secs;
    let refused = |error: Option<PolicyError>, names: [&str; 2]| {
        let text = error.expect(names[0]).to_string();
        assert!(names.iter().all(|name| text.contains(&format!("`{name}`"))), "{names:?}: {text}");
    };
    refused(cache.try_layer(policy().max_body(3 << 20)).err(), ["max_body", "recording_bytes"]);
    refused(cache.try_layer(policy().max_body(2 << 20)).err(), ["max_body", "redis.queue_bytes"]);
    refused(cache.try_layer(policy().key_body(2 << 10)).err(), ["key_body", "key_body_bytes"]);
    refused(cache.try_layer(policy().soft_timeout(seconds(11))).err(), ["soft_timeout", "fill_timeout"]);
    refused(cache.try_layer(policy().hard_timeout(seconds(11))).err(), ["hard_timeout", "fill_timeout"]);
    let contradictory = policy().soft_timeout(seconds(5)).hard_timeout(seconds(4));
    refused(cache.try_layer(contradictory).err(), ["soft_timeout", "hard_timeout"]);
    refused(unfinished.try_layer(policy().soft_timeout(seconds(1))).err(), ["soft_timeout", "finish_fills"]);
    refused(unfinished.try_layer(policy().hard_timeout(seconds(1))).err(), ["hard_timeout", "finish_fills"]);
    assert!(cache.try_layer(policy().soft_timeout(seconds(4)).hard_timeout(seconds(5))).is_ok());
}
