//! The purges that this process knows: asked on every read, told by the tail and by its own purges.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use futures_util::future::select;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::heads::Heads;
use super::stamp::Stamp;
use super::state::{State, Validity};
use super::tag::{Tag, TagScope};
use super::tail;
use crate::clock::{Millis, millis};
use crate::config::RedisConfig;
use crate::entry::Entry;
use crate::store::{Breaker, Journal, Store};

/// Without a completed cycle of the tail for this long, milliseconds, it is lost.
const LOST: Millis = 2000;

/// How a request may use what this process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// As it is known here: the journal is followed, or was asked since the request began.
    Known,
    /// Not before the journal was asked.
    Ask,
    /// The journal can't be asked. What was in touch with it lately may answer for a while.
    Grace,
    /// Not at all.
    Nothing,
}

/// How the journal is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// The store tells of new entries.
    Push,
    /// It is asked for new entries.
    Poll,
    /// The store keeps no journal.
    Off,
}

/// The purges of a handle.
pub(crate) struct Purges {
    pub(super) inner: Arc<Inner>,
    /// Whether there are others to tell.
    pub(super) shares: bool,
    /// The tail ends when this is dropped.
    _open: watch::Sender<()>,
    closed: watch::Receiver<()>,
}

/// What the tail has too.
pub(super) struct Inner {
    pub(super) scope: TagScope,
    state: RwLock<State>,
    /// Changes after the state has.
    generation: AtomicU64,
    origin: Instant,
    pub(super) link: Option<Link>,
    /// When the tail last completed a cycle, milliseconds after `origin` plus 1. 0: not since it was lost.
    contact: AtomicU64,
    /// The same, whether it is lost or not.
    last_contact: AtomicU64,
    mode: AtomicU8,
    tailing: AtomicBool,
    /// Ends the tail: the journal is to be read anew.
    pub(super) kick: Notify,
    /// There are purges that the journal must still take.
    pub(super) pending: Notify,
    /// Woken when the journal is known, or known not to be there.
    changed: Notify,
    pub(super) heads: Heads,
    pub(super) counters: Counters,
    /// Why the journal can't be read, if its server says so.
    trouble: Mutex<Option<String>>,
}

/// Counts for the stats.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) purges: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) replayed: AtomicU64,
    pub(super) epochs: AtomicU64,
    pub(super) loads: AtomicU64,
}

/// The shared tier whose journal is followed.
pub(super) struct Link {
    pub(super) store: Arc<dyn Store>,
    pub(super) breaker: Arc<Breaker>,
    pub(super) lookup_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) retention: Millis,
    grace: Millis,
}

impl Purges {
    /// Of a handle whose shared tier, if it has one, is `store`.
    pub(crate) fn new(
        scope: TagScope,
        store: Option<(&Arc<dyn Store>, &Arc<Breaker>)>,
        config: &RedisConfig,
    ) -> Self {
        let link = store.filter(|(store, _)| store.journal().is_some()).map(|(store, breaker)| Link {
            store: Arc::clone(store),
            breaker: Arc::clone(breaker),
            lookup_timeout: config.lookup_timeout,
            write_timeout: config.write_timeout,
            retention: millis(config.journal_retention),
            grace: millis(config.partition_grace),
        });
        let all = scope.all();
        let mode = if link.is_some() { Mode::Push } else { Mode::Off };
        let (open, closed) = watch::channel(());
        let inner = Arc::new(Inner {
            scope,
            state: RwLock::new(if link.is_some() { State::new(all) } else { State::alone(all) }),
            generation: AtomicU64::new(0),
            origin: Instant::now(),
            link,
            contact: AtomicU64::new(0),
            last_contact: AtomicU64::new(0),
            mode: AtomicU8::new(mode as u8),
            tailing: AtomicBool::new(false),
            kick: Notify::new(),
            pending: Notify::new(),
            changed: Notify::new(),
            heads: Heads::default(),
            counters: Counters::default(),
            trouble: Mutex::default(),
        });
        Self { inner, shares: store.is_some(), _open: open, closed }
    }

