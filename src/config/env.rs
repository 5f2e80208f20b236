//! The environment as a source of settings.

use std::ffi::OsString;
use std::time::Duration;

use super::validate::{self, Times, Whole, brief, invalid};
use super::{CacheConfig, RedisConfig};
use crate::error::ConfigError;

const BOOLEAN: &str = "true, false, 1, 0, yes, no, on or off";
const TEXT: &str = "UTF-8 text";

impl CacheConfig {
    /// Settings from the process's environment; what isn't set there has its default.
    ///
    /// | variable | default | meaning |
    /// |---|---|---|
    /// | `ENABLE_CACHE` | `true` | `false`: the layer is a pass-through |
    /// | `REDIS_URL` | unset | a URL as in [`RedisConfig::url`]; unset or empty: memory only |
    /// | `USE_LRU_CACHE` | `false` | `true`: memory only even if `REDIS_URL` is set |
    /// | `LRU_CACHE_SIZE` | `256` | memory tier, entries |
    /// | `CACHE_TTL` | `3600` | default freshness lifetime, seconds |
    /// | `REDIS_MAX_CONNECTIONS` | `10` | lanes at most, to each node of a Cluster |
    /// | `REDIS_CONNECT_TIMEOUT` | `5` | seconds |
    /// | `REDIS_KEEPALIVE` | `true` | TCP keepalive |
    /// | `CACHE_NAMESPACE` | `tqc` | prefix of every Redis key |
    /// | `CACHE_APP` | the executable's name | key part: two applications on one Redis never meet |
    /// | `CACHE_GENERATION` | empty | key part: a build id, so that a deploy that changes answers starts fresh |
    ///
    /// Booleans are `true`, `false`, `1`, `0`, `yes`, `no`, `on` or `off`, in any case; numbers are digits alone. A
    /// variable that is set but empty is an error, save `REDIS_URL` and `CACHE_GENERATION`, of which an empty one means none.
    ///
    /// # Errors
    ///
    /// The first variable whose value isn't accepted, with its name and what would be accepted, also if another
    /// variable makes it irrelevant: nothing is silently replaced by a default. `REDIS_URL` is never part of the text.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// The same from any source of variables.
    pub(crate) fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let env = Environment { lookup };
        let mut config = Self::default();
        let mut redis = RedisConfig::default();

        set(&mut config.enabled, env.boolean("ENABLE_CACHE")?);
        let url = env.redis_url("REDIS_URL")?;
        let memory_only = env.boolean("USE_LRU_CACHE")?.unwrap_or(false);
        set(&mut config.memory.max_entries, env.count("LRU_CACHE_SIZE", &validate::MAX_ENTRIES)?);
        set(&mut config.ttl, env.seconds("CACHE_TTL", &validate::TTL)?);
        set(&mut redis.max_connections, env.count("REDIS_MAX_CONNECTIONS", &validate::MAX_CONNECTIONS)?);
        set(&mut redis.connect_timeout, env.seconds("REDIS_CONNECT_TIMEOUT", &validate::CONNECT_TIMEOUT)?);
        set(&mut redis.keepalive, env.boolean("REDIS_KEEPALIVE")?);
        set(&mut config.namespace, env.text("CACHE_NAMESPACE", validate::namespace)?);
        set(&mut config.app, env.text("CACHE_APP", validate::key_part)?);
        set(&mut config.generation, env.generation("CACHE_GENERATION")?);

        config.redis = url.filter(|_| !memory_only).map(|url| RedisConfig { url, ..redis });
        if config.redis.is_some() {
            validate::redis_feature("REDIS_URL")?;
        }
        config.validate()?;
        Ok(config)
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Reads variables. `None` is an unset one.
struct Environment<F> {
    lookup: F,
}

impl<F: Fn(&str) -> Option<OsString>> Environment<F> {
    /// A variable that may be anything but empty.
    fn value(&self, name: &'static str, accepted: &'static str) -> Result<Option<String>, ConfigError> {
        let value = self.utf8(name, accepted)?;
        if value.as_deref() == Some("") {
            return Err(invalid(name, "empty".to_owned(), accepted));
        }
        Ok(value)
    }

    fn utf8(&self, name: &'static str, accepted: &'static str) -> Result<Option<String>, ConfigError> {
        (self.lookup)(name)
            .map(|value| value.into_string().map_err(|_| invalid(name, "not UTF-8".to_owned(), accepted)))
            .transpose()
    }

    fn boolean(&self, name: &'static str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.value(name, BOOLEAN)? else { return Ok(None) };
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" => Ok(Some(false)),
            _ => Err(invalid(name, format!("{:?} is neither true nor false", brief(&value)), BOOLEAN)),
        }
    }

    fn whole(&self, name: &'static str, range: &Whole) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.value(name, range.accepted)? else { return Ok(None) };
        // `parse` alone would take a leading `+`.
        if !value.bytes().all(|byte| byte.is_ascii_digit()) {
            let problem = format!("{:?} isn't a whole number", brief(&value));
            return Err(invalid(name, problem, range.accepted));
        }
        let number = value
            .parse()
            .map_err(|_| invalid(name, format!("{} is too large", brief(&value)), range.accepted))?;
        range.check_u64(name, number)?;
        Ok(Some(number))
    }

    fn count(&self, name: &'static str, range: &Whole) -> Result<Option<usize>, ConfigError> {
        // The ranges of counts end far below what `usize` holds anywhere.
        Ok(self.whole(name, range)?.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
    }

    fn seconds(&self, name: &'static str, range: &Times) -> Result<Option<Duration>, ConfigError> {
        Ok(self.whole(name, &range.whole)?.map(Duration::from_secs))
    }

    fn text(
        &self,
        name: &'static str,
        check: impl Fn(&'static str, &str) -> Result<(), ConfigError>,
    ) -> Result<Option<String>, ConfigError> {
        let value = self.value(name, TEXT)?;
        if let Some(value) = &value {
            check(name, value)?;
        }
        Ok(value)
    }

    fn generation(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let value = self.utf8(name, TEXT)?;
        if let Some(value) = &value {
            validate::key_part(name, value)?;
        }
        Ok(value)
    }

    fn redis_url(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let value = self.utf8(name, super::url::ACCEPTED)?.filter(|value| !value.is_empty());
        if let Some(value) = &value {
            validate::redis_url(name, value)?;
        }
        Ok(value)
    }
}
