//! The shared tier: a Redis that many processes read and write, over a few connections that many requests share.
//!
//! Why lanes and not a checkout per request: redis-rs's connection is multiplexed, so that an exclusive checkout
//! wastes it, and one round trip in flight per connection leaves both ends waiting for system calls. Requests that
//! share a *lane* go out in one write and come back in one read.
//!
//! ```text
//! settings   what the lanes need to know of the configuration
//! nodes      the servers: which of them has a key
//! sentinel   who is the master, where sentinels know
//! cluster    which node has a slot; lanes for each
//! tls        the files for TLS, and its errors in our words
//! manager    deadpool's Manager: makes a lane, probes it before it is used again
//! lane       one connection, and what is known of its health
//! keeper     a place for a lane, and the task that connects, watches, retires and reconnects
//! lanes      slots by role; the pick, growth
//! crowd      whether all lanes have been full for long
//! probe      the one command while the circuit breaker is open
//! trouble    the text of the last failure, and refusals, each logged once an episode
//! lease      who fills a key, among all processes
//! wake       a subscription of its own, by which they hear that a lease was given back
//! eviction   whether the server would evict the journal, said once
//! identity   which server a connection leads to, and which one may be used
//! journal    the stream of purges, over the lanes and on connections of its own
//! figures    what servers tell of themselves, for the stats
//! failure    redis-rs's errors in our words, which hold no credentials
//! ```

mod cluster;
mod crowd;
mod failure;
mod identity;
mod journal;
mod eviction;
mod figures;
mod keeper;
mod lane;
mod lanes;
mod lease;
mod manager;
mod nodes;
mod probe;
mod sentinel;
mod settings;
#[cfg(feature = "tls")]
mod tls;
mod trouble;
mod wake;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use deadpool_redis::redis::{Cmd, Pipeline, Value};
use tokio::runtime::Handle;
use tokio::sync::watch;

use self::journal::RedisJournal;
use self::lane::accepted;
use self::lease::Returns;
use self::nodes::{Nodes, Role};
use self::settings::Settings;
use self::trouble::Refusals;
use self::wake::Wake;
use crate::clock::millis;
use crate::config::{RedisConfig, check_namespace};
use crate::entry;
use crate::error::ConfigError;
use crate::key::Key;
use crate::store::{Journal, Leases, PoolStatus, Store, StoreError, StoreFuture, StoreStatus};

/// Longest life that is asked for, milliseconds: ten years. Redis refuses expiries beyond its own clock's range.
const LONGEST_LIFE: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// A shared tier in Redis, over a pool of lanes: connections that many requests share.
///
/// Keys are named `{namespace}:v1:e:{digest}`, by the version of the entries' format and with the digest in base64url without
/// padding; the [probe](Store::probe) reads `{namespace}:v1:probe`, which nobody sets. The commands used are `GET`, `SET … PX`,
/// `UNLINK`, `PING`, `DBSIZE` and `INFO`, and when connecting, if the URL asks for it, `AUTH` or `HELLO`,
/// and `SELECT`; over TLS `CLIENT SETINFO` where it asks for none of them.
///
/// Its [leases](Store::leases) stand under the entry's name in braces with `:l` behind, so that in a Cluster both have one
/// slot. For them it uses `SET … NX PX`, `GETRANGE`, `EVAL`, `DELEX` or `DELIFEQ` where the server has them, `PUBLISH`, and
/// on one connection more than the pool's, from the first wait on, `SUBSCRIBE` to the channel `{namespace}:v1:w`.
///
/// Its [journal](Store::journal) is the stream `{{namespace}:v1:j}`, the outer braces being part of the name, with the head
/// under that name and `:h`. For it it uses `MULTI`, `EXEC`, `XADD`, `XRANGE`, and `XREAD` with `BLOCK` on one more connection
/// a tail. A server is known by its `run_id` and `master_replid` of `INFO`; one that tells neither can't be told from others.
///
/// With sentinels it goes to the master they name, and adds `SENTINEL GET-MASTER-ADDR-BY-NAME` to them and `ROLE` to it. In
/// a Cluster each master has lanes of its own; `CLUSTER SLOTS` and, while slots move, `ASKING` are added.
///
/// No call waits for a connection to be made, but a `set` while the very first ones are under way. Connections are made,
/// watched and replaced by tasks of their own, which end when the store is dropped. All methods need a tokio runtime
/// with time and I/O enabled; outside one they answer [`StoreError::Unavailable`].
pub struct RedisStore {
    nodes: Nodes,
    /// `{namespace}:v1:e:`
    prefix: String,
    /// `{namespace}:v1:probe`, a key that nobody sets.
    probe_name: String,
    probe_timeout: Duration,
    lookup_timeout: Duration,
    write_timeout: Duration,
    refusals: Refusals,
    returns: Returns,
    wake: Arc<Wake>,
    journal: RedisJournal,
    /// The keepers, and whoever listens for leases, end when this is dropped.
    _open: watch::Sender<()>,
}

