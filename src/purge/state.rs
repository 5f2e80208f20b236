//! What this process knows of the journal, and what follows for an entry. Pure: no clock, no connection.
//!
//! Two positions: `seen`, the highest id known, by which fills are stamped; and `applied`, up to which nothing is missing, from
//! which the tail reads on. An own purge moves the first alone.
//!
//! Ids compare inside one epoch only. Whatever may have broken the order of ids (a flush, an eviction, another server) ends the
//! epoch, and with it every entry that was stamped in it.

mod own;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use super::record::{Kind, Record};
use super::stamp::{Epoch, JournalId, Local, Stamp};
use super::tag::Tag;

/// Purged tags that are remembered; of more, the oldest become a floor under which all is gone.
pub(crate) const MAX_PURGED: usize = 100_000;

/// Tags whose purge the journal doesn't have yet; of more, all is purged.
pub(crate) const MAX_OFFLINE: usize = 1024;

/// Nonces of the newest entries, by which a head is recognised that was read while others were applied.
const RECENT: usize = 256;

/// What an entry is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    /// Nothing speaks against it.
    Fresh,
    /// A soft purge came after it: it is stale.
    Stale,
    /// It must not be used at all.
    Gone,
}

/// The tail can't read on from where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// What this process knows.
#[derive(Debug)]
pub(crate) struct State {
    /// The tag that every entry has.
    all: Tag,
    bounds: Bounds,
    epoch: Epoch,
    /// Whether the epoch is the journal's. Else it is one of this process alone, for entries that live in memory.
    ready: bool,
    /// The journal's epoch, by what was read of it so far.
    read: Option<Epoch>,
    /// The server that the journal was read from.
    server: String,
    /// The newest entry read, and its print.
    applied: Option<(JournalId, u64)>,
    /// How often the journal was begun to be read, or forgotten.
    reading: u64,
    seen: JournalId,
    /// The highest id that was ever seen, in whatever epoch: a new one begins above it.
    highest: JournalId,
    floor: JournalId,
    /// The last soft purge of everything.
    soft_all: JournalId,
    purged: HashMap<Tag, Last>,
    /// Purges that the journal doesn't have yet.
    offline: HashMap<Tag, Last>,
    offline_seq: u64,
    /// The newest record of the epoch, and its server.
    epoch_record: Option<(JournalId, String)>,
    heads: VecDeque<(u64, u64)>,
    heads_seq: u64,
    junk: u64,
    exhausted: bool,
}

/// What is remembered at most.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    purged: usize,
    offline: usize,
}

/// When a tag was purged last.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    hard: JournalId,
    soft: JournalId,
}

/// What a purge starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) epoch: Epoch,
    pub(crate) seen: JournalId,
    pub(crate) server: String,
    /// The newest id in the stream, from which the journal's length is measured.
    pub(crate) newest: JournalId,
    pub(crate) epoch_record: JournalId,
}

/// Where to read on: the newest entry read, which must be there still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) id: JournalId,
    print: u64,
    /// Which reading of the journal it belongs to.
    reading: u64,
}

/// What a head is compared with that is asked for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    epoch: Epoch,
    index: u64,
}

impl State {
    /// A state that waits for the journal.
    pub(crate) fn new(all: Tag) -> Self {
        Self {
            all,
            bounds: Bounds { purged: MAX_PURGED, offline: MAX_OFFLINE },
            epoch: Epoch::random(),
            ready: false,
            read: None,
            server: String::new(),
            applied: None,
            reading: 0,
            seen: JournalId::ZERO,
            highest: JournalId::ZERO,
            floor: JournalId::ZERO,
            soft_all: JournalId::ZERO,
            purged: HashMap::new(),
            offline: HashMap::new(),
            offline_seq: 0,
            epoch_record: None,
            heads: VecDeque::new(),
            heads_seq: 0,
            junk: 0,
            exhausted: false,
        }
    }

