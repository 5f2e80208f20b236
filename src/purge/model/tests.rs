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

/// The first seed below `most` at which a response is wrong without `rule`.
fn caught(rule: Rule, most: u64) -> Option<(u64, String)> {
    (0..most).find_map(|seed| Some((seed, history(seed, Rules(Some(rule)), false).violation?)))
}

#[test]
fn no_response_is_older_than_a_purge_that_returned() {
    let HISTORIES: u64 = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    const THREADS: u64 = 2;
    let runs = (0..THREADS).map(|first| {
        thread::spawn(move || {
            let (mut served, mut hits, mut events) = (0, 0, BTreeMap::<_, u64>::new());
            for seed in (first..HISTORIES).step_by(THREADS as usize) {
                let end = history(seed, Rules::ALL, false);
                if let Some(violation) = end.violation {
                    let trace = history(seed, Rules::ALL, true).trace.join("\n");
                    panic!("seed {seed}:\n{trace}\n{violation}");
                }
                served += end.served;
                hits += end.hits;
                for (event, count) in end.events {
                    *events.entry(event).or_default() += count;
                }
            }
            (served, hits, events)
        })
    });
    let runs: Vec<_> = runs.collect();
    let (mut served, mut hits, mut events) = (0, 0, BTreeMap::<_, u64>::new());
    for run in runs {
        let (more, hit, seen) = run.join().unwrap();
        served += more;
        hits += hit;
        for (event, count) in seen {
            *events.entry(event).or_default() += count;
        }
    }
    println!("{HISTORIES} histories: {served} responses, {hits} of them from the cache, none wrong");
    println!("{events:?}");
    assert!(served > HISTORIES && hits > HISTORIES / 2, "{served} {hits}");
}

#[test]
fn one() {
    let Ok(seed) = std::env::var("SEED") else { return };
    let end = history(seed.parse().unwrap(), Rules::ALL, true);
    println!("{}\n{:?}", end.trace.join("\n"), end.violation);
}

#[test]
fn broken_journals_are_caught() {
    use Rule::*;
    for rule in [StampAtStart, CheckBeforeStore, CatchUp, Regress, CheckMemory] {
        let (seed, violation) = caught(rule, 20_000).unwrap();
        println!("without {rule:?}: wrong in history {seed}: {violation}");
    }
}

#[test]
fn table() {
    use Rule::*;
    for rule in [
        StampAtStart,
        CheckBeforeStore,
        CatchUp,
        Regress,
        CheckMemory,
        Follower,
        TailInclusive,
        StrictInclusive,
        Identity,
        LostIsStrict,
        StrictAfter,
        HardIsNoBase,
        RevalidationStamp,
        Grace,
        Heartbeat,
        HeadIndex,
        HeadAtOnce,
        HoleEndsEpoch,
        TrimById,
        RenewEpoch,
        OfflineHolds,
        ReplayThenForget,
    ] {
        match caught(rule, 20_000) {
            Some((seed, violation)) => {
                println!("{rule:?}: {seed}: {}", &violation[..60.min(violation.len())])
            }
            None => println!("{rule:?}: -"),
        }
    }
}
