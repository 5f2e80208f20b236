//! What the stats handler asks the handle.

use std::sync::atomic::Ordering;

use crate::cache::Shared;
use crate::stats::{FlightFigures, LocalFigures, MemoryFigures, ServerFigures, Source, Tier};

impl Source for Shared {
    fn local(&self) -> LocalFigures<'_> {
        let memory = &self.tiers.memory;
        let shared = self.tiers.shared.as_ref();
        LocalFigures {
            enabled: self.enabled.load(Ordering::Relaxed),
            tier: if shared.is_some() { Tier::Redis } else { Tier::Memory },
            memory: MemoryFigures {
                entries: memory.entries() as u64,
                bytes: memory.bytes(),
                max_entries: memory.limits().max_entries as u64,
                max_bytes: memory.limits().max_bytes,
            },
            uptime: self.started.elapsed(),
            pool: shared.map(|shared| shared.store.pool()).unwrap_or_default(),
            queue: shared.map(|shared| shared.writer.status()).unwrap_or_default(),
            flights: FlightFigures {
                fills: self.flights.fills() as u64,
                waiters: self.flights.followers() as u64,
                orphan_fills: self.flights.orphans() as u64,
                recording_bytes: self.recordings.used() as u64,
                uncacheable_keys: self.uncacheable.keys() as u64,
            },
            journal: shared.map(|_| self.purges.status()),
            breaker: shared.map(|shared| shared.breaker.status()),
            stats: &self.stats,
        }
    }

    fn server(&self) -> Option<&ServerFigures> {
        self.server.as_ref()
    }
}
