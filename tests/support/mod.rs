//! What the integration tests share: a real `redis-server`, a scripted one, and waiting for conditions.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses a part of it")]

#[cfg(feature = "tls")]
pub mod certificates;
mod cluster;
mod fake;
pub mod history;
mod hoard;
pub mod http;
mod journalless;
pub mod log;
pub mod mock;
pub mod net;
#[cfg(feature = "redis")]
pub mod pages;
pub mod program;
#[cfg(feature = "redis")]
pub mod proxy;
mod redis;
mod sentinel;
pub mod site;
#[cfg(feature = "redis")]
pub mod store;

use std::future::Future;
use std::time::Duration;

pub use self::cluster::RedisCluster;
pub use self::fake::FakeRedis;
pub use self::hoard::Hoard;
pub use self::journalless::WithoutJournal;
pub use self::redis::RedisServer;
pub use self::sentinel::Watched;

/// How long a condition may take to come true.
const DEADLINE: Duration = Duration::from_secs(10);

/// Waits until `condition` holds; panics with `what` if it doesn't come true in 10 seconds of the runtime's time.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_async(what, || std::future::ready(condition())).await;
}

/// [`eventually`] for conditions that must be awaited.
pub async fn eventually_async<F: Future<Output = bool>>(what: &str, condition: impl FnMut() -> F) {
    eventually_within(DEADLINE, what, condition).await;
}

/// [`eventually_async`] with a deadline of its own, for what takes its time by design.
pub async fn eventually_within<F: Future<Output = bool>>(
    deadline: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let come_true = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(deadline, come_true).await.is_err() {
        panic!("not in {deadline:?}: {what}");
    }
}
