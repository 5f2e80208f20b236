//! The memory tier: a synchronous, sharded, weighed cache inside the process.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
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
const SHARD_ENTRIES: usize = 64;
const MAX_SHARDS: usize = 64;

impl Memory {
    pub(crate) fn new(limits: &MemoryConfig) -> Self {
        let share = (limits.max_bytes / limits.max_entries.max(1) as u64).max(1);
        let shards = (limits.max_entries / SHARD_ENTRIES).clamp(1, MAX_SHARDS);
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

    pub(crate) fn entries(&self) -> usize {
        self.cache.len()
    }

    /// Bytes that the values keep alive. Walks the tier: for the stats, not for the request's way.
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
