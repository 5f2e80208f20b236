//! The layer where users put it: on axum's routes and routers, and what handlers see and say there.
#![cfg(feature = "axum")]

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, RawQuery};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use http::{Method, Request, StatusCode, Uri};
use serde_json::{Value, json};
use support::http::{assert_hit, cache_status, field, text};
use support::site::MINUTE;
use tower::{ServiceBuilder, ServiceExt as _};
use tower_query_cache::{CacheTtl, NoStore, Policy, QueryCache, Routes};

fn cache() -> QueryCache {
    QueryCache::builder().build().unwrap()
}

/// Counts the calls of handlers.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl Calls {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

async fn send(app: &Router, method: Method, uri: &str, body: &str) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()));
    app.clone().oneshot(request.unwrap()).await.unwrap()
}

async fn fetch(app: &Router, uri: &str) -> Response {
    send(app, Method::GET, uri, "").await
}

/// A handler that counts and answers with what it sees of the path.
fn item(
    calls: &Calls,
) -> impl Fn(Path<String>) -> std::future::Ready<String> + Clone + Send + Sync + 'static {
    let calls = calls.clone();
    move |Path(id)| {
        calls.add();
        std::future::ready(format!("item {id}"))
    }
}

#[tokio::test]
async fn on_a_route() {
    let (cache, calls) = (cache(), Calls::default());
    let app = Router::new()
        .route("/items/{id}", get(item(&calls)).layer(cache.layer(Policy::ttl(MINUTE))))
        .route("/live/{id}", get(item(&calls)));
    for id in ["1", "2"] {
        let path = format!("/items/{id}");
        assert_eq!(cache_status(&fetch(&app, &path).await), "tower-query-cache; fwd=miss; stored");
        assert_hit(fetch(&app, &path).await, &format!("item {id}")).await;
    }
    assert_eq!(calls.count(), 2);
    for _ in 0..2 {
        assert!(!fetch(&app, "/live/1").await.headers().contains_key("cache-status"));
    }
    assert_eq!(calls.count(), 4, "a route without the layer is as it was");
}

#[tokio::test]
async fn on_a_router_with_a_policy_or_a_table() {
    let tables: [Routes; 2] = [
        Policy::ttl(MINUTE).into(),
        Routes::new().route("/items/{id}", Policy::ttl(MINUTE)).route("/b/{*rest}", Policy::ttl(MINUTE)),
    ];
    for table in tables {
        let (cache, calls) = (cache(), Calls::default());
        let app = Router::new()
            .route("/items/{id}", get(item(&calls)))
            .route("/b/{id}", get(item(&calls)))
            .layer(cache.layer(table));
        for path in ["/items/1", "/b/1"] {
            fetch(&app, path).await;
            assert_hit(fetch(&app, path).await, "item 1").await;
        }
        assert_eq!(calls.count(), 2);
        assert_eq!(fetch(&app, "/none").await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn nested_routers_do_not_share_what_differs_by_prefix() {
    let (cache, calls) = (cache(), Calls::default());
    let nested = |kind: &'static str| {
        let calls = calls.clone();
        let handler = move |Path(id): Path<String>, uri: Uri| {
            calls.add();
            std::future::ready(format!("{kind} {id} at {uri}"))
        };
        Router::new().route("/{id}", get(handler)).layer(cache.layer(Policy::ttl(MINUTE)))
    };
    let app = Router::new().nest("/users", nested("user")).nest("/orders", nested("order"));
    for _ in 0..2 {
        // The handlers see the same stripped URI.
        assert_eq!(text(fetch(&app, "/users/1").await).await, "user 1 at /1");
        assert_eq!(text(fetch(&app, "/orders/1").await).await, "order 1 at /1");
    }
    assert_hit(fetch(&app, "/users/1").await, "user 1 at /1").await;
    assert_eq!(calls.count(), 2);
}

/// A proxy whose upstream stands in a field of the request, with a cached client that answers with the URI it is asked for. It sends the
/// request that it got, only with another URI.
fn proxy(policy: Policy, calls: &Calls) -> Router {
    let calls = calls.clone();
    let upstream = tower::service_fn(move |request: Request<Body>| {
        calls.add();
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(request.uri().to_string()))))
    });
    let client = ServiceBuilder::new().layer(cache().layer(policy)).service(upstream);
    Router::new().fallback(move |mut request: Request<Body>| {
        let upstream = field(request.headers(), "x-upstream").to_owned();
        *request.uri_mut() = format!("http://{upstream}{}", request.uri()).parse().unwrap();
        client.clone().oneshot(request)
    })
}

