//! Traps that other response caches fall into, each as a test: what a key must hold, what must never be stored, and what
//! a layer must not do to the service behind it.

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use support::RedisServer;
use support::http::{Act, Scripted, assert_hit, cache_status, field, ok, scripted, text};
use tokio::sync::Barrier;
use tower::limit::ConcurrencyLimitLayer;
use tower::util::BoxCloneSyncService;
use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{CacheBody, Policy, QueryCache, RequestBody, Routes};

type Req = Request<Full<Bytes>>;
type Answer = Response<CacheBody<Full<Bytes>>>;
type Service = BoxCloneSyncService<Req, Answer, Infallible>;

const MINUTE: Duration = Duration::from_secs(60);

/// A cached service, and how often the handler was called.
struct Site {
    service: Service,
    calls: Arc<AtomicUsize>,
}

/// Answers by `handler`, behind the preset policy.
fn site(handler: impl Fn(&Req) -> Response<Full<Bytes>> + Send + Sync + 'static) -> Site {
    site_with(Policy::ttl(MINUTE), handler)
}

fn site_with(
    policy: Policy,
    handler: impl Fn(&Req) -> Response<Full<Bytes>> + Send + Sync + 'static,
) -> Site {
    let calls = Arc::new(AtomicUsize::new(0));
    let handler = Arc::new(handler);
    let counted = Arc::clone(&calls);
    let inner = service_fn(move |request: Req| {
        counted.fetch_add(1, Ordering::SeqCst);
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(handler(&request)) }
    });
    let cache = QueryCache::builder().build().unwrap();
    let service = ServiceBuilder::new().layer(cache.layer(policy)).service(inner);
    Site { service: BoxCloneSyncService::new(service), calls }
}

impl Site {
    async fn send(&self, request: Req) -> Answer {
        self.service.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, uri: &str) -> Answer {
        self.send(request(Method::GET, uri, &[])).await
    }

