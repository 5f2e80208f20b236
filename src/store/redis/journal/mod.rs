//! The journal in Redis: a stream, and a string with its head beside it in the same slot.
//!
//! ```text
//! commands   what is sent, and what the replies say
//! tail       a connection of its own that waits for entries
//! ```

mod commands;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deadpool_redis::redis::{Pipeline, Value};
use tokio::runtime::Handle;

use self::commands::Commands;
use self::tail::RedisTail;
use super::eviction::Eviction;
use super::identity::Trust;
use super::lane::Lane;
use super::lanes::Lanes;
use super::nodes::Nodes;
use super::within;
use crate::config::RedisConfig;
use crate::purge::JournalId;
use crate::store::{Append, Appended, Journal, JournalEntry, StoreError, StoreFuture, Tail, guarded};

/// The journal of a [`RedisStore`](super::RedisStore).
///
/// An append is one transaction. Redis carries all of it out even if the stream's part fails, as for an id that is too small:
/// then the head names an entry that isn't there, which makes readers look closer. Without the right to `MULTI` its commands
/// stand alone, and it is an error though the entry may be there. So may it after a time-out.
pub(super) struct RedisJournal {
    nodes: Nodes,
    /// The server that has the journal, once that is known.
    trust: Trust,
    commands: Arc<Commands>,
    eviction: Eviction,
    connect_timeout: Duration,
    lookup_timeout: Duration,
    write_timeout: Duration,
}

impl RedisJournal {
    pub(super) fn new(nodes: Nodes, config: &RedisConfig, namespace: &str) -> Self {
        Self {
            nodes,
            trust: Trust::new(),
            commands: Arc::new(Commands::new(namespace)),
            eviction: Eviction::default(),
            connect_timeout: config.connect_timeout,
            lookup_timeout: config.lookup_timeout,
            write_timeout: config.write_timeout,
        }
    }

    /// The replies to a read; after a broken connection it is sent once more, on another lane. Redirects aren't followed: where
    /// the journal is now, another server has it.
    async fn look_up(&self, questions: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let asked = within(self.lookup_timeout, async {
            let lanes = self.nodes.lanes_of(self.commands.journal())?;
            match self.read_lane(&lanes)?.run_all(questions).await {
                Err(StoreError::Connection(_)) => self.read_lane(&lanes)?.run_all(questions).await,
                done => done,
            }
        });
        asked.await.inspect_err(|_| self.nodes.doubt())
    }

    fn read_lane(&self, lanes: &Arc<Lanes>) -> Result<Arc<Lane>, StoreError> {
        self.known(lanes.read().ok_or(StoreError::Unavailable)?)
    }

    /// Keys that it has in the database: the stream and the head, once it was read.
    pub(super) fn keys(&self) -> u64 {
        if self.trust.is_set() { 2 } else { 0 }
    }

    /// A refusal may be a redirect.
    fn judged<T>(&self, reply: Result<T, StoreError>) -> Result<T, StoreError> {
        reply.inspect_err(|_| self.nodes.doubt())
    }

    /// A lane to the server that has the journal, and to no other.
    fn known(&self, lane: Arc<Lane>) -> Result<Arc<Lane>, StoreError> {
        self.trust.meet(lane.server());
        if self.trust.allows(lane.server()) {
            return Ok(lane);
        }
        // One that couldn't tell whose it is may be right: the next one is asked again.
        if lane.server().is_unknown() {
            lane.dismiss();
        }
        Err(StoreError::Unavailable)
    }
}

impl Journal for RedisJournal {
    fn tail(&self) -> StoreFuture<'_, Box<dyn Tail>> {
        Box::pin(async move {
            let mut suspension = self.nodes.suspension();
            // The sender lives as long as the lanes.
            suspension.wait_for(|suspended| !suspended).await.ok();
            Handle::try_current().map_err(|_| StoreError::Unavailable)?;
            let connect = async {
                // NOTE: before the connect: who comes meanwhile may be another than it leads to.
                let strangers = self.nodes.strangers().unwrap_or_else(|| self.trust.strangers());
                let server = self.nodes.server_of(self.commands.journal()).await?;
                RedisTail::connect(
                    (server, &self.nodes),
                    (strangers, self.nodes.suspension()),
                    (&self.commands, &self.eviction),
                    self.write_timeout,
                )
                .await
            };
            // A runtime without I/O panics.
            let tail = guarded(within(self.connect_timeout, connect)).await;
            tail.map(|tail| Box::new(tail) as Box<dyn Tail>).inspect_err(|_| self.nodes.doubt())
        })
    }

    fn append<'a>(&'a self, append: &'a Append) -> StoreFuture<'a, Appended> {
        Box::pin(async move {
            let appending = within(self.write_timeout, async {
                let lanes = self.nodes.lanes_of(self.commands.journal())?;
                let lane = self.known(lanes.write(0).await?)?;
                let replies = lane.run_all(&self.commands.append(append)).await?;
                Ok(Appended { id: commands::appended(replies)?, server: lane.server().text().to_owned() })
            });
            appending.await.inspect_err(|_| self.nodes.doubt())
        })
    }

    fn head(&self) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(async move { self.judged(commands::head(self.look_up(self.commands.head()).await?)) })
    }

    fn range(&self, from: JournalId, count: usize) -> StoreFuture<'_, Vec<JournalEntry>> {
        Box::pin(async move {
            self.judged(commands::entries(self.look_up(&self.commands.range(from, count)).await?))
        })
    }

    fn trust(&self, server: Option<&str>) {
        self.trust.warn(server);
        self.trust.set(server);
        self.nodes.trust(server);
    }
}
