//! What a store is asked for, and how often it was.

use std::collections::BTreeMap;

/// An operation of a [`Store`](crate::Store), of its [`Leases`](crate::Leases) or its [`Journal`](crate::Journal), that a
/// [`Fault`](super::Fault) can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`Store::get`](crate::Store::get).
    Get,
    /// [`Store::set`](crate::Store::set).
    Set,
    /// [`Store::remove`](crate::Store::remove).
    Remove,
    /// [`Store::ready`](crate::Store::ready).
    Ready,
    /// [`Store::probe`](crate::Store::probe).
    Probe,
    /// [`Store::status`](crate::Store::status).
    Status,
    /// [`Leases::acquire`](crate::Leases::acquire).
    Acquire,
    /// [`Leases::commit`](crate::Leases::commit).
    Commit,
    /// [`Leases::release`](crate::Leases::release).
    Release,
    /// [`Leases::given_back`](crate::Leases::given_back). It knows no errors: struck by one, it hangs.
    GivenBack,
    /// [`Journal::append`](crate::Journal::append), [`Journal::head`](crate::Journal::head) and
    /// [`Journal::range`](crate::Journal::range).
    Journal,
    /// [`Journal::tail`](crate::Journal::tail), and what is asked of the [`Tail`](crate::Tail).
    Tail,
}

impl Operation {
    /// Whether it also comes by itself, whatever is asked of the cache.
    pub(super) const fn is_spontaneous(self) -> bool {
        matches!(self, Self::Journal | Self::Tail)
    }
}

/// How many operations of each kind came, and how many of them were struck.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    came: BTreeMap<Operation, u64>,
    struck: BTreeMap<Operation, u64>,
}

impl FaultCounts {
    /// Operations of this kind so far.
    #[must_use]
    pub fn came(&self, operation: Operation) -> u64 {
        self.came.get(&operation).copied().unwrap_or_default()
    }

    /// Operations of this kind that a fault struck.
    #[must_use]
    pub fn struck(&self, operation: Operation) -> u64 {
        self.struck.get(&operation).copied().unwrap_or_default()
    }

    /// Operations of every kind so far.
    #[must_use]
    pub fn all_came(&self) -> u64 {
        self.came.values().sum()
    }

    /// Operations of every kind that a fault struck.
    #[must_use]
    pub fn all_struck(&self) -> u64 {
        self.struck.values().sum()
    }

    pub(super) fn count(&mut self, operation: Operation) {
        *self.came.entry(operation).or_default() += 1;
    }

    pub(super) fn count_struck(&mut self, operation: Operation) {
        *self.struck.entry(operation).or_default() += 1;
    }
}