    /// One that remembers less, to see that the bounds hold and what comes of it.
    #[cfg(test)]
    pub(crate) fn bounded(all: Tag, purged: usize, offline: usize) -> Self {
        Self { bounds: Bounds { purged, offline }, ..Self::new(all) }
    }

    /// A state that has no journal and needs none.
    pub(crate) fn alone(all: Tag) -> Self {
        Self { epoch: Epoch::NONE, ready: true, ..Self::new(all) }
    }

    /// Whether the journal was read from its start.
    pub(crate) const fn is_ready(&self) -> bool {
        self.ready
    }

    /// The position by which a fill that begins now is stamped.
    pub(crate) fn stamp(&self, begun: u64) -> Stamp {
        let local = Local { offline: self.offline_seq, begun };
        Stamp { epoch: self.epoch, id: self.seen, local }
    }

    /// What an entry with this stamp and these tags is worth.
    pub(crate) fn validity(&self, stamp: &Stamp, tags: &[Tag]) -> Validity {
        if stamp.epoch != self.epoch || stamp.id < self.floor {
            return Validity::Gone;
        }
        let mut validity = if self.soft_all > stamp.id { Validity::Stale } else { Validity::Fresh };
        let offline = JournalId::new(stamp.local.offline, 0);
        let all = (!self.offline.is_empty()).then_some(&self.all);
        for tag in tags.iter().chain(all) {
            for (purged, known) in [(&self.purged, stamp.id), (&self.offline, offline)] {
                match purged.get(tag) {
                    Some(last) if last.hard > known => return Validity::Gone,
                    Some(last) if last.soft > known => validity = Validity::Stale,
                    _ => {}
                }
            }
        }
        validity
    }

    /// Forgets the journal: what was stamped by it is gone until it was read again.
    pub(crate) fn forget(&mut self) {
        let highest = self.highest.max(self.seen);
        let reading = self.reading + 1;
        let Self { all, bounds, offline_seq, junk, .. } = *self;
        let offline = std::mem::take(&mut self.offline);
        *self = Self { bounds, reading, highest, offline, offline_seq, junk, ..Self::new(all) };
    }

    /// Begins to read the journal from its start, with the first of its entries. What an earlier reading left that came to no
    /// end may be another server's.
    pub(crate) fn begin(&mut self, records: &[Record]) {
        self.highest = self.highest.max(self.seen);
        self.reading += 1;
        (self.ready, self.read, self.epoch_record, self.applied) = (false, None, None, None);
        (self.seen, self.soft_all) = (JournalId::ZERO, JournalId::ZERO);
        self.floor = records.first().map_or(JournalId::ZERO, |first| first.id);
        self.purged.clear();
        self.heads.clear();
        records.iter().for_each(|record| self.apply(record));
    }