    async fn get_with(&self, uri: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(request(Method::GET, uri, fields)).await
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn request(method: Method, uri: &str, fields: &[(&str, &str)]) -> Req {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

fn with(fields: &[(&'static str, &'static str)], body: &str) -> Response<Full<Bytes>> {
    support::http::ok_with(fields, body)
}

// Keys and privacy.

#[tokio::test]
async fn an_empty_head_body_never_answers_a_get() {
    let site = site(|request| ok(if request.method() == Method::HEAD { "" } else { "page" }));
    let head = site.send(request(Method::HEAD, "/", &[])).await;
    assert_eq!(cache_status(&head), "tower-query-cache; fwd=miss; detail=head");
    assert_eq!(text(site.get("/").await).await, "page");
    let head = site.send(request(Method::HEAD, "/", &[])).await;
    assert!(cache_status(&head).contains("; hit;"), "a HEAD is answered by what GET stored");
    assert_eq!(field(head.headers(), "content-length"), "4");
    assert_eq!(text(head).await, "");
}

#[tokio::test]
async fn the_key_has_query_host_and_method() {
    let site = site(|request| {
        let host = field(request.headers(), "host");
        ok(format!("{} {host} {}", request.method(), request.uri()))
    });
    for (uri, host) in
        [("/?page=1", "a"), ("/?page=2", "a"), ("/?page=2", "b"), ("/?", "a"), ("/", "a"), ("//", "a")]
    {
        let response = site.get_with(uri, &[("host", host)]).await;
        assert_eq!(text(response).await, format!("GET {host} {uri}"));
    }
    let posted = site.send(request(Method::POST, "/?page=1", &[("host", "a")])).await;
    assert_eq!(cache_status(&posted), "tower-query-cache; fwd=bypass; detail=method");
    assert_eq!(text(posted).await, "POST a /?page=1");
    assert_eq!(site.calls(), 7);
}

#[tokio::test]
async fn odd_queries_are_keyed_or_bypass_but_never_dropped() {
    let site = site(|request| ok(request.uri().query().unwrap_or("").to_owned()));
    let nested = format!("a{}=1", "[b]".repeat(200));
    for query in ["a=1&a=2", "a=2&a=1", "a=1", "a=2", "a", "a=", "%", "%zz=1", "=&=", "a=1;b=2", &nested] {
        assert_eq!(text(site.get(&format!("/?{query}")).await).await, query);
    }
    for last in ["x", "y"] {
        let long = format!("{}{last}", "a=1&".repeat(5000));
        let response = site.get(&format!("/?{long}")).await;
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=bypass; detail=key-too-long");
        assert_eq!(text(response).await, long);
    }
}

#[tokio::test]
async fn binary_bodies_that_differ_have_keys_that_differ() {
    let inner = service_fn(|request: Request<RequestBody<Full<Bytes>>>| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    });
    let cache = QueryCache::builder().build().unwrap();
    let policy = Policy::ttl(MINUTE).methods([Method::POST]).key_body(1 << 10);
    let service = ServiceBuilder::new().layer(cache.layer(policy)).service(inner);
    // Each of them is the same replacement character to a lossy decoder.
    for bytes in [[0xff], [0xfe], [0x80], [0xc3]] {
        let request = Request::post("/").body(Full::new(Bytes::copy_from_slice(&bytes))).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; stored");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), &bytes[..]);
    }
}

#[tokio::test]
async fn errors_for_strangers_are_not_kept_for_users() {
    for status in [401, 403, 404, 500, 302] {
        let site = site(move |request| {
            let mut response = ok("secret");
            if !request.headers().contains_key("x-user") {
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
            }
            response
        });
        assert_eq!(site.get("/").await.status(), status);
        assert_eq!(site.get_with("/", &[("x-user", "1")]).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn credentials_and_cookies_bypass() {
    let site = site(|request| {
        let who =
            ["authorization", "cookie", "x-api-key"].map(|name| field(request.headers(), name)).concat();
        ok(format!("page of {who}"))
    });
    for (name, reason) in
        [("authorization", "credentials"), ("cookie", "cookie"), ("x-api-key", "credentials")]
    {
        for who in ["a=alice", "a=bob"] {
            let response = site.get_with("/", &[(name, who)]).await;
            assert_eq!(cache_status(&response), format!("tower-query-cache; fwd=bypass; detail={reason}"));
            assert_eq!(text(response).await, format!("page of {who}"));
        }
    }
    assert_eq!(text(site.get("/").await).await, "page of ");
}

#[tokio::test]
async fn a_set_cookie_is_not_replayed_to_strangers() {
    let site = site(|_| with(&[("set-cookie", "sid=1")], "welcome"));
    for calls in 1..=2 {
        let response = site.get("/").await;
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; detail=set-cookie");
        assert_eq!(field(response.headers(), "set-cookie"), "sid=1");
        assert_eq!(site.calls(), calls);
    }
}

#[tokio::test]
async fn vary_is_followed() {
    let site = site(|request| with(&[("vary", "x-tenant")], field(request.headers(), "x-tenant")));
    for tenant in ["a", "b", "", "a,b"] {
        assert_eq!(text(site.get_with("/", &[("x-tenant", tenant)]).await).await, tenant);
    }
    assert_eq!(text(site.get("/").await).await, "", "absent isn't empty");
    assert_eq!(site.calls(), 5);
    assert_hit(site.get_with("/", &[("x-tenant", "b")]).await, "b").await;

    let star = self::site(|_| with(&[("vary", "accept"), ("vary", "*")], "mine"));
    star.get("/").await;
    assert_eq!(cache_status(&star.get("/").await), "tower-query-cache; fwd=miss; detail=vary-star");
}

#[tokio::test]
async fn every_line_and_letter_case_of_cache_control_counts() {
    for (lines, reason) in [
        (&[("cache-control", "No-Store")][..], "no-store"),
        (&[("cache-control", "max-age=60"), ("cache-control", "private")], "private"),
        (&[("cache-control", "max-age=60 , PRIVATE=\"x-a\"")], "private"),
        (&[("cache-control", "public"), ("cache-control", "s-maxage=9, nO-cAcHe")], "no-cache"),
        (&[("cache-control", "max-age=0")], "zero-lifetime"),
    ] {
        let lines = lines.to_vec();
        let site = site(move |_| with(&lines, "mine"));
        for _ in 0..2 {
            let response = site.get("/").await;
            assert_eq!(cache_status(&response), format!("tower-query-cache; fwd=miss; detail={reason}"));
        }
        assert_eq!(site.calls(), 2);
    }
}

#[tokio::test]
async fn requests_without_a_key_are_not_collapsed_with_each_other() {
    let barrier = Arc::new(Barrier::new(2));
    let inner = service_fn(move |request: Req| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            Ok::<_, Infallible>(ok(request.uri().path().to_owned()))
        }
    });
    let cache = QueryCache::builder().build().unwrap();
    let service = ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner);
    let hosts = [("host", "a"), ("host", "b")];
    let both = ["/x", "/y"].map(|path| service.clone().oneshot(request(Method::GET, path, &hosts)));
    let [x, y] = both;
    let (x, y) = tokio::join!(x, y);
    for (response, path) in [(x.unwrap(), "/x"), (y.unwrap(), "/y")] {
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=bypass; detail=key-malformed");
        assert_eq!(text(response).await, path);
    }
}

// Bodies.

#[tokio::test]
async fn an_endless_stream_is_handed_on_frame_by_frame() {
    for (kind, detail) in [("text/event-stream", "streaming"), ("application/grpc+proto", "streaming")] {
        let (acts, body) = scripted();
        let body = Arc::new(std::sync::Mutex::new(Some(body)));
        let inner = service_fn(move |_: Req| {
            let body: Scripted = body.lock().unwrap().take().unwrap();
            let mut response = Response::new(body);
            response.headers_mut().insert("content-type", kind.parse().unwrap());
            async move { Ok::<_, Infallible>(response) }
        });
        let cache = QueryCache::builder().build().unwrap();
        let service = ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner);
        let response = service.oneshot(request(Method::GET, "/", &[])).await.unwrap();
        assert!(cache_status(&response).ends_with(detail));
        let mut body = Box::pin(response.into_body());
        acts.send(Act::Data("event")).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "event");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        acts.send(Act::Trailers(trailers.clone())).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    }
}

