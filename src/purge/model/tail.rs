//! The tail, in the order of the real one; an operation is what that does up to its next wait.

use std::rc::Rc;

use super::Rule;
use super::server::{Mode, Server};
use super::world::{Job, Sim, step};
use crate::purge::record::Record;
use crate::purge::stamp::{Epoch, JournalId};

/// The connection is gone, or the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreached;

/// Times that a load is tried before the tail is opened anew.
const TRIES: usize = 4;

impl Sim {
    pub(super) fn tail(self, node: usize) -> Job {
        Box::pin(self.tail_once(node))
    }

    async fn tail_once(self, node: usize) {
        let start = {
            let own = &mut self.world().nodes[node];
            if std::mem::replace(&mut own.busy, true) {
                return;
            }
            if std::mem::take(&mut own.kicked) {
                own.lose();
                own.tail = None;
            }
            own.start
        };
        let ended = self.follow_on(node, start).await;
        let own = &mut self.world().nodes[node];
        if own.start == start {
            own.busy = false;
            if ended.is_err() {
                own.lose();
                own.tail = None;
            }
        }
    }

    async fn follow_on(&self, node: usize, start: u64) -> Result<(), Unreached> {
        if self.world().nodes[node].tail.is_none() {
            self.connect(node, start).await?;
        }
        if !self.world().nodes[node].state.is_ready() {
            self.load(node, start).await?;
        }
        let asked = self.world().now;
        if !self.cycle(node, start).await? {
            return Ok(());
        }
        {
            let world = &mut *self.world();
            let now = world.now;
            let own = &mut world.nodes[node];
            own.contact = Some(asked);
            own.last_contact = asked;
            own.cycles.push((asked, now));
            world.log(|| format!("tail {node} has made a cycle from {asked}"));
        }
        self.replay(node, start).await;
        Ok(())
    }

    async fn connect(&self, node: usize, start: u64) -> Result<(), Unreached> {
        step().await;
        let world = &mut *self.world();
        let (name, known_name) = (Rc::clone(&world.journal.name), world.known_name());
        let catches_up = world.rules.keep(Rule::CatchUp);
        let newest = world.journal.newest();
        let own = &mut world.nodes[node];
        if own.start != start || own.cut {
            return Err(Unreached);
        }
        own.lose();
        own.tail = Some(name);
        if own.state.is_ready() && own.state.server() != &*known_name {
            own.forget();
            world.count("another server");
        } else if let Some(newest) = newest
            && !catches_up
            && own.state.is_ready()
        {
            own.skip_to(newest);
        }
        world.nodes[node].trusted = Some(known_name);
        Ok(())
    }

    /// Reads the journal from its start. If it has no epoch that holds on this server, begins one.
    async fn load(&self, node: usize, start: u64) -> Result<(), Unreached> {
        let size = self.world().page;
        for _ in 0..TRIES {
            let mut records = self.page(node, start, JournalId::ZERO, size).await?;
            self.world().nodes[node].begin(&records);
            let mut whole = true;
            while whole && records.len() >= size {
                step().await;
                let Some(mark) = self.world().nodes[node].state.mark() else { break };
                records = self.page(node, start, mark.id, size).await?;
                whole = self.world().nodes[node].follow(mark, &records, true).is_ok();
            }
            step().await;
            let exhausted = {
                let world = &mut *self.world();
                let name = world.known_name();
                let own = &mut world.nodes[node];
                let exhausted = own.state.is_exhausted();
                if whole && !exhausted && own.state.finish(&name) {
                    let epoch = own.state.epoch();
                    world.count("loaded");
                    world.log(|| format!("node {node} has read the journal: {epoch:?}"));
                    return Ok(());
                }
                own.forget();
                exhausted
            };
            if whole {
                let mode = if exhausted { Mode::Replace } else { Mode::Create };
                self.begin_epoch(node, start, Way::Tail, mode).await?;
            }
        }
        Err(Unreached)
    }

