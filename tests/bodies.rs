//! Bodies: the client gets every byte just as it came, and only whole ones are stored.

mod support;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Empty};
use support::http::{Act, Scripted, assert_hit, cache_status, get, scripted, text};
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::util::BoxCloneSyncService;
use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{CacheBody, LimitsConfig, Policy, QueryCache, RequestBody};

type Fault = &'static str;
type Script = Response<Scripted<Fault>>;
type Service = BoxCloneSyncService<Request<Empty<Bytes>>, Response<CacheBody<Scripted<Fault>>>, Infallible>;

const MINUTE: Duration = Duration::from_secs(60);

/// A cached service that gives the scripted responses, in their order.
fn service(cache: &QueryCache, policy: Policy, responses: impl IntoIterator<Item = Script>) -> Service {
    let responses = Arc::new(Mutex::new(responses.into_iter().collect::<VecDeque<_>>()));
    let origin = service_fn(move |_: Request<Empty<Bytes>>| {
        let response = responses.lock().unwrap().pop_front().expect("no further call");
        async move { Ok::<_, Infallible>(response) }
    });
    BoxCloneSyncService::new(ServiceBuilder::new().layer(cache.layer(policy)).service(origin))
}

/// A service under `Policy::http` that gives one response, fresh for a minute.
fn under_http(mut response: Script) -> Service {
    response.headers_mut().insert("cache-control", "max-age=60".parse().unwrap());
    let response = Arc::new(Mutex::new(Some(response)));
    let origin = service_fn(move |_: Request<RequestBody<Empty<Bytes>>>| {
        let response = response.lock().unwrap().take().expect("no further call");
        async move { Ok::<_, Infallible>(response) }
    });
    BoxCloneSyncService::new(ServiceBuilder::new().layer(cache().layer(Policy::http())).service(origin))
}

fn cache() -> QueryCache {
    QueryCache::builder().build().unwrap()
}

/// A response whose body has all of `acts` ready.
fn ready(acts: impl IntoIterator<Item = Act<Fault>>) -> Script {
    let (sender, body) = scripted();
    for act in acts {
        assert!(sender.send(act).is_ok());
    }
    Response::new(body)
}

fn declaring(mut response: Script, length: &str) -> Script {
    response.headers_mut().insert("content-length", length.parse().unwrap());
    response
}

async fn fetch(service: &Service, uri: &str) -> Response<CacheBody<Scripted<Fault>>> {
    service.clone().oneshot(get(uri)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_ready_is_stored_before_the_answer() {
    let service = service(&cache(), Policy::ttl(MINUTE), [ready([Act::Data("a"), Act::Data("b")])]);
    let first = fetch(&service, "/").await;
    assert_eq!(cache_status(&first), "tower-query-cache; fwd=miss; stored");
    assert_eq!(first.body().size_hint().exact(), Some(2));
    assert_hit(fetch(&service, "/").await, "ab").await;
    assert_eq!(text(first).await, "ab");
}

#[tokio::test(start_paused = true)]
async fn frames_come_through_as_they_are_sent() {
    let (acts, body) = scripted();
    let service = service(&cache(), Policy::ttl(MINUTE), [Response::new(body)]);
    let mut body = Box::pin(fetch(&service, "/").await.into_body());
    let mut frame = task::spawn(async { body.frame().await.unwrap().unwrap().into_data().unwrap() });
    assert_pending!(frame.poll());
    acts.send(Act::Data("now")).unwrap();
    assert_eq!(frame.await, "now");
    acts.send(Act::Data("then")).unwrap();
    drop(acts);
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "then");
    assert!(body.frame().await.is_none());
    assert_hit(fetch(&service, "/").await, "nowthen").await;
}

#[tokio::test(start_paused = true)]
async fn whoever_has_the_last_declared_byte_gets_a_hit_next() {
    let (acts, body) = scripted();
    let service = service(&cache(), Policy::ttl(MINUTE), [declaring(Response::new(body), "7")]);
    let mut body = Box::pin(fetch(&service, "/").await.into_body());
    acts.send(Act::Data("all of")).unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "all of");
    acts.send(Act::Data("!")).unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "!");
    // Neither the client nor the origin has ended its body: the length is there.
    assert_hit(fetch(&service, "/").await, "all of!").await;
    drop(acts);
}

