//! Leases in Redis: `SET NX PX` with a random token, given back by whoever still has that token.
//!
//! A lease is a hint who fills, and runs out by itself. What it must not do is to let a holder that lost it overwrite what
//! another wrote meanwhile, so the value goes in by a script that compares the token first. If nobody has the lease any
//! more, the end of the entry tells whether somebody had: its last bytes, a checksum of all before, are read when the
//! lease is taken.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use deadpool_redis::redis::{Pipeline, ServerError, Value};
use tokio::runtime::Handle;

use super::nodes::{Nodes, Role};
use super::wake::Wake;
use super::{LONGEST_LIFE, RedisStore, failure, within};
use crate::clock::millis;
use crate::key::Key;
use crate::store::{GivenBack, Lease, Leases, Store as _, StoreError, StoreFuture};

/// Bytes of a token: 128 random bits in base64url. Not the bits themselves: servers quote commands that they don't know,
/// and redis-rs gives a connection up whose errors aren't UTF-8.
const TOKEN: usize = 22;

/// Entry and lease; token, the entry's end when the lease was taken, value, milliseconds, channel, message. Whoever may
/// not publish has stored all the same: waiters look by themselves.
const COMMIT: &str = "\
local holder = redis.call('GET', KEYS[2])
if holder ~= ARGV[1] then
  if holder or redis.call('GETRANGE', KEYS[1], -8, -1) ~= ARGV[2] then return 0 end
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
redis.call('UNLINK', KEYS[2])
redis.pcall('PUBLISH', ARGV[5], ARGV[6])
return 1";

/// Lease; token.
const RELEASE: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end
return 0";

/// What the server doesn't do, or not for this user; found out once.
#[derive(Debug, Default)]
struct Powers {
    /// Ways of [`Way::ALL`] to give a lease back that were refused.
    refused_ways: AtomicU8,
    /// `EVAL` was refused.
    no_scripts: AtomicBool,
}

/// The part of the store that gives leases back, also for a request that is gone.
#[derive(Clone)]
pub(super) struct Returns {
    nodes: Nodes,
    powers: Arc<Powers>,
    write_timeout: Duration,
}

/// A way to delete a key that has a certain value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// `DELEX … IFEQ`, Redis 8.4.
    Delex,
    /// `DELIFEQ`, Valkey 9.
    Delifeq,
    /// A script.
    Script,
    /// `GET`, then `UNLINK`. If the lease runs out in between, the next one's goes with it: work for two, and no harm.
    TwoSteps,
}

impl Way {
    const ALL: [Self; 4] = [Self::Delex, Self::Delifeq, Self::Script, Self::TwoSteps];
}

impl RedisStore {
    /// The value by a script, fenced. `None`: the server won't have scripts.
    async fn commit_by_script(
        &self,
        key: &Key,
        (token, seen): (&[u8], &[u8]),
        value: &Bytes,
        life: u64,
    ) -> Result<Option<bool>, StoreError> {
        if self.returns.powers.no_scripts.load(Relaxed) {
            return Ok(None);
        }
        let name = self.name(key);
        let mut script = Pipeline::with_capacity(1);
        script.cmd("EVAL").arg(COMMIT).arg(2).arg(&name).arg(lease_name(&name)).arg(token).arg(seen);
        script.arg(value.as_ref()).arg(life).arg(self.wake.channel()).arg(Wake::message(key));
        match self.returns.ask(&name, &script, value.len()).await? {
            Value::Int(put) => Ok(Some(put != 0)),
            Value::ServerError(error) if is_refusal(&error) => {
                tracing::warn!("Redis refuses scripts: an entry whose lease was lost isn't held back");
                self.returns.powers.no_scripts.store(true, Relaxed);
                Ok(None)
            }
            reply => Err(unexpected(&reply)),
        }
    }
}

impl Returns {
    pub(super) fn new(nodes: Nodes, write_timeout: Duration) -> Self {
        Self { nodes, powers: Arc::default(), write_timeout }
    }

    /// Deletes the lease if it still has this token, by the first way that the server knows.
    async fn delete_lease(&self, name: &str, token: &[u8]) -> Result<bool, StoreError> {
        let known = usize::from(self.powers.refused_ways.load(Relaxed));
        for (refused, way) in (1_u8..).zip(Way::ALL).skip(known) {
            let mut command = Pipeline::with_capacity(1);
            match way {
                Way::Delex => command.cmd("DELEX").arg(name).arg("IFEQ").arg(token),
                Way::Delifeq => command.cmd("DELIFEQ").arg(name).arg(token),
                Way::Script => command.cmd("EVAL").arg(RELEASE).arg(1).arg(name).arg(token),
                Way::TwoSteps => {
                    command.cmd("GET").arg(name);
                    match self.ask(name, &command, 0).await? {
                        Value::BulkString(holder) if holder == token => {}
                        _ => return Ok(false),
                    }
                    command = Pipeline::with_capacity(1);
                    command.cmd("UNLINK").arg(name)
                }
            };
            match self.ask(name, &command, 0).await? {
                Value::Int(deleted) => return Ok(deleted != 0),
                Value::ServerError(error) if is_refusal(&error) => {
                    self.powers.refused_ways.fetch_max(refused, Relaxed);
                }
                reply => return Err(unexpected(&reply)),
            }
        }
        Ok(false)
    }

