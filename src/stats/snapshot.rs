//! A reading of all counters and figures, in the shape of the JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::counters::{BUCKETS, Counter, Histogram, RouteStats, Stats};
use super::server::{Figures, ServerFigures, fit};
use crate::policy::{Bypass, Refusal, Stale};
use crate::purge::JournalStatus;
use crate::store::{BreakerStatus, PoolStatus, WriterStatus};

/// Where the handler's figures come from: the handle.
pub(crate) trait Source: Send + Sync {
    /// Figures of this process. Called for every request to the handler.
    fn local(&self) -> LocalFigures<'_>;

    /// The shared tier's server, if there is one.
    fn server(&self) -> Option<&ServerFigures>;
}

/// The tier that entries live in longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tier {
    /// Memory alone.
    Memory,
    /// Redis, with memory in front.
    Redis,
}

/// Figures of this process.
#[derive(Debug)]
pub(crate) struct LocalFigures<'a> {
    /// Whether layers do anything.
    pub(crate) enabled: bool,
    /// The tier that entries live in longest.
    pub(crate) tier: Tier,
    /// The memory tier.
    pub(crate) memory: MemoryFigures,
    /// How long the handle has been there.
    pub(crate) uptime: Duration,
    /// The shared tier's connections; all zero without one.
    pub(crate) pool: PoolStatus,
    /// The writer to the shared tier.
    pub(crate) queue: WriterStatus,
    /// Fills and what they hold.
    pub(crate) flights: FlightFigures,
    /// The shared tier's circuit breaker, if there is one.
    pub(crate) breaker: Option<BreakerStatus>,
    /// The purge journal, if the shared tier keeps one or is there.
    pub(crate) journal: Option<JournalStatus>,
    /// The counters.
    pub(crate) stats: &'a Stats,
}

/// The memory tier.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct MemoryFigures {
    /// Entries now.
    pub(crate) entries: u64,
    /// Their weight now, bytes.
    pub(crate) bytes: u64,
    /// Entries at most.
    pub(crate) max_entries: u64,
    /// Weight at most, bytes.
    pub(crate) max_bytes: u64,
}

/// Fills and what they hold.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct FlightFigures {
    /// Fills running now.
    pub(crate) fills: u64,
    /// Requests waiting for another's fill now.
    pub(crate) waiters: u64,
    /// Fills that nobody waits for any more.
    pub(crate) orphan_fills: u64,
    /// Bytes of responses being recorded now.
    pub(crate) recording_bytes: u64,
    /// Keys remembered as uncacheable.
    pub(crate) uncacheable_keys: u64,
}

/// What the handler answers. The order of the fields is that of the JSON.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    enabled: bool,
    #[serde(rename = "type")]
    tier: Tier,
    connected: bool,
    keys: Option<u64>,
    memory_used: Option<String>,
    uptime_seconds: Option<u64>,
    connection_pool: PoolStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    totals: Tally,
    memory: MemoryFigures,
    queue: WriterStatus,
    flights: FlightFigures,
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<BreakerStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal: Option<JournalStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leases: Option<Leases>,
    errors: Errors,
    routes: BTreeMap<String, Tally>,
}

#[derive(Debug, Serialize)]
struct Errors {
    unavailable: u64,
    timeout: u64,
    connection: u64,
    server: u64,
    corrupt: u64,
    foreign: u64,
}

/// Leases across processes.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Leases {
    acquired: u64,
    followed: u64,
    fenced: u64,
    timed_out: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct ByTier {
    memory: u64,
    shared: u64,
}

impl ByTier {
    fn add(&mut self, other: Self) {
        self.memory += other.memory;
        self.shared += other.shared;
    }
}

/// The counts of a route, or the sums over all.
#[derive(Clone, Debug, Default, Serialize)]
struct Tally {
    hits: ByTier,
    misses: ByTier,
    forwarded: u64,
    bypasses: BTreeMap<&'static str, u64>,
    refusals: BTreeMap<&'static str, u64>,
    collapsed: u64,
    stale: BTreeMap<&'static str, u64>,
    refreshes: u64,
    stored: u64,
    not_modified: u64,
    aborted: u64,
    fill_time: Times,
    lookup_time: Times,
}