#[tokio::test(start_paused = true)]
async fn an_error_comes_through_and_nothing_is_stored() {
    for streamed in [false, true] {
        let (acts, body) = scripted();
        let service =
            service(&cache(), Policy::ttl(MINUTE), [Response::new(body), ready([Act::Data("whole")])]);
        let mut caller = task::spawn(service.clone().oneshot(get("/")));
        if streamed {
            acts.send(Act::Data("half")).unwrap();
            assert_pending!(caller.poll());
        } else {
            acts.send(Act::Data("half")).unwrap();
            acts.send(Act::Error("reset")).unwrap();
        }
        let mut body = Box::pin(caller.await.unwrap().into_body());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        if streamed {
            acts.send(Act::Error("reset")).unwrap();
        }
        assert_eq!(body.frame().await.unwrap().unwrap_err(), "reset", "the inner body's own error");
        assert_eq!(text(fetch(&service, "/").await).await, "whole");
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_come_through_and_nothing_is_stored() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-check", "1".parse().unwrap());
    let acts = || ready([Act::Data("data"), Act::Trailers(trailers.clone())]);
    let service = service(&cache(), Policy::ttl(MINUTE), [acts(), acts()]);
    for _ in 0..2 {
        let response = fetch(&service, "/").await;
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; detail=trailers");
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers(), Some(&trailers));
        assert_eq!(body.to_bytes(), "data");
    }
}

/// RFC 9111 §3.1: they may be discarded, and are no header fields.
#[tokio::test(start_paused = true)]
async fn under_http_trailers_are_for_the_first_client_alone() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-check", "1".parse().unwrap());
    for (streamed, declared) in [(false, None), (true, None), (false, Some("4")), (true, Some("4"))] {
        let (acts, body) = scripted();
        let response = Response::new(body);
        let service = under_http(match declared {
            Some(length) => declaring(response, length),
            None => response,
        });
        let mut caller = task::spawn(service.clone().oneshot(get("/")));
        if streamed {
            assert_pending!(caller.poll());
            tokio::task::yield_now().await;
        }
        acts.send(Act::Data("data")).unwrap();
        acts.send(Act::Trailers(trailers.clone())).unwrap();
        let response = caller.await.unwrap();
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=uri-miss; fwd-status=200; stored");
        let mut body = Box::pin(response.into_body());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "data");
        if declared.is_some() {
            assert_hit(fetch(&service, "/").await, "data").await;
        }
        assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
        let hit = fetch(&service, "/").await;
        assert!(!hit.headers().contains_key("x-check"));
        let hit = hit.into_body().collect().await.unwrap();
        assert_eq!(hit.trailers(), None);
        assert_eq!(hit.to_bytes(), "data");
        drop(acts);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_make_no_lie_about_the_length_true() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-check", "1".parse().unwrap());
    let acts = [Act::Data("data"), Act::Trailers(trailers.clone())];
    let response = fetch(&under_http(declaring(ready(acts), "5")), "/").await;
    assert!(cache_status(&response).ends_with("; detail=length-mismatch"), "{}", cache_status(&response));
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers(), Some(&trailers));
    assert_eq!(body.to_bytes(), "data");
}

#[tokio::test(start_paused = true)]
async fn over_the_limit_the_client_gets_all_and_nothing_is_stored() {
    let policy = || Policy::ttl(MINUTE).max_body(10);
    let big = || ready([Act::Data("12345"), Act::Data("67890"), Act::Data("over"), Act::Data(" it")]);
    let service = service(&cache(), policy(), [big(), big(), ready([Act::Data("1234567890")])]);
    for _ in 0..2 {
        let response = fetch(&service, "/").await;
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; detail=too-large");
        assert_eq!(text(response).await, "1234567890over it");
    }
    assert_eq!(text(fetch(&service, "/").await).await, "1234567890");
    assert_hit(fetch(&service, "/").await, "1234567890").await;
}

