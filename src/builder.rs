//! Building a handle.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;

use crate::cache::{Parts, QueryCache, Spawner};
use crate::cache_status::Names;
use crate::clock::Clock;
use crate::config::{CacheConfig, LimitsConfig, MemoryConfig, RedisConfig};
use crate::entry::{KeyRing, SealConfig, Seals, SecretKey};
use crate::error::ConfigError;
use crate::purge::{Purges, TagScope};
use crate::stats::{ServerFigures, Stats};
use crate::store::{Breaker, Memory, SealedStore, SharedTier, Store, Tiers, Writer};

/// Builds a [`QueryCache`]; every setting stands at [`CacheConfig`].
#[must_use]
pub struct CacheBuilder {
    config: CacheConfig,
    store: Option<Arc<dyn Store>>,
    clock: Clock,
    spawner: Option<Box<Spawner>>,
    seals: SealConfig,
}

impl From<CacheConfig> for CacheBuilder {
    fn from(config: CacheConfig) -> Self {
        Self { config, store: None, clock: Clock::System, spawner: None, seals: SealConfig::default() }
    }
}

impl CacheBuilder {
    /// `false`: every layer is a pass-through.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.config.enabled = enabled;
        self
    }

    /// Default freshness lifetime, for policies that name none.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.config.ttl = ttl;
        self
    }

    /// Prefix of every key in the shared tier.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.config.namespace = namespace.into();
        self
    }

    /// Key part that keeps applications on one Redis apart.
    pub fn app(mut self, app: impl Into<String>) -> Self {
        self.config.app = app.into();
        self
    }

    /// Key part that a deploy changes to start fresh.
    pub fn generation(mut self, generation: impl Into<String>) -> Self {
        self.config.generation = generation.into();
        self
    }

    /// The cache's name in `Cache-Status`; `None`: the field isn't added.
    pub fn cache_status(mut self, name: Option<&str>) -> Self {
        self.config.cache_status = name.map(str::to_owned);
        self
    }

    /// The memory tier.
    pub fn memory(mut self, memory: MemoryConfig) -> Self {
        self.config.memory = memory;
        self
    }

    /// The Redis tier.
    pub fn redis(mut self, redis: RedisConfig) -> Self {
        self.config.redis = Some(redis);
        self
    }

    /// The Redis tier at `url`; its other settings stay, or are the defaults of [`RedisConfig`].
    pub fn redis_url(mut self, url: impl Into<String>) -> Self {
        self.config.redis.get_or_insert_default().url = url.into();
        self
    }

    /// Bounds.
    pub fn limits(mut self, limits: LimitsConfig) -> Self {
        self.config.limits = limits;
        self
    }

    /// A shared tier of your own, in place of Redis. The time-outs and the queue's bounds are those of [`RedisConfig`].
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Seals what goes to the shared tier: whoever has no key of `keys` can't make a value that is served, nor change one or
    /// move it to another key; and without `names` nobody can tell which URL a value belongs to, by its name or by its tags.
    /// Status, fields and body stay readable: `encrypt` (feature `encrypt`) hides them too.
    ///
    /// A value that isn't sealed, or by a key that isn't in the ring, is a miss and left alone (`foreign` in the stats). To
    /// change a key of the ring see [`KeyRing`]. `names` is a secret apart because it isn't rotated that way: another one is
    /// a cold start, as another generation is. Memory keeps entries as they are.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_query_cache::{KeyRing, QueryCache, SecretKey};
    ///
    /// # let file = std::env::temp_dir().join(format!("seal-{}", std::process::id()));
    /// # std::fs::write(&file, "5a".repeat(32))?;
    /// # let names = std::env::temp_dir().join(format!("names-{}", std::process::id()));
    /// # std::fs::write(&names, "c3".repeat(32))?;
    /// let keys = KeyRing::parse(&std::fs::read_to_string(&file)?)?;
    /// let names = SecretKey::from_hex(std::fs::read_to_string(&names)?.trim())?;
    /// let cache = QueryCache::builder().seal(keys, names).build()?;
    /// # Ok(()) }
    /// ```
    pub fn seal(mut self, keys: KeyRing, names: SecretKey) -> Self {
        self.seals.seal = Some((keys, names));
        self
    }

    /// Encrypts what goes to the shared tier, by XChaCha20-Poly1305. It can't be changed or moved to another key either, so
    /// [`seal`](Self::seal) adds one thing to it: names that tell nothing of the key. With both, values are encrypted by
    /// `keys` here, and the ring given there isn't used.
    ///
    /// What is said there of values by other keys, of rotation and of memory holds here too.
    #[cfg(feature = "encrypt")]
    pub fn encrypt(mut self, keys: KeyRing) -> Self {
        self.seals.encrypt = Some(keys);
        self
    }

    /// Runs fills in place of [`tokio::spawn`], for example inside a task-local scope. It must run each to its end.
    pub fn spawner(
        mut self,
        spawner: impl Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync + 'static,
    ) -> Self {
        self.spawner = Some(Box::new(spawner));
        self
    }

    /// A clock that a test moves, in place of the wall clock.
    #[cfg(feature = "test-util")]
    pub fn clock(mut self, clock: &crate::test_util::ManualClock) -> Self {
        self.clock = Clock::Manual(clock.clone());
        self
    }

    /// The handle. Inside a tokio runtime it begins to connect at once, in the background; else with the first request.
    ///
    /// # Errors
    ///
    /// A setting whose value isn't accepted, or that needs a crate feature which is off.
    pub fn build(self) -> Result<QueryCache, ConfigError> {
        let Self { config, store, clock, spawner, seals } = self;
        config.validate()?;
        let seals = Seals::new(&seals)?;
        let store = match (store, &config.redis) {
            (Some(store), _) => Some(store),
            (None, Some(redis)) => Some(open(redis, &config.namespace)?),
            (None, None) => None,
        };
        let store = match (store, seals) {
            (Some(store), Some(seals)) => Some(Arc::new(SealedStore::new(store, seals)) as Arc<dyn Store>),
            (store, _) => store,
        };
        if store.is_none() && config.enabled {
            tracing::info!("no shared tier: responses are cached in this process's memory alone");
        }

        let names = Arc::new(Names::new(config.cache_status.as_deref()));
        let stats = Arc::new(Stats::new());
        let times = config.redis.clone().unwrap_or_default();
        let shared = store.clone().map(|store| {
            let breaker = Breaker::new(Arc::clone(&store), times.probe_timeout());
            SharedTier {
                writer: Writer::new(Arc::clone(&store), Arc::clone(&breaker), &times),
                breaker,
                store,
                lookup_timeout: times.lookup_timeout,
            }
        });
        let server = shared
            .as_ref()
            .map(|shared| ServerFigures::new(Arc::clone(&shared.store), Arc::clone(&shared.breaker)));
        let journal = shared.as_ref().map(|shared| (&shared.store, &shared.breaker));
        let purges = Arc::new(Purges::new(TagScope::new(&config.app), journal, &times));
        let memory = Memory::new(&config.memory);
        let tiers = Tiers::new(
            memory,
            shared,
            Arc::clone(&purges),
            Arc::clone(&names),
            clock.clone(),
            Arc::clone(&stats),
        );
        if config.enabled
            && let Some(store) = &store
            && Handle::try_current().is_ok()
        {
            // Asking starts the connecting; whether it has come to an end yet doesn't matter here.
            drop(store.ready().now_or_never());
            purges.follow();
        }
        Ok(QueryCache::assemble(Parts { config, tiers, purges, names, stats, server, clock, spawner }))
    }
}

#[cfg(feature = "redis")]
fn open(config: &RedisConfig, namespace: &str) -> Result<Arc<dyn Store>, ConfigError> {
    Ok(Arc::new(crate::store::RedisStore::new(config, namespace)?))
}

#[cfg(not(feature = "redis"))]
fn open(_: &RedisConfig, _: &str) -> Result<Arc<dyn Store>, ConfigError> {
    Err(ConfigError::Feature { name: "REDIS_URL".into(), feature: "redis" })
}

impl fmt::Debug for CacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
