//! A store that misbehaves on demand.
//!
//! Which operation is struck is decided when it is called, in the order of the calls: that is what a script or a seed
//! refers to. The faults are asked in the order in which they were injected, each counts all the operations that it is
//! for, and the first one that is due strikes.

mod forward;
mod journal;
mod operation;
mod rule;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::watch;

pub use self::operation::{FaultCounts, Operation};
pub use self::rule::Fault;
use self::rule::{Corruption, Effect};
use crate::key::Key;
use crate::store::{Store, StoreError};

/// A [`Store`] over another one, in front of which faults are injected: to test how a service of one's own takes it.
///
/// Clones are one store. Keep one, to inject faults and to lift them while the service runs.
///
/// Struck can be every operation, also those of [`Leases`](crate::Leases) and the [`Journal`](crate::Journal); [`pool`](Store::pool),
/// [`last_error`](Store::last_error) and [`suspend`](Store::suspend) go through as they are. What was struck goes to
/// the store behind after its delay or hang, and not at all if it fails. A fault is one of the whole store, which never
/// [answers in part](Store::answers_in_part). Nothing runs in the background: an operation
/// whose future is dropped is over.
///
/// ```
/// use std::{convert::Infallible, sync::Arc, time::Duration};
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Layer as _, ServiceExt as _, service_fn};
/// use tower_query_cache::test_util::{Fault, FaultStore, MemoryStore, Operation};
/// use tower_query_cache::{Policy, QueryCache, StoreError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let faults = FaultStore::new(Arc::new(MemoryStore::new(1000)));
/// let cache = QueryCache::builder().store(Arc::new(faults.clone())).build()?;
/// let service = cache.layer(Policy::ttl(Duration::from_secs(60))).layer(service_fn(
///     async |_: Request<Full<&'static [u8]>>| Ok::<_, Infallible>(Response::new(Full::from("page"))),
/// ));
///
/// // Until the journal of purges is known nothing is looked up.
/// assert!(cache.ready(Duration::from_secs(5)).await);
///
/// // Every lookup hangs, and yet the answer comes.
/// let hang = faults.inject(Fault::hang().on([Operation::Get]));
/// let request = Request::get("/").body(Full::default())?;
/// assert_eq!(service.oneshot(request).await?.status(), 200);
/// assert_eq!(faults.counts().struck(Operation::Get), 1);
/// hang.lift();
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FaultStore(Arc<Shared>);

struct Shared {
    inner: Arc<dyn Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rules: Vec<Arc<Rule>>,
    counts: FaultCounts,
    /// The latest value of each of the last two keys, newest last.
    latest: VecDeque<(Key, Bytes)>,
}

/// A fault that was injected.
struct Rule {
    fault: Fault,
    progress: Mutex<Progress>,
    lifted: watch::Sender<bool>,
    hanging: AtomicUsize,
}

#[derive(Default)]
struct Progress {
    /// Operations that the fault is for.
    seen: u64,
    struck: u64,
}

/// What happens to one operation.
struct Strike {
    rule: Arc<Rule>,
    delay: Duration,
    effect: Effect,
}

/// A fault that was injected; see [`FaultStore::inject`]. Its drop changes nothing.
#[derive(Clone)]
pub struct InjectedFault {
    rule: Arc<Rule>,
    shared: Arc<Shared>,
}

impl FaultStore {
    /// A store that does what `inner` does, until faults are injected.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self(Arc::new(Shared { inner, state: Mutex::default() }))
    }

    /// From now on the fault strikes, until it is lifted or has struck as often as it may.
    pub fn inject(&self, fault: Fault) -> InjectedFault {
        let rule = Arc::new(Rule {
            fault,
            progress: Mutex::default(),
            lifted: watch::Sender::new(false),
            hanging: AtomicUsize::new(0),
        });
        let mut state = self.0.lock();
        state.rules.retain(|rule| !rule.is_over());
        state.rules.push(Arc::clone(&rule));
        InjectedFault { rule, shared: Arc::clone(&self.0) }
    }

    /// Lifts all faults. What hangs goes on.
    pub fn clear(&self) {
        let rules = std::mem::take(&mut self.0.lock().rules);
        rules.iter().for_each(|rule| rule.lift());
    }

    /// Operations so far, and those that were struck. A corruption counts once there is a value that it changed.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.0.lock().counts.clone()
    }

    /// Operations that hang now.
    #[must_use]
    pub fn hanging(&self) -> usize {
        self.0.lock().rules.iter().map(|rule| rule.hanging.load(Ordering::Relaxed)).sum()
    }
}

