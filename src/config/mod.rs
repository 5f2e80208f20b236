//! Settings of the handle, as plain data: written in code, read by serde or from the environment, with the same result.

mod env;
pub(crate) mod seconds;
#[cfg(feature = "redis")]
mod servers;
#[cfg(test)]
mod tests;
mod url;
mod validate;

#[cfg(feature = "redis")]
pub(crate) use self::servers::Servers;
#[cfg(feature = "tls")]
pub(crate) use self::validate::invalid;
#[cfg(feature = "redis")]
pub(crate) use self::validate::namespace as check_namespace;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of a [`QueryCache`](crate::QueryCache).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CacheConfig {
    /// `false`: every layer is a pass-through. Default: true. Environment: `ENABLE_CACHE`.
    pub enabled: bool,
    /// Default freshness lifetime, seconds. Default: 3600. Environment: `CACHE_TTL`.
    #[serde(with = "seconds")]
    pub ttl: Duration,
    /// Prefix of every key in the shared tier. Default: `tqc`. Environment: `CACHE_NAMESPACE`.
    pub namespace: String,
    /// Key part that keeps applications apart. Default: the executable's name. Environment: `CACHE_APP`.
    pub app: String,
    /// Key part that a deploy changes to start fresh. Default: empty. Environment: `CACHE_GENERATION`.
    pub generation: String,
    /// Cache name in `Cache-Status` (RFC 9211); none: the field isn't added. Default: `tower-query-cache`.
    pub cache_status: Option<String>,
    /// The memory tier.
    pub memory: MemoryConfig,
    /// The shared tier; none: memory only. Default: none.
    ///
    /// `REDIS_URL` brings it. Environment: `USE_LRU_CACHE`, which takes it away when it is true.
    pub redis: Option<RedisConfig>,
    /// Bounds.
    pub limits: LimitsConfig,
}

/// The memory tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MemoryConfig {
    /// Entries at most. Default: 256. Environment: `LRU_CACHE_SIZE`.
    pub max_entries: usize,
    /// Bytes at most. Default: 64 MiB. An entry over 8 MiB may be over what one shard of the tier holds, and is then in the
    /// shared tier alone.
    pub max_bytes: u64,
}

/// The Redis tier.
///
/// `Debug` hides the user and password of the URL; serialising writes the whole URL.
///
/// With the feature `tls`, a URL of `rediss` is spoken to over TLS 1.2 or 1.3: by the pool, the circuit breaker's probe
/// and the leases' subscription alike. Certificates are always verified, for the URL's host; there is no `#insecure`. The
/// files are PEM, of 1 MiB at most, and read once, when the handle is built. rustls's crypto provider is the process's
/// default; where there is none, ring becomes it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RedisConfig {
    /// `redis://`, `redis+unix://`, `unix://`, `redis-cluster://`, `redis-sentinel://`, and with `rediss` for TLS. Default:
    /// `redis://127.0.0.1:6379`. Environment: `REDIS_URL`.
    ///
    /// | | |
    /// |---|---|
    /// | one server | `redis://[user:password@]host[:port][/db]`, `redis+unix:///path[?db=…&user=…&pass=…]` |
    /// | a Cluster | `redis-cluster://[user:password@]host[:port][,host[:port]…]`, or several `redis://` URLs by comma |
    /// | sentinels | `redis-sentinel://[user:password@]host[:port][,host[:port]…]/master[/db][?sentinel_user=…&sentinel_password=…&sentinel_tls=…]` |
    ///
    /// RESP2 is spoken unless the URL has `protocol=resp3` in its query.
    pub url: String,
    /// File with the certificates of the authorities that may vouch for a `rediss://` server, in place of the system's.
    /// Default: none.
    pub tls_ca: Option<PathBuf>,
    /// File with the client's certificate, followed by those between it and its authority. Needs `tls_key`. Default: none.
    pub tls_cert: Option<PathBuf>,
    /// File with the private key of `tls_cert`: PKCS #8, PKCS #1 or SEC 1, not encrypted. Default: none.
    pub tls_key: Option<PathBuf>,
    /// Lanes (connections) at most; in a Cluster to each master. Default: 10. Environment: `REDIS_MAX_CONNECTIONS`.
    pub max_connections: usize,
    /// Time for a connect, seconds. Default: 5. Environment: `REDIS_CONNECT_TIMEOUT`.
    #[serde(with = "seconds")]
    pub connect_timeout: Duration,
    /// TCP keepalive. Default: true. Environment: `REDIS_KEEPALIVE`.
    pub keepalive: bool,
    /// Time for a whole lookup, seconds. Default: 0.05.
    #[serde(with = "seconds")]
    pub lookup_timeout: Duration,
    /// Time for a write, seconds. Default: 1.
    #[serde(with = "seconds")]
    pub write_timeout: Duration,
    /// Entries waiting to be written, at most; more are dropped and counted. Default: 1024.
    pub queue_entries: usize,
    /// Bytes waiting to be written, at most; more are dropped and counted. Default: 32 MiB.
    pub queue_bytes: usize,
    /// How long the journal of purges remembers, seconds, counted back from the newest purge. No entry may live longer.
    /// Default: 86400.
    #[serde(with = "seconds")]
    pub journal_retention: Duration,
    /// How long entries in memory may answer while the journal can't be reached, seconds: since it last was, or since their own
    /// fill began, whichever was later. 0: not at all. Default: 60.
    #[serde(with = "seconds")]
    pub partition_grace: Duration,
}

