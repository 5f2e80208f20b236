//! The configuration, checked before anything connects.

use std::borrow::Cow;
use std::time::Duration;

use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::{ConnectionInfo, IntoConnectionInfo as _};
use socket2::TcpKeepalive;

use crate::config::RedisConfig;
use crate::error::ConfigError;

/// Lanes that may be asked for. Far above what helps; it keeps a mistyped number from taking the memory.
const MOST_LANES: usize = 1024;

/// A connection without traffic is probed by the system after this time, and then as often.
const KEEPALIVE: Duration = Duration::from_secs(30);

const URL: &str = "REDIS_URL (redis.url)";
const URL_FORM: &str = "redis://[user:password@]host[:port][/db] or redis+unix:///path";

/// What the lanes need to know. Holds credentials, so it has no `Debug`.
pub(super) struct Settings {
    /// Where the server is, and who we are.
    pub(super) server: ConnectionInfo,
    /// Lanes at most.
    pub(super) max_lanes: usize,
    /// Time for a connect, with the greeting.
    pub(super) connect_timeout: Duration,
}

impl Settings {
    /// Checks every field of `config`.
    pub(super) fn new(config: &RedisConfig) -> Result<Self, ConfigError> {
        if !(1..=MOST_LANES).contains(&config.max_connections) {
            return Err(value(
                "REDIS_MAX_CONNECTIONS (redis.max_connections)",
                format!("{} is out of range", config.max_connections),
                "a number from 1 to 1024",
            ));
        }
        for (name, time) in [
            ("REDIS_CONNECT_TIMEOUT (redis.connect_timeout)", config.connect_timeout),
            ("redis.lookup_timeout", config.lookup_timeout),
            ("redis.write_timeout", config.write_timeout),
        ] {
            if time.is_zero() {
                return Err(value(name, "no time at all".to_owned(), "a number of seconds above 0"));
            }
        }
        for (name, bound) in
            [("redis.queue_entries", config.queue_entries), ("redis.queue_bytes", config.queue_bytes)]
        {
            if bound == 0 {
                return Err(value(name, "0 would drop every write".to_owned(), "a number of at least 1"));
            }
        }
        Ok(Self {
            server: server(config)?,
            max_lanes: config.max_connections,
            connect_timeout: config.connect_timeout,
        })
    }
}

/// The server that the URL names. redis-rs's own texts say what is wrong with a URL without quoting it;
/// what it adds behind them isn't shown.
fn server(config: &RedisConfig) -> Result<ConnectionInfo, ConfigError> {
    let scheme = config.url.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
    if matches!(scheme.as_str(), "rediss" | "valkeys") {
        return Err(ConfigError::Feature { name: Cow::Borrowed(URL), feature: "tls" });
    }
    let info = config.url.as_str().into_connection_info().map_err(|error| {
        let text = error.to_string();
        let problem = text.split(" - ").next().unwrap_or_default();
        value(URL, problem.to_owned(), URL_FORM)
    })?;
    if info.redis_settings().db() < 0 {
        return Err(value(URL, "Invalid database number".to_owned(), URL_FORM));
    }
    let mut tcp = TcpSettings::default().set_nodelay(true);
    if config.keepalive {
        tcp = tcp.set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE));
    }
    Ok(info.set_tcp_settings(tcp))
}

/// A namespace is part of every key's name: short, and free of what `redis-cli`, logs and ACL patterns read otherwise.
pub(super) fn check_namespace(namespace: &str) -> Result<(), ConfigError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    let problem = if namespace.is_empty() {
        "is empty"
    } else if namespace.len() > 64 {
        "is longer than 64 bytes"
    } else if !namespace.bytes().all(fits) {
        "has a character that isn't accepted"
    } else {
        return Ok(());
    };
    Err(value("CACHE_NAMESPACE (namespace)", problem.to_owned(), "1 to 64 of A-Z a-z 0-9 _ . : -"))
}

fn value(name: &'static str, problem: String, accepted: &'static str) -> ConfigError {
    ConfigError::Value { name: Cow::Borrowed(name), problem, accepted }
}
