//! A fault: what happens to which operations, and when.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::operation::Operation;
use crate::key::Key;
use crate::store::StoreError;

/// What [`FaultStore::inject`](super::FaultStore::inject) does to operations: to all of them, unless it is narrowed. But
/// [`Operation::Journal`] and [`Operation::Tail`] are struck only if [`on`](Self::on) names them: they also come by
/// themselves, and what a script or a seed strikes shall not depend on when.
///
/// ```
/// use std::time::Duration;
/// use tower_query_cache::StoreError;
/// use tower_query_cache::test_util::{Fault, Operation};
///
/// // The next three lookups time out.
/// let fault = Fault::error(StoreError::Timeout).on([Operation::Get]).times(3);
/// // Every second one is late.
/// let fault = Fault::delay(Duration::from_millis(30)).on([Operation::Get]).every(2);
/// // Writes are refused, reads work.
/// let fault = Fault::error(StoreError::Server("OOM".into())).on([Operation::Set, Operation::Commit]);
/// // A tenth of everything goes wrong in some way, and a second run of the test sees the same.
/// let fault = Fault::any().chance(0.1).seed(42);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a fault does nothing before it is injected"]
pub struct Fault {
    kind: Kind,
    late_by: Duration,
    operations: Option<Vec<Operation>>,
    keys: Option<Keys>,
    skip: u64,
    every: u64,
    pub(super) times: u64,
    chance: f64,
    seed: u64,
}

#[derive(Clone)]
struct Keys(Arc<dyn Fn(&Key) -> bool + Send + Sync>);

#[derive(Clone, Debug)]
enum Kind {
    Same(Effect),
    Any,
}

/// What happens to one operation, once its delay is over.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// Nothing more.
    Pass,
    Error(StoreError),
    /// It waits until the fault is lifted.
    Hang,
    Corrupt(Corruption),
}

/// What happens to a value that was read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Corruption {
    Byte(usize),
    Cut(usize),
    OtherKey,
}

impl Fault {
    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            late_by: Duration::ZERO,
            operations: None,
            keys: None,
            skip: 0,
            every: 1,
            times: u64::MAX,
            chance: 1.0,
            seed: 0,
        }
    }

    const fn same(effect: Effect) -> Self {
        Self::new(Kind::Same(effect))
    }

    /// The operation fails, and the store behind doesn't see it.
    pub const fn error(error: StoreError) -> Self {
        Self::same(Effect::Error(error))
    }

    /// The operation waits for so long before the store behind sees it.
    pub const fn delay(delay: Duration) -> Self {
        Self::same(Effect::Pass).late_by(delay)
    }

    /// The operation waits until the fault is lifted, and then goes on to the store behind. A [`Store`](crate::Store)
    /// may not do this, so it shows whether a caller has a time limit of its own.
    pub const fn hang() -> Self {
        Self::same(Effect::Hang)
    }

    /// A value that is read has another byte at `at`, which is counted from the start again where the value ends.
    pub const fn changed_byte(at: usize) -> Self {
        Self::same(Effect::Corrupt(Corruption::Byte(at)))
    }

    /// A value that is read ends after `length` bytes, or lacks its last one if it is no longer than that.
    pub const fn cut(length: usize) -> Self {
        Self::same(Effect::Corrupt(Corruption::Cut(length)))
    }

    /// In place of the value that is read comes another key's: the latest that was read or written.
    pub const fn other_keys_value() -> Self {
        Self::same(Effect::Corrupt(Corruption::OtherKey))
    }

    /// One of all the above, by chance: the errors of [`StoreError`], at once or after a second, a delay of up to 100
    /// ms, for lookups also a corruption. Nothing hangs for longer than that second.
    pub const fn any() -> Self {
        Self::new(Kind::Any)
    }

    /// Strikes these operations alone. A fault that corrupts strikes lookups alone, whatever stands here.
    pub fn on(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.operations = Some(operations.into_iter().collect());
        self
    }

    /// Strikes operations on these keys alone, and so none that has no key.
    ///
    /// Which key a request has can't be known; that its bytes are as good as random can:
    ///
    /// ```
    /// use tower_query_cache::StoreError;
    /// use tower_query_cache::test_util::Fault;
    ///
    /// // One half of the keys is out of reach, the same half all the time.
    /// let fault = Fault::error(StoreError::Unavailable).for_keys(|key| key.as_bytes()[0] < 128);
    /// ```
    pub fn for_keys(mut self, keys: impl Fn(&Key) -> bool + Send + Sync + 'static) -> Self {
        self.keys = Some(Keys(Arc::new(keys)));
        self
    }

    /// Waits for so long before it does anything else: a late error, for example. Default: zero.
    pub const fn late_by(mut self, delay: Duration) -> Self {
        self.late_by = delay;
        self
    }

    /// Leaves the first `operations` alone.
    pub const fn skip(mut self, operations: u64) -> Self {
        self.skip = operations;
        self
    }

    /// Strikes one in `operations`, the last of each so many. Default: 1.
    ///
    /// # Panics
    ///
    /// If `operations` is 0.
    #[track_caller]
    pub const fn every(mut self, operations: u64) -> Self {
        assert!(operations > 0, "one in 0 operations can't be struck");
        self.every = operations;
        self
    }

    /// Strikes at most so often. Default: no limit.
    pub const fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Strikes with this probability, from 0 to 1, drawn anew for each operation. Default: 1.
    ///
    /// # Panics
    ///
    /// If `probability` is below 0, above 1, or not a number.
    #[track_caller]
    pub const fn chance(mut self, probability: f64) -> Self {
        assert!(probability >= 0.0 && probability <= 1.0, "a probability is a number from 0 to 1");
        self.chance = probability;
        self
    }

    /// What is drawn follows from the seed and the number of the operation alone: the same operations in the same order
    /// meet the same faults. Default: 0.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether the operation is of those that this may strike.
    pub(super) fn is_for(&self, operation: Operation, key: Option<&Key>) -> bool {
        let corrupts = matches!(self.kind, Kind::Same(Effect::Corrupt(_)));
        (operation == Operation::Get || !corrupts)
            && match &self.operations {
                Some(operations) => operations.contains(&operation),
                None => !operation.is_spontaneous(),
            }
            && self.keys.as_ref().is_none_or(|Keys(keys)| key.is_some_and(|key| keys(key)))
    }

    /// What happens to the `number`th of those operations, counted from 0, and after what delay; none if it is spared.
    pub(super) fn strike(&self, number: u64, operation: Operation) -> Option<(Duration, Effect)> {
        let counted = number.checked_sub(self.skip)?;
        if counted % self.every != self.every - 1 {
            return None;
        }
        let draw = mix(self.seed, number);
        // The upper 53 bits, which a float holds exactly.
        let drawn = (draw >> 11) as f64 / (1_u64 << 53) as f64;
        if drawn >= self.chance {
            return None;
        }
        let (delay, effect) = match &self.kind {
            Kind::Same(effect) => (Duration::ZERO, effect.clone()),
            Kind::Any => any(mix(draw, number), operation),
        };
        Some((self.late_by.saturating_add(delay), effect))
    }
}

