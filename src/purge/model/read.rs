//! Requests: memory, the question to the journal, the shared tier, and who joins a flight.

use std::cell::Cell;
use std::rc::Rc;

use super::Rule;
use super::checker::{Asked, Source};
use super::node::{Entry, Flight, TAGS};
use super::tail::Unreached;
use super::world::{Sim, World, step};
use crate::purge::state::Validity;

/// How a request may use what its process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// As it is known here.
    Known,
    /// The journal can't be asked.
    Grace,
    /// Not at all.
    Nothing,
}

impl Sim {
    pub(super) async fn read(self, node: usize, key: usize, strict: bool) {
        let (mut asked, ask) = {
            let world = &mut *self.world();
            let own = &world.nodes[node];
            let was_lost = own.is_lost(world.now, world.rules);
            let start = own.start;
            world.count(if was_lost { "read while lost" } else { "read in touch" });
            let asked = Asked { node, start, begun: world.now, strict, was_lost, reached: true };
            (asked, strict || was_lost && world.rules.keep(Rule::LostIsStrict))
        };
        if !ask && self.by_memory(asked, key, Trust::Known) {
            return;
        }
        let (trust, found) = self.look_up(&mut asked, key, ask).await;
        if self.world().nodes[node].start != asked.start {
            return;
        }
        if ask && self.by_memory(asked, key, trust) || self.by_redis(asked, found, trust) {
            return;
        }
        self.by_fill(asked, key, found, trust).await;
    }

    /// Answers from memory, if that has what may answer.
    fn by_memory(&self, asked: Asked, key: usize, trust: Trust) -> bool {
        let world = &mut *self.world();
        let Some(entry) = world.nodes[asked.node].memory[key] else { return false };
        let worth = if world.rules.keep(Rule::CheckMemory) || trust == Trust::Nothing {
            world.worth(asked.node, &entry, trust)
        } else {
            Validity::Fresh
        };
        if worth == Validity::Gone && trust == Trust::Known {
            world.nodes[asked.node].memory[key] = None;
        }
        world.answer(asked, &entry, Source::Memory, worth)
    }

    fn by_redis(&self, asked: Asked, found: Option<Entry>, trust: Trust) -> bool {
        let Some(entry) = found else { return false };
        let world = &mut *self.world();
        let worth = world.worth(asked.node, &entry, trust);
        if worth == Validity::Fresh {
            world.nodes[asked.node].memory[entry.key] = Some(entry);
        }
        world.answer(asked, &entry, Source::Redis, worth)
    }

    /// What the journal and the shared tier say, in any order.
    async fn look_up(&self, asked: &mut Asked, key: usize, ask: bool) -> (Trust, Option<Entry>) {
        let first = self.world().random.chance(50);
        let mut trust = Trust::Known;
        if ask && first {
            trust = self.ask(asked).await;
        }
        let found = self.get(asked, key).await;
        if ask && !first {
            trust = self.ask(asked).await;
        }
        (trust, found)
    }

    async fn get(&self, asked: &Asked, key: usize) -> Option<Entry> {
        step().await;
        let found = {
            let world = &mut *self.world();
            let own = &world.nodes[asked.node];
            if own.start != asked.start || own.cut || !own.state.is_ready() {
                return None;
            }
            match &world.shard {
                Some(shard) => shard.get(key),
                None if world.is_reached(asked.node) => world.journal.get(key),
                None => None,
            }
        };
        step().await;
        let cut = self.world().nodes[asked.node].cut;
        // What another process filled tells nothing of this one.
        found.filter(|_| !cut).map(|mut entry| {
            entry.stamp.local = Default::default();
            entry
        })
    }

    async fn ask(&self, asked: &mut Asked) -> Trust {
        let earlier = *self.world().nodes[asked.node].last_asked.borrow();
        let earlier = earlier.filter(|(at, _)| at.abs_diff(asked.begun) < 15);
        let known = match earlier {
            Some((_, known)) if !self.world().rules.keep(Rule::StrictAfter) => Ok(known),
            _ => self.is_current(asked).await,
        };
        let world = self.world();
        if let Ok(known) = known {
            *world.nodes[asked.node].last_asked.borrow_mut() = Some((asked.begun, known));
        }
        match known {
            Ok(true) => Trust::Known,
            Ok(false) => Trust::Nothing,
            Err(Unreached) => {
                asked.reached = false;
                if asked.strict { Trust::Nothing } else { Trust::Grace }
            }
        }
    }

