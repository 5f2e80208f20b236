//! What happened in a schedule, and what must not have.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// A moment: a count that orders all moments of a history, and the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    count: u64,
    at: Instant,
}

/// What a purge is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    All,
    /// Both pages have it.
    Pages,
    Page(usize),
}

#[derive(Debug)]
struct Purge {
    node: usize,
    about: About,
    begun: Moment,
    /// When it returned, and whether it was `Ok`.
    returned: Option<(Moment, bool)>,
}

#[derive(Debug)]
struct Read {
    node: usize,
    strict: bool,
    page: usize,
    begun: Moment,
    fill: usize,
}

#[derive(Default)]
struct Events {
    count: u64,
    fills: Vec<Moment>,
    purges: Vec<Purge>,
    reads: Vec<Read>,
    hits: usize,
}

/// The record of a schedule.
#[derive(Default)]
pub(crate) struct History(Mutex<Events>);

impl Events {
    fn now(&mut self) -> Moment {
        self.count += 1;
        Moment { count: self.count, at: Instant::now() }
    }
}

impl History {
    pub(crate) fn now(&self) -> Moment {
        self.0.lock().unwrap().now()
    }

    /// A fill begins; its number.
    pub(crate) fn fill(&self) -> usize {
        let mut events = self.0.lock().unwrap();
        let now = events.now();
        events.fills.push(now);
        events.fills.len() - 1
    }

    /// A purge begins; its number.
    pub(crate) fn purge(&self, node: usize, about: About) -> usize {
        let mut events = self.0.lock().unwrap();
        let begun = events.now();
        events.purges.push(Purge { node, about, begun, returned: None });
        events.purges.len() - 1
    }

    pub(crate) fn purged(&self, purge: usize, ok: bool) {
        let mut events = self.0.lock().unwrap();
        let now = events.now();
        events.purges[purge].returned = Some((now, ok));
    }

    /// A request that began at `begun` was answered by `fill`.
    pub(crate) fn read(&self, node: usize, strict: bool, page: usize, begun: Moment, fill: usize) {
        let mut events = self.0.lock().unwrap();
        let is_hit = events.fills[fill].count < begun.count;
        events.hits += usize::from(is_hit);
        events.reads.push(Read { node, strict, page, begun, fill });
    }

    /// Reads, and how many of them a fill from before them answered.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let events = self.0.lock().unwrap();
        (events.reads.len(), events.hits)
    }

    /// The first read that was answered by what a purge had taken: one that returned before the read began, on the node
    /// itself or for a strict read; for others, `late` before.
    pub(crate) fn broken(&self, late: Duration) -> Option<String> {
        let events = self.0.lock().unwrap();
        events.reads.iter().find_map(|read| {
            let filled = events.fills[read.fill];
            let purge = events.purges.iter().find(|purge| {
                let Some((returned, ok)) = purge.returned else { return false };
                let about = purge.about == About::All
                    || purge.about == About::Pages
                    || purge.about == About::Page(read.page);
                let before = filled.count < purge.begun.count && returned.count < read.begun.count;
                let own = purge.node == read.node;
                let known = own || ok && (read.strict || read.begun.at - returned.at > late);
                about && before && known
            })?;
            Some(format!("{read:?}, whose fill began at {filled:?}, after {purge:?}"))
        })
    }
}
