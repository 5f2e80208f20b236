//! The circuit breaker: a shared tier that fails its reads is left alone until it shows life.
//!
//! ```text
//!            5 failed reads in a row                 the wait is over, and somebody asks
//!   closed ──────────────────────────▶  open  ──────────────────────────────────────────▶  half-open
//!     ▲                                  ▲                                                   │    │
//!     │                                  └────────── no life: the wait doubles ──────────────┘    │
//!     └───────────────────────────────────── a sign of life ──────────────────────────────────────┘
//! ```
//!
//! Why only reads count: a full or read-only server refuses writes and answers reads, and those are what requests wait
//! for. Why a probe and not the next request: nobody shall wait for a server that is likely to be gone. The probe is a
//! task that a request starts, so that a handle without traffic has no task and sends nothing.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Store, StoreError};

/// Failed reads in a row that open it.
const FAILURES: u32 = 5;

/// The first and the longest wait from one probe's start to the next's.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A probe whose runtime polls it no more is given up this long after its limit.
const LOST: Duration = Duration::from_secs(1);

/// The circuit breaker of a shared tier.
pub(crate) struct Breaker {
    store: Arc<dyn Store>,
    probe_timeout: Duration,
    /// How often it opened and closed: even while closed, so that a read needs no lock.
    round: AtomicU64,
    /// Failed reads in a row.
    failures: AtomicU32,
    rejected: AtomicU64,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    phase: Phase,
    /// From the opening, or the last probe's start, to the next probe's.
    wait: Duration,
    /// The failure that opened it.
    cause: String,
    opened: u64,
    /// Probes so far; the number of the last.
    probes: u64,
}

#[derive(Clone, Copy)]
enum Phase {
    Closed,
    /// Until then there is no probe.
    Open(Instant),
    /// A probe is under way, which must be done by then.
    HalfOpen(Instant),
}

/// What the breaker did, for the stats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct BreakerStatus {
    /// `closed`, `open` or `half-open`.
    pub(crate) state: &'static str,
    /// Times it opened.
    pub(crate) opened: u64,
    /// Lookups that weren't sent.
    pub(crate) rejected: u64,
    /// Probes that were started.
    pub(crate) probes: u64,
}

/// Leave to read: the round in which it was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leave(u64);

