//! Writes to the shared tier, off the response's path: a bounded queue that a short-lived task drains.
//!
//! Why no long-lived task: the first item starts the drain, which ends with the last. So the writer needs no shutdown,
//! works on whichever runtime is there, and costs nothing while nothing is written.
//!
//! Of one key only the newest item waits, and it waits until the one before is done: a later write is never overtaken
//! by an earlier one that was answered. One that timed out is done without an answer, and may still land after the later.
//!
//! While the circuit breaker is open nothing is written: what comes is dropped, and so is what waits.

mod withdraw;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::lease::Held;
use super::{Breaker, Lease, Store, StoreError};
use crate::config::RedisConfig;
use crate::key::Key;

/// Writes under way at once.
const CONCURRENT: usize = 32;

/// A bounded queue of writes. Clones share it.
#[derive(Clone)]
pub(crate) struct Writer(Arc<Shared>);

/// What became of the writes so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct WriterStatus {
    /// Items waiting or being written.
    pub(crate) queued_entries: usize,
    /// Bytes of their values.
    pub(crate) queued_bytes: usize,
    /// Items written.
    pub(crate) written: u64,
    /// Items that the store refused or didn't take in time. They aren't tried again.
    pub(crate) failed: u64,
    /// Items that found the queue full, the circuit breaker open, or no runtime to be written on.
    pub(crate) dropped: u64,
    /// Items that another of the same key, or one of another process, made needless while it waited or ran.
    pub(crate) superseded: u64,
}

enum Op {
    Set(Bytes, Duration, Option<Arc<Held>>),
    /// Of a value that can't be used.
    Remove,
    /// Of a value that isn't true any more, whoever writes it.
    Overtake,
}

impl Op {
    fn bytes(&self) -> usize {
        match self {
            Self::Set(value, ..) => value.len(),
            Self::Remove | Self::Overtake => 0,
        }
    }
}

struct Shared {
    store: Arc<dyn Store>,
    breaker: Arc<Breaker>,
    write_timeout: Duration,
    max_entries: usize,
    max_bytes: usize,
    queue: Mutex<Queue>,
    /// Leases being given back. As many as are held at most, which fills and the queue bound.
    releases: AtomicUsize,
    /// The drain has more to do.
    more: Notify,
    /// A write is done.
    done: Notify,
    /// The queue is empty, or a lease was given back.
    empty: Notify,
}

#[derive(Default)]
struct Queue {
    /// The newest item of each key that waits.
    waiting: HashMap<Key, Op>,
    /// Keys of `waiting` that aren't in `running`, oldest first.
    order: VecDeque<Key>,
    /// Keys being written.
    running: HashSet<Key>,
    /// Whether there is a drain.
    draining: bool,
    status: WriterStatus,
}

impl Writer {
    /// A writer to `store` for as long as `breaker` is closed, with the bounds and the time for a write of `config`.
    pub(crate) fn new(store: Arc<dyn Store>, breaker: Arc<Breaker>, config: &RedisConfig) -> Self {
        Self(Arc::new(Shared {
            store,
            breaker,
            write_timeout: config.write_timeout,
            max_entries: config.queue_entries,
            max_bytes: config.queue_bytes,
            queue: Mutex::default(),
            releases: AtomicUsize::new(0),
            more: Notify::new(),
            done: Notify::new(),
            empty: Notify::new(),
        }))
    }

    /// Queues a write. Never waits; over a bound the item is dropped and counted.
    pub(crate) fn push(&self, key: Key, value: Bytes, life: Duration) {
        self.queue(key, Op::Set(value, life, None));
    }

    /// Queues a write that holds on to the lease of its fill. If that is the lease of `key`, the write gives it back in
    /// one step with the value, and isn't made if the lease was lost to another; whatever else becomes of the item, the
    /// lease goes back with it.
    pub(crate) fn push_held(&self, key: Key, value: Bytes, life: Duration, held: Arc<Held>) {
        self.queue(key, Op::Set(value, life, Some(held)));
    }

    /// Gives a lease back, in the background. Outside a runtime and while the breaker is open nothing happens: the lease
    /// runs out.
    // NOTE: called by the drop of items, that is with the queue locked: it must not lock it.
    pub(super) fn give_back(&self, key: Key, lease: Lease) {
        let Some(runtime) = Handle::try_current().ok().filter(|_| self.0.breaker.is_closed()) else { return };
        let release = Release::new(&self.0);
        runtime.spawn(async move {
            let Some(leases) = release.0.store.leases() else { return };
            let given_back = timeout(release.0.write_timeout, leases.release(&key, &lease)).await;
            if let Err(error) = given_back.unwrap_or(Err(StoreError::Timeout)) {
                tracing::debug!(%error, ?key, "a lease wasn't given back; it runs out");
            }
        });
    }

    /// Queues the removal of a value that was read and can't be used, under the same bounds. While an item of the key
    /// waits or is being written, it is dropped: that one replaces the value, and a removal after it would take away
    /// what is fresh. If the write fails, the next one who reads the value asks for its removal again.
    pub(crate) fn remove(&self, key: Key) {
        self.queue(key, Op::Remove);
    }

    /// Queues the removal of a value that is overtaken, in place of a write of the key that waits, and after one that runs.
    pub(crate) fn overtake(&self, key: Key) {
        self.queue(key, Op::Overtake);
    }

    /// Resolves when nothing waits or is being written, and no lease is being given back.
    pub(crate) async fn settled(&self) {
        loop {
            let mut empty = std::pin::pin!(self.0.empty.notified());
            empty.as_mut().enable();
            if self.0.lock().status.queued_entries == 0 && self.0.releases.load(Ordering::Acquire) == 0 {
                return;
            }
            empty.await;
        }
    }