/// Any effect that makes sense for the operation.
fn any(draw: u64, operation: Operation) -> (Duration, Effect) {
    const LIMIT: Duration = Duration::from_secs(1);
    let effects = if operation == Operation::Get { 9 } else { 6 };
    let detail = mix(draw, effects);
    let at = usize::try_from(detail >> 32).unwrap_or_default();
    let error = |error| (Duration::ZERO, Effect::Error(error));
    match draw % effects {
        0 => error(StoreError::Timeout),
        1 => error(StoreError::Unavailable),
        2 => error(StoreError::Connection("reset, by an injected fault".to_owned())),
        3 => error(StoreError::Server("OOM: by an injected fault".to_owned())),
        4 => (Duration::from_millis(1 + detail % 100), Effect::Pass),
        5 => (LIMIT, Effect::Error(StoreError::Timeout)),
        6 => (Duration::ZERO, Effect::Corrupt(Corruption::Byte(at))),
        7 => (Duration::ZERO, Effect::Corrupt(Corruption::Cut(at % 256))),
        _ => (Duration::ZERO, Effect::Corrupt(Corruption::OtherKey)),
    }
}

/// The `number`th value of splitmix64 with this seed.
const fn mix(seed: u64, number: u64) -> u64 {
    let mut state = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_splitmix64() {
        // The first values of the reference implementation for this seed.
        let drawn: Vec<_> = (0..3).map(|number| mix(1_234_567, number)).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    fn struck(fault: &Fault, operations: u64) -> Vec<u64> {
        (0..operations).filter(|number| fault.strike(*number, Operation::Get).is_some()).collect()
    }

    #[test]
    fn which_ones_are_struck() {
        assert_eq!(struck(&Fault::hang(), 3), [0, 1, 2]);
        assert_eq!(struck(&Fault::hang().skip(2), 4), [2, 3]);
        assert_eq!(struck(&Fault::hang().every(2), 6), [1, 3, 5]);
        assert_eq!(struck(&Fault::hang().skip(1).every(3), 8), [3, 6]);
        assert!(struck(&Fault::hang().chance(0.0), 1000).is_empty());
        assert_eq!(struck(&Fault::hang().chance(1.0), 1000).len(), 1000);
    }

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        let refused = |build: fn() -> Fault| std::panic::catch_unwind(build).is_err();
        assert!(refused(|| Fault::hang().every(0)));
        for build in [
            || Fault::hang().chance(f64::NAN),
            || Fault::hang().chance(-0.1),
            || Fault::hang().chance(1.1),
            || Fault::hang().chance(f64::INFINITY),
        ] {
            assert!(refused(build));
        }
        assert!(!refused(|| Fault::hang().every(1).chance(0.5)));
    }

    #[test]
    fn a_chance_is_kept_and_follows_from_the_seed() {
        let runs: Vec<_> = (0..20).map(|seed| struck(&Fault::any().chance(0.1).seed(seed), 10_000)).collect();
        for (seed, run) in (0..).zip(&runs) {
            assert!((850..1150).contains(&run.len()), "{} of 10,000 with seed {seed}", run.len());
            assert_eq!(*run, struck(&Fault::hang().chance(0.1).seed(seed), 10_000));
            assert_eq!(runs.iter().filter(|other| *other == run).count(), 1);
        }
    }

    #[test]
    fn every_effect_comes_up_and_corruptions_for_lookups_alone() {
        let fault = Fault::any().seed(7);
        let effects = |operation| {
            let mut names: Vec<_> = (0..1000)
                .filter_map(|number| fault.strike(number, operation))
                .map(|(delay, effect)| {
                    let name = format!("{effect:?}");
                    let name =
                        name.split_once(char::is_numeric).map_or(name.clone(), |(name, _)| name.to_owned());
                    (delay.as_millis().min(101) / 101, name)
                })
                .collect();
            names.sort();
            names.dedup();
            names
        };
        let (reads, writes) = (effects(Operation::Get), effects(Operation::Set));
        assert_eq!((reads.len(), writes.len()), (9, 6), "{reads:?}");
        assert!(writes.iter().all(|(_, effect)| !effect.contains("Corrupt")), "{writes:?}");
    }
}
