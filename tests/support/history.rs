//! What happened under fills, reads, purges and faults, and what must not have.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// A moment: a count that orders all moments of a history, and the time.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    count: u64,
    at: Instant,
}

/// What a purge is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    All,
    /// All pages have it.
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
    /// From then on the others have time to hear of it: it returned `Ok`, or was kept and is in the journal now.
    told: Option<Instant>,
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
    /// When servers or connections failed, from and until.
    faults: Vec<(Instant, Option<Instant>)>,
}

/// How late a node may hear of another's purge.
#[derive(Clone, Copy, Debug)]
pub struct Late {
    /// While all goes well.
    pub calm: Duration,
    /// If there was a fault meanwhile.
    pub faulty: Duration,
}

/// The record of what happened.
#[derive(Default)]
pub struct History(Mutex<Events>);

impl Events {
    fn now(&mut self) -> Moment {
        self.count += 1;
        Moment { count: self.count, at: Instant::now() }
    }

    fn is_faulty(&self, from: Instant, until: Instant) -> bool {
        self.faults.iter().any(|(begun, over)| *begun <= until && over.is_none_or(|over| over >= from))
    }
}

impl History {
    pub fn now(&self) -> Moment {
        self.0.lock().unwrap().now()
    }

    /// A fill begins; its number.
    pub fn fill(&self) -> usize {
        let mut events = self.0.lock().unwrap();
        let now = events.now();
        events.fills.push(now);
        events.fills.len() - 1
    }

    /// A purge begins; its number.
    pub fn purge(&self, node: usize, about: About) -> usize {
        let mut events = self.0.lock().unwrap();
        let begun = events.now();
        events.purges.push(Purge { node, about, begun, returned: None, told: None });
        events.purges.len() - 1
    }

    pub fn purged(&self, purge: usize, ok: bool) {
        let mut events = self.0.lock().unwrap();
        let now = events.now();
        events.purges[purge].returned = Some((now, ok));
        events.purges[purge].told = ok.then_some(now.at);
    }

    /// The node's purges that were kept for later are in the journal now.
    pub fn replayed(&self, node: usize) {
        let mut events = self.0.lock().unwrap();
        let now = events.now();
        let returned = |purge: &&mut Purge| purge.node == node && purge.returned.is_some();
        events.purges.iter_mut().filter(returned).for_each(|purge| {
            purge.told.get_or_insert(now.at);
        });
    }

    /// From now on something may fail.
    pub fn fault_begins(&self) {
        self.0.lock().unwrap().faults.push((Instant::now(), None));
    }

    /// All goes well again.
    pub fn fault_ends(&self) {
        self.0.lock().unwrap().faults.last_mut().unwrap().1 = Some(Instant::now());
    }

    /// Purges that returned so far, and how many of them with an error.
    pub fn purges(&self) -> (usize, usize) {
        let events = self.0.lock().unwrap();
        let returned = events.purges.iter().filter_map(|purge| purge.returned);
        (returned.clone().count(), returned.filter(|(_, ok)| !ok).count())
    }

    /// A request that began at `begun` was answered by `fill`.
    pub fn read(&self, node: usize, strict: bool, page: usize, begun: Moment, fill: usize) {
        let mut events = self.0.lock().unwrap();
        let is_hit = events.fills[fill].count < begun.count;
        events.hits += usize::from(is_hit);
        events.reads.push(Read { node, strict, page, begun, fill });
    }

    /// Reads, and how many of them a fill from before them answered.
    pub fn counts(&self) -> (usize, usize) {
        let events = self.0.lock().unwrap();
        (events.reads.len(), events.hits)
    }

    /// The first read that was answered by what a purge had taken: one that returned before the read began, on the node
    /// itself or for a strict read; for others, `late` before.
    pub fn broken(&self, late: Late) -> Option<String> {
        let events = self.0.lock().unwrap();
        events.reads.iter().find_map(|read| {
            let filled = events.fills[read.fill];
            let purge = events.purges.iter().find(|purge| {
                let Some((returned, ok)) = purge.returned else { return false };
                let about = purge.about == About::All
                    || purge.about == About::Pages
                    || purge.about == About::Page(read.page);
                let before = filled.count < purge.begun.count && returned.count < read.begun.count;
                let heard = |told: Instant| {
                    let faulty = events.is_faulty(told, read.begun.at);
                    read.begun.at.saturating_duration_since(told)
                        > if faulty { late.faulty } else { late.calm }
                };
                about
                    && before
                    && (purge.node == read.node || ok && read.strict || purge.told.is_some_and(heard))
            })?;
            let faults = &events.faults;
            Some(format!("{read:?}, whose fill began at {filled:?}, after {purge:?}; faults: {faults:?}"))
        })
    }
}
