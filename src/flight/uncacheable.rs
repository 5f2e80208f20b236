//! Keys whose responses couldn't be stored, so that requests for them aren't kept waiting for each other.

use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::key::Key;

/// How long a key is remembered.
const MEMORY: Duration = Duration::from_secs(120);
/// How many keys are remembered.
const KEYS: usize = 8192;

/// A bounded memory of uncacheable keys. It only stops collapsing: a response that can be stored still is.
#[derive(Debug)]
pub(crate) struct Uncacheable {
    keys: Cache<Key, Instant>,
}

impl Uncacheable {
    pub(crate) fn new() -> Self {
        Self { keys: Cache::new(KEYS) }
    }

    pub(crate) fn remember(&self, key: Key) {
        self.keys.insert(key, Instant::now() + MEMORY);
    }

    pub(crate) fn clear(&self, key: &Key) {
        self.keys.remove(key);
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.keys.get(key).is_some_and(|until| Instant::now() < until)
    }

    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }
}
