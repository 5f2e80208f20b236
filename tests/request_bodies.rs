//! Request bodies: read for the key within bounds, and handed on just as they came.

mod support;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use support::http::{Act, Scripted, assert_hit, cache_status, scripted, text};
use support::site::{MINUTE, stats};
use tokio::sync::mpsc::UnboundedSender;
use tokio_test::{assert_pending, task};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{BodyKey, CacheBody, LimitsConfig, Policy, QueryCache, RequestBody};

type Fault = &'static str;
type Req = Request<Scripted<Fault>>;
type Answer = Response<CacheBody<Full<Bytes>>>;

/// A cached service that answers with what it could read of the body: `data[;name=value][;error]`.
struct Site {
    cache: QueryCache,
    service: BoxCloneSyncService<Req, Answer, Infallible>,
    calls: Arc<AtomicUsize>,
}

fn site(cache: QueryCache, policy: Policy<BodyKey>) -> Site {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let inner = service_fn(move |request: Request<RequestBody<Scripted<Fault>>>| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { Ok::<_, Infallible>(Response::new(Full::from(told(request.into_body()).await))) }
    });
    let service = ServiceBuilder::new().layer(cache.layer(policy)).service(inner);
    Site { cache, service: BoxCloneSyncService::new(service), calls }
}

async fn told(mut body: RequestBody<Scripted<Fault>>) -> String {
    let mut told = String::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Err(error) => told.push_str(&format!(";{error}")),
            Ok(frame) => match frame.into_data() {
                Ok(data) => told.push_str(std::str::from_utf8(&data).unwrap()),
                Err(frame) => {
                    for (name, value) in &frame.into_trailers().unwrap() {
                        told.push_str(&format!(";{name}={}", value.to_str().unwrap()));
                    }
                }
            },
        }
    }
    told
}

fn keyed(bytes: usize) -> Policy<BodyKey> {
    Policy::ttl(MINUTE).methods([Method::POST]).key_body(bytes)
}

fn cache() -> QueryCache {
    QueryCache::builder().build().unwrap()
}

/// A POST whose body does these acts, and the sender of more.
fn posted(acts: impl IntoIterator<Item = Act<Fault>>) -> (UnboundedSender<Act<Fault>>, Req) {
    let (sender, body) = scripted();
    for act in acts {
        assert!(sender.send(act).is_ok());
    }
    (sender, Request::post("/").body(body).unwrap())
}

impl Site {
    async fn post(&self, acts: impl IntoIterator<Item = Act<Fault>>) -> Answer {
        let request = posted(acts).1;
        self.service.clone().oneshot(request).await.unwrap()
    }

    /// Asserts that a body bypasses for a reason, each time, and reaches the handler as it came.
    async fn assert_bypass(&self, acts: impl Fn() -> Vec<Act<Fault>>, reason: &str, told: &str) {
        for _ in 0..2 {
            let calls = self.calls.load(Ordering::SeqCst);
            let answer = self.post(acts()).await;
            let status = format!("tower-query-cache; fwd=bypass; detail={reason}");
            assert_eq!(cache_status(&answer), status);
            assert_eq!(text(answer).await, told);
            assert_eq!(self.calls.load(Ordering::SeqCst), calls + 1);
        }
        assert_eq!(stats(&self.cache).await["bypasses"][reason], 2);
    }
}

