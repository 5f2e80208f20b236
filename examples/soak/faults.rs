//! Faults of the Redis that the program started.

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

    /// Them, by their kinds.
    pub(crate) fn by_kind(&self) -> String {
        let kinds = FAULTS.iter().zip(self.counts).map(|(kind, count)| format!("{count} {kind}"));
        kinds.collect::<Vec<_>>().join(", ")
    }
}

/// Brings about a fault after each `pause`.
pub(crate) async fn run(
    mut server: RedisServer,
    cache: &QueryCache,
    pause: Duration,
    mut random: Random,
    tally: &Tally,
    stop: &AtomicBool,
    survived: &std::sync::Mutex<Survived>,
) {
    // All kinds come, whatever the numbers are, in a run that is long enough.
    let mut turn = random.below(FAULTS.len() as u64) as usize;
    loop {
        let next = Instant::now() + pause;
        while Instant::now() < next {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        turn = (turn + 1) % FAULTS.len();
        let before = tally.answers.load(Ordering::Relaxed);
        let down = Duration::from_millis(100 + random.below(1400));
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