    /// Where to read on.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.applied.map(|(id, print)| Mark { id, print, reading: self.reading })
    }

    /// Takes what was read on from `mark`: the first of `records` must be the entry there.
    pub(crate) fn follow(&mut self, mark: Mark, records: &[Record]) -> Result<(), Broken> {
        let (own, rest) = records.split_first().ok_or(Broken)?;
        if self.reading != mark.reading || (own.id, own.print) != (mark.id, mark.print) {
            return Err(Broken);
        }
        rest.iter().for_each(|record| self.apply(record));
        Ok(())
    }

    /// Whether `records`, read on from `mark`, hold nothing new.
    pub(crate) fn is_all(&self, mark: Mark, records: &[Record]) -> bool {
        let [own] = records else { return false };
        self.mark() == Some(mark) && (own.id, own.print) == (mark.id, mark.print) && !self.exhausted
    }

    /// The journal was read to its end, from this server. False: it has no epoch that holds there.
    pub(crate) fn finish(&mut self, server: &str) -> bool {
        let holds = matches!(&self.epoch_record, Some((_, known)) if known == server);
        if let Some(epoch) = self.read.filter(|_| holds) {
            self.ready = true;
            self.epoch = epoch;
            server.clone_into(&mut self.server);
        }
        holds
    }

    fn apply(&mut self, record: &Record) {
        if self.applied.is_some_and(|(applied, _)| record.id <= applied) {
            return;
        }
        self.applied = Some((record.id, record.print));
        // Soon no further entry can be appended behind it: whatever it says, the epoch must end.
        if record.id.ms == u64::MAX {
            self.exhausted = true;
            return;
        }
        self.seen = self.seen.max(record.id);
        match &record.kind {
            Kind::Purge { tags, soft } => self.purge(record.id, tags, *soft),
            Kind::Later => self.purge(record.id, &[self.all], false),
            // A process that hasn't noticed yet that its epoch is over renews it. A reader who hasn't seen the end of one of them
            // can't tell which is over.
            Kind::Epoch { epoch, begins: false, .. } if self.read.is_some_and(|read| read != *epoch) => {
                if !self.ready {
                    self.epoch_record = None;
                }
            }
            Kind::Epoch { epoch, server, .. } => {
                if self.read != Some(*epoch) {
                    self.read = Some(*epoch);
                    self.floor = self.floor.max(record.id);
                }
                // NOTE: not before the journal was read to its end: what it says further on isn't known until then.
                if self.ready {
                    self.epoch = *epoch;
                }
                self.epoch_record = Some((record.id, server.clone()));
            }
            Kind::Junk => self.junk += 1,
        }
        if let Some(nonce) = record.nonce {
            self.heads_seq += 1;
            self.heads.push_back((nonce, self.heads_seq));
            if self.heads.len() > RECENT {
                self.heads.pop_front();
            }
        }
    }

    fn purge(&mut self, id: JournalId, tags: &[Tag], soft: bool) {
        for tag in tags {
            if *tag == self.all {
                let mark = if soft { &mut self.soft_all } else { &mut self.floor };
                *mark = (*mark).max(id);
                continue;
            }
            let last = self.purged.entry(*tag).or_default();
            let mark = if soft { &mut last.soft } else { &mut last.hard };
            *mark = (*mark).max(id);
        }
        if self.purged.len() > self.bounds.purged {
            self.prune();
        }
    }

    /// Forgets the older half of the purged tags: everything from before the newest of them is gone.
    fn prune(&mut self) {
        let mut ids: Vec<_> = self.purged.values().map(|last| last.hard.max(last.soft)).collect();
        let middle = ids.len() / 2;
        let (_, newest, _) = ids.select_nth_unstable(middle);
        let newest = *newest;
        self.purged.retain(|_, last| last.hard.max(last.soft) > newest);
        self.floor = self.floor.max(newest);
    }

    /// What a head that is asked for from now on is compared with.
    pub(crate) fn look(&self) -> Look {
        Look { epoch: self.epoch, index: self.heads.back().map_or(0, |(_, index)| *index) }
    }

    /// Whether a head that was asked for after `look` is that of an entry which was the newest known then, or came to be known
    /// since: then no purge that returned before is unknown.
    pub(crate) fn is_current(&self, look: Look, head: Option<u64>) -> bool {
        let known = |(nonce, index): &(u64, u64)| Some(*nonce) == head && *index >= look.index;
        self.ready && look.epoch == self.epoch && self.heads.iter().any(known)
    }

    /// Whether any entry known has this nonce.
    pub(crate) fn knows_head(&self, head: Option<u64>) -> bool {
        self.heads.iter().any(|(nonce, _)| Some(*nonce) == head)
    }

    /// An id above all that this process has seen.
    pub(crate) fn above(&self) -> JournalId {
        JournalId::new(self.highest.max(self.seen).ms.saturating_add(1), 0)
    }

    /// The highest id known.
    pub(crate) const fn seen(&self) -> JournalId {
        self.seen
    }

    /// The epoch by which fills are stamped.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The server that the journal was read from.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Tags that are known to have been purged.
    pub(crate) fn purged_tags(&self) -> usize {
        self.purged.len()
    }

    /// Entries that weren't the cache's.
    pub(crate) const fn junk(&self) -> u64 {
        self.junk
    }

    /// Whether the journal takes hardly a further entry, because one stands at the highest ids.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.exhausted
    }
}
