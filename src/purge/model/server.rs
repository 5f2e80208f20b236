//! The server: a stream, its head, entries, and a clock that steps.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;

use super::node::Entry;
use crate::purge::record::Record;
use crate::purge::stamp::JournalId;
use crate::store::JournalEntry;

/// Writes that a failover may lose.
const REPLICATED: usize = 8;

/// Names and values of a stream's entry.
pub(super) type Fields = Vec<(Bytes, Bytes)>;

/// What an append does around its entry, as the store's modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Existing { trim: JournalId },
    Create,
    Replace,
}

/// What stands in the server.
#[derive(Clone, Debug, Default)]
struct Data {
    stream: Option<Rc<Vec<Record>>>,
    last: JournalId,
    head: Option<u64>,
    entries: [Option<Entry>; 2],
}

/// A server.
#[derive(Debug)]
pub(super) struct Server {
    /// Tells it from every other one.
    pub(super) name: Rc<str>,
    pub(super) clock: u64,
    data: Data,
    log: VecDeque<Data>,
    names: u32,
}

impl Server {
    pub(super) fn new(place: &str) -> Self {
        let name = format!("{place}0").into();
        Self { name, clock: 10, data: Data::default(), log: VecDeque::new(), names: 0 }
    }

    fn note(&mut self) {
        self.log.push_back(self.data.clone());
        if self.log.len() > REPLICATED {
            self.log.pop_front();
        }
    }

    /// Appends, and replaces the head if one is given. `Err`: the id isn't above the newest one.
    pub(super) fn append(
        &mut self,
        fields: Fields,
        head: Option<u64>,
        mode: Mode,
        wanted: Option<JournalId>,
    ) -> Result<Option<JournalId>, ()> {
        self.note();
        if mode == Mode::Replace {
            (self.data.stream, self.data.last) = (None, JournalId::ZERO);
        }
        if self.data.stream.is_none() {
            self.data.last = JournalId::ZERO;
            if let Mode::Existing { .. } = mode {
                self.set_head(head);
                return Ok(None);
            }
        }
        let (last, now) = (self.data.last, JournalId::new(self.clock, 0));
        let id = wanted.unwrap_or(if now > last { now } else { last.next() });
        if id <= last {
            return Err(());
        }
        let stream = Rc::make_mut(self.data.stream.get_or_insert_default());
        stream.push(Record::read(&JournalEntry { id, fields }));
        if let Mode::Existing { trim } = mode {
            stream.retain(|record| record.id >= trim);
        }
        self.data.last = id;
        self.set_head(head);
        Ok(Some(id))
    }

    pub(super) fn set_head(&mut self, head: Option<u64>) {
        self.data.head = head.or(self.data.head);
    }

    pub(super) fn head(&self) -> Option<u64> {
        self.data.head
    }

    /// At most `count` entries from `from` on, that one included.
    pub(super) fn range(&self, from: JournalId, count: usize) -> Vec<Record> {
        let stream = self.data.stream.iter().flat_map(|stream| stream.iter());
        stream.filter(|record| record.id >= from).take(count).cloned().collect()
    }

    pub(super) fn newest(&self) -> Option<Record> {
        self.data.stream.as_ref()?.last().cloned()
    }

    pub(super) fn get(&self, key: usize) -> Option<Entry> {
        self.data.entries[key]
    }

    pub(super) fn set(&mut self, key: usize, entry: Entry) {
        self.note();
        self.data.entries[key] = Some(entry);
    }

    /// All goes.
    pub(super) fn flush(&mut self, back: u64) {
        self.note();
        self.data = Data::default();
        self.step_back(back);
    }

    /// The stream goes, and its head stays.
    pub(super) fn evict_stream(&mut self, back: u64) {
        self.note();
        self.data.stream = None;
        self.step_back(back);
    }

    pub(super) fn evict_head(&mut self) {
        self.note();
        self.data.head = None;
    }

    /// A replica takes over that lacks the last `writes`.
    pub(super) fn fail_over(&mut self, writes: usize, back: u64) {
        for _ in 0..writes {
            if let Some(data) = self.log.pop_back() {
                self.data = data;
            }
        }
        self.log.clear();
        self.names += 1;
        let place = self.name.chars().next().unwrap_or('?');
        self.name = format!("{place}{}", self.names).into();
        self.step_back(back);
    }

    fn step_back(&mut self, back: u64) {
        self.clock = self.clock.saturating_sub(back).max(1);
    }
}