    /// The reply to one command of about `size` bytes for the key `name`, over the lane for writes of that size.
    async fn ask(&self, name: &str, command: &Pipeline, size: usize) -> Result<Value, StoreError> {
        let replies = within(self.write_timeout, self.nodes.run(name, command, Role::Write(size))).await?;
        Ok(replies.into_iter().next().unwrap_or(Value::Nil))
    }
}

impl Leases for RedisStore {
    fn acquire<'a>(&'a self, key: &'a Key, life: Duration) -> StoreFuture<'a, Option<Lease>> {
        Box::pin(async move {
            let (name, token) = (self.name(key), token());
            let life = millis(life).clamp(1, LONGEST_LIFE);
            let mut commands = Pipeline::with_capacity(2);
            commands.cmd("SET").arg(lease_name(&name)).arg(&token).arg("NX").arg("PX").arg(life);
            commands.cmd("GETRANGE").arg(&name).arg(-8).arg(-1);
            // On a read lane, though it writes: a request waits for it, and it is as small as a read. Not twice: the first
            // try may have taken the lease.
            let taking = Taking::new(&self.returns, &name, &token);
            let replies = within(self.lookup_timeout, self.nodes.run(&name, &commands, Role::Read)).await;
            if !matches!(replies, Err(StoreError::Timeout | StoreError::Connection(_))) {
                taking.answered();
            }
            let replies = replies?;
            let mut replies = replies.into_iter();
            match replies.next() {
                Some(Value::Okay) => {}
                Some(Value::Nil) => return Ok(None),
                reply => return Err(unexpected(&reply.unwrap_or(Value::Nil))),
            }
            let seen = match replies.next() {
                Some(Value::BulkString(seen)) => seen,
                _ => Vec::new(),
            };
            Ok(Some(Lease::new([token.as_bytes(), &seen].concat().into())))
        })
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        lease: &'a Lease,
        value: Bytes,
        life: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let proof = split(lease)?;
            let put = self.commit_by_script(key, proof, &value, millis(life).clamp(1, LONGEST_LIFE)).await?;
            if let Some(put) = put {
                return Ok(put);
            }
            self.set(key, value, life).await?;
            // It is stored: a lease that can't be given back only runs out.
            self.release(key, lease).await.ok();
            Ok(true)
        })
    }

    fn release<'a>(&'a self, key: &'a Key, lease: &'a Lease) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let (token, _) = split(lease)?;
            let name = lease_name(&self.name(key));
            if self.returns.delete_lease(&name, token).await? {
                let mut word = Pipeline::with_capacity(1);
                word.cmd("PUBLISH").arg(self.wake.channel()).arg(Wake::message(key));
                // Refused or not: waiters look by themselves.
                self.returns.ask(&name, &word, 0).await?;
            }
            Ok(())
        })
    }

    fn given_back<'a>(&'a self, key: &Key) -> GivenBack<'a> {
        Box::pin(self.wake.given_back(*key))
    }
}

/// A lease that is asked for. Dropped without an answer, it may have been granted all the same: nobody would know, and
/// everybody wait.
struct Taking {
    returns: Returns,
    name: String,
    token: String,
    answered: bool,
}

impl Taking {
    fn new(returns: &Returns, entry: &str, token: &str) -> Self {
        Self { returns: returns.clone(), name: lease_name(entry), token: token.to_owned(), answered: false }
    }

    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let runtime =
            Handle::try_current().ok().filter(|_| !self.answered && !self.returns.nodes.is_suspended());
        let Some(runtime) = runtime else { return };
        let (returns, name, token) =
            (self.returns.clone(), std::mem::take(&mut self.name), std::mem::take(&mut self.token));
        runtime.spawn(async move { returns.delete_lease(&name, token.as_bytes()).await.ok() });
    }
}

/// The lease's key. In a Cluster the text in braces alone makes the slot: that of the entry.
fn lease_name(entry: &str) -> String {
    format!("{{{entry}}}:l")
}

/// 128 random bits: the system's own behind the keys of each `RandomState`.
fn token() -> String {
    let random = RandomState::new();
    let bits = u128::from(random.hash_one(0_u8)) << 64 | u128::from(random.hash_one(1_u8));
    URL_SAFE_NO_PAD.encode(bits.to_le_bytes())
}

/// Token and the entry's end.
fn split(lease: &Lease) -> Result<(&[u8], &[u8]), StoreError> {
    let foreign = || StoreError::Server("the lease is another store's".to_owned());
    lease.as_bytes().split_at_checked(TOKEN).ok_or_else(foreign)
}

/// Whether the server doesn't know the command, or doesn't let this user send it. Proxies have words of their own for
/// that, and `ERR` means nothing else for these commands; but up to Redis 6.2 what goes wrong inside a script is one too.
fn is_refusal(error: &ServerError) -> bool {
    let in_script = error.details().is_some_and(|text| text.starts_with("Error running script"));
    matches!(error.code(), "NOPERM" | "ERR") && !in_script
}

fn unexpected(reply: &Value) -> StoreError {
    match reply {
        Value::ServerError(error) => failure::server(error.code()),
        _ => StoreError::Server("a lease's command was answered with another type".to_owned()),
    }
}