    /// Makes tags.
    pub(crate) fn scope(&self) -> TagScope {
        self.inner.scope
    }

    /// Whether there may be a journal, so that lives are bounded by what it remembers.
    pub(crate) fn retention(&self) -> Option<Duration> {
        self.inner.link.as_ref().map(|link| Duration::from_millis(link.retention))
    }

    /// The stamp of a fill that begins now.
    pub(crate) fn stamp(&self) -> Stamp {
        self.inner.read().stamp(self.inner.now())
    }

    /// What is worth an entry with this stamp and these tags, by what is known here.
    pub(crate) fn validity(&self, stamp: &Stamp, tags: &[Tag]) -> Validity {
        self.inner.read().validity(stamp, tags)
    }

    /// What an entry is worth to a request.
    pub(crate) fn worth(&self, entry: &Entry, trust: Trust) -> Validity {
        match trust {
            Trust::Known => self.inner.worth(entry),
            Trust::Grace if self.inner.is_in_grace(&entry.stamp) => self.inner.worth(entry),
            Trust::Ask | Trust::Grace | Trust::Nothing => Validity::Gone,
        }
    }

    /// What a request goes by that begins now.
    pub(crate) fn trust(&self, strict: bool) -> Trust {
        if self.inner.is_off() || !(strict || self.inner.is_lost()) { Trust::Known } else { Trust::Ask }
    }

    /// Asks the journal, on behalf of a request that began before.
    pub(crate) async fn ask(&self, strict: bool) -> Trust {
        let limit = self.inner.link.as_ref().map_or(Duration::ZERO, |link| link.lookup_timeout);
        match timeout(limit, Heads::ask(&self.inner)).await {
            Ok(Trust::Known) => Trust::Known,
            Ok(Trust::Nothing) => Trust::Nothing,
            _ if strict => Trust::Nothing,
            _ => Trust::Grace,
        }
    }

    /// Whether an entry with this stamp may go to the shared tier: others know its epoch.
    pub(crate) fn is_shared(&self, stamp: &Stamp) -> bool {
        let state = self.inner.read();
        state.is_ready() && state.epoch() == stamp.epoch
    }

    /// Whether the shared tier may be read: the journal was read before.
    pub(crate) fn is_ready(&self) -> bool {
        self.inner.read().is_ready()
    }

    /// Resolves when the journal is known, or known not to be there.
    pub(crate) async fn ready(&self) {
        self.follow();
        self.inner.known().await;
    }

    /// Starts the tail unless it runs. Outside a runtime nothing happens.
    pub(crate) fn follow(&self) {
        if self.inner.is_off() || self.inner.tailing.load(Ordering::Acquire) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if self.inner.tailing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (following, mut closed) = (Following(Arc::clone(&self.inner)), self.closed.clone());
        runtime.spawn(async move {
            select(pin!(tail::run(&following.0)), pin!(closed.changed())).await;
        });
    }

    /// Its figures.
    pub(crate) fn status(&self) -> JournalStatus {
        self.inner.status()
    }
}

/// The tail's task. Dropped with its runtime, it leaves the work to the next.
struct Following(Arc<Inner>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.lose();
        self.0.tailing.store(false, Ordering::Release);
    }
}

/// Figures of the journal, for the stats.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct JournalStatus {
    /// `push`, `poll` or `off`.
    pub(crate) mode: Mode,
    /// Whether it was read, and the tail isn't lost.
    pub(crate) followed: bool,
    /// The newest id known.
    pub(crate) id: String,
    /// Tags that are known to have been purged.
    pub(crate) tags: usize,
    /// Purges of this handle.
    pub(crate) purges: u64,
    /// Those of them that the journal couldn't take at once.
    pub(crate) failed: u64,
    /// Those that it took later.
    pub(crate) replayed: u64,
    /// Tags whose purge it must still take.
    pub(crate) pending: usize,
    /// Times that it was read from its start.
    pub(crate) loads: u64,
    /// Epochs that this handle began.
    pub(crate) epochs: u64,
    /// Entries in it that aren't the cache's.
    pub(crate) junk: u64,
    /// Why it can't be read, if the server says so. Shown as the shared tier's.
    #[serde(skip)]
    pub(crate) error: Option<String>,
}

