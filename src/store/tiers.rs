//! The tiers as one: where a request's entry is looked for, and where a fill's entry goes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header, response};
use tokio::time::{Instant, timeout};

use super::lease::Held;
use super::memory::{Cached, Memory};
use super::writer::Writer;
use super::{Store, StoreError};
use crate::answer;
use crate::cache_status::Names;
use crate::clock::{Clock, Millis};
use crate::entry::{self, DecodeError, Entry, EntryHead, Record, VaryRecord};
use crate::flight::Filled;
use crate::key::{self, Key};
use crate::policy::{Refusal, Verdict, etag};
use crate::route::{RequestHead, Route};
use crate::stats::Stats;

/// Variants that a resource may have.
const MAX_VARIANTS: usize = 16;

/// Difference of clocks that isn't worth a miss, milliseconds.
const SKEW: Millis = 1000;

/// Where a request's entry stands, as far as is known.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The key before `Vary`.
    pub(crate) primary: Key,
    /// Which fields tell the variants apart, if the resource is known to vary.
    pub(crate) vary: Option<Arc<VaryRecord>>,
    /// The variant's key; the primary key where none is known, or none can be made because the fields are over the
    /// limit for keys. Nothing is stored or found for such a request.
    pub(crate) key: Key,
}

impl Target {
    fn of(primary: Key, vary: Option<Arc<VaryRecord>>, request: &HeaderMap) -> Self {
        let key = match &vary {
            Some(record) => key::variant(&primary, &record.fields, request).unwrap_or(primary),
            None => primary,
        };
        Self { primary, vary, key }
    }

    /// Whether `filled`, made for another request with the same primary key, is this request's entry too.
    pub(crate) fn accepts(&self, filled: &Filled, request: &HeaderMap) -> bool {
        let entry = filled.entry.key;
        if filled.fields.is_empty() {
            return entry == self.primary;
        }
        key::variant(&self.primary, &filled.fields, request).is_ok_and(|key| key == entry)
    }
}

/// A response that a fill wants to store.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) parts: response::Parts,
    pub(crate) verdict: Verdict,
    pub(crate) received: Millis,
    /// The response's own `Vary`.
    pub(crate) fields: Vec<HeaderName>,
    /// The length that the response declares.
    pub(crate) declared: Option<u64>,
}

/// The tiers of a handle.
pub(crate) struct Tiers {
    pub(crate) memory: Memory,
    pub(crate) shared: Option<SharedTier>,
    names: Arc<Names>,
    clock: Clock,
    pub(super) stats: Arc<Stats>,
    /// Held while a resource's list of variants is read and written anew.
    variants: Mutex<()>,
}

/// The shared tier.
pub(crate) struct SharedTier {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) writer: Writer,
    pub(crate) lookup_timeout: Duration,
}

impl Tiers {
    pub(crate) fn new(
        memory: Memory,
        shared: Option<SharedTier>,
        names: Arc<Names>,
        clock: Clock,
        stats: Arc<Stats>,
    ) -> Self {
        Self { memory, shared, names, clock, stats, variants: Mutex::default() }
    }

    /// Looks in memory alone. `Err` tells where to look further.
    pub(crate) fn recall(
        &self,
        route: &Route,
        primary: Key,
        request: &HeaderMap,
        now: Millis,
    ) -> Result<Arc<Entry>, Target> {
        match self.memory.get(&primary) {
            Some(Cached::Entry(entry)) if is_fresh(&entry, now) => Ok(entry),
            Some(Cached::Vary(record)) => {
                let target = Target::of(primary, Some(record), &route.visible(request));
                self.recall_variant(&target, now).ok_or(target)
            }
            _ => Err(Target { primary, vary: None, key: primary }),
        }
    }

    /// The fresh entry that memory has under the target's own key.
    fn recall_variant(&self, target: &Target, now: Millis) -> Option<Arc<Entry>> {
        match self.memory.get(&target.key) {
            Some(Cached::Entry(entry)) if is_fresh(&entry, now) => Some(entry),
            _ => None,
        }
    }

