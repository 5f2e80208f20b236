//! Who fills which key, and who waits for it.

use std::collections::HashMap;

use tokio::time::Instant;

use super::End;
use super::sync::atomic::{AtomicUsize, Ordering};
use super::sync::{Arc, Mutex, MutexGuard, Notify, PoisonError, watch};
use crate::config::LimitsConfig;
use crate::key::Key;
use crate::purge::Stamp;

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
    /// Whether a fill goes on once nobody waits for it any more.
    finish: bool,
}

/// One fill.
#[derive(Debug)]
struct Flight {
    end: watch::Sender<Option<End>>,
    crew: Mutex<Crew>,
    cancel: Notify,
    /// Begun on nobody's account: it goes on without waiters whatever the setting is.
    refresh: bool,
    /// How far purges were known when it began.
    stamp: Stamp,
}

/// Who waits for a fill.
#[derive(Debug, Default)]
struct Crew {
    waiters: usize,
    orphan: bool,
    done: bool,
    turn: Turn,
}

/// Whose turn it is to call the inner service, among the processes that share a store.
#[derive(Clone, Copy, Debug, Default)]
enum Turn {
    /// This one's from the start.
    #[default]
    Own,
    /// Another's.
    Awaited,
    /// This one's, but only since then.
    Since(Instant),
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
            finish: limits.finish_fills,
        })
    }

    /// Joins the fill of `key`, unless a purge has overtaken it; else leads a new one, which others join from now on.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: Key,
        stamp: Stamp,
        overtaken: impl FnOnce(&Stamp) -> bool,
    ) -> Joined {
        let mut map = lock(&self.map);
        match map.get(&key) {
            Some(flight) if !overtaken(&flight.stamp) => Joined::Follow(self.board(flight, true)),
            _ => match self.launch(Some(key), false, stamp) {
                Some(lead) => {
                    let waiter = self.board(&lead.flight, false);
                    map.insert(key, Arc::clone(&lead.flight));
                    Joined::Lead(lead, waiter)
                }
                None => Joined::Full,
            },
        }
    }

    /// A fill that no other request joins; `None` when as many fills run as may.
    pub(crate) fn solo(self: &Arc<Self>, stamp: Stamp) -> Option<(Lead, Waiter)> {
        let lead = self.launch(None, false, stamp)?;
        let waiter = self.board(&lead.flight, false);
        Some((lead, waiter))
    }

    /// A fill of `key` that no request waits for from its start; others may join it. `None` while another fill of the key
    /// runs that no purge has overtaken, or as many fills as may.
    pub(crate) fn refresh(
        self: &Arc<Self>,
        key: Key,
        stamp: Stamp,
        overtaken: impl FnOnce(&Stamp) -> bool,
    ) -> Option<Lead> {
        let mut map = lock(&self.map);
        if map.get(&key).is_some_and(|flight| !overtaken(&flight.stamp)) || !self.take_orphan_place() {
            return None;
        }
        let Some(lead) = self.launch(Some(key), true, stamp) else {
            self.orphans.fetch_sub(1, Ordering::AcqRel);
            return None;
        };
        lock(&lead.flight.crew).orphan = true;
        map.insert(key, Arc::clone(&lead.flight));
        Some(lead)
    }

    /// Takes a place among the fills that nobody waits for.
    fn take_orphan_place(&self) -> bool {
        let more = |orphans| (orphans < self.max_orphans).then_some(orphans + 1);
        self.orphans.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    fn launch(self: &Arc<Self>, key: Option<Key>, refresh: bool, stamp: Stamp) -> Option<Lead> {
        self.fills
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |fills| {
                (fills < self.max_fills).then_some(fills + 1)
            })
            .ok()?;
        let flight = Arc::new(Flight {
            end: watch::Sender::new(None),
            crew: Mutex::default(),
            cancel: Notify::new(),
            refresh,
            stamp,
        });
        Some(Lead { flights: Arc::clone(self), flight, key, announced: false })
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

    /// Whether a fill of `key` runs that others may join.
    pub(crate) fn is_filling(&self, key: &Key) -> bool {
        lock(&self.map).contains_key(key)
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

    /// Whether more than one request waits for it.
    pub(crate) fn is_followed(&self) -> bool {
        lock(&self.flight.crew).waiters > 1
    }

    /// It is another process's turn.
    pub(crate) fn await_turn(&self) {
        lock(&self.flight.crew).turn = Turn::Awaited;
    }

    /// The inner service is called now. If it was another process's turn before, followers count their patience anew.
    pub(crate) fn take_turn(&self) {
        let mut crew = lock(&self.flight.crew);
        if matches!(crew.turn, Turn::Awaited) {
            crew.turn = Turn::Since(Instant::now());
        }
    }

    /// Announces the end. Later words don't count.
    pub(crate) fn announce(&mut self, end: End) {
        if std::mem::replace(&mut self.announced, true) {
            return;
        }
        // NOTE: leave the map first: whoever hears of the end and asks again must not join this flight.
        if let Some(key) = self.key {
            let mut map = lock(&self.flights.map);
            // One that was overtaken has left its place to another.
            if map.get(&key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
                map.remove(&key);
            }
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
    /// Since when it has been this process's turn, if it was another's before.
    pub(crate) fn turn(&self) -> Option<Instant> {
        match lock(&self.flight.crew).turn {
            Turn::Own => None,
            // Its patience with the other process began before ours did: it is at its end.
            Turn::Awaited => Some(Instant::now()),
            Turn::Since(turn) => Some(turn),
        }
    }

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
        let goes_on = self.flights.finish || self.flight.refresh;
        if goes_on && self.flights.take_orphan_place() {
            crew.orphan = true;
        } else {
            self.flight.cancel.notify_one();
        }
    }
}

/// The guarded values are whole between any two statements, so a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
