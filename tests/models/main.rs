//! Models of the flight map: its source, compiled here with shuttle's locks and atomics in place of the standard ones, under
//! thousands of schedules each.
//!
//! What holds in every schedule: a waiter hears the end of its fill, of one key never two fills run at once, whoever heard an
//! end doesn't join that flight again, the bounds hold at every moment, and nothing is left in the end.
//!
//! The schedules have fixed seeds. A failure prints its own; [`shuttle::replay`] takes it.

mod bounds;
mod config;
mod ends;
mod flight;
mod key;
mod world;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// Schedules of a model by each scheduler.
const SCHEDULES: usize = 500;

/// Preemptions that a schedule of the PCT scheduler has.
const DEPTH: usize = 3;

/// Runs `model` under random schedules, and under such with few preemptions, which find what takes an unlikely order.
fn explore(name: &str, model: impl Fn() + Clone + Send + Sync + 'static) {
    let random = RandomScheduler::new_from_seed(1, SCHEDULES);
    let few = PctScheduler::new_from_seed(2, DEPTH, SCHEDULES);
    let schedules =
        Runner::new(random, Config::new()).run(model.clone()) + Runner::new(few, Config::new()).run(model);
    assert_eq!(schedules, 2 * SCHEDULES);
    println!("{name}: {schedules} schedules");
}