impl Inner {
    /// Milliseconds since the handle was made, plus 1.
    fn now(&self) -> u64 {
        millis(self.origin.elapsed()).saturating_add(1)
    }

    pub(super) fn journal(&self) -> Option<&dyn Journal> {
        self.link.as_ref()?.store.journal()
    }

    // NOTE: the generation is read before the state, and written after it: what was found untouched in a generation is so until
    // that has changed.
    fn worth(&self, entry: &Entry) -> Validity {
        let generation = self.generation.load(Ordering::Acquire);
        if entry.checked.is(generation) {
            return Validity::Fresh;
        }
        let validity = self.read().validity(&entry.stamp, &entry.tags);
        if validity == Validity::Fresh {
            entry.checked.mark(generation);
        }
        validity
    }

    /// Whether `partition_grace` covers an entry: counted from the last contact, or from the start of its own fill if that was
    /// later.
    fn is_in_grace(&self, stamp: &Stamp) -> bool {
        let since = self.last_contact.load(Ordering::Acquire).max(stamp.local.begun);
        let grace = self.link.as_ref().map_or(0, |link| link.grace);
        since > 0 && self.now().saturating_sub(since) <= grace
    }

    pub(super) fn is_off(&self) -> bool {
        self.mode.load(Ordering::Relaxed) == Mode::Off as u8
    }

    fn is_lost(&self) -> bool {
        let contact = self.contact.load(Ordering::Acquire);
        contact == 0 || self.now().saturating_sub(contact) > LOST
    }

    /// The tail has read all that there was when it last asked, or more.
    pub(super) fn completed(&self, asked: u64, mode: Mode) {
        self.contact.store(asked, Ordering::Release);
        self.last_contact.store(asked, Ordering::Release);
        if self.read_trouble().is_some() {
            self.troubled(None);
        }
        self.mode.store(mode as u8, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Resolves when the journal was read, or isn't to be had at all.
    pub(super) async fn known(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.read().is_ready() {
                return;
            }
            changed.await;
        }
    }

    /// The journal was asked then, and all of it was known.
    pub(super) fn touched(&self, asked: u64) {
        self.last_contact.fetch_max(asked, Ordering::AcqRel);
    }

    /// The server says that the journal can't be read, or it was.
    pub(super) fn troubled(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn read_trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When a cycle of the tail begins.
    pub(super) fn cycle(&self) -> u64 {
        self.now()
    }

    /// The tail isn't followed any more.
    pub(super) fn lose(&self) {
        self.contact.store(0, Ordering::Release);
    }

    /// The journal must be read anew.
    pub(super) fn doubt(&self) {
        self.lose();
        self.kick.notify_one();
    }

    /// The store turned out to keep no journal.
    pub(super) fn turn_off(&self) {
        tracing::warn!("the shared tier's server has no streams: purges don't reach other processes");
        let all = self.scope.all();
        self.change(|state| *state = State::alone(all));
        self.mode.store(Mode::Off as u8, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let done = change(&mut state);
        // NOTE: behind the state's change, and before anybody hears of it.
        self.generation.fetch_add(1, Ordering::Release);
        drop(state);
        done
    }

    fn status(&self) -> JournalStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mode = match self.mode.load(Ordering::Relaxed) {
            mode if mode == Mode::Push as u8 => Mode::Push,
            mode if mode == Mode::Poll as u8 => Mode::Poll,
            _ => Mode::Off,
        };
        let state = self.read();
        JournalStatus {
            mode,
            followed: state.is_ready() && !self.is_lost(),
            id: state.seen().to_string(),
            tags: state.purged_tags(),
            purges: count(&self.counters.purges),
            failed: count(&self.counters.failed),
            replayed: count(&self.counters.replayed),
            pending: state.offline_tags(),
            loads: count(&self.counters.loads),
            epochs: count(&self.counters.epochs),
            junk: state.junk(),
            error: self.read_trouble(),
        }
    }
}
