//! What is looked for.

use std::sync::Arc;

use http::HeaderMap;

use super::is_datable;
use crate::cache_status::Forward;
use crate::clock::Millis;
use crate::entry::{Entry, VaryRecord};
use crate::flight::Filled;
use crate::key::{self, Key};

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
    /// The newest entry found that may answer though it isn't fresh any more, or has to be refreshed.
    pub(crate) stale: Option<Arc<Entry>>,
    /// Whether memory has an entry that may answer once the purge journal was asked.
    pub(crate) doubtful: bool,
    /// Whether a tier has, or had a moment ago, something under the primary key.
    pub(crate) known: bool,
}

impl Target {
    pub(super) fn of(primary: Key, vary: Option<Arc<VaryRecord>>, request: &HeaderMap) -> Self {
        let key = match &vary {
            Some(record) => key::variant(&primary, &record.fields, request).unwrap_or(primary),
            None => primary,
        };
        let known = vary.is_some();
        Self { primary, vary, key, stale: None, doubtful: false, known }
    }

    /// Keeps in mind what memory has, if it may answer though it isn't fresh.
    pub(super) fn remembering(mut self, entry: Arc<Entry>, now: Millis) -> Self {
        self.stale = Some(entry).filter(|entry| is_datable(entry, now) && entry.is_of_use(now));
        self
    }

    /// Why a request for it goes to the origin.
    pub(crate) fn forward(&self) -> Forward {
        if self.stale.is_some() { Forward::Stale } else { Forward::Miss }
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
