//! Stores that do what no store should, and holders that never come back: it is nobody's request that pays.
#![cfg(feature = "test-util")]

mod support;

use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::Full;
use support::eventually;
use support::http::{ok, text};
use support::log::Log;
use support::site::{MINUTE, Req, Site, request, stats};
use tokio::time::{Instant, sleep, timeout};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::test_util::{ManualClock, MemoryStore};
use tower_query_cache::{
    Append, Appended, GivenBack, Journal, JournalEntry, JournalId, Key, Lease, Leases, MemoryConfig, Policy,
    PoolStatus, QueryCache, Store, StoreError, StoreFuture, StoreStatus, Tail,
};

/// What the store does.
#[derive(Clone, Copy)]
enum Odd {
    PanicsInLookups,
    PanicsOverLeases,
    /// Another holder has every lease until then.
    FreeAfter(Instant),
    NeverFree,
    /// And it never knows whether one was given back.
    MissesWords,
}

struct OddStore {
    odd: Odd,
    inner: MemoryStore,
}

impl Store for OddStore {
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            assert!(!matches!(self.odd, Odd::PanicsInLookups), "the store's own panic");
            self.inner.get(key).await
        })
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: Duration) -> StoreFuture<'a, ()> {
        self.inner.set(key, value, life)
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        self.inner.remove(key)
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        self.inner.ready()
    }

    fn leases(&self) -> Option<&dyn Leases> {
        (!matches!(self.odd, Odd::PanicsInLookups)).then_some(self as _)
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        self.inner.status()
    }

    fn pool(&self) -> PoolStatus {
        self.inner.pool()
    }
}

impl Leases for OddStore {
    fn acquire<'a>(&'a self, _: &'a Key, _: Duration) -> StoreFuture<'a, Option<Lease>> {
        Box::pin(async {
            assert!(!matches!(self.odd, Odd::PanicsOverLeases), "the leases' own panic");
            let is_free = matches!(self.odd, Odd::FreeAfter(time) if Instant::now() >= time);
            Ok(is_free.then(|| Lease::new(Bytes::from_static(b"lease"))))
        })
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        _: &'a Lease,
        value: Bytes,
        life: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move { self.inner.set(key, value, life).await.map(|()| true) })
    }

    fn release<'a>(&'a self, _: &'a Key, _: &'a Lease) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn given_back<'a>(&'a self, _: &Key) -> GivenBack<'a> {
        match self.odd {
            Odd::MissesWords => Box::pin(ready(false)),
            _ => Box::pin(pending()),
        }
    }
}

fn cache(odd: Odd) -> QueryCache {
    let store = OddStore { odd, inner: MemoryStore::new(100) };
    QueryCache::builder().store(Arc::new(store)).build().unwrap()
}

#[tokio::test]
async fn a_store_that_panics_fails_no_request_and_opens_the_breaker() {
    let cache = cache(Odd::PanicsInLookups);
    let site = Site::new(&cache, Policy::ttl(MINUTE), |parts| ok(parts.uri.path().to_owned()));
    for path in ["/1", "/2", "/3", "/4", "/5", "/6"] {
        assert_eq!(text(site.get(path).await).await, path);
    }
    let figures = stats(&cache).await;
    assert_eq!((&figures["breaker"]["state"], &figures["errors"]["connection"]), (&"open".into(), &5.into()));
    timeout(MINUTE, cache.shutdown()).await.expect("nothing is left");
}

#[tokio::test]
async fn a_store_that_panics_over_a_lease_fails_no_request() {
    let cache = cache(Odd::PanicsOverLeases);
    let site = Site::new(&cache, Policy::ttl(MINUTE).lease(MINUTE), |_| ok("page"));
    let answer = site.get("/a").await;
    assert_eq!((answer.status().as_u16(), text(answer).await.as_str()), (200, "page"));
}

