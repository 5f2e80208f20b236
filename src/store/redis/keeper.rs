//! A slot and its keeper: the task that fills the slot with a lane, watches the lane, and replaces it when it broke.
//!
//! While the store is suspended a keeper sends nothing: one without a lane ends, one with a lane only waits for the
//! lane's end. The one connect that is made then is asked for by the probe.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use deadpool::managed::Object;
use futures_util::future::{Either, select};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::lane::Lane;
use super::lanes::Lanes;

/// How often a keeper looks at its lane.
const TICK: Duration = Duration::from_millis(250);

/// A lane that owes replies and gives none for this long is retired.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// A lane without traffic for this long is probed: servers, proxies and firewalls drop idle connections silently.
const IDLE_PROBE: Duration = Duration::from_secs(30);

/// A lane that was opened on demand and isn't needed for this long is closed.
const IDLE_CLOSE: Duration = Duration::from_secs(60);

/// First and longest wait between connects. After a lane on demand couldn't be had, none is tried for the longest: a
/// server that is at its `maxclients` shall not be asked anew for each large value.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A place for a lane.
pub(super) struct Slot {
    /// Opened on demand, and closed when idle.
    pub(super) on_demand: bool,
    lane: RwLock<Option<Arc<Lane>>>,
    kept: AtomicBool,
}

impl Slot {
    pub(super) fn new(on_demand: bool) -> Self {
        Self { on_demand, lane: RwLock::new(None), kept: AtomicBool::new(false) }
    }

    /// The lane, if one is up.
    pub(super) fn lane(&self) -> Option<Arc<Lane>> {
        let lane = self.lane.read().unwrap_or_else(PoisonError::into_inner);
        lane.as_ref().filter(|lane| !lane.is_broken()).cloned()
    }

    /// Whether a keeper is at work.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }

    fn put(&self, lane: Option<Arc<Lane>>) {
        *self.lane.write().unwrap_or_else(PoisonError::into_inner) = lane;
    }
}

/// Gives the slot at `index` a keeper, unless it has one or was refused a lane just now, or the store is suspended.
/// Outside a runtime nothing happens.
pub(super) fn keep(lanes: &Arc<Lanes>, index: usize) {
    start(lanes, index, false);
}

/// Gives the slot at `index` a keeper that connects once, even while the store is suspended.
pub(super) fn try_once(lanes: &Arc<Lanes>, index: usize) {
    start(lanes, index, true);
}

fn start(lanes: &Arc<Lanes>, index: usize, probes: bool) {
    let Some(slot) = lanes.slots().get(index) else { return };
    if slot.is_kept()
        || (lanes.is_suspended() && !probes)
        || (slot.on_demand && lanes.refused_for().is_some_and(|time| time < BACKOFF.1))
    {
        return;
    }
    let Ok(runtime) = Handle::try_current() else { return };
    if slot.kept.swap(true, Ordering::AcqRel) {
        return;
    }
    let keeper = Keeper { lanes: Arc::clone(lanes), index, probes };
    runtime.spawn(async move {
        let mut closed = keeper.lanes.closed();
        let store_dropped = std::pin::pin!(closed.changed());
        let work = std::pin::pin!(keeper.work());
        select(work, store_dropped).await;
    });
}

/// The work on one slot. Dropped with its runtime, it leaves the slot to the next keeper.
struct Keeper {
    lanes: Arc<Lanes>,
    index: usize,
    /// Whether the first connect is a probe's.
    probes: bool,
}

/// Why a lane was given up.
enum End {
    Broken,
    Idle,
    Dismissed,
}

