//! What no response may be, by what its request could know.

use super::node::{ALL, Entry, TAGS};
use super::world::{GRACE, LOST, World};
use crate::purge::tag::Tag;

/// A purge that was asked for.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) node: usize,
    /// The start of its node in which it was.
    pub(super) start: u64,
    pub(super) tag: Tag,
    pub(super) soft: bool,
    pub(super) begun: u64,
    /// When it was in the journal, and its caller knew.
    pub(super) returned: Option<u64>,
    /// When its caller was told that the journal couldn't take it.
    pub(super) failed: Option<u64>,
}

impl Made {
    /// Whether it is about an entry that was filled before it.
    fn hits(&self, entry: &Entry) -> bool {
        entry.begun < self.begun && (self.tag == ALL || TAGS[entry.key].contains(&self.tag))
    }
}

/// A request, as far as it matters for what may answer it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) node: usize,
    pub(super) start: u64,
    pub(super) begun: u64,
    pub(super) strict: bool,
    /// Whether the tail was lost when it began.
    pub(super) was_lost: bool,
    /// Whether all that it asked the trusted server was answered.
    pub(super) reached: bool,
}

/// Where a response came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Memory,
    Redis,
    /// Its own fill.
    Fill,
    /// Another request's.
    Flight,
}

impl World {
    /// Checks a response that is about to be given.
    pub(super) fn respond(&mut self, asked: Asked, entry: &Entry, source: Source, fresh: bool) {
        self.served += 1;
        self.hits += u64::from(source != Source::Fill);
        self.log(|| format!("  {asked:?} gets {entry:?} from {source:?}, fresh: {fresh}"));
        let broken = self.purges.iter().find_map(|made| {
            let why = self.broken(asked, made, entry, source, fresh)?;
            Some(format!("{why}: {entry:?} from {source:?} for {asked:?}, after {made:?}"))
        });
        self.violation = self.violation.take().or(broken);
    }

    fn broken(
        &self,
        asked: Asked,
        made: &Made,
        entry: &Entry,
        source: Source,
        fresh: bool,
    ) -> Option<&'static str> {
        if !made.hits(entry) || made.soft && !fresh {
            return None;
        }
        let is_own = made.node == asked.node && made.start == asked.start;
        if is_own && made.failed.is_some_and(|failed| failed < asked.begun) {
            return Some("own purge, not in the journal yet");
        }
        let returned = made.returned.filter(|returned| *returned < asked.begun)?;
        let node = &self.nodes[asked.node];
        if asked.strict {
            return Some("strict");
        }
        if is_own {
            return Some("own purge");
        }
        if node.cycles.iter().any(|(from, to)| *from > returned && *to < asked.begun) {
            return Some("after a full cycle of the tail");
        }
        if asked.was_lost && asked.reached {
            return Some("tail lost, journal in reach");
        }
        let alone = asked.begun.saturating_sub(returned.max(node.last_contact));
        (source != Source::Fill && alone > GRACE + LOST).then_some("beyond grace")
    }

    /// Checks what is about to be stored.
    pub(super) fn store(&mut self, node: usize, entry: &Entry) {
        let start = self.nodes[node].start;
        let own = |made: &&Made| made.node == node && made.start == start && !made.soft && made.hits(entry);
        let broken = self.purges.iter().filter(own).find(|made| made.returned.or(made.failed).is_some());
        let broken = broken.map(|made| format!("stored: {entry:?}, after {made:?}"));
        self.violation = self.violation.take().or(broken);
    }
}