#[tokio::test]
async fn a_proxy_that_reuses_the_request_keeps_its_upstreams_apart() {
    for policy in [Policy::ttl(MINUTE), Policy::ttl(MINUTE).authority("edge")] {
        let calls = Calls::default();
        let app = proxy(policy, &calls);
        let ask = |upstream: &'static str| {
            let request = Request::get("/x?q=1").header("x-upstream", upstream).body(Body::empty());
            app.clone().oneshot(request.unwrap())
        };
        for upstream in ["red", "blue", "blue:81"] {
            let answer = format!("http://{upstream}/x?q=1");
            assert_eq!(text(ask(upstream).await.unwrap()).await, answer);
            assert_hit(ask(upstream).await.unwrap(), &answer).await;
        }
        assert_eq!(calls.count(), 3);
    }
}

#[tokio::test]
async fn the_stats_handler_is_a_route_service() {
    let (cache, calls) = (cache(), Calls::default());
    let app = Router::new()
        .route("/items/{id}", get(item(&calls)).layer(cache.layer(Policy::ttl(MINUTE))))
        .route_service("/v1/cache/stats", cache.stats_handler());
    for _ in 0..3 {
        fetch(&app, "/items/1").await;
    }
    let stats = fetch(&app, "/v1/cache/stats").await;
    assert_eq!(field(stats.headers(), "content-type"), "application/json");
    assert_eq!(field(stats.headers(), "cache-control"), "no-store");
    let stats: Value = serde_json::from_str(&text(stats).await).unwrap();
    assert_eq!((&stats["hits"]["memory"], &stats["forwarded"]), (&json!(2), &json!(1)));
    assert_eq!((&stats["type"], &stats["keys"]), (&json!("memory"), &json!(1)));
    let posted = send(&app, Method::POST, "/v1/cache/stats", "").await;
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_handler_adapts_its_own_answer() {
    let cache = cache();
    let app = Router::new()
        .route("/short", get(|| async { (Extension(CacheTtl(Duration::from_secs(5))), "short") }))
        .route("/never", get(|| async { (Extension(NoStore), "never") }))
        .layer(cache.layer(Policy::ttl(MINUTE)));
    fetch(&app, "/short").await;
    let hit = fetch(&app, "/short").await;
    let left: u64 = cache_status(&hit).rsplit('=').next().unwrap().parse().unwrap();
    assert!(left <= 5, "{left}");
    for _ in 0..2 {
        let answer = fetch(&app, "/never").await;
        assert_eq!(cache_status(&answer), "tower-query-cache; fwd=miss; detail=handler-no-store");
    }
}

#[tokio::test]
async fn denied_parameters_are_hidden_wherever_a_handler_looks() {
    let cache = cache();
    let seen = |OriginalUri(original): OriginalUri, uri: Uri, RawQuery(query): RawQuery| async move {
        format!("{original} {uri} {}", query.unwrap_or_default())
    };
    let nested =
        Router::new().route("/b", get(seen)).layer(cache.layer(Policy::ttl(MINUTE).deny_query(["utm_*"])));
    let app = Router::new().nest("/a", nested);
    let first = fetch(&app, "/a/b?utm_source=x&q=1&utm_medium=y").await;
    assert_eq!(text(first).await, "/a/b?q=1 /b?q=1 q=1");
    assert_hit(fetch(&app, "/a/b?q=1&utm_campaign=z").await, "/a/b?q=1 /b?q=1 q=1").await;
}

#[derive(serde::Deserialize)]
struct Question {
    q: String,
}

/// A search by POST, behind a layer that keys bodies up to 64 bytes.
fn search(cache: &QueryCache, calls: &Calls) -> Router {
    let calls = calls.clone();
    let handler = move |Json(question): Json<Question>| {
        calls.add();
        std::future::ready(Json(json!({"found": question.q})))
    };
    let policy = Policy::ttl(MINUTE).methods([Method::POST]).key_body(64);
    Router::new().route("/search", post(handler).layer(cache.layer(policy)))
}

#[tokio::test]
async fn a_keyed_body_reaches_the_json_extractor() {
    let calls = Calls::default();
    let app = search(&cache(), &calls);
    for (question, found) in [(r#"{"q":"a"}"#, r#"{"found":"a"}"#), (r#"{"q":"b"}"#, r#"{"found":"b"}"#)] {
        assert_eq!(text(send(&app, Method::POST, "/search", question).await).await, found);
        assert_hit(send(&app, Method::POST, "/search", question).await, found).await;
    }
    assert_eq!(calls.count(), 2);
    let bad = send(&app, Method::POST, "/search", "{").await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
    assert_eq!(cache_status(&bad), "tower-query-cache; fwd=miss; detail=status");
}

#[tokio::test]
async fn an_over_long_body_reaches_the_json_extractor_whole() {
    let calls = Calls::default();
    let app = search(&cache(), &calls);
    let long = "x".repeat(5000);
    for _ in 0..2 {
        let answer = send(&app, Method::POST, "/search", &format!(r#"{{"q":"{long}"}}"#)).await;
        assert_eq!(cache_status(&answer), "tower-query-cache; fwd=bypass; detail=body-too-large");
        assert_eq!(text(answer).await, format!(r#"{{"found":"{long}"}}"#));
    }
    assert_eq!(calls.count(), 2);
}

#[tokio::test]
async fn one_route_has_a_policy_for_each_method() {
    let (cache, calls) = (cache(), Calls::default());
    let counted = |answer: &'static str| {
        let calls = calls.clone();
        move || {
            calls.add();
            std::future::ready(answer)
        }
    };
    let posts = Policy::ttl(MINUTE).methods([Method::POST]).key_body(64);
    let app = Router::new().route(
        "/search",
        get(counted("got"))
            .layer(cache.layer(Policy::ttl(MINUTE)))
            .merge(post(counted("posted")).layer(cache.layer(posts))),
    );
    for (method, answer) in [(Method::GET, "got"), (Method::POST, "posted")] {
        send(&app, method.clone(), "/search", "").await;
        assert_hit(send(&app, method, "/search", "").await, answer).await;
    }
    assert_eq!(calls.count(), 2);
}

tokio::task_local! {
    static TENANT: &'static str;
}

#[tokio::test]
async fn a_spawner_brings_task_locals_into_the_handler() {
    let cache = QueryCache::builder()
        .spawner(|fill| {
            drop(tokio::spawn(TENANT.scope(TENANT.try_with(|name| *name).unwrap_or("none"), fill)))
        })
        .build()
        .unwrap();
    let tenant = || async { TENANT.try_with(|name| *name).unwrap_or("lost") };
    let app = Router::new().route("/", get(tenant)).layer(cache.layer(Policy::ttl(MINUTE)));
    let answer = TENANT.scope("blue", fetch(&app, "/")).await;
    assert_eq!(text(answer).await, "blue");
    cache.settled().await;
}

#[tokio::test]
async fn a_fill_runs_in_its_callers_span() {
    use tracing::Instrument as _;

    let subscriber = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let span = || async { tracing::Span::current().metadata().map_or("none", |span| span.name()) };
    let app = Router::new().route("/", get(span)).layer(cache().layer(Policy::ttl(MINUTE)));
    let answer = fetch(&app, "/").instrument(tracing::info_span!("request")).await;
    assert_eq!(text(answer).await, "request");
}
