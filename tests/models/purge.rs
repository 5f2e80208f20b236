//! What the map keeps of purges: only the caller looks into it.

/// How many purges a fill's start had seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(pub(crate) usize);

/// Before any purge.
pub(crate) const START: Stamp = Stamp(0);

/// Nothing is overtaken.
pub(crate) fn never(_: &Stamp) -> bool {
    false
}
