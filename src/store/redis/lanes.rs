//! The lanes by role, the pick of one for a request, and growth.
//!
//! Two read lanes beat one from 256 requests in flight on, and more than two only split what would go out in one
//! write. So reads go round the two until both are crowded, and overflow to further lanes, which open when the crowd
//! has lasted. Writes have a lane of their own, and large values another: a `GET` must not queue behind a megabyte.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Object, Pool, PoolConfig, Timeouts};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use super::crowd::Crowd;
use super::failure;
use super::identity::Trust;
use super::keeper::{Slot, keep, try_once};
use super::lane::Lane;
use super::manager::Manager;
use super::sentinel::Sentinels;
use super::settings::Settings;
use super::trouble::Trouble;
use crate::error::ConfigError;
use crate::store::{PoolStatus, StoreError};

/// Requests that wait on a lane before it counts as crowded.
const CROWD: usize = 256;

/// How long [`Lanes::ready`] waits before it starts connects anew that ended without a word.
const REOPEN: Duration = Duration::from_secs(1);

/// Values above this many bytes go over the bulk lane.
const LARGE: usize = 64 << 10;

/// Commands that wait inside redis-rs, for lanes that read, that write, and that do both. Those of writes hold their
/// values even after their callers gave up.
const BUFFERS: (usize, usize, usize) = (1024, 8, 64);

/// All lanes of a store.
pub(super) struct Lanes {
    /// The read lanes, the write lane, the bulk lane, further read lanes; as far as there may be so many.
    slots: Vec<Slot>,
    /// Read lanes that are always there: the first slots.
    reads: usize,
    /// The write lane's slot.
    write: usize,
    /// The bulk lane's slot.
    bulk: Option<usize>,
    readers: Pool<Manager>,
    writers: Pool<Manager>,
    turn: AtomicUsize,
    crowd: Crowd,
    trouble: Trouble,
    trust: Trust,
    /// Who tells where the server is.
    sentinels: Option<Arc<Sentinels>>,
    /// When a lane on demand last couldn't be had.
    refused: Mutex<Option<Instant>>,
    changed: Notify,
    suspended: watch::Sender<bool>,
    closed: watch::Receiver<()>,
}

impl Lanes {
    /// Lanes that connect on demand. `closed` ends their keepers.
    pub(super) fn new(settings: &Settings, closed: watch::Receiver<()>) -> Result<Self, ConfigError> {
        let lanes = settings.max_lanes;
        let (reads, write) = match lanes {
            0 | 1 => (1, 0),
            2 => (1, 1),
            _ => (2, 2),
        };
        let bulk = (lanes > 3).then_some(3);
        let (reading, writing, both) = BUFFERS;
        let pool = |buffer| pool(settings, buffer);
        Ok(Self {
            slots: (0..lanes).map(|index| Slot::new(index > write)).collect(),
            reads,
            write,
            bulk,
            readers: pool(if write == 0 { both } else { reading })?,
            writers: pool(writing)?,
            turn: AtomicUsize::new(0),
            crowd: Crowd::new(),
            trouble: Trouble::default(),
            trust: Trust::new(),
            sentinels: settings.sentinels.clone(),
            refused: Mutex::default(),
            changed: Notify::new(),
            suspended: watch::Sender::new(false),
            closed,
        })
    }

    /// A lane for a read, or none while none is up; then connects are under way. Neither waits nor allocates.
    pub(super) fn read(self: &Arc<Self>) -> Option<Arc<Lane>> {
        let turn = self.turn.fetch_add(1, Relaxed);
        let mut least: Option<Arc<Lane>> = None;
        let standing = (0..self.reads).map(|step| turn.wrapping_add(step) % self.reads);
        for index in standing.chain(self.further()) {
            match self.trusted(index) {
                Some(lane) if lane.outstanding() < CROWD => {
                    self.crowd.dissolve();
                    return Some(lane);
                }
                Some(lane) => least = Some(lighter(least, lane)),
                None if index < self.reads => self.open(),
                None => {}
            }
        }
        if least.is_some() && self.crowd.lasts() {
            self.grow();
        }
        least
    }

