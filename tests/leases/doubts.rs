//! When the shared tier can't say who fills: every doubt ends in a fill.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tower_query_cache::{
    Key, Lease, Leases, Policy, PoolStatus, QueryCache, RedisConfig, Store, StoreError, StoreFuture,
    StoreStatus,
};

use crate::support::http::{assert_hit, ok, text};
use crate::support::site::{MINUTE, stats};
use crate::support::store::config;
use crate::support::{Hoard, RedisServer};
use crate::{LONG, Node, gets, waiting};

/// What asking for a lease comes to.
#[derive(Clone, Copy, Debug)]
enum Doubt {
    Silence,
    Error,
    /// Another holder has it, and never gives it back.
    Taken,
}

/// A store whose leases are in doubt.
struct Doubtful(Hoard, Doubt);

impl Store for Doubtful {
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        self.0.get(key)
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: Duration) -> StoreFuture<'a, ()> {
        self.0.set(key, value, life)
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        self.0.remove(key)
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        self.0.ready()
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        self.0.status()
    }

    fn pool(&self) -> PoolStatus {
        self.0.pool()
    }
}

impl Leases for Doubtful {
    fn acquire<'a>(&'a self, _: &'a Key, _: Duration) -> StoreFuture<'a, Option<Lease>> {
        match self.1 {
            Doubt::Silence => Box::pin(pending()),
            Doubt::Error => Box::pin(async { Err(StoreError::Server("LOADING".to_owned())) }),
            Doubt::Taken => Box::pin(async { Ok(None) }),
        }
    }

    fn commit<'a>(&'a self, _: &'a Key, _: &'a Lease, _: Bytes, _: Duration) -> StoreFuture<'a, bool> {
        unreachable!("nobody has a lease")
    }

    fn release<'a>(&'a self, _: &'a Key, _: &'a Lease) -> StoreFuture<'a, ()> {
        unreachable!("nobody has a lease")
    }

    fn given_back<'a>(&'a self, _: &'a Key) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(pending())
    }
}

/// How long a request takes until the service is called, and the handle's errors of that kind.
async fn doubting(doubt: Doubt) -> (Duration, Node) {
    let store = Arc::new(Doubtful(Hoard::open(), doubt));
    let cache = QueryCache::builder().store(store).build().unwrap();
    let node = Node::over(cache, Policy::ttl(MINUTE).lease(LONG), |_| ok("page"));
    node.open(1);
    let start = Instant::now();
    let answer = timeout(LONG, node.get("/a")).await.expect("an answer").unwrap();
    assert_eq!(text(answer).await, "page");
    let took = start.elapsed();
    node.cache.settled().await;
    assert_hit(node.get("/a").await.unwrap(), "page").await;
    assert_eq!(node.calls(), 1);
    (took, node)
}

#[tokio::test(start_paused = true)]
async fn a_shared_tier_that_is_silent_about_a_lease_costs_one_lookup_time() {
    let (took, node) = doubting(Doubt::Silence).await;
    let limit = RedisConfig::default().lookup_timeout;
    assert!(took >= limit && took < limit + Duration::from_millis(5), "{took:?}");
    println!("a silent store: the lease cost {took:?} of at most {limit:?}");
    assert_eq!(stats(&node.cache).await["errors"]["timeout"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_shared_tier_that_refuses_a_lease_costs_nothing() {
    let (took, node) = doubting(Doubt::Error).await;
    assert!(took < Duration::from_millis(5), "{took:?}");
    assert_eq!(stats(&node.cache).await["errors"]["server"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_never_given_back_is_waited_for_as_long_as_a_fill_in_this_process() {
    let (took, node) = doubting(Doubt::Taken).await;
    let patience = Duration::from_secs(5);
    assert!(took >= patience && took < patience + Duration::from_millis(200), "{took:?}");
    assert_eq!(node.leases("timed_out").await, 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_shared_tier_or_without_its_leases_a_policy_with_one_works() {
    for cache in [QueryCache::builder(), QueryCache::builder().store(Arc::new(Hoard::open()))] {
        let node = Node::over(cache.build().unwrap(), Policy::ttl(MINUTE).lease(LONG), |_| ok("page"));
        node.open(1);
        let start = Instant::now();
        assert_eq!(text(node.get("/a").await.unwrap()).await, "page");
        assert!(start.elapsed() < Duration::from_millis(5));
        assert_hit(node.get("/a").await.unwrap(), "page").await;
    }
}

#[tokio::test]
async fn a_redis_that_hangs_while_a_request_waits_for_a_lease_ends_the_wait() {
    let redis = RedisServer::start();
    let holder = Node::new(&redis, |_| ok("the holder's")).await;
    let mut limited = config(redis.url());
    limited.lookup_timeout = Duration::from_secs(1);
    let other = Node::with(limited, Policy::ttl(MINUTE).lease(LONG), |_| ok("own")).await;
    let _first = holder.get("/a");
    holder.called(1).await;
    let before = gets(&redis);
    let second = other.get("/a");
    waiting(&redis, &[&other], before).await;
    other.open(1);
    let start = Instant::now();
    redis.pause();
    assert_eq!(text(second.await.unwrap()).await, "own");
    let took = start.elapsed();
    redis.resume();
    println!("Redis hung while a request waited for a lease: it went on after {took:?}");
    assert!(took < Duration::from_secs(4), "not before the patience was over: {took:?}");
}

#[tokio::test]
async fn a_request_to_a_redis_that_hangs_costs_one_lookup_time_and_asks_for_no_lease() {
    let redis = RedisServer::start();
    let node = Node::with(config(redis.url()), Policy::ttl(MINUTE).lease(LONG), |_| ok("page")).await;
    node.open(1);
    redis.pause();
    let start = Instant::now();
    assert_eq!(text(node.get("/a").await.unwrap()).await, "page");
    let took = start.elapsed();
    redis.resume();
    println!("a hung Redis: lookup and lease cost {took:?} together, of 50 ms");
    assert!(took < Duration::from_secs(2), "{took:?}");
    // The lookup alone timed out.
    assert_eq!(stats(&node.cache).await["errors"]["timeout"], 1);
}