/// A histogram's reading.
#[derive(Clone, Debug, Default, Serialize)]
struct Times {
    count: u64,
    total_us: u64,
    /// Counts by the bound that the times stay below, microseconds; empty buckets are left out.
    #[serde(rename = "below_us", serialize_with = "below")]
    buckets: [u64; BUCKETS],
}

impl Snapshot {
    /// Puts the figures of the process together with those of the server, if there is one.
    pub(super) fn new(local: LocalFigures<'_>, server: Option<Figures>) -> Self {
        let LocalFigures { enabled, tier, memory, uptime, pool, queue, flights, breaker, journal, stats } =
            local;
        let routes: BTreeMap<_, _> =
            stats.routes().into_iter().map(|(label, route)| (label, Tally::of(&route))).collect();
        let mut totals = Tally::default();
        routes.values().for_each(|route| totals.add(route));
        let mut snapshot = Self {
            enabled,
            tier,
            connected: true,
            keys: Some(memory.entries),
            memory_used: Some(human(memory.bytes)),
            uptime_seconds: Some(uptime.as_secs()),
            connection_pool: pool,
            error: None,
            totals,
            memory,
            queue,
            flights,
            breaker,
            journal,
            leases: Leases::of(stats),
            errors: Errors::of(stats),
            routes,
        };
        if let Some(figures) = server {
            snapshot.answered(figures);
        }
        // Without its journal the shared tier isn't used.
        if let Some(error) = snapshot.journal.as_ref().and_then(|journal| journal.error.clone()) {
            snapshot.connected = false;
            snapshot.error.get_or_insert(format!("the purge journal can't be read: {}", fit(error)));
        }
        snapshot
    }

    /// The shared tier's figures stand in the place of the memory tier's.
    fn answered(&mut self, figures: Figures) {
        let (status, error) = match figures.status {
            Ok(status) => (status, None),
            Err(error) => (Default::default(), Some(error)),
        };
        self.connected = error.is_none();
        self.error = error;
        self.keys = status.keys;
        self.memory_used = status.memory_used;
        self.uptime_seconds = status.uptime_seconds;
    }
}

impl Errors {
    fn of(stats: &Stats) -> Self {
        Self {
            unavailable: stats.unavailable.count(),
            timeout: stats.timeout.count(),
            connection: stats.connection.count(),
            server: stats.server.count(),
            corrupt: stats.corrupt.count(),
            foreign: stats.foreign.count(),
        }
    }
}

impl Leases {
    /// The counts, once there are any.
    fn of(stats: &Stats) -> Option<Self> {
        let leases = Self {
            acquired: stats.leases.acquired.count(),
            followed: stats.leases.followed.count(),
            fenced: stats.leases.fenced.count(),
            timed_out: stats.leases.timed_out.count(),
        };
        (leases != Self::default()).then_some(leases)
    }
}

impl Tally {
    fn of(route: &RouteStats) -> Self {
        Self {
            hits: ByTier { memory: route.hits_memory.count(), shared: route.hits_shared.count() },
            misses: ByTier { memory: route.misses_memory.count(), shared: route.misses_shared.count() },
            forwarded: route.forwarded.count(),
            bypasses: by_reason(Bypass::ALL.iter().map(|reason| reason.as_str()), &route.bypasses),
            refusals: by_reason(Refusal::ALL.iter().map(|reason| reason.as_str()), &route.refusals),
            collapsed: route.collapsed.count(),
            stale: by_reason(Stale::ALL.iter().map(|reason| reason.as_str()), &route.stale),
            refreshes: route.refreshes.count(),
            stored: route.stored.count(),
            not_modified: route.not_modified.count(),
            aborted: route.aborted.count(),
            fill_time: Times::of(&route.fills),
            lookup_time: Times::of(&route.lookups),
        }
    }