impl RedisStore {
    /// A store that connects when it is first used, or by [`Store::ready`]. `namespace` starts every key's name.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the field if a URL, count, time, file or the namespace can't be used; the bounds are those of
    /// [`CacheConfig::validate`](crate::CacheConfig::validate).
    pub fn new(config: &RedisConfig, namespace: &str) -> Result<Self, ConfigError> {
        check_namespace("namespace", namespace)?;
        let (settings, seeds) = Settings::new(config)?;
        let (open, closed) = watch::channel(());
        let nodes = Nodes::new(settings, seeds, config.lookup_timeout, closed.clone())?;
        Ok(Self {
            journal: RedisJournal::new(nodes.clone(), config, namespace),
            returns: Returns::new(nodes.clone(), config.write_timeout),
            wake: Arc::new(Wake::new(nodes.clone(), config.connect_timeout, namespace, closed)),
            nodes,
            prefix: format!("{namespace}:v{}:e:", entry::VERSION),
            probe_name: format!("{namespace}:v1:probe"),
            probe_timeout: config.probe_timeout(),
            lookup_timeout: config.lookup_timeout,
            write_timeout: config.write_timeout,
            refusals: Refusals::default(),
            _open: open,
        })
    }

    /// The name of `key` in Redis.
    fn name(&self, key: &Key) -> String {
        let mut name = String::with_capacity(self.prefix.len() + 43);
        name.push_str(&self.prefix);
        URL_SAFE_NO_PAD.encode_string(key.as_bytes(), &mut name);
        name
    }

    /// Sends a write of about `size` bytes for the key `name`, the reply of which says nothing but that it was done.
    async fn write(&self, name: &str, command: Cmd, size: usize) -> Result<(), StoreError> {
        let mut commands = Pipeline::with_capacity(1);
        commands.add_command(command);
        let done = within(self.write_timeout, async {
            let replies = self.nodes.run(name, &commands, Role::Write(size)).await?;
            replies.into_iter().try_for_each(|reply| accepted(reply).map(drop))
        })
        .await;
        self.refusals.note(&done);
        done
    }
}

impl Store for RedisStore {
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let name = self.name(key);
            let mut command = Cmd::with_capacity(2, 3 + name.len());
            command.arg("GET").arg(&name);
            let found = within(self.lookup_timeout, self.nodes.look_up(&name, &command)).await;
            self.refusals.note(&found);
            match found? {
                Value::BulkString(value) => Ok(Some(Bytes::from(value))),
                Value::Nil => Ok(None),
                _ => Err(StoreError::Server("GET was answered with another type".to_owned())),
            }
        })
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let life = millis(life).clamp(1, LONGEST_LIFE);
            let mut command = Cmd::with_capacity(5, value.len() + 128);
            let name = self.name(key);
            command.arg("SET").arg(&name).arg(value.as_ref()).arg("PX").arg(life);
            let size = value.len();
            drop(value);
            self.write(&name, command, size).await
        })
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut command = Cmd::new();
            let name = self.name(key);
            command.arg("UNLINK").arg(&name);
            self.write(&name, command, 0).await
        })
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            Handle::try_current().map_err(|_| StoreError::Unavailable)?;
            self.nodes.ready().await;
            Ok(())
        })
    }

    /// A `GET` over a read lane, connected for if none is up. Any value is life, and so is none. In a Cluster one node's
    /// answer will do.
    fn probe(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut command = Cmd::new();
            command.arg("GET").arg(&self.probe_name);
            within(self.probe_timeout, self.nodes.probe(&command, self.lookup_timeout)).await
        })
    }

    fn suspend(&self, suspended: bool) {
        self.nodes.suspend(suspended);
        self.wake.suspend(suspended);
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    fn journal(&self) -> Option<&dyn Journal> {
        Some(&self.journal)
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        Box::pin(async move {
            let mut questions = Pipeline::new();
            questions.cmd("DBSIZE").cmd("INFO").arg("memory").cmd("INFO").arg("server");
            let answers = within(self.write_timeout, self.nodes.ask_all(&questions)).await?;
            let mut status = figures::of_all(answers);
            status.keys = status.keys.map(|keys| keys.saturating_sub(self.journal.keys()));
            Ok(status)
        })
    }

    fn pool(&self) -> PoolStatus {
        self.nodes.pool()
    }

    fn last_error(&self) -> Option<String> {
        self.nodes.last_error()
    }

    fn answers_in_part(&self) -> bool {
        self.nodes.answers_in_part()
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .field("lookup_timeout", &self.lookup_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("pool", &self.pool())
            .finish_non_exhaustive()
    }
}

/// `work`, at most for `limit`. A timer needs a runtime, and no lane can be up without one.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    Handle::try_current().map_err(|_| StoreError::Unavailable)?;
    tokio::time::timeout(limit, work).await.unwrap_or(Err(StoreError::Timeout))
}

#[cfg(test)]
mod tests;
