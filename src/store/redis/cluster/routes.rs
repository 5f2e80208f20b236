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