    /// Looks in the shared tier, within its lookup time. What is found goes to memory; what is learnt, to `target`.
    pub(crate) async fn look_up(
        &self,
        route: &Route,
        target: &mut Target,
        request: &HeaderMap,
    ) -> Option<Arc<Entry>> {
        let shared = self.shared.as_ref()?;
        let started = Instant::now();
        let found = timeout(shared.lookup_timeout, self.search(shared, target, request)).await;
        route.stats.lookup(started.elapsed());
        let found = found.unwrap_or(Err(StoreError::Timeout)).unwrap_or_else(|error| {
            self.stats.shared_error(&error);
            None
        });
        if found.is_none() {
            route.stats.miss_shared();
        }
        found
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
            Some(Record::Entry(entry)) => return Ok(self.promote(entry)),
            Some(Record::Vary(record)) => {
                let record = self.learn(record);
                *target = Target::of(target.primary, Some(record), request);
            }
            None => {}
        }
        let bytes = match variant {
            Some((key, bytes)) if key == target.key => bytes,
            _ if target.vary.is_some() => shared.store.get(&target.key).await?,
            _ => None,
        };
        match self.open(shared, &target.key, bytes) {
            Some(Record::Entry(entry)) => Ok(self.promote(entry)),
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

    /// Keeps a fresh entry of the shared tier in memory too, unless its times are ahead of this node's clock: in Redis
    /// `PX` ends its life whatever they say, in memory nothing would.
    fn promote(&self, mut entry: Entry) -> Option<Arc<Entry>> {
        let now = self.clock.now();
        let ahead = entry.stored_at > now.saturating_add(SKEW);
        entry.stored_at = entry.stored_at.min(now);
        entry.fresh_for(now)?;
        Some(if ahead { Arc::new(entry) } else { self.keep(entry) })
    }

    fn keep(&self, mut entry: Entry) -> Arc<Entry> {
        answer::reserve_fields(&mut entry.headers, &self.names);
        let entry = Arc::new(entry);
        self.memory.insert(entry.key, Cached::Entry(Arc::clone(&entry)));
        entry
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
        let Draft { parts, verdict: Verdict { lifetime, initial_age }, received, fields, .. } = draft;
        route.rules.keeps(parts, chunks)?;
        let life = lifetime.saturating_sub(*initial_age);
        let ends = received.saturating_add(life);

        let place = self.place(target, fields, &request.headers, *received, ends)?;
        let mut headers = route.rules.stored_headers(&parts.headers);
        if !headers.contains_key(header::ETAG)
            && let Some(made) = etag::make(route.rules.etag, chunks)
        {
            headers.insert(header::ETAG, made);
        }
        let head = EntryHead {
            key: &place.key,
            status: parts.status,
            headers: &headers,
            stored_at: *received,
            initial_age: *initial_age,
            lifetime: *lifetime,
        };
        let (entry, encoded) = Entry::seal(head, chunks)?;
        if let Some(shared) = &self.shared {
            // After the list of variants, which it may be found by.
            shared.put(place.key, encoded, Duration::from_millis(life), held);
        }
        Ok(Filled { entry: self.keep(entry), fields: place.fields })
    }

    /// Where an entry belongs. If the resource varies, its list of variants is brought up to date.
    ///
    /// The fields that tell variants apart only grow while any variant lives: responses of one resource that name
    /// different fields are all told apart by all of them, which is never wrong.
    fn place(
        &self,
        target: &Target,
        fields: &[HeaderName],
        request: &HeaderMap,
        now: Millis,
        ends: Millis,
    ) -> Result<Place, Refusal> {
        let _updating = self.variants.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = match self.memory.get(&target.primary) {
            Some(Cached::Vary(record)) => VaryRecord::clone(&record),
            _ => match &target.vary {
                Some(record) => VaryRecord::clone(record),
                None => VaryRecord { key: target.primary, fields: Vec::new(), variants: Vec::new() },
            },
        };
        known.variants.retain(|(_, until)| *until > now);
        if known.variants.is_empty() {
            known.fields.clear();
        }
        let mut all = [known.fields.as_slice(), fields].concat();
        all.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        all.dedup();
        if all.is_empty() {
            return Ok(Place { key: target.primary, fields: Arc::new([]) });
        }
        if all.len() > key::MAX_FIELDS {
            return Err(Refusal::VaryLimit);
        }
        if all != known.fields {
            // The old variants stand under keys that nobody makes any more.
            known.variants.clear();
            known.fields = all;
        }
        let key = key::variant(&target.primary, &known.fields, request).map_err(|_| Refusal::VaryLimit)?;
        known.variants.retain(|(prefix, _)| *prefix != key.prefix());
        if known.variants.len() >= MAX_VARIANTS {
            return Err(Refusal::VaryLimit);
        }
        known.variants.push((key.prefix(), ends));

        if let Some(shared) = &self.shared {
            let last = known.variants.iter().map(|(_, until)| *until).fold(ends, Millis::max);
            let record = Record::Vary(known.clone());
            shared.writer.push(
                target.primary,
                entry::encode(&record)?,
                Duration::from_millis(last.saturating_sub(now)),
            );
        }
        let fields = known.fields.as_slice().into();
        self.learn(known);
        Ok(Place { key, fields })
    }
}

/// Whether an entry in memory may be served. One from the future was stored before the clock was set back: how old it is
/// can't be known.
fn is_fresh(entry: &Entry, now: Millis) -> bool {
    entry.stored_at <= now.saturating_add(SKEW) && entry.fresh_for(now).is_some()
}

/// Where an entry belongs.
struct Place {
    key: Key,
    /// What tells it from the resource's other variants; empty if the resource doesn't vary.
    fields: Arc<[HeaderName]>,
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::config::MemoryConfig;

