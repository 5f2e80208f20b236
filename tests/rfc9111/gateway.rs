//! The example gateway as processes of its own, with the tiers that the cases run under.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::case::Case;
use crate::run::Patience;
use crate::support::RedisServer;
use crate::support::program::Program;

/// Tells whether a string value holds the argument.
const FIND: &str = "for _, key in ipairs(redis.call('KEYS', '*')) do \
    if redis.call('TYPE', key).ok == 'string' and string.find(redis.call('GET', key), ARGV[1], 1, true) then \
    return 1 end end return 0";

/// Where entries are kept.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Tier {
    /// In the gateway's memory.
    Memory,
    /// In Redis; the memory holds next to nothing.
    Redis,
    /// In Redis and in the memories of two gateways that take the steps by turns.
    Two,
}

impl Tier {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "Redis",
            Self::Two => "two gateways",
        }
    }

    pub(crate) const fn runs(self, case: &Case) -> bool {
        match self {
            Self::Memory => true,
            Self::Redis => !case.memory,
            Self::Two => !case.memory && !case.alone,
        }
    }
}

/// Gateways in front of one origin. Dropped, they are stopped.
pub(crate) struct Gateways {
    programs: Vec<Program>,
    redis: Option<Arc<RedisServer>>,
}

impl Gateways {
    pub(crate) async fn start(tier: Tier, origin: SocketAddr) -> Self {
        let upstream = format!("http://{origin}");
        tokio::task::spawn_blocking(move || {
            let redis = (tier != Tier::Memory).then(RedisServer::start);
            let url = redis.as_ref().map(RedisServer::url);
            // A family has more entries than the default.
            let size = if tier == Tier::Redis { "1" } else { "100000" };
            let mut variables = vec![("UPSTREAM", upstream.as_str()), ("LRU_CACHE_SIZE", size)];
            variables.extend(url.as_deref().map(|url| ("REDIS_URL", url)));
            let number = if tier == Tier::Two { 2 } else { 1 };
            let serve = |_| Program::serve("hyper_gateway", None, &variables);
            Self { programs: (0..number).map(serve).collect(), redis: redis.map(Arc::new) }
        })
        .await
        .unwrap()
    }

    /// The gateway for a step.
    pub(crate) fn address(&self, step: usize) -> SocketAddr {
        self.programs[step % self.programs.len()].address
    }

    /// Waits until the shared tier, if there is one, holds a value with this mark.
    pub(crate) async fn written(&self, mark: &str, patience: Patience) {
        let Some(redis) = &self.redis else { return };
        let tries = match patience {
            Patience::Short => 6,
            Patience::Long => 80,
        };
        let (redis, mark) = (Arc::clone(redis), mark.to_owned());
        let find = move || redis.call(&[b"EVAL", FIND.as_bytes(), b"0", mark.as_bytes()]);
        for _ in 0..tries {
            if tokio::task::spawn_blocking(find.clone()).await.unwrap() == b"1" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}