#[tokio::test(start_paused = true)]
async fn frames_make_no_difference_to_the_key() {
    let site = site(cache(), keyed(10));
    site.post([Act::Data("ab"), Act::Data("cd")]).await;
    assert_hit(site.post([Act::Data("abcd")]).await, "abcd").await;
    assert_hit(site.post([Act::Data(""), Act::Data("a"), Act::Data("bcd")]).await, "abcd").await;
    assert_eq!(site.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_just_the_limit_is_keyed_and_one_more_byte_is_not() {
    let site = site(cache(), keyed(10));
    site.post([Act::Data("12345"), Act::Data("67890")]).await;
    assert_hit(site.post([Act::Data("1234567890")]).await, "1234567890").await;
    let long = || vec![Act::Data("12345"), Act::Data("678901"), Act::Data("23"), Act::Data("45")];
    site.assert_bypass(long, "body-too-large", "123456789012345").await;
}

#[tokio::test(start_paused = true)]
async fn what_came_before_an_error_and_the_error_reach_the_handler() {
    let site = site(cache(), keyed(10));
    site.assert_bypass(|| vec![Act::Data("half"), Act::Error("reset")], "body-error", "half;reset").await;
}

#[tokio::test(start_paused = true)]
async fn trailers_reach_the_handler() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-check", "1".parse().unwrap());
    let site = site(cache(), keyed(10));
    let acts = || vec![Act::Data("data"), Act::Trailers(trailers.clone())];
    site.assert_bypass(acts, "body-trailers", "data;x-check=1").await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_goes_past_the_cache_and_reaches_the_handler_whole() {
    let site = site(cache(), keyed(10));
    let (acts, request) = posted([Act::Data("early ")]);
    let mut answer = task::spawn(site.service.clone().oneshot(request));
    assert_pending!(answer.poll());
    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert_pending!(answer.poll());
    assert_eq!(site.calls.load(Ordering::SeqCst), 0, "it may still be keyed");
    tokio::time::advance(Duration::from_millis(2)).await;
    assert_pending!(answer.poll());
    assert_eq!(site.calls.load(Ordering::SeqCst), 1, "the handler has it now");
    acts.send(Act::Data("late")).unwrap();
    drop(acts);
    let answer = answer.await.unwrap();
    assert_eq!(cache_status(&answer), "tower-query-cache; fwd=bypass; detail=body-timeout");
    assert_eq!(text(answer).await, "early late");
}

#[tokio::test(start_paused = true)]
async fn bodies_read_at_once_are_bounded_in_all() {
    let mut limits = LimitsConfig::default();
    limits.key_body_bytes = 10;
    let site = site(QueryCache::builder().limits(limits).build().unwrap(), keyed(10));
    let (acts, held) = posted([Act::Data("12345678")]);
    let mut holding = task::spawn(site.service.clone().oneshot(held));
    assert_pending!(holding.poll());

    site.assert_bypass(|| vec![Act::Data("abc"), Act::Data("d")], "body-budget", "abcd").await;

    drop(acts);
    assert_eq!(text(holding.await.unwrap()).await, "12345678");
    // What was held is given back.
    site.post([Act::Data("abcd")]).await;
    assert_hit(site.post([Act::Data("abcd")]).await, "abcd").await;
}

#[tokio::test(start_paused = true)]
async fn a_body_of_nothing_but_empty_frames_is_not_read_for_ever() {
    // Always ready: no time-out would ever get its turn.
    struct Nothing;

    impl http_body::Body for Nothing {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::new()))))
        }
    }

    let inner = service_fn(|_: Request<RequestBody<Nothing>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("not read")))
    });
    let service = ServiceBuilder::new().layer(cache().layer(keyed(10))).service(inner);
    let answer = service.oneshot(Request::post("/").body(Nothing).unwrap()).await.unwrap();
    assert_eq!(cache_status(&answer), "tower-query-cache; fwd=bypass; detail=body-too-large");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_keyed_is_not_touched() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    // The inner service takes the very body type.
    let inner = service_fn(move |request: Req| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let body = request.into_body().collect().await.map_or_else(Bytes::from, |body| body.to_bytes());
            Ok::<_, Infallible>(Response::new(Full::new(body)))
        }
    });
    let service = ServiceBuilder::new().layer(cache().layer(Policy::ttl(MINUTE))).service(inner);
    for _ in 0..2 {
        let (_, body) = posted([Act::Data("whole")]).1.into_parts();
        let answer = service.clone().oneshot(Request::get("/").body(body).unwrap()).await.unwrap();
        assert_eq!(cache_status(&answer), "tower-query-cache; fwd=bypass; detail=body");
        assert_eq!(text(answer).await, "whole");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}