    /// Reads on. False: the journal must be read from its start.
    async fn cycle(&self, node: usize, start: u64) -> Result<bool, Unreached> {
        let rules = self.world().rules;
        let inclusive = rules.keep(Rule::TailInclusive) && rules.keep(Rule::Regress);
        let head = self.on_tail(node, start, |journal| journal.head()).await?;
        let size = self.world().page;
        loop {
            let Some(mark) = self.world().nodes[node].state.mark() else { return Ok(false) };
            let records = self.page(node, start, mark.id, size).await?;
            let exhausted = {
                let world = &mut *self.world();
                let own = &mut world.nodes[node];
                if own.state.is_all(mark, &records) {
                    break;
                }
                let followed = own.follow(mark, &records, inclusive).is_ok();
                let exhausted = own.state.is_exhausted();
                if followed && !exhausted {
                    if records.len() < size {
                        break;
                    }
                    continue;
                }
                own.lose();
                own.forget();
                let why = if exhausted { "exhausted" } else { "place missing" };
                world.count(why);
                world.log(|| format!("node {node} forgets: {why}"));
                exhausted
            };
            let first = self.on_tail(node, start, |journal| journal.range(JournalId::ZERO, 1)).await?;
            let is_hole = first.first().is_none_or(|first| first.id <= mark.id);
            if exhausted || is_hole && rules.keep(Rule::HoleEndsEpoch) {
                let mode = if exhausted { Mode::Replace } else { Mode::Create };
                self.begin_epoch(node, start, Way::Tail, mode).await?;
            }
            return Ok(false);
        }
        step().await;
        let repair = {
            let world = &mut *self.world();
            let state = &world.nodes[node].state;
            let (known, epoch) = (state.knows_head(head), state.epoch());
            let name = world.known_name();
            (!known).then(|| world.epoch_record(epoch, &name, false))
        };
        if let Some((fields, nonce)) = repair {
            let mode = Mode::Existing { trim: JournalId::ZERO };
            self.on_tail(node, start, |journal| journal.append(fields, Some(nonce), mode, None)).await?.ok();
            self.world().count("head repaired");
        }
        Ok(true)
    }

    async fn page(
        &self,
        node: usize,
        start: u64,
        from: JournalId,
        size: usize,
    ) -> Result<Vec<Record>, Unreached> {
        self.on_tail(node, start, |journal| journal.range(from, size)).await
    }

    /// Begins an epoch. Gives the id of its record.
    pub(super) async fn begin_epoch(
        &self,
        node: usize,
        start: u64,
        way: Way,
        mode: Mode,
    ) -> Result<JournalId, Unreached> {
        let above = self.world().nodes[node].state.above();
        let first = self.epoch_over(node, start, way, mode, None).await?;
        if first >= above || mode == Mode::Replace {
            return Ok(first);
        }
        self.epoch_over(node, start, way, Mode::Create, Some(above)).await
    }

    async fn epoch_over(
        &self,
        node: usize,
        start: u64,
        way: Way,
        mode: Mode,
        id: Option<JournalId>,
    ) -> Result<JournalId, Unreached> {
        let (fields, nonce) = {
            let world = &mut *self.world();
            let token = Epoch::random();
            world.count("epoch begun");
            world.log(|| format!("node {node} begins {token:?}"));
            let name = world.known_name();
            world.epoch_record(token, &name, true)
        };
        let append = |journal: &mut Server| journal.append(fields, Some(nonce), mode, id);
        let appended = match way {
            Way::Tail => self.on_tail(node, start, append).await?,
            Way::Lane => self.on_lane(node, start, append).await?,
        };
        appended.ok().flatten().ok_or(Unreached)
    }

    /// A command on the tail's connection.
    async fn on_tail<T>(
        &self,
        node: usize,
        start: u64,
        command: impl FnOnce(&mut Server) -> T,
    ) -> Result<T, Unreached> {
        step().await;
        let name = self.world().nodes[node].tail.clone();
        let is_up = |sim: &Self| {
            let world = sim.world();
            world.nodes[node].start == start && world.nodes[node].tail == name && world.is_tailing(node)
        };
        if !is_up(self) {
            return Err(Unreached);
        }
        let (reply, delay) = {
            let world = &mut *self.world();
            (command(&mut world.journal), world.random.pick(&[0, 0, 1, 3]))
        };
        for _ in 0..=delay {
            step().await;
        }
        if is_up(self) { Ok(reply) } else { Err(Unreached) }
    }

    /// A command on a connection that requests use too.
    pub(super) async fn on_lane<T>(
        &self,
        node: usize,
        start: u64,
        command: impl FnOnce(&mut Server) -> T,
    ) -> Result<T, Unreached> {
        step().await;
        let reply = {
            let world = &mut *self.world();
            if world.nodes[node].start != start || !world.is_reached(node) {
                return Err(Unreached);
            }
            command(&mut world.journal)
        };
        step().await;
        let world = self.world();
        if world.nodes[node].start == start && !world.nodes[node].cut { Ok(reply) } else { Err(Unreached) }
    }
}

/// The connection that an entry goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Tail,
    Lane,
}
