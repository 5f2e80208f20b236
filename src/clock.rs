//! The one place that reads the wall clock.

use std::time::{Duration, SystemTime};

/// Milliseconds since the Unix epoch: the unit of every time inside an entry.
pub(crate) type Millis = u64;

/// Where the time comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock;

impl Clock {
    /// The wall clock's reading. A clock before 1970 reads 0.
    #[expect(clippy::disallowed_methods, reason = "this is Clock")]
    pub(crate) fn now(self) -> Millis {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
    }
}

/// A duration in whole milliseconds, saturating.
pub(crate) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
