//! The memory tier: a synchronous, sharded, weighed cache inside the process.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle, EntryAction, EntryResult};
use quick_cache::{OptionsBuilder, Weighter};

use crate::config::MemoryConfig;
use crate::entry::{Entry, VaryRecord};
use crate::key::Key;

/// What the memory tier holds under one key.
#[derive(Clone, Debug)]
pub(crate) enum Cached {
    /// A response.
    Entry(Arc<Entry>),
    /// The resource varies: look under the variant's key.
    Vary(Arc<VaryRecord>),
}

/// Weighs in bytes, and no value below its share of the tier: so one capacity bounds bytes and entries both.
#[derive(Clone, Debug)]
struct Weigh {
    share: u64,
}

impl Weighter<Key, Cached> for Weigh {
    fn weight(&self, _: &Key, value: &Cached) -> u64 {
        let bytes = match value {
            Cached::Entry(entry) => entry.weight(),
            Cached::Vary(record) => record.weight(),
        };
        bytes.max(self.share)
    }
}

/// Keys are digests: their first 64 bits are their hash.
#[derive(Clone, Copy, Debug, Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, prefix: u64) {
        self.0 = prefix;
    }
}

type Shards = Cache<Key, Cached, Weigh, BuildHasherDefault<Prefix>, DefaultLifecycle<Key, Cached>>;

/// The memory tier.
#[derive(Debug)]
pub(crate) struct Memory {
    cache: Shards,
    limits: MemoryConfig,
}

/// Entries that a shard holds at least, so that an uneven spread of keys costs little room.
const SHARD_ENTRIES: usize = 256;
/// Bytes that a shard holds at least: a value over it isn't kept.
const SHARD_BYTES: u64 = 8 << 20;
const MAX_SHARDS: usize = 64;

impl Memory {
    pub(crate) fn new(limits: &MemoryConfig) -> Self {
        let share = (limits.max_bytes / limits.max_entries.max(1) as u64).max(1);
        let by_bytes = usize::try_from(limits.max_bytes / SHARD_BYTES).unwrap_or(MAX_SHARDS);
        let shards = (limits.max_entries / SHARD_ENTRIES).min(by_bytes).clamp(1, MAX_SHARDS);
        let cache = match OptionsBuilder::new()
            .estimated_items_capacity(limits.max_entries)
            .weight_capacity(limits.max_bytes)
            .shards(shards)
            .build()
        {
            Ok(options) => Cache::with_options(
                options,
                Weigh { share },
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            ),
            Err(_) => Cache::with(
                limits.max_entries,
                limits.max_bytes,
                Weigh { share },
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            ),
        };
        Self { cache, limits: limits.clone() }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Cached> {
        self.cache.get(key)
    }

    pub(crate) fn insert(&self, key: Key, value: Cached) {
        self.cache.insert(key, value);
    }

    /// Inserts a value unless what is there is to `stay`; gives that.
    pub(crate) fn insert_unless(
        &self,
        key: Key,
        value: Cached,
        stay: impl FnOnce(&Cached) -> bool,
    ) -> Option<Cached> {
        // Not in place: that would evict nobody, however much heavier the value is.
        let found = self.cache.entry(&key, Some(Duration::ZERO), |_, held| match stay(held) {
            true => EntryAction::Retain(held.clone()),
            false => EntryAction::ReplaceWithGuard,
        });
        match found {
            EntryResult::Retained(held) => Some(held),
            EntryResult::Vacant(place) | EntryResult::Replaced(place, _) => {
                // Refused if somebody inserted meanwhile, whose value is as good.
                place.insert(value).ok();
                None
            }
            EntryResult::Removed(..) | EntryResult::Timeout => None,
        }
    }

    /// Removes what is there.
    pub(crate) fn remove(&self, key: &Key) {
        self.cache.remove(key);
    }

    /// Removes `entry` itself. False if another value has its place.
    pub(crate) fn remove_if_same(&self, entry: &Arc<Entry>) -> bool {
        let is_same = |held: &Cached| matches!(held, Cached::Entry(held) if Arc::ptr_eq(held, entry));
        self.cache.remove_if(&entry.key, is_same);
        self.cache.get(&entry.key).is_none()
    }

    pub(crate) fn entries(&self) -> usize {
        self.cache.len()
    }

    /// Bytes that the values keep alive. Walks the tier: for the stats, not for the request's way. An
    /// entry that goes during the walk and one that takes its place may both be counted.
    pub(crate) fn bytes(&self) -> u64 {
        self.cache
            .iter()
            .map(|(_, value)| match value {
                Cached::Entry(entry) => entry.weight(),
                Cached::Vary(record) => record.weight(),
            })
            .sum()
    }

    pub(crate) fn limits(&self) -> &MemoryConfig {
        &self.limits
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::entry::{EntryHead, Windows};
    use crate::purge::{Epoch, JournalId, Stamp};

    fn entry(number: u64, body: usize) -> (Key, Cached) {
        let key = Key::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes());
        let head = EntryHead {
            key: &key,
            status: StatusCode::OK,
            headers: &HeaderMap::new(),
            stored_at: 0,
            initial_age: 0,
            lifetime: 1,
            windows: Windows::default(),
            stamp: Stamp::foreign(Epoch::NONE, JournalId::ZERO),
            tags: &[],
        };
        let (entry, _) = Entry::seal(head, &[Bytes::from(vec![0; body])]).unwrap();
        (key, Cached::Entry(Arc::new(entry)))
    }

    fn fill(max_entries: usize, max_bytes: u64, entries: u64, body: usize) -> Memory {
        let memory = Memory::new(&MemoryConfig { max_entries, max_bytes });
        for number in 0..entries {
            let (key, value) = entry(number, body);
            memory.insert(key, value);
        }
        memory
    }

    #[test]
    fn entries_are_bounded_whatever_their_size() {
        for max in [1, 2, 100, 256, 1000] {
            let memory = fill(max, 64 << 20, 3000, 0);
            assert!((max / 2..=max).contains(&memory.entries()), "{} of {max}", memory.entries());
        }
    }

    #[test]
    fn bytes_are_bounded_whatever_their_number() {
        let memory = fill(10_000, 1 << 20, 2000, 4 << 10);
        assert!((1 << 19..=1 << 20).contains(&memory.bytes()), "{} bytes", memory.bytes());
    }

    #[test]
    fn a_value_over_the_whole_tier_is_not_kept_and_evicts_nobody() {
        let memory = fill(100, 1 << 20, 50, 1 << 10);
        let (key, value) = entry(1_000_000, 2 << 20);
        memory.insert(key, value);
        assert!(memory.get(&key).is_none());
        assert_eq!(memory.entries(), 50);
    }

    #[test]
    fn the_same_key_holds_the_newest_value() {
        let memory = fill(10, 1 << 20, 3, 10);
        let (key, _) = entry(1, 10);
        let (_, newer) = entry(1, 20);
        memory.insert(key, newer);
        assert_eq!(memory.entries(), 3);
        assert!(matches!(memory.get(&key), Some(Cached::Entry(entry)) if entry.body.len() == 20));
    }
}
