//! What a process has: its state, its memory tier, its flights and its tail.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::world::{BOUNDS, GRACE, LOST, World};
use super::{Rule, Rules};
use crate::purge::record::Record;
use crate::purge::stamp::{JournalId, Stamp};
use crate::purge::state::{Broken, Mark, State, Validity};
use crate::purge::tag::Tag;

/// What every entry has.
pub(super) const ALL: Tag = Tag::from_bits(99);

/// What the entries of the two keys have beside it.
pub(super) const TAGS: [&[Tag]; 2] = [&[Tag::from_bits(1)], &[Tag::from_bits(1), Tag::from_bits(2)]];

/// A stored response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) key: usize,
    /// What the origin had.
    pub(super) version: u64,
    pub(super) stamp: Stamp,
    /// When its fill began, which no process goes by.
    pub(super) begun: u64,
}

/// A fill that others may wait for.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) stamp: Stamp,
    pub(super) begun: u64,
    pub(super) done: Cell<bool>,
    pub(super) entry: Cell<Option<Entry>>,
    /// What it revalidates.
    pub(super) base: Option<Entry>,
}

/// A process.
#[derive(Debug)]
pub(super) struct Node {
    /// Counts its starts: what began before the last one is gone.
    pub(super) start: u64,
    pub(super) state: State,
    /// The newest record that the state has, for mutants that don't read it again.
    newest: Option<Record>,
    pub(super) memory: [Option<Entry>; 2],
    pub(super) flights: [Option<Rc<Flight>>; 2],
    /// No connection reaches the server.
    pub(super) cut: bool,
    /// The server that the tail is connected to.
    pub(super) tail: Option<Rc<str>>,
    /// Whether the tail is at work.
    pub(super) busy: bool,
    /// The server that lanes may use, as the state has it.
    pub(super) trusted: Option<Rc<str>>,
    /// The tail is to be opened anew.
    pub(super) kicked: bool,
    /// When the last completed cycle began, unless the tail is lost.
    pub(super) contact: Option<u64>,
    /// The same, whether it is lost or not.
    pub(super) last_contact: u64,
    /// Beginning and end of all completed cycles, whatever the start.
    pub(super) cycles: Vec<(u64, u64)>,
    /// Own purges that the journal couldn't take, and what the state counted then.
    pub(super) kept: Vec<(usize, u64)>,
    /// What was last found by asking, and when.
    pub(super) last_asked: RefCell<Option<(u64, bool)>>,
    /// How far its own clock is ahead.
    pub(super) ahead: u64,
}

impl Node {
    pub(super) fn new(start: u64, now: u64, bounds: usize, ahead: u64) -> Self {
        let (purged, offline) = BOUNDS[bounds];
        Self {
            start,
            state: State::bounded(ALL, purged, offline),
            newest: None,
            memory: [None; 2],
            flights: [None, None],
            cut: false,
            tail: None,
            busy: false,
            trusted: None,
            kicked: false,
            contact: None,
            last_contact: now,
            cycles: Vec::new(),
            kept: Vec::new(),
            last_asked: RefCell::new(None),
            ahead,
        }
    }

    /// Gives up the tail's place in the present.
    pub(super) fn lose(&mut self) {
        self.contact = None;
    }

    /// The journal must be read anew.
    pub(super) fn doubt(&mut self) {
        self.lose();
        self.kicked = true;
    }

    pub(super) fn is_lost(&self, now: u64, rules: Rules) -> bool {
        self.contact.is_none_or(|at| rules.keep(Rule::Heartbeat) && now - at > LOST)
    }

    /// Whether an entry may serve without contact.
    pub(super) fn is_in_grace(&self, entry: &Entry, now: u64, rules: Rules) -> bool {
        let own = entry.stamp.local.begun;
        if own > 0 && !rules.keep(Rule::Grace) {
            return true;
        }
        now.saturating_sub(self.last_contact.max(own.saturating_sub(1))) <= GRACE
    }

    pub(super) fn worth(&self, entry: &Entry) -> Validity {
        self.state.validity(&entry.stamp, TAGS[entry.key])
    }

    /// Begins to read the journal.
    pub(super) fn begin(&mut self, records: &[Record]) {
        self.state.begin(records);
        self.newest = records.last().cloned();
    }

    /// Reads on. Without `inclusive`, as if what is known were always there.
    pub(super) fn follow(&mut self, mark: Mark, records: &[Record], inclusive: bool) -> Result<(), Broken> {
        let assumed;
        let records = match &self.newest {
            Some(newest) if !inclusive && newest.id == mark.id => {
                let behind = records.iter().filter(|record| record.id > mark.id);
                assumed = [newest].into_iter().chain(behind).cloned().collect::<Vec<_>>();
                &assumed
            }
            _ => records,
        };
        self.state.follow(mark, records)?;
        let known = self.newest.as_ref().map_or(JournalId::ZERO, |newest| newest.id);
        if let Some(last) = records.last().filter(|last| last.id > known) {
            self.newest = Some(last.clone());
        }
        Ok(())
    }

    pub(super) fn forget(&mut self) {
        self.state.forget();
        self.newest = None;
    }

    /// Jumps to `record` without what lies in between.
    pub(super) fn skip_to(&mut self, record: Record) {
        if let (Some(mark), Some(newest)) = (self.state.mark(), self.newest.clone()) {
            self.follow(mark, &[newest, record], true).ok();
        }
    }
}

impl World {
    /// The name of the server that has the journal, as processes know it.
    pub(super) fn known_name(&self) -> Rc<str> {
        if self.rules.keep(Rule::Identity) { Rc::clone(&self.journal.name) } else { "any".into() }
    }

    /// Whether a request's command would reach the journal's server from `node`.
    pub(super) fn is_reached(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        !node.cut && node.trusted.as_ref().is_none_or(|trusted| *trusted == self.known_name())
    }

    /// Whether the tail of `node` is still connected.
    pub(super) fn is_tailing(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        !node.cut && node.tail.as_ref() == Some(&self.journal.name)
    }
}
