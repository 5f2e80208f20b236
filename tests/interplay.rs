//! Where two promises meet: stale entries, throttles, leases, the circuit breaker.
#![cfg(feature = "test-util")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Empty;
use support::http::{Act, Scripted, assert_hit, cache_status, get, ok, scripted, text};
use support::mock::{MINUTE, Mock, Origin, next, settle};
use support::site::stats;
use tokio_test::task;
use tower::{Service as _, ServiceExt as _};
use tower_layer::Layer as _;
use tower_query_cache::test_util::{Fault, FaultStore, ManualClock, MemoryStore, Operation};
use tower_query_cache::{Cache, Policy, QueryCache, Store, StoreError};

const SECOND: Duration = Duration::from_secs(1);

/// One process: a handle of its own over a store that others may share.
struct Node {
    cache: QueryCache,
    service: Cache<Mock>,
    origin: Origin,
}

fn node(clock: &ManualClock, store: Arc<dyn Store>, policy: Policy) -> Node {
    let cache = QueryCache::builder().clock(clock).app("interplay").store(store).build().unwrap();
    let (inner, mut origin) = tower_test::mock::pair();
    origin.allow(1000);
    let service = cache.layer(policy).layer(inner);
    Node { cache, service, origin }
}

fn store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(100))
}

impl Node {
    fn send(&self, path: &str) -> tokio::task::JoinHandle<String> {
        let answer = self.service.clone().oneshot(get(path));
        tokio::spawn(async move { text(answer.await.unwrap()).await })
    }

    async fn fill(&mut self, path: &str, body: &'static str) {
        let first = self.send(path);
        next(&mut self.origin, path).await.send_response(ok(body));
        assert_eq!(first.await.unwrap(), body);
        self.cache.settled().await;
    }

