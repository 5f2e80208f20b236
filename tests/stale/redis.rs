//! Stale entries that processes share.
#![cfg(feature = "redis")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::support::RedisServer;
use crate::support::site::{Site, stats};
use crate::support::store::patient;

/// A node of an application whose handlers all fail while `down`.
struct Node {
    cache: QueryCache,
    site: Site,
}

struct Cluster {
    redis: RedisServer,
    clock: ManualClock,
    down: Arc<AtomicBool>,
}

impl Cluster {
    fn start() -> Self {
        Self { redis: RedisServer::start(), clock: ManualClock::new(), down: Arc::default() }
    }

    async fn node(&self, policy: Policy, body: &'static str) -> Node {
        let builder = QueryCache::builder().clock(&self.clock).app("stale");
        let cache = builder.redis(patient(self.redis.url())).build().unwrap();
        assert!(cache.ready(MINUTE).await);
        let down = Arc::clone(&self.down);
        let site =
            Site::new(&cache, policy, move |_| if down.load(Ordering::SeqCst) { error() } else { ok(body) });
        Node { cache, site }
    }

    /// Milliseconds that the only key lives on.
    fn life(&self) -> u64 {
        self.redis.cli(&["PTTL", &self.redis.keys()[0]]).trim().parse().unwrap()
    }
}

fn policy() -> Policy {
    Policy::ttl(MINUTE).stale_if_error(60 * MINUTE)
}

#[tokio::test]
async fn the_life_in_redis_covers_the_windows_and_no_use_extends_it() {
    let cluster = Cluster::start();
    let node = cluster.node(policy(), "old").await;
    assert_eq!(text(node.site.get("/x").await).await, "old");
    node.cache.settled().await;
    let life = cluster.life();
    println!("{life} ms of {}", 61 * 60 * 1000);
    assert!((60 * 60 * 1000..=61 * 60 * 1000).contains(&life), "{life}");

    cluster.down.store(true, Ordering::SeqCst);
    cluster.clock.advance(30 * MINUTE);
    for number in 0..3 {
        let other = cluster.node(policy(), "unused").await;
        let answer = other.site.get("/x").await;
        assert_eq!(answer.headers()["age"], "1800", "{number}");
        assert_answer(answer, "fwd=stale; fwd-status=500; detail=stale-if-error", "old").await;
        assert_answer(other.site.get("/x").await, "hit; ttl=-1740; detail=throttled", "old").await;
        other.cache.settled().await;
    }
    assert!(cluster.life() <= life);
    // A minute of the window is left: what was promoted ends with it too.
    let other = cluster.node(policy(), "unused").await;
    assert_eq!(text(other.site.get("/x").await).await, "old");
    cluster.clock.advance(31 * MINUTE);
    assert_eq!(other.site.get("/x").await.status(), 500);
}

#[tokio::test]
async fn a_refresh_takes_what_another_process_has_refreshed() {
    let cluster = Cluster::start();
    let policy = || Policy::ttl(MINUTE).stale_while_revalidate(MINUTE);
    let one = cluster.node(policy(), "old").await;
    let two = cluster.node(policy(), "new").await;
    assert_eq!(text(one.site.get("/x").await).await, "old");
    one.cache.settled().await;
    cluster.clock.advance(MINUTE);
    // The second process has nothing in memory: it answers from what Redis has, and refreshes that.
    let answer = two.site.get("/x").await;
    assert_answer(answer, "hit; ttl=0; detail=stale-while-revalidate", "old").await;
    two.cache.settled().await;
    assert_eq!(two.site.calls(), 1);
    // The first still has the old one in memory.
    assert_eq!(text(one.site.get("/x").await).await, "old");
    one.cache.settled().await;
    assert_hit(one.site.get("/x").await, "new").await;
    assert_eq!(one.site.calls(), 1, "the origin wasn't asked again");
    let figures = stats(&one.cache).await;
    assert_eq!((&figures["stale"]["stale-while-revalidate"], &figures["refreshes"]), (&1.into(), &1.into()));
}
