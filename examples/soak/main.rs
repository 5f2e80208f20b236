//! A soak: as much mixed traffic as the machine bears, over a Redis that fails every few seconds, with every byte of
//! every answer checked and every byte of memory counted.
//!
//! ```text
//! cargo run --release --example soak -- --seconds 60
//! ```
//!
//! It ends with status 1 if an answer was wrong, a request never ended, more was allocated than the caps add up to, the
//! memory tier wasn't full by half-time, a tier had no hits, a kind of fault never came though there was time for it, a
//! figure is missing, or the cache can't be shut down or leaves memory behind.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

mod arguments;
mod client;
mod faults;
mod origin;
mod random;
#[path = "../../tests/support/redis.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is the tests' own")]
mod redis;
mod setup;
mod tally;
mod truth;

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peak_alloc::PeakAlloc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower::service_fn;
use tower_layer::Layer as _;
use tower_query_cache::QueryCache;

use self::arguments::{Arguments, USAGE};
use self::faults::Survived;
use self::random::Random;
use self::redis::RedisServer;
use self::setup::Bound;
use self::tally::{Tally, figures};

/// Counts the bytes that live.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// The memory tier counts as full at this many hundredths of its cap: the next entry may be too large for the rest.
const FULL: u64 = 90;
/// How long the end may take.
const END: Duration = Duration::from_secs(40);
/// What may stay allocated when all is dropped: the runtime's and the standard library's own.
const LEFT: usize = 512 << 10;
/// Figures that are printed as they are.
const PARTS: [&str; 7] = ["refusals", "bypasses", "stale", "leases", "breaker", "errors", "queue"];
/// Time between lines.
const LINE: Duration = Duration::from_secs(5);

