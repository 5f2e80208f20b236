//! A lane: one connection that many requests share, and what is known of its health.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::Notify;

use super::failure;
use super::identity::Identity;
use super::settings::Address;
use crate::store::StoreError;

/// One connection. The counters are statistics and hints: nothing is ordered by them, so they are relaxed.
pub(super) struct Lane {
    connection: MultiplexedConnection,
    /// The server that it leads to.
    server: Identity,
    home: Option<Address>,
    /// Requests that wait for a reply.
    outstanding: AtomicUsize,
    /// Replies that a request got.
    replies: AtomicU64,
    /// Requests that gave up waiting. Their replies, if any, are swallowed by redis-rs.
    abandoned: AtomicU64,
    broken: AtomicBool,
    dismissed: AtomicBool,
    /// Wakes the keeper.
    alarm: Notify,
}

impl Lane {
    pub(super) fn new(connection: MultiplexedConnection, server: Identity) -> Self {
        Self {
            connection,
            server,
            home: None,
            outstanding: AtomicUsize::new(0),
            replies: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            alarm: Notify::new(),
        }
    }

    /// The same lane, to the server at `home`.
    pub(super) fn at(self, home: Option<Address>) -> Self {
        Self { home, ..self }
    }

    /// The server it leads to, if sentinels told.
    pub(super) fn home(&self) -> Option<&Address> {
        self.home.as_ref()
    }

    /// Sends `command` and waits for its reply, without a limit: the caller has one.
    pub(super) async fn run(&self, command: &Cmd) -> Result<Value, StoreError> {
        self.ask(command).await.and_then(accepted)
    }

    /// The same. The command's refusal is a [`Value::ServerError`].
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, StoreError> {
        let mut connection = self.connection.clone();
        let turn = Turn::start(self);
        let reply = connection.send_packed_command(command).await;
        turn.end();
        self.judge(reply)
    }

    /// Sends all of `commands` at once. A command's refusal is a [`Value::ServerError`] in its place.
    pub(super) async fn run_all(&self, commands: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let mut connection = self.connection.clone();
        let turn = Turn::start(self);
        let replies = connection.send_packed_commands(commands, 0, commands.len()).await;
        turn.end();
        self.judge(replies)
    }

    /// Whether the server replies to a `PING`, or to anything before it, within `patience` and then again. What it
    /// replies doesn't matter.
    ///
    /// Each reply to another request buys another `patience`: a server that works through a queue is alive.
    pub(super) async fn answers(&self, patience: Duration) -> bool {
        let mut ping = Cmd::new();
        ping.arg("PING");
        loop {
            let before = self.replies();
            let mut connection = self.connection.clone();
            match tokio::time::timeout(patience, connection.send_packed_command(&ping)).await {
                Ok(reply) => return !matches!(self.judge(reply), Err(StoreError::Connection(_))),
                Err(_) if self.is_broken() || self.replies() == before => return false,
                Err(_) => {}
            }
        }
    }

    /// Translates an error; one of the connection breaks the lane.
    fn judge<T>(&self, reply: RedisResult<T>) -> Result<T, StoreError> {
        reply.map_err(|error| {
            let error = failure::translate(&error);
            if matches!(error, StoreError::Connection(_)) {
                self.break_off();
            }
            error
        })
    }

    /// No further request gets this lane.
    pub(super) fn break_off(&self) {
        self.broken.store(true, Relaxed);
        self.alarm.notify_one();
    }

    /// No further request gets this lane, though nothing is wrong with it: it leads to another server than it should.
    pub(super) fn dismiss(&self) {
        self.dismissed.store(true, Relaxed);
        self.break_off();
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Relaxed)
    }

    /// The server that it leads to.
    pub(super) fn server(&self) -> &Identity {
        &self.server
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    /// Asks the keeper to look after this lane now.
    pub(super) fn suspect(&self) {
        self.alarm.notify_one();
    }

    /// Resolves when the lane broke or is suspected to have.
    pub(super) async fn alarmed(&self) {
        self.alarm.notified().await;
    }

    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.load(Relaxed)
    }

    pub(super) fn replies(&self) -> u64 {
        self.replies.load(Relaxed)
    }

    pub(super) fn abandoned(&self) -> u64 {
        self.abandoned.load(Relaxed)
    }
}

/// A reply that isn't a refusal.
pub(super) fn accepted(reply: Value) -> Result<Value, StoreError> {
    match reply {
        Value::ServerError(error) => Err(failure::server(error.code())),
        reply => Ok(reply),
    }
}

/// A request's stay on a lane. One that is dropped, as by a time-out, counts as abandoned.
struct Turn<'a> {
    lane: &'a Lane,
    answered: bool,
}

impl<'a> Turn<'a> {
    fn start(lane: &'a Lane) -> Self {
        lane.outstanding.fetch_add(1, Relaxed);
        Self { lane, answered: false }
    }

    fn end(mut self) {
        self.answered = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let ended = if self.answered { &self.lane.replies } else { &self.lane.abandoned };
        ended.fetch_add(1, Relaxed);
        self.lane.outstanding.fetch_sub(1, Relaxed);
    }
}
