//! What the lanes need to know of a checked configuration.

use std::time::Duration;

use deadpool_redis::redis::ConnectionInfo;
use deadpool_redis::redis::io::tcp::TcpSettings;
use socket2::TcpKeepalive;

use crate::config::RedisConfig;
use crate::error::ConfigError;

/// A connection without traffic is probed by the system after this time, and then as often.
const KEEPALIVE: Duration = Duration::from_secs(30);

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
    /// Settings from a `config` whose every field is inside its bounds.
    pub(super) fn new(config: &RedisConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut tcp = TcpSettings::default().set_nodelay(true);
        if config.keepalive {
            tcp = tcp.set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE));
        }
        let server = config.connection_info()?.set_tcp_settings(tcp);
        #[cfg(feature = "tls")]
        let server = super::tls::prepare(server, config)?;
        Ok(Self { server, max_lanes: config.max_connections, connect_timeout: config.connect_timeout })
    }
}
