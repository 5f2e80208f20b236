//! Who fills which key, and who waits for it.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::End;
use crate::config::LimitsConfig;
use crate::key::Key;

/// The fills that run now.
#[derive(Debug)]
pub(crate) struct Flights {
    map: Mutex<HashMap<Key, Arc<Flight>>>,
    /// Fills that run, in the map or on their own.
    fills: AtomicUsize,
    /// Fills that nobody waits for any more.
    orphans: AtomicUsize,
    /// Requests that wait for another's fill.
    followers: AtomicUsize,
    max_fills: usize,
    max_orphans: usize,
}

/// One fill.
#[derive(Debug)]
struct Flight {
    end: watch::Sender<Option<End>>,
    crew: Mutex<Crew>,
    cancel: Notify,
}

/// Who waits for a fill.
#[derive(Debug, Default)]
struct Crew {
    waiters: usize,
    orphan: bool,
    done: bool,
}

/// What [`Flights::join`] gives.
#[derive(Debug)]
pub(crate) enum Joined {
    /// The caller fills.
    Lead(Lead, Waiter),
    /// Another request fills.
    Follow(Waiter),
    /// As many fills run as may.
    Full,
}

impl Flights {
    pub(crate) fn new(limits: &LimitsConfig) -> Arc<Self> {
        Arc::new(Self {
            map: Mutex::default(),
            fills: AtomicUsize::new(0),
            orphans: AtomicUsize::new(0),
            followers: AtomicUsize::new(0),
            max_fills: limits.max_fills,
            max_orphans: limits.max_orphan_fills,
        })
    }

    /// Joins the fill of `key`, or leads a new one.
    pub(crate) fn join(self: &Arc<Self>, key: Key) -> Joined {
        let mut map = lock(&self.map);
        match map.entry(key) {
            Slot::Occupied(slot) => Joined::Follow(self.board(slot.get(), true)),
            Slot::Vacant(slot) => match self.launch(Some(key)) {
                Some((lead, waiter)) => {
                    slot.insert(Arc::clone(&lead.flight));
                    Joined::Lead(lead, waiter)
                }
                None => Joined::Full,
            },
        }
    }

    /// A fill that no other request joins; `None` when as many fills run as may.
    pub(crate) fn solo(self: &Arc<Self>) -> Option<(Lead, Waiter)> {
        self.launch(None)
    }

    fn launch(self: &Arc<Self>, key: Option<Key>) -> Option<(Lead, Waiter)> {
        self.fills
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |fills| {
                (fills < self.max_fills).then_some(fills + 1)
            })
            .ok()?;
        let flight =
            Arc::new(Flight { end: watch::Sender::new(None), crew: Mutex::default(), cancel: Notify::new() });
        let waiter = self.board(&flight, false);
        Some((Lead { flights: Arc::clone(self), flight, key, announced: false }, waiter))
    }

    fn board(self: &Arc<Self>, flight: &Arc<Flight>, follows: bool) -> Waiter {
        let mut crew = lock(&flight.crew);
        crew.waiters += 1;
        if std::mem::take(&mut crew.orphan) {
            self.orphans.fetch_sub(1, Ordering::AcqRel);
        }
        self.followers.fetch_add(usize::from(follows), Ordering::AcqRel);
        Waiter { flights: Arc::clone(self), flight: Arc::clone(flight), follows }
    }

    /// Fills that run now.
    pub(crate) fn fills(&self) -> usize {
        self.fills.load(Ordering::Acquire)
    }

    /// Requests that wait for another's fill now.
    pub(crate) fn followers(&self) -> usize {
        self.followers.load(Ordering::Acquire)
    }

    /// Fills that run now without anybody who waits for them.
    pub(crate) fn orphans(&self) -> usize {
        self.orphans.load(Ordering::Acquire)
    }
}

/// The right to fill, and the duty to say how it ended.
#[derive(Debug)]
pub(crate) struct Lead {
    flights: Arc<Flights>,
    flight: Arc<Flight>,
    /// Where the flight stands in the map; none if nobody may join it.
    key: Option<Key>,
    announced: bool,
}

impl Lead {
    /// Whether others may join.
    pub(crate) const fn is_shared(&self) -> bool {
        self.key.is_some()
    }

    /// Announces the end. Later words don't count.
    pub(crate) fn announce(&mut self, end: End) {
        if std::mem::replace(&mut self.announced, true) {
            return;
        }
        // NOTE: leave the map first: whoever hears of the end and asks again must not join this flight.
        if let Some(key) = self.key {
            lock(&self.flights.map).remove(&key);
        }
        self.flight.end.send_replace(Some(end));
    }

    /// Resolves when the fill should stop, because nobody waits for it and too many such fills run.
    pub(crate) fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        let flight = Arc::clone(&self.flight);
        async move { flight.cancel.notified().await }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.announce(End::Aborted);
        let mut crew = lock(&self.flight.crew);
        crew.done = true;
        if std::mem::take(&mut crew.orphan) {
            self.flights.orphans.fetch_sub(1, Ordering::AcqRel);
        }
        self.flights.fills.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A request that waits for a fill. Its drop is the request's hang-up.
#[derive(Debug)]
pub(crate) struct Waiter {
    flights: Arc<Flights>,
    flight: Arc<Flight>,
    /// Another request leads.
    follows: bool,
}

impl Waiter {
    /// How the fill ended.
    pub(crate) async fn end(&self) -> End {
        let mut end = self.flight.end.subscribe();
        // The sender lives in the flight that `self` keeps: it can't be gone.
        let ended = end.wait_for(Option::is_some).await;
        ended.ok().and_then(|end| end.clone()).unwrap_or(End::Aborted)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.flights.followers.fetch_sub(usize::from(self.follows), Ordering::AcqRel);
        let mut crew = lock(&self.flight.crew);
        crew.waiters -= 1;
        if crew.waiters > 0 || crew.done {
            return;
        }
        let room = self.flights.orphans.fetch_update(Ordering::AcqRel, Ordering::Acquire, |orphans| {
            (orphans < self.flights.max_orphans).then_some(orphans + 1)
        });
        match room {
            Ok(_) => crew.orphan = true,
            Err(_) => self.flight.cancel.notify_one(),
        }
    }
}

/// The guarded values are whole between any two statements, so a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
