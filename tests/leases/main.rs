//! Leases: of all processes that share a Redis one fills a key, and the others wait for its entry, but never for ever.
#![cfg(all(feature = "redis", feature = "test-util"))]

#[path = "../support/mod.rs"]
mod support;

mod doubts;
mod ends;
mod mishaps;
mod processes;
mod store;
mod variants;
mod wake;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use support::site::{Answer, MINUTE, Req, request, stats};
use support::store::patient;
use support::{RedisServer, eventually_async};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{LimitsConfig, Policy, QueryCache, RedisConfig};

/// A lease that no test outlasts.
const LONG: Duration = Duration::from_secs(60);

/// A process, as far as the others can tell: a handle of its own, and a service whose calls end as the test lets them.
#[derive(Clone)]
struct Node {
    cache: QueryCache,
    service: BoxCloneSyncService<Req, Answer, Infallible>,
    calls: Arc<AtomicUsize>,
    /// Calls that may end.
    gate: Arc<Semaphore>,
}

impl Node {
    /// Over this Redis, with a policy that has a long lease, and these answers.
    async fn new(
        redis: &RedisServer,
        answer: impl Fn(&http::request::Parts) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self::with(patient(redis.url()), Policy::ttl(MINUTE).lease(LONG), answer).await
    }

    async fn with(
        redis: RedisConfig,
        policy: Policy,
        answer: impl Fn(&http::request::Parts) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        // Nobody goes on only because a test took long.
        let mut limits = LimitsConfig::default();
        limits.coalesce_timeout = LONG;
        let cache = QueryCache::builder().redis(redis).limits(limits).build().unwrap();
        assert!(cache.ready(MINUTE).await);
        Self::over(cache, policy, answer)
    }

    fn over(
        cache: QueryCache,
        policy: Policy,
        answer: impl Fn(&http::request::Parts) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let (calls, gate) = (Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
        let (counted, opened, answer) = (Arc::clone(&calls), Arc::clone(&gate), Arc::new(answer));
        let inner = service_fn(move |request: Req| {
            counted.fetch_add(1, Ordering::SeqCst);
            let (opened, answer) = (Arc::clone(&opened), Arc::clone(&answer));
            async move {
                opened.acquire().await.expect("the gate is never closed").forget();
                Ok::<_, Infallible>(answer(&request.into_parts().0))
            }
        });
        let service = ServiceBuilder::new().layer(cache.layer(policy)).service(inner);
        Self { cache, service: BoxCloneSyncService::new(service), calls, gate }
    }

    /// Sends a GET, as a task.
    fn get(&self, uri: &str) -> JoinHandle<Answer> {
        self.get_with(uri, &[])
    }

    fn get_with(&self, uri: &str, fields: &[(&str, &str)]) -> JoinHandle<Answer> {
        let request = request(http::Method::GET, uri, fields, "");
        let service = self.service.clone();
        tokio::spawn(async move { service.oneshot(request).await.unwrap() })
    }

    /// Lets calls end.
    fn open(&self, calls: usize) {
        self.gate.add_permits(calls);
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn called(&self, calls: usize) {
        support::eventually("the service is called", || self.calls() == calls).await;
    }

    /// A figure of the part `leases` of the stats.
    async fn leases(&self, name: &str) -> u64 {
        stats(&self.cache).await["leases"][name].as_u64().unwrap_or(0)
    }
}

/// Waits until these nodes have asked for the lease in vain and wait for its holder: each of their requests looked twice.
async fn waiting(redis: &RedisServer, nodes: &[&Node], before: usize) {
    let looks = 2 * nodes.len();
    eventually_async("every other process waits", || async { gets(redis) >= before + looks }).await;
}

/// `GET`s that the server has answered.
fn gets(redis: &RedisServer) -> usize {
    answered(redis, "get")
}

/// Commands of this name that the server has answered.
fn answered(redis: &RedisServer, command: &str) -> usize {
    let commands = redis.cli(&["INFO", "commandstats"]);
    let start = format!("cmdstat_{command}:calls=");
    let line = commands.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or("0,");
    line.split(',').next().unwrap().parse().unwrap()
}

/// The keys of leases that somebody holds.
fn held(redis: &RedisServer) -> Vec<String> {
    redis.keys().into_iter().filter(|key| key.ends_with(":l")).collect()
}
