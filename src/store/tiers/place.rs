//! Which key an entry gets: the primary one, or its variant's.

use std::sync::{Arc, PoisonError};

use http::{HeaderMap, HeaderName};

use super::{Target, Tiers};
use crate::clock::Millis;
use crate::entry::{self, Record, VaryRecord};
use crate::key::{self, Key};
use crate::policy::Refusal;
use crate::purge::{Stamp, Tag, Validity};
use crate::store::memory::Cached;

/// Variants that a resource may have.
const MAX_VARIANTS: usize = 16;

/// Where an entry belongs.
pub(super) struct Place {
    pub(super) key: Key,
    /// What tells it from the resource's other variants; empty if the resource doesn't vary.
    pub(super) fields: Arc<[HeaderName]>,
}

/// How long an entry is fresh, and how long it may be of use.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) fresh: Millis,
    pub(super) last: Millis,
}

impl Tiers {
    /// Where an entry belongs. If the resource varies, its list of variants is brought up to date.
    ///
    /// The fields that tell variants apart only grow while any variant is fresh: responses of one resource that name
    /// different fields are all told apart by all of them, which is never wrong.
    pub(super) fn place(
        &self,
        target: &Target,
        fields: &[HeaderName],
        request: &HeaderMap,
        now: Millis,
        ends: Ends,
        (stamp, tags): (&Stamp, &[Tag]),
    ) -> Result<Place, Refusal> {
        let _updating = self.variants.lock().unwrap_or_else(PoisonError::into_inner);
        let valid = |record: &VaryRecord| self.purges.validity(&record.stamp, &record.tags) != Validity::Gone;
        let mut known = match self.memory.get(&target.primary) {
            Some(Cached::Vary(record)) if valid(&record) => VaryRecord::clone(&record),
            _ => match target.vary.as_ref().filter(|record| valid(record)) {
                Some(record) => VaryRecord::clone(record),
                None => VaryRecord {
                    key: target.primary,
                    fields: Vec::new(),
                    variants: Vec::new(),
                    stamp: *stamp,
                    tags: Box::default(),
                },
            },
        };
        known.stamp = *stamp;
        known.tags = tags.into();
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
        known.variants.retain(|(known, _)| *known != key);
        if known.variants.len() >= MAX_VARIANTS {
            return Err(Refusal::VaryLimit);
        }
        // A stale one makes room for another.
        known.variants.push((key, ends.fresh));

        if let Some(shared) = self.shared_for(stamp) {
            let last = known.variants.iter().map(|(_, until)| *until).fold(ends.last, Millis::max);
            let record = Record::Vary(known.clone());
            shared.writer.push(target.primary, entry::encode(&record)?, self.life(last.saturating_sub(now)));
        }
        let fields = known.fields.as_slice().into();
        self.learn(known);
        Ok(Place { key, fields })
    }
}
