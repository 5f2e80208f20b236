//! Faults of the Redis that the program started.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};
use tower_query_cache::QueryCache;

use super::random::Random;
use super::redis::RedisServer;
use super::tally::{Tally, figures, number};

/// What may happen.
const FAULTS: [&str; 4] = ["frozen", "killed", "flushed", "cut off"];

/// The shortest and the longest time that the server is frozen or gone, milliseconds.
const DOWN: (u64, u64) = (100, 1500);

/// What starting the server again, or asking it, may take a busy machine.
const START: Duration = Duration::from_secs(1);

/// The time in which every fault comes once, with such a `pause` before each and as long to recover from it.
pub(crate) fn round(pause: Duration) -> Duration {
    (2 * pause + Duration::from_millis(DOWN.1) + START) * FAULTS.len() as u32
}

/// What happened so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survived {
    /// Faults by their kinds, during and after which answers went on.
    counts: [u64; FAULTS.len()],
    /// Faults during which no answer came.
    pub(crate) stalls: u64,
    /// The longest time from a fault's end to the next hit in the shared tier.
    pub(crate) longest: Duration,
}

impl Survived {
    /// Faults survived.
    pub(crate) fn all(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The kinds that weren't.
    pub(crate) fn lacking(&self) -> Vec<&'static str> {
        let kinds = FAULTS.into_iter().zip(self.counts);
        kinds.filter(|(_, count)| *count == 0).map(|(kind, _)| kind).collect()
    }

    /// Them, by their kinds.
    pub(crate) fn by_kind(&self) -> String {
        let kinds = FAULTS.iter().zip(self.counts).map(|(kind, count)| format!("{count} {kind}"));
        kinds.collect::<Vec<_>>().join(", ")
    }
}

/// Brings about a fault after each `pause`; gives the server back, which is up.
pub(crate) async fn run(
    mut server: RedisServer,
    cache: &QueryCache,
    pause: Duration,
    mut random: Random,
    tally: &Tally,
    stop: &AtomicBool,
    survived: &Mutex<Survived>,
) -> RedisServer {
    // All kinds come, whatever the numbers are, in a run that is long enough.
    let mut turn = random.below(FAULTS.len() as u64) as usize;
    loop {
        let next = Instant::now() + pause;
        while Instant::now() < next {
            if stop.load(Ordering::Relaxed) {
                return server;
            }
            sleep(Duration::from_millis(50)).await;
        }
        turn = (turn + 1) % FAULTS.len();
        let before = tally.answers.load(Ordering::Relaxed);
        let down = Duration::from_millis(DOWN.0 + random.below(DOWN.1 - DOWN.0));
        match turn {
            0 => {
                block_in_place(|| server.pause());
                sleep(down).await;
                block_in_place(|| server.resume());
            }
            1 => {
                block_in_place(|| server.stop());
                sleep(down).await;
                block_in_place(|| server.restart());
            }
            2 => drop(block_in_place(|| server.cli(&["FLUSHALL"]))),
            _ => drop(block_in_place(|| server.cli(&["CLIENT", "KILL", "TYPE", "normal"]))),
        }
        let recovered = recovery(cache, pause, stop).await;
        let stalled = tally.answers.load(Ordering::Relaxed) == before;
        let mut survived = survived.lock().unwrap();
        survived.longest = survived.longest.max(recovered);
        if stalled {
            survived.stalls += 1;
        } else {
            survived.counts[turn] += 1;
        }
    }
}

/// The time until the shared tier is hit again, at most `patience`.
async fn recovery(cache: &QueryCache, patience: Duration, stop: &AtomicBool) -> Duration {
    let started = Instant::now();
    let hits = async || number(&figures(cache).await, "/hits/shared");
    let before = hits().await;
    while hits().await == before && started.elapsed() < patience && !stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(20)).await;
    }
    started.elapsed()
}
