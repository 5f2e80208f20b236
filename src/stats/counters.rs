//! Counters: one relaxed increment per event, totals only when somebody asks.
//!
//! A memory hit pays one `fetch_add` on its route's counter. Sums over routes are taken by the snapshot, so that two
//! routes never contend for a line of totals.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::policy::{Bypass, Refusal, Stale};
use crate::store::StoreError;

/// Labels at most; layers made over and over under new names share [`OTHER`] after that.
const MAX_ROUTES: usize = 1024;

/// The label of everything beyond [`MAX_ROUTES`].
const OTHER: &str = "(other)";

/// A count of events.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Counts `events` more; gives how many there were before.
    fn add(&self, events: u64) -> u64 {
        self.0.fetch_add(events, Ordering::Relaxed)
    }

    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Buckets of a histogram: below 1 us, 2 us, 4 us, … 2^25 us (33.6 s, over the longest fill by default), and the rest.
pub(super) const BUCKETS: usize = 27;

/// Times by powers of two of a microsecond.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    pub(super) buckets: [Counter; BUCKETS],
    pub(super) total_us: Counter,
}

impl Histogram {
    fn record(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bits = (u64::BITS - micros.leading_zeros()) as usize;
        if let Some(bucket) = self.buckets.get(bits.min(BUCKETS - 1)) {
            bucket.add(1);
        }
        self.total_us.add(micros);
    }
}

/// A counter for each of a list's reasons, in its order, however long it is.
#[derive(Debug)]
pub(super) struct Counters<const N: usize>([Counter; N]);

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl<const N: usize> std::ops::Deref for Counters<N> {
    type Target = [Counter];

    fn deref(&self) -> &[Counter] {
        &self.0
    }
}

/// The counters of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteStats {
    pub(super) hits_memory: Counter,
    pub(super) hits_shared: Counter,
    pub(super) misses_memory: Counter,
    pub(super) misses_shared: Counter,
    pub(super) forwarded: Counter,
    pub(super) bypasses: Counters<{ Bypass::ALL.len() }>,
    pub(super) refusals: Counters<{ Refusal::ALL.len() }>,
    pub(super) stored: Counter,
    pub(super) collapsed: Counter,
    pub(super) stale: [Counter; Stale::ALL.len()],
    pub(super) refreshes: Counter,
    pub(super) not_modified: Counter,
    pub(super) aborted: Counter,
    pub(super) fills: Histogram,
    pub(super) lookups: Histogram,
}

impl RouteStats {
    /// A request was answered from the memory tier.
    pub(crate) fn hit_memory(&self) {
        self.hits_memory.add(1);
    }

    /// A request was answered from the shared tier.
    pub(crate) fn hit_shared(&self) {
        self.hits_shared.add(1);
    }

    /// Memory had no answer.
    pub(crate) fn miss_memory(&self) {
        self.misses_memory.add(1);
    }

    /// The shared tier had no answer either, or couldn't be asked.
    pub(crate) fn miss_shared(&self) {
        self.misses_shared.add(1);
    }

    /// A request that the cache could have answered went to the origin.
    pub(crate) fn forwarded(&self) {
        self.forwarded.add(1);
    }

    /// A request went past the cache. Gives how many have, for this reason.
    pub(crate) fn bypass(&self, reason: Bypass) -> u64 {
        self.bypasses.get(reason.index()).map_or(0, |counter| counter.add(1) + 1)
    }

    /// Requests so far, those that were answered stale after the origin was asked left out.
    pub(crate) fn requests(&self) -> u64 {
        let answered = [&self.hits_memory, &self.hits_shared, &self.forwarded, &self.collapsed];
        let stale = Stale::ALL.iter().zip(&self.stale).filter(|(reason, _)| !reason.is_forwarded());
        let stale = stale.map(|(_, counter)| counter);
        answered
            .into_iter()
            .chain(self.bypasses.iter())
            .chain(stale)
            .map(Counter::count)
            .fold(0, u64::saturating_add)
    }

    /// A response wasn't stored.
    pub(crate) fn refused(&self, reason: Refusal) {
        if let Some(counter) = self.refusals.get(reason.index()) {
            counter.add(1);
        }
    }

    /// A response was stored.
    pub(crate) fn stored(&self) {
        self.stored.add(1);
    }

    /// A request was answered by another request's fill.
    pub(crate) fn collapsed(&self) {
        self.collapsed.add(1);
    }

    /// A request was answered from a stale entry.
    pub(crate) fn stale(&self, reason: Stale) {
        if let Some(counter) = self.stale.get(reason.index()) {
            counter.add(1);
        }
    }

    /// A fill was begun that no request waits for.
    pub(crate) fn refresh(&self) {
        self.refreshes.add(1);
    }

    /// A conditional request was answered with 304 from the cache.
    pub(crate) fn not_modified(&self) {
        self.not_modified.add(1);
    }

    /// A fill ended without a response.
    pub(crate) fn aborted(&self) {
        self.aborted.add(1);
    }

    /// A fill took `time`.
    pub(crate) fn fill(&self, time: Duration) {
        self.fills.record(time);
    }

    /// A lookup in the shared tier took `time`.
    pub(crate) fn lookup(&self, time: Duration) {
        self.lookups.record(time);
    }
}