    async fn is_quiet(&mut self) -> bool {
        settle().await;
        task::spawn(self.origin.next_request()).poll().is_pending()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_ends_the_throttle_that_another_request_brought() {
    let clock = ManualClock::new();
    let policy = Policy::ttl(10 * SECOND).stale_if_error(60 * MINUTE).error_throttle(30 * MINUTE);
    let mut node = node(&clock, store(), policy);
    node.fill("/x", "old").await;
    clock.advance(MINUTE);
    let slow = node.send("/x");
    let respond = next(&mut node.origin, "/x").await;
    let head = Request::head("/x").body(Empty::new()).unwrap();
    let head = tokio::spawn(node.service.clone().oneshot(head));
    next(&mut node.origin, "/x").await.send_error("down");
    assert!(cache_status(&head.await.unwrap().unwrap()).ends_with("detail=stale-if-error"));
    respond.send_response(ok("new"));
    assert_eq!(slow.await.unwrap(), "new");
    node.cache.settled().await;
    clock.advance(15 * SECOND);
    let again = node.send("/x");
    next(&mut node.origin, "/x").await.send_response(ok("newer"));
    assert_eq!(again.await.unwrap(), "newer");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_hung_while_an_entry_stood_in_does_not_end_collapsing() {
    type Hanging = tower_test::mock::Mock<Request<Empty<bytes::Bytes>>, Response<Scripted>>;
    let clock = ManualClock::new();
    let cache = QueryCache::builder().clock(&clock).build().unwrap();
    let (inner, mut origin) = tower_test::mock::pair();
    origin.allow(1000);
    let policy = Policy::ttl(MINUTE).stale_if_error(60 * MINUTE);
    let mut service: Cache<Hanging> = cache.layer(policy).layer(inner);
    let (acts, body) = scripted();
    let first = tokio::spawn(service.call(get("/x")));
    origin.next_request().await.unwrap().1.send_response(Response::new(body));
    acts.send(Act::Data("old")).unwrap();
    drop(acts);
    assert_eq!(text(first.await.unwrap().unwrap()).await, "old");

    clock.advance(MINUTE);
    let (_hangs, body) = scripted();
    let second = tokio::spawn(service.call(get("/x")));
    origin.next_request().await.unwrap().1.send_response(Response::new(body));
    assert_eq!(text(second.await.unwrap().unwrap()).await, "old", "after the fill's time");

    clock.advance(2 * SECOND);
    let callers: Vec<_> = (0..10).map(|_| tokio::spawn(service.call(get("/x")))).collect();
    let (_, respond) = origin.next_request().await.unwrap();
    settle().await;
    assert!(task::spawn(origin.next_request()).poll().is_pending(), "they were sent side by side");
    let (acts, body) = scripted();
    respond.send_response(Response::new(body));
    acts.send(Act::Data("new")).unwrap();
    drop(acts);
    for caller in callers {
        assert_eq!(text(caller.await.unwrap().unwrap()).await, "new");
    }
}

#[tokio::test(start_paused = true)]
async fn an_early_refresh_with_a_lease_does_not_take_what_it_is_to_refresh() {
    let clock = ManualClock::new();
    let policy = Policy::ttl(MINUTE).refresh_ahead(0.5).lease(SECOND);
    let mut node = node(&clock, store(), policy);
    node.fill("/x", "old").await;
    clock.advance(30 * SECOND);
    assert_hit(node.service.call(get("/x")).await.unwrap(), "old").await;
    next(&mut node.origin, "/x").await.send_response(ok("new"));
    node.cache.settled().await;
    assert_hit(node.service.call(get("/x")).await.unwrap(), "new").await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_takes_what_the_holder_of_the_lease_stores() {
    let (clock, store) = (ManualClock::new(), store());
    let policy = || Policy::ttl(MINUTE).stale_while_revalidate(MINUTE).lease(2 * SECOND);
    let mut one = node(&clock, store.clone(), policy());
    let mut two = node(&clock, store, policy());
    one.fill("/x", "old").await;
    clock.advance(MINUTE);
    assert_eq!(one.send("/x").await.unwrap(), "old");
    let respond = next(&mut one.origin, "/x").await;
    assert_eq!(two.send("/x").await.unwrap(), "old");
    assert!(two.is_quiet().await, "its refresh waits for the lease");
    respond.send_response(ok("new"));
    one.cache.settled().await;
    two.cache.settled().await;
    assert_hit(two.service.call(get("/x")).await.unwrap(), "new").await;
    assert!(two.is_quiet().await);
    let figures = stats(&two.cache).await;
    assert_eq!((&figures["leases"]["followed"], &figures["collapsed"]), (&1.into(), &0.into()));
}

#[tokio::test(start_paused = true)]
async fn time_outs_hold_while_another_process_has_the_lease() {
    let (clock, store) = (ManualClock::new(), store());
    let policy = || {
        let policy = Policy::ttl(MINUTE).stale_if_error(MINUTE);
        policy.soft_timeout(SECOND / 2).hard_timeout(SECOND).lease(30 * SECOND)
    };
    let mut holder = node(&clock, store.clone(), policy());
    let waiter = node(&clock, store, policy());
    holder.fill("/x", "old").await;
    clock.advance(MINUTE);
    for (path, status, body) in
        [("/x", "fwd=stale; detail=soft-timeout", "old"), ("/cold", "fwd=miss; detail=hard-timeout", "")]
    {
        let _held = holder.send(path);
        let _respond = next(&mut holder.origin, path).await;
        let answer = waiter.service.clone().oneshot(get(path)).await.unwrap();
        assert_eq!(cache_status(&answer), format!("tower-query-cache; {status}"));
        assert_eq!(text(answer).await, body);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_lease_goes_on_when_the_breaker_opens() {
    let (clock, store) = (ManualClock::new(), store());
    let policy = || Policy::ttl(MINUTE).lease(30 * SECOND);
    let mut holder = node(&clock, store.clone(), policy());
    let faults = FaultStore::new(store);
    let mut waiter = node(&clock, Arc::new(faults.clone()), policy());
    let _held = holder.send("/x");
    let _respond = next(&mut holder.origin, "/x").await;
    let waits = waiter.send("/x");
    assert!(waiter.is_quiet().await);

    faults.inject(Fault::error(StoreError::Timeout).on([Operation::Get]).times(5));
    for path in ["/1", "/2", "/3", "/4", "/5"] {
        waiter.fill_unsettled(path).await;
    }
    assert_eq!(stats(&waiter.cache).await["breaker"]["state"], "open");
    let asked = faults.counts().came(Operation::Acquire);
    next(&mut waiter.origin, "/x").await.send_response(ok("its own"));
    assert_eq!(waits.await.unwrap(), "its own");
    waiter.cache.settled().await;
    assert_eq!(faults.counts().came(Operation::Acquire), asked, "asked while open");
    assert_eq!(faults.counts().came(Operation::Commit), 0);
}

impl Node {
    /// As [`fill`](Self::fill), while something else goes on.
    async fn fill_unsettled(&mut self, path: &str) {
        let first = self.send(path);
        next(&mut self.origin, path).await.send_response(ok("other"));
        assert_eq!(first.await.unwrap(), "other");
    }
}
