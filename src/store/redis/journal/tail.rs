//! The tail: a connection of its own on which a read may block.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, Client, ConnectionInfo, Pipeline, Value};
use futures_util::future::{Either, select};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::commands::{self, Commands};
use crate::purge::JournalId;
use crate::store::redis::eviction::Eviction;
use crate::store::redis::failure;
use crate::store::redis::identity::Identity;
use crate::store::redis::nodes::Nodes;
use crate::store::redis::sentinel::Sentinels;
use crate::store::redis::settings::Address;
use crate::store::{Append, Appended, JournalEntry, StoreError, StoreFuture, Tail};

/// How much later than asked for the end of a wait may come.
const GRACE: Duration = Duration::from_secs(1);

/// Time for the sentinels' word.
const WORD: Duration = Duration::from_millis(500);

/// A tail over a connection of its own.
pub(super) struct RedisTail {
    connection: MultiplexedConnection,
    server: Identity,
    commands: Arc<Commands>,
    /// Time for the reply to all but a wait.
    limit: Duration,
    /// Until then the server may be waiting: for a wait that was dropped, too.
    waits_until: Instant,
    ends: Ends,
    /// Who tells whether the server is still the master, and where it is.
    watched: Option<(Arc<Sentinels>, Address)>,
    nodes: Nodes,
}

impl RedisTail {
    /// Connects and asks who is there; the caller bounds it.
    pub(super) async fn connect(
        (server, nodes): (ConnectionInfo, &Nodes),
        (strangers, suspension): (watch::Receiver<u64>, watch::Receiver<bool>),
        (commands, eviction): (&Arc<Commands>, &Eviction),
        limit: Duration,
    ) -> Result<Self, StoreError> {
        let ends = Ends { strangers, suspension, over: false };
        // Every call has a limit of its own, and so has the caller.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let watched = nodes.sentinels().and_then(|sentinels| Some((sentinels, Address::of(server.addr())?)));
        let connect =
            async { Client::open(server)?.get_multiplexed_async_connection_with_config(&config).await };
        let mut connection = connect.await.map_err(|error| failure::translate(&error))?;
        if let Some((sentinels, _)) = &watched {
            sentinels.verify(&mut connection).await.map_err(|error| failure::translate(&error))?;
        }
        let mut questions = Pipeline::with_capacity(3);
        Identity::ask(&mut questions);
        questions.cmd("INFO").arg("memory");
        let mut replies = send(&mut connection, &questions).await?;
        eviction.note(replies.pop());
        let server = Identity::read(replies)?;
        Ok(Self {
            connection,
            server,
            commands: Arc::clone(commands),
            limit,
            waits_until: Instant::now(),
            ends,
            watched,
            nodes: nodes.clone(),
        })
    }

    /// The replies to `commands`, which must come within the limit from when the server doesn't wait any more.
    async fn ask(&mut self, commands: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let waits = self.waits_until.saturating_duration_since(Instant::now());
        self.ask_within(commands, self.limit.saturating_add(waits)).await
    }

    async fn ask_within(&mut self, commands: &Pipeline, limit: Duration) -> Result<Vec<Value>, StoreError> {
        let Self { connection, server, ends, .. } = self;
        let replies = async {
            let sending = send(connection, commands);
            timeout(limit, sending).await.unwrap_or(Err(StoreError::Timeout))
        };
        ends.before(replies, server.mark()).await
    }
}

impl RedisTail {
    /// What failed may be a redirect: where the journal is now, the next tail must know.
    fn judged<T>(&self, reply: Result<T, StoreError>) -> Result<T, StoreError> {
        reply.inspect_err(|_| self.nodes.doubt())
    }

    /// Whether the sentinels name another master: one that is cut off from them doesn't know.
    async fn is_overtaken(&self) -> bool {
        let Some((sentinels, home)) = &self.watched else { return false };
        timeout(WORD, sentinels.denies_anew(home)).await.unwrap_or(false)
    }
}

async fn send(connection: &mut MultiplexedConnection, commands: &Pipeline) -> Result<Vec<Value>, StoreError> {
    let replies = connection.send_packed_commands(commands, 0, commands.len()).await;
    replies.map_err(|error| failure::translate(&error))
}

impl Tail for RedisTail {
    fn server(&self) -> &str {
        self.server.text()
    }

    fn head(&mut self) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(async move {
            let commands = Arc::clone(&self.commands);
            let head = self.ask(commands.head()).await.and_then(commands::head);
            self.judged(head)
        })
    }

    fn range(&mut self, from: JournalId, count: usize) -> StoreFuture<'_, Vec<JournalEntry>> {
        Box::pin(async move {
            let question = self.commands.range(from, count);
            let entries = self.ask(&question).await.and_then(commands::entries);
            self.judged(entries)
        })
    }

    fn append<'a>(&'a mut self, append: &'a Append) -> StoreFuture<'a, Appended> {
        Box::pin(async move {
            let commands = self.commands.append(append);
            let id = self.ask(&commands).await.and_then(commands::appended);
            let id = self.judged(id)?;
            Ok(Appended { id, server: self.server.text().to_owned() })
        })
    }

    fn wait(&mut self, after: JournalId, time: Duration) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let question = self.commands.wait(after, time);
            let limit = time.saturating_add(GRACE);
            let now = Instant::now();
            self.waits_until = now.checked_add(time).unwrap_or(now);
            let replies = self.ask_within(&question, limit).await;
            let replies = self.judged(replies)?;
            self.waits_until = now;
            if self.is_overtaken().await {
                return Err(StoreError::Unavailable);
            }
            let came = commands::came(replies);
            self.judged(came)
        })
    }
}

/// What ends a tail from outside.
struct Ends {
    strangers: watch::Receiver<u64>,
    suspension: watch::Receiver<bool>,
    over: bool,
}

impl Ends {
    /// `work`, unless the tail to the server with this mark is over before.
    async fn before<T>(
        &mut self,
        work: impl Future<Output = Result<T, StoreError>>,
        mark: u64,
    ) -> Result<T, StoreError> {
        if self.over {
            return Err(StoreError::Unavailable);
        }
        let Self { strangers, suspension, .. } = self;
        let suspended = std::pin::pin!(suspension.wait_for(|suspended| *suspended));
        let other = std::pin::pin!(other(strangers, mark));
        let end = std::pin::pin!(select(suspended, other));
        let done = match select(end, std::pin::pin!(work)).await {
            Either::Right((done, _)) => Some(done),
            Either::Left(_) => None,
        };
        done.unwrap_or_else(|| {
            self.over = true;
            Err(StoreError::Unavailable)
        })
    }
}

/// Resolves when a lane led to another server than this, or when there are no lanes any more.
async fn other(strangers: &mut watch::Receiver<u64>, mark: u64) {
    while strangers.changed().await.is_ok() {
        if *strangers.borrow_and_update() != mark {
            return;
        }
    }
}
