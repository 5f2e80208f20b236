//! What the server does when its memory is full, and whether that suits a cache with a journal.

use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_redis::redis::{FromRedisValue as _, Value};

use super::figures::field;

/// Warns once of a policy that evicts the journal too, or nothing at all. Without a limit there is nothing to warn of.
#[derive(Debug, Default)]
pub(super) struct Eviction(AtomicBool);

impl Eviction {
    /// Looks at a reply to `INFO memory`.
    pub(super) fn note(&self, reply: Option<Value>) {
        let info = reply.and_then(|reply| String::from_redis_value(reply).ok()).unwrap_or_default();
        let Some(warning) = warning(&info) else { return };
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!("Redis: {warning}; `maxmemory-policy volatile-lfu` suits a cache");
        }
    }
}

fn warning(info: &str) -> Option<&'static str> {
    if field(info, "maxmemory").is_none_or(|limit| limit == "0") {
        return None;
    }
    match field(info, "maxmemory_policy")? {
        "noeviction" => Some("with its memory full it refuses entries and purges (noeviction)"),
        policy if policy.starts_with("allkeys-") => {
            Some("it may evict the purge journal, and with that all entries (allkeys-*)")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Log;

    #[test]
    fn a_policy_that_suits_no_journal_is_warned_of_once() {
        let (log, _logging) = Log::start();
        let eviction = Eviction::default();
        let mut told = 0;
        for (limit, policy, warns) in [
            ("0", "noeviction", false),
            ("0", "allkeys-lru", false),
            ("1048576", "volatile-lfu", false),
            ("1048576", "allkeys-lfu", true),
            ("1048576", "noeviction", true),
        ] {
            let info = format!("# Memory\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n");
            assert_eq!(warning(&info).is_some(), warns, "{limit} {policy}");
            eviction.note(Some(Value::BulkString(info.into_bytes())));
            told += usize::from(warns);
            assert_eq!(log.text().matches("WARN").count(), told.min(1));
        }
        eviction.note(None);
        eviction.note(Some(Value::Int(1)));
    }
}
