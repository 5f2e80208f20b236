//! A purge overtakes a fill: who comes after it never waits for that one, and its end takes no place away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::future::{spawn, yield_now};

use crate::explore;
use crate::flight::End;
use crate::flight::map::{Flights, Joined};
use crate::key::Key;
use crate::purge::Stamp;
use crate::world::{World, run};

/// Joins or leads a fill of the key, of those that began at `known` or later. What it ended with.
async fn request(flights: Arc<Flights>, known: usize, begun: Arc<AtomicUsize>) -> usize {
    match flights.join(Key(0), Stamp(known), |stamp| stamp.0 < known) {
        Joined::Lead(mut lead, waiter) => {
            begun.fetch_add(1, Ordering::SeqCst);
            yield_now().await;
            lead.announce(End::Stored(known));
            drop((lead, waiter));
            known
        }
        Joined::Follow(waiter) => match waiter.end().await {
            End::Stored(stamp) => stamp,
            end => panic!("{end:?}"),
        },
        Joined::Full => panic!("there is room"),
    }
}

#[test]
fn who_knows_of_the_purge_waits_for_no_fill_from_before() {
    explore("an overtaken fill", || {
        run(async {
            let world = World::new(8, 8);
            let begun = Arc::new(AtomicUsize::new(0));
            let requests = [0, 0, 1, 1, 1].map(|known| {
                let (flights, begun) = (Arc::clone(&world.flights), Arc::clone(&begun));
                (known, spawn(request(flights, known, begun)))
            });
            for (known, request) in requests {
                let stamp = request.await.unwrap();
                assert!(stamp >= known, "a fill of {stamp} for a request that knew of {known}");
            }
            assert!(begun.load(Ordering::SeqCst) >= 1);
            world.end().await;
        });
    });
}

#[test]
fn the_end_of_an_overtaken_fill_leaves_the_newer_one_its_place() {
    explore("the newer fill's place", || {
        run(async {
            let world = World::new(8, 8);
            let never = |_: &Stamp| false;
            let Joined::Lead(mut old, waiter) = world.flights.join(Key(0), Stamp(0), never) else {
                panic!("nobody fills")
            };
            let Joined::Lead(newer, newer_waiter) = world.flights.join(Key(0), Stamp(1), |stamp| stamp.0 < 1)
            else {
                panic!("it was joined though it was overtaken")
            };
            let ending = spawn(async move {
                old.announce(End::Stored(0));
                drop((old, waiter));
            });
            let joined = world.flights.join(Key(0), Stamp(1), never);
            assert!(matches!(joined, Joined::Follow(_)));
            drop(joined);
            ending.await.unwrap();
            assert!(matches!(world.flights.join(Key(0), Stamp(1), never), Joined::Follow(_)));
            drop((newer, newer_waiter));
            world.end().await;
        });
    });
}
