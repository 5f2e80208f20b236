//! What is known of a node by how its lookups end, so that one that is gone costs its own slots alone.
//!
//! A node whose lanes broke refuses by itself, at once. One that is silent keeps its lanes for a second; meanwhile a
//! lookup that waits for it waits in vain, so after a few of those only one in a while is sent.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lookups in a row that nothing came back for, until the node counts as silent.
const SILENT: u32 = 5;

/// While a node is silent, the time from one lookup that is sent to the next.
const PAUSE: Duration = Duration::from_millis(250);

/// How the lookups of a node end.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Failed ones in a row.
    failed: AtomicU32,
    /// Those in a row that nothing came back for.
    silent: AtomicU32,
    /// When the last one was sent while it was silent.
    sent: Mutex<Option<Instant>>,
}

/// A lookup that was sent. Dropped without a word, after its time, nothing came back for it.
#[derive(Debug)]
pub(super) struct Sent<'a> {
    health: &'a Health,
    at: Instant,
    /// What it may take before it is held against the node; who asked may be gone for other reasons.
    patience: Duration,
    ended: bool,
}

impl Health {
    /// Leave to send a lookup; none while the node is silent.
    pub(super) fn send(&self, patience: Duration) -> Option<Sent<'_>> {
        let now = Instant::now();
        if self.silent.load(Relaxed) >= SILENT {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            if sent.is_some_and(|sent| now.duration_since(sent) < PAUSE) {
                return None;
            }
            *sent = Some(now);
        }
        Some(Sent { health: self, at: now, patience, ended: false })
    }

    /// Whether the last lookup didn't fail.
    pub(super) fn is_well(&self) -> bool {
        self.failed.load(Relaxed) == 0
    }
}

impl Sent<'_> {
    /// It came to an end, by an answer or by a failure that was heard of.
    pub(super) fn ended(mut self, well: bool) {
        self.ended = true;
        let Health { failed, silent, .. } = self.health;
        // Read first: a line that all cores write to is slow.
        if silent.load(Relaxed) > 0 {
            silent.store(0, Relaxed);
        }
        if !well {
            failed.store(1, Relaxed);
        } else if failed.load(Relaxed) > 0 {
            failed.store(0, Relaxed);
        }
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.ended && self.at.elapsed() >= self.patience {
            self.health.failed.store(1, Relaxed);
            // Far from any overflow: a silent node is asked a few times a second.
            self.health.silent.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(40);

    async fn unanswered(health: &Health) -> bool {
        let sent = health.send(PATIENCE);
        advance(PATIENCE).await;
        sent.is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_node_is_asked_once_in_a_while_until_it_answers() {
        let health = Health::default();
        assert!(health.is_well());
        for _ in 0..SILENT {
            assert!(unanswered(&health).await);
        }
        assert!(!health.is_well());
        let mut sent = 0;
        let start = Instant::now();
        while start.elapsed() < PAUSE * 4 {
            sent += u32::from(unanswered(&health).await);
        }
        assert!((4..=5).contains(&sent), "{sent}");
        advance(PAUSE).await;
        health.send(PATIENCE).unwrap().ended(true);
        assert!(health.is_well() && health.send(PATIENCE).is_some() && health.send(PATIENCE).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_left_early_says_nothing_about_the_node() {
        let health = Health::default();
        for _ in 0..SILENT * 2 {
            let sent = health.send(PATIENCE);
            advance(PATIENCE / 2).await;
            drop(sent.unwrap());
        }
        assert!(health.is_well());
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_answers_with_failures_is_asked_on() {
        let health = Health::default();
        for _ in 0..SILENT * 2 {
            health.send(PATIENCE).unwrap().ended(false);
            assert!(!health.is_well());
        }
        health.send(PATIENCE).unwrap().ended(true);
        assert!(health.is_well());
    }
}
