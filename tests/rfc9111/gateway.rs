//! The example gateway as processes of its own, with the tiers that the cases run under.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::case::Case;
use crate::run::Patience;
use crate::support::RedisServer;
use crate::support::program::Program;

/// The marks in all values.
const MARKS: &str = "local marks = {} for _, key in ipairs(redis.call('KEYS', '*')) do \
    if redis.call('TYPE', key).ok == 'string' then \
    for mark in string.gmatch(redis.call('GETRANGE', key, 0, 65535), '<[%w_]+/%d+>') do \
    marks[#marks + 1] = mark end end end return table.concat(marks, ' ')";

/// Where entries are kept.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Tier {
    /// In the gateway's memory.
    Memory,
    /// In Redis; the memory holds next to nothing.
    Redis,
    /// In Redis and in the gateway's memory, as in use.
    Both,
    /// In Redis and in the memories of two gateways that take the steps by turns.
    Two,
}

impl Tier {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "Redis",
            Self::Both => "memory and Redis",
            Self::Two => "two gateways",
        }
    }

    pub(crate) const fn runs(self, case: &Case) -> bool {
        match self {
            Self::Memory | Self::Both => true,
            Self::Redis => !case.memory,
            Self::Two => !case.memory && !case.alone,
        }
    }
}

/// Gateways in front of one origin. Dropped, they are stopped.
pub(crate) struct Gateways {
    programs: Vec<Program>,
    marks: Option<watch::Receiver<String>>,
}

impl Gateways {
    pub(crate) async fn start(tier: Tier, origin: SocketAddr) -> Self {
        let upstream = format!("http://{origin}");
        let start = move || {
            let redis = (tier != Tier::Memory).then(RedisServer::start);
            let url = redis.as_ref().map(RedisServer::url);
            // A family has more entries than the default.
            let size = if tier == Tier::Redis { "1" } else { "100000" };
            // No lookup is a miss for want of time, however busy the machine is.
            let mut variables =
                vec![("UPSTREAM", upstream.as_str()), ("LRU_CACHE_SIZE", size), ("LOOKUP_TIMEOUT", "5000")];
            variables.extend(url.as_deref().map(|url| ("REDIS_URL", url)));
            let number = if tier == Tier::Two { 2 } else { 1 };
            let serve = |_| Program::serve("hyper_gateway", None, &variables);
            ((0..number).map(serve).collect(), redis.map(Arc::new))
        };
        let (programs, redis) = tokio::task::spawn_blocking(start).await.unwrap();
        Self { programs, marks: redis.map(marks) }
    }

    /// The gateway for a step.
    pub(crate) fn address(&self, step: usize) -> SocketAddr {
        self.programs[step % self.programs.len()].address
    }

    /// Waits until the shared tier, if there is one, holds a value with this mark.
    pub(crate) async fn written(&self, mark: &str, patience: Patience) {
        let Some(marks) = &self.marks else { return };
        let wait = match patience {
            Patience::Short => Duration::from_millis(500),
            Patience::Long => Duration::from_secs(2),
        };
        let mut marks = marks.clone();
        // What rightly never comes is found by its answers.
        let _ =
            tokio::time::timeout(wait, marks.wait_for(|marks| marks.split(' ').any(|known| known == mark)))
                .await;
    }
}

/// What the shared tier holds, read again and again by one reader for all cases: many would keep the server from its work.
fn marks(redis: Arc<RedisServer>) -> watch::Receiver<String> {
    let (sender, receiver) = watch::channel(String::new());
    tokio::spawn(async move {
        while !sender.is_closed() {
            let redis = Arc::clone(&redis);
            let read = move || redis.call(&[b"EVAL", MARKS.as_bytes(), b"0"]);
            let marks = tokio::task::spawn_blocking(read).await.unwrap();
            sender.send_replace(String::from_utf8(marks).unwrap());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    receiver
}
