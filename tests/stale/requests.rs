//! Refreshes are made by users' own requests: what is keyed, hidden and partitioned stays so.

use std::sync::{Arc, Mutex};

use super::*;
use crate::support::site::{Site, stats};

fn policy() -> Policy {
    Policy::ttl(MINUTE).stale_while_revalidate(MINUTE)
}

fn cache() -> (ManualClock, QueryCache) {
    let clock = ManualClock::new();
    let cache = QueryCache::builder().clock(&clock).build().unwrap();
    (clock, cache)
}

#[tokio::test(start_paused = true)]
async fn a_refresh_hides_cookies_and_query_parameters_and_keeps_variants_apart() {
    let (clock, cache) = cache();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let hiding = policy().session_cookies(["sid"]).deny_query(["utm_*"]);
    let site = Site::new(&cache, hiding, move |parts| {
        log.lock().unwrap().push((parts.uri.to_string(), parts.headers.contains_key("cookie")));
        let tongue = parts.headers["accept-language"].to_str().unwrap().to_owned();
        ok_with(&[("vary", "accept-language")], &tongue)
    });
    for tongue in ["en", "de"] {
        drop(site.get_with("/x", &[("accept-language", tongue)]).await);
    }
    clock.advance(MINUTE);
    for tongue in ["en", "de"] {
        let fields = [("accept-language", tongue), ("cookie", "_ga=1")];
        let answer = site.get_with("/x?utm_source=mail", &fields).await;
        assert_answer(answer, "hit; ttl=0; detail=stale-while-revalidate", tongue).await;
    }
    cache.settled().await;
    for tongue in ["en", "de"] {
        assert_hit(site.get_with("/x", &[("accept-language", tongue)]).await, tongue).await;
    }
    let plain = ("/x".to_owned(), false);
    assert_eq!(*seen.lock().unwrap(), [plain.clone(), plain.clone(), plain.clone(), plain]);
    let figures = stats(&cache).await;
    assert_eq!((&figures["flights"]["fills"], &figures["flights"]["orphan_fills"]), (&0.into(), &0.into()));
    assert_eq!((&figures["refreshes"], &figures["forwarded"]), (&2.into(), &2.into()));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_sends_the_requests_own_body() {
    let (clock, cache) = cache();
    let searches = policy().refresh_ahead(0.5).methods([Method::POST]).key_body(100);
    let site = Site::keyed(&cache, searches, |_, body| ok(body.to_vec()));
    for body in ["one", "two"] {
        drop(site.post("/p", body).await);
    }
    for (wait, calls) in [(MINUTE / 2, 4), (MINUTE, 6)] {
        clock.advance(wait);
        for body in ["one", "two"] {
            assert_eq!(text(site.post("/p", body).await).await, body);
        }
        cache.settled().await;
        assert_eq!(site.calls(), calls);
        for body in ["one", "two"] {
            assert_hit(site.post("/p", body).await, body).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_its_principals_own() {
    let (clock, cache) = cache();
    let mine = policy()
        .partition_by(|parts| parts.headers.get("authorization").map(|user| user.as_bytes().to_vec().into()));
    let site = Site::new(&cache, mine, |parts| ok(parts.headers["authorization"].as_bytes().to_vec()));
    for _ in 0..2 {
        for user in ["a", "b", "a", "b"] {
            assert_eq!(text(site.get_with("/m", &[("authorization", user)]).await).await, user);
            cache.settled().await;
        }
        clock.advance(MINUTE);
    }
    assert_eq!(site.calls(), 4);
}

#[test]
fn a_stale_answer_needs_no_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut stage = runtime.block_on(async {
        let mut stage = stage(|policy| policy.stale_while_revalidate(MINUTE).refresh_ahead(0.5));
        stage.fill(ok("old")).await;
        stage
    });
    for status in ["hit; ttl=30", "hit; ttl=0; detail=stale-while-revalidate"] {
        stage.clock.advance(MINUTE / 2);
        let std::task::Poll::Ready(Ok(answer)) = task::spawn(stage.service.call(get("/x"))).poll() else {
            panic!("it waits for something");
        };
        assert_eq!(cache_status(&answer), format!("tower-query-cache; {status}"));
    }
}