/// Calls that 100 requests at once make whose service takes `time`.
async fn calls(odd: Odd, lease: Duration, time: Duration) -> usize {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let inner = service_fn(move |_: Req| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            sleep(time).await;
            Ok::<_, Infallible>(ok("page"))
        }
    });
    let layer = cache(odd).layer(Policy::ttl(MINUTE).lease(lease));
    let service = ServiceBuilder::new().layer(layer).service(inner);
    let one = || tokio::spawn(service.clone().oneshot(request(Method::GET, "/a", &[], "")));
    let requests: Vec<_> = (0..100).map(|_| one()).collect();
    for request in requests {
        assert_eq!(text(request.await.unwrap().unwrap()).await, "page");
    }
    calls.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_died_or_hangs_costs_each_other_process_one_call() {
    let dead = Odd::FreeAfter(Instant::now() + Duration::from_secs(4));
    let after_dead = calls(dead, Duration::from_secs(4), Duration::from_secs(3)).await;
    let beside_hung = calls(Odd::NeverFree, MINUTE, Duration::from_millis(100)).await;
    println!("100 requests: {after_dead} call after a holder died, {beside_hung} beside one that hangs");
    assert_eq!((after_dead, beside_hung), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn missed_words_send_nobody_to_the_origin_beside_a_live_holder() {
    let start = Instant::now();
    assert_eq!(calls(Odd::MissesWords, MINUTE, Duration::ZERO).await, 1);
    assert_eq!(start.elapsed().as_secs(), 5, "as long as for another's fill in this process");
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_what_goes_past_the_cache() {
    let cache = QueryCache::builder().build().unwrap();
    let inner = service_fn(|_: Req| async {
        sleep(Duration::from_secs(24 * 3600)).await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner);
    let fields = [("if-match", "\"x\"")];
    let _long_poll = tokio::spawn(service.oneshot(request(Method::GET, "/a", &fields, "")));
    sleep(Duration::from_millis(10)).await;
    timeout(MINUTE, cache.shutdown()).await.expect("shutdown comes to an end");
}

#[tokio::test(start_paused = true)]
async fn what_memory_takes_over_from_the_shared_tier_keeps_within_its_bytes() {
    const CAP: u64 = 1 << 20;
    let (store, clock) = (Arc::new(MemoryStore::new(1000)), ManualClock::new());
    let cache = || {
        let mut memory = MemoryConfig::default();
        memory.max_bytes = CAP;
        QueryCache::builder().store(store.clone()).clock(&clock).memory(memory).build().unwrap()
    };
    let (one, other) = (cache(), cache());
    let small = Site::new(&one, Policy::ttl(MINUTE), |_| ok("small"));
    let large = Site::new(&other, Policy::ttl(MINUTE), |_| ok("x".repeat(200 << 10)));
    let paths = || (0..100).map(|number| format!("/{number}"));
    for path in paths() {
        small.get(&path).await;
    }
    one.settled().await;
    clock.advance(MINUTE);
    for path in paths() {
        large.get(&path).await;
    }
    other.settled().await;
    for path in paths() {
        assert_eq!(text(small.get(&path).await).await.len(), 200 << 10);
    }
    let bytes = stats(&one).await["memory"]["bytes"].as_u64().unwrap();
    println!("{bytes} bytes of {CAP} after {} calls", small.calls());
    assert!(small.calls() == 100 && (CAP / 2..=CAP).contains(&bytes));
}

/// A store whose journal can't be read, with this many connections for all else.
struct Unreadable {
    connections: AtomicUsize,
    tails: AtomicUsize,
    inner: MemoryStore,
}

impl Store for Unreadable {
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        self.inner.get(key)
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: Duration) -> StoreFuture<'a, ()> {
        self.inner.set(key, value, life)
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        self.inner.remove(key)
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        self.inner.ready()
    }

    fn journal(&self) -> Option<&dyn Journal> {
        Some(self)
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        self.inner.status()
    }

    fn pool(&self) -> PoolStatus {
        let mut pool = PoolStatus::default();
        pool.max_connections = 1;
        pool.connections_created = self.connections.load(Ordering::SeqCst);
        pool
    }
}

fn refused<T>() -> StoreFuture<'static, T> {
    Box::pin(async { Err(StoreError::Server("WRONGPASS".to_owned())) })
}

impl Journal for Unreadable {
    fn tail(&self) -> StoreFuture<'_, Box<dyn Tail>> {
        self.tails.fetch_add(1, Ordering::SeqCst);
        refused()
    }

    fn append<'a>(&'a self, _: &'a Append) -> StoreFuture<'a, Appended> {
        refused()
    }

    fn head(&self) -> StoreFuture<'_, Option<Bytes>> {
        refused()
    }

    fn range(&self, _: JournalId, _: usize) -> StoreFuture<'_, Vec<JournalEntry>> {
        refused()
    }

    fn trust(&self, _: Option<&str>) {}
}

#[tokio::test]
async fn the_journal_is_warned_of_once_and_not_before_the_store_has_a_connection() {
    let log = Log::start();
    let (connections, tails) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let store = Arc::new(Unreadable { connections, tails, inner: MemoryStore::new(100) });
    let cache = QueryCache::builder().store(Arc::clone(&store) as _).build().unwrap();
    let site = Site::new(&cache, Policy::ttl(MINUTE), |_| ok("page"));
    assert_eq!(text(site.get("/a").await).await, "page");
    let more_tails = async |more: usize| {
        let before = store.tails.load(Ordering::SeqCst);
        eventually("tails", || store.tails.load(Ordering::SeqCst) >= before + more).await;
    };
    let warnings = || log.lines(&["WARN", "journal can't be read"]).len();

    more_tails(3).await;
    assert_eq!(warnings(), 0, "why there is no connection, the store tells: {}", log.text());
    store.connections.store(1, Ordering::SeqCst);
    more_tails(3).await;
    assert_eq!(warnings(), 1, "{}", log.text());
}