/// Bounds of the handle. Over one, a request isn't collapsed, not stored, or bypasses, with a reason; it never fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// Fills at once. Default: 4096.
    pub max_fills: usize,
    /// Fills at once that nobody waits for any more; over it they are cancelled. Default: 64.
    pub max_orphan_fills: usize,
    /// Whether a fill goes on once all who waited for it hung up. `false`: it is cancelled, and policies with a
    /// `soft_timeout` or `hard_timeout` are refused; refreshes, which nobody waits for, go on all the same. Default: true.
    pub finish_fills: bool,
    /// Time for a fill, seconds. Default: 30.
    #[serde(with = "seconds")]
    pub fill_timeout: Duration,
    /// Time a request waits for another's fill before it goes to the origin itself, seconds. Default: 5.
    #[serde(with = "seconds")]
    pub coalesce_timeout: Duration,
    /// Bytes of responses being recorded, in all. Default: 64 MiB.
    pub recording_bytes: usize,
    /// Bytes of request bodies being read for keys, in all. Default: 32 MiB.
    pub key_body_bytes: usize,
    /// Time to read a request body for its key, seconds. Default: 10.
    #[serde(with = "seconds")]
    pub key_body_timeout: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            ttl: Duration::from_secs(3600),
            namespace: "tqc".to_owned(),
            app: executable(),
            generation: String::new(),
            cache_status: Some("tower-query-cache".to_owned()),
            memory: MemoryConfig::default(),
            redis: None,
            limits: LimitsConfig::default(),
        }
    }
}

/// The executable's file name, or nothing where the system doesn't tell.
fn executable() -> String {
    std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .unwrap_or_default()
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { max_entries: 256, max_bytes: 64 << 20 }
    }
}

impl RedisConfig {
    /// The defaults, with this URL.
    ///
    /// ```
    /// use tower_query_cache::{QueryCache, RedisConfig};
    ///
    /// let mut redis = RedisConfig::new("redis://127.0.0.1:6379/1");
    /// redis.max_connections = 4;
    /// let cache = QueryCache::builder().redis(redis).build()?;
    /// # Ok::<(), tower_query_cache::ConfigError>(())
    /// ```
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Time for a probe: for a silent connection to be given up, for a connect, and for an answer.
    pub(crate) fn probe_timeout(&self) -> Duration {
        Duration::from_secs(1).saturating_add(self.connect_timeout).saturating_add(self.lookup_timeout)
    }
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            max_connections: 10,
            connect_timeout: Duration::from_secs(5),
            keepalive: true,
            lookup_timeout: Duration::from_millis(50),
            write_timeout: Duration::from_secs(1),
            queue_entries: 1024,
            queue_bytes: 32 << 20,
            journal_retention: Duration::from_secs(24 * 3600),
            partition_grace: Duration::from_secs(60),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_fills: 4096,
            max_orphan_fills: 64,
            finish_fills: true,
            fill_timeout: Duration::from_secs(30),
            coalesce_timeout: Duration::from_secs(5),
            recording_bytes: 64 << 20,
            key_body_bytes: 32 << 20,
            key_body_timeout: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &url::without_credentials(&self.url))
            .field("tls_ca", &self.tls_ca)
            .field("tls_cert", &self.tls_cert)
            .field("tls_key", &self.tls_key.as_ref().map(|_| "…"))
            .field("max_connections", &self.max_connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("keepalive", &self.keepalive)
            .field("lookup_timeout", &self.lookup_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("queue_entries", &self.queue_entries)
            .field("queue_bytes", &self.queue_bytes)
            .field("journal_retention", &self.journal_retention)
            .field("partition_grace", &self.partition_grace)
            .finish()
    }
}