    fn add(&mut self, other: &Self) {
        self.hits.add(other.hits);
        self.misses.add(other.misses);
        self.forwarded += other.forwarded;
        for (reason, count) in &other.bypasses {
            *self.bypasses.entry(reason).or_default() += count;
        }
        for (reason, count) in &other.refusals {
            *self.refusals.entry(reason).or_default() += count;
        }
        self.collapsed += other.collapsed;
        for (reason, count) in &other.stale {
            *self.stale.entry(reason).or_default() += count;
        }
        self.refreshes += other.refreshes;
        self.stored += other.stored;
        self.not_modified += other.not_modified;
        self.aborted += other.aborted;
        self.fill_time.add(&other.fill_time);
        self.lookup_time.add(&other.lookup_time);
    }
}

/// The counts that aren't zero, by the reasons' names.
fn by_reason(names: impl Iterator<Item = &'static str>, counters: &[Counter]) -> BTreeMap<&'static str, u64> {
    names.zip(counters.iter().map(Counter::count)).filter(|(_, count)| *count > 0).collect()
}

impl Times {
    fn of(histogram: &Histogram) -> Self {
        let buckets = histogram.buckets.each_ref().map(Counter::count);
        Self { count: buckets.iter().sum(), total_us: histogram.total_us.count(), buckets }
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        // A single absurd time fills the sum of a route; the sum of two such must not overflow.
        self.total_us = self.total_us.saturating_add(other.total_us);
        self.buckets.iter_mut().zip(other.buckets).for_each(|(sum, count)| *sum += count);
    }
}

fn below<S: Serializer>(buckets: &[u64; BUCKETS], to: S) -> Result<S::Ok, S::Error> {
    let bounds = (0..BUCKETS).map(|bucket| match bucket {
        last if last == BUCKETS - 1 => "inf".to_owned(),
        bucket => (1_u64 << bucket).to_string(),
    });
    to.collect_map(bounds.zip(buckets).filter(|(_, count)| **count > 0))
}

/// Bytes as Redis writes them in `used_memory_human`, such as `1.50M`.
fn human(bytes: u64) -> String {
    let scaled = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        0..0x400 => format!("{bytes}B"),
        0x400..0x10_0000 => format!("{:.2}K", scaled(1 << 10)),
        0x10_0000..0x4000_0000 => format!("{:.2}M", scaled(1 << 20)),
        _ => format!("{:.2}G", scaled(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_redis_does() {
        let cases = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1536 << 10, "1.50M"),
            (64 << 20, "64.00M"),
            (5 << 29, "2.50G"),
            (u64::MAX, "17179869184.00G"),
        ];
        for (bytes, text) in cases {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn totals_are_the_sums_over_the_routes() {
        let stats = Stats::new();
        for (label, times) in [("a", 1), ("b", 2)] {
            let route = stats.route(label);
            for _ in 0..times {
                route.hit_memory();
                route.hit_shared();
                route.miss_memory();
                route.miss_shared();
                route.forwarded();
                route.bypass(Bypass::Range);
                route.refused(Refusal::SetCookie);
                route.collapsed();
                route.stale(Stale::IfError);
                route.refresh();
                route.stored();
                route.not_modified();
                route.aborted();
                route.fill(Duration::from_micros(5));
                route.lookup(Duration::MAX);
            }
        }
        let mut totals = Tally::default();
        stats.routes().iter().for_each(|(_, route)| totals.add(&Tally::of(route)));
        let mut json = serde_json::to_value(&totals).unwrap();
        assert_eq!(json["lookup_time"]["below_us"], serde_json::json!({"inf": 3}));
        json.as_object_mut().unwrap().remove("lookup_time");
        assert_eq!(
            json,
            serde_json::json!({
                "hits": {"memory": 3, "shared": 3}, "misses": {"memory": 3, "shared": 3}, "forwarded": 3,
                "bypasses": {"range": 3},
                "refusals": {"set-cookie": 3}, "collapsed": 3, "stale": {"stale-if-error": 3}, "refreshes": 3, "stored": 3, "not_modified": 3, "aborted": 3,
                "fill_time": {"count": 3, "total_us": 15, "below_us": {"8": 3}},
            })
        );
    }
}
