//! Where a request looks before it turns to the origin: memory, the shared tier, and the purge journal about what they have.

use std::sync::Arc;

use futures_util::future::join;

use crate::drive::Miss;
use crate::entry::Entry;
use crate::purge::{Stamp, Trust, Validity};
use crate::store::Unanswered;

impl<S, P> Miss<S, P> {
    /// Asks the purge journal about what memory has. The entry, if it may answer.
    pub(crate) async fn make_sure(&mut self) -> Option<Arc<Entry>> {
        self.trust = self.shared.purges.ask(self.route.rules.strict).await;
        self.recall()
    }

    /// Looks in the shared tier, where what it has may be used.
    pub(crate) async fn look_up(&mut self) -> Option<Arc<Entry>> {
        let found = match self.trust {
            Trust::Known => self.look_in_shared().await.ok().flatten(),
            Trust::Ask => self.look_and_ask().await,
            Trust::Grace | Trust::Nothing => {
                self.unanswered = true;
                None
            }
        };
        if found.is_none() && self.shared.tiers.shared.is_some() {
            self.route.stats.miss_shared();
        }
        found
    }

    async fn look_in_shared(&mut self) -> Result<Option<Arc<Entry>>, Unanswered> {
        let found = self.shared.tiers.look_up(&self.route, &mut self.target, &self.head.headers).await;
        self.unanswered = found.is_err();
        found
    }

    /// Looks in the shared tier, and asks the purge journal in the same round trip.
    async fn look_and_ask(&mut self) -> Option<Arc<Entry>> {
        let shared = Arc::clone(&self.shared);
        let asked = shared.purges.ask(self.route.rules.strict);
        let (found, trust) = join(self.look_in_shared(), asked).await;
        self.trust = trust;
        self.unanswered |= trust != Trust::Known;
        // What was found before the journal's answer may be gone by that.
        let worth = |entry: &Arc<Entry>| shared.purges.worth(entry, trust);
        let now = shared.clock.now();
        let found = found.ok().flatten();
        self.target.stale = self.target.stale.take().filter(|stale| worth(stale) != Validity::Gone);
        match found.as_ref().map(worth)? {
            Validity::Fresh => found,
            Validity::Stale => {
                self.target.stale = found.filter(|entry| entry.is_of_use(now));
                None
            }
            Validity::Gone => None,
        }
    }

    /// Looks in memory.
    pub(crate) fn recall(&mut self) -> Option<Arc<Entry>> {
        let now = self.shared.clock.now();
        let (primary, headers) = (self.target.primary, &self.head.headers);
        match self.shared.tiers.recall(&self.route, primary, headers, now, self.trust) {
            Ok(entry) => Some(entry),
            Err(mut target) => {
                // What the shared tier had may be too large for memory, or have made room there for something else.
                if self.target.vary.is_some() && target.vary.is_none() && !target.known {
                    return None;
                }
                let stale = self.target.stale.take().filter(|stale| stale.key == target.key);
                target.stale = target.stale.or(stale);
                target.known |= self.target.known;
                self.target = target;
                None
            }
        }
    }

    /// What an entry is worth to this request.
    pub(crate) fn worth(&self, entry: &Entry) -> Validity {
        self.shared.purges.worth(entry, self.trust)
    }

    /// Whether a purge of what the request is about came after a fill with this stamp began.
    pub(crate) fn is_overtaken(&self, stamp: &Stamp) -> bool {
        self.shared.purges.validity(stamp, &self.tags) != Validity::Fresh
    }
}
