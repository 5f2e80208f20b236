//! The policy under test, the caps of its cache, and the bound on memory that follows from them.

use std::time::Duration;

use http::{Method, StatusCode};
use tower_query_cache::{BodyKey, ConfigError, LimitsConfig, MemoryConfig, Policy, QueryCache, RedisConfig};

/// Lifetime of answers that name none.
pub(crate) const TTL: Duration = Duration::from_secs(10);
/// Lifetime of a 404.
pub(crate) const NEGATIVE_TTL: Duration = Duration::from_secs(2);
/// How long after its lifetime an answer may stand in for an error: no answer may be older.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// How long after its lifetime an answer may be used while it is refreshed.
const REVALIDATE: Duration = Duration::from_secs(2);
/// What a process that dies may cost the others.
const LEASE: Duration = Duration::from_secs(2);
/// The largest response that is stored, bytes.
pub(crate) const MAX_BODY: usize = 128 << 10;
/// The largest request body that is keyed, bytes.
pub(crate) const KEY_BODY: usize = 4 << 10;
/// The memory tier's cap, bytes.
pub(crate) const MEMORY: u64 = 8 << 20;

const RECORDINGS: usize = 4 << 20;
const KEY_BODIES: usize = 64 << 10;
const QUEUE: usize = 2 << 20;

/// Figures of the cache that have a cap of their own.
pub(crate) const CAPS: [(&str, usize); 2] =
    [("/queue/queued_bytes", QUEUE), ("/flights/recording_bytes", RECORDINGS)];

/// What a value is held in on its way to the shared tier: the queue, the command, the connection's buffer.
const COPIES: usize = 3;
/// Commands of writers that gave up, which redis-rs keeps until its connection moves: those in its queue and the one
/// under way, for each of two lanes.
const ABANDONED: usize = 2 * (8 + 1);
/// What a request may hold: an entry that memory has let go of meanwhile, and a reply that is being read.
const REQUEST: usize = 2 * MAX_BODY;
/// The tables of the memory tier and of uncacheable keys, the runtime, the connections, this program.
const HARNESS: usize = 4 << 20;

/// What is cached, and for how long.
pub(crate) fn policy() -> Policy<BodyKey> {
    Policy::ttl(TTL)
        .methods([Method::GET, Method::HEAD, Method::POST])
        .key_body(KEY_BODY)
        .max_body(MAX_BODY)
        .negative_ttl(StatusCode::NOT_FOUND, NEGATIVE_TTL)
        .stale_while_revalidate(REVALIDATE)
        .stale_if_error(GRACE)
        .soft_timeout(Duration::from_millis(500))
        .hard_timeout(Duration::from_secs(4))
        .refresh_ahead(0.8)
        .jitter(0.1)
        .lease(LEASE)
}

/// A handle with caps that the traffic reaches.
pub(crate) fn cache(url: String) -> Result<QueryCache, ConfigError> {
    let mut memory = MemoryConfig::default();
    memory.max_bytes = MEMORY;
    memory.max_entries = 16_384;
    let mut limits = LimitsConfig::default();
    limits.recording_bytes = RECORDINGS;
    limits.key_body_bytes = KEY_BODIES;
    limits.coalesce_timeout = Duration::from_secs(1);
    limits.fill_timeout = Duration::from_secs(5);
    let mut redis = RedisConfig::new(url);
    redis.queue_bytes = QUEUE;
    QueryCache::builder().memory(memory).limits(limits).redis(redis).app("soak").build()
}

/// The most that may be allocated at any time, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// The sum of the caps.
    pub(crate) caps: usize,
    /// What no cap covers: copies on their way, requests, and this program.
    pub(crate) rest: usize,
}

impl Bound {
    /// With so many requests at once.
    pub(crate) const fn of(clients: usize) -> Self {
        Self {
            caps: MEMORY as usize + RECORDINGS + KEY_BODIES + QUEUE,
            rest: (COPIES - 1) * QUEUE + ABANDONED * MAX_BODY + clients * REQUEST + HARNESS,
        }
    }

    /// In all.
    pub(crate) const fn sum(self) -> usize {
        self.caps + self.rest
    }
}
