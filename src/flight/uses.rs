//! How often keys were asked for that had no entry: a doorkeeper for the tiers.
//!
//! The idea is TinyLFU's (Einziger, Friedman and Manes, ACM Transactions on Storage 13(4), 2017), the rule that of nginx's
//! `proxy_cache_min_uses`. Their doorkeeper is a Bloom filter, which now and then takes a key for another; counts here are
//! exact, and what doesn't fit is forgotten: a key may wait longer for its place, and never gets it early.

use std::time::Duration;

use quick_cache::sync::{Cache, EntryAction, EntryResult};

use crate::clock::{Millis, millis};
use crate::key::Key;

/// Keys that are counted.
const KEYS: usize = 1 << 16;

/// A count that wasn't raised for this long begins anew, as with nginx's `inactive`.
const IDLE: Duration = Duration::from_secs(600);

/// Counts of uses, by the first 64 bits of keys, which are digests.
#[derive(Debug)]
pub(crate) struct Uses {
    counts: Cache<u64, Count>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    uses: u8,
    last: Millis,
}

impl Uses {
    pub(crate) fn new() -> Self {
        Self { counts: Cache::new(KEYS) }
    }

    /// Counts one use.
    pub(crate) fn count(&self, key: &Key, now: Millis) {
        // No place is held for longer than its insertion.
        let counted = self.counts.entry(&key.prefix(), None, |_, count| {
            *count = Count { uses: count.uses_at(now).saturating_add(1), last: now };
            EntryAction::Retain(())
        });
        if let EntryResult::Vacant(place) = counted {
            place.insert(Count { uses: 1, last: now }).ok();
        }
    }

    /// Uses so far, 255 at the most.
    pub(crate) fn of(&self, key: &Key, now: Millis) -> u8 {
        self.counts.get(&key.prefix()).map_or(0, |count| count.uses_at(now))
    }
}

impl Count {
    /// A clock that was set back ends the count too.
    fn uses_at(self, now: Millis) -> u8 {
        let last = self.last;
        if (last..last.saturating_add(millis(IDLE))).contains(&now) { self.uses } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        Key::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    #[test]
    fn uses_are_counted_by_key_for_as_long_as_they_come() {
        let uses = Uses::new();
        let idle = millis(IDLE);
        assert_eq!(uses.of(&key(1), 0), 0);
        for (count, now) in [(1, 1000), (2, 1000), (3, 999 + idle), (4, 1000 + idle)] {
            uses.count(&key(1), now);
            assert_eq!((uses.of(&key(1), now), uses.of(&key(2), now)), (count, 0));
        }
        let last = 1000 + idle;
        assert_eq!(uses.of(&key(1), last + idle - 1), 4);
        assert_eq!(uses.of(&key(1), last + idle), 0, "too long ago");
        assert_eq!(uses.of(&key(1), last - 1), 0, "the clock was set back");
        uses.count(&key(1), last + idle);
        assert_eq!(uses.of(&key(1), last + idle), 1);
    }

    #[test]
    fn a_count_ends_at_255() {
        let uses = Uses::new();
        (0..300).for_each(|_| uses.count(&key(1), 0));
        assert_eq!(uses.of(&key(1), 0), 255);
    }

    #[test]
    fn counts_do_not_grow_without_bound() {
        let uses = Uses::new();
        for number in 0..2 * KEYS as u64 {
            uses.count(&key(number), 0);
        }
        assert!(uses.counts.len() <= KEYS, "{}", uses.counts.len());
    }

    #[test]
    fn every_use_counts_whoever_comes_at_the_same_time() {
        let uses = Uses::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..60).for_each(|_| uses.count(&key(7), 5)));
            }
        });
        assert_eq!(uses.of(&key(7), 5), 240);
    }
}
