//! What happened under fills, reads, purges and faults, and what must not have. Events are by one clock, so that those of several
//! processes are one history.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// For how long memory may answer without the journal, where purges are held to [`LATE`].
pub const GRACE: Duration = Duration::from_secs(1);

/// A tail is lost after 2 s without word, as on a machine that stands still, and then reads are strict. With faults the journal
/// may not be reached even then, and [`GRACE`] is all that is left.
pub const LATE: Late = Late { calm: Duration::from_millis(2_500), faulty: Duration::from_secs(4) };

/// How late a node may hear of another's purge.
#[derive(Clone, Copy, Debug)]
pub struct Late {
    /// While all goes well.
    pub calm: Duration,
    /// If there was a fault meanwhile.
    pub faulty: Duration,
}

/// A moment of the machine's monotonic clock, nanoseconds: all its processes have the same, which [`Instant`](std::time::Instant)
/// can't tell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment(pub u64);

impl Moment {
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        Self(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
    }

    /// The time since `earlier`; nothing if that is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time since then.
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// That much later.
    pub const fn plus(self, time: Duration) -> Self {
        Self(self.0 + time.as_nanos() as u64)
    }
}

/// What a purge is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum About {
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
pub struct Purge {
    pub node: usize,
    pub about: About,
    pub begun: Moment,
    pub returned: Moment,
    /// Whether it was `Ok`.
    pub ok: bool,
}

/// When a fill's service was called, and when that answered. As text it is what the service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    pub begun: Moment,
    pub ended: Moment,
}

impl Fill {
    /// Reads what it is as text.
    pub fn parse(text: &str) -> Option<Self> {
        let (begun, ended) = text.split_once('-')?;
        Some(Self { begun: Moment(begun.parse().ok()?), ended: Moment(ended.parse().ok()?) })
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.begun.0, self.ended.0)
    }
}

/// A request that was answered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Read {
    pub node: usize,
    pub strict: bool,
    pub page: usize,
    pub begun: Moment,
    /// Whose answer it got.
    pub fill: Fill,
    /// Whether it was told that this was stored.
    pub stored: bool,
}

/// What happens.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Event {
    Purge(Purge),
    Read(Read),
    /// From `at` on a node has shown that it knows of a purge that began at `of`: so it must know all that were in the journal
    /// before.
    Heard {
        node: usize,
        at: Moment,
        of: Moment,
    },
    /// At `at` the journal has all purges of the node that returned before, those too that it couldn't take at once: from then on
    /// they are others' as well.
    Replayed {
        node: usize,
        at: Moment,
    },
    /// Servers or connections may have failed meanwhile.
    Fault {
        from: Moment,
        until: Moment,
    },
}

/// The record of what happened.
#[derive(Default)]
pub struct History(Mutex<Vec<Event>>);

impl History {
    pub fn add(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }

    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    /// Reads, and how many of them were answered by a fill from before them.
    pub fn reads(&self) -> (usize, usize) {
        let reads = Sorted::from(self).reads;
        (reads.len(), reads.iter().filter(|read| read.fill.begun < read.begun).count())
    }

    /// Purges, and how many of them returned an error.
    pub fn purges(&self) -> (usize, usize) {
        let purges = Sorted::from(self).purges;
        (purges.len(), purges.iter().filter(|purge| !purge.ok).count())
    }

    /// The reads that were answered by what a purge had taken: one of the node itself that returned before the read began; or
    /// another's that was in the journal before, if the read is strict, the node had heard of it, or that was longer than `late`
    /// before. And fills that a node stored though a purge of its own had returned before the service answered.
    pub fn broken(&self, late: Late) -> Vec<String> {
        let sorted = Sorted::from(self);
        let purges: Vec<_> = sorted.purges.iter().map(|purge| (purge, sorted.told(purge))).collect();
        let wrong = |read: &Read| {
            let (purge, told) = purges.iter().find(|(purge, told)| {
                let meant = purge.about.is_about(read.page) && read.fill.begun < purge.begun;
                if purge.node == read.node {
                    meant && (purge.returned < read.begun || read.stored && purge.returned < read.fill.ended)
                } else {
                    meant && told.is_some_and(|told| sorted.must_know(read, told, late))
                }
            })?;
            Some(format!("{read:?} after {purge:?}, told {told:?}; faults: {:?}", sorted.faults))
        };
        sorted.reads.iter().filter_map(wrong).collect()
    }
}

/// The events by what they are.
#[derive(Default)]
struct Sorted {
    purges: Vec<Purge>,
    reads: Vec<Read>,
    heard: Vec<(usize, Moment, Moment)>,
    replayed: Vec<(usize, Moment)>,
    faults: Vec<(Moment, Moment)>,
}

impl From<&History> for Sorted {
    fn from(history: &History) -> Self {
        let mut sorted = Self::default();
        for event in history.0.lock().unwrap().iter() {
            match *event {
                Event::Purge(purge) => sorted.purges.push(purge),
                Event::Read(read) => sorted.reads.push(read),
                Event::Heard { node, at, of } => sorted.heard.push((node, at, of)),
                Event::Replayed { node, at } => sorted.replayed.push((node, at)),
                Event::Fault { from, until } => sorted.faults.push((from, until)),
            }
        }
        sorted
    }
}

impl Sorted {
    /// Since when the journal has a purge.
    fn told(&self, purge: &Purge) -> Option<Moment> {
        if purge.ok {
            return Some(purge.returned);
        }
        let later = |(node, at): &&(usize, Moment)| *node == purge.node && purge.returned < *at;
        self.replayed.iter().filter(later).map(|(_, at)| *at).min()
    }

    /// Whether a read must know of another node's purge that the journal has since `told`.
    fn must_know(&self, read: &Read, told: Moment, late: Late) -> bool {
        if read.begun <= told {
            return false;
        }
        let time = read.begun.since(told);
        let meanwhile = |(from, until): &(Moment, Moment)| *from <= read.begun && told <= *until;
        let is_late = || time > late.faulty || time > late.calm && !self.faults.iter().any(meanwhile);
        let heard =
            |(node, at, of): &(usize, Moment, Moment)| *node == read.node && *at <= read.begun && told < *of;
        read.strict || is_late() || self.heard.iter().any(heard)
    }
}
