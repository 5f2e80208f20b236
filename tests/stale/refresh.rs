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
    let head = Request::builder().method(Method::HEAD).uri("/x").body(Empty::new()).unwrap();
    let answer = stage.service.call(head).await.unwrap();
    assert!(cache_status(&answer).contains("hit; ttl=1"));
    stage.quiet().await;
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
