//! Nodes: handles on one Redis, each behind a proxy of its own, with one truth that their handlers tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::Response;
use bytes::Bytes;
use http_body_util::Full;
use serde_json::Value;
use tokio::time::Instant;
use tower_query_cache::{CacheTags, MemoryConfig, Policy, QueryCache, RedisConfig};

use crate::support::proxy::Proxy;
use crate::support::site::{MINUTE, Site, stats};
use crate::support::{RedisServer, eventually_async, http};

/// What all handlers answer; it moves on.
#[derive(Clone, Default)]
pub(crate) struct Truth(Arc<AtomicU64>);

impl Truth {
    /// Moves on; the new one.
    pub(crate) fn change(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn tell(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A handle behind a proxy, and a site that tells the truth, tagged `pages`.
pub(crate) struct Node {
    pub(crate) cache: QueryCache,
    pub(crate) site: Site,
    pub(crate) proxy: Proxy,
}

/// What the nodes of these tests have in common: nothing is served once a node has lost touch, and lookups have time.
pub(crate) fn config(url: String) -> RedisConfig {
    let mut config = RedisConfig::new(url);
    config.partition_grace = Duration::ZERO;
    config.lookup_timeout = Duration::from_secs(1);
    config
}

impl Node {
    /// A node that knows the journal.
    pub(crate) async fn start(server: &RedisServer, truth: &Truth) -> Self {
        Self::with(server, truth, Policy::ttl(MINUTE), MemoryConfig::default()).await
    }

    pub(crate) async fn with(
        server: &RedisServer,
        truth: &Truth,
        policy: Policy,
        memory: MemoryConfig,
    ) -> Self {
        let proxy = Proxy::start(server.port());
        let cache = QueryCache::builder().redis(config(proxy.url())).memory(memory).build().unwrap();
        assert!(cache.ready(Duration::from_secs(10)).await, "the node isn't ready");
        let truth = truth.clone();
        let site = Site::new(&cache, policy, move |_| {
            let mut response = Response::new(Full::new(Bytes::from(truth.tell().to_string())));
            response.extensions_mut().insert(CacheTags::new(["pages"]));
            response
        });
        Self { cache, site, proxy }
    }

    /// What it tells of `/page`.
    pub(crate) async fn tells(&self) -> u64 {
        http::text(self.site.get("/page").await).await.parse().unwrap()
    }

    /// Part of the journal's figures.
    pub(crate) async fn journal(&self, name: &str) -> Value {
        stats(&self.cache).await["journal"][name].clone()
    }

    /// Waits until the journal is followed. Requests go on, which start the circuit breaker's probes.
    pub(crate) async fn follows(&self) {
        eventually_async("the journal is followed", || async {
            self.tells().await;
            self.journal("followed").await == true
        })
        .await;
    }

    /// How long it takes until the node tells `truth`; and then it never tells another.
    pub(crate) async fn learns(&self, truth: u64) -> Duration {
        let start = Instant::now();
        eventually_async("the node tells the truth", || async { self.tells().await == truth }).await;
        let took = start.elapsed();
        for _ in 0..20 {
            assert_eq!(self.tells().await, truth, "it told the truth before");
        }
        took
    }

    /// From now on Redis is out of this node's reach.
    pub(crate) fn disconnect(&self) {
        self.proxy.switch(1);
        self.proxy.cut();
    }

    /// It is in reach again, on that server.
    pub(crate) fn reconnect(&self, server: &RedisServer) {
        self.proxy.switch(server.port());
    }
}

/// All nodes follow the journal, and have `/page` in memory and in Redis.
pub(crate) async fn warm(nodes: &[&Node], truth: &Truth) {
    for node in nodes {
        node.follows().await;
        assert_eq!(node.tells().await, truth.tell());
        node.cache.settled().await;
        assert_eq!(node.tells().await, truth.tell());
    }
}