    /// Whether all is known that the journal held when this was asked. `Err`: it can't be told.
    async fn is_current(&self, asked: &Asked) -> Result<bool, Unreached> {
        let rules = self.world().rules;
        let look = {
            let world = self.world();
            let state = &world.nodes[asked.node].state;
            if !state.is_ready() {
                return Err(Unreached);
            }
            state.look()
        };
        let head = self.on_lane(asked.node, asked.start, |journal| journal.head()).await?;
        {
            let world = self.world();
            let state = &world.nodes[asked.node].state;
            if state.is_current(look, head) {
                return Ok(true);
            }
        }
        let inclusive = rules.keep(Rule::StrictInclusive) && rules.keep(Rule::Regress);
        let size = self.world().page;
        loop {
            let mark = {
                let state = &self.world().nodes[asked.node].state;
                state.mark().filter(|_| state.is_ready())
            };
            let Some(mark) = mark else { return Ok(false) };
            let records =
                self.on_lane(asked.node, asked.start, |journal| journal.range(mark.id, size)).await?;
            let own = &mut self.world().nodes[asked.node];
            if own.follow(mark, &records, inclusive).is_err() || own.state.is_exhausted() {
                own.doubt();
                return Ok(false);
            }
            if records.len() < size {
                return Ok(true);
            }
        }
    }

    async fn by_fill(&self, asked: Asked, key: usize, found: Option<Entry>, trust: Trust) {
        let (flight, is_own, epoch) = {
            let world = &mut *self.world();
            let follower = world.rules.keep(Rule::Follower);
            let now = world.now;
            let revalidates = world.random.chance(60);
            let own = &mut world.nodes[asked.node];
            let worth = |flight: &Flight| own.state.validity(&flight.stamp, TAGS[key]);
            let current = own.flights[key].clone();
            let current = current.filter(|flight| !follower || worth(flight) == Validity::Fresh);
            let epoch = own.state.epoch();
            if let Some(flight) = current {
                (flight, false, epoch)
            } else {
                let base = own.memory[key].or(found).filter(|_| revalidates);
                let base = base.filter(|base| own.worth(base) != Validity::Gone);
                let stamp = own.state.stamp(now + 1);
                let (done, entry) = (Cell::new(false), Cell::new(None));
                let flight = Rc::new(Flight { stamp, begun: now, done, entry, base });
                own.flights[key] = Some(Rc::clone(&flight));
                let fill = self.clone().fill(asked.node, key, asked.start, Rc::clone(&flight));
                world.begun.push(Box::pin(fill));
                world.log(|| format!("node {} begins a fill, {stamp:?}", asked.node));
                (flight, true, epoch)
            }
        };
        while !flight.done.get() {
            step().await;
        }
        let world = &mut *self.world();
        let Some(entry) = flight.entry.get().filter(|_| world.nodes[asked.node].start == asked.start) else {
            return;
        };
        if is_own {
            return world.respond(Asked { was_lost: false, ..asked }, &entry, Source::Fill, true);
        }
        let follower = world.rules.keep(Rule::Follower);
        let own = &world.nodes[asked.node];
        let is_later = flight.begun >= asked.begun || !follower;
        let in_touch =
            !own.is_lost(world.now, world.rules) || own.is_in_grace(&entry, world.now, world.rules);
        let untouched = own.state.epoch() == entry.stamp.epoch && own.worth(&entry) == Validity::Fresh;
        let vouched = !asked.strict || epoch == own.state.epoch() && trust == Trust::Known;
        if is_later || in_touch && untouched && vouched {
            let was_lost = asked.was_lost && !follower;
            world.respond(Asked { was_lost, ..asked }, &entry, Source::Flight, true);
        }
    }
}

impl World {
    /// What an entry is worth to a request.
    fn worth(&self, node: usize, entry: &Entry, trust: Trust) -> Validity {
        let own = &self.nodes[node];
        match trust {
            Trust::Known => own.worth(entry),
            Trust::Grace if own.is_in_grace(entry, self.now, self.rules) => own.worth(entry),
            Trust::Grace | Trust::Nothing => Validity::Gone,
        }
    }

    /// Answers if the entry may. One that is only stale answers now and then, in place of an error.
    fn answer(&mut self, asked: Asked, entry: &Entry, source: Source, worth: Validity) -> bool {
        let fresh = worth == Validity::Fresh;
        if worth == Validity::Gone || !fresh && !self.random.chance(30) {
            return false;
        }
        self.respond(asked, entry, source, fresh);
        true
    }
}
