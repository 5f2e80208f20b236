//! Positions in the journal, and what a fill notes of its start.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

/// A position in the journal: the id of one of its entries, as Redis makes them for streams.
///
/// Shown as Redis does, `<milliseconds>-<sequence>`. It orders, and tells no time: nothing compares it with a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalId {
    /// The first part: milliseconds of the server's clock, unless that stepped back.
    pub ms: u64,
    /// The second part: counts within the first.
    pub seq: u64,
}

impl JournalId {
    /// Before every entry.
    pub const ZERO: Self = Self { ms: 0, seq: 0 };

    /// An id from its two parts.
    #[must_use]
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// An id from Redis's text, such as `1700000000000-0`; `None` if it isn't one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (ms, seq) = text.split_once('-')?;
        Some(Self { ms: ms.parse().ok()?, seq: seq.parse().ok()? })
    }

    /// The next one.
    pub(crate) const fn next(self) -> Self {
        match self.seq.checked_add(1) {
            Some(seq) => Self { ms: self.ms, seq },
            None => Self { ms: self.ms.saturating_add(1), seq: 0 },
        }
    }
}

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Names a stretch of the journal's history in which ids can be compared. Random: no two stretches share one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch([u8; 16]);

impl Epoch {
    /// Of caches without a journal: their processes share entries, and no purge.
    pub(crate) const NONE: Self = Self([0; 16]);

    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// A new one.
    pub(crate) fn random() -> Self {
        let [a, b] = [random(), random()].map(u64::to_le_bytes);
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(a.into_iter().chain(b)).for_each(|(to, from)| *to = from);
        Self(bytes)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Epoch({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

/// 64 random bits: the system's own behind the keys of each `RandomState`.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// How far the journal was known when a fill began. It never changes: not on promotion, nor on the way to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) epoch: Epoch,
    /// The highest id known.
    pub(crate) id: JournalId,
    /// What this process alone knows of the fill; nothing, if another process filled.
    pub(crate) local: Local,
}

/// What only the process that filled knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Local {
    /// Purges that the journal didn't have yet, and this process knew.
    pub(crate) offline: u64,
    /// When the fill began, milliseconds since the handle was made, plus 1. 0: another process's.
    pub(crate) begun: u64,
}

impl Stamp {
    /// A stamp of another process.
    pub(crate) const fn foreign(epoch: Epoch, id: JournalId) -> Self {
        Self { epoch, id, local: Local { offline: 0, begun: 0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_shown_as_redis_does() {
        for text in ["0-0", "1700000000000-3", "18446744073709551615-18446744073709551615"] {
            assert_eq!(JournalId::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "-", "1", "1-", "-1", "a-1", "1-1-1", "18446744073709551616-0"] {
            assert_eq!(JournalId::parse(text), None, "{text}");
        }
        assert!(JournalId::new(1, 9) < JournalId::new(2, 0));
        assert_eq!(JournalId::new(1, u64::MAX).next(), JournalId::new(2, 0));
    }

    #[test]
    fn epochs_differ() {
        assert_ne!(Epoch::random(), Epoch::random());
        assert_ne!(Epoch::random(), Epoch::NONE);
    }
}
