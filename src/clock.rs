//! The one place that reads the wall clock.

#[cfg(any(test, feature = "test-util"))]
use std::sync::Arc;
#[cfg(any(test, feature = "test-util"))]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Milliseconds since the Unix epoch: the unit of every time inside an entry.
pub(crate) type Millis = u64;

/// Where the time comes from. Every decision about an entry's age reads this one; time-outs are the runtime's.
#[derive(Clone, Debug, Default)]
pub(crate) enum Clock {
    /// The wall clock.
    #[default]
    System,
    /// A test's.
    #[cfg(any(test, feature = "test-util"))]
    Manual(ManualClock),
}

impl Clock {
    /// The clock's reading. A wall clock before 1970 reads 0.
    #[expect(clippy::disallowed_methods, reason = "this is Clock")]
    pub(crate) fn now(&self) -> Millis {
        match self {
            Self::System => since_epoch(SystemTime::now()),
            #[cfg(any(test, feature = "test-util"))]
            Self::Manual(clock) => clock.0.load(Ordering::Relaxed),
        }
    }
}

/// A clock that stands still until a test moves it; by
/// [`CacheBuilder::clock`](crate::CacheBuilder::clock) the ages of a handle's entries go by it.
///
/// Clones are the same clock. It starts at 2001-09-09T01:46:40Z, and counts whole milliseconds. Only ages go by it: time-outs
/// are those of the tokio runtime, which tests can pause, and Redis ends the life of its keys by a clock of its own.
///
/// ```
/// use std::time::Duration;
/// use tower_query_cache::{QueryCache, test_util::ManualClock};
///
/// let clock = ManualClock::new();
/// let cache = QueryCache::builder().clock(&clock).build()?;
/// // … requests, then a minute passes at once:
/// clock.advance(Duration::from_secs(60));
/// # Ok::<(), tower_query_cache::ConfigError>(())
/// ```
#[cfg(any(test, feature = "test-util"))]
#[cfg_attr(not(feature = "test-util"), expect(unreachable_pub, reason = "the crate's own tests use it"))]
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

#[cfg(any(test, feature = "test-util"))]
#[cfg_attr(
    not(feature = "test-util"),
    expect(unreachable_pub, dead_code, reason = "the crate's own tests use it")
)]
impl ManualClock {
    /// A clock that reads a fixed time.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_000_000_000_000)))
    }

    /// Moves it on.
    pub fn advance(&self, time: Duration) {
        self.0.fetch_add(millis(time), Ordering::Relaxed);
    }

    /// Sets it, back too. A time before 1970 counts as 1970.
    pub fn set(&self, time: SystemTime) {
        self.0.store(since_epoch(time), Ordering::Relaxed);
    }

    /// Its reading.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

fn since_epoch(time: SystemTime) -> Millis {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
}

/// A duration in whole milliseconds, saturating.
pub(crate) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
