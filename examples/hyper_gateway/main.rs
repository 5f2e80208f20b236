//! A caching reverse proxy: HTTP/1.1 in front, the layer, and one HTTP/1.1 upstream behind it.
//!
//! ```text
//! UPSTREAM=http://127.0.0.1:8000 ADDR=127.0.0.1:9110 cargo run --release --example hyper_gateway
//! curl -i http://127.0.0.1:9110/
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `UPSTREAM` | none | the server behind the gateway: `http://`, a host, a port |
//! | `ADDR` | `127.0.0.1:9110` | where to listen |
//! | `UPSTREAM_TIMEOUT` | 60 | seconds that the upstream may take for a head, and either side for each part of a body |
//! | `CLIENT_TIMEOUT` | 30 | seconds that a client may take for its next request's head, and for reading on |
//! | `LOOKUP_TIMEOUT` | 50 | milliseconds that a lookup in Redis may take; what takes longer is a miss |
//!
//! and those of [`CacheConfig::from_env`]; but memory holds 65,536 responses and 256 MiB unless `LRU_CACHE_SIZE` is given, for
//! each outlives its freshness by an hour, and bodies up to 8 MB are stored. A head may take up to five times the time, and an
//! hour at most, while the upstream sends 1xx responses before it.
//!
//! It serves 4,096 clients at a time and sends 1,024 refreshes that no client waits for, which takes some 9,400 file
//! descriptors. Where `ulimit -n` allows fewer, both are bounded so that they suffice: 1,024 are enough for 400 clients and
//! 128 refreshes. Clients over it wait to be accepted, and refreshes over it are left out.
//!
//! A request goes through the modules in this order:
//!
//! | module | what it does |
//! |---|---|
//! | `bounds` | how many clients and refreshes the process has file descriptors for |
//! | `server` | accepts connections, and ends them in order |
//! | `client_stream` | a client's connection, which writes 1xx responses between hyper's bytes |
//! | `busy` | whether it has a request in progress |
//! | `informational` | what 1xx responses the upstream has sent, and for whom |
//! | `request` | checks a request; from here on its target is a path and its `Host` is right |
//! | the cache | sees every field of the request and of the response, the hop-by-hop ones too |
//! | `upstream` | sends what the cache doesn't answer, with hop-by-hop fields removed |
//! | `pool` | connections to the upstream; a request goes out once |
//! | `upstream_stream` | one of them, which can be asked whether it is still open |
//! | `upload`, `body` | the bodies of both ways, which must move on |
//! | `response` | removes the hop-by-hop fields of what comes back, and tells of errors |
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

mod bounds;
mod server;
mod busy;
mod client_stream;
mod informational;
mod request;
mod fields;
mod upstream;
mod upload;
mod pool;
mod upstream_stream;
mod body;
mod error;
mod response;

use std::env::VarError;
use std::error::Error;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use http::Method;
use tokio::net::TcpListener;
use tower_layer::Layer as _;
use tower_query_cache::{BodyKey, CacheConfig, Policy, QueryCache};

use self::bounds::Bounds;
use self::pool::longest;
use self::server::Server;
use self::upstream::{Address, Upstream};

/// Responses in memory, unless `LRU_CACHE_SIZE` says otherwise.
const MAX_ENTRIES: usize = 65_536;
/// Their bytes.
const MAX_BYTES: u64 = 256 << 20;
/// Bytes of the largest body that is stored. With its fields it must fit into a shard of memory, which has 8 MiB.
const MAX_BODY: usize = 8_000_000;
/// How long the cache waits for a response at the most: it takes no longer time.
const MAX_FILL: Duration = Duration::from_secs(3600);
/// How long Redis is waited for at the start.
const CONNECT: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hyper_gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let upstream = std::env::var("UPSTREAM").map_err(|_| "UPSTREAM: give it, as in http://127.0.0.1:8000")?;
    let upstream = upstream.parse::<Address>().map_err(|error| format!("UPSTREAM: {error}"))?;
    let upstream_patience = Duration::from_secs(number("UPSTREAM_TIMEOUT", "seconds")?.unwrap_or(60).into());
    let client_patience = Duration::from_secs(number("CLIENT_TIMEOUT", "seconds")?.unwrap_or(30).into());
    let lookup_timeout = number("LOOKUP_TIMEOUT", "milliseconds")?;
    let mut config = CacheConfig::from_env()?;
    if std::env::var_os("LRU_CACHE_SIZE").is_none() {
        // A gateway has many resources, each of which outlives its freshness.
        config.memory.max_entries = MAX_ENTRIES;
        config.memory.max_bytes = MAX_BYTES;
    }
    if let (Some(redis), Some(milliseconds)) = (&mut config.redis, lookup_timeout) {
        redis.lookup_timeout = Duration::from_millis(milliseconds.into());
    }
    let bounds = Bounds::of_process();
    config.limits.max_orphan_fills = bounds.refreshes;
    // The cache waits as long as the upstream may take.
    let fill_timeout = &mut config.limits.fill_timeout;
    *fill_timeout = (*fill_timeout).max(longest(upstream_patience)).min(MAX_FILL);
    let cache = QueryCache::from_config(config)?;
    let address = std::env::var("ADDR").unwrap_or_else(|_| "127.0.0.1:9110".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("ADDR: can't listen on {address}: {error}"))?;
    // Until Redis is reached the cache isn't used: it may have purges to tell of.
    cache.ready(CONNECT).await;
    let mut end = pin!(tokio::signal::ctrl_c());
    // Polled once: whoever reads the address may send the signal at once.
    tokio::select! {
        biased;
        _ = &mut end => return Ok(()),
        () = std::future::ready(()) => {}
    }
    println!("listening on http://{}, tiers: {}", listener.local_addr()?, cache.tiers());

    let service = cache.layer(policy()).layer(Upstream::new(upstream.clone(), upstream_patience));
    let server = Server::new(service, upstream, bounds.clients, client_patience);
    tokio::select! {
        () = server.accept(listener) => {}
        _ = &mut end => {}
    }
    server.end().await;
    cache.shutdown().await;
    Ok(())
}

/// A number above 0 from the environment.
fn number(name: &str, unit: &str) -> Result<Option<u32>, String> {
    match std::env::var(name) {
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(format!("{name}: not UTF-8")),
        Ok(text) => match text.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(format!("{name}: {text:?} isn't a number of {unit} above 0")),
        },
    }
}

/// What RFC 9111 allows a shared cache, and QUERY by its content.
fn policy() -> Policy<BodyKey> {
    Policy::http().methods([Method::GET, Method::HEAD, Method::QUERY]).key_body(1 << 16).max_body(MAX_BODY)
}
