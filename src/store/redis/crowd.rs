//! Whether all read lanes have been crowded for long enough that another is worth its connection.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// How long all read lanes must be crowded before another opens.
const SUSTAINED: Duration = Duration::from_millis(100);

/// Since when all read lanes are crowded, in milliseconds after `origin` plus 1; 0 when they aren't.
///
/// The clock is read only in a crowd.
pub(super) struct Crowd {
    origin: Instant,
    since: AtomicU64,
}

impl Crowd {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), since: AtomicU64::new(0) }
    }

    /// A lane has room.
    pub(super) fn dissolve(&self) {
        if self.since.load(Relaxed) != 0 {
            self.since.store(0, Relaxed);
        }
    }

    /// Whether it lasted long enough. Then it starts anew, so that one more lane opens at a time.
    pub(super) fn lasts(&self) -> bool {
        let now = crate::clock::millis(self.origin.elapsed()).saturating_add(1);
        let since = self.since.load(Relaxed);
        if since == 0 {
            self.since.store(now, Relaxed);
            return false;
        }
        let lasts = Duration::from_millis(now.saturating_sub(since)) >= SUSTAINED;
        lasts && self.since.compare_exchange(since, now, Relaxed, Relaxed).is_ok()
    }
}
