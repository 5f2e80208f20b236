//! Lookups, fills, refreshes and writes that overlap: what is newer stays.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use support::Hoard;
use tower_query_cache::RedisConfig;

use super::*;

/// A process whose shared tier may take its time.
fn node(store: &Arc<Hoard>, clock: &ManualClock, policy: Policy) -> Stage {
    let mut config = RedisConfig::default();
    config.lookup_timeout = 20 * SECOND;
    config.write_timeout = 20 * SECOND;
    let builder = QueryCache::builder().clock(clock).app("stale").redis(config);
    let cache = builder.store(Arc::clone(store) as _).build().unwrap();
    let (inner, mut origin) = tower_test::mock::pair();
    origin.allow(1000);
    let service = cache.layer(policy).layer(inner);
    Stage { cache, clock: clock.clone(), service, origin }
}

fn private() -> Response<Full<Bytes>> {
    ok_with(&[("cache-control", "private")], "mine")
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_does_not_put_the_old_entry_over_the_new() {
    let (store, clock) = (Arc::new(Hoard::open()), ManualClock::new());
    let policy = || Policy::ttl(MINUTE).stale_while_revalidate(MINUTE);
    node(&store, &clock, policy()).fill(ok("old")).await;
    clock.advance(MINUTE);
    let mut reader = node(&store, &clock, policy());
    store.replies.forget_permits(Hoard::OPEN);
    let early = reader.send(get("/x"));
    settle().await;
    let late = reader.send(get("/x"));
    settle().await;
    store.replies.add_permits(1);
    drop(early.await.unwrap().unwrap());
    next(&mut reader.origin, "/x").await.send_response(ok("new"));
    settle().await;
    assert_hit(reader.at_once().await, "new").await;
    store.replies.add_permits(1);
    assert_hit(late.await.unwrap().unwrap(), "new").await;
    assert_hit(reader.at_once().await, "new").await;
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_does_not_hide_fresh_variants() {
    let (store, clock) = (Arc::new(Hoard::open()), ManualClock::new());
    let policy = || Policy::ttl(MINUTE).stale_while_revalidate(60 * MINUTE);
    node(&store, &clock, policy()).fill(ok("any tongue")).await;
    clock.advance(MINUTE);
    let mut reader = node(&store, &clock, policy());
    store.replies.forget_permits(Hoard::OPEN);
    let tongue = |tongue| get_with("/x", &[("accept-language", tongue)]);
    let early = reader.send(tongue("en"));
    settle().await;
    let late = reader.send(tongue("de"));
    settle().await;
    store.replies.add_permits(1);
    drop(early.await.unwrap().unwrap());
    let english = ok_with(&[("vary", "accept-language")], "english");
    next(&mut reader.origin, "/x").await.send_response(english);
    settle().await;
    assert_hit(reader.service.call(tongue("en")).await.unwrap(), "english").await;
    store.replies.add_permits(Hoard::OPEN / 2);
    next(&mut reader.origin, "/x").await.send_response(ok_with(&[("vary", "accept-language")], "deutsch"));
    assert_eq!(text(late.await.unwrap().unwrap()).await, "deutsch");
    assert_hit(reader.service.call(tongue("en")).await.unwrap(), "english").await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_does_not_go_back_to_what_the_shared_tier_still_has() {
    for (first, second) in [("max-age=60", "max-age=60"), ("max-age=100", "max-age=10")] {
        let (store, clock) = (Arc::new(Hoard::open()), ManualClock::new());
        let mut stage = node(&store, &clock, Policy::ttl(MINUTE).refresh_ahead(0.4));
        stage.fill(ok_with(&[("cache-control", first)], "one")).await;
        store.refuses.store(true, Ordering::SeqCst);
        clock.advance(40 * SECOND);
        assert_hit(stage.at_once().await, "one").await;
        let two = ok_with(&[("cache-control", second)], "two");
        next(&mut stage.origin, "/x").await.send_response(two);
        stage.cache.settled().await;
        assert_hit(stage.at_once().await, "two").await;
        clock.advance(if second == "max-age=10" { 5 * SECOND } else { 30 * SECOND });
        assert_hit(stage.at_once().await, "two").await;
        next(&mut stage.origin, "/x").await.send_error("down");
        stage.cache.settled().await;
        assert_hit(stage.at_once().await, "two").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_overtaken_entry_does_not_come_back_by_its_own_write() {
    let (store, clock) = (Arc::new(Hoard::open()), ManualClock::new());
    let mut stage = node(&store, &clock, Policy::ttl(SECOND).stale_while_revalidate(60 * MINUTE));
    store.writes.forget_permits(Hoard::OPEN);
    let first = stage.send(get("/x"));
    next(&mut stage.origin, "/x").await.send_response(ok("old"));
    first.await.unwrap().unwrap();
    clock.advance(SECOND);
    drop(stage.at_once().await);
    next(&mut stage.origin, "/x").await.send_response(private());
    settle().await;
    store.writes.add_permits(Hoard::OPEN / 2);
    stage.cache.settled().await;
    assert_eq!(store.len(), 0, "the shared tier has the old entry, for an hour");
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_does_not_take_a_newer_entry_away() {
    let mut stage = stage(|policy| policy.stale_if_error(MINUTE).soft_timeout(SECOND));
    stage.fill(ok("old")).await;
    stage.clock.advance(MINUTE);
    let one = stage.send(get("/x"));
    let slow = next(&mut stage.origin, "/x").await;
    drop(one.await);
    // The entry that stands in is used up; who asks now joins the slow fill, and goes on alone.
    stage.clock.advance(MINUTE);
    let two = stage.send(get("/x"));
    next(&mut stage.origin, "/x").await.send_response(ok("new"));
    drop(two.await);
    slow.send_response(ok_with(&[("set-cookie", "a=b")], "mine"));
    stage.cache.settled().await;
    assert_hit(stage.at_once().await, "new").await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_does_not_make_the_stale_window_fresh() {
    let (store, ahead, right) = (Arc::new(Hoard::open()), ManualClock::new(), ManualClock::new());
    ahead.advance(30 * MINUTE);
    let policy = || Policy::ttl(MINUTE).stale_if_error(60 * MINUTE);
    node(&store, &ahead, policy()).fill(ok("old")).await;
    right.advance(29 * MINUTE);
    let mut reader = node(&store, &right, policy());
    let caller = reader.send(get("/x"));
    next(&mut reader.origin, "/x").await.send_response(ok("new"));
    assert_eq!(text(caller.await.unwrap().unwrap()).await, "new");
}

#[tokio::test(start_paused = true)]
async fn requests_that_saw_one_stale_entry_make_one_refresh() {
    let mut stage = stage(|policy| policy.stale_while_revalidate(MINUTE));
    stage.fill(ok("old")).await;
    stage.clock.advance(MINUTE);
    let (one, two) = (stage.service.call(get("/x")), stage.service.call(get("/x")));
    drop(one.await.unwrap());
    next(&mut stage.origin, "/x").await.send_response(ok("new"));
    settle().await;
    drop(two.await.unwrap());
    stage.quiet().await;
}
