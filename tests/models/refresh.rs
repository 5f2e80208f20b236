//! Fills that no request waits for from their start.

use shuttle::future::yield_now;

use crate::config::LimitsConfig;
use crate::explore;
use crate::world::{Heard, Patience, Way, World, all, run};

#[test]
fn a_refresh_is_the_only_fill_of_its_key_and_others_may_join_it() {
    for way in [Way::StoreSlowly, Way::Fail, Way::Drop, Way::Panic] {
        explore(&format!("refresh, {way:?}"), move || {
            run(async move {
                let world = World::new(8, 8);
                let refreshes = [world.refresh(0, way), world.refresh(0, way)];
                let patience = [Patience::Short, Patience::Endless, Patience::Endless];
                let requests = patience.map(|patience| world.request(0, way, patience));
                for heard in all(requests.into()).await {
                    assert!(matches!(heard, Heard::Ends(_) | Heard::HungUp), "{heard:?}");
                }
                for refresh in refreshes {
                    refresh.await.unwrap();
                }
                world.end().await;
                assert_eq!(world.cancelled(), 0);
            });
        });
    }
}

#[test]
fn refreshes_have_the_bound_of_fills_without_a_waiter() {
    explore("refreshes, bound", || {
        run(async {
            let world = World::new(8, 2);
            let refreshes = [0, 1, 2].map(|key| world.refresh(key, Way::Hang));
            let mut begun = 0;
            for refresh in refreshes {
                begun += usize::from(refresh.await.unwrap());
            }
            assert_eq!((begun, world.flights.orphans()), (2, 2));
            world.open_gate();
            world.end().await;
        });
    });
}

#[test]
fn a_refresh_for_which_there_is_no_room_takes_none() {
    explore("refreshes, full", || {
        run(async {
            let world = World::new(1, 3);
            let refreshes = [0, 1, 2].map(|key| world.refresh(key, Way::Hang));
            let mut begun = 0;
            for refresh in refreshes {
                begun += usize::from(refresh.await.unwrap());
            }
            assert_eq!((begun, world.flights.fills(), world.flights.orphans()), (1, 1, 1));
            world.open_gate();
            world.end().await;
        });
    });
}

#[test]
fn where_fills_are_called_off_a_refresh_goes_on() {
    explore("called off", || {
        run(async {
            let limits = LimitsConfig { max_fills: 8, max_orphan_fills: 8, finish_fills: false };
            let world = World::with(limits);
            assert!(world.refresh(0, Way::Hang).await.unwrap());
            // Joins it, and leaves it again.
            let joins = world.request(0, Way::Hang, Patience::Short);
            // Leads a fill of another key, and leaves it.
            let leads = world.request(1, Way::Hang, Patience::Short);
            assert_eq!(all(vec![joins, leads]).await, [Heard::HungUp, Heard::HungUp]);
            while world.cancelled() == 0 {
                yield_now().await;
            }
            assert_eq!((world.flights.fills(), world.flights.orphans()), (1, 1));
            world.open_gate();
            world.end().await;
            assert_eq!(world.cancelled(), 1);
        });
    });
}
