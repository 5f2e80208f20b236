//! What a mock can't do: handlers that fail, panic, hang, or break their bodies.

use std::collections::BTreeMap;
use std::io::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use serde_json::Value;
use support::http::Scripted;
use support::{eventually_async, site::stats};
use tokio::sync::mpsc::UnboundedSender;
use tower_query_cache::CacheBuilder;

use super::*;

type Body = Scripted<std::fmt::Error>;
type Acts = UnboundedSender<Act<std::fmt::Error>>;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Err,
    Is500,
    Panics,
    Hangs,
    BodyBreaks,
    BodyPanics,
    BodyHangs,
    BodyIsShort,
    None,
}

const FAULTS: [Fault; 8] = [
    Fault::Err,
    Fault::Is500,
    Fault::Panics,
    Fault::Hangs,
    Fault::BodyBreaks,
    Fault::BodyPanics,
    Fault::BodyHangs,
    Fault::BodyIsShort,
];

/// Requests at once.
const CALLERS: usize = 10;

/// Answers whole the first time, then by `fault`.
fn answer(number: usize, fault: Fault) -> Result<(Response<Body>, Acts), Error> {
    let (acts, body) = scripted();
    let mut response = Response::new(body);
    let send = |act| acts.send(act).unwrap();
    match fault {
        _ if number == 0 => send(Act::Data("old")),
        Fault::Err => return Err(Error::other("down")),
        Fault::Is500 => {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            send(Act::Data("broken"));
        }
        Fault::Panics => panic!("the handler panics"),
        Fault::None | Fault::Hangs => send(Act::Data("new")),
        Fault::BodyBreaks => {
            send(Act::Data("ha"));
            send(Act::Error(std::fmt::Error));
        }
        Fault::BodyPanics => {
            send(Act::Data("ha"));
            send(Act::Panic);
        }
        Fault::BodyHangs => send(Act::Data("ha")),
        Fault::BodyIsShort => {
            send(Act::Data("ha"));
            response.headers_mut().insert("content-length", 4.into());
        }
    }
    Ok((response, acts))
}

/// What came of all the requests but the first.
struct Run {
    calls: usize,
    /// How often each came of one.
    ends: BTreeMap<String, usize>,
    figures: Value,
}

/// A handle to be, and how long its callers read a body that doesn't end.
type Bed = (CacheBuilder, Duration);

/// Whether there is something to stand in for a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Safety {
    /// A stale entry.
    Net,
    /// A stale entry, and no window to use it in.
    NoWindow,
    /// A window, and no entry.
    NoEntry,
}

impl Safety {
    fn entries(self) -> usize {
        usize::from(self != Self::NoEntry)
    }
}

/// Ten requests at once, after a first one if there shall be a stale entry.
async fn run((builder, patience): Bed, fault: Fault, safety: Safety) -> Run {
    let clock = ManualClock::new();
    let cache = builder.clock(&clock).app("stale").build().unwrap();
    assert!(cache.ready(MINUTE).await);
    let calls = Arc::new(AtomicUsize::new(1 - safety.entries()));
    let unfinished = Arc::new(Mutex::new(Vec::new()));
    let inner = service_fn({
        let (calls, unfinished, cache) = (Arc::clone(&calls), Arc::clone(&unfinished), cache.clone());
        move |_: Request<Empty<bytes::Bytes>>| {
            let number = calls.fetch_add(1, Ordering::SeqCst);
            let (unfinished, cache) = (Arc::clone(&unfinished), cache.clone());
            async move {
                if number == 1 {
                    // All are there before the fault comes.
                    eventually_async("the others wait", || async {
                        stats(&cache).await["flights"]["waiters"] == CALLERS - 1
                    })
                    .await;
                }
                if number > 0 && matches!(fault, Fault::Hangs) {
                    std::future::pending::<()>().await;
                }
                let (response, acts) = answer(number, fault)?;
                if number > 0 && matches!(fault, Fault::BodyHangs) {
                    unfinished.lock().unwrap().push(acts);
                }
                Ok::<_, Error>(response)
            }
        }
    });
    let policy = Policy::ttl(MINUTE);
    let service = cache
        .layer(match safety {
            Safety::NoWindow => policy,
            Safety::Net | Safety::NoEntry => policy.stale_if_error(MINUTE),
        })
        .layer(inner);
    if safety.entries() > 0 {
        text(service.clone().oneshot(get("/x")).await.unwrap()).await;
        cache.settled().await;
        clock.advance(MINUTE);
    }
    let callers: Vec<_> =
        (0..CALLERS).map(|_| tokio::spawn(end(service.clone().oneshot(get("/x")), patience))).collect();
    let mut ends = BTreeMap::new();
    for caller in callers {
        let end = caller.await.unwrap_or_else(|panic| {
            let payload = panic.into_panic();
            format!("panic: {}", payload.downcast_ref::<&str>().unwrap_or(&"?"))
        });
        *ends.entry(end).or_default() += 1;
    }
    // Bodies end cleanly only when nobody records them any more.
    cache.settled().await;
    unfinished.lock().unwrap().clear();
    let figures = stats(&cache).await;
    Run { calls: calls.load(Ordering::SeqCst) - 1, ends, figures }
}

