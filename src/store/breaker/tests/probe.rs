//! Probes that don't come to an end of their own.

use super::*;

/// A runtime with a clock of its own.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_an_answer_ends_in_time() {
    let (store, breaker) = opened(Sign::Silence);
    advance(SECOND).await;
    assert!(breaker.admit().is_none());
    sleep(LIMIT - Duration::from_millis(1)).await;
    assert_eq!(breaker.status().state, "half-open");
    sleep(Duration::from_millis(2)).await;
    assert_eq!(breaker.status().state, "open");
    // The wait runs from one start to the next: this one is due.
    store.shows(Sign::Life);
    assert!(breaker.admit().is_none());
    step().await;
    assert_eq!((store.probes(), breaker.status().state), (2, "closed"));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_has_failed() {
    let (store, breaker) = opened(Sign::Panic);
    advance(SECOND).await;
    assert!(breaker.admit().is_none());
    step().await;
    assert_eq!((store.probes(), breaker.status().state), (1, "open"));
    store.shows(Sign::Life);
    advance(2 * SECOND).await;
    assert!(breaker.admit().is_none());
    step().await;
    assert!(breaker.is_closed());
}

#[test]
fn a_probe_that_ends_with_its_runtime_has_failed_and_outside_one_there_is_none() {
    let (store, breaker) = opened(Sign::Silence);
    assert!(breaker.admit().is_none());
    let first = runtime();
    first.block_on(async {
        advance(2 * SECOND).await;
        assert!(breaker.admit().is_none());
        step().await;
    });
    assert_eq!((store.probes(), breaker.status().state), (1, "half-open"));
    drop(first);
    assert_eq!(breaker.status().state, "open");

    store.shows(Sign::Life);
    runtime().block_on(async {
        sleep(10 * SECOND).await;
        assert!(breaker.admit().is_none());
        step().await;
    });
    assert_eq!((store.probes(), breaker.status().state), (2, "closed"));
}

#[test]
fn a_probe_that_nobody_polls_any_more_is_given_up() {
    let (store, breaker) = opened(Sign::Life);
    let idle = runtime();
    idle.block_on(async {
        advance(2 * SECOND).await;
        // The task is there, and this runtime stops before its turn.
        assert!(breaker.admit().is_none());
    });
    assert_eq!((store.probes(), breaker.status().state), (0, "half-open"));

    runtime().block_on(async {
        advance(2 * SECOND + LIMIT).await;
        assert!(breaker.admit().is_none());
        step().await;
        assert_eq!((store.probes(), breaker.status().state), (0, "half-open"));
        advance(2 * LOST).await;
        assert!(breaker.admit().is_none());
        step().await;
    });
    let status = breaker.status();
    assert_eq!((store.probes(), status.state, status.probes), (1, "closed", 2));
    drop(idle);
    assert!(breaker.is_closed(), "the lost one changes nothing any more");
}
