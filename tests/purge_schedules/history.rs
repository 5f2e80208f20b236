//! What happened in a schedule, and what must not have.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment of the machine's monotonic clock, nanoseconds: all its processes have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        Self(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
    }

    /// The time since `earlier`; nothing if that is later.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a purge is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum About {
    All,
    /// All pages have it.
    Pages,
    Page(usize),
}

impl About {
    fn is_about(self, page: usize) -> bool {
        matches!(self, Self::All | Self::Pages) || self == Self::Page(page)
    }
}

/// A purge that returned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Purge {
    pub(crate) node: usize,
    pub(crate) about: About,
    pub(crate) begun: Moment,
    pub(crate) returned: Moment,
    /// Whether it was `Ok`.
    pub(crate) ok: bool,
}

/// When a fill's service was called, and when that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fill {
    pub(crate) begun: Moment,
    pub(crate) ended: Moment,
}

/// A request that was answered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) node: usize,
    pub(crate) strict: bool,
    pub(crate) page: usize,
    pub(crate) begun: Moment,
    /// Whose answer it got.
    pub(crate) fill: Fill,
    /// Whether it was told that this was stored.
    pub(crate) stored: bool,
}

/// What happens.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    Purge(Purge),
    Read(Read),
    /// From `at` on a node has shown that it knows of a purge that began at `of`: so it must know all that returned before.
    Heard {
        node: usize,
        at: Moment,
        of: Moment,
    },
}

/// The record of a schedule.
#[derive(Default)]
pub(crate) struct History(Mutex<Vec<Event>>);

impl History {
    pub(crate) fn add(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    /// Reads, and how many of them were answered by a fill from before them.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let hits = self.reads().iter().filter(|read| read.fill.begun < read.begun).count();
        (self.reads().len(), hits)
    }

    /// All purges.
    pub(crate) fn purges(&self) -> Vec<Purge> {
        let purge = |event| if let Event::Purge(purge) = event { Some(purge) } else { None };
        self.events().into_iter().filter_map(purge).collect()
    }

    fn reads(&self) -> Vec<Read> {
        let read = |event| if let Event::Read(read) = event { Some(read) } else { None };
        self.events().into_iter().filter_map(read).collect()
    }

    /// The reads that were answered by what a purge had taken: one that returned before the read began, on the node itself or for
    /// a strict read; for others, one that the node knew of, or that returned `late` before. And fills that the node stored though
    /// a purge of its own had returned before the service answered.
    pub(crate) fn broken(&self, late: Duration) -> Vec<String> {
        let purges = self.purges();
        let heard =
            |event| if let Event::Heard { node, at, of } = event { Some((node, at, of)) } else { None };
        let heard: Vec<_> = self.events().into_iter().filter_map(heard).collect();
        let has_heard = |read: &Read, purge: &Purge| {
            let of_it = |(node, at, of): &(usize, Moment, Moment)| {
                *node == read.node && *at <= read.begun && purge.returned < *of
            };
            heard.iter().any(of_it)
        };
        let wrong = |read: &Read| {
            let purge = purges.iter().find(|purge| {
                if !purge.about.is_about(read.page) || purge.begun <= read.fill.begun {
                    return false;
                }
                let own = purge.node == read.node;
                let stored = read.stored && own && purge.returned < read.fill.ended;
                let known = own
                    || purge.ok
                        && (read.strict || read.begun.since(purge.returned) > late || has_heard(read, purge));
                stored || purge.returned < read.begun && known
            })?;
            Some(format!("{read:?} after {purge:?}"))
        };
        self.reads().iter().filter_map(wrong).collect()
    }
}
