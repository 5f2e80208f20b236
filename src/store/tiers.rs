//! The tiers as one: where a request's entry is looked for, and where a fill's entry goes.

mod draft;
mod place;
mod target;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::{Instant, timeout};

pub(crate) use self::draft::Draft;
use self::place::Ends;
pub(crate) use self::target::Target;
use super::breaker::Breaker;
use super::lease::Held;
use super::memory::{Cached, Memory};
use super::writer::Writer;
use super::{Store, StoreError, guarded};
use crate::answer;
use crate::cache_status::Names;
use crate::clock::{Clock, Millis};
use crate::entry::{self, DecodeError, Entry, Record, VaryRecord};
use crate::flight::Filled;
use crate::key::Key;
use crate::policy::{Refusal, Verdict};
use crate::purge::{Purges, Stamp, Trust, Validity};
use crate::route::{RequestHead, Route};
use crate::stats::Stats;

/// Difference of clocks that isn't worth a miss, milliseconds.
const SKEW: Millis = 1000;

/// Whether the shared tier has an entry isn't known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unanswered;

/// The tiers of a handle.
pub(crate) struct Tiers {
    pub(crate) memory: Memory,
    pub(crate) shared: Option<SharedTier>,
    pub(super) purges: Arc<Purges>,
    names: Arc<Names>,
    clock: Clock,
    pub(super) stats: Arc<Stats>,
    /// Held while a resource's list of variants is read and written anew.
    variants: Mutex<()>,
}

/// The shared tier.
pub(crate) struct SharedTier {
    pub(crate) store: Arc<dyn Store>,
    /// Whether the store is asked at all.
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) writer: Writer,
    pub(crate) lookup_timeout: Duration,
}

impl Tiers {
    pub(crate) fn new(
        memory: Memory,
        shared: Option<SharedTier>,
        purges: Arc<Purges>,
        names: Arc<Names>,
        clock: Clock,
        stats: Arc<Stats>,
    ) -> Self {
        Self { memory, shared, purges, names, clock, stats, variants: Mutex::default() }
    }

    /// Looks in memory alone. `Err` tells where to look further.
    pub(crate) fn recall(
        &self,
        route: &Route,
        primary: Key,
        request: &HeaderMap,
        now: Millis,
        trust: Trust,
    ) -> Result<Arc<Entry>, Target> {
        match self.memory.get(&primary) {
            Some(Cached::Entry(entry)) => {
                self.usable(entry, now, trust, || Target::of(primary, None, request))
            }
            Some(Cached::Vary(record)) => {
                let target = Target::of(primary, Some(record), &route.visible(request));
                match self.memory.get(&target.key) {
                    Some(Cached::Entry(entry)) => self.usable(entry, now, trust, || target),
                    _ => Err(target),
                }
            }
            None => Err(Target::of(primary, None, request)),
        }
    }

    /// An entry in memory that may answer as it is; else what is to be remembered of it.
    fn usable(
        &self,
        entry: Arc<Entry>,
        now: Millis,
        trust: Trust,
        target: impl FnOnce() -> Target,
    ) -> Result<Arc<Entry>, Target> {
        let target = || Target { known: true, ..target() };
        match self.purges.worth(&entry, trust) {
            Validity::Fresh if is_fresh(&entry, now) => Ok(entry),
            Validity::Fresh | Validity::Stale => Err(target().remembering(entry, now)),
            Validity::Gone => {
                if trust == Trust::Known && self.purges.is_ready() {
                    self.memory.remove_if_same(&entry);
                }
                Err(Target { doubtful: trust == Trust::Ask, ..target() })
            }
        }
    }

    /// What memory has under a key that no purge has touched, fresh or not.
    pub(crate) fn peek(&self, key: &Key) -> Option<Arc<Entry>> {
        match self.memory.get(key) {
            Some(Cached::Entry(entry)) => {
                let kept = self.purges.validity(&entry.stamp, &entry.tags) == Validity::Fresh;
                kept.then_some(entry)
            }
            _ => None,
        }
    }

    /// Where a request's entry stands, as far as memory knows.
    pub(crate) fn target(&self, route: &Route, primary: Key, request: &HeaderMap) -> Target {
        let vary = match self.memory.get(&primary) {
            Some(Cached::Vary(record)) => Some(record),
            _ => None,
        };
        Target::of(primary, vary, &route.visible(request))
    }

