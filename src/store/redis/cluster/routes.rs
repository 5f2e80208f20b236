//! The nodes, and which of them has a slot.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::watch;

use super::health::Health;
use super::slots::{Range, SLOTS};
use crate::store::redis::lanes::Lanes;
use crate::store::redis::settings::Address;

/// Nodes at most, as many as a Cluster is meant to have. Slots of further ones are slots without a node.
pub(super) const MAX_NODES: usize = 1000;

/// The owner of a slot that has none.
const NOBODY: u16 = u16::MAX;

/// A node that has slots, or is getting some.
pub(super) struct Node {
    pub(super) address: Address,
    pub(super) lanes: Arc<Lanes>,
    pub(super) health: Health,
    /// Whether something was sent to it that the map knew nothing of, since the map was last read.
    pub(super) redirected_to: AtomicBool,
    /// The keepers of its lanes end when this is dropped.
    pub(super) _open: watch::Sender<()>,
}

impl Node {
    /// Whether it has a lane, and its last lookup didn't fail.
    pub(super) fn is_well(&self) -> bool {
        self.health.is_well() && self.lanes.up().is_some()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Which node has a slot.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// For each slot a place in `nodes`, or [`NOBODY`]. Empty until a map was read.
    owners: Vec<u16>,
    nodes: Vec<Arc<Node>>,
}

impl Routes {
    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        let owner = *self.owners.get(usize::from(slot))?;
        self.nodes.get(usize::from(owner))
    }

    pub(super) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// Whether a map was read.
    pub(super) fn are_known(&self) -> bool {
        !self.owners.is_empty()
    }

    /// Takes over a map: known nodes keep their lanes, new ones are made, and those that have no slot any more are let
    /// go, but for those that slots are being moved to.
    pub(super) fn take_over(&mut self, map: &[Range], make: impl Fn(&Address) -> Option<Arc<Node>>) {
        let mut old: HashMap<Address, Arc<Node>> =
            self.nodes.drain(..).map(|node| (node.address.clone(), node)).collect();
        self.owners = vec![NOBODY; usize::from(SLOTS)];
        let mut places: HashMap<&Address, u16> = HashMap::new();
        for Range { first, last, master } in map {
            let place = match places.get(master) {
                Some(place) => *place,
                None => {
                    let node =
                        old.remove(master).or_else(|| if self.has_room() { make(master) } else { None });
                    let Some(place) = node.and_then(|node| self.add(node)) else { continue };
                    places.insert(master, place);
                    place
                }
            };
            if let Some(slots) = self.owners.get_mut(usize::from(*first)..=usize::from(*last)) {
                slots.fill(place);
            }
        }
        for node in old.into_values() {
            if node.redirected_to.swap(false, Relaxed) {
                self.add(node);
            }
        }
    }

    /// The node at `address`, made if it is new; `None` if there is no room for it.
    pub(super) fn node(
        &mut self,
        address: &Address,
        make: impl Fn(&Address) -> Option<Arc<Node>>,
    ) -> Option<(u16, Arc<Node>)> {
        let place = self.nodes.iter().position(|node| node.address == *address);
        let place = match place {
            Some(place) => u16::try_from(place).ok()?,
            None if self.has_room() => self.add(make(address)?)?,
            None => return None,
        };
        Some((place, Arc::clone(self.nodes.get(usize::from(place))?)))
    }

    /// Gives a slot to the node at `place`.
    pub(super) fn give(&mut self, slot: u16, place: u16) {
        if let Some(owner) = self.owners.get_mut(usize::from(slot)) {
            *owner = place;
        }
    }

    fn has_room(&self) -> bool {
        self.nodes.len() < MAX_NODES
    }

    fn add(&mut self, node: Arc<Node>) -> Option<u16> {
        let place = u16::try_from(self.nodes.len()).ok().filter(|_| self.has_room())?;
        self.nodes.push(node);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RedisConfig;
    use crate::store::redis::settings::Settings;

    fn address(number: usize) -> Address {
        Address { host: "h".into(), port: u16::try_from(number).unwrap() + 1 }
    }

    fn range(first: u16, last: u16, number: usize) -> Range {
        Range { first, last, master: address(number) }
    }

    fn make(address: &Address) -> Option<Arc<Node>> {
        let (settings, _) = Settings::new(&RedisConfig::default()).unwrap();
        let (open, closed) = watch::channel(());
        Some(Arc::new(Node {
            address: address.clone(),
            lanes: Arc::new(Lanes::new(&settings.at(address), closed).unwrap()),
            health: Health::default(),
            redirected_to: AtomicBool::new(false),
            _open: open,
        }))
    }

    fn owners(routes: &Routes, slots: &[u16]) -> Vec<Option<u16>> {
        slots.iter().map(|slot| Some(routes.owner(*slot)?.address.port - 1)).collect()
    }

    #[test]
    fn a_new_map_keeps_the_nodes_that_are_in_it_and_lets_the_others_go() {
        let mut routes = Routes::default();
        assert!(!routes.are_known() && routes.owner(0).is_none());
        routes.take_over(&[range(0, 99, 0), range(200, 16383, 1)], make);
        assert_eq!(
            owners(&routes, &[0, 99, 100, 199, 200, 16383]),
            [Some(0), Some(0), None, None, Some(1), Some(1)]
        );
        assert!(routes.are_known() && routes.owner(16384).is_none());
        let (kept, gone) = (Arc::clone(&routes.nodes()[0]), Arc::downgrade(&routes.nodes()[1]));
        routes.take_over(&[range(0, 9, 2), range(10, 16383, 0)], make);
        assert_eq!(owners(&routes, &[0, 9, 10, 16383]), [Some(2), Some(2), Some(0), Some(0)]);
        assert!(Arc::ptr_eq(routes.owner(10).unwrap(), &kept) && gone.upgrade().is_none());
    }

    #[test]
    fn who_gets_slots_stays_as_long_as_something_is_sent_there() {
        let mut routes = Routes::default();
        routes.take_over(&[range(0, 16383, 0)], make);
        let (place, node) = routes.node(&address(1), make).unwrap();
        routes.give(7, place);
        assert_eq!(owners(&routes, &[6, 7, 8]), [Some(0), Some(1), Some(0)]);
        node.redirected_to.store(true, Relaxed);
        routes.take_over(&[range(0, 16383, 0)], make);
        let again = routes.node(&address(1), |_| unreachable!("it is known")).unwrap().1;
        assert!(Arc::ptr_eq(&again, &node));
        routes.take_over(&[range(0, 16383, 0)], make);
        assert_eq!(routes.nodes().len(), 1);
    }

    #[test]
    fn nodes_beyond_the_bound_have_no_slots() {
        let mut routes = Routes::default();
        let map: Vec<_> = (0..MAX_NODES + 5).map(|n| range(n as u16, n as u16, n)).collect();
        routes.take_over(&map, make);
        assert_eq!(routes.nodes().len(), MAX_NODES);
        assert!(routes.owner(MAX_NODES as u16).is_none() && routes.owner(MAX_NODES as u16 - 1).is_some());
        assert!(routes.node(&address(MAX_NODES + 9), make).is_none());
        assert!(routes.node(&address(0), make).is_some());
    }
}
