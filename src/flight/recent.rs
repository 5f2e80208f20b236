//! Keys about which something was learnt a moment ago.

use std::time::Duration;

use quick_cache::sync::Cache;

use crate::clock::{Millis, millis};
use crate::key::Key;

/// How many keys are remembered.
const KEYS: usize = 8192;

/// A bounded memory of keys, each until a time of its own.
#[derive(Debug)]
pub(crate) struct Recent {
    keys: Cache<Key, Until>,
}

#[derive(Clone, Copy, Debug)]
struct Until {
    from: Millis,
    end: Millis,
}

impl Recent {
    pub(crate) fn new() -> Self {
        Self { keys: Cache::new(KEYS) }
    }

    pub(crate) fn remember(&self, key: Key, now: Millis, time: Duration) {
        self.keys.insert(key, Until { from: now, end: now.saturating_add(millis(time)) });
    }

    pub(crate) fn clear(&self, key: &Key) {
        self.keys.remove(key);
    }

    /// A clock that was set back to before the remembering ends it.
    pub(crate) fn contains(&self, key: &Key, now: Millis) -> bool {
        self.keys.get(key).is_some_and(|until| (until.from..until.end).contains(&now))
    }

    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_remembered_for_its_time() {
        let recent = Recent::new();
        let key = Key::from_bytes([1; 32]);
        recent.remember(key, 5000, Duration::from_secs(2));
        for (now, known) in [(4999, false), (5000, true), (6999, true), (7000, false)] {
            assert_eq!(recent.contains(&key, now), known, "{now}");
        }
        recent.clear(&key);
        assert!(!recent.contains(&key, 5000));
    }

    #[test]
    fn keys_do_not_grow_without_bound() {
        let recent = Recent::new();
        for number in 0..3 * KEYS as u64 {
            recent.remember(
                Key::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes()),
                0,
                Duration::MAX,
            );
        }
        assert!(recent.keys() <= KEYS, "{}", recent.keys());
    }
}