/// All counters of a handle.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    routes: RwLock<BTreeMap<String, Arc<RouteStats>>>,
    pub(super) unavailable: Counter,
    pub(super) timeout: Counter,
    pub(super) connection: Counter,
    pub(super) server: Counter,
    pub(super) corrupt: Counter,
    pub(super) foreign: Counter,
    pub(super) leases: LeaseCounters,
}

/// What became of leases.
#[derive(Debug, Default)]
pub(super) struct LeaseCounters {
    pub(super) acquired: Counter,
    pub(super) followed: Counter,
    pub(super) fenced: Counter,
    pub(super) timed_out: Counter,
}

impl Stats {
    /// Counters at zero.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The counters of the route `label`. The same label gives the same counters.
    pub(crate) fn route(&self, label: &str) -> Arc<RouteStats> {
        // A panic elsewhere can't leave a counter half changed.
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(label) {
            return Arc::clone(route);
        }
        let label = if routes.len() < MAX_ROUTES { label } else { OTHER };
        Arc::clone(routes.entry(label.to_owned()).or_default())
    }

    /// Every route with its label, in the labels' order.
    pub(super) fn routes(&self) -> Vec<(String, Arc<RouteStats>)> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.iter().map(|(label, route)| (label.clone(), Arc::clone(route))).collect()
    }

    /// The shared tier couldn't do what it was asked.
    pub(crate) fn shared_error(&self, error: &StoreError) {
        let kind = match error {
            StoreError::Unavailable => &self.unavailable,
            StoreError::Timeout => &self.timeout,
            StoreError::Connection(_) => &self.connection,
            StoreError::Server(_) | StoreError::Unsupported(_) => &self.server,
        };
        kind.add(1);
    }

    /// A value of our own version couldn't be decoded.
    pub(crate) fn corrupt(&self) {
        self.corrupt.add(1);
    }

    /// A value was written by another version.
    pub(crate) fn foreign(&self) {
        self.foreign.add(1);
    }

    /// A fill has the lease of its key.
    pub(crate) fn lease_acquired(&self) {
        self.leases.acquired.add(1);
    }

    /// Another process's fill answered in the place of one of this process.
    pub(crate) fn lease_followed(&self) {
        self.leases.followed.add(1);
    }

    /// An entry wasn't written, because the fill's lease was lost to another.
    pub(crate) fn lease_fenced(&self) {
        self.leases.fenced.add(1);
    }

    /// A fill waited for a lease in vain and goes on without.
    pub(crate) fn lease_timed_out(&self) {
        self.leases.timed_out.add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_one_set_of_counters() {
        let stats = Stats::new();
        stats.route("a").forwarded();
        stats.route("a").forwarded();
        stats.route("b").forwarded();
        let counts: Vec<_> =
            stats.routes().into_iter().map(|(label, route)| (label, route.forwarded.count())).collect();
        assert_eq!(counts, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    }

    #[test]
    fn labels_do_not_grow_without_bound() {
        let stats = Stats::new();
        for i in 0..3 * MAX_ROUTES {
            stats.route(&i.to_string()).forwarded();
        }
        let routes = stats.routes();
        assert_eq!(routes.len(), MAX_ROUTES + 1);
        let other = routes.iter().find(|(label, _)| label == OTHER).unwrap();
        assert_eq!(other.1.forwarded.count(), 2 * MAX_ROUTES as u64);
        stats.route("7").forwarded();
        assert_eq!(stats.route("7").forwarded.count(), 2, "an early label keeps its own");
    }

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let route = RouteStats::default();
        for (times, reason) in (1_u64..).zip(Bypass::ALL) {
            assert_eq!((0..times).map(|_| route.bypass(*reason)).last(), Some(times));
        }
        for (times, reason) in Refusal::ALL.iter().enumerate() {
            (0..times).for_each(|_| route.refused(*reason));
        }
        assert!(route.bypasses.iter().map(Counter::count).eq(1..=Bypass::ALL.len() as u64));
        assert!(route.refusals.iter().map(Counter::count).eq(0..Refusal::ALL.len() as u64));
    }

    #[test]
    fn a_time_lands_below_the_next_power_of_two() {
        for (micros, bucket) in [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 2),
            (4, 3),
            (1023, 10),
            (1024, 11),
            ((1 << 25) - 1, 25),
            (1 << 25, 26),
        ] {
            let histogram = Histogram::default();
            histogram.record(Duration::from_micros(micros));
            assert_eq!(
                histogram.buckets.iter().position(|bucket| bucket.count() == 1),
                Some(bucket),
                "{micros}"
            );
            assert_eq!(histogram.total_us.count(), micros);
        }
        let histogram = Histogram::default();
        histogram.record(Duration::MAX);
        assert_eq!(histogram.buckets[BUCKETS - 1].count(), 1);
    }

    #[test]
    fn errors_are_counted_by_kind() {
        let stats = Stats::new();
        stats.shared_error(&StoreError::Unavailable);
        for _ in 0..2 {
            stats.shared_error(&StoreError::Timeout);
        }
        for _ in 0..3 {
            stats.shared_error(&StoreError::Connection(String::new()));
        }
        for _ in 0..4 {
            stats.shared_error(&StoreError::Server(String::new()));
        }
        let counts =
            [&stats.unavailable, &stats.timeout, &stats.connection, &stats.server].map(Counter::count);
        assert_eq!(counts, [1, 2, 3, 4]);
    }
}
