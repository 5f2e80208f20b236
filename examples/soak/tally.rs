//! What is counted.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tower::ServiceExt as _;
use tower_query_cache::QueryCache;

/// Wrong answers that are told in full.
const TOLD: u64 = 10;

/// Counters that all clients share.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Requests sent.
    pub(crate) requests: AtomicU64,
    /// Right answers, whole.
    pub(crate) answers: AtomicU64,
    /// The handler's own failures, which came through as they are.
    pub(crate) failures: AtomicU64,
    /// Requests that the client didn't wait out.
    pub(crate) disconnects: AtomicU64,
    /// Wrong answers, and requests without an end.
    wrong: AtomicU64,
    /// Figures that were asked for and aren't there.
    missing: Mutex<BTreeSet<String>>,
}

impl Tally {
    /// Counts one.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a wrong answer, and tells of the first ones.
    pub(crate) fn wrong(&self, what: &str) {
        if self.wrong.fetch_add(1, Ordering::Relaxed) < TOLD {
            println!("WRONG: {what}");
        }
    }

    /// A number in the figures. One that isn't there is noted, so that it can't pass for 0.
    pub(crate) fn figure(&self, figures: &Value, pointer: &str) -> u64 {
        number(figures, pointer).unwrap_or_else(|| {
            self.missing.lock().unwrap().insert(pointer.to_owned());
            0
        })
    }

    /// Figures that weren't there.
    pub(crate) fn missing(&self) -> BTreeSet<String> {
        self.missing.lock().unwrap().clone()
    }

    /// Wrong answers so far.
    pub(crate) fn wrongs(&self) -> u64 {
        self.wrong.load(Ordering::Relaxed)
    }
}

/// The cache's own figures.
pub(crate) async fn figures(cache: &QueryCache) -> Value {
    let request = http::Request::new(());
    let Ok(response) = cache.stats_handler().oneshot(request).await;
    let Ok(body) = http_body_util::BodyExt::collect(response.into_body()).await;
    serde_json::from_slice(&body.to_bytes()).unwrap_or_default()
}

/// A number in the figures, if it is there.
pub(crate) fn number(figures: &Value, pointer: &str) -> Option<u64> {
    figures.pointer(pointer).and_then(Value::as_u64)
}
