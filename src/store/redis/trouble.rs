//! The last failure to connect: told in the statistics, logged once an episode. And what the server refuses although it
//! answers, logged once an episode too.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::StoreError;

/// Without a refusal for this long, the next one is another episode.
const EPISODE: Duration = Duration::from_secs(60);

/// What keeps lanes from being up, if anything does.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    /// A connect failed. Only a new reason is worth a warning: retries go on for hours.
    pub(super) fn failed(&self, error: &StoreError) {
        let text = error.to_string();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == Some(&text) {
            tracing::debug!(error = %text, "Redis is still out of reach");
        } else {
            tracing::warn!(error = %text, "Redis is out of reach; requests go on without it");
            *last = Some(text);
        }
    }

    /// A lane broke. Why the others can't be had, if that is known, says more.
    pub(super) fn broke(&self) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none() {
            tracing::warn!("a Redis connection broke or fell silent; requests go on without it");
            *last = Some("the connection broke or fell silent".to_owned());
        }
    }

    /// A lane is up.
    pub(super) fn passed(&self) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("Redis is back");
        }
    }

    /// The text of the failure.
    pub(super) fn text(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Commands that the server refuses: to a user without rights, for want of memory, as a read-only replica.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Option<Instant>>);

impl Refusals {
    /// Looks at how a command came out.
    pub(super) fn note<T>(&self, outcome: &Result<T, StoreError>) {
        let Err(error @ StoreError::Server(_)) = outcome else { return };
        let now = Instant::now();
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        if before.is_none_or(|before| now.duration_since(before) >= EPISODE) {
            tracing::warn!(%error, "Redis refuses commands; requests go on");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Counts warnings while `work` runs.
    fn with_log(work: impl FnOnce(&dyn Fn() -> usize)) {
        let log = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&log);
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || Log(Arc::clone(&writer))).with_ansi(false).finish();
        let warnings = || String::from_utf8_lossy(&log.lock().unwrap()).matches("WARN").count();
        tracing::subscriber::with_default(subscriber, || work(&warnings));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_warned_of_once_until_there_was_none_for_a_while() {
        let outcomes = || {
            let refused = StoreError::Server("OOM".to_owned());
            [Ok(()), Err(refused), Ok(()), Err(StoreError::Timeout)]
        };
        let refusals = Refusals::default();
        let (mut before, mut after) = (0, 0);
        with_log(|warnings| {
            (0..100).for_each(|_| outcomes().iter().for_each(|outcome| refusals.note(outcome)));
            before = warnings();
        });
        tokio::time::advance(EPISODE).await;
        with_log(|warnings| {
            outcomes().iter().for_each(|outcome| refusals.note(outcome));
            after = warnings();
        });
        assert_eq!((before, after), (1, 1));
    }

    #[test]
    fn an_episode_is_warned_of_once_per_reason() {
        with_log(|warnings| {
            let trouble = Trouble::default();
            let refused = StoreError::Server("WRONGPASS".to_owned());
            (0..100).for_each(|_| trouble.failed(&refused));
            assert_eq!(warnings(), 1);
            trouble.broke();
            assert_eq!((warnings(), trouble.text()), (1, Some(refused.to_string())));

            trouble.passed();
            assert_eq!(trouble.text(), None);
            trouble.broke();
            trouble.broke();
            assert_eq!(warnings(), 2, "another episode");
        });
    }
}
