//! The servers that a Redis URL names: one, the nodes of a Cluster, or sentinels and the master that they watch.
//!
//! Lists have no standard. Hosts by comma in the authority is what URLs of PostgreSQL, MongoDB and lettuce do; the
//! master's name as the path is from `redis-sentinel-url`. Whole URLs by comma name a Cluster too, as the lists that
//! redis-rs and deadpool-redis take.

use deadpool_redis::redis::ConnectionInfo;

use super::url::connection_info;

/// Hosts in a list at most.
const MAX_HOSTS: usize = 100;

/// Where a sentinel listens unless the URL says so.
const SENTINEL_PORT: u16 = 26379;

/// Where the servers are, and who we are to them. Holds credentials, so it has no `Debug`.
pub(crate) enum Servers {
    One(ConnectionInfo),
    /// Nodes to ask for all others.
    Cluster(Vec<ConnectionInfo>),
    Sentinels {
        sentinels: Vec<ConnectionInfo>,
        /// The name of what they watch.
        master: String,
        /// The data nodes, but for their address.
        server: ConnectionInfo,
    },
}

/// A URL with a list of hosts, in parts, all of them as they were written.
struct List<'a> {
    /// With the `@`, or empty.
    credentials: &'a str,
    hosts: Vec<&'a str>,
    /// Without the first `/`.
    path: &'a str,
    query: &'a str,
}

/// The servers of a URL.
///
/// # Errors
///
/// What is wrong with it, in words that show nothing of it but the scheme.
pub(super) fn parse(url: &str) -> Result<Servers, String> {
    let (scheme, rest) = url.split_once("://").ok_or("isn't a URL")?;
    let tls = if scheme.starts_with("rediss") { "rediss" } else { "redis" };
    let pieces: Vec<&str> = rest.split(&format!(",{scheme}://")).collect();
    match (scheme.split_once('-'), pieces.as_slice()) {
        (Some((_, "cluster")), pieces) => cluster(tls, pieces),
        (Some((_, "sentinel")), [piece]) => sentinels(tls, piece),
        (Some((_, "sentinel")), _) => Err("several URLs of sentinels: name all hosts in one".to_owned()),
        (None, [_]) => connection_info(url).map(Servers::One),
        (None, _) if scheme.contains("unix") => Err("a list of Unix sockets".to_owned()),
        (None, pieces) => cluster(tls, pieces),
        _ => Err("isn't a URL".to_owned()),
    }
}

fn cluster(scheme: &str, pieces: &[&str]) -> Result<Servers, String> {
    let mut nodes: Vec<ConnectionInfo> = Vec::new();
    for piece in pieces {
        let List { credentials, hosts, path, query } = List::of(piece)?;
        if !matches!(path, "" | "0") {
            return Err("a database number, or another path: a Cluster has no database numbers".to_owned());
        }
        for host in hosts {
            nodes.push(connection_info(&format!("{scheme}://{credentials}{host}?{query}"))?);
        }
    }
    if nodes.len() > MAX_HOSTS {
        return Err(format!("more than {MAX_HOSTS} hosts; a Cluster's nodes tell of each other"));
    }
    let who = |node: &ConnectionInfo| {
        let settings = node.redis_settings();
        let text = |text: Option<&str>| text.map(str::to_owned);
        (text(settings.username()), text(settings.password()), settings.protocol())
    };
    if let Some(first) = nodes.first().map(who)
        && nodes.iter().any(|node| who(node) != first)
    {
        return Err("users, passwords or protocols that differ: they are for all nodes".to_owned());
    }
    Ok(Servers::Cluster(nodes))
}

fn sentinels(scheme: &str, rest: &str) -> Result<Servers, String> {
    let List { credentials, hosts, path, query } = List::of(rest)?;
    let (master, db) = path.split_once('/').unwrap_or((path, ""));
    // What a sentinel's own configuration allows.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    match master.len() {
        0 => return Err("no master's name behind the sentinels, as in `/mymaster`".to_owned()),
        1..=256 if master.bytes().all(allowed) => {}
        _ => return Err("a master's name is of A-Z, a-z, 0-9, `.`, `-` and `_`".to_owned()),
    }
    if hosts.len() > MAX_HOSTS {
        return Err(format!("more than {MAX_HOSTS} hosts"));
    }
    let (mut user, mut password, mut tls, mut others) = (None, None, scheme == "rediss", Vec::new());
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("sentinel_user", value)) => user = Some(escaped(value)),
            Some(("sentinel_password", value)) => password = Some(escaped(value)),
            Some(("sentinel_tls", value)) => {
                tls = match value {
                    "true" if scheme == "rediss" => true,
                    "true" => return Err("`sentinel_tls=true` is for `rediss-sentinel` URLs".to_owned()),
                    "false" => false,
                    _ => return Err("`sentinel_tls` is neither `true` nor `false`".to_owned()),
                }
            }
            _ if parameter.starts_with("sentinel") => {
                return Err("a parameter of sentinels other than `sentinel_user`, `sentinel_password` and \
                            `sentinel_tls`"
                    .to_owned());
            }
            _ => others.push(parameter),
        }
    }
    let own = match (user, password) {
        (None, None) => String::new(),
        (Some(_), None) => return Err("`sentinel_user` without `sentinel_password`".to_owned()),
        (user, Some(password)) => format!("{}:{password}@", user.unwrap_or_default()),
    };
    let sentinel = |host: &&str| {
        let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
        let port = if has_port { String::new() } else { format!(":{SENTINEL_PORT}") };
        connection_info(&format!("{}://{own}{host}{port}", if tls { "rediss" } else { "redis" }))
    };
    let sentinels = hosts.iter().map(sentinel).collect::<Result<Vec<_>, _>>()?;
    let first = hosts.first().copied().unwrap_or_default();
    let server = connection_info(&format!("{scheme}://{credentials}{first}/{db}?{}", others.join("&")))?;
    Ok(Servers::Sentinels { sentinels, master: master.to_owned(), server })
}

impl<'a> List<'a> {
    fn of(rest: &'a str) -> Result<Self, String> {
        if rest.contains('#') {
            return Err("a `#`, which must be written `%23`".to_owned());
        }
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = before.split_once('/').unwrap_or((before, ""));
        let end = authority.rfind('@').map_or(0, |at| at + 1);
        let (credentials, hosts) = authority.split_at(end);
        if credentials.matches('@').count() > 1 || credentials.contains(',') {
            return Err(
                "an `@` or `,` too many: user and password stand before the first host alone, and have \
                        `%40` and `%2C` for their own"
                    .to_owned(),
            );
        }
        let hosts: Vec<&str> = hosts.split(',').collect();
        if hosts.iter().any(|host| host.is_empty()) {
            return Err("an empty host".to_owned());
        }
        Ok(Self { credentials, hosts, path, query })
    }
}

/// A value of the query as it may stand in an authority.
fn escaped(value: &str) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%') {
            text.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            write!(text, "%{byte:02X}").ok();
        }
    }
    text
}