#[tokio::test]
async fn a_large_body_is_served_whole_and_not_an_error() {
    let site = site(|_| ok(vec![b'x'; 3 << 20]));
    for calls in 1..=2 {
        let response = site.get("/").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response).await.len(), 3 << 20);
        assert_eq!(site.calls(), calls);
    }
}

#[tokio::test]
async fn half_a_body_is_never_served_as_a_whole_one() {
    let bodies = Arc::new(std::sync::Mutex::new(Vec::new()));
    let inner = service_fn({
        let bodies = Arc::clone(&bodies);
        move |_: Req| {
            let (acts, body) = scripted::<&'static str>();
            bodies.lock().unwrap().push(acts);
            async move { Ok::<_, Infallible>(Response::new(body)) }
        }
    });
    let cache = QueryCache::builder().build().unwrap();
    let service = ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner);
    let first = service.clone().oneshot(request(Method::GET, "/", &[])).await.unwrap();
    let acts = bodies.lock().unwrap().pop().unwrap();
    acts.send(Act::Data("half")).unwrap();
    drop(first);
    acts.send(Act::Error("reset")).unwrap();
    cache.settled().await;
    let second = service.clone().oneshot(request(Method::GET, "/", &[])).await.unwrap();
    assert_eq!(cache_status(&second), "tower-query-cache; fwd=miss; stored");
    bodies.lock().unwrap().pop().unwrap().send(Act::Data("whole")).unwrap();
    assert_eq!(text(second).await, "whole");
}

