//! This process's own purges: those that the journal took, those of a process without one, and those that it must still take.

use super::{Start, State};
use crate::purge::stamp::JournalId;
use crate::purge::tag::Tag;

impl State {
    /// What a purge starts from; `None` while the journal isn't known.
    pub(crate) fn start(&self) -> Option<Start> {
        let (newest, _) = self.applied.filter(|_| self.ready)?;
        Some(Start {
            epoch: self.epoch,
            seen: self.seen,
            server: self.server.clone(),
            newest: newest.max(self.seen),
            epoch_record: self.epoch_record.as_ref().map_or(JournalId::ZERO, |(id, _)| *id),
        })
    }

    /// An own purge that the journal took as `id`. False: the id isn't above all that was known or is one of the highest, or the
    /// journal isn't known any more, and the epoch must end.
    pub(crate) fn purged(&mut self, start: &Start, id: JournalId, tags: &[Tag], soft: bool) -> bool {
        if id <= start.seen || id.ms == u64::MAX {
            return false;
        }
        if self.epoch != start.epoch {
            // Another epoch has begun meanwhile, on the same server: before the purge, and then it stands in the journal for all;
            // or behind it, and then all from before is gone. But the id may be from before, and nothing may be stamped by it.
            let holds = self.ready && self.server == start.server;
            if holds {
                self.purge(id, tags, soft);
            }
            return holds;
        }
        self.purge(id, tags, soft);
        self.seen = self.seen.max(id);
        true
    }

    /// An epoch was begun by a record with this id: nothing from before may be used, whether it was read since or not.
    pub(crate) fn ended(&mut self, begun: JournalId) {
        if !(self.ready && self.applied.is_some_and(|(applied, _)| applied >= begun)) {
            self.forget();
        }
    }

    /// A purge without a journal. Gives its id.
    pub(crate) fn purge_alone(&mut self, tags: &[Tag], soft: bool) -> JournalId {
        self.seen = self.seen.next();
        let id = self.seen;
        self.purge(id, tags, soft);
        id
    }

    /// A purge that the journal couldn't take: it holds here until it can.
    pub(crate) fn purge_offline(&mut self, tags: &[Tag], soft: bool) {
        self.offline_seq += 1;
        let now = JournalId::new(self.offline_seq, 0);
        for tag in tags {
            let place = if self.offline.len() >= self.bounds.offline && !self.offline.contains_key(tag) {
                self.offline.clear();
                (self.all, false)
            } else {
                (*tag, soft)
            };
            let last = self.offline.entry(place.0).or_default();
            let mark = if place.1 { &mut last.soft } else { &mut last.hard };
            *mark = now;
        }
    }

    /// Some of the purges that the journal must still take: tags, and whether all of them are soft ones.
    pub(crate) fn offline(&self, at_most: usize) -> Option<(Vec<Tag>, bool, u64)> {
        let of = |soft: bool| {
            let wanted = self.offline.iter().filter(|(_, last)| (last.hard == JournalId::ZERO) == soft);
            wanted.map(|(tag, _)| *tag).take(at_most).collect::<Vec<_>>()
        };
        let (tags, soft) = match of(false) {
            none if none.is_empty() => (of(true), true),
            some => (some, false),
        };
        (!tags.is_empty()).then_some((tags, soft, self.offline_seq))
    }

    /// The journal took these, as they were when the counter stood at `until`.
    pub(crate) fn replayed(&mut self, tags: &[Tag], until: u64) {
        let until = JournalId::new(until, 0);
        for tag in tags {
            if self.offline.get(tag).is_some_and(|last| last.hard.max(last.soft) <= until) {
                self.offline.remove(tag);
            }
        }
    }

    /// Purges that the journal doesn't have yet, by tags.
    pub(crate) fn offline_tags(&self) -> usize {
        self.offline.len()
    }
}