    /// A lane for a write of `size` bytes. While the first connects are under way it waits for them: what the very
    /// first requests bring is worth storing.
    pub(super) async fn write(self: &Arc<Self>, size: usize) -> Result<Arc<Lane>, StoreError> {
        // Once and not in the loop: a closing runtime drops a keeper at once, which wakes this very call.
        if self.lane(self.write).is_none() {
            self.open();
        }
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(lane) = self.write_now(size) {
                return Ok(lane);
            }
            let is_barred = self.lane(self.write).is_some_and(|lane| !self.trust.allows(lane.server()));
            if is_barred || self.trouble.text().is_some() || !self.is_kept(self.write) {
                return Err(StoreError::Unavailable);
            }
            changed.await;
        }
    }

    fn write_now(self: &Arc<Self>, size: usize) -> Option<Arc<Lane>> {
        let lane = self.trusted(self.write)?;
        let Some(bulk) = self.bulk.filter(|_| size > LARGE) else { return Some(lane) };
        Some(self.trusted(bulk).unwrap_or_else(|| {
            keep(self, bulk);
            lane
        }))
    }

    /// Resolves when a read lane is up.
    pub(super) async fn ready(self: &Arc<Self>) {
        self.open();
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.up().is_some() {
                return;
            }
            if (0..self.reads).any(|index| self.is_kept(index)) {
                changed.await;
            } else {
                // Not at once: where a keeper ends with a closing runtime, or for want of I/O, so does the next.
                sleep(REOPEN).await;
                self.open();
            }
        }
    }

    /// Whether a read lane is up, once that is known: its connect may be under way.
    pub(super) async fn tried(self: &Arc<Self>) -> bool {
        self.open();
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.up().is_some() {
                return true;
            }
            if self.trouble.text().is_some() || !self.is_kept(0) {
                return false;
            }
            changed.await;
        }
    }

    /// A read lane, if one is up.
    pub(super) fn up(&self) -> Option<Arc<Lane>> {
        (0..self.reads).chain(self.further()).find_map(|index| self.lane(index))
    }

    /// The first read lane, connected for if it isn't up: once, even while the store is suspended.
    pub(super) async fn connect_once(self: &Arc<Self>) -> Result<Arc<Lane>, StoreError> {
        let mut tried = false;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(lane) = self.lane(0) {
                return Ok(lane);
            }
            if self.is_kept(0) {
                changed.await;
            } else if std::mem::replace(&mut tried, true) {
                return Err(StoreError::Unavailable);
            } else {
                try_once(self, 0);
            }
        }
    }

    /// While suspended, no lane is connected but by [`connect_once`](Self::connect_once), and none is probed when idle.
    /// Afterwards those that are up are looked after at once: they weren't for long.
    pub(super) fn suspend(self: &Arc<Self>, suspended: bool) {
        self.suspended.send_replace(suspended);
        if !suspended {
            self.suspect();
            self.open();
        }
    }

    pub(super) fn is_suspended(&self) -> bool {
        *self.suspended.borrow()
    }

    /// Changes when the store is suspended or is so no more.
    pub(super) fn suspension(&self) -> watch::Receiver<bool> {
        self.suspended.subscribe()
    }

    /// Gives up every lane.
    pub(super) fn give_up(&self) {
        self.slots.iter().filter_map(Slot::lane).for_each(|lane| lane.break_off());
    }

    /// Starts the connects of all lanes that are always there, unless they are under way.
    fn open(self: &Arc<Self>) {
        for index in 0..=self.write {
            keep(self, index);
        }
    }

    /// Starts the connect of one further read lane.
    fn grow(self: &Arc<Self>) {
        if let Some(index) = self.further().find(|index| !self.is_kept(*index)) {
            keep(self, index);
        }
    }

    /// The slots of further read lanes.
    fn further(&self) -> std::ops::Range<usize> {
        self.bulk.map_or(0..0, |bulk| bulk + 1..self.slots.len())
    }

    fn is_kept(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(Slot::is_kept)
    }

    fn lane(&self, index: usize) -> Option<Arc<Lane>> {
        self.slots.get(index)?.lane()
    }

    /// A lane that may be used for what is stored.
    fn trusted(&self, index: usize) -> Option<Arc<Lane>> {
        self.lane(index).filter(|lane| self.trust.allows(lane.server()))
    }

    /// From now on only lanes to this server may be used, those of any for `None`. Others are replaced: they were made
    /// before it was known to be the one.
    pub(super) fn trust(&self, server: Option<&str>) {
        self.trust.set(server);
        let lanes = self.slots.iter().filter_map(Slot::lane);
        lanes.filter(|lane| !self.trust.allows(lane.server())).for_each(|lane| lane.dismiss());
        self.changed();
    }

    /// Changes when a lane leads to a server that isn't the trusted one.
    pub(super) fn strangers(&self) -> watch::Receiver<u64> {
        self.trust.strangers()
    }

    /// Counts from the lanes themselves: to deadpool, a held lane is never available.
    pub(super) fn status(&self) -> PoolStatus {
        let open = self.slots.iter().filter_map(Slot::lane);
        let (created, in_use) = open.fold((0, 0), |(created, in_use), lane| {
            (created + 1, in_use + usize::from(lane.outstanding() > 0))
        });
        PoolStatus {
            max_connections: self.slots.len(),
            connections_created: created,
            available_connections: created - in_use,
            in_use_connections: in_use,
        }
    }

    /// Why no lane is up, if so.
    pub(super) fn last_error(&self) -> Option<String> {
        self.trouble.text()
    }

    /// Who tells where the server is, if anybody.
    pub(super) fn sentinels(&self) -> Option<&Sentinels> {
        self.sentinels.as_deref()
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Changes when the store is dropped.
    pub(super) fn closed(&self) -> watch::Receiver<()> {
        self.closed.clone()
    }

    /// Makes the lane for a slot. Bounded by the connect time-out.
    pub(super) async fn connect(&self, index: usize) -> Result<Object<Manager>, StoreError> {
        let writes = self.write > 0 && (index == self.write || Some(index) == self.bulk);
        let pool = if writes { &self.writers } else { &self.readers };
        pool.get().await.map_err(|error| failure::connect(&error))
    }

    /// A lane is up, in its slot.
    pub(super) fn passed(&self, lane: &Lane) {
        self.trouble.passed();
        self.trust.meet(lane.server());
        self.changed();
    }

    /// A connect failed.
    pub(super) fn failed(&self, error: &StoreError) {
        self.trouble.failed(error);
        self.changed();
    }

    /// A lane on demand couldn't be had, or broke soon.
    pub(super) fn refused(&self) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Since when no lane on demand can be had, if the last one couldn't.
    pub(super) fn refused_for(&self) -> Option<Duration> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// A lane that is always there broke.
    pub(super) fn broke(&self) {
        self.trouble.broke();
        self.changed();
    }

    /// What broke one lane may have broken the others, which would notice only at their next request.
    pub(super) fn suspect(&self) {
        self.slots.iter().filter_map(Slot::lane).for_each(|lane| lane.suspect());
    }

    /// Wakes those who wait for a lane.
    pub(super) fn changed(&self) {
        self.changed.notify_waiters();
    }
}

fn lighter(a: Option<Arc<Lane>>, b: Arc<Lane>) -> Arc<Lane> {
    match a {
        Some(a) if a.outstanding() <= b.outstanding() => a,
        _ => b,
    }
}

fn pool(settings: &Settings, buffer: usize) -> Result<Pool<Manager>, ConfigError> {
    let limit = Some(settings.connect_timeout);
    let timeouts = Timeouts { wait: limit, create: limit, recycle: limit };
    let config = PoolConfig { timeouts, ..PoolConfig::new(settings.max_lanes) };
    let manager = Manager::new(settings, buffer).map_err(|error| unusable(error.category().to_owned()))?;
    Pool::builder(manager)
        .config(config)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|_| unusable("no pool could be made".to_owned()))
}

/// A URL that passed our own checks and not those of redis-rs.
pub(super) fn unusable(problem: String) -> ConfigError {
    ConfigError::Value { name: "redis.url".into(), problem, accepted: "a URL that redis-rs can use" }
}
