//! How much may be open at a time, so that the process's file descriptors suffice.

use std::fs::read_to_string;

/// Connections of clients, where descriptors don't bound them. More of them wait to be accepted.
const CLIENTS: usize = 4096;
/// Fills that no client waits for, where descriptors don't bound them.
const REFRESHES: usize = 1024;
/// Descriptors for all else: the listener, the runtime, connections to Redis, and those that are being closed.
const OTHERS: usize = 96;

/// What is open at most. Each client costs two descriptors, with the connection to the upstream that its request may need,
/// and each refresh one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    /// Connections of clients.
    pub(crate) clients: usize,
    /// Fills that no client waits for: they are a gateway's usual work.
    pub(crate) refreshes: usize,
}

impl Bounds {
    /// The bounds of this process.
    pub(crate) fn of_process() -> Self {
        // Where the system doesn't tell it like this, there is no such limit, or it is for whoever starts the process.
        let limits = read_to_string("/proc/self/limits").unwrap_or_default();
        Self::within(descriptors(&limits).unwrap_or(usize::MAX))
    }

    fn within(descriptors: usize) -> Self {
        let refreshes = (descriptors / 8).clamp(1, REFRESHES);
        let clients = (descriptors.saturating_sub(refreshes + OTHERS) / 2).clamp(1, CLIENTS);
        Self { clients, refreshes }
    }
}

/// The soft limit of open files, unless there is none.
fn descriptors(limits: &str) -> Option<usize> {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
}
