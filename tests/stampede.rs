//! Crowds at one key over a real Redis: one call where the answer can be shared, all at once where it can't.
#![cfg(feature = "redis")]

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use support::http::{cache_status, field, get, get_with, ok, ok_with, text};
use support::mock::Req;
use support::site::{MINUTE, stats};
use support::store::patient;
use support::{RedisServer, eventually_async};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::{Service, ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tower_query_cache::{CacheBody, LimitsConfig, Policy, QueryCache};

type Inner = Response<Full<Bytes>>;

/// A handle on the Redis, whose time limits a busy machine doesn't reach.
async fn handle(redis: &RedisServer) -> QueryCache {
    let mut limits = LimitsConfig::default();
    limits.coalesce_timeout = MINUTE;
    let cache = QueryCache::builder().redis(patient(redis.url())).limits(limits).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    cache
}

/// Waits until so many requests wait for another's fill.
async fn waiting(cache: &QueryCache, waiters: usize) {
    let what = format!("{waiters} requests wait");
    eventually_async(&what, || async { stats(cache).await["flights"]["waiters"] == waiters }).await;
}

/// All answers to so many requests at once, each with its number.
async fn crowd<S>(
    service: S,
    requests: impl Iterator<Item = Req>,
) -> Vec<(usize, Response<CacheBody<Full<Bytes>>>)>
where
    S: Service<Req, Response = Response<CacheBody<Full<Bytes>>>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut crowd = JoinSet::new();
    for (number, request) in requests.enumerate() {
        let service = service.clone();
        crowd.spawn(async move { (number, service.oneshot(request).await.unwrap()) });
    }
    crowd.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_requests_for_a_cold_key_make_one_call() {
    const CROWD: usize = 10_000;
    let redis = RedisServer::start();
    let cache = handle(&redis).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let inner = service_fn({
        let (cache, calls) = (cache.clone(), Arc::clone(&calls));
        move |request: Req| {
            let (cache, call) = (cache.clone(), calls.fetch_add(1, Ordering::SeqCst) + 1);
            async move {
                waiting(&cache, CROWD - 1).await;
                Ok::<Inner, Infallible>(ok(format!("{} by call {call}", request.uri())))
            }
        }
    });
    let service = cache.layer(Policy::ttl(MINUTE)).layer(inner);

    let started = Instant::now();
    let answers = crowd(service, (0..CROWD).map(|_| get("/report?year=2026"))).await;
    let took = started.elapsed();
    let (mut right, mut stored, mut collapsed) = (0, 0, 0);
    for (_, answer) in answers {
        match cache_status(&answer) {
            "tower-query-cache; fwd=miss; stored" => stored += 1,
            "tower-query-cache; fwd=miss; collapsed" => collapsed += 1,
            other => panic!("{other}"),
        }
        right += usize::from(text(answer).await == "/report?year=2026 by call 1");
    }
    let calls = calls.load(Ordering::SeqCst);
    println!(
        "cold key: {CROWD} requests, {calls} call, {right} right bodies, {collapsed} collapsed, in {took:?}"
    );
    assert_eq!((calls, right, stored, collapsed), (1, CROWD, 1, CROWD - 1));

    cache.settled().await;
    let figures = stats(&cache).await;
    assert_eq!(figures["flights"]["waiters"], 0, "{figures}");
    assert_eq!((&figures["collapsed"], &figures["forwarded"]), (&(CROWD - 1).into(), &1.into()), "{figures}");
    assert_eq!(redis.keys().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_requests_that_cannot_share_reach_the_origin_in_parallel() {
    const CROWD: usize = 1000;
    let redis = RedisServer::start();
    for (refusing, reason) in
        [(("set-cookie", "sid=1"), "set-cookie"), (("cache-control", "private"), "private")]
    {
        let cache = handle(&redis).await;
        let calls = Arc::new(AtomicUsize::new(0));
        let others = Arc::new(Barrier::new(CROWD - 1));
        let again = Arc::new(Barrier::new(CROWD));
        let inner = service_fn({
            let (cache, calls) = (cache.clone(), Arc::clone(&calls));
            move |request: Req| {
                let (cache, call) = (cache.clone(), calls.fetch_add(1, Ordering::SeqCst));
                let (others, again) = (Arc::clone(&others), Arc::clone(&again));
                async move {
                    // They get past their barrier only if all are in here at the same time.
                    let barrier = if call < CROWD { others } else { again };
                    match call {
                        0 => waiting(&cache, CROWD - 1).await,
                        _ => _ = barrier.wait().await,
                    }
                    let caller = field(request.headers(), "x-caller");
                    Ok::<Inner, Infallible>(ok_with(&[refusing], &format!("for {caller}")))
                }
            }
        });
        let service = cache.layer(Policy::ttl(MINUTE)).layer(inner);

        // Once the key is known as uncacheable, nobody waits at all.
        for (round, key) in ["a new key", "a known key"].into_iter().enumerate() {
            let requests = (0..CROWD).map(|caller| get_with("/cart", &[("x-caller", &caller.to_string())]));
            let started = Instant::now();
            let answered = tokio::time::timeout(MINUTE, crowd(service.clone(), requests)).await;
            let answers =
                answered.unwrap_or_else(|_| panic!("{} calls, in a row", calls.load(Ordering::SeqCst)));
            let took = started.elapsed();
            let mut own = 0;
            for (caller, answer) in answers {
                let status = format!("tower-query-cache; fwd=miss; detail={reason}");
                assert_eq!(cache_status(&answer), status);
                own += usize::from(text(answer).await == format!("for {caller}"));
            }
            let calls = calls.load(Ordering::SeqCst);
            println!(
                "{reason}, {key}: {CROWD} requests, {calls} calls so far, {own} own bodies, in {took:?}"
            );
            assert_eq!((calls, own), (CROWD * (round + 1), CROWD));
        }
        cache.settled().await;
        assert_eq!(redis.keys().len(), 0);
    }
}
