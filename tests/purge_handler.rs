//! The purge handler: who gets in, what is asked for, what is answered, what the log keeps.
#![cfg(feature = "test-util")]

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use support::WithoutJournal;
use support::http::{Act, cache_status, ok, scripted};
use support::log::Log;
use support::site::{MINUTE, Site};
use tower::ServiceExt as _;
use tower_query_cache::test_util::MemoryStore;
use tower_query_cache::{
    Authorize, BearerToken, Denied, LimitsConfig, Policy, PurgeHandler, QueryCache, Routes,
};

const TOKEN: &str = "a-token-that-nobody-guesses";

fn cache() -> QueryCache {
    QueryCache::builder().build().unwrap()
}

fn handler(cache: &QueryCache) -> PurgeHandler {
    cache.purge_handler(BearerToken::new(TOKEN).unwrap())
}

/// A request for a purge, as it should be.
fn order(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::post("/v1/cache/purge").header("content-type", "application/json");
    request.header("authorization", format!("Bearer {TOKEN}")).body(Full::new(body.into())).unwrap()
}

/// Status, fields and JSON of an answer, with what holds for all of them checked.
async fn send<B>(handler: &PurgeHandler, request: Request<B>) -> (u16, http::HeaderMap, Value)
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    let response: Response<Full<Bytes>> = handler.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let value: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(parts.headers["cache-control"], "no-store");
    assert_eq!(parts.headers["content-length"], body.len().to_string());
    if parts.status == 200 {
        assert_eq!(parts.headers["content-type"], "application/json");
        assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), ["everything", "id"]);
        assert_eq!(value["everything"], false);
    } else {
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        let title = parts.status.canonical_reason().unwrap();
        assert_eq!((&value["type"], &value["title"]), (&json!("about:blank"), &json!(title)));
        assert_eq!(value["status"], parts.status.as_u16());
        assert!(
            value["detail"].as_str().is_some_and(|detail| !detail.is_empty() && detail.len() < 600),
            "{value}"
        );
        assert!(!String::from_utf8_lossy(&body).contains(TOKEN));
    }
    (parts.status.as_u16(), parts.headers, value)
}

async fn status<B>(handler: &PurgeHandler, request: Request<B>) -> u16
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    send(handler, request).await.0
}

fn site(cache: &QueryCache) -> Site {
    let routes = Routes::new()
        .route("/items/{id}", Policy::ttl(MINUTE).tags(["item:{id}"]).sort_query())
        .route("/about", Policy::ttl(MINUTE).label("texts").stale_while_revalidate(MINUTE));
    Site::new(cache, routes, |_| ok("page"))
}

async fn kept(site: &Site) -> [bool; 3] {
    let mut kept = [false; 3];
    for (kept, uri) in kept.iter_mut().zip(["/items/1?a=1&b=2", "/items/2", "/about"]) {
        *kept = cache_status(&site.get(uri).await).contains("; hit;");
    }
    kept
}

#[tokio::test]
async fn each_target_is_purged_and_nothing_else() {
    let cache = cache();
    let (site, handler) = (site(&cache), handler(&cache));
    for (body, still) in [
        (json!({"tag": "item:1"}), [false, true, true]),
        (json!({"tags": ["item:1", "item:2"]}), [false, false, true]),
        (json!({"url": "/items/1?b=2&a=1"}), [false, true, true]),
        (json!({"url": "https://one.example/items/2"}), [true, false, true]),
        (json!({"route": "texts"}), [true, true, false]),
        (json!({"all": true}), [false, false, false]),
        (json!({"tag": "nobody has it", "soft": false}), [true, true, true]),
    ] {
        kept(&site).await;
        assert_eq!(kept(&site).await, [true; 3]);
        let (status, _, value) = send(&handler, order(body.to_string())).await;
        assert_eq!((status, value["id"].is_string()), (200, true), "{body}");
        assert_eq!(kept(&site).await, still, "{body}");
    }
}

