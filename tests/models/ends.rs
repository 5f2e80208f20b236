//! However a fill ends, and whenever others join it or hang up: every waiter hears of it.

use crate::explore;
use crate::flight::End;
use crate::world::{Heard, Patience, Way, World, all, run};

/// Four requests for one cold key, the first fill of which goes `way`. `judge` looks at what those heard that waited.
fn four_requests(way: Way, patience: Patience, judge: fn(&World, &[Heard])) {
    let name = format!("{way:?}, patience {patience:?}");
    explore(&name, move || {
        run(async move {
            let world = World::new(8, 8);
            let requests = (0..4).map(|number| {
                // The first may be the leader or not: that is the schedule's choice.
                let patience = if number == 3 { Patience::Endless } else { patience };
                world.request(0, way, patience)
            });
            let heard = all(requests.collect()).await;
            world.end().await;
            judge(&world, &heard);
        });
    });
}

/// The last ends that were heard.
fn last(heard: &[Heard]) -> Vec<End> {
    let ends = heard.iter().filter_map(|heard| match heard {
        Heard::Ends(ends) => ends.last().cloned(),
        Heard::Full | Heard::HungUp => None,
    });
    ends.collect()
}

fn all_stored(_: &World, heard: &[Heard]) {
    let last = last(heard);
    assert!(!last.is_empty() && last.iter().all(|end| matches!(end, End::Stored(_))), "{heard:?}");
}

#[test]
fn a_fill_that_stores() {
    four_requests(Way::Store, Patience::Endless, |world, heard| {
        all_stored(world, heard);
        assert!(heard.iter().all(|heard| matches!(heard, Heard::Ends(ends) if ends.len() == 1)), "{heard:?}");
    });
}

#[test]
fn a_fill_that_stores_slowly() {
    four_requests(Way::StoreSlowly, Patience::Endless, all_stored);
}

#[test]
fn a_fill_that_is_refused() {
    four_requests(Way::Refuse, Patience::Endless, all_stored);
}

#[test]
fn a_fill_that_fails() {
    four_requests(Way::Fail, Patience::Endless, all_stored);
}

#[test]
fn a_fill_that_is_dropped() {
    four_requests(Way::Drop, Patience::Endless, all_stored);
}

#[test]
fn a_fill_that_panics() {
    four_requests(Way::Panic, Patience::Endless, all_stored);
}

#[test]
fn waiters_that_hang_up_at_any_step() {
    for way in [Way::Store, Way::StoreSlowly, Way::Refuse, Way::Fail, Way::Drop, Way::Panic] {
        four_requests(way, Patience::Short, all_stored);
    }
}
