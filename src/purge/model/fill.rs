//! A fill, from its stamp to the shared tier.

use std::rc::Rc;

use super::Rule;
use super::node::{Entry, Flight};
use super::world::{Sim, step};
use crate::purge::state::Validity;

impl Sim {
    pub(super) async fn fill(self, node: usize, key: usize, start: u64, flight: Rc<Flight>) {
        let rules = self.world().rules;
        step().await;
        let version = self.world().versions[key];
        let base = flight.base.filter(|base| base.version == version);
        step().await;
        let entry = {
            let world = &mut *self.world();
            let now = world.now;
            let own = &mut world.nodes[node];
            if own.start != start {
                return flight.done.set(true);
            }
            let late =
                !rules.keep(Rule::StampAtStart) || base.is_some() && !rules.keep(Rule::RevalidationStamp);
            let stamp = if late { own.state.stamp(now + 1) } else { flight.stamp };
            let entry = Entry { key, version, stamp, begun: flight.begun };
            flight.entry.set(Some(entry));
            flight.done.set(true);
            if own.flights[key].as_ref().is_some_and(|current| Rc::ptr_eq(current, &flight)) {
                own.flights[key] = None;
            }
            if own.worth(&entry) == Validity::Gone && rules.keep(Rule::CheckBeforeStore) {
                return world.count("overtaken");
            }
            own.memory[key] = Some(entry);
            let is_shared = own.state.is_ready() && own.state.epoch() == stamp.epoch;
            world.store(node, &entry);
            if !is_shared {
                return world.count("stays in memory");
            }
            entry
        };
        let queued = self.world().random.pick(&[1, 1, 2, 4]);
        for _ in 0..queued {
            step().await;
        }
        let world = &mut *self.world();
        if world.nodes[node].start != start || world.nodes[node].cut {
            return;
        }
        let is_reached = world.is_reached(node);
        match &mut world.shard {
            Some(shard) => shard.set(key, entry),
            None if is_reached => world.journal.set(key, entry),
            None => return,
        }
        world.log(|| format!("node {node} has written {entry:?}"));
    }
}
