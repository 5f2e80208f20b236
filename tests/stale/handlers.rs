//! What a mock can't do: handlers that panic, hang, or break their bodies.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::http::Scripted;
use tokio::sync::mpsc::UnboundedSender;

type Body = Scripted<std::fmt::Error>;
type Acts = UnboundedSender<Act<std::fmt::Error>>;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Panics,
    Hangs,
    BodyBreaks,
    BodyPanics,
    BodyHangs,
    BodyIsShort,
    None,
}

/// Answers whole the first time, then by `fault`.
fn answer(number: usize, fault: Fault) -> (Response<Body>, Acts) {
    let (acts, body) = scripted();
    let mut response = Response::new(body);
    let half = || acts.send(Act::Data("ha")).unwrap();
    match fault {
        _ if number == 0 => acts.send(Act::Data("old")).unwrap(),
        Fault::Panics => panic!("the handler panics"),
        Fault::None | Fault::Hangs => acts.send(Act::Data("new")).unwrap(),
        Fault::BodyBreaks => {
            half();
            acts.send(Act::Error(std::fmt::Error)).unwrap();
        }
        Fault::BodyPanics => {
            half();
            acts.send(Act::Panic).unwrap();
        }
        Fault::BodyHangs => half(),
        Fault::BodyIsShort => {
            half();
            response.headers_mut().insert("content-length", 4.into());
        }
    }
    (response, acts)
}

struct Run {
    calls: usize,
    answers: Vec<(String, Option<String>)>,
}

/// The answers to ten requests at once after a first one: `Cache-Status`, and the body if it is whole.
async fn run(fault: Fault, window: Option<Duration>, first: bool) -> Run {
    let clock = ManualClock::new();
    let cache = QueryCache::builder().clock(&clock).build().unwrap();
    let calls = Arc::new(AtomicUsize::new(usize::from(!first)));
    let counted = Arc::clone(&calls);
    let inner = service_fn(move |_: Request<Empty<bytes::Bytes>>| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if number > 0 && matches!(fault, Fault::Hangs) {
                std::future::pending::<()>().await;
            }
            // All ten are waiting before the fault comes.
            settle().await;
            let (response, acts) = answer(number, fault);
            if number > 0 && matches!(fault, Fault::BodyHangs) {
                tokio::spawn(async move {
                    tokio::time::sleep(60 * MINUTE).await;
                    drop(acts);
                });
            }
            Ok::<_, std::io::Error>(response)
        }
    });
    let policy = Policy::ttl(MINUTE);
    let service = cache
        .layer(match window {
            Some(window) => policy.stale_if_error(window),
            None => policy,
        })
        .layer(inner);
    if first {
        text(service.clone().oneshot(get("/x")).await.unwrap()).await;
        cache.settled().await;
        clock.advance(MINUTE);
    }
    let before = calls.load(Ordering::SeqCst);
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move {
                let answer = service.oneshot(get("/x")).await.unwrap();
                let status = cache_status(&answer).to_owned();
                let body = http_body_util::BodyExt::collect(answer.into_body()).await.ok();
                let body = body.map(|body| String::from_utf8(body.to_bytes().to_vec()).unwrap());
                (status, body)
            })
        })
        .collect();
    let mut answers = Vec::new();
    for caller in callers {
        // A panic of the handler is resumed in its caller.
        answers.push(caller.await.unwrap_or_else(|_| ("panicked".to_owned(), None)));
    }
    Run { calls: calls.load(Ordering::SeqCst) - before, answers }
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_all_callers_get_the_stale_entry() {
    for fault in [
        Fault::Panics,
        Fault::Hangs,
        Fault::BodyBreaks,
        Fault::BodyPanics,
        Fault::BodyHangs,
        Fault::BodyIsShort,
    ] {
        let run = run(fault, Some(MINUTE), true).await;
        println!("{fault:?}: {} calls, {} answers", run.calls, run.answers.len());
        // Those who follow a fill that hangs wait for `coalesce_timeout` alone.
        let hangs = matches!(fault, Fault::Hangs | Fault::BodyHangs);
        let waits = if hangs { "coalesce-timeout" } else { "stale-if-error" };
        for (number, (status, body)) in run.answers.iter().enumerate() {
            let reason = if number == 0 { "stale-if-error" } else { waits };
            assert_eq!(*status, format!("tower-query-cache; fwd=stale; detail={reason}"), "{fault:?}");
            assert_eq!(body.as_deref(), Some("old"), "{fault:?}");
        }
        assert_eq!(run.calls, 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_one_the_failure_comes_through_and_nothing_is_stored() {
    for (window, first) in [(None, true), (Some(MINUTE), false)] {
        for fault in [Fault::Panics, Fault::BodyBreaks, Fault::BodyPanics, Fault::BodyIsShort] {
            let run = run(fault, window, first).await;
            assert_eq!(run.calls, 10, "{fault:?}: nobody can be answered from a failure");
            for (status, body) in &run.answers {
                assert!(!status.contains("hit") && !status.contains("collapsed"), "{fault:?}: {status}");
                let whole = matches!(fault, Fault::BodyIsShort).then_some("ha");
                assert_eq!(body.as_deref(), whole, "{fault:?}");
            }
        }
        let run = run(Fault::Hangs, window, first).await;
        for (status, body) in &run.answers {
            // Answers of the cache itself: there is nothing to store.
            assert!(status.ends_with("fwd=miss; detail=fill-timeout"), "{status}");
            assert_eq!(body.as_deref(), Some(""));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_answer_replaces_the_stale_entry_for_all() {
    let run = run(Fault::None, Some(MINUTE), true).await;
    assert_eq!(run.calls, 1);
    assert!(run.answers.iter().all(|(_, body)| body.as_deref() == Some("new")), "{:?}", run.answers);
    let collapsed = |(status, _): &&(String, _)| status.ends_with("fwd=stale; collapsed");
    assert_eq!(run.answers.iter().filter(collapsed).count(), 9);
}