    /// Looks in the shared tier, within its lookup time, or not at all while the breaker is open or the purge journal wasn't
    /// read yet. What is found goes to memory; what is learnt, to `target`.
    ///
    /// # Errors
    ///
    /// [`Unanswered`]: it wasn't asked, or didn't answer.
    pub(crate) async fn look_up(
        &self,
        route: &Route,
        target: &mut Target,
        request: &HeaderMap,
    ) -> Result<Option<Arc<Entry>>, Unanswered> {
        let Some(shared) = &self.shared else { return Ok(None) };
        let leave = shared.breaker.admit().ok_or(Unanswered)?;
        self.purges.follow();
        let found = if self.purges.is_ready() {
            let started = Instant::now();
            let found = timeout(shared.lookup_timeout, guarded(self.search(shared, target, request))).await;
            route.stats.lookup(started.elapsed());
            found.unwrap_or(Err(StoreError::Timeout))
        } else {
            Err(StoreError::Unavailable)
        };
        shared.breaker.report(leave, found.as_ref().map(drop));
        found.map_err(|error| {
            self.stats.shared_error(&error);
            Unanswered
        })
    }

    pub(super) async fn search(
        &self,
        shared: &SharedTier,
        target: &mut Target,
        request: &HeaderMap,
    ) -> Result<Option<Arc<Entry>>, StoreError> {
        // A known variant is asked for beside the primary key: one round trip on a lane that pipelines.
        let (first, variant) = match &target.vary {
            Some(_) => {
                let both = futures_util::future::join(
                    shared.store.get(&target.primary),
                    shared.store.get(&target.key),
                );
                let (first, variant) = both.await;
                (first?, Some((target.key, variant?)))
            }
            None => (shared.store.get(&target.primary).await?, None),
        };
        match self.open(shared, &target.primary, first) {
            Some(Record::Entry(entry)) => {
                target.known = true;
                return Ok(self.promote(entry, target));
            }
            Some(Record::Vary(record)) => {
                let record = self.learn(record);
                let stale = target.stale.take();
                *target = Target::of(target.primary, Some(record), request);
                target.stale = stale.filter(|stale| stale.key == target.key);
            }
            None => {}
        }
        let bytes = match variant {
            Some((key, bytes)) if key == target.key => bytes,
            _ if target.vary.is_some() => shared.store.get(&target.key).await?,
            _ => None,
        };
        match self.open(shared, &target.key, bytes) {
            Some(Record::Entry(entry)) => Ok(self.promote(entry, target)),
            _ => Ok(None),
        }
    }

    /// Decodes a value. A corrupt one is removed and counted, one of another version is left alone.
    fn open(&self, shared: &SharedTier, key: &Key, bytes: Option<Bytes>) -> Option<Record> {
        match entry::decode(bytes?, key) {
            Ok(record) => Some(record),
            Err(DecodeError::Foreign) => {
                self.stats.foreign();
                None
            }
            Err(DecodeError::Corrupt) => {
                self.stats.corrupt();
                shared.writer.remove(*key);
                None
            }
        }
    }

    /// Gives a fresh entry of the shared tier; one that may answer though it is stale becomes the target's. Both are kept in
    /// memory too, with the times they have, unless memory has learnt something newer meanwhile.
    ///
    /// Times ahead of this node's clock don't tell an entry's age. `PX` ends its life in Redis all the same, so it is
    /// served from there, but not kept; and not served if `PX` covers more than its freshness.
    fn promote(&self, mut entry: Entry, target: &mut Target) -> Option<Arc<Entry>> {
        let now = self.clock.now();
        let ahead = entry.stored_at > now.saturating_add(SKEW);
        let worth = self.purges.validity(&entry.stamp, &entry.tags);
        entry.stored_at = entry.stored_at.min(now);
        if ahead {
            let fresh = entry.windows.longest() == 0 && entry.fresh_for(now).is_some();
            return (fresh && worth == Validity::Fresh).then(|| Arc::new(entry));
        }
        if worth == Validity::Gone || (entry.fresh_for(now).is_none() && !entry.is_of_use(now)) {
            return None;
        }
        let entry = self.shared_out(entry);
        let newer =
            self.memory.insert_unless(entry.key, Cached::Entry(Arc::clone(&entry)), |held| match held {
                Cached::Entry(held) => {
                    let newer = is_datable(held, now) && held.stored_at > entry.stored_at;
                    newer && self.purges.validity(&held.stamp, &held.tags) != Validity::Gone
                }
                Cached::Vary(record) => record.key == target.primary && target.vary.is_none(),
            });
        let newest = match newer {
            None => entry,
            Some(Cached::Entry(held)) => held,
            Some(Cached::Vary(_)) => return None,
        };
        if newest.fresh_for(now).is_some()
            && self.purges.validity(&newest.stamp, &newest.tags) == Validity::Fresh
        {
            return Some(newest);
        }
        target.stale = Some(newest).filter(|newest| newest.is_of_use(now));
        None
    }