#[tokio::test]
async fn a_soft_purge_leaves_what_may_answer_stale() {
    let cache = cache();
    let (site, handler) = (site(&cache), handler(&cache));
    kept(&site).await;
    assert_eq!(status(&handler, order(r#"{"all": true, "soft": true}"#)).await, 200);
    let answer = site.get("/about").await;
    assert!(cache_status(&answer).ends_with("detail=stale-while-revalidate"), "{:?}", answer.headers());
    assert!(!cache_status(&site.get("/items/2").await).contains("hit"), "it has no window to answer in");
}

#[tokio::test]
async fn nobody_gets_in_without_the_token() {
    let cache = cache();
    let (site, handler) = (site(&cache), handler(&cache));
    kept(&site).await;
    let challenged = async |fields: &[&str]| {
        let mut request = order(r#"{"all": true}"#);
        request.headers_mut().remove("authorization");
        for field in fields {
            request.headers_mut().append("authorization", HeaderValue::from_str(field).unwrap());
        }
        let (status, headers, _) = send(&handler, request).await;
        assert_eq!(status, 401, "{fields:?}");
        headers["www-authenticate"].to_str().unwrap().to_owned()
    };
    let right = format!("Bearer {TOKEN}");
    for fields in [&[][..], &["Basic YTpi"], &[TOKEN], &["Bearer"], &[&right, &right]] {
        assert_eq!(challenged(fields).await, "Bearer", "{fields:?}");
    }
    for wrong in ["Bearer x", "Bearer ", &format!("Bearer  {TOKEN}"), &format!("{right}x")] {
        assert_eq!(challenged(&[wrong]).await, r#"Bearer error="invalid_token""#, "{wrong:?}");
    }
    assert_eq!(kept(&site).await, [true; 3]);
    let mut small = order(r#"{"tag": "item:1"}"#);
    small.headers_mut().insert("authorization", HeaderValue::from_str(&format!("bEARER {TOKEN}")).unwrap());
    assert_eq!(status(&handler, small).await, 200, "schemes have no case");
}

#[test]
fn a_token_that_is_none_is_an_error_that_does_not_show_it() {
    assert_eq!(BearerToken::new("").unwrap_err().to_string(), "the token is empty");
    let error = BearerToken::new("secret word\n").unwrap_err().to_string();
    assert!(error.contains("visible ASCII") && !error.contains("secret"), "{error}");
    let handler = format!("{:?} {:?}", BearerToken::new(TOKEN).unwrap(), handler(&cache()));
    assert!(!handler.contains(TOKEN), "{handler}");
}

/// Knows users by an extension.
struct Admins;

#[derive(Clone)]
struct User(&'static str);

impl Authorize for Admins {
    fn authorize(&self, request: &Parts) -> Result<String, Denied> {
        match request.extensions.get() {
            Some(User("root")) => Ok("root\nof all".to_owned()),
            Some(User(_)) => Err(Denied::Forbidden),
            None => Err(Denied::Unauthorized(HeaderValue::from_static("Negotiate"))),
        }
    }
}

#[tokio::test]
async fn an_authorizer_of_ones_own_knows_who_may_not() {
    let cache = cache();
    let handler = cache.purge_handler(Admins);
    let by = |user: Option<User>| {
        let mut request = order(r#"{"all": true}"#);
        user.map(|user| request.extensions_mut().insert(user));
        request
    };
    assert_eq!(status(&handler, by(Some(User("root")))).await, 200);
    let (status, headers, _) = send(&handler, by(Some(User("guest")))).await;
    assert_eq!((status, headers.contains_key("www-authenticate")), (403, false));
    let (status, headers, _) = send(&handler, by(None)).await;
    assert_eq!((status, &headers["www-authenticate"]), (401, &HeaderValue::from_static("Negotiate")));
}

#[tokio::test]
async fn what_is_no_order_is_a_400_and_purges_nothing() {
    let cache = cache();
    let (site, handler) = (site(&cache), handler(&cache));
    kept(&site).await;
    for body in [
        "",
        "item:1",
        "tag=item:1",
        "{",
        "[]",
        r#"["item:1"]"#,
        "null",
        "{}",
        r#"{"soft": true}"#,
        r#"{"tag": "item:1", "all": true}"#,
        r#"{"tag": "item:1", "url": "/about"}"#,
        r#"{"tag": "item:1", "tag": "item:2"}"#,
        r#"{"tag": "item:1", "hard": true}"#,
        r#"{"tag": "item:1", "soft": "yes"}"#,
        r#"{"tag": "item:1", "url": null}"#,
        r#"{"tag": ""}"#,
        r#"{"tag": "a\nb"}"#,
        r#"{"tags": ["item:1", "a\u0000b"]}"#,
        r#"{"tags": []}"#,
        r#"{"all": false}"#,
        r#"{"url": "about"}"#,
        &format!(r#"{{"tag": "{}"}}"#, "x".repeat(129)),
        &"[".repeat(60_000),
    ] {
        assert_eq!(status(&handler, order(body.to_owned())).await, 400, "{body:.80}");
    }
    assert_eq!(status(&handler, order(&b"{\"tag\": \"\xff\"}"[..])).await, 400);
    assert_eq!(kept(&site).await, [true; 3]);
}

#[tokio::test]
async fn the_wrong_method_or_type_is_told_what_is_right() {
    let handler = handler(&cache());
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let mut request = order(r#"{"all": true}"#);
        *request.method_mut() = method;
        let (status, headers, _) = send(&handler, request).await;
        assert_eq!((status, &headers["allow"]), (405, &HeaderValue::from_static("POST")));
    }
    for types in [
        &[][..],
        &["text/plain"],
        &["application/x-www-form-urlencoded"],
        &["application/jsonp"],
        &["application/json", "application/json"],
    ] {
        let mut request = order(r#"{"all": true}"#);
        request.headers_mut().remove("content-type");
        for kind in types {
            request.headers_mut().append("content-type", HeaderValue::from_static(kind));
        }
        let (status, headers, _) = send(&handler, request).await;
        assert_eq!(
            (status, &headers["accept"]),
            (415, &HeaderValue::from_static("application/json")),
            "{types:?}"
        );
    }
    let mut compressed = order(r#"{"all": true}"#);
    compressed.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
    let (status, headers, _) = send(&handler, compressed).await;
    assert_eq!((status, &headers["accept-encoding"]), (415, &HeaderValue::from_static("identity")));
    let mut with_charset = order(r#"{"all": true}"#);
    with_charset
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("Application/JSON; charset=utf-8"));
    assert_eq!(send(&handler, with_charset).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_is_read_in_bounded_time_and_memory_and_for_those_who_may_alone() {
    let cache = cache();
    let handler = handler(&cache);
    let padded = |bytes: usize| {
        let order = r#"{"all": true}"#;
        order.to_owned() + &" ".repeat(bytes - order.len())
    };
    assert_eq!(status(&handler, order(padded(64 << 10))).await, 200);
    assert_eq!(status(&handler, order(padded((64 << 10) + 1))).await, 413);

    let open = |token: &str| {
        let (acts, body) = scripted::<Infallible>();
        let request = Request::post("/").header("content-type", "application/json");
        (acts, request.header("authorization", format!("Bearer {token}")).body(body).unwrap())
    };
    // Longer than it says, chunk by chunk.
    let (acts, request) = open(TOKEN);
    for _ in 0..20_000 {
        acts.send(Act::Data("    ")).unwrap();
    }
    assert_eq!(status(&handler, request).await, 413);
    drop(acts);

    let started = tokio::time::Instant::now();
    let (acts, request) = open(TOKEN);
    acts.send(Act::Data("{")).unwrap();
    assert_eq!(status(&handler, request).await, 408);
    assert_eq!(started.elapsed().as_secs(), 10);
    drop(acts);

    let (acts, request) = open("wrong");
    assert_eq!(status(&handler, request).await, 401, "not a byte of the body is waited for");
    assert_eq!(started.elapsed().as_secs(), 10);
    drop(acts);

    let (acts, request) = open(TOKEN);
    acts.send(Act::Data(r#"{"all": true}"#)).unwrap();
    acts.send(Act::Trailers(http::HeaderMap::new())).unwrap();
    assert_eq!(status(&handler, request).await, 400);
}

#[tokio::test]
async fn bodies_that_are_read_at_once_share_a_limit() {
    let mut limits = LimitsConfig::default();
    limits.key_body_bytes = 4;
    let cache = QueryCache::builder().limits(limits).build().unwrap();
    assert_eq!(status(&handler(&cache), order(r#"{"all": true}"#)).await, 503);
}

#[tokio::test]
async fn a_purge_that_others_do_not_hear_of_is_told() {
    let store = Arc::new(WithoutJournal(Arc::new(MemoryStore::new(100))));
    let cache = QueryCache::builder().store(store).build().unwrap();
    let (site, handler) = (site(&cache), handler(&cache));
    kept(&site).await;
    let (status, _, value) = send(&handler, order(r#"{"tag": "item:1"}"#)).await;
    assert_eq!(status, 501, "{value}");
    assert!(value["detail"].as_str().unwrap().contains("this process alone"), "{value}");
}

#[tokio::test]
async fn the_log_keeps_who_purged_what_on_one_line_each() {
    let log = Log::start();
    let cache = cache();
    let handler = cache.purge_handler(Admins);
    let send_as = async |user: Option<User>, body: Value| {
        let mut request = order(body.to_string());
        user.map(|user| request.extensions_mut().insert(user));
        status(&handler, request).await
    };
    let root = || Some(User("root"));
    assert_eq!(send_as(root(), json!({"url": "/items/1?q=private", "soft": true})).await, 200);
    assert_eq!(send_as(root(), json!({"tags": ["søk", "b"]})).await, 200);
    assert_eq!(send_as(root(), json!({"route": "a\nb".repeat(100)})).await, 200);
    assert_eq!(send_as(Some(User("guest")), json!({"all": true})).await, 403);
    assert_eq!(send_as(None, json!({"all": true})).await, 401);
    let lines = log.lines(&["tower_query_cache::audit"]);
    println!("{}", lines.join("\n"));
    let words: [&[&str]; 5] = [
        &[
            "INFO",
            "kind=\"url\"",
            "about=\"/items/1?…\"",
            "soft=true",
            "outcome=\"purged\"",
            "id=0-1",
            "root",
        ],
        &["kind=\"tag\"", "about=\"søk and 1 more\"", "soft=false"],
        &["kind=\"route\"", "…\""],
        &["WARN", "outcome=\"forbidden\""],
        &["WARN", "outcome=\"unauthorized\""],
    ];
    assert_eq!(lines.len(), words.len());
    for (line, words) in lines.iter().zip(words) {
        assert!(words.iter().all(|word| line.contains(word)) && line.len() < 700, "{words:?} in {line}");
    }
    assert!(!log.text().contains("private") && !log.text().contains(TOKEN));
}

/// What the journal can't take isn't done.
#[cfg(feature = "redis")]
#[tokio::test]
async fn a_journal_that_cannot_be_reached_is_a_503() {
    let mut redis = support::RedisServer::start();
    let cache = QueryCache::builder().redis_url(redis.url()).build().unwrap();
    assert!(cache.ready(Duration::from_secs(10)).await);
    let (site, handler) = (site(&cache), handler(&cache));
    support::eventually_async("a purge", || async {
        status(&handler, order(r#"{"all": true}"#)).await == 200
    })
    .await;
    kept(&site).await;
    redis.stop();
    let (status, _, value) = send(&handler, order(r#"{"tag": "item:1"}"#)).await;
    assert_eq!(status, 503, "{value}");
    assert!(value["detail"].as_str().unwrap().contains("kept for the others"), "{value}");
    assert!(!value.to_string().contains("127.0.0.1"), "{value}");
    cache.shutdown().await;
}

/// The handler goes into an axum router, and under hyper, as it is.
#[cfg(feature = "axum")]
#[tokio::test]
async fn it_is_mounted_in_axum() {
    let app: axum::Router = axum::Router::new().route_service("/v1/cache/purge", handler(&cache()));
    let (parts, body) = order(r#"{"all": true}"#).into_parts();
    let request = Request::from_parts(parts, axum::body::Body::new(body));
    let response =
        tokio::time::timeout(Duration::from_secs(10), app.oneshot(request)).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
}
