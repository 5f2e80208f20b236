//! The map itself, and what it finds beside it.

#[path = "../../../src/flight/map.rs"]
#[allow(dead_code, reason = "the models don't ask for all that the drive does")]
pub(crate) mod map;
pub(crate) mod sync;

/// How a fill ended. The number is the fill's own, so that a second hearing of one end shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Stored(usize),
    Refused(usize),
    Failed(usize),
    Aborted,
}