    fn keep(&self, entry: Entry) -> Arc<Entry> {
        let entry = self.shared_out(entry);
        self.memory.insert(entry.key, Cached::Entry(Arc::clone(&entry)));
        entry
    }

    /// An entry with room for the fields that every answer carries.
    fn shared_out(&self, mut entry: Entry) -> Arc<Entry> {
        answer::reserve_fields(&mut entry.headers, &self.names);
        Arc::new(entry)
    }

    fn learn(&self, record: VaryRecord) -> Arc<VaryRecord> {
        let record = Arc::new(record);
        self.memory.insert(record.key, Cached::Vary(Arc::clone(&record)));
        record
    }

    /// Stores a response: in memory now, in the shared tier behind the answer, and with it gives back the lease that the
    /// fill held.
    pub(crate) fn commit(
        &self,
        route: &Route,
        target: &Target,
        request: &RequestHead,
        draft: &Draft,
        chunks: &[Bytes],
        held: Option<&Arc<Held>>,
    ) -> Result<Filled, Refusal> {
        let Draft { verdict, received, fields, stamp, request_tags, .. } = draft;
        let Verdict { lifetime, initial_age, windows } = verdict;
        let lifetime = route.rules.stale.jittered(*lifetime, *initial_age, &target.key, *received);
        // It is kept as long as it may be of use, and not a moment longer.
        let life = lifetime.saturating_add(windows.longest()).saturating_sub(*initial_age);
        let ends = Ends {
            fresh: received.saturating_add(lifetime.saturating_sub(*initial_age)),
            last: received.saturating_add(life),
        };

        let place = self.place(target, fields, &request.headers, *received, ends, (stamp, request_tags))?;
        let (entry, encoded) = draft.entry(route, &place.key, lifetime, chunks)?;
        if let Some(shared) = self.shared_for(stamp) {
            // After the list of variants, which it may be found by.
            shared.put(place.key, encoded, self.life(life), held);
        }
        Ok(Filled { entry: self.keep(entry), fields: place.fields })
    }

    /// The shared tier, for what is stamped so: nobody else could tell what a stamp of this process alone is worth.
    fn shared_for(&self, stamp: &Stamp) -> Option<&SharedTier> {
        self.shared.as_ref().filter(|_| self.purges.is_shared(stamp))
    }

    /// How long the shared tier keeps what is of use for `life`: no longer than purges are remembered.
    fn life(&self, life: Millis) -> Duration {
        let life = Duration::from_millis(life);
        self.purges.retention().map_or(life, |retention| life.min(retention))
    }

    /// Lets go of an entry that the origin's newest answer has overtaken without taking its place; unless another has
    /// taken it.
    pub(crate) fn forget(&self, entry: &Arc<Entry>) {
        if self.memory.remove_if_same(entry)
            && let Some(shared) = &self.shared
        {
            shared.writer.overtake(entry.key);
        }
    }
}

/// Whether an entry in memory may answer as it is.
fn is_fresh(entry: &Entry, now: Millis) -> bool {
    is_datable(entry, now) && entry.fresh_for(now).is_some()
}

/// Whether the age of an entry in memory can be known. One from the future was stored before the clock was set back.
fn is_datable(entry: &Entry, now: Millis) -> bool {
    entry.stored_at <= now.saturating_add(SKEW)
}

#[cfg(test)]
mod tests;
