//! The histories.

use std::collections::BTreeMap;
use std::thread;

use super::world::{End, run};
use super::{Rule, Rules};

/// Steps of a history, in turn.
const STEPS: [u64; 4] = [40, 80, 160, 320];

fn history(seed: u64, rules: Rules, traced: bool) -> End {
    run(seed, STEPS[seed as usize % STEPS.len()], rules, traced)
}

/// The first history of so many in which a response is wrong without `rule`.
fn caught(rule: Rule, most: u64) -> Option<(u64, String)> {
    (0..most).find_map(|seed| Some((seed, history(seed, Rules(Some(rule)), false).violation?)))
}

/// What many histories gave.
#[derive(Default)]
struct Sum {
    served: u64,
    hits: u64,
    events: BTreeMap<&'static str, u64>,
}

impl Sum {
    /// Every `step`th history from `first` on, none of which may have a wrong response.
    fn of(first: u64, step: u64, end: u64) -> Self {
        let mut sum = Self::default();
        for seed in (first..end).step_by(step as usize) {
            let end = history(seed, Rules::ALL, false);
            if let Some(violation) = end.violation {
                let trace = history(seed, Rules::ALL, true).trace.join("\n");
                panic!("history {seed}:\n{trace}\n{violation}");
            }
            sum.add(end.served, end.hits, end.events);
        }
        sum
    }

    fn add(&mut self, served: u64, hits: u64, events: BTreeMap<&'static str, u64>) {
        self.served += served;
        self.hits += hits;
        for (event, count) in events {
            *self.events.entry(event).or_default() += count;
        }
    }
}

#[test]
fn no_response_is_older_than_a_purge_that_returned() {
    const HISTORIES: u64 = 100_000;
    const THREADS: u64 = 4;
    let runs: Vec<_> =
        (0..THREADS).map(|first| thread::spawn(move || Sum::of(first, THREADS, HISTORIES))).collect();
    let mut sum = Sum::default();
    for run in runs {
        let Sum { served, hits, events } = run.join().unwrap();
        sum.add(served, hits, events);
    }
    let Sum { served, hits, events } = sum;
    println!("{HISTORIES} histories: {served} responses, {hits} of them from the cache, none wrong");
    println!("{events:?}");
    assert!(served > 3 * HISTORIES && hits > HISTORIES, "{served} {hits}");
    // What is to be survived has happened.
    for event in [
        "another server",
        "epoch renewed",
        "exhausted",
        "head repaired",
        "overtaken",
        "place missing",
        "purge ends the epoch",
        "purges replayed",
        "read in touch",
        "stays in memory",
    ] {
        assert!(events.get(event).is_some_and(|count| *count > 1000), "{event}");
    }
}

/// Each within 20,000 histories, most of them within a few.
#[test]
fn broken_journals_are_caught() {
    use Rule::{
        CatchUp, CheckBeforeStore, CheckMemory, Follower, Grace, HeadAtOnce, Heartbeat, Identity,
        LostIsStrict, OfflineHolds, Regress, ReplayThenForget, RevalidationStamp, StampAtStart, StrictAfter,
        StrictInclusive, TailInclusive,
    };
    for rule in [
        StampAtStart,
        CheckBeforeStore,
        CatchUp,
        Regress,
        CheckMemory,
        Follower,
        Grace,
        HeadAtOnce,
        Heartbeat,
        Identity,
        LostIsStrict,
        OfflineHolds,
        ReplayThenForget,
        RevalidationStamp,
        StrictAfter,
        StrictInclusive,
        TailInclusive,
    ] {
        let Some((seed, violation)) = caught(rule, 20_000) else { panic!("{rule:?}: nothing was wrong") };
        let what = violation.split(':').next().unwrap_or_default();
        println!("{rule:?}: caught in history {seed}: {what}");
    }
}

/// Without these more is let go of than need be, and nothing is wrong.
#[test]
fn rules_that_save_entries_are_not_needed_to_be_right() {
    for rule in [Rule::HoleEndsEpoch, Rule::TrimById, Rule::RenewEpoch] {
        assert_eq!(caught(rule, 500), None, "{rule:?}");
    }
}