/// What a run shares.
#[derive(Default)]
struct Run {
    tally: Tally,
    stop: AtomicBool,
    survived: Mutex<Survived>,
    /// The most bytes that the memory tier was seen with by half-time.
    filled: AtomicU64,
    /// Figures that were seen over their caps.
    over: AtomicU64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("soak: {problem}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !client::is_the_handlers(panic.payload()) {
            hook(panic);
        }
    }));
    match soak(arguments).await {
        Ok(problems) if problems.is_empty() => {
            println!("all is well");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            problems.iter().for_each(|problem| println!("FAILED: {problem}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the traffic and tells what was wrong with it.
async fn soak(arguments: Arguments) -> Result<Vec<String>, Box<dyn Error>> {
    let Arguments { time, clients, fault, seed } = arguments;
    let mut random = Random::new(seed);
    let (url, server) = match std::env::var("REDIS_URL") {
        Ok(url) => (url, None),
        Err(_) => {
            let server =
                RedisServer::with_args(&["--maxmemory", "64mb", "--maxmemory-policy", "volatile-lfu"]);
            (server.url(), Some(server))
        }
    };
    let faulty = server.is_some();
    println!(
        "seed {seed}, {clients} clients, {} s, faults: {}",
        time.as_secs(),
        if faulty { "yes" } else { "no" }
    );

    let before = HEAP.current_usage();
    let run = Arc::new(Run::default());
    let cache = setup::cache(url)?;
    cache.ready(Duration::from_secs(5)).await;
    let (calls, origin_seed) = (AtomicU64::new(0), random.word());
    let calls = Arc::new(calls);
    let service = cache.layer(setup::policy()).layer(service_fn(move |request| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        origin::answer(request, Random::new(origin_seed ^ call))
    }));

    let mut tasks = JoinSet::new();
    for caller in 0..clients {
        let (run, service, random) = (Arc::clone(&run), service.clone(), Random::new(random.word()));
        tasks.spawn(async move { client::run(service, caller, random, &run.tally, &run.stop).await });
    }
    drop(service);
    let faults = server.map(|server| {
        let (run, cache, random) = (Arc::clone(&run), cache.clone(), Random::new(random.word()));
        tokio::spawn(async move {
            faults::run(server, &cache, fault, random, &run.tally, &run.stop, &run.survived).await
        })
    });
    watch(&run, &cache, time).await;
    run.stop.store(true, Ordering::Relaxed);
    let ended = timeout(END, async {
        let failed = |error| run.tally.wrong(&format!("a task of the soak itself ended: {error}"));
        while let Some(done) = tasks.join_next().await {
            done.unwrap_or_else(failed);
        }
        match faults {
            Some(faults) => faults.await.map_err(failed).ok(),
            None => None,
        }
    })
    .await;
    // The server is there until the cache is shut down: what is queued has somewhere to go.
    let shut_down = timeout(END, cache.shutdown()).await.is_ok();
    let faults_due = match faulty {
        true if time >= faults::round(fault) => Due::All,
        true if time >= fault * 2 => Due::One,
        _ => Due::None,
    };
    let mut problems = conclude(&run, &cache, clients, faults_due).await;
    if ended.is_err() || !shut_down {
        problems.push(format!("it didn't end in {END:?}"));
    }

    drop((tasks, cache, ended));
    // Connections end in tasks of their own.
    let deadline = Instant::now() + Duration::from_secs(5);
    let left = || HEAP.current_usage().saturating_sub(before);
    while left() > LEFT && Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
    }
    println!("left when all is dropped: {} of at most {}", mib(left()), mib(LEFT));
    if left() > LEFT {
        problems.push("memory is left behind".to_owned());
    }
    Ok(problems)
}

/// Prints a line each few seconds until the time is over, and sees how full the memory tier gets by half-time.
async fn watch(run: &Run, cache: &QueryCache, time: Duration) {
    let started = Instant::now();
    let mut line = LINE.min(time / 2);
    while started.elapsed() < time {
        sleep(Duration::from_millis(250).min(time.saturating_sub(started.elapsed()))).await;
        let figures = figures(cache).await;
        let seen = |figure| run.tally.figure(&figures, figure);
        for (figure, cap) in setup::CAPS {
            if seen(figure) > cap as u64 {
                println!("{figure} is over its cap of {}", mib(cap));
                Tally::count(&run.over);
            }
        }
        let memory = seen("/memory/bytes");
        if started.elapsed() <= time / 2 {
            run.filled.fetch_max(memory, Ordering::Relaxed);
        }
        if started.elapsed() >= line {
            line += LINE;
            println!(
                "{:>4} s: {:>8} requests, hits {:>8} memory {:>7} shared, {:>5} disconnects, {:>2} faults, {} wrong, \
                 memory tier {}, recordings {}, queue {}, live {} peak {}",
                started.elapsed().as_secs(),
                run.tally.requests.load(Ordering::Relaxed),
                seen("/hits/memory"),
                seen("/hits/shared"),
                run.tally.disconnects.load(Ordering::Relaxed),
                run.survived.lock().unwrap().all(),
                run.tally.wrongs(),
                mib(memory as usize),
                mib(seen("/flights/recording_bytes") as usize),
                mib(seen("/queue/queued_bytes") as usize),
                mib(HEAP.current_usage()),
                mib(HEAP.peak_usage()),
            );
        }
    }
}

/// Which faults there was time for.
#[derive(Clone, Copy, PartialEq)]
enum Due {
    None,
    One,
    All,
}

/// Prints the sums, and tells what is wrong with them.
async fn conclude(run: &Run, cache: &QueryCache, clients: usize, faults: Due) -> Vec<String> {
    let figures = figures(cache).await;
    let seen = |figure: &str| run.tally.figure(&figures, figure);
    let (memory, shared) = (seen("/hits/memory"), seen("/hits/shared"));
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (wrong, filled, peak) = (run.tally.wrongs(), count(&run.filled), HEAP.peak_usage());
    let bound = Bound::of(clients);
    let survived = run.survived.lock().unwrap().clone();
    for part in PARTS {
        println!("{part}: {}", figures[part]);
    }
    println!(
        "requests: {}, answered right {}, the service's own failures {}",
        count(&run.tally.requests),
        count(&run.tally.answers),
        count(&run.tally.failures),
    );
    println!(
        "hits: memory {memory}, shared {shared}, collapsed {}, refreshes {}",
        seen("/collapsed"),
        seen("/refreshes")
    );
    println!(
        "faults survived: {} ({}), {} without any answer, hits back after {:?} at most",
        survived.all(),
        survived.by_kind(),
        survived.stalls,
        survived.longest,
    );
    println!("disconnects: {}", count(&run.tally.disconnects));
    println!("wrong answers: {wrong}");
    println!("memory tier by half-time: {} of {}", mib(filled as usize), mib(setup::MEMORY as usize));
    println!(
        "peak live bytes: {} of at most {}: caps {}, copies under way, requests and this program {}",
        mib(peak),
        mib(bound.sum()),
        mib(bound.caps),
        mib(bound.rest)
    );

    let mut problems = Vec::new();
    let mut must = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    must(wrong == 0, "wrong answers");
    must(peak <= bound.sum(), "more was allocated than the caps add up to");
    must(filled * 100 >= setup::MEMORY * FULL, "the memory tier wasn't full by half-time");
    // Not before the end: while entries come and go, a walk over the tier counts some that aren't there together.
    must(seen("/memory/bytes") <= setup::MEMORY, "the memory tier is over its cap");
    must(count(&run.over) == 0, "a figure was over its cap");
    must(memory > 0 && shared > 0, "a tier had no hits");
    must(count(&run.tally.disconnects) > 0, "nobody left");
    must(survived.stalls == 0, "a fault stopped the answers");
    must(faults == Due::None || survived.all() > 0, "no fault came");
    let lacking = survived.lacking();
    must(faults != Due::All || lacking.is_empty(), &format!("never {}", lacking.join(", never ")));
    for held in ["/flights/fills", "/flights/waiters", "/flights/recording_bytes", "/queue/queued_entries"] {
        must(seen(held) == 0, &format!("{held} isn't 0 at the end"));
    }
    for part in PARTS {
        must(!figures[part].is_null(), &format!("there is no figure {part}"));
    }
    let missing = run.tally.missing();
    must(missing.is_empty(), &format!("figures are missing: {missing:?}"));
    problems
}

fn mib(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
