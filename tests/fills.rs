//! Fills: their bounds and time-outs, layers inside layers, and what a first caller decides.

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use support::Hoard;
use support::http::{Act, Scripted, assert_hit, cache_status, get, get_with, ok, ok_with, scripted, text};
use support::mock::{MINUTE, Req, cache, next, over_mock, settle};
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Service as _, ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tower_query_cache::{LimitsConfig, Policy, QueryCache};
use tower_test::mock;

#[tokio::test(start_paused = true)]
async fn a_follower_waits_no_longer_than_the_coalesce_timeout() {
    let cache = cache();
    let (service, mut origin) = over_mock(&cache);
    let first = tokio::spawn(service.clone().oneshot(get("/x")));
    let slow = next(&mut origin, "/x").await;
    let second = tokio::spawn(service.clone().oneshot(get("/x")));
    // Paused time jumps to the follower's time-out, the next thing that happens.
    next(&mut origin, "/x").await.send_response(ok("own"));
    assert_eq!(text(second.await.unwrap().unwrap()).await, "own");
    slow.send_response(ok("late"));
    assert_eq!(text(first.await.unwrap().unwrap()).await, "late");
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_never_answers_is_a_504() {
    let cache = cache();
    let (service, mut origin) = over_mock(&cache);
    let only = tokio::spawn(service.clone().oneshot(get("/x")));
    let _never = next(&mut origin, "/x").await;
    let start = Instant::now();
    let response = only.await.unwrap().unwrap();
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; detail=fill-timeout");
}

#[tokio::test(start_paused = true)]
async fn over_the_bound_of_fills_requests_go_past_the_cache() {
    let mut limits = LimitsConfig::default();
    limits.max_fills = 1;
    let cache = QueryCache::builder().limits(limits).build().unwrap();
    let (service, mut origin) = over_mock(&cache);
    let first = tokio::spawn(service.clone().oneshot(get("/a")));
    let a = next(&mut origin, "/a").await;
    let second = tokio::spawn(service.clone().oneshot(get("/b")));
    next(&mut origin, "/b").await.send_response(ok("b"));
    let second = second.await.unwrap().unwrap();
    assert_eq!(cache_status(&second), "tower-query-cache; fwd=bypass; detail=fills-full");
    a.send_response(ok("a"));
    assert_eq!(text(first.await.unwrap().unwrap()).await, "a");
    cache.settled().await;
    let third = tokio::spawn(service.clone().oneshot(get("/b")));
    next(&mut origin, "/b").await.send_response(ok("b"));
    assert_eq!(cache_status(&third.await.unwrap().unwrap()), "tower-query-cache; fwd=miss; stored");
}

#[tokio::test(start_paused = true)]
async fn fills_that_nobody_waits_for_are_bounded() {
    let mut limits = LimitsConfig::default();
    limits.max_orphan_fills = 1;
    let cache = QueryCache::builder().limits(limits).build().unwrap();
    let (mut service, mut origin) = over_mock(&cache);
    let mut responders = Vec::new();
    for path in ["/a", "/b"] {
        let mut caller = task::spawn(service.call(get(path)));
        assert_pending!(caller.poll());
        responders.push(next(&mut origin, path).await);
        drop(caller);
    }
    settle().await;
    responders.into_iter().for_each(|respond| respond.send_response(ok("kept")));
    cache.settled().await;
    assert_hit(service.call(get("/a")).await.unwrap(), "kept").await;
    let mut b = task::spawn(service.call(get("/b")));
    assert_pending!(b.poll(), "the second orphan was cancelled");

    // The first one has ended: there is room again.
    let responder = next(&mut origin, "/b").await;
    drop(b);
    settle().await;
    responder.send_response(ok("kept"));
    cache.settled().await;
    assert_hit(service.call(get("/b")).await.unwrap(), "kept").await;
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_nobody_waits_for_can_be_called_off() {
    let mut limits = LimitsConfig::default();
    limits.finish_fills = false;
    let cache = QueryCache::builder().limits(limits).build().unwrap();
    let (mut service, mut origin) = over_mock(&cache);
    let mut first = task::spawn(service.call(get("/x")));
    let mut second = task::spawn(service.call(get("/x")));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    let respond = next(&mut origin, "/x").await;
    drop(first);
    settle().await;
    respond.send_response(ok("for the second"));
    assert_eq!(text(second.await.unwrap()).await, "for the second");

    let mut only = task::spawn(service.call(get("/y")));
    assert_pending!(only.poll());
    let respond = next(&mut origin, "/y").await;
    drop(only);
    cache.settled().await;
    respond.send_response(ok("for nobody"));
    assert_pending!(task::spawn(service.call(get("/y"))).poll(), "it was stored");
}

#[tokio::test(start_paused = true)]
async fn a_layer_inside_a_fill_of_its_own_handle_passes_through() {
    let cache = cache();
    let (inner, mut origin) = over_mock(&cache);
    let outer = cache.layer(Policy::ttl(MINUTE)).layer(inner);
    let only = tokio::spawn(outer.clone().oneshot(get("/x")));
    next(&mut origin, "/x").await.send_response(ok("fresh"));
    let response = only.await.unwrap().unwrap();
    let statuses: Vec<_> = response.headers().get_all("cache-status").iter().collect();
    assert_eq!(
        statuses,
        ["tower-query-cache; fwd=bypass; detail=nested", "tower-query-cache; fwd=miss; stored",]
    );
}

#[tokio::test(start_paused = true)]
async fn a_busy_inner_service_delays_no_hit() {
    let cache = cache();
    let (inner, mut origin) = mock::pair::<Req, Response<Full<Bytes>>>();
    origin.allow(1);
    let mut service = cache.layer(Policy::ttl(MINUTE)).layer(inner);
    let first = tokio::spawn(service.clone().oneshot(get("/x")));
    next(&mut origin, "/x").await.send_response(ok("fresh"));
    first.await.unwrap().unwrap();
    // The mock isn't ready any more: a hit is, a miss waits.
    assert_ready!(task::spawn(service.ready()).poll()).unwrap();
    assert_hit(assert_ready!(task::spawn(service.call(get("/x"))).poll()).unwrap(), "fresh").await;
    let mut miss = task::spawn(service.call(get("/y")));
    assert_pending!(miss.poll());
    settle().await;
    assert_pending!(task::spawn(origin.next_request()).poll());
    origin.allow(1);
    next(&mut origin, "/y").await.send_response(ok("y"));
    assert_eq!(text(miss.await.unwrap()).await, "y");
}

#[tokio::test(start_paused = true)]
async fn a_first_callers_precondition_decides_for_it_alone() {
    let cache = cache();
    let (service, mut origin) = over_mock(&cache);
    let conditional = get_with("/x", &[("if-none-match", "\"v1\"")]);
    let first = tokio::spawn(service.clone().oneshot(conditional));
    let (request, respond) = origin.next_request().await.unwrap();
    assert!(!request.headers().contains_key("if-none-match"), "a fill asks for the whole");
    let second = tokio::spawn(service.clone().oneshot(get("/x")));
    settle().await;
    respond.send_response(ok_with(&[("etag", "\"v1\"")], "page"));
    let first = first.await.unwrap().unwrap();
    assert_eq!(first.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(cache_status(&first), "tower-query-cache; fwd=miss; stored");
    assert_eq!(text(first).await, "");
    assert_eq!(text(second.await.unwrap().unwrap()).await, "page");

    // What only the origin can judge goes to it, unless there is an entry.
    let matching = tokio::spawn(service.clone().oneshot(get_with("/y", &[("if-match", "\"v1\"")])));
    let (request, respond) = origin.next_request().await.unwrap();
    assert!(request.headers().contains_key("if-match"));
    respond.send_response(ok("y"));
    let matching = matching.await.unwrap().unwrap();
    assert_eq!(cache_status(&matching), "tower-query-cache; fwd=bypass; detail=precondition");
}

#[tokio::test(start_paused = true)]
async fn layers_of_two_handles_in_turns_do_not_wait_for_themselves() {
    let (a, b) = (cache(), cache());
    let (inner, mut origin) = over_mock(&a);
    let middle = b.layer(Policy::ttl(MINUTE)).layer(inner);
    let outer = a.layer(Policy::ttl(MINUTE)).layer(middle);
    let started = Instant::now();
    let only = tokio::spawn(outer.oneshot(get("/x")));
    next(&mut origin, "/x").await.send_response(ok("fresh"));
    assert_eq!(text(only.await.unwrap().unwrap()).await, "fresh");
    assert_eq!(started.elapsed(), Duration::ZERO, "in paused time");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_streams_too_long_is_not_waited_for_again() {
    let (ends, bodies): (Vec<_>, Vec<_>) = (0..3).map(|_| scripted()).unzip();
    let bodies = Arc::new(std::sync::Mutex::new(bodies.into_iter()));
    let inner = service_fn(move |_: Req| {
        let body: Scripted = bodies.lock().unwrap().next().expect("three calls");
        async move { Ok::<_, std::convert::Infallible>(Response::new(body)) }
    });
    let cache = cache();
    let service = cache.layer(Policy::ttl(MINUTE)).layer(inner);
    ends.iter().for_each(|acts| acts.send(Act::Data("endless")).unwrap());
    let first = service.clone().oneshot(get("/x")).await.unwrap();
    tokio::time::advance(Duration::from_secs(31)).await;
    cache.settled().await;
    // It is known now that there is nothing to wait for: nobody follows the second.
    let started = Instant::now();
    let second = service.clone().oneshot(get("/x")).await.unwrap();
    let third = service.clone().oneshot(get("/x")).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO, "in paused time");
    drop((first, second, third));
}

#[tokio::test(start_paused = true)]
async fn a_lead_won_after_another_fill_ended_finds_its_entry() {
    let store = Arc::new(Hoard::gated());
    let cache = QueryCache::builder().store(Arc::clone(&store) as _).build().unwrap();
    let (mut service, mut origin) = over_mock(&cache);
    let mut first = task::spawn(service.call(get("/x")));
    let mut second = task::spawn(service.call(get("/x")));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    store.replies.add_permits(1);
    assert_pending!(first.poll());
    next(&mut origin, "/x").await.send_response(ok("fresh"));
    assert_eq!(text(first.await.unwrap()).await, "fresh");
    // Only now does the second hear that the shared tier has nothing.
    store.replies.add_permits(1);
    assert_hit(second.await.unwrap(), "fresh").await;
}

#[tokio::test(start_paused = true)]
async fn what_the_handler_does_not_see_makes_no_variant() {
    let cache = cache();
    let (inner, mut origin) = mock::pair::<Req, Response<Full<Bytes>>>();
    origin.allow(10);
    let policy = Policy::ttl(MINUTE).session_cookies(["sid"]);
    let service = cache.layer(policy).layer(inner);
    let visitor = |number: u32| get_with("/x", &[("cookie", &format!("_ga={number}"))]);
    let first = tokio::spawn(service.clone().oneshot(visitor(0)));
    next(&mut origin, "/x").await.send_response(ok_with(&[("vary", "Cookie")], "page"));
    assert_eq!(text(first.await.unwrap().unwrap()).await, "page");
    for number in 1..40 {
        assert_hit(service.clone().oneshot(visitor(number)).await.unwrap(), "page").await;
    }
}