    /// Bytes of values that may wait.
    pub(crate) fn max_bytes(&self) -> usize {
        self.0.max_bytes
    }

    /// The counters.
    pub(crate) fn status(&self) -> WriterStatus {
        self.0.lock().status
    }

    fn queue(&self, key: Key, op: Op) {
        let runtime = Handle::try_current();
        let mut queue = self.0.lock();
        let Some(runtime) = runtime.ok().filter(|_| self.0.breaker.is_closed()) else {
            queue.status.dropped += 1;
            return;
        };
        if !queue.admit(key, op, self.0.max_entries, self.0.max_bytes) {
            return;
        }
        let start = !std::mem::replace(&mut queue.draining, true);
        drop(queue);
        if start {
            let drain = Drain { shared: Arc::clone(&self.0), finished: false };
            runtime.spawn(async move { drain.run().await });
        } else {
            self.0.more.notify_one();
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Writer").field(&self.status()).finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written next; nothing waits any more once the breaker is open.
    fn next(&self) -> Option<(Key, Op)> {
        let mut queue = self.lock();
        if !self.breaker.is_closed() {
            queue.discard();
        }
        queue.next()
    }

    async fn write(&self, key: Key, op: Op) -> Done {
        let bytes = op.bytes();
        let work = async {
            match op {
                Op::Set(value, life, held) => {
                    match (held.as_deref().filter(|held| held.is_of(&key)), self.store.leases()) {
                        (Some(held), Some(leases)) => held.commit(leases, value, life).await,
                        _ => self.store.set(&key, value, life).await.map(|()| true),
                    }
                }
                Op::Remove | Op::Overtake => self.store.remove(&key).await.map(|()| true),
            }
        };
        let result = timeout(self.write_timeout, work).await.unwrap_or(Err(StoreError::Timeout));
        if let Err(error) = &result {
            tracing::debug!(%error, ?key, "a write to the shared tier failed");
        }
        Done { key, bytes, result }
    }
}

impl Queue {
    /// Takes an item in, in place of an older one of its key that waits. False if it was dropped. A value that is
    /// dropped drops the older one too: what waits would be out of date.
    fn admit(&mut self, key: Key, op: Op, max_entries: usize, max_bytes: usize) -> bool {
        if matches!(op, Op::Remove) && (self.waiting.contains_key(&key) || self.running.contains(&key)) {
            self.status.superseded += 1;
            return false;
        }
        let older = self.waiting.remove(&key);
        let replaced = older.is_some();
        if let Some(older) = older {
            self.status.queued_entries -= 1;
            self.status.queued_bytes -= older.bytes();
            self.status.superseded += 1;
        }
        let bytes = self.status.queued_bytes.saturating_add(op.bytes());
        if self.status.queued_entries >= max_entries || bytes > max_bytes {
            self.status.dropped += 1;
            if replaced {
                self.order.retain(|waiting| *waiting != key);
            }
            return false;
        }
        self.status.queued_entries += 1;
        self.status.queued_bytes = bytes;
        self.waiting.insert(key, op);
        if !replaced && !self.running.contains(&key) {
            self.order.push_back(key);
        }
        true
    }

    /// Drops what waits.
    fn discard(&mut self) {
        for op in std::mem::take(&mut self.waiting).into_values() {
            self.status.queued_entries -= 1;
            self.status.queued_bytes -= op.bytes();
            self.status.dropped += 1;
        }
        self.order.clear();
    }

    fn next(&mut self) -> Option<(Key, Op)> {
        if self.running.len() >= CONCURRENT {
            return None;
        }
        let key = self.order.pop_front()?;
        let op = self.waiting.remove(&key)?;
        self.running.insert(key);
        Some((key, op))
    }

    fn done(&mut self, done: &Done) {
        self.running.remove(&done.key);
        self.status.queued_entries -= 1;
        self.status.queued_bytes -= done.bytes;
        match done.result {
            Ok(true) => self.status.written += 1,
            Ok(false) => self.status.superseded += 1,
            Err(_) => self.status.failed += 1,
        }
        if self.waiting.contains_key(&done.key) {
            self.order.push_back(done.key);
        }
    }
}

/// A lease on its way back.
struct Release(Arc<Shared>);

impl Release {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.releases.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(shared))
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        self.0.releases.fetch_sub(1, Ordering::AcqRel);
        self.0.empty.notify_waiters();
    }
}

/// The end of one write.
struct Done {
    key: Key,
    bytes: usize,
    /// False: another process's value stands in its place.
    result: Result<bool, StoreError>,
}

/// The task that writes. Dropped with its runtime, or by a store's panic, it gives up what is left.
struct Drain {
    shared: Arc<Shared>,
    finished: bool,
}

impl Drain {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut running = FuturesUnordered::new();
        loop {
            while let Some((key, op)) = shared.next() {
                running.push(shared.write(key, op));
            }
            let more = std::pin::pin!(shared.more.notified());
            let done = match select(running.next(), more).await {
                Either::Left((done, _)) => done,
                Either::Right(_) => continue,
            };
            let mut queue = shared.lock();
            if let Some(done) = done {
                queue.done(&done);
                shared.done.notify_waiters();
            }
            if queue.status.queued_entries == 0 {
                queue.draining = false;
                self.finished = true;
                drop(queue);
                shared.empty.notify_waiters();
                return;
            }
        }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut queue = self.shared.lock();
        let left = u64::try_from(queue.status.queued_entries).unwrap_or(u64::MAX);
        let status = WriterStatus {
            queued_entries: 0,
            queued_bytes: 0,
            dropped: queue.status.dropped.saturating_add(left),
            ..queue.status
        };
        *queue = Queue { status, ..Queue::default() };
        drop(queue);
        self.shared.done.notify_waiters();
        self.shared.empty.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