    const HOUR: Millis = 3_600_000;

    fn entry(stored_at: Millis) -> Entry {
        let head = EntryHead {
            key: &Key::from_bytes([7; 32]),
            status: StatusCode::OK,
            headers: &HeaderMap::new(),
            stored_at,
            initial_age: 0,
            lifetime: HOUR,
        };
        Entry::seal(head, &[]).unwrap().0
    }

    fn tiers() -> Tiers {
        let memory = Memory::new(&MemoryConfig::default());
        Tiers::new(memory, None, Arc::new(Names::new(None)), Clock, Arc::new(Stats::new()))
    }

    #[test]
    fn an_entry_from_before_the_clock_was_set_back_is_not_served() {
        let now = 100 * HOUR;
        for (stored_at, fresh) in [
            (now, true),
            (now + SKEW, true),
            (now + SKEW + 1, false),
            (now - HOUR + 1, true),
            (now - HOUR, false),
        ] {
            assert_eq!(is_fresh(&entry(stored_at), now), fresh, "{stored_at} at {now}");
        }
    }

    #[test]
    fn an_entry_of_a_node_whose_clock_is_ahead_is_served_and_not_kept() {
        for (ahead, kept) in [(0, true), (HOUR, false)] {
            let tiers = tiers();
            let found = tiers.promote(entry(Clock.now() + ahead)).expect("it is fresh");
            assert!(found.age(Clock.now()) < Duration::from_secs(60), "not from the future");
            assert_eq!(tiers.memory.entries() == 1, kept, "{ahead} ms ahead");
        }
    }

    #[test]
    fn a_stale_entry_of_the_shared_tier_is_not_promoted() {
        let tiers = tiers();
        assert!(tiers.promote(entry(Clock.now() - 2 * HOUR)).is_none());
        assert_eq!(tiers.memory.entries(), 0);
    }
}