#[tokio::test(start_paused = true)]
async fn a_declared_length_over_the_limit_is_refused_before_a_byte_is_read() {
    let (acts, body) = scripted();
    let policy = Policy::ttl(MINUTE).max_body(10);
    let service = service(&cache(), policy, [declaring(Response::new(body), "11")]);
    let response = fetch(&service, "/").await;
    assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; detail=too-large");
    acts.send(Act::Data("12345678901")).unwrap();
    drop(acts);
    assert_eq!(text(response).await, "12345678901");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_lies_about_its_length_is_not_stored() {
    for (declared, sent) in [("3", "four"), ("5", "four"), ("3", "two")] {
        let lie = || declaring(ready([Act::Data(sent), Act::Data("")]), declared);
        let lie = || {
            if sent == "two" {
                declaring(ready([Act::Data(sent), Act::Data("more")]), declared)
            } else {
                lie()
            }
        };
        let service = service(&cache(), Policy::ttl(MINUTE), [lie(), lie()]);
        for _ in 0..2 {
            let response = fetch(&service, "/").await;
            assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; detail=length-mismatch");
            assert!(text(response).await.starts_with(sent));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_body_reaches_its_client_alone() {
    let (acts, body) = scripted();
    let service = service(&cache(), Policy::ttl(MINUTE), [Response::new(body), ready([Act::Data("whole")])]);
    acts.send(Act::Data("half")).unwrap();
    let mut body = Box::pin(fetch(&service, "/").await.into_body());
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
    acts.send(Act::Panic).unwrap();
    let panicked = tokio::spawn(async move { body.frame().await.is_some() }).await;
    assert!(panicked.unwrap_err().is_panic());
    assert_eq!(text(fetch(&service, "/").await).await, "whole");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_takes_too_long_goes_on_without_the_cache() {
    let (acts, body) = scripted();
    let cache = cache();
    let service = service(&cache, Policy::ttl(MINUTE), [Response::new(body), ready([Act::Data("next")])]);
    let mut slow = Box::pin(fetch(&service, "/").await.into_body());
    acts.send(Act::Data("early ")).unwrap();
    let start = Instant::now();
    cache.settled().await;
    assert_eq!(start.elapsed().as_secs(), 30, "the time for a fill");
    acts.send(Act::Data("late")).unwrap();
    drop(acts);
    let mut all = Vec::new();
    while let Some(frame) = slow.frame().await {
        all.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    assert_eq!(all, b"early late");
    assert_eq!(text(fetch(&service, "/").await).await, "next");
}

#[tokio::test(start_paused = true)]
async fn recordings_are_bounded_in_all() {
    let mut limits = LimitsConfig::default();
    limits.recording_bytes = 100;
    let cache = QueryCache::builder().limits(limits).build().unwrap();
    let (acts, held) = scripted();
    let small = || ready([Act::Data("more")]);
    let service = service(&cache, Policy::ttl(MINUTE).max_body(100), [Response::new(held), small(), small()]);
    let mut first = Box::pin(fetch(&service, "/a").await.into_body());
    acts.send(Act::Data("held")).unwrap();
    assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap(), "held");
    let second = fetch(&service, "/b").await;
    assert_eq!(cache_status(&second), "tower-query-cache; fwd=miss; detail=recording-budget");
    assert_eq!(text(second).await, "more");
    drop(acts);
    assert!(first.frame().await.is_none());
    drop(first);
    assert_hit(fetch(&service, "/a").await, "held").await;
    cache.settled().await;
    assert_eq!(cache_status(&fetch(&service, "/b").await), "tower-query-cache; fwd=miss; stored");
}

#[tokio::test(start_paused = true)]
async fn endless_empty_frames_are_over_the_limit() {
    let acts = || ready((0..3000).map(|_| Act::Data("")));
    let service = service(&cache(), Policy::ttl(MINUTE).max_body(1 << 10), [acts(), acts()]);
    for _ in 0..2 {
        let response = fetch(&service, "/").await;
        assert!(cache_status(&response).starts_with("tower-query-cache; fwd=miss"));
        assert_eq!(text(response).await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stored_body_is_one_frame_and_says_so() {
    let mut service = service(&cache(), Policy::ttl(MINUTE), [ready([Act::Data("a"), Act::Data("b")])]);
    text(service.call(get("/")).await.unwrap()).await;
    let mut body = Box::pin(service.call(get("/")).await.unwrap().into_body());
    assert_eq!(body.size_hint().exact(), Some(2));
    assert!(!body.is_end_stream());
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn trailers_after_the_declared_length_still_reach_the_client() {
    for streamed in [false, true] {
        let (acts, body) = scripted();
        let service = service(&cache(), Policy::ttl(MINUTE), [declaring(Response::new(body), "4")]);
        let mut caller = task::spawn(service.clone().oneshot(get("/")));
        if streamed {
            assert_pending!(caller.poll());
            tokio::task::yield_now().await;
        }
        acts.send(Act::Data("data")).unwrap();
        let mut body = Box::pin(caller.await.unwrap().into_body());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "data");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-check", "1".parse().unwrap());
        acts.send(Act::Trailers(trailers.clone())).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    }
}

#[tokio::test(start_paused = true)]
async fn a_length_that_can_be_read_in_two_ways_is_not_stored() {
    for lines in [&["4", "7"][..], &["4", "4"], &["abc"], &["+4"], &[""], &["99999999999999999999"]] {
        let odd = || {
            let mut response = ready([Act::Data("data")]);
            for line in lines {
                response.headers_mut().append("content-length", line.parse().unwrap());
            }
            response
        };
        let service = service(&cache(), Policy::ttl(MINUTE), [odd(), odd()]);
        for _ in 0..2 {
            let response = fetch(&service, "/").await;
            assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; detail=length-mismatch");
            assert_eq!(text(response).await, "data");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_if_that_panics_costs_the_client_nothing() {
    for streamed in [false, true] {
        let (acts, body) = scripted();
        let policy = Policy::ttl(MINUTE).store_if(|_, _| panic!("the closure panics"));
        let service = service(&cache(), policy, [declaring(Response::new(body), "8")]);
        let mut caller = task::spawn(service.clone().oneshot(get("/")));
        acts.send(Act::Data("one ")).unwrap();
        if streamed {
            assert_pending!(caller.poll());
            tokio::task::yield_now().await;
        }
        acts.send(Act::Data("more")).unwrap();
        drop(acts);
        assert_eq!(text(caller.await.unwrap()).await, "one more");
    }
}
