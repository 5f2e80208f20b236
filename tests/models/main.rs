//! Models of the flight map: its source, compiled here with shuttle's locks and atomics in place of the standard ones, under
//! hundreds of schedules each.
//!
//! What holds in every schedule: a waiter hears the end of its fill, of one key never two fills run at once, whoever heard an
//! end doesn't join that flight again, the bounds hold at every moment, and nothing is left in the end.
//!
//! Shuttle knows sequentially consistent atomics alone. The map's counters are each on their own, or changed under a lock, so
//! that their orderings don't matter.
//!
//! The schedules have fixed seeds. A failure prints its own; [`shuttle::replay`] takes it.

mod bounds;
mod config;
mod ends;
mod flight;
mod key;
mod overtaken;
mod purge;
mod refresh;
mod world;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// Schedules of a model by each scheduler.
const SCHEDULES: usize = 300;

/// Preemptions that a schedule of the PCT scheduler has.
const DEPTH: usize = 3;

/// Runs `model` under random schedules, and under such with few preemptions, which find what takes an unlikely order.
fn explore(name: &str, model: impl Fn() + Clone + Send + Sync + 'static) {
    let mut config = Config::new();
    // That orderings weaker than `SeqCst` are explored as if they were that: the header says so.
    config.silence_warnings = true;
    let random = RandomScheduler::new_from_seed(1, SCHEDULES);
    let few = PctScheduler::new_from_seed(2, DEPTH, SCHEDULES);
    let schedules =
        Runner::new(random, config.clone()).run(model.clone()) + Runner::new(few, config).run(model);
    assert_eq!(schedules, 2 * SCHEDULES);
    println!("{name}: {schedules} schedules");
}
