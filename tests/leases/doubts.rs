//! When the shared tier can't say who fills: every doubt ends in a fill.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tower_query_cache::test_util::{Fault, FaultStore, MemoryStore, Operation};
use tower_query_cache::{Policy, QueryCache, RedisConfig, Store, StoreError};

use crate::support::http::{assert_hit, ok, text};
use crate::support::site::{MINUTE, stats};
use crate::support::store::config;
use crate::support::{Hoard, RedisServer};
use crate::{LONG, Node, gets, waiting};

/// A process over a store of its own, whose answer to who asks for a lease meets this.
fn doubting(fault: Fault) -> Node {
    let store = FaultStore::new(Arc::new(MemoryStore::new(100)));
    store.inject(fault.on([Operation::Acquire]));
    over(Arc::new(store))
}

fn over(store: Arc<dyn Store>) -> Node {
    let cache = QueryCache::builder().store(store).app("doubts").build().unwrap();
    Node::over(cache, Policy::ttl(MINUTE).lease(LONG), |_| ok("page"))
}

/// How long a request takes, for which the service is called and whose answer is stored.
async fn filled(node: &Node) -> Duration {
    node.open(1);
    let start = Instant::now();
    let answer = timeout(LONG, node.get("/a")).await.expect("an answer").unwrap();
    assert_eq!(text(answer).await, "page");
    let took = start.elapsed();
    node.cache.settled().await;
    assert_hit(node.get("/a").await.unwrap(), "page").await;
    assert_eq!(node.calls(), 1);
    took
}

#[tokio::test(start_paused = true)]
async fn a_shared_tier_that_is_silent_about_a_lease_costs_one_lookup_time() {
    let node = doubting(Fault::hang());
    let took = filled(&node).await;
    let limit = RedisConfig::default().lookup_timeout;
    assert!(took >= limit && took < limit + Duration::from_millis(5), "{took:?}");
    println!("a silent store: the lease cost {took:?} of at most {limit:?}");
    assert_eq!(stats(&node.cache).await["errors"]["timeout"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_shared_tier_that_refuses_a_lease_costs_nothing() {
    let node = doubting(Fault::error(StoreError::Server("LOADING".to_owned())));
    let took = filled(&node).await;
    assert!(took < Duration::from_millis(5), "{took:?}");
    assert_eq!(stats(&node.cache).await["errors"]["server"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_never_given_back_is_waited_for_as_long_as_a_fill_in_this_process() {
    let store = Arc::new(MemoryStore::new(100));
    let holder = over(Arc::clone(&store) as Arc<dyn Store>);
    let _first = holder.get("/a");
    holder.called(1).await;
    let node = over(store);
    let took = filled(&node).await;
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