impl Keeper {
    async fn work(&self) {
        let Some(slot) = self.lanes.slots().get(self.index) else { return };
        let mut backoff = Backoff::default();
        let mut probes = self.probes;
        loop {
            let connect = self.lanes.connect(self.index);
            let connected = match std::mem::take(&mut probes) {
                true => Some(connect.await),
                false => self.unless_suspended(connect).await,
            };
            let Some(connected) = connected else { return };
            match connected {
                // Without a lane on demand all goes on, only slower.
                Err(error) if slot.on_demand => {
                    tracing::debug!(%error, "no further Redis connection");
                    self.lanes.refused();
                    return;
                }
                Err(error) => {
                    self.lanes.failed(&error);
                    if self.unless_suspended(sleep(backoff.next())).await.is_none() {
                        return;
                    }
                }
                Ok(object) => {
                    let up = Instant::now();
                    slot.put(Some(Arc::clone(&object)));
                    self.lanes.passed(&object);
                    let end = self.watch(&object, slot.on_demand).await;
                    slot.put(None);
                    // Nobody shall get this connection again.
                    drop(Object::take(object));
                    if matches!(end, End::Broken) {
                        self.lanes.suspect();
                    }
                    let short = up.elapsed() < PATIENCE;
                    if slot.on_demand {
                        if short && !matches!(end, End::Dismissed) {
                            self.lanes.refused();
                        }
                        return;
                    }
                    match end {
                        End::Dismissed => self.lanes.changed(),
                        End::Broken | End::Idle => self.lanes.broke(),
                    }
                    if !short {
                        backoff = Backoff::default();
                    } else if self.unless_suspended(sleep(backoff.next())).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Resolves when the lane shall be given up, also because its server isn't the master any more.
    async fn watch(&self, lane: &Lane, on_demand: bool) -> End {
        let watching = std::pin::pin!(watch(lane, on_demand, self.lanes.suspension()));
        let Some(sentinels) = self.lanes.sentinels() else { return watching.await };
        let overtaken = std::pin::pin!(sentinels.overtook(lane, self.lanes.suspension()));
        match select(watching, overtaken).await {
            Either::Left((end, _)) => end,
            Either::Right(_) => {
                tracing::warn!("a Redis server isn't the master any more");
                self.lanes.give_up();
                End::Broken
            }
        }
    }

    /// `work`, unless the store is suspended first.
    async fn unless_suspended<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut suspension = self.lanes.suspension();
        let suspended = std::pin::pin!(suspension.wait_for(|suspended| *suspended));
        match select(suspended, std::pin::pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(slot) = self.lanes.slots().get(self.index) {
            // What drives the connection may have ended with the runtime.
            if let Some(lane) = slot.lane() {
                lane.break_off();
            }
            slot.put(None);
            slot.kept.store(false, Ordering::Release);
        }
        self.lanes.changed();
    }
}

/// Resolves when the lane shall be given up.
///
/// redis-rs says neither that a connection was closed nor that its server is silent: time-outs leave it in service for
/// ever. So a lane is probed when a request gave up on it, when requests wait and no reply came since the last
/// look, and when it was idle for long. While the store is suspended it isn't probed, and goes by what it hears.
async fn watch(lane: &Lane, on_demand: bool, mut suspension: watch::Receiver<bool>) -> End {
    let (mut abandoned, mut replies) = (lane.abandoned(), lane.replies());
    let mut used = Instant::now();
    let mut probed = used;
    loop {
        let alarmed = timeout(TICK, lane.alarmed()).await.is_ok();
        if lane.is_dismissed() {
            return End::Dismissed;
        }
        if lane.is_broken() {
            return End::Broken;
        }
        let silent = lane.outstanding() > 0 && lane.replies() == replies;
        let given_up = lane.abandoned() != abandoned;
        if silent || given_up || lane.replies() != replies {
            used = Instant::now();
        }
        if on_demand && used.elapsed() >= IDLE_CLOSE {
            return End::Idle;
        }
        (abandoned, replies) = (lane.abandoned(), lane.replies());
        if alarmed || silent || given_up || (used.elapsed() >= IDLE_PROBE && probed.elapsed() >= IDLE_PROBE) {
            // NOTE: asked first, so that nothing is sent while suspended.
            let suspended = std::pin::pin!(suspension.wait_for(|suspended| *suspended));
            match select(suspended, std::pin::pin!(lane.answers(PATIENCE))).await {
                Either::Left(_) | Either::Right((true, _)) => probed = Instant::now(),
                Either::Right((false, _)) => {
                    lane.break_off();
                    return End::Broken;
                }
            }
        }
    }
}

/// Waits between connects: doubling, up to a limit, of random length so that replicas don't knock in step.
#[derive(Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Between a half and the whole of the doubled wait.
    pub(super) fn next(&mut self) -> Duration {
        let (first, longest) = BACKOFF;
        let wait = first.saturating_mul(1_u32.checked_shl(self.tries).unwrap_or(u32::MAX)).min(longest);
        self.tries = self.tries.saturating_add(1).min(16);
        let random = RandomState::new().hash_one(self.tries);
        let fraction = f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX);
        wait.mul_f64(0.5 + fraction / 2.0)
    }
}

#[cfg(test)]
mod tests;
