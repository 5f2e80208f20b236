//! The last failure to connect: told in the statistics, logged once an episode.

use std::sync::{Mutex, PoisonError};

use crate::store::StoreError;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Log;

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
    }
}
