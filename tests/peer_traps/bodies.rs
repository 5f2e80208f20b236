//! Bodies: handed on as they come, and stored only as a whole.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::Policy;

use crate::support::http::{Act, Scripted, assert_hit, cache_status, field, ok, ok_with, scripted, text};
use crate::{MINUTE, Req, bounded, memory, request, site};

#[tokio::test]
async fn an_endless_stream_is_handed_on_frame_by_frame() {
    for (kind, end) in [
        ("text/event-stream", "; detail=streaming"),
        ("application/grpc+proto", "; detail=streaming"),
        // It may be stored, once it ends.
        ("text/plain", "; stored"),
    ] {
        let (acts, body) = scripted();
        let body = Arc::new(std::sync::Mutex::new(Some(body)));
        let inner = service_fn(move |_: Req| {
            let body: Scripted = body.lock().unwrap().take().unwrap();
            let mut response = Response::new(body);
            response.headers_mut().insert("content-type", kind.parse().unwrap());
            async move { Ok::<_, Infallible>(response) }
        });
        let cache = memory();
        let service = ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner);
        let response = bounded(service.oneshot(request(Method::GET, "/", &[]))).await.unwrap();
        assert!(cache_status(&response).ends_with(end), "{}", cache_status(&response));
        let mut body = Box::pin(response.into_body());
        acts.send(Act::Data("event")).unwrap();
        assert_eq!(bounded(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "event");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        acts.send(Act::Trailers(trailers.clone())).unwrap();
        assert_eq!(bounded(body.frame()).await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    }
}

#[tokio::test]
async fn a_request_that_is_never_cached_streams_both_ways() {
    let echo = service_fn(|request: Request<Scripted>| async {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let service = ServiceBuilder::new().layer(memory().layer(Policy::ttl(MINUTE))).service(echo);
    for (method, reason) in [(Method::POST, "method"), (Method::GET, "body")] {
        let (acts, body) = scripted();
        let request = Request::builder().method(method).body(body).unwrap();
        let response = bounded(service.clone().oneshot(request)).await.unwrap();
        assert_eq!(cache_status(&response), format!("tower-query-cache; fwd=bypass; detail={reason}"));
        let mut body = Box::pin(response.into_body());
        for data in ["question", "another"] {
            acts.send(Act::Data(data)).unwrap();
            assert_eq!(bounded(body.frame()).await.unwrap().unwrap().into_data().unwrap(), data);
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        acts.send(Act::Trailers(trailers.clone())).unwrap();
        assert_eq!(bounded(body.frame()).await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    }
}

/// A body of 256 frames of 64 KiB, all of them ready, and how many were taken.
struct Counted(Arc<AtomicUsize>);

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static DATA: [u8; 64 << 10] = [b'x'; 64 << 10];
        let taken = self.0.fetch_add(1, Ordering::SeqCst);
        Poll::Ready((taken < 256).then(|| Ok(Frame::data(Bytes::from_static(&DATA)))))
    }
}

#[tokio::test]
async fn a_body_is_taken_no_further_than_the_limit_before_its_client_asks() {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let inner = service_fn(move |_: Req| {
        let body = Counted(Arc::clone(&counted));
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    let cache = memory();
    let service = ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner);
    let response = service.oneshot(request(Method::GET, "/", &[])).await.unwrap();
    assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; detail=too-large");
    cache.settled().await;
    // The limit is 1 MiB: 16 frames, and the one that went over it.
    assert_eq!(taken.load(Ordering::SeqCst), 17);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 16 << 20);
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
    let cache = memory();
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

#[test]
fn a_body_is_copied_once_to_be_stored() {
    static BODY: [u8; 1 << 19] = [b'x'; 1 << 19];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let site = site(|_| ok(Bytes::from_static(&BODY)));
    let stored = allocation_counter::measure(|| {
        let response = runtime.block_on(site.get("/"));
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; stored");
    });
    let once = BODY.len() as u64;
    assert!((once..once * 3 / 2).contains(&stored.bytes_total), "{} bytes allocated", stored.bytes_total);
}

#[tokio::test]
async fn an_encoded_body_keeps_its_encoding_and_length() {
    let fields = [("content-encoding", "gzip"), ("content-length", "4"), ("vary", "accept-encoding")];
    let site = site(move |_| ok_with(&fields, "gzip"));
    site.get_with("/", &[("accept-encoding", "gzip, br")]).await;
    let hit = site.get_with("/", &[("accept-encoding", "br,gzip")]).await;
    for (name, value) in fields {
        assert_eq!(field(hit.headers(), name), value);
    }
    assert_eq!(hit.body().size_hint().exact(), Some(4));
    assert_hit(hit, "gzip").await;
}
