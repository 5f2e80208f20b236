//! The bounds of every setting, wherever it came from.
//!
//! A bound says "this can't be meant": zero where nothing would work, or more than any machine has. It is no advice.

use std::borrow::Cow;
use std::time::Duration;

use super::{CacheConfig, LimitsConfig, MemoryConfig, RedisConfig, url};
use crate::error::ConfigError;

/// A range of whole numbers.
pub(super) struct Whole {
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) accepted: &'static str,
}

/// A range of times, from a millisecond on.
pub(super) struct Times {
    pub(super) max_seconds: u64,
    pub(super) accepted: &'static str,
    /// The same for those who give whole seconds.
    pub(super) whole: Whole,
}

macro_rules! whole {
    ($min:literal to $max:literal) => {
        Whole { min: $min, max: $max, accepted: concat!("a whole number from ", $min, " to ", $max) }
    };
}

macro_rules! seconds_to {
    ($max:literal) => {
        Times {
            max_seconds: $max,
            accepted: concat!("seconds from 0.001 to ", $max),
            whole: Whole { min: 1, max: $max, accepted: concat!("whole seconds from 1 to ", $max) },
        }
    };
}

/// A year: longer lives are what `CACHE_GENERATION` and purges are for.
pub(super) const TTL: Times = seconds_to!(31536000);
pub(super) const MAX_ENTRIES: Whole = whole!(1 to 10000000);
/// A server takes 10,000 clients as shipped, and a few lanes carry all that a process can send.
pub(super) const MAX_CONNECTIONS: Whole = whole!(1 to 1024);
pub(super) const CONNECT_TIMEOUT: Times = seconds_to!(600);
/// Budgets inside a request, and the writer's.
const REQUEST_TIME: Times = seconds_to!(60);
/// Times of fills and of clients' uploads.
const FILL_TIME: Times = seconds_to!(3600);
/// Bytes: up to 1 TiB.
const BYTES: Whole = whole!(1 to 1099511627776);
/// Things that are waited for or run at once.
const COUNT: Whole = whole!(1 to 1000000);

const NAMESPACE: &str = "1 to 64 bytes of A-Z, a-z, 0-9, `_`, `.`, `:` and `-`";
const KEY_PART: &str = "at most 256 bytes";
const WITH_TLS: &str = "files for TLS with a rediss:// URL";
const BOTH_OR_NEITHER: &str = "both or neither";
const CACHE_STATUS: &str =
    "an RFC 9211 name: a letter, then letters, digits and !#$%&'*+-.^_`|~:/, at most 64 bytes";

impl CacheConfig {
    /// Checks every setting against its bounds.
    ///
    /// # Errors
    ///
    /// The first setting that can't be meant, by the name of its field, such as `redis.max_connections`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        TTL.check("ttl", self.ttl)?;
        namespace("namespace", &self.namespace)?;
        key_part("app", &self.app)?;
        key_part("generation", &self.generation)?;
        if let Some(name) = &self.cache_status {
            cache_status("cache_status", name)?;
        }
        self.memory.validate()?;
        if let Some(redis) = &self.redis {
            redis.validate()?;
        }
        self.limits.validate()
    }
}

impl MemoryConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        MAX_ENTRIES.check("memory.max_entries", self.max_entries)?;
        BYTES.check_u64("memory.max_bytes", self.max_bytes)
    }
}

impl RedisConfig {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        redis_feature("redis")?;
        redis_url("redis.url", &self.url)?;
        self.validate_tls()?;
        MAX_CONNECTIONS.check("redis.max_connections", self.max_connections)?;
        CONNECT_TIMEOUT.check("redis.connect_timeout", self.connect_timeout)?;
        REQUEST_TIME.check("redis.lookup_timeout", self.lookup_timeout)?;
        REQUEST_TIME.check("redis.write_timeout", self.write_timeout)?;
        COUNT.check("redis.queue_entries", self.queue_entries)?;
        BYTES.check("redis.queue_bytes", self.queue_bytes)?;
        TTL.check("redis.journal_retention", self.journal_retention)?;
        if !self.partition_grace.is_zero() {
            FILL_TIME.check("redis.partition_grace", self.partition_grace)?;
        }
        Ok(())
    }

    /// Checks what the files are for, but not the files.
    fn validate_tls(&self) -> Result<(), ConfigError> {
        for (name, file) in [
            ("redis.tls_ca", &self.tls_ca),
            ("redis.tls_cert", &self.tls_cert),
            ("redis.tls_key", &self.tls_key),
        ] {
            if file.is_none() {
                continue;
            }
            tls_feature(name)?;
            if !url::asks_for_tls(&self.url) {
                return Err(invalid(name, "`redis.url` doesn't ask for TLS".to_owned(), WITH_TLS));
            }
        }
        let alone = match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => Some(("redis.tls_cert", "`redis.tls_key` is missing")),
            (None, Some(_)) => Some(("redis.tls_key", "`redis.tls_cert` is missing")),
            _ => None,
        };
        alone.map_or(Ok(()), |(name, missing)| Err(invalid(name, missing.to_owned(), BOTH_OR_NEITHER)))
    }

    /// Where the servers are and who we are. Holds credentials.
    #[cfg(feature = "redis")]
    pub(crate) fn servers(&self) -> Result<super::Servers, ConfigError> {
        super::servers::parse(&self.url).map_err(|problem| invalid("redis.url", problem, url::ACCEPTED))
    }
}

