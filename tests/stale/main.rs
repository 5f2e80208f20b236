//! Stale is better than down: RFC 5861, time-outs, early refreshes, all by one clock that the tests move.
#![cfg(feature = "test-util")]

#[path = "../support/mod.rs"]
mod support;

mod handlers;
mod overlaps;
mod redis;
mod refresh;
mod requests;
mod timeouts;

use std::iter::{once, repeat};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use support::http::{Act, assert_hit, cache_status, get, get_with, ok, ok_with, scripted, text};
use support::mock::{MINUTE, Mock, Origin, next, settle};
use tokio_test::{assert_pending, task};
use tower::{Service as _, ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tower_query_cache::test_util::ManualClock;
use tower_query_cache::{Cache, Policy, QueryCache};

const SECOND: Duration = Duration::from_secs(1);

/// A service that the test steps, behind a layer whose clock it moves.
struct Stage {
    cache: QueryCache,
    clock: ManualClock,
    service: Cache<Mock>,
    origin: Origin,
}

/// Fresh for a minute.
fn stage(adapt: impl FnOnce(Policy) -> Policy) -> Stage {
    let clock = ManualClock::new();
    let cache = QueryCache::builder().clock(&clock).build().unwrap();
    let (inner, mut origin) = tower_test::mock::pair();
    origin.allow(1000);
    let service = cache.layer(adapt(Policy::ttl(MINUTE))).layer(inner);
    Stage { cache, clock, service, origin }
}

type Answer = Response<tower_query_cache::CacheBody<Full<bytes::Bytes>>>;
type Pending = tokio::task::JoinHandle<Result<Answer, tower::BoxError>>;

impl Stage {
    fn send(&self, request: Request<Empty<bytes::Bytes>>) -> Pending {
        tokio::spawn(self.service.clone().oneshot(request))
    }

    /// A response for `/x`, so that there is an entry.
    async fn fill(&mut self, response: Response<Full<bytes::Bytes>>) {
        let first = self.send(get("/x"));
        next(&mut self.origin, "/x").await.send_response(response);
        first.await.unwrap().unwrap();
        self.cache.settled().await;
    }

    /// The answer to a request that doesn't wait for the origin.
    async fn at_once(&mut self) -> Answer {
        self.service.call(get("/x")).await.unwrap()
    }

    async fn quiet(&mut self) {
        settle().await;
        assert_pending!(task::spawn(self.origin.next_request()).poll(), "the origin was asked");
    }
}

async fn assert_answer(answer: Answer, status: &str, body: &str) {
    assert_eq!(cache_status(&answer), format!("tower-query-cache; {status}"));
    assert_eq!(text(answer).await, body);
}

#[tokio::test(start_paused = true)]
async fn a_stale_entry_answers_at_once_while_one_fill_refreshes_it() {
    let mut stage = stage(|policy| policy.stale_while_revalidate(30 * SECOND));
    stage.fill(ok("old")).await;
    stage.clock.advance(MINUTE + 5 * SECOND);
    for _ in 0..10 {
        let answer = stage.at_once().await;
        assert_eq!(answer.headers()["age"], "65");
        assert_answer(answer, "hit; ttl=-5; detail=stale-while-revalidate", "old").await;
    }
    let refresh = next(&mut stage.origin, "/x").await;
    stage.quiet().await;
    refresh.send_response(ok("new"));
    stage.cache.settled().await;
    assert_hit(stage.at_once().await, "new").await;
}

#[tokio::test(start_paused = true)]
async fn the_window_ends_to_the_millisecond_and_use_does_not_move_it() {
    let mut stage = stage(|policy| policy.stale_while_revalidate(30 * SECOND).error_throttle(Duration::ZERO));
    stage.fill(ok("old")).await;
    stage.clock.advance(MINUTE - Duration::from_millis(1));
    assert_hit(stage.at_once().await, "old").await;
    stage.clock.advance(Duration::from_millis(1));
    for second in 0..30 {
        let status = format!("hit; ttl={}; detail=stale-while-revalidate", -second);
        assert_answer(stage.at_once().await, &status, "old").await;
        next(&mut stage.origin, "/x").await.send_error("down");
        stage.cache.settled().await;
        stage.clock.advance(SECOND);
    }
    let late = stage.send(get("/x"));
    next(&mut stage.origin, "/x").await.send_response(ok("new"));
    assert_answer(late.await.unwrap().unwrap(), "fwd=miss; stored", "new").await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_failed_is_not_tried_again_at_once() {
    let mut stage = stage(|policy| policy.stale_while_revalidate(30 * SECOND));
    stage.fill(ok("old")).await;
    stage.clock.advance(MINUTE);
    drop(stage.at_once().await);
    next(&mut stage.origin, "/x").await.send_response(error());
    stage.cache.settled().await;
    for _ in 0..3 {
        drop(stage.at_once().await);
        stage.quiet().await;
    }
    stage.clock.advance(SECOND);
    assert_answer(stage.at_once().await, "hit; ttl=-1; detail=stale-while-revalidate", "old").await;
    next(&mut stage.origin, "/x").await.send_response(ok("new"));
    stage.cache.settled().await;
    assert_hit(stage.at_once().await, "new").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_for_nobody_else_takes_the_stale_entry_away() {
    for gone in [
        Response::builder().status(404).body(Full::default()).unwrap(),
        ok_with(&[("cache-control", "private")], "mine"),
    ] {
        let mut stage = stage(|policy| policy.stale_while_revalidate(MINUTE).stale_if_error(MINUTE));
        stage.fill(ok("old")).await;
        stage.clock.advance(MINUTE);
        drop(stage.at_once().await);
        next(&mut stage.origin, "/x").await.send_response(gone);
        stage.cache.settled().await;
        let next_one = stage.send(get("/x"));
        next(&mut stage.origin, "/x").await.send_response(error());
        assert_eq!(next_one.await.unwrap().unwrap().status(), 500, "the old answer isn't true any more");
    }
}

fn error() -> Response<Full<bytes::Bytes>> {
    Response::builder().status(500).body(Full::from("broken")).unwrap()
}

/// Ten requests at once for an entry that went stale five seconds ago.
async fn ten(stage: &mut Stage) -> Vec<Pending> {
    stage.fill(ok("old")).await;
    stage.clock.advance(MINUTE + 5 * SECOND);
    let callers = (0..10).map(|_| stage.send(get("/x"))).collect();
    settle().await;
    callers
}

/// All have the stale entry; `first` is what the first one's answer says of the origin's.
async fn all_stale(callers: Vec<Pending>, first: &str) {
    for (caller, origin) in callers.into_iter().zip(once(first).chain(repeat(""))) {
        let status = format!("fwd=stale{origin}; detail=stale-if-error");
        assert_answer(caller.await.unwrap().unwrap(), &status, "old").await;
    }
}

#[tokio::test(start_paused = true)]
async fn in_place_of_an_error_all_callers_get_the_stale_entry() {
    for status in [500, 502, 503, 504] {
        let mut stage = stage(|policy| policy.stale_if_error(30 * SECOND));
        let callers = ten(&mut stage).await;
        let response = Response::builder().status(status).body(Full::from("broken")).unwrap();
        next(&mut stage.origin, "/x").await.send_response(response);
        all_stale(callers, &format!("; fwd-status={status}")).await;
        stage.quiet().await;
    }
    let mut stage = stage(|policy| policy.stale_if_error(30 * SECOND));
    let callers = ten(&mut stage).await;
    next(&mut stage.origin, "/x").await.send_error("down");
    all_stale(callers, "").await;
    // Throttled: the origin is left alone for a second, then asked again.
    assert_answer(stage.at_once().await, "hit; ttl=-5; detail=throttled", "old").await;
    stage.quiet().await;
    stage.clock.advance(SECOND);
    let again = stage.send(get("/x"));
    next(&mut stage.origin, "/x").await.send_response(ok("new"));
    assert_answer(again.await.unwrap().unwrap(), "fwd=stale; stored", "new").await;
}

#[tokio::test(start_paused = true)]
async fn after_the_window_an_error_comes_through_and_nothing_is_stored() {
    let mut stage = stage(|policy| policy.stale_if_error(30 * SECOND));
    stage.fill(ok("old")).await;
    stage.clock.advance(MINUTE + 30 * SECOND);
    let late = stage.send(get("/x"));
    next(&mut stage.origin, "/x").await.send_response(error());
    let answer = late.await.unwrap().unwrap();
    assert_eq!(answer.status(), 500);
    assert_answer(answer, "fwd=miss; detail=server-error", "broken").await;
    let again = stage.send(get("/x"));
    next(&mut stage.origin, "/x").await.send_response(ok("new"));
    assert_answer(again.await.unwrap().unwrap(), "fwd=miss; stored", "new").await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_no_error_comes_through() {
    let mut stage = stage(|policy| policy.stale_if_error(30 * SECOND));
    let callers = ten(&mut stage).await;
    let unknown = || Response::builder().status(501).body(Full::from("unknown")).unwrap();
    for _ in 0..10 {
        next(&mut stage.origin, "/x").await.send_response(unknown());
    }
    for caller in callers {
        assert_answer(caller.await.unwrap().unwrap(), "fwd=stale; detail=server-error", "unknown").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_negative_ttl_for_an_error_holds_only_where_nothing_stands_in() {
    let mut stage = stage(|policy| {
        policy.stale_if_error(30 * SECOND).negative_ttl(StatusCode::SERVICE_UNAVAILABLE, 5 * SECOND)
    });
    let busy = || Response::builder().status(503).body(Full::from("busy")).unwrap();
    let callers = ten(&mut stage).await;
    next(&mut stage.origin, "/x").await.send_response(busy());
    all_stale(callers, "; fwd-status=503").await;
    stage.clock.advance(MINUTE);
    let late = stage.send(get("/x"));
    next(&mut stage.origin, "/x").await.send_response(busy());
    assert_eq!(late.await.unwrap().unwrap().status(), 503);
    assert_hit(stage.at_once().await, "busy").await;
}

#[tokio::test(start_paused = true)]
async fn head_gets_the_stale_entry_in_place_of_an_error_too() {
    let mut stage = stage(|policy| policy.stale_if_error(30 * SECOND));
    stage.fill(ok("old")).await;
    stage.clock.advance(MINUTE);
    let head = || Request::head("/x").body(Empty::new()).unwrap();
    let caller = stage.send(head());
    next(&mut stage.origin, "/x").await.send_error("down");
    let answer = caller.await.unwrap().unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["content-length"]), (200, &"3".parse().unwrap()));
    assert_answer(answer, "fwd=stale; detail=stale-if-error", "").await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_head_is_throttled_too() {
    let mut stage = stage(|policy| policy.stale_if_error(MINUTE));
    stage.fill(ok("old")).await;
    stage.clock.advance(MINUTE);
    let head = || Request::head("/x").body(Empty::new()).unwrap();
    let caller = stage.send(head());
    next(&mut stage.origin, "/x").await.send_error("down");
    drop(caller.await.unwrap().unwrap());
    let again = stage.send(head());
    stage.quiet().await;
    assert_answer(again.await.unwrap().unwrap(), "hit; ttl=0; detail=throttled", "").await;
}

#[tokio::test(start_paused = true)]
async fn statuses_with_a_ttl_of_their_own_do_not_outlive_it() {
    for (status, body) in [(503, "busy"), (404, "gone")] {
        let mut stage = stage(|policy| {
            let status = StatusCode::from_u16(status).unwrap();
            policy
                .stale_while_revalidate(60 * MINUTE)
                .stale_if_error(60 * MINUTE)
                .negative_ttl(status, SECOND)
        });
        stage.fill(Response::builder().status(status).body(Full::from(body)).unwrap()).await;
        stage.clock.advance(SECOND);
        let late = stage.send(get("/x"));
        let again = Response::builder().status(status).body(Full::from("again")).unwrap();
        next(&mut stage.origin, "/x").await.send_response(again);
        assert_answer(late.await.unwrap().unwrap(), "fwd=miss; stored", "again").await;
    }
}

#[tokio::test(start_paused = true)]
async fn stale_variants_make_room_for_others() {
    let mut stage = stage(|policy| policy.stale_if_error(1440 * MINUTE));
    for number in 0..17 {
        if number == 16 {
            stage.clock.advance(60 * MINUTE);
        }
        let caller = stage.send(get_with("/x", &[("x-tenant", &number.to_string())]));
        next(&mut stage.origin, "/x").await.send_response(ok_with(&[("vary", "x-tenant")], "its own"));
        let answer = caller.await.unwrap().unwrap();
        assert!(cache_status(&answer).ends_with("stored"), "{number}: {}", cache_status(&answer));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_stored_ends_the_throttle() {
    let mut stage = stage(|policy| policy.stale_if_error(60 * MINUTE).error_throttle(60 * MINUTE));
    stage.fill(ok("old")).await;
    stage.clock.advance(MINUTE);
    let (one, two) = (stage.service.call(get("/x")), stage.service.call(get("/x")));
    let one = tokio::spawn(one);
    next(&mut stage.origin, "/x").await.send_error("down");
    drop(one.await.unwrap().unwrap());
    assert_answer(two.await.unwrap(), "hit; ttl=0; detail=throttled", "old").await;
    // Another node has stored a new one, or a request got past the throttle before it began.
    stage.clock.advance(59 * MINUTE);
    assert_answer(stage.at_once().await, "hit; ttl=-3540; detail=throttled", "old").await;
    stage.clock.advance(MINUTE);
    let three = stage.send(get("/x"));
    next(&mut stage.origin, "/x").await.send_response(ok("new"));
    drop(three.await.unwrap().unwrap());
    stage.clock.advance(MINUTE);
    let four = stage.send(get("/x"));
    next(&mut stage.origin, "/x").await.send_response(ok("newer"));
    assert_answer(four.await.unwrap().unwrap(), "fwd=stale; stored", "newer").await;
}

#[tokio::test(start_paused = true)]
async fn preconditions_for_the_origin_are_not_answered_stale() {
    let mut stage = stage(|policy| policy.stale_while_revalidate(MINUTE).stale_if_error(MINUTE));
    stage.fill(ok("old")).await;
    stage.clock.advance(MINUTE);
    let caller = stage.send(get_with("/x", &[("if-match", "\"a\"")]));
    next(&mut stage.origin, "/x").await.send_error("down");
    assert!(caller.await.unwrap().is_err());
}
