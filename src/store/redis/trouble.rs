//! The last failure to connect: told in the statistics, logged once an episode. And what the server refuses although it
//! answers, logged once an episode too.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::StoreError;

/// Without a refusal for this long, the next one is another episode.
const EPISODE: Duration = Duration::from_secs(60);

/// Reasons of one episode that are worth a warning.
const REASONS: usize = 8;

/// What keeps lanes from being up, if anything does.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Episode>);

#[derive(Debug, Default)]
struct Episode {
    last: Option<String>,
    /// The reasons that were logged.
    told: Vec<String>,
}

impl Trouble {
    /// A connect failed. Only a new reason is worth a warning: retries go on for hours, and one fault may show in turns as
    /// a refusal and as a reset.
    pub(super) fn failed(&self, error: &StoreError) {
        let text = error.to_string();
        let mut episode = self.lock();
        if episode.told.contains(&text) || episode.told.len() >= REASONS {
            tracing::debug!(error = %text, "Redis is still out of reach");
        } else {
            tracing::warn!(error = %text, "Redis is out of reach; requests go on without it");
            episode.told.push(text.clone());
        }
        episode.last = Some(text);
    }

    /// A lane broke. Why the others can't be had, if that is known, says more.
    pub(super) fn broke(&self) {
        let mut episode = self.lock();
        if episode.last.is_none() {
            tracing::warn!("a Redis connection broke or fell silent; requests go on without it");
            episode.last = Some("the connection broke or fell silent".to_owned());
        }
    }

    /// A lane is up.
    pub(super) fn passed(&self) {
        if std::mem::take(&mut *self.lock()).last.is_some() {
            tracing::info!("Redis is back");
        }
    }

    /// The text of the failure.
    pub(super) fn text(&self) -> Option<String> {
        self.lock().last.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Episode> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    use super::*;
    use crate::store::testing::Log;

    #[tokio::test(start_paused = true)]
    async fn refusals_are_warned_of_once_until_there_was_none_for_a_while() {
        let outcomes = || {
            let refused = StoreError::Server("OOM".to_owned());
            [Ok(()), Err(refused), Ok(()), Err(StoreError::Timeout)]
        };
        let (log, _logging) = Log::start();
        let warnings = || log.text().matches("WARN").count();
        let refusals = Refusals::default();
        (0..100).for_each(|_| outcomes().iter().for_each(|outcome| refusals.note(outcome)));
        assert_eq!(warnings(), 1);
        tokio::time::advance(EPISODE).await;
        outcomes().iter().for_each(|outcome| refusals.note(outcome));
        assert_eq!(warnings(), 2);
    }

    #[test]
    fn an_episode_is_warned_of_once_per_reason() {
        let (log, _logging) = Log::start();
        let warnings = || log.text().matches("WARN").count();
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

        trouble.passed();
        for number in 0..100 {
            trouble.failed(&refused);
            trouble.failed(&StoreError::Server("NOAUTH".to_owned()));
            trouble.failed(&StoreError::Connection(number.to_string()));
        }
        assert_eq!(warnings(), 2 + REASONS, "reasons that take turns, and too many of them");
    }
}
