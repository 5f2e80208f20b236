//! Which entries the tiers take, keep and remember.

use http::StatusCode;

use super::*;
use crate::clock::ManualClock;
use crate::config::{MemoryConfig, RedisConfig};
use crate::entry::{EntryHead, Windows};
use crate::purge::{Epoch, JournalId, Stamp, TagScope};

const HOUR: Millis = 3_600_000;
const KEY: Key = Key::from_bytes([7; 32]);

/// Fresh for an hour, of use for another while it is revalidated, and for two in place of an error.
fn entry(stored_at: Millis) -> Entry {
    let head = EntryHead {
        key: &KEY,
        status: StatusCode::OK,
        headers: &HeaderMap::new(),
        stored_at,
        initial_age: 0,
        lifetime: HOUR,
        windows: Windows { while_revalidate: HOUR, if_error: 2 * HOUR, revalidate: 0 },
        stamp: Stamp::foreign(Epoch::NONE, JournalId::ZERO),
        tags: &[],
    };
    Entry::seal(head, &[]).unwrap().0
}

fn tiers() -> (Tiers, Millis) {
    let memory = Memory::new(&MemoryConfig::default());
    let clock = Clock::Manual(ManualClock::new());
    let now = clock.now();
    let purges = Arc::new(Purges::new(TagScope::new("test"), None, &RedisConfig::default()));
    (Tiers::new(memory, None, purges, Arc::new(Names::new(None)), clock, Arc::new(Stats::new())), now)
}

fn target() -> Target {
    Target::of(KEY, None, &HeaderMap::new())
}

#[test]
fn memory_serves_what_is_fresh_and_remembers_what_is_of_use() {
    let now = 100 * HOUR;
    for (stored_at, fresh, stale) in [
        (now, true, false),
        (now + SKEW, true, false),
        // From before the clock was set back.
        (now + SKEW + 1, false, false),
        (now - HOUR + 1, true, false),
        (now - HOUR, false, true),
        (now - 3 * HOUR + 1, false, true),
        (now - 3 * HOUR, false, false),
    ] {
        let entry = Arc::new(entry(stored_at));
        assert_eq!(is_fresh(&entry, now), fresh, "{stored_at} at {now}");
        if !fresh {
            assert_eq!(target().remembering(entry, now).stale.is_some(), stale, "{stored_at} at {now}");
        }
    }
}

#[test]
fn an_entry_of_a_node_whose_clock_is_ahead_is_served_and_not_kept() {
    for (ahead, kept) in [(0, true), (HOUR, false)] {
        let (tiers, now) = tiers();
        let mut entry = entry(now + ahead);
        entry.windows = Windows::default();
        let found = tiers.promote(entry, &mut target()).expect("it is fresh");
        assert_eq!(found.age(now), Duration::ZERO, "not from the future");
        assert_eq!(tiers.memory.entries() == 1, kept, "{ahead} ms ahead");
    }
}

#[test]
fn an_entry_whose_clock_is_ahead_is_not_served_where_its_life_covers_more_than_its_freshness() {
    let (tiers, now) = tiers();
    let mut target = target();
    assert!(tiers.promote(entry(now + HOUR), &mut target).is_none());
    assert!(target.stale.is_none() && tiers.memory.entries() == 0);
}

#[test]
fn a_stale_entry_of_the_shared_tier_is_kept_with_its_times_while_it_is_of_use() {
    for (age, kept) in [(HOUR, true), (3 * HOUR - 1, true), (3 * HOUR, false)] {
        let (tiers, now) = tiers();
        let mut target = target();
        assert!(tiers.promote(entry(now - age), &mut target).is_none(), "it isn't fresh");
        assert_eq!(target.stale.is_some(), kept, "{age}");
        assert_eq!(tiers.memory.entries() == 1, kept, "{age}");
        if let Some(Cached::Entry(entry)) = tiers.memory.get(&KEY) {
            assert_eq!(entry.stored_at, now - age);
        }
    }
}

#[test]
fn the_newer_of_two_stale_entries_stays() {
    let (tiers, now) = tiers();
    let mut target = target();
    for (age, newest) in [(2 * HOUR, 2 * HOUR), (HOUR, HOUR), (2 * HOUR, HOUR)] {
        assert!(tiers.promote(entry(now - age), &mut target).is_none());
        assert_eq!(target.stale.as_ref().map(|entry| entry.stored_at), Some(now - newest));
        let Some(Cached::Entry(entry)) = tiers.memory.get(&KEY) else { panic!("kept") };
        assert_eq!(entry.stored_at, now - newest);
    }
}
