//! Load for benches: so many calls in flight for a round.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long one side is measured before the other has its turn.
const ROUND: Duration = Duration::from_millis(300);

/// Keeps `level` reads in flight for a round; reads per second and the median time of one.
pub(crate) async fn measure<F, R>(level: usize, read: &F) -> (f64, Duration)
where
    F: Fn(usize) -> R + Clone + Send + 'static,
    R: Future<Output = bool> + Send,
{
    let start = Instant::now();
    let mut readers = JoinSet::new();
    for reader in 0..level {
        let read = read.clone();
        readers.spawn(async move {
            let mut times = Vec::with_capacity(1 << 14);
            let mut number = reader * 31;
            let mut before = Instant::now();
            while before < start + ROUND {
                assert!(read(number).await, "a value is missing or wrong");
                number += 1;
                let now = Instant::now();
                times.push(now - before);
                before = now;
                // What is answered at once shall not keep the others from their turn.
                tokio::task::consume_budget().await;
            }
            times
        });
    }
    let mut times: Vec<Duration> = readers.join_all().await.into_iter().flatten().collect();
    let per_second = times.len() as f64 / start.elapsed().as_secs_f64();
    let middle = times.len() / 2;
    (per_second, *times.select_nth_unstable(middle).1)
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
