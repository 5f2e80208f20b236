//! What the lanes need to know of a checked configuration.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::{ConnectionAddr, ConnectionInfo, ProtocolVersion};
use socket2::TcpKeepalive;

use super::sentinel::Sentinels;
use crate::config::{RedisConfig, Servers};
use crate::error::ConfigError;

/// A connection without traffic is probed by the system after this time, and then as often.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What the lanes to a server need to know. Holds credentials, so it has no `Debug`.
#[derive(Clone)]
pub(super) struct Settings {
    /// Where the server is, and who we are. With sentinels the address is theirs to tell.
    pub(super) server: ConnectionInfo,
    /// Who tells where the server is.
    pub(super) sentinels: Option<Arc<Sentinels>>,
    /// Lanes at most.
    pub(super) max_lanes: usize,
    /// Time for a connect, with the greeting.
    pub(super) connect_timeout: Duration,
}

/// A server by host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
}

impl Settings {
    /// Settings from a `config` whose every field is inside its bounds; and if the servers are a Cluster, the nodes to
    /// ask first.
    pub(super) fn new(config: &RedisConfig) -> Result<(Self, Option<Vec<Address>>), ConfigError> {
        config.validate()?;
        let connect_timeout = config.connect_timeout;
        let (server, sentinels, seeds) = match config.servers()? {
            Servers::One(server) => (prepare(server, config)?, None, None),
            Servers::Sentinels { sentinels, master, server } => {
                let addresses: Vec<_> = sentinels.iter().filter_map(|one| Address::of(one.addr())).collect();
                let first = prepare(sentinels.into_iter().next().ok_or_else(no_server)?, config)?;
                let sentinels = addresses.iter().map(|address| at(&first, address)).collect();
                let sentinels = Sentinels::new(sentinels, master, connect_timeout);
                (prepare(server, config)?, Some(Arc::new(sentinels)), None)
            }
            Servers::Cluster(nodes) => {
                let seeds = nodes.iter().filter_map(|node| Address::of(node.addr())).collect();
                let first = nodes.into_iter().next().ok_or_else(no_server)?;
                (prepare(first, config)?, None, Some(seeds))
            }
        };
        Ok((Self { server, sentinels, max_lanes: config.max_connections, connect_timeout }, seeds))
    }

    /// The same for another server.
    pub(super) fn at(&self, address: &Address) -> Self {
        Self { server: at(&self.server, address), ..self.clone() }
    }
}

/// The same connection to another server.
pub(super) fn at(server: &ConnectionInfo, address: &Address) -> ConnectionInfo {
    let (host, port) = (address.host.to_string(), address.port);
    server.clone().set_addr(match server.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    })
}

fn prepare(server: ConnectionInfo, config: &RedisConfig) -> Result<ConnectionInfo, ConfigError> {
    let mut tcp = TcpSettings::default().set_nodelay(true);
    if config.keepalive {
        tcp = tcp.set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE));
    }
    let mut server = server.set_tcp_settings(tcp);
    if !needs_greeting(&server) {
        // It would be denied to the user of the docs, with a line in `ACL LOG` for each connection.
        let quiet = server.redis_settings().clone().set_skip_set_lib_name();
        server = server.set_redis_settings(quiet);
    }
    #[cfg(feature = "tls")]
    let server = super::tls::prepare(server, config)?;
    Ok(server)
}

/// Whether redis-rs's `CLIENT SETINFO` must be the first command, since nothing else is: while it connects, and not later, redis-rs
/// tells why a server of TLS 1.3 ends a connection, which that does behind the handshake.
fn needs_greeting(server: &ConnectionInfo) -> bool {
    let greeting = server.redis_settings();
    matches!(server.addr(), ConnectionAddr::TcpTls { .. })
        && greeting.password().is_none()
        && greeting.db() == 0
        && greeting.protocol() == ProtocolVersion::RESP2
}

fn no_server() -> ConfigError {
    super::lanes::unusable("names no server".to_owned())
}

impl Address {
    /// Of a socket that isn't one of the file system.
    pub(super) fn of(address: &ConnectionAddr) -> Option<Self> {
        match address {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Some(Self { host: host.as_str().into(), port: *port })
            }
            _ => None,
        }
    }

    /// What a server tells of another; `None` if that can't be connected to.
    pub(super) fn told(host: &str, port: u16) -> Option<Self> {
        let shown = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'@' | b'?' | b'#');
        // A `?` alone is a Cluster's word for a host that it doesn't know.
        let usable = (1..=255).contains(&host.len()) && host.bytes().all(shown) && port > 0;
        usable.then(|| Self { host: host.into(), port })
    }
}