impl InjectedFault {
    /// The fault strikes no more. What hangs for it goes on.
    pub fn lift(&self) {
        self.shared.lock().rules.retain(|rule| !Arc::ptr_eq(rule, &self.rule));
        self.rule.lift();
    }

    /// How often it has struck.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.rule.lock().struck
    }
}

impl Rule {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lift(&self) {
        self.lifted.send_replace(true);
    }

    /// Whether it has struck as often as it may, and nothing hangs for it.
    fn is_over(&self) -> bool {
        self.lock().struck >= self.fault.times && self.hanging.load(Ordering::Relaxed) == 0
    }

    /// FaultCounts an operation; what happens to it.
    fn meet(&self, operation: Operation) -> Option<(Duration, Effect)> {
        let mut progress = self.lock();
        let number = progress.seen;
        progress.seen += 1;
        if progress.struck >= self.fault.times || *self.lifted.borrow() {
            return None;
        }
        self.fault.strike(number, operation)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// FaultCounts an operation; what happens to it.
    fn strike(&self, operation: Operation, key: Option<&Key>) -> Option<Strike> {
        let mut rules = self.lock().rules.clone();
        // Outside of the lock: whether a fault is for a key is asked of the test's own code.
        rules.retain(|rule| rule.fault.is_for(operation, key));

        let mut state = self.lock();
        state.counts.count(operation);
        let mut first = None;
        for rule in rules {
            if let Some((delay, effect)) = rule.meet(operation)
                && first.is_none()
            {
                first = Some(Strike { rule, delay, effect });
            }
        }
        // Whether a corruption strikes is known once there is a value.
        if let Some(strike) = &first
            && !matches!(strike.effect, Effect::Corrupt(_))
        {
            strike.rule.lock().struck += 1;
            state.counts.count_struck(operation);
        }
        first
    }

    /// What is handed out for a value that was found.
    fn corrupted(&self, key: &Key, value: Bytes, strike: &Strike) -> Bytes {
        let Effect::Corrupt(corruption) = strike.effect else { return value };
        let mut state = self.lock();
        let changed = match corruption {
            Corruption::Byte(at) => change_byte(&value, at),
            Corruption::Cut(length) => {
                value.len().checked_sub(1).map(|longest| value.slice(..length.min(longest)))
            }
            Corruption::OtherKey => {
                state.latest.iter().rev().find(|(other, _)| other != key).map(|(_, value)| value.clone())
            }
        };
        let mut progress = strike.rule.lock();
        match changed {
            // Of lookups under way at once more may have been chosen than it may strike.
            Some(changed) if progress.struck < strike.rule.fault.times => {
                progress.struck += 1;
                state.counts.count_struck(Operation::Get);
                changed
            }
            _ => value,
        }
    }

    fn remember(&self, key: &Key, value: &Bytes) {
        let mut state = self.lock();
        state.latest.retain(|(other, _)| other != key);
        if state.latest.len() >= 2 {
            state.latest.pop_front();
        }
        state.latest.push_back((*key, value.clone()));
    }
}

fn change_byte(value: &Bytes, at: usize) -> Option<Bytes> {
    let mut changed = value.to_vec();
    let byte = changed.get_mut(at.checked_rem(value.len())?)?;
    *byte ^= 1;
    Some(changed.into())
}

impl Strike {
    /// What happens before the operation, if anything does.
    async fn endure(&self) -> Result<(), StoreError> {
        if !self.delay.is_zero() {
            Handle::try_current().map_err(|_| StoreError::Unavailable)?;
            tokio::time::sleep(self.delay).await;
        }
        match &self.effect {
            Effect::Pass | Effect::Corrupt(_) => {}
            Effect::Error(error) => return Err(error.clone()),
            Effect::Hang => self.hang().await,
        }
        Ok(())
    }

    async fn hang(&self) {
        let _hanging = Hanging::new(&self.rule.hanging);
        // The sender lives in the rule that `self` keeps: it can't be gone.
        self.rule.lifted.subscribe().wait_for(|lifted| *lifted).await.ok();
    }
}

/// FaultCounts an operation that hangs until this is dropped.
struct Hanging<'a>(&'a AtomicUsize);

impl<'a> Hanging<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        let faults: Vec<_> = state.rules.iter().map(|rule| &rule.fault).collect();
        f.debug_struct("FaultStore")
            .field("faults", &faults)
            .field("counts", &state.counts)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectedFault")
            .field("fault", &self.rule.fault)
            .field("struck", &self.struck())
            .finish()
    }
}
