//! Refreshes that no request waits for.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_hit_near_the_end_of_the_lifetime_starts_one_refresh() {
    let mut stage = stage(|policy| policy.refresh_ahead(0.8));
    stage.fill(ok("old")).await;
    stage.clock.advance(48 * SECOND - Duration::from_millis(1));
    assert_hit(stage.at_once().await, "old").await;
    stage.quiet().await;
    stage.clock.advance(Duration::from_millis(1));
    for _ in 0..10 {
        assert_hit(stage.at_once().await, "old").await;
    }
    let refresh = next(&mut stage.origin, "/x").await;
    stage.quiet().await;
    refresh.send_response(ok("new"));
    stage.cache.settled().await;
    assert_hit(stage.at_once().await, "new").await;
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn an_early_refresh_that_fails_changes_nothing_and_is_throttled() {
    let mut stage = stage(|policy| policy.refresh_ahead(0.5));
    stage.fill(ok("old")).await;
    stage.clock.advance(30 * SECOND);
    assert_hit(stage.at_once().await, "old").await;
    next(&mut stage.origin, "/x").await.send_error("down");
    stage.cache.settled().await;
    assert_hit(stage.at_once().await, "old").await;
    stage.quiet().await;
    stage.clock.advance(SECOND);
    assert_hit(stage.at_once().await, "old").await;
    next(&mut stage.origin, "/x").await.send_response(ok("new"));
    stage.cache.settled().await;
    assert_hit(stage.at_once().await, "new").await;
}

#[tokio::test(start_paused = true)]
async fn a_head_request_refreshes_nothing() {
    let mut stage = stage(|policy| policy.refresh_ahead(0.5).stale_while_revalidate(MINUTE));
    stage.fill(ok("old")).await;
    stage.clock.advance(59 * SECOND);
    let head = || Request::builder().method(Method::HEAD).uri("/x").body(Empty::new()).unwrap();
    let answer = stage.service.call(head()).await.unwrap();
    assert!(cache_status(&answer).contains("hit; ttl=1"));
    stage.quiet().await;
    // Its own answer would be no entry: so it isn't answered stale either, but goes to the origin.
    stage.clock.advance(SECOND);
    let late = stage.send(head());
    next(&mut stage.origin, "/x").await.send_response(ok(""));
    assert_answer(late.await.unwrap().unwrap(), "fwd=stale; detail=head", "").await;
}

#[tokio::test(start_paused = true)]
async fn an_error_does_not_take_the_place_of_a_fresh_answer() {
    let mut stage = stage(|policy| policy.refresh_ahead(0.5).negative_ttl(StatusCode::BAD_GATEWAY, SECOND));
    stage.fill(ok("old")).await;
    stage.clock.advance(30 * SECOND);
    drop(stage.at_once().await);
    let bad = Response::builder().status(502).body(Full::from("bad")).unwrap();
    next(&mut stage.origin, "/x").await.send_response(bad);
    stage.cache.settled().await;
    assert_hit(stage.at_once().await, "old").await;
}

#[tokio::test(start_paused = true)]
async fn what_may_be_one_requesters_own_fault_takes_nobodys_entry_away() {
    for (status, kept) in [
        (400, true),
        (401, true),
        (403, true),
        (406, true),
        (429, true),
        (501, true),
        (404, false),
        (410, false),
    ] {
        let mut stage = stage(|policy| policy.refresh_ahead(0.5));
        stage.fill(ok("old")).await;
        stage.clock.advance(30 * SECOND);
        drop(stage.at_once().await);
        let answer = Response::builder().status(status).body(Full::default()).unwrap();
        next(&mut stage.origin, "/x").await.send_response(answer);
        stage.cache.settled().await;
        let again = stage.send(get("/x"));
        settle().await;
        assert_eq!(again.is_finished(), kept, "{status}");
        if kept {
            assert_hit(again.await.unwrap().unwrap(), "old").await;
            // And isn't asked for at each hit.
            stage.quiet().await;
        }
    }
}

/// Counts its clones.
struct Counted<S>(S, std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl<S: Clone> Clone for Counted<S> {
    fn clone(&self) -> Self {
        self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Self(self.0.clone(), std::sync::Arc::clone(&self.1))
    }
}

impl<S: tower::Service<R>, R> tower::Service<R> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_refresh_costs_a_hit_nothing() {
    let clock = ManualClock::new();
    let cache = QueryCache::builder().clock(&clock).build().unwrap();
    let (inner, mut origin) =
        tower_test::mock::pair::<Request<Empty<bytes::Bytes>>, Response<Full<bytes::Bytes>>>();
    origin.allow(1000);
    let clones = std::sync::Arc::default();
    let policy = Policy::ttl(MINUTE).refresh_ahead(0.5).error_throttle(MINUTE);
    let mut service = cache.layer(policy).layer(Counted(inner, std::sync::Arc::clone(&clones)));
    let first = tokio::spawn(service.call(get("/x")));
    next(&mut origin, "/x").await.send_response(ok("old"));
    drop(first.await.unwrap().unwrap());
    clock.advance(30 * SECOND);
    drop(service.call(get("/x")).await.unwrap());
    next(&mut origin, "/x").await.send_error("down");
    cache.settled().await;
    let before = clones.load(std::sync::atomic::Ordering::SeqCst);
    for _ in 0..100 {
        assert_hit(service.call(get("/x")).await.unwrap(), "old").await;
    }
    assert_eq!(clones.load(std::sync::atomic::Ordering::SeqCst), before);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_forwards_the_requests_own_fields_without_its_validators() {
    let mut stage = stage(|policy| policy.stale_while_revalidate(MINUTE));
    stage.fill(ok_with(&[("etag", "\"old\"")], "old")).await;
    stage.clock.advance(MINUTE);
    let fields = [("if-none-match", "\"old\""), ("x-trace", "7")];
    let answer = stage.service.call(get_with("/x", &fields)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
    let (request, respond) = stage.origin.next_request().await.unwrap();
    let seen: &HeaderMap = request.headers();
    assert_eq!((seen.get("x-trace").is_some(), seen.get("if-none-match").is_some()), (true, false));
    respond.send_response(ok("new"));
    stage.cache.settled().await;
    assert_hit(stage.at_once().await, "new").await;
}

#[tokio::test(start_paused = true)]
async fn refreshes_have_a_bound() {
    let clock = ManualClock::new();
    let mut limits = tower_query_cache::LimitsConfig::default();
    limits.max_orphan_fills = 2;
    let cache = QueryCache::builder().clock(&clock).limits(limits).build().unwrap();
    let (inner, mut origin) = tower_test::mock::pair();
    origin.allow(1000);
    let mut service: Cache<Mock> =
        cache.layer(Policy::ttl(MINUTE).stale_while_revalidate(MINUTE)).layer(inner);
    for path in ["/a", "/b", "/c"] {
        let first = tokio::spawn(service.clone().oneshot(get(path)));
        next(&mut origin, path).await.send_response(ok(path));
        first.await.unwrap().unwrap();
    }
    cache.settled().await;
    clock.advance(MINUTE);
    for path in ["/a", "/b", "/c"] {
        let answer = service.call(get(path)).await.unwrap();
        assert_eq!(text(answer).await, path);
    }
    let both = [next(&mut origin, "/a").await, next(&mut origin, "/b").await];
    settle().await;
    assert_pending!(task::spawn(origin.next_request()).poll(), "two at once");
    both.into_iter().for_each(|respond| respond.send_response(ok("new")));
    cache.settled().await;
    drop(service.call(get("/c")).await.unwrap());
    next(&mut origin, "/c").await.send_response(ok("new"));
}
