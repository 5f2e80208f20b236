//! Requests and fills around a flight map, as the drive makes them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::{Either, select};
use shuttle::future::{JoinHandle, block_on, spawn, yield_now};
use shuttle::rand::{Rng as _, thread_rng};
use tokio::sync::watch;

use crate::config::LimitsConfig;
use crate::flight::End;
use crate::flight::map::{Flights, Joined, Lead, Waiter};
use crate::key::Key;
use crate::purge::{START, never};

/// Keys of a world.
const KEYS: usize = 3;

/// Fills a request waits for before it goes by itself.
const FLIGHTS: usize = 2;

/// Steps that a request which hangs up takes before, at most.
const STEPS: usize = 6;

/// What a fill does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Store,
    /// Announces only after many steps, and stays for some more.
    StoreSlowly,
    Refuse,
    Fail,
    /// The fill's future is dropped in the middle.
    Drop,
    /// The fill panics in the middle.
    Panic,
    /// Comes to no end before the gate is open.
    Hang,
}

/// Whether a request waits to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Endless,
    /// Hangs up after some steps.
    Short,
}

/// A map, and what must be true of it. The counters here are the standard ones: looking at them is no step of a schedule.
pub(crate) struct World {
    pub(crate) flights: Arc<Flights>,
    limits: LimitsConfig,
    /// Fills of the map under way, by key.
    under_way: [AtomicUsize; KEYS],
    /// Fills of the map so far, by key.
    launched: [AtomicUsize; KEYS],
    /// The next fill's number.
    next: AtomicUsize,
    cancelled: AtomicUsize,
    /// Fills that ended without a word.
    silent: AtomicUsize,
    gate: watch::Sender<bool>,
    fills: Mutex<Vec<JoinHandle<()>>>,
}

impl World {
    pub(crate) fn new(max_fills: usize, max_orphan_fills: usize) -> Arc<Self> {
        Self::with(LimitsConfig { max_fills, max_orphan_fills, finish_fills: true })
    }

    pub(crate) fn with(limits: LimitsConfig) -> Arc<Self> {
        Arc::new(Self {
            flights: Flights::new(&limits),
            limits,
            under_way: Default::default(),
            launched: Default::default(),
            next: AtomicUsize::new(0),
            cancelled: AtomicUsize::new(0),
            silent: AtomicUsize::new(0),
            gate: watch::Sender::new(false),
            fills: Mutex::default(),
        })
    }

    /// Fills of the map for a key so far.
    fn launched(&self, key: usize) -> usize {
        self.launched[key].load(Ordering::SeqCst)
    }

