//! One fill per key: who calls the inner service, who waits, and what a hang-up or a failure changes.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Response, StatusCode};
use support::http::{Act, Scripted, assert_hit, cache_status, get, get_with, ok, ok_with, scripted, text};
use support::mock::{MINUTE, Req, cache, next, over_mock, settle};
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::{Service as _, ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tower_query_cache::Policy;

#[tokio::test(start_paused = true)]
async fn a_dropped_leader_does_not_drop_the_fill() {
    let cache = cache();
    let (mut service, mut origin) = over_mock(&cache);
    let mut first = task::spawn(service.call(get("/x")));
    let mut second = task::spawn(service.call(get("/x")));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    drop(first);
    next(&mut origin, "/x").await.send_response(ok("fresh"));
    let second = second.await.unwrap();
    assert_eq!(cache_status(&second), "tower-query-cache; fwd=miss; collapsed");
    assert_eq!(text(second).await, "fresh");
    assert_hit(service.call(get("/x")).await.unwrap(), "fresh").await;
}

#[tokio::test(start_paused = true)]
async fn a_fill_goes_on_when_all_have_hung_up() {
    let cache = cache();
    let (mut service, mut origin) = over_mock(&cache);
    let mut only = task::spawn(service.call(get("/x")));
    assert_pending!(only.poll());
    drop(only);
    next(&mut origin, "/x").await.send_response(ok("fresh"));
    cache.settled().await;
    assert_hit(service.call(get("/x")).await.unwrap(), "fresh").await;
}

#[tokio::test(start_paused = true)]
async fn requests_for_one_key_make_one_call() {
    let cache = cache();
    let (service, mut origin) = over_mock(&cache);
    let callers: Vec<_> = (0..100).map(|_| tokio::spawn(service.clone().oneshot(get("/x")))).collect();
    let respond = next(&mut origin, "/x").await;
    settle().await;
    respond.send_response(ok("fresh"));
    let mut collapsed = 0;
    for caller in callers {
        let response = caller.await.unwrap().unwrap();
        collapsed += usize::from(cache_status(&response).ends_with("collapsed"));
        assert_eq!(text(response).await, "fresh");
    }
    assert_eq!(collapsed, 99);
    assert_pending!(task::spawn(origin.next_request()).poll());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_lets_the_others_go_at_once_and_is_remembered() {
    let start = Instant::now();
    let cache = cache();
    let (service, mut origin) = over_mock(&cache);
    let callers: Vec<_> = (0..10).map(|_| tokio::spawn(service.clone().oneshot(get("/x")))).collect();
    let private = || ok_with(&[("cache-control", "private")], "mine");
    let first = next(&mut origin, "/x").await;
    settle().await;
    first.send_response(private());
    let mut waiting = Vec::new();
    for _ in 0..9 {
        waiting.push(next(&mut origin, "/x").await);
    }
    waiting.into_iter().for_each(|respond| respond.send_response(private()));
    for caller in callers {
        let response = caller.await.unwrap().unwrap();
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=miss; detail=private");
    }

    // Remembered: two at once both reach the origin, and the first storable response is stored all the same.
    let again: Vec<_> = (0..2).map(|_| tokio::spawn(service.clone().oneshot(get("/x")))).collect();
    let both = [next(&mut origin, "/x").await, next(&mut origin, "/x").await];
    assert!(start.elapsed() < Duration::from_secs(1), "they waited for each other: {:?}", start.elapsed());
    both.into_iter().for_each(|respond| respond.send_response(ok("public")));
    for caller in again {
        assert_eq!(text(caller.await.unwrap().unwrap()).await, "public");
    }
    assert_hit(service.clone().oneshot(get("/x")).await.unwrap(), "public").await;
}

#[tokio::test(start_paused = true)]
async fn an_error_goes_to_its_caller_and_one_waiter_is_elected_once() {
    let cache = cache();
    let (service, mut origin) = over_mock(&cache);
    let callers: Vec<_> = (0..5).map(|_| tokio::spawn(service.clone().oneshot(get("/x")))).collect();
    let first = next(&mut origin, "/x").await;
    settle().await;
    first.send_error("down");
    let elected = next(&mut origin, "/x").await;
    settle().await;
    assert_pending!(task::spawn(origin.next_request()).poll(), "one is elected, not all");
    elected.send_error("still down");
    for _ in 0..3 {
        next(&mut origin, "/x").await.send_response(ok("up"));
    }
    let mut failed = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Ok(response) => assert_eq!(text(response).await, "up"),
            Err(error) => {
                assert!(error.to_string().contains("down"));
                failed += 1;
            }
        }
    }
    assert_eq!(failed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_error_elects_another_and_is_not_stored() {
    let cache = cache();
    let (service, mut origin) = over_mock(&cache);
    let callers: Vec<_> = (0..3).map(|_| tokio::spawn(service.clone().oneshot(get("/x")))).collect();
    let first = next(&mut origin, "/x").await;
    settle().await;
    let mut broken = ok("broken");
    *broken.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    first.send_response(broken);
    next(&mut origin, "/x").await.send_response(ok("fine"));
    let mut statuses = Vec::new();
    for caller in callers {
        statuses.push(caller.await.unwrap().unwrap().status().as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 500]);
    assert_hit(service.clone().oneshot(get("/x")).await.unwrap(), "fine").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_resumed_in_the_first_caller_alone() {
    let calls = Arc::new(AtomicUsize::new(0));
    let inner = service_fn({
        let calls = Arc::clone(&calls);
        move |_: Req| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                assert!(call > 0, "the handler panics");
                Ok::<_, std::convert::Infallible>(ok("fine"))
            }
        }
    });
    let service = cache().layer(Policy::ttl(MINUTE)).layer(inner);
    let first = tokio::spawn(service.clone().oneshot(get("/x")));
    settle().await;
    let second = tokio::spawn(service.clone().oneshot(get("/x")));
    let panic = first.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the handler panics"));
    assert_eq!(text(second.await.unwrap().unwrap()).await, "fine");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_does_not_slow_the_others() {
    let (acts, body) = scripted();
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    let inner = service_fn(move |_: Req| {
        let body: Scripted = body.lock().unwrap().take().expect("called once");
        async move { Ok::<_, std::convert::Infallible>(Response::new(body)) }
    });
    let service = cache().layer(Policy::ttl(MINUTE)).layer(inner);
    let slow = tokio::spawn(service.clone().oneshot(get("/x")));
    settle().await;
    let follower = tokio::spawn(service.clone().oneshot(get("/x")));
    acts.send(Act::Data("one ")).unwrap();
    let slow = slow.await.unwrap().unwrap();
    assert_eq!(cache_status(&slow), "tower-query-cache; fwd=miss; stored");
    settle().await;
    acts.send(Act::Data("two")).unwrap();
    drop(acts);
    // The slow client has read nothing yet.
    let follower = follower.await.unwrap().unwrap();
    assert_eq!(text(follower).await, "one two");
    assert_eq!(text(slow).await, "one two");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_mid_body_changes_nothing() {
    let (acts, body) = scripted();
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    let inner = service_fn(move |_: Req| {
        let body: Scripted = body.lock().unwrap().take().expect("called once");
        async move { Ok::<_, std::convert::Infallible>(Response::new(body)) }
    });
    let cache = cache();
    let service = cache.layer(Policy::ttl(MINUTE)).layer(inner);
    let first = tokio::spawn(service.clone().oneshot(get("/x")));
    acts.send(Act::Data("half")).unwrap();
    drop(first.await.unwrap().unwrap());
    acts.send(Act::Data(" and half")).unwrap();
    drop(acts);
    cache.settled().await;
    assert_hit(service.clone().oneshot(get("/x")).await.unwrap(), "half and half").await;
}

#[tokio::test(start_paused = true)]
async fn followers_of_another_variant_get_their_own() {
    let cache = cache();
    let (service, mut origin) = over_mock(&cache);
    let german = get_with("/x", &[("accept-language", "de")]);
    let french = get_with("/x", &[("accept-language", "fr")]);
    let first = tokio::spawn(service.clone().oneshot(german));
    let respond = next(&mut origin, "/x").await;
    let second = tokio::spawn(service.clone().oneshot(french));
    settle().await;
    respond.send_response(ok_with(&[("vary", "Accept-Language")], "hallo"));
    next(&mut origin, "/x").await.send_response(ok_with(&[("vary", "Accept-Language")], "salut"));
    assert_eq!(text(first.await.unwrap().unwrap()).await, "hallo");
    assert_eq!(text(second.await.unwrap().unwrap()).await, "salut");
    for (language, body) in [("de", "hallo"), ("fr", "salut")] {
        let request = get_with("/x", &[("accept-language", language)]);
        assert_hit(service.clone().oneshot(request).await.unwrap(), body).await;
    }
}

/// No tier keeps anything: writes to the shared one fail, and memory has no room.
#[cfg(feature = "test-util")]
#[tokio::test(start_paused = true)]
async fn followers_get_the_very_entry_of_the_fill_though_no_tier_takes_it() {
    use std::sync::Arc;
    use tower_query_cache::test_util::{Fault, FaultStore, MemoryStore, Operation};
    use tower_query_cache::{MemoryConfig, QueryCache, StoreError};

    let faults = FaultStore::new(Arc::new(MemoryStore::new(100)));
    faults.inject(Fault::error(StoreError::Timeout).on([Operation::Set]));
    let mut memory = MemoryConfig::default();
    memory.max_bytes = 1;
    let cache = QueryCache::builder().memory(memory).store(Arc::new(faults.clone())).build().unwrap();
    let (service, mut origin) = over_mock(&cache);
    let callers: Vec<_> = (0..10).map(|_| tokio::spawn(service.clone().oneshot(get("/x")))).collect();
    let respond = next(&mut origin, "/x").await;
    settle().await;
    respond.send_response(ok("fresh"));
    let mut etags = std::collections::HashSet::new();
    for caller in callers {
        let answer = caller.await.unwrap().unwrap();
        etags.insert(answer.headers()["etag"].clone());
        assert_eq!(text(answer).await, "fresh");
    }
    cache.settled().await;
    assert_eq!((etags.len(), faults.counts().struck(Operation::Set)), (1, 1));
    let again = tokio::spawn(service.clone().oneshot(get("/x")));
    next(&mut origin, "/x").await.send_response(ok("again"));
    assert_eq!(text(again.await.unwrap().unwrap()).await, "again");
}
