//! What the cache did, counted; and the handler that shows it.

mod counters;
mod handler;
mod server;
mod snapshot;
#[cfg(test)]
mod testing;

pub use self::handler::{StatsFuture, StatsHandler};

pub(crate) use self::counters::{RouteStats, Stats};
pub(crate) use self::server::ServerFigures;
pub(crate) use self::snapshot::{FlightFigures, LocalFigures, MemoryFigures, Source, Tier};