    pub(crate) fn cancelled(&self) -> usize {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Lets fills end that hang.
    pub(crate) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    /// What holds at every moment.
    pub(crate) fn check(&self) {
        assert!(self.flights.fills() <= self.limits.max_fills, "too many fills");
        assert!(self.flights.orphans() <= self.limits.max_orphan_fills, "too many fills without a waiter");
    }

    /// Starts a request. The key's first fill goes this way; all later ones store.
    pub(crate) fn request(self: &Arc<Self>, key: usize, first: Way, patience: Patience) -> JoinHandle<Heard> {
        let world = Arc::clone(self);
        spawn(async move { world.drive(Key(key), first, patience).await })
    }

    async fn drive(self: Arc<Self>, key: Key, way: Way, patience: Patience) -> Heard {
        let mut ends = Vec::new();
        while ends.len() < FLIGHTS {
            let joined = self.flights.join(key, START, never);
            self.check();
            let waiter = match joined {
                Joined::Full => return Heard::Full,
                Joined::Lead(lead, waiter) => {
                    // Only one fill of a key can end without a word, so that two such ends are one that was heard twice.
                    let way = if self.launched(key.0) == 0 { way } else { Way::Store };
                    self.launch(lead, Some(key), way);
                    waiter
                }
                Joined::Follow(waiter) => waiter,
            };
            let Some(end) = hear(&waiter, patience).await else {
                drop(waiter);
                self.check();
                return Heard::HungUp;
            };
            drop(waiter);
            self.assert_news(&ends, &end);
            ends.push(end);
            match ends.last() {
                Some(End::Stored(_)) => return Heard::Ends(ends),
                Some(End::Refused(_)) => break,
                _ => {}
            }
        }
        let Some((lead, waiter)) = self.flights.solo(START) else { return Heard::Full };
        let number = self.launch(lead, None, Way::Store);
        ends.push(waiter.end().await);
        assert_eq!(ends.last(), Some(&End::Stored(number)), "a fill of one's own");
        Heard::Ends(ends)
    }

    /// Who heard an end and joins again is in another flight. Ends without a word are told apart by their count alone.
    fn assert_news(&self, heard: &[End], end: &End) {
        let before = heard.iter().filter(|before| *before == end).count();
        let may = if *end == End::Aborted { self.silent.load(Ordering::SeqCst) } else { 1 };
        assert!(before < may, "an ended flight was joined, or none ended so: {end:?} after {heard:?}");
    }

    /// Starts a fill of the key that no request waits for, unless one runs or there is no room.
    pub(crate) fn refresh(self: &Arc<Self>, key: usize, way: Way) -> JoinHandle<bool> {
        let world = Arc::clone(self);
        spawn(async move {
            let lead = world.flights.refresh(Key(key), START, never);
            world.check();
            lead.map(|lead| world.launch(lead, Some(Key(key)), way)).is_some()
        })
    }

    /// Starts a fill; its number.
    pub(crate) fn launch(self: &Arc<Self>, lead: Lead, key: Option<Key>, way: Way) -> usize {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let taken_off = key.map(|key| TakenOff::new(self, key));
        let world = Arc::clone(self);
        let fill = spawn(async move {
            let cancelled = pin!(lead.cancelled());
            let mut filling = Box::pin(world.fill(lead, number, way, taken_off));
            let is_cancelled = matches!(select(&mut filling, cancelled).await, Either::Right(_));
            if is_cancelled {
                world.silent.fetch_add(1, Ordering::SeqCst);
                drop(filling);
                world.cancelled.fetch_add(1, Ordering::SeqCst);
            }
        });
        self.fills.lock().unwrap().push(fill);
        number
    }

    async fn fill(&self, mut lead: Lead, number: usize, way: Way, taken_off: Option<TakenOff>) {
        yield_now().await;
        let end = match way {
            Way::Store => End::Stored(number),
            Way::StoreSlowly => {
                for _ in 0..STEPS {
                    yield_now().await;
                }
                End::Stored(number)
            }
            Way::Refuse => End::Refused(number),
            Way::Fail => End::Failed(number),
            Way::Drop => {
                self.silent.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Way::Panic => {
                self.silent.fetch_add(1, Ordering::SeqCst);
                let unwinding = AssertUnwindSafe(move || {
                    let _both = (taken_off, lead);
                    resume_unwind(Box::new("a panic"));
                });
                assert!(catch_unwind(unwinding).is_err());
                return;
            }
            Way::Hang => {
                self.gate.subscribe().wait_for(|open| *open).await.unwrap();
                End::Stored(number)
            }
        };
        drop(taken_off);
        lead.announce(end);
        self.check();
        if way == Way::StoreSlowly {
            yield_now().await;
        }
    }

    /// Waits for the fills, and asserts that nothing is left.
    pub(crate) async fn end(&self) {
        loop {
            let Some(fill) = self.fills.lock().unwrap().pop() else { break };
            fill.await.unwrap();
        }
        self.assert_empty();
        for key in (0..KEYS).map(Key) {
            let joined = self.flights.join(key, START, never);
            assert!(matches!(joined, Joined::Lead(..)), "the flight of {key:?} is still in the map");
        }
        self.assert_empty();
    }

    fn assert_empty(&self) {
        let left = (self.flights.fills(), self.flights.followers(), self.flights.orphans());
        assert_eq!(left, (0, 0, 0), "fills, followers and orphans are left");
    }
}

/// What a request heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// These ends, in this order.
    Ends(Vec<End>),
    Full,
    HungUp,
}

/// The end of the waiter's fill; none if the request hung up before.
async fn hear(waiter: &Waiter, patience: Patience) -> Option<End> {
    if patience == Patience::Endless {
        return Some(waiter.end().await);
    }
    let steps = thread_rng().gen_range(0..STEPS);
    let hang_up = async {
        for _ in 0..steps {
            yield_now().await;
        }
    };
    match select(pin!(waiter.end()), pin!(hang_up)).await {
        Either::Left((end, _)) => Some(end),
        Either::Right(_) => None,
    }
}

/// A fill of the map that is under way: its key has no other.
struct TakenOff {
    world: Arc<World>,
    key: Key,
}

impl TakenOff {
    fn new(world: &Arc<World>, key: Key) -> Self {
        let before = world.under_way[key.0].fetch_add(1, Ordering::SeqCst);
        assert_eq!(before, 0, "two fills of {key:?} at once");
        world.launched[key.0].fetch_add(1, Ordering::SeqCst);
        Self { world: Arc::clone(world), key }
    }
}

impl Drop for TakenOff {
    fn drop(&mut self) {
        self.world.under_way[self.key.0].fetch_sub(1, Ordering::SeqCst);
    }
}

/// Awaits all requests.
pub(crate) async fn all(requests: Vec<JoinHandle<Heard>>) -> Vec<Heard> {
    let mut heard = Vec::new();
    for request in requests {
        heard.push(request.await.unwrap());
    }
    heard
}

/// Runs a model.
pub(crate) fn run(model: impl Future<Output = ()>) {
    block_on(model);
}
