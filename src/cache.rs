//! The handle: tiers, flights and counters that all its layers share.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Extensions;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::budget::Budget;
use crate::builder::CacheBuilder;
use crate::cache_status::Names;
use crate::clock::Clock;
use crate::config::{CacheConfig, LimitsConfig};
use crate::error::{ConfigError, PolicyError};
use crate::flight::{Flights, Recent, Uses};
use crate::key::Identity;
use crate::layer::CacheLayer;
use crate::policy::Routes;
use crate::purge::{Purges, Tables};
use crate::stats::{RouteStats, Stats, StatsHandler};
use crate::store::Tiers;

/// Runs a detached task; see [`CacheBuilder::spawner`].
pub(crate) type Spawner = dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync;

/// The handle of a cache.
///
/// Cheap to clone; every clone, and every layer made from one, shares the tiers, the fills and the counters. Tasks run while
/// there is something to fill, to write or to connect; with a Redis, one follows the journal of purges for as long as there is
/// a handle, layer or service.
///
/// A service made from it runs inside a tokio runtime with time enabled. Tasks run on the runtime whose request began them
/// and may serve requests of others: of several runtimes with one handle, none should be kept without being driven.
#[derive(Clone)]
pub struct QueryCache {
    pub(crate) shared: Arc<Shared>,
}

/// What the clones of a handle share.
pub(crate) struct Shared {
    /// Tells this handle's own fills from others'.
    pub(crate) id: u64,
    /// `false`: every layer is a pass-through.
    pub(crate) enabled: AtomicBool,
    pub(crate) identity: Identity,
    pub(crate) default_ttl: Duration,
    pub(crate) limits: LimitsConfig,
    pub(crate) clock: Clock,
    pub(crate) names: Arc<Names>,
    pub(crate) tiers: Tiers,
    pub(crate) purges: Arc<Purges>,
    /// The policies of all layers that are in use.
    pub(crate) tables: Tables,
    pub(crate) flights: Arc<Flights>,
    /// Keys whose responses can't be stored: requests for them aren't kept waiting for each other.
    pub(crate) uncacheable: Recent,
    /// How often keys without an entry were asked for, under policies that store by that.
    pub(crate) uses: Uses,
    /// Keys of entries that stood in for a failure just now.
    pub(crate) failing: Recent,
    pub(crate) recordings: Arc<Budget>,
    pub(crate) key_bodies: Arc<Budget>,
    pub(crate) stats: Arc<Stats>,
    /// Counters of requests that no policy is for.
    pub(crate) unrouted: Arc<RouteStats>,
    pub(crate) server: Option<crate::stats::ServerFigures>,
    pub(crate) started: Instant,
    pub(crate) spawner: Option<Box<Spawner>>,
    tasks: watch::Sender<usize>,
}

/// Marks a request that is inside fills of the handles with these ids.
#[derive(Clone, Debug)]
struct Filling(Arc<[u64]>);

