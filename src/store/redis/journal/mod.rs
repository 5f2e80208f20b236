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
use deadpool_redis::redis::{Client, Pipeline, RedisError, Value};
use futures_util::FutureExt as _;
use tokio::runtime::Handle;

use self::commands::Commands;
use self::tail::RedisTail;
use super::lanes::{Lanes, unusable};
use super::settings::Settings;
use super::within;
use crate::config::RedisConfig;
use crate::error::ConfigError;
use crate::purge::JournalId;
use crate::store::{Append, Appended, Journal, JournalEntry, StoreError, StoreFuture, Tail, guarded};

/// The journal of a [`RedisStore`](super::RedisStore).
///
/// An append is one transaction. Redis carries all of it out even if the stream's part fails, as for an id that is too small:
/// then the head names an entry that isn't there, which makes readers look closer. Without the right to `MULTI` its commands
/// stand alone, and it is an error though the entry may be there. So may it after a time-out.
pub(super) struct RedisJournal {
    lanes: Arc<Lanes>,
    client: Client,
    commands: Arc<Commands>,
    connect_timeout: Duration,
    lookup_timeout: Duration,
    write_timeout: Duration,
}

/// What makes the tails' connections.
pub(super) fn client(settings: &Settings) -> Result<Client, ConfigError> {
    Client::open(settings.server.clone()).map_err(|error: RedisError| unusable(error.category().to_owned()))
}

impl RedisJournal {
    pub(super) fn new(lanes: &Arc<Lanes>, client: Client, config: &RedisConfig, namespace: &str) -> Self {
        Self {
            lanes: Arc::clone(lanes),
            client,
            commands: Arc::new(Commands::new(namespace)),
            connect_timeout: config.connect_timeout,
            lookup_timeout: config.lookup_timeout,
            write_timeout: config.write_timeout,
        }
    }

    /// The replies to a read; after a broken connection it is sent once more, on another lane.
    async fn look_up(&self, questions: &Pipeline) -> Result<Vec<Value>, StoreError> {
        within(self.lookup_timeout, async {
            let lane = self.lanes.read().ok_or(StoreError::Unavailable)?;
            match lane.run_all(questions).await {
                Err(broken @ StoreError::Connection(_)) => match self.lanes.read() {
                    Some(other) => other.run_all(questions).await,
                    None => Err(broken),
                },
                done => done,
            }
        })
        .await
    }
}

impl Journal for RedisJournal {
    fn tail(&self) -> StoreFuture<'_, Box<dyn Tail>> {
        Box::pin(async move {
            let mut suspension = self.lanes.suspension();
            // The sender lives as long as the lanes.
            suspension.wait_for(|suspended| !suspended).await.ok();
            Handle::try_current().map_err(|_| StoreError::Unavailable)?;
            // A runtime without I/O panics.
            guarded(within(
                self.connect_timeout,
                RedisTail::connect(&self.client, &self.lanes, &self.commands, self.write_timeout),
            ))
            .await
            .map(|tail| Box::new(tail) as Box<dyn Tail>)
        })
    }

    fn append<'a>(&'a self, append: &'a Append) -> StoreFuture<'a, Appended> {
        Box::pin(within(self.write_timeout, async move {
            let lane = self.lanes.write(0).await?;
            let replies = lane.run_all(&self.commands.append(append)).await?;
            Ok(Appended { id: commands::appended(replies)?, server: lane.server().text().to_owned() })
        }))
    }

    fn head(&self) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(self.look_up(self.commands.head()).map(|replies| commands::head(replies?)))
    }

    fn range(&self, from: JournalId, count: usize) -> StoreFuture<'_, Vec<JournalEntry>> {
        Box::pin(async move { commands::entries(self.look_up(&self.commands.range(from, count)).await?) })
    }

    fn trust(&self, server: Option<&str>) {
        self.lanes.trust(server);
    }
}