#[tokio::test]
async fn an_encoded_body_keeps_its_encoding_and_length() {
    let fields = [("content-encoding", "gzip"), ("content-length", "4"), ("vary", "accept-encoding")];
    let site = site(move |_| with(&fields, "gzip"));
    site.get_with("/", &[("accept-encoding", "gzip, br")]).await;
    let hit = site.get_with("/", &[("accept-encoding", "br,gzip")]).await;
    for (name, value) in fields {
        assert_eq!(field(hit.headers(), name), value);
    }
    assert_eq!(hit.body().size_hint().exact(), Some(4));
    assert_hit(hit, "gzip").await;
}

#[tokio::test]
async fn an_entry_in_redis_is_little_more_than_its_body() {
    let redis = RedisServer::start();
    let (cache, service) = over_redis(&redis, || ok((0..=255).cycle().take(100_000).collect::<Vec<u8>>()));
    service.oneshot(request(Method::GET, "/", &[])).await.unwrap();
    cache.settled().await;
    let key = redis.cli(&["KEYS", "*"]);
    let length: usize = redis.cli(&["STRLEN", key.trim()]).trim().parse().unwrap();
    assert!((100_000..100_512).contains(&length), "{length} bytes");
}

// Tower.

#[tokio::test]
async fn a_permit_of_the_inner_service_is_neither_leaked_nor_skipped() {
    let cache = QueryCache::builder().build().unwrap();
    let inner =
        service_fn(|request: Req| async move { Ok::<_, Infallible>(ok(request.uri().path().to_owned())) });
    let mut service = ServiceBuilder::new()
        .layer(cache.layer(Policy::ttl(MINUTE)))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(inner);
    for number in 0..20 {
        let path = format!("/{}", number % 10);
        let response = service.ready().await.unwrap().call(request(Method::GET, &path, &[])).await.unwrap();
        assert_eq!(text(response).await, path);
    }
}

#[tokio::test]
async fn a_hit_does_not_call_the_handler() {
    let site = site(|_| ok("page"));
    site.get("/").await;
    for _ in 0..10 {
        assert_hit(site.get("/").await, "page").await;
    }
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn the_error_type_and_the_body_are_the_inner_services_own() {
    /// An error that is nothing but itself: no `std::error::Error`, no boxing.
    #[derive(Debug, PartialEq)]
    struct Own(u8);
    let inner = service_fn(|_: Req| async {
        Err::<Response<Scripted>, _>(Own(7)) // the body is neither `Sync` nor `Unpin`
    });
    let cache = QueryCache::builder().build().unwrap();
    let service = ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner);
    let error: Own = service.oneshot(request(Method::GET, "/", &[])).await.unwrap_err();
    assert_eq!(error, Own(7));
}

#[tokio::test]
async fn dropping_the_handle_and_its_layers_stops_no_work() {
    let redis = RedisServer::start();
    let (cache, service) = over_redis(&redis, || ok("page"));
    let other = cache.clone();
    drop(cache);
    service.oneshot(request(Method::GET, "/", &[])).await.unwrap();
    let watched = other.clone();
    drop(other);
    watched.settled().await;
    assert_eq!(redis.cli(&["DBSIZE"]).trim(), "1");
}

#[tokio::test]
async fn one_handle_serves_several_layers() {
    let cache = QueryCache::builder().build().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let inner = service_fn(move |_: Req| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, Infallible>(ok("page")) }
    });
    let routes = Routes::new().route("/a/{id}", Policy::ttl(MINUTE));
    let first = ServiceBuilder::new().layer(cache.layer(routes)).service(inner.clone());
    let second = ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner);
    first.clone().oneshot(request(Method::GET, "/a/1", &[])).await.unwrap();
    assert_hit(second.oneshot(request(Method::GET, "/a/1", &[])).await.unwrap(), "page").await;
    let unmatched = first.oneshot(request(Method::GET, "/b", &[])).await.unwrap();
    assert_eq!(cache_status(&unmatched), "tower-query-cache; fwd=bypass; detail=no-route");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

