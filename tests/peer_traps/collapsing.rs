//! What requests for one key that come together must not do to each other. Time is paused: what takes any was a time-out.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use tokio::sync::Barrier;
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{Cache, Policy, QueryCache};
use tower_test::mock;

use crate::support::http::{cache_status, get, ok, ok_with, text};
use crate::{MINUTE, Req, memory, request};

type Mock = mock::Mock<Request<Empty<Bytes>>, Response<Full<Bytes>>>;
type Origin = mock::Handle<Request<Empty<Bytes>>, Response<Full<Bytes>>>;

/// Less than any of the cache's own time-outs.
const SOON: Duration = Duration::from_secs(1);

fn over_mock(cache: &QueryCache) -> (Cache<Mock>, Origin) {
    let (inner, mut origin) = mock::pair();
    origin.allow(100);
    (ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner), origin)
}

async fn next(origin: &mut Origin) -> mock::SendResponse<Response<Full<Bytes>>> {
    origin.next_request().await.expect("a call").1
}

/// Lets every task that can run do so.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hangs_up_leaves_no_follower_hanging() {
    let start = Instant::now();
    let (mut service, mut origin) = over_mock(&memory());
    let mut leader = task::spawn(service.call(get("/")));
    assert_pending!(leader.poll());
    let follower = tokio::spawn(service.call(get("/")));
    let respond = next(&mut origin).await;
    settle().await;
    drop(leader);
    respond.send_response(ok("page"));
    let response = follower.await.unwrap().unwrap();
    assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; collapsed");
    assert_eq!(text(response).await, "page");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_fill_leaves_nobody_hanging() {
    let start = Instant::now();
    let fills = Arc::new(Mutex::new(Vec::new()));
    let spawned = Arc::clone(&fills);
    let spawner = move |fill| spawned.lock().unwrap().push(tokio::spawn(fill).abort_handle());
    let cache = QueryCache::builder().spawner(spawner).build().unwrap();
    let (mut service, mut origin) = over_mock(&cache);
    let leader = tokio::spawn(service.call(get("/")));
    let _held = next(&mut origin).await;
    let follower = tokio::spawn(service.call(get("/")));
    settle().await;
    fills.lock().unwrap()[0].abort();
    next(&mut origin).await.send_response(ok("page"));
    assert_eq!(text(follower.await.unwrap().unwrap()).await, "page");
    let aborted = leader.await.unwrap().unwrap();
    assert_eq!(aborted.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(cache_status(&aborted), "tower-query-cache; fwd=miss; detail=fill-aborted");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_followers_clean_up_evicts_no_leader() {
    let (mut service, mut origin) = over_mock(&memory());
    let leader = tokio::spawn(service.call(get("/")));
    let first = next(&mut origin).await;
    let mut gone = task::spawn(service.call(get("/")));
    assert_pending!(gone.poll());
    drop(gone);
    let followers: Vec<_> = (0..3).map(|_| tokio::spawn(service.call(get("/")))).collect();
    settle().await;
    assert_pending!(task::spawn(origin.next_request()).poll(), "the leader still leads");

    first.send_error("down");
    assert!(leader.await.unwrap().is_err());
    let second = next(&mut origin).await;
    settle().await;
    let late = tokio::spawn(service.call(get("/")));
    settle().await;
    assert_pending!(task::spawn(origin.next_request()).poll(), "the next leader leads alone");
    second.send_response(ok("page"));
    for request in followers.into_iter().chain([late]) {
        assert_eq!(text(request.await.unwrap().unwrap()).await, "page");
    }
}

#[tokio::test(start_paused = true)]
async fn uncacheable_responses_are_made_side_by_side() {
    const TOGETHER: usize = 8;
    let start = Instant::now();
    let first = Arc::new(Mutex::new(true));
    let barrier = Arc::new(Barrier::new(TOGETHER));
    let inner = service_fn(move |_: Req| {
        let alone = std::mem::take(&mut *first.lock().unwrap());
        let barrier = Arc::clone(&barrier);
        async move {
            if alone {
                tokio::task::yield_now().await;
            } else {
                barrier.wait().await;
            }
            Ok::<_, std::convert::Infallible>(ok_with(&[("cache-control", "private")], "mine"))
        }
    });
    let service = ServiceBuilder::new().layer(memory().layer(Policy::ttl(MINUTE))).service(inner);
    // The first response tells that the rest needn't wait; the second time that is known beforehand.
    for requests in [1 + TOGETHER, TOGETHER] {
        let requests: Vec<_> = (0..requests)
            .map(|_| tokio::spawn(service.clone().oneshot(request(http::Method::GET, "/", &[]))))
            .collect();
        for request in requests {
            let response = request.await.unwrap().unwrap();
            assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; detail=private");
            assert_eq!(text(response).await, "mine");
        }
    }
    assert!(start.elapsed() < SOON, "one after the other: {:?}", start.elapsed());
}
