//! The purges that this process knows, and where they come from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use tokio::time::Instant;

use super::api::{PurgeError, Purged};
use super::stamp::Stamp;
use super::state::{State, Validity};
use super::tag::{Tag, TagScope};
use crate::clock::millis;
use crate::entry::Checked;

/// The purges of a handle.
pub(crate) struct Purges {
    scope: TagScope,
    state: RwLock<State>,
    /// Changes after the state has.
    generation: AtomicU64,
    origin: Instant,
}

impl Purges {
    /// Of a handle without a shared tier.
    pub(crate) fn alone(scope: TagScope) -> Self {
        Self {
            scope,
            state: RwLock::new(State::alone(scope.all())),
            generation: AtomicU64::new(0),
            origin: Instant::now(),
        }
    }

    /// Makes tags.
    pub(crate) fn scope(&self) -> TagScope {
        self.scope
    }

    /// The stamp of a fill that begins now.
    pub(crate) fn stamp(&self) -> Stamp {
        let begun = millis(self.origin.elapsed()).saturating_add(1);
        self.read().stamp(begun)
    }

    /// What an entry is worth, by what is known here.
    // NOTE: the generation is read before the state, and written after it: what was found untouched in a generation is so until
    // that has changed.
    pub(crate) fn validity(&self, stamp: &Stamp, tags: &[Tag], checked: &Checked) -> Validity {
        let generation = self.generation.load(Ordering::Acquire);
        if checked.is(generation) {
            return Validity::Fresh;
        }
        let validity = self.read().validity(stamp, tags);
        if validity == Validity::Fresh {
            checked.mark(generation);
        }
        validity
    }

    /// Makes a purge.
    pub(crate) async fn purge(&self, tags: &[Tag], soft: bool) -> Result<Purged, PurgeError> {
        let id = self.change(|state| state.purge_alone(tags, soft));
        Ok(Purged { id, everything: false })
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let done = change(&mut state);
        drop(state);
        self.generation.fetch_add(1, Ordering::Release);
        done
    }
}
