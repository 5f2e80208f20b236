//! What a layer must not do to the service behind it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use http::{Method, Request, Response};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{Policy, Routes};

use crate::support::http::{Scripted, assert_hit, cache_status, ok, text};
use crate::{MINUTE, Req, bounded, memory, request, site};

#[tokio::test]
async fn a_permit_of_the_inner_service_is_neither_leaked_nor_skipped() {
    let cache = memory();
    let inner =
        service_fn(|request: Req| async move { Ok::<_, Infallible>(ok(request.uri().path().to_owned())) });
    let mut service = ServiceBuilder::new()
        .layer(cache.layer(Policy::ttl(MINUTE)))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(inner);
    for number in 0..20 {
        let path = format!("/{}", number % 10);
        // A miss or a hit, a bypass, and a miss that isn't filled.
        for (method, fields) in [
            (Method::GET, &[][..]),
            (Method::POST, &[]),
            (Method::GET, &[("cookie", "a=b")]),
            (Method::HEAD, &[("host", "another")]),
        ] {
            let request = request(method.clone(), &path, fields);
            let response = bounded(service.ready().await.unwrap().call(request)).await.unwrap();
            assert_eq!(text(response).await, path);
        }
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
    let cache = memory();
    let service = ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner);
    let error: Own = service.oneshot(request(Method::GET, "/", &[])).await.unwrap_err();
    assert_eq!(error, Own(7));
}

#[tokio::test]
async fn it_goes_on_an_axum_route_and_router_as_it_is() {
    let cache = memory();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let handler = async move || {
        counted.fetch_add(1, Ordering::SeqCst);
        "page"
    };
    let router = Router::new()
        .route("/route", get(handler.clone()).layer(cache.layer(Policy::ttl(MINUTE))))
        .merge(Router::new().route("/router", get(handler)).layer(cache.layer(Policy::ttl(MINUTE))));
    for path in ["/route", "/router"] {
        let request = || Request::get(path).body(axum::body::Body::empty()).unwrap();
        router.clone().oneshot(request()).await.unwrap();
        assert_hit(router.clone().oneshot(request()).await.unwrap(), "page").await;
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn one_handle_serves_several_layers() {
    let cache = memory();
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
