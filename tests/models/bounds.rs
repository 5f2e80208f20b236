//! The bounds on fills, and on those that nobody waits for.

use std::sync::Arc;

use shuttle::future::yield_now;

use crate::explore;
use crate::flight::End;
use crate::flight::map::Joined;
use crate::key::Key;
use crate::purge::{START, never};
use crate::world::{Heard, Patience, Way, World, all, run};

#[test]
fn the_last_waiter_leaves_and_the_fill_is_cancelled() {
    explore("cancelled", || {
        run(async {
            let world = World::new(8, 0);
            let requests = (0..3).map(|_| world.request(0, Way::Hang, Patience::Short)).collect();
            // A fill that isn't cancelled hangs for ever, which shuttle sees.
            let heard = all(requests).await;
            world.end().await;
            let gone = heard.iter().filter(|heard| **heard == Heard::HungUp).count();
            assert!(gone > 0 && world.cancelled() > 0, "{heard:?}");
        });
    });
}

#[test]
fn so_many_fills_go_on_without_a_waiter() {
    explore("orphans", || {
        run(async {
            let world = World::new(8, 1);
            let leads: Vec<_> = (0..2)
                .map(|key| match world.flights.join(Key(key), START, never) {
                    Joined::Lead(lead, waiter) => {
                        world.launch(lead, Some(Key(key)), Way::Hang);
                        waiter
                    }
                    other => panic!("the first leads: {other:?}"),
                })
                .collect();
            let leaving = leads.into_iter().map(|waiter| {
                let world = Arc::clone(&world);
                shuttle::future::spawn(async move {
                    drop(waiter);
                    world.check();
                })
            });
            for leaving in leaving.collect::<Vec<_>>() {
                leaving.await.unwrap();
            }
            assert_eq!(world.flights.orphans(), 1, "one may go on");
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

#[test]
fn a_fill_without_a_waiter_is_joined_and_left_again() {
    explore("joined again", || {
        run(async {
            let world = World::new(8, 1);
            let mut requests: Vec<_> = (0..4).map(|_| world.request(0, Way::Hang, Patience::Short)).collect();
            requests.push(world.request(1, Way::StoreSlowly, Patience::Short));
            all(requests).await;
            world.check();
            world.open_gate();
            world.end().await;
        });
    });
}

#[test]
fn no_more_fills_than_may() {
    explore("full", || {
        run(async {
            let world = World::new(2, 2);
            let requests = (0..3).flat_map(|key| {
                let world = Arc::clone(&world);
                [Way::StoreSlowly, Way::Drop].map(move |way| world.request(key, way, Patience::Endless))
            });
            // One of one's own doesn't ask the map, and so races with those that do.
            let alone = (0..2).map(|_| {
                let world = Arc::clone(&world);
                shuttle::future::spawn(async move {
                    if let Some((lead, waiter)) = world.flights.solo(START) {
                        let number = world.launch(lead, None, Way::Store);
                        assert_eq!(waiter.end().await, End::Stored(number));
                    }
                    world.check();
                })
            });
            let alone: Vec<_> = alone.collect();
            for heard in all(requests.collect()).await {
                let stored =
                    matches!(&heard, Heard::Ends(ends) if matches!(ends.last(), Some(End::Stored(_))));
                assert!(stored || heard == Heard::Full, "{heard:?}");
            }
            for alone in alone {
                alone.await.unwrap();
            }

            world.end().await;
        });
    });
}

#[test]
fn a_fill_of_ones_own_is_joined_by_nobody() {
    explore("alone", || {
        run(async {
            let world = World::new(8, 8);
            let requests = (0..3).map(|_| world.request(0, Way::StoreSlowly, Patience::Endless)).collect();
            let (lead, waiter) = world.flights.solo(START).expect("there is room");
            let number = world.launch(lead, None, Way::Store);
            let own = waiter.end().await;
            drop(waiter);
            assert_eq!(own, End::Stored(number));
            for heard in all(requests).await {
                assert!(matches!(&heard, Heard::Ends(ends) if !ends.contains(&own)), "{heard:?}");
            }
            world.end().await;
        });
    });
}

#[test]
fn everything_at_once() {
    explore("everything", || {
        run(async {
            let world = World::new(3, 1);
            let ways = [Way::Store, Way::Fail, Way::Drop, Way::Panic, Way::Refuse, Way::StoreSlowly];
            let requests = ways.into_iter().enumerate().map(|(number, way)| {
                let patience = if number % 2 == 0 { Patience::Short } else { Patience::Endless };
                world.request(number % 2, way, patience)
            });
            all(requests.collect()).await;
            world.check();
            world.end().await;
        });
    });
}