impl QueryCache {
    /// A handle set up by the environment; the variables stand at [`CacheConfig`]. Memory and Redis with `REDIS_URL`
    /// set, memory alone without.
    ///
    /// # Errors
    ///
    /// A variable whose value isn't accepted. Nothing is silently replaced by a default.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_config(CacheConfig::from_env()?)
    }

    /// A handle set up by plain data.
    ///
    /// # Errors
    ///
    /// A field whose value isn't accepted.
    pub fn from_config(config: CacheConfig) -> Result<Self, ConfigError> {
        CacheBuilder::from(config).build()
    }

    /// Starts from the defaults: memory alone.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::from(CacheConfig::default())
    }

    pub(crate) fn assemble(parts: Parts) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let Parts { config, tiers, purges, names, stats, server, clock, spawner } = parts;
        Self {
            shared: Arc::new(Shared {
                id: IDS.fetch_add(1, Ordering::Relaxed),
                enabled: AtomicBool::new(config.enabled),
                identity: Identity {
                    namespace: config.namespace,
                    app: config.app,
                    generation: config.generation,
                },
                default_ttl: config.ttl,
                clock,
                names,
                tiers,
                purges,
                tables: Tables::default(),
                flights: Flights::new(&config.limits),
                uncacheable: Recent::new(),
                uses: Uses::new(),
                failing: Recent::new(),
                recordings: Arc::new(Budget::new(config.limits.recording_bytes)),
                key_bodies: Arc::new(Budget::new(config.limits.key_body_bytes)),
                limits: config.limits,
                unrouted: stats.route("(none)"),
                stats,
                server,
                started: Instant::now(),
                spawner,
                tasks: watch::Sender::new(0),
            }),
        }
    }

    /// A layer for one [`Policy`](crate::Policy), or for a table of [`Routes`].
    ///
    /// # Panics
    ///
    /// If the policy can't be used, as axum does for routes; [`try_layer`](Self::try_layer) returns the error instead.
    #[must_use]
    #[track_caller]
    #[expect(clippy::panic, reason = "a policy written in code is right or the program doesn't start")]
    pub fn layer<K>(&self, policy: impl Into<Routes<K>>) -> CacheLayer<K> {
        match self.try_layer(policy) {
            Ok(layer) => layer,
            Err(error) => panic!("{error}"),
        }
    }

    /// A layer for one [`Policy`](crate::Policy), or for a table of [`Routes`].
    ///
    /// # Errors
    ///
    /// A policy or pattern that can't be used.
    pub fn try_layer<K>(&self, policy: impl Into<Routes<K>>) -> Result<CacheLayer<K>, PolicyError> {
        CacheLayer::new(Arc::clone(&self.shared), policy.into())
    }

    /// A handler that answers with the cache's figures as JSON.
    #[must_use]
    pub fn stats_handler(&self) -> StatsHandler {
        StatsHandler::new(Arc::clone(&self.shared) as _)
    }

    /// The tiers in use: `off`, `memory` or `memory + redis`.
    #[must_use]
    pub fn tiers(&self) -> &'static str {
        match (&self.shared.tiers.shared, self.shared.enabled.load(Ordering::Relaxed)) {
            (_, false) => "off",
            (None, true) => "memory",
            (Some(_), true) => "memory + redis",
        }
    }

    /// Whether the shared tier can be reached, and its purge journal was read, before `deadline` has passed; connects if need
    /// be. Always true without one. Nothing goes to the shared tier before.
    ///
    /// While the circuit breaker is open it waits for the next probe, or starts it if it is due: asked again and again
    /// with a short deadline, it is true by the first probe that the server answers.
    pub async fn ready(&self, deadline: Duration) -> bool {
        match &self.shared.tiers.shared {
            Some(shared) => {
                let ready = async {
                    let reached = shared.breaker.ready().await;
                    if reached {
                        self.shared.purges.ready().await;
                    }
                    reached
                };
                timeout(deadline, ready).await.unwrap_or(false)
            }
            None => true,
        }
    }

    /// Waits until nothing is under way any more: no lookup, no fill, no write to the shared tier. Under traffic that never
    /// pauses it doesn't return; it is for tests, and for [`shutdown`](Self::shutdown).
    pub async fn settled(&self) {
        let mut tasks = self.shared.tasks.subscribe();
        loop {
            // The sender lives in `self`: the wait can't fail.
            tasks.wait_for(|running| *running == 0).await.ok();
            if let Some(shared) = &self.shared.tiers.shared {
                shared.writer.settled().await;
            }
            if *tasks.borrow() == 0 {
                return;
            }
        }
    }

    /// Passes every further request through, and waits until what has begun is done.
    pub async fn shutdown(&self) {
        self.shared.enabled.store(false, Ordering::Relaxed);
        self.settled().await;
    }
}

/// What a handle is assembled from.
pub(crate) struct Parts {
    pub(crate) config: CacheConfig,
    pub(crate) tiers: Tiers,
    pub(crate) purges: Arc<Purges>,
    pub(crate) names: Arc<Names>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) server: Option<crate::stats::ServerFigures>,
    pub(crate) clock: Clock,
    pub(crate) spawner: Option<Box<Spawner>>,
}

impl Shared {
    /// Marks a request that is inside a fill of this handle, so that a second layer of it doesn't wait for the first.
    pub(crate) fn mark(&self, extensions: &mut Extensions) {
        let others = extensions.get::<Filling>().map_or(&[][..], |filling| &filling.0);
        let ids = [others, &[self.id]].concat();
        extensions.insert(Filling(ids.into()));
    }

    /// Whether a request is inside a fill of this handle.
    pub(crate) fn is_marked(&self, extensions: &Extensions) -> bool {
        extensions.get::<Filling>().is_some_and(|filling| filling.0.contains(&self.id))
    }

    /// Counts something that [`QueryCache::settled`] waits for.
    pub(crate) fn running(self: &Arc<Self>) -> Running {
        self.tasks.send_modify(|running| *running += 1);
        Running(Arc::clone(self))
    }

    /// Spawns a task that [`QueryCache::settled`] waits for.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let running = self.running();
        let task = async move {
            let _running = running;
            task.await;
        };
        match &self.spawner {
            Some(spawner) => spawner(Box::pin(task)),
            None => drop(tokio::spawn(task)),
        }
    }
}

/// Something that counts as running until this is dropped.
pub(crate) struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.tasks.send_modify(|running| *running -= 1);
    }
}

impl fmt::Debug for QueryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryCache").field("tiers", &self.tiers()).finish_non_exhaustive()
    }
}
