//! How long a request waits for the origin.

use super::*;

#[tokio::test(start_paused = true)]
async fn after_the_soft_timeout_the_stale_entry_answers_and_the_fill_goes_on() {
    let mut stage = stage(|policy| policy.stale_if_error(MINUTE).soft_timeout(SECOND));
    let start = tokio::time::Instant::now();
    let callers = ten(&mut stage).await;
    let slow = next(&mut stage.origin, "/x").await;
    for caller in callers {
        assert_answer(caller.await.unwrap().unwrap(), "fwd=stale; detail=soft-timeout", "old").await;
    }
    assert_eq!(start.elapsed().as_millis() / 100, 10, "a second and no more");
    slow.send_response(ok("new"));
    stage.cache.settled().await;
    assert_hit(stage.at_once().await, "new").await;
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_stale_entry_the_soft_timeout_means_nothing_and_the_hard_one_is_504() {
    let mut stage =
        stage(|policy| policy.stale_if_error(MINUTE).soft_timeout(SECOND).hard_timeout(3 * SECOND));
    let start = tokio::time::Instant::now();
    let callers: Vec<_> = (0..10).map(|_| stage.send(get("/x"))).collect();
    let slow = next(&mut stage.origin, "/x").await;
    for caller in callers {
        let answer = caller.await.unwrap().unwrap();
        assert_eq!(answer.status(), 504);
        assert_answer(answer, "fwd=miss; detail=hard-timeout", "").await;
    }
    assert_eq!(start.elapsed().as_millis() / 100, 30);
    slow.send_response(ok("late"));
    stage.cache.settled().await;
    assert_hit(stage.at_once().await, "late").await;
}

#[tokio::test(start_paused = true)]
async fn after_the_hard_timeout_a_stale_entry_answers_where_there_is_one() {
    let mut stage = stage(|policy| policy.stale_if_error(MINUTE).hard_timeout(2 * SECOND));
    let callers = ten(&mut stage).await;
    let _slow = next(&mut stage.origin, "/x").await;
    for caller in callers {
        assert_answer(caller.await.unwrap().unwrap(), "fwd=stale; detail=hard-timeout", "old").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_fill_over_the_bound_is_called_off_and_not_begun_again_at_once() {
    let clock = ManualClock::new();
    let mut limits = tower_query_cache::LimitsConfig::default();
    limits.max_orphan_fills = 1;
    let cache = QueryCache::builder().clock(&clock).limits(limits).build().unwrap();
    let (inner, mut origin) = tower_test::mock::pair();
    origin.allow(1000);
    let policy = Policy::ttl(MINUTE).stale_if_error(MINUTE).soft_timeout(SECOND);
    let service: Cache<Mock> = cache.layer(policy).layer(inner);
    let mut stage = Stage { cache, clock, service, origin };
    for path in ["/a", "/b"] {
        let first = stage.send(get(path));
        next(&mut stage.origin, path).await.send_response(ok(path));
        drop(first.await.unwrap().unwrap());
    }
    stage.clock.advance(MINUTE);
    let mut slow = Vec::new();
    for path in ["/a", "/b"] {
        let caller = stage.send(get(path));
        slow.push(next(&mut stage.origin, path).await);
        assert_answer(caller.await.unwrap().unwrap(), "fwd=stale; detail=soft-timeout", path).await;
    }
    settle().await;
    let again = stage.service.call(get("/b")).await.unwrap();
    assert_answer(again, "hit; ttl=0; detail=throttled", "/b").await;
    slow.into_iter().for_each(|respond| respond.send_response(ok("new")));
    stage.cache.settled().await;
    assert_hit(stage.service.call(get("/a")).await.unwrap(), "new").await;
    stage.clock.advance(SECOND);
    let later = stage.send(get("/b"));
    next(&mut stage.origin, "/b").await.send_response(ok("new"));
    assert_answer(later.await.unwrap().unwrap(), "fwd=stale; stored", "new").await;
}