impl Breaker {
    /// A closed breaker, whose probes take `probe_timeout` at most.
    pub(crate) fn new(store: Arc<dyn Store>, probe_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            store,
            probe_timeout,
            round: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            rejected: AtomicU64::new(0),
            state: Mutex::new(State {
                phase: Phase::Closed,
                wait: WAITS.0,
                cause: String::new(),
                opened: 0,
                probes: 0,
            }),
            changed: Notify::new(),
        })
    }

    /// Whether the store may be asked and written to.
    pub(crate) fn is_closed(&self) -> bool {
        self.round.load(Ordering::Acquire).is_multiple_of(2)
    }

    /// Leave to read; none while it isn't closed. Then a probe is started if one is due, and nobody waits for it.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Leave> {
        let round = self.round.load(Ordering::Acquire);
        if round.is_multiple_of(2) {
            return Some(Leave(round));
        }
        self.rejected.fetch_add(1, Ordering::Relaxed);
        self.probe_if_due();
        None
    }

    /// How a read came out that had leave. One from before the breaker last opened or closed says nothing about now.
    pub(crate) fn report(&self, leave: Leave, outcome: Result<(), &StoreError>) {
        match outcome {
            Ok(()) => {
                if self.failures.load(Ordering::Relaxed) > 0 && self.is_round(leave) {
                    self.failures.store(0, Ordering::Relaxed);
                }
            }
            // The first connects are under way, or the server's purge journal must be read before anything else: that is no
            // failure yet. It would never be read, if those who come meanwhile had the store suspended.
            Err(StoreError::Unavailable) if self.store.last_error().is_none() || self.is_connected() => {}
            // Others must not be kept from what answers them.
            Err(_) if self.store.answers_in_part() => {}
            Err(error) => self.failed(leave, error),
        }
    }

    fn failed(&self, leave: Leave, error: &StoreError) {
        let mut state = self.lock();
        if !self.is_round(leave) || self.failures.fetch_add(1, Ordering::Relaxed) + 1 < FAILURES {
            return;
        }
        state.opened += 1;
        state.cause = self.store.last_error().unwrap_or_else(|| error.to_string());
        state.wait = WAITS.0;
        state.phase = Phase::Open(Instant::now() + state.wait);
        // NOTE: the round first: once the store is suspended, no read has leave.
        self.round.fetch_add(1, Ordering::AcqRel);
        self.store.suspend(true);
        drop(state);
        tracing::warn!(
            failure = kind(error),
            "the shared tier failed {FAILURES} reads in a row; requests go on without it until it answers a probe"
        );
        self.changed.notify_waiters();
    }

    /// Whether the store is ready, or is so in time: the caller has a limit. While the breaker is open this takes a
    /// probe, which keeps its distance from the one before.
    pub(crate) async fn ready(self: &Arc<Self>) -> bool {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.probe_if_due() {
                Some(until) => drop(timeout_at(until, changed).await),
                None => {
                    if let Either::Left((ready, _)) = select(self.store.ready(), changed).await {
                        return ready.is_ok();
                    }
                }
            }
        }
    }

    /// Starts a probe if the wait is over. When to look again; `None`: it is closed.
    fn probe_if_due(self: &Arc<Self>) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.lock();
        let (Phase::Open(until) | Phase::HalfOpen(until)) = state.phase else { return None };
        if now < until {
            return Some(until);
        }
        let next = now + self.probe_timeout + LOST;
        // The next one within a runtime will do it.
        let Ok(runtime) = Handle::try_current() else { return Some(next) };
        state.probes += 1;
        state.phase = Phase::HalfOpen(next);
        let probe = Probe { breaker: Arc::clone(self), number: state.probes, started: now, alive: false };
        // NOTE: a closing runtime drops the task at once, and the probe's drop locks the state.
        drop(state);
        runtime.spawn(probe.run());
        Some(next)
    }

    fn probed(&self, probe: &Probe) {
        let mut state = self.lock();
        // One that was given up may end after all, while another is under way.
        if !matches!(state.phase, Phase::HalfOpen(_)) || state.probes != probe.number {
            return;
        }
        if probe.alive {
            state.phase = Phase::Closed;
            self.failures.store(0, Ordering::Relaxed);
            self.round.fetch_add(1, Ordering::AcqRel);
            self.store.suspend(false);
        } else {
            state.wait = state.wait.saturating_mul(2).min(WAITS.1);
            state.phase = Phase::Open(probe.started + state.wait);
        }
        drop(state);
        if probe.alive {
            tracing::info!("the shared tier answers again");
        }
        self.changed.notify_waiters();
    }

    /// The counters.
    pub(crate) fn status(&self) -> BreakerStatus {
        let state = self.lock();
        BreakerStatus {
            state: match state.phase {
                Phase::Closed => "closed",
                Phase::Open(_) => "open",
                Phase::HalfOpen(_) => "half-open",
            },
            opened: state.opened,
            rejected: self.rejected.load(Ordering::Relaxed),
            probes: state.probes,
        }
    }

    /// Why it isn't closed, in the words of the store; `None` while it is.
    pub(crate) fn cause(&self) -> Option<String> {
        if self.is_closed() {
            return None;
        }
        Some(self.store.last_error().unwrap_or_else(|| self.lock().cause.clone()))
    }

    fn is_connected(&self) -> bool {
        self.store.pool().connections_created > 0
    }

    fn is_round(&self, leave: Leave) -> bool {
        self.round.load(Ordering::Acquire) == leave.0
    }

    /// The state is whole between any two statements, so a panic of the store leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Breaker").field(&self.status()).finish()
    }
}

/// A failure without its text, which may be that of anybody's store.
const fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable => "unavailable",
        StoreError::Timeout => "timeout",
        StoreError::Connection(_) => "connection",
        StoreError::Server(_) | StoreError::Unsupported(_) => "server",
    }
}

/// The probe that is under way. Dropped, with its runtime or by a store's panic, it has failed.
struct Probe {
    breaker: Arc<Breaker>,
    number: u64,
    started: Instant,
    alive: bool,
}

impl Probe {
    async fn run(mut self) {
        let sign = timeout(self.breaker.probe_timeout, self.breaker.store.probe()).await;
        self.alive = matches!(sign, Ok(Ok(())));
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.breaker.probed(self);
    }
}

#[cfg(test)]
mod tests;