// Redis.

fn over_redis(
    redis: &RedisServer,
    handler: impl Fn() -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
) -> (QueryCache, Service) {
    let cache = QueryCache::builder().redis_url(redis.url()).build().unwrap();
    let inner = service_fn(move |_: Req| {
        let response = handler();
        async move { Ok::<_, Infallible>(response) }
    });
    let service = ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner);
    (cache, BoxCloneSyncService::new(service))
}

#[tokio::test]
async fn requests_share_a_few_connections_and_a_closed_list_of_commands() {
    let redis = RedisServer::start();
    let (cache, service) = over_redis(&redis, || ok("page"));
    assert!(cache.ready(Duration::from_secs(5)).await);
    // The test support's own probes don't count.
    redis.cli(&["CONFIG", "RESETSTAT"]);
    for number in 0..200 {
        service.clone().oneshot(request(Method::GET, &format!("/{number}"), &[])).await.unwrap();
    }
    cache.settled().await;
    let stats = redis.cli(&["INFO", "stats"]);
    let connections: usize = stats
        .lines()
        .find_map(|line| line.trim().strip_prefix("total_connections_received:"))
        .unwrap()
        .parse()
        .unwrap();
    assert!(connections < 20, "{connections} connections for 200 requests");

    let commands = redis.cli(&["INFO", "commandstats"]);
    assert!(commands.contains("cmdstat_set:calls=200,"), "one SET for each: {commands}");
    for never in
        ["hset", "expire", "pexpire", "keys:", "scan", "client|tracking", "ping", "unwatch", "flushall"]
    {
        assert!(!commands.contains(&format!("cmdstat_{never}")), "{never} in {commands}");
    }
    // No entry without an end, even if the process dies the moment after.
    let keys = redis.cli(&["KEYS", "*"]);
    for key in keys.lines() {
        let left: i64 = redis.cli(&["PTTL", key.trim()]).trim().parse().unwrap();
        assert!((1..=60_000).contains(&left), "{left} ms left");
    }
}

#[tokio::test]
async fn a_dead_or_frozen_redis_fails_no_request() {
    let mut redis = RedisServer::start();
    let (cache, service) = over_redis(&redis, || ok("page"));
    assert!(cache.ready(Duration::from_secs(5)).await);
    redis.pause();
    let frozen = service.clone().oneshot(request(Method::GET, "/frozen", &[]));
    let frozen = tokio::time::timeout(Duration::from_secs(5), frozen).await.expect("bounded").unwrap();
    assert_eq!(text(frozen).await, "page");
    redis.resume();
    redis.stop();
    let dead = service.clone().oneshot(request(Method::GET, "/dead", &[]));
    let dead = tokio::time::timeout(Duration::from_secs(5), dead).await.expect("bounded").unwrap();
    assert_eq!(text(dead).await, "page");
}

#[tokio::test]
async fn an_entry_from_redis_is_no_fresher_in_memory_than_it_was() {
    let redis = RedisServer::start();
    let aged = || with(&[("age", "50"), ("cache-control", "max-age=60")], "page");
    let (first, service) = over_redis(&redis, aged);
    service.oneshot(request(Method::GET, "/", &[])).await.unwrap();
    first.settled().await;
    let (second, service) = over_redis(&redis, || ok("not asked"));
    assert!(second.ready(Duration::from_secs(5)).await);
    for tier in ["redis", "memory"] {
        let response = service.clone().oneshot(request(Method::GET, "/", &[])).await.unwrap();
        let age: u64 = field(response.headers(), "age").parse().unwrap();
        let ttl: u64 = cache_status(&response).rsplit('=').next().unwrap().parse().unwrap();
        assert!(age >= 50 && ttl <= 10, "{tier}: age {age}, ttl {ttl}");
        assert_hit(response, "page").await;
    }
}
