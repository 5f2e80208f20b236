//! What a key must hold, and whose answers must never be kept for others.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::Barrier;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{Policy, RequestBody};

use crate::support::http::{assert_hit, cache_status, field, ok, ok_with, text};
use crate::{MINUTE, Req, bounded, memory, request, site, site_with};

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
    for uri in ["http://a/", "https://a/", "http://b/"] {
        assert_eq!(text(site.get(uri).await).await, format!("GET  {uri}"));
    }
    let posted = site.send(request(Method::POST, "/?page=1", &[("host", "a")])).await;
    assert_eq!(cache_status(&posted), "tower-query-cache; fwd=bypass; detail=method");
    assert_eq!(text(posted).await, "POST a /?page=1");
    assert_eq!(site.calls(), 10);
}

#[tokio::test]
async fn methods_share_no_key() {
    let inner = service_fn(|request: Request<RequestBody<Full<Bytes>>>| async move {
        Ok::<_, Infallible>(ok(request.method().to_string()))
    });
    let methods = [Method::GET, Method::POST, Method::PUT];
    let policy = Policy::ttl(MINUTE).methods(methods.clone()).key_body(1 << 10);
    let service = ServiceBuilder::new().layer(memory().layer(policy)).service(inner);
    for method in methods {
        let response = service.clone().oneshot(request(method.clone(), "/", &[])).await.unwrap();
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; stored");
        assert_eq!(text(response).await, method.as_str());
    }
}

#[tokio::test]
async fn odd_queries_are_keyed_or_bypass_but_never_dropped() {
    let raw = Policy::ttl(MINUTE);
    let parsed = Policy::ttl(MINUTE).sort_query().deny_query(["utm_*"]);
    for policy in [raw, parsed] {
        odd_queries(policy).await;
    }
}

async fn odd_queries(policy: Policy) {
    let site = site_with(&memory(), policy, |request| ok(request.uri().query().unwrap_or("").to_owned()));
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
    let cache = memory();
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
    let site = site(|_| ok_with(&[("set-cookie", "sid=1")], "welcome"));
    for calls in 1..=2 {
        let response = site.get("/").await;
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; detail=set-cookie");
        assert_eq!(field(response.headers(), "set-cookie"), "sid=1");
        assert_eq!(site.calls(), calls);
    }
}

#[tokio::test]
async fn vary_is_followed() {
    let site = site(|request| ok_with(&[("vary", "x-tenant")], field(request.headers(), "x-tenant")));
    for tenant in ["a", "b", "", "a,b"] {
        assert_eq!(text(site.get_with("/", &[("x-tenant", tenant)]).await).await, tenant);
    }
    assert_eq!(text(site.get("/").await).await, "", "absent isn't empty");
    assert_eq!(site.calls(), 5);
    assert_hit(site.get_with("/", &[("x-tenant", "b")]).await, "b").await;

    let star = crate::site(|_| ok_with(&[("vary", "accept"), ("vary", "*")], "mine"));
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
        let site = site(move |_| ok_with(&lines, "mine"));
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
    let cache = memory();
    let service = ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner);
    let hosts = [("host", "a"), ("host", "b")];
    let both = ["/x", "/y"].map(|path| service.clone().oneshot(request(Method::GET, path, &hosts)));
    let [x, y] = both;
    let (x, y) = bounded(async { tokio::join!(x, y) }).await;
    for (response, path) in [(x.unwrap(), "/x"), (y.unwrap(), "/y")] {
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=bypass; detail=key-malformed");
        assert_eq!(text(response).await, path);
    }
}