/// What comes of a request.
async fn end<F, B>(answer: F, patience: Duration) -> String
where
    F: Future<Output = Result<Response<B>, Error>>,
    B: http_body::Body<Data = bytes::Bytes>,
{
    let answer = match answer.await {
        Ok(answer) => answer,
        Err(error) => return format!("error: {error}"),
    };
    let told = cache_status(&answer).trim_start_matches("tower-query-cache; ");
    let head = format!("{}, {told}", answer.status().as_u16());
    match tokio::time::timeout(patience, answer.into_body().collect()).await {
        Ok(Ok(body)) => format!("{head}: {}", String::from_utf8_lossy(&body.to_bytes())),
        Ok(Err(_)) => format!("{head}: broken off"),
        Err(_) => format!("{head}: no end"),
    }
}

/// What must come of the requests.
fn ends(fault: Fault, safety: Safety) -> BTreeMap<String, usize> {
    let hangs = matches!(fault, Fault::Hangs | Fault::BodyHangs);
    let ends = match (fault, safety) {
        // Those who follow a fill that hangs wait for `coalesce_timeout` alone.
        (_, Safety::Net) if hangs => vec![
            ("200, fwd=stale; detail=coalesce-timeout: old", CALLERS - 1),
            ("200, fwd=stale; detail=stale-if-error: old", 1),
        ],
        // One of them has asked, and tells what the origin's answer was.
        (Fault::Is500, Safety::Net) => vec![
            ("200, fwd=stale; fwd-status=500; detail=stale-if-error: old", 1),
            ("200, fwd=stale; detail=stale-if-error: old", CALLERS - 1),
        ],
        (_, Safety::Net) => vec![("200, fwd=stale; detail=stale-if-error: old", CALLERS)],
        (fault, _) => vec![(without(fault), CALLERS)],
    };
    ends.into_iter().map(|(end, count)| (end.to_owned(), count)).collect()
}

/// What comes of a request that nothing stands in for.
fn without(fault: Fault) -> &'static str {
    match fault {
        Fault::Err => "error: down",
        Fault::Is500 => "500, fwd=miss; detail=server-error: broken",
        Fault::Panics => "panic: the handler panics",
        // An answer of the cache itself.
        Fault::Hangs => "504, fwd=miss; detail=fill-timeout: ",
        Fault::BodyBreaks => "200, fwd=miss; detail=body-error: broken off",
        Fault::BodyPanics => "panic: the body panics",
        // Its head went out before that was known.
        Fault::BodyHangs => "200, fwd=miss; stored: no end",
        Fault::BodyIsShort => "200, fwd=miss; detail=length-mismatch: ha",
        Fault::None => unreachable!("it is no failure"),
    }
}

/// Brings about every fault. `look` is for what a shared tier has afterwards.
async fn every_fault(safety: Safety, bed: impl Fn() -> Bed, look: impl Fn(Fault)) {
    for fault in FAULTS {
        let run = run(bed(), fault, safety).await;
        let kept = (&run.figures["stored"], &run.figures["memory"]["entries"]);
        println!(
            "{safety:?}, {fault:?}: {} calls, {:?}, {} stored, {} in memory",
            run.calls, run.ends, kept.0, kept.1
        );
        assert_eq!(run.ends, ends(fault, safety), "{safety:?}, {fault:?}");
        assert_eq!(run.calls, if safety == Safety::Net { 1 } else { CALLERS }, "{safety:?}, {fault:?}");
        let entries = Value::from(safety.entries());
        assert_eq!(kept, (&entries, &entries), "{safety:?}, {fault:?}");
        look(fault);
    }
}

fn in_memory() -> Bed {
    (QueryCache::builder(), MINUTE)
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_all_callers_get_the_stale_entry() {
    every_fault(Safety::Net, in_memory, |_| ()).await;
}

#[tokio::test(start_paused = true)]
async fn without_one_the_failure_comes_through_and_nothing_is_stored() {
    for safety in [Safety::NoWindow, Safety::NoEntry] {
        every_fault(safety, in_memory, |_| ()).await;
    }
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn nor_does_a_failure_leave_anything_in_redis() {
    let redis = support::RedisServer::start();
    let bed = || {
        redis.cli(&["FLUSHALL"]);
        // Short, as this is no paused time; and far enough apart for a busy machine.
        let mut limits = tower_query_cache::LimitsConfig::default();
        limits.coalesce_timeout = Duration::from_millis(100);
        limits.fill_timeout = SECOND;
        let builder = QueryCache::builder().redis(support::store::patient(redis.url())).limits(limits);
        (builder, SECOND / 2)
    };
    for safety in [Safety::Net, Safety::NoWindow, Safety::NoEntry] {
        every_fault(safety, bed, |fault| {
            let keys = redis.keys();
            println!("{safety:?}, {fault:?}: {} keys in Redis", keys.len());
            assert_eq!(keys.len(), safety.entries(), "{safety:?}, {fault:?}: {keys:?}");
            for key in keys {
                let value = redis.call(&[b"GET", key.as_bytes()]);
                assert!(value.windows(3).any(|part| part == b"old"), "{safety:?}, {fault:?}");
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_answer_replaces_the_stale_entry_for_all() {
    let run = run(in_memory(), Fault::None, Safety::Net).await;
    assert_eq!(run.calls, 1);
    let ends = [("200, fwd=stale; collapsed: new", CALLERS - 1), ("200, fwd=stale; stored: new", 1)];
    assert_eq!(run.ends, ends.map(|(end, count)| (end.to_owned(), count)).into());
}