impl LimitsConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        COUNT.check("limits.max_fills", self.max_fills)?;
        COUNT.check("limits.max_orphan_fills", self.max_orphan_fills)?;
        FILL_TIME.check("limits.fill_timeout", self.fill_timeout)?;
        FILL_TIME.check("limits.coalesce_timeout", self.coalesce_timeout)?;
        BYTES.check("limits.recording_bytes", self.recording_bytes)?;
        BYTES.check("limits.key_body_bytes", self.key_body_bytes)?;
        FILL_TIME.check("limits.key_body_timeout", self.key_body_timeout)
    }
}

impl Whole {
    fn check(&self, name: &'static str, value: usize) -> Result<(), ConfigError> {
        self.check_u64(name, u64::try_from(value).unwrap_or(u64::MAX))
    }

    pub(super) fn check_u64(&self, name: &'static str, value: u64) -> Result<(), ConfigError> {
        if value < self.min {
            Err(invalid(name, format!("{value} is too small"), self.accepted))
        } else if value > self.max {
            Err(invalid(name, format!("{value} is too large"), self.accepted))
        } else {
            Ok(())
        }
    }
}

impl Times {
    fn check(&self, name: &'static str, value: Duration) -> Result<(), ConfigError> {
        if value < Duration::from_millis(1) {
            Err(invalid(name, format!("{value:?} is too short"), self.accepted))
        } else if value > Duration::from_secs(self.max_seconds) {
            Err(invalid(name, format!("{value:?} is too long"), self.accepted))
        } else {
            Ok(())
        }
    }
}

/// An error in a setting that has a value.
pub(crate) fn invalid(name: &'static str, problem: String, accepted: &'static str) -> ConfigError {
    ConfigError::Value { name: Cow::Borrowed(name), problem, accepted }
}

/// Checks the prefix of the shared tier's keys.
pub(crate) fn namespace(name: &'static str, value: &str) -> Result<(), ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
    if let Some(bad) = value.chars().find(|c| !u8::try_from(*c).is_ok_and(allowed)) {
        return Err(invalid(name, format!("{bad:?} isn't allowed in it"), NAMESPACE));
    }
    match value.len() {
        0 => Err(invalid(name, "empty".to_owned(), NAMESPACE)),
        1..=64 => Ok(()),
        long => Err(invalid(name, format!("{long} bytes long"), NAMESPACE)),
    }
}

/// Checks a text that becomes part of every key.
pub(super) fn key_part(name: &'static str, value: &str) -> Result<(), ConfigError> {
    match value.len() {
        0..=256 => Ok(()),
        long => Err(invalid(name, format!("{long} bytes long"), KEY_PART)),
    }
}

/// Whether this build can use a Redis at all.
pub(super) fn redis_feature(name: &'static str) -> Result<(), ConfigError> {
    if cfg!(feature = "redis") {
        Ok(())
    } else {
        Err(ConfigError::Feature { name: Cow::Borrowed(name), feature: "redis" })
    }
}

/// Whether this build can speak TLS.
fn tls_feature(name: &'static str) -> Result<(), ConfigError> {
    if cfg!(feature = "tls") {
        Ok(())
    } else {
        Err(ConfigError::Feature { name: Cow::Borrowed(name), feature: "tls" })
    }
}

/// Checks a Redis URL.
pub(super) fn redis_url(name: &'static str, value: &str) -> Result<(), ConfigError> {
    if url::asks_for_tls(value) {
        tls_feature(name)?;
    }
    url::check(value).map_err(|problem| invalid(name, problem, url::ACCEPTED))
}

/// Checks the cache's name in `Cache-Status`: a Token of [RFC 8941 §3.3.4], so that it needs no quotes.
///
/// [RFC 8941 §3.3.4]: https://www.rfc-editor.org/rfc/rfc8941#section-3.3.4
fn cache_status(name: &'static str, value: &str) -> Result<(), ConfigError> {
    let letter_first = value.starts_with(|c: char| c.is_ascii_alphabetic());
    let token = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'/') || b"!#$%&'*+-.^_`|~".contains(&byte)
    };
    if letter_first && value.len() <= 64 && value.bytes().all(token) {
        Ok(())
    } else {
        Err(invalid(name, format!("{:?} can't stand in `Cache-Status`", brief(value)), CACHE_STATUS))
    }
}

/// Enough of a value to recognise it in an error.
pub(super) fn brief(value: &str) -> &str {
    value.char_indices().nth(40).and_then(|(end, _)| value.get(..end)).unwrap_or(value)
}
