//! A Cluster: each key has its slot, each slot its node, and each node lanes of its own.
//!
//! Why not redis-rs's own client for a Cluster: its connections hide their state, their retries and their time-outs, and
//! what a request waits for must be known here. So what is one server elsewhere is a node here, and all that is added is
//! the choice of it.
//!
//! ```text
//! slots      key -> slot, the map of slots, redirects
//! routes     slot -> node
//! discovery  reads the map anew, in the background, when something points to that
//! health     what is known of a node by how its lookups end
//! whole      what concerns all nodes: readiness, probes, figures
//! ```
//!
//! A node that is down costs its own slots: what is asked of it fails at once, and doesn't count as a failure of the
//! whole for as long as another node answers.

mod discovery;
mod health;
mod routes;
mod slots;
mod whole;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use deadpool_redis::redis::{Cmd, ConnectionInfo, Pipeline, Value};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use self::health::{Health, Sent};
use self::routes::{Node, Routes};
use self::slots::{Redirect, slot};
use super::lane::accepted;
use super::lanes::Lanes;
use super::nodes::{self, Role};
use super::settings::{Address, Settings, at};
use super::trouble::Trouble;
use crate::store::StoreError;

/// Redirects of a command that are followed: a map that is out of date, and a slot that is being moved from there.
const REDIRECTS: usize = 2;

/// The nodes of a Cluster.
pub(super) struct Cluster {
    settings: Settings,
    /// The nodes that the configuration names.
    seeds: Vec<Address>,
    /// What a lookup may take before its silence is held against the node.
    patience: Duration,
    routes: RwLock<Routes>,
    turn: AtomicUsize,
    /// Why the map can't be read, if so.
    trouble: Trouble,
    /// Whether there is a task that reads the map.
    reading: AtomicBool,
    /// When the map was last asked for.
    asked: Mutex<Option<Instant>>,
    /// The map was read, or couldn't be.
    changed: Notify,
    suspended: watch::Sender<bool>,
    closed: watch::Receiver<()>,
}

impl Cluster {
    /// A Cluster whose map is read when it is first needed. `closed` changes when the store is dropped.
    pub(super) fn new(
        settings: Settings,
        seeds: Vec<Address>,
        lookup_timeout: Duration,
        closed: watch::Receiver<()>,
    ) -> Self {
        Self {
            settings,
            seeds,
            patience: lookup_timeout / 2,
            routes: RwLock::default(),
            turn: AtomicUsize::new(0),
            trouble: Trouble::default(),
            reading: AtomicBool::new(false),
            asked: Mutex::new(None),
            changed: Notify::new(),
            suspended: watch::Sender::new(false),
            closed,
        }
    }

    /// The reply to a lookup of the key `name`.
    pub(super) async fn look_up(self: &Arc<Self>, name: &str, command: &Cmd) -> Result<Value, StoreError> {
        let node = self.owner(slot(name.as_bytes()))?;
        let sent = self.send(&node)?;
        let reply = nodes::look_up(&node.lanes, command).await;
        sent.ended(reply.as_ref().is_ok_and(is_of_use));
        let reply = reply?;
        if Redirect::of(&reply, &node.address).is_none() {
            return accepted(reply);
        }
        let replies = self.follow(&node, &[command], vec![reply], Role::Read).await?;
        accepted(replies.into_iter().next().unwrap_or_default())
    }

    /// The replies to commands for keys of the slot of `name`, over a lane that `role` tells.
    pub(super) async fn run(
        self: &Arc<Self>,
        name: &str,
        commands: &Pipeline,
        role: Role,
    ) -> Result<Vec<Value>, StoreError> {
        let slot = slot(name.as_bytes());
        let (node, replies);
        match role {
            Role::Read => {
                node = self.owner(slot)?;
                let sent = self.send(&node)?;
                let outcome = role.run(&node.lanes, commands).await;
                sent.ended(outcome.as_ref().is_ok_and(|replies| replies.iter().all(is_of_use)));
                replies = outcome?;
            }
            Role::Write(_) => {
                node = self.owner_in_time(slot).await?;
                replies = role.run(&node.lanes, commands).await.inspect_err(|_| self.read_map())?;
            }
        }
        let commands: Vec<&Cmd> = commands.cmd_iter().collect();
        self.follow(&node, &commands, replies, role).await
    }

    /// The lanes to the node that has the slot of `name`.
    pub(super) fn lanes_of(self: &Arc<Self>, name: &str) -> Result<Arc<Lanes>, StoreError> {
        Ok(Arc::clone(&self.owner(slot(name.as_bytes()))?.lanes))
    }

    /// Changes when the store is suspended or is so no more.
    pub(super) fn suspension(&self) -> watch::Receiver<bool> {
        self.suspended.subscribe()
    }

    /// Where the node is that has the slot of `name`, and who we are to it.
    pub(super) fn server_of(self: &Arc<Self>, name: &str) -> Result<ConnectionInfo, StoreError> {
        Ok(at(&self.settings.server, &self.owner(slot(name.as_bytes()))?.address))
    }

    /// The master of a slot.
    fn owner(self: &Arc<Self>, slot: u16) -> Result<Arc<Node>, StoreError> {
        let owner = self.routes().owner(slot).cloned();
        owner.ok_or_else(|| {
            self.read_map();
            StoreError::Unavailable
        })
    }

    /// The same. It waits for the first map, but not for one that can't be had.
    async fn owner_in_time(self: &Arc<Self>, slot: u16) -> Result<Arc<Node>, StoreError> {
        // Once and not in the loop: a closing runtime drops the task at once, which wakes this very call.
        let mut owner = self.owner(slot);
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(node) = self.routes().owner(slot) {
                return Ok(Arc::clone(node));
            }
            if self.routes().are_known() || self.trouble.text().is_some() || !self.is_reading() {
                return owner;
            }
            changed.await;
            owner = Err(StoreError::Unavailable);
        }
    }

    /// Leave to send a lookup to a node. One that failed the last may have been replaced.
    fn send<'a>(self: &Arc<Self>, node: &'a Node) -> Result<Sent<'a>, StoreError> {
        if !node.health.is_well() {
            self.read_map();
        }
        node.health.send(self.patience).ok_or(StoreError::Unavailable)
    }

    /// Sends those of `commands` that were redirected to where they were sent, in one write, and puts the replies in
    /// place. What is redirected once too often stays so.
    async fn follow(
        self: &Arc<Self>,
        asked: &Node,
        commands: &[&Cmd],
        mut replies: Vec<Value>,
        role: Role,
    ) -> Result<Vec<Value>, StoreError> {
        let mut asked = asked.address.clone();
        for _ in 0..REDIRECTS {
            let redirects: Vec<_> = replies.iter().map(|reply| Redirect::of(reply, &asked)).collect();
            let Some(redirect) = redirects.iter().flatten().next() else { break };
            let node = self.redirected(redirect).ok_or(StoreError::Unavailable)?;
            let (mut again, mut places) = (Pipeline::new(), Vec::new());
            for (command, place) in commands.iter().zip(0..) {
                if redirects.get(place).is_some_and(|other| other.as_ref() == Some(redirect)) {
                    if redirect.asking {
                        again.cmd("ASKING");
                    }
                    again.add_command((*command).clone());
                    places.push(place);
                }
            }
            let answers = role.run(&node.lanes, &again).await.inspect_err(|_| self.read_map())?;
            let (first, step) = if redirect.asking { (1, 2) } else { (0, 1) };
            for (place, answer) in places.into_iter().zip(answers.into_iter().skip(first).step_by(step)) {
                if let Some(reply) = replies.get_mut(place) {
                    *reply = answer;
                }
            }
            asked = node.address.clone();
        }
        if replies.iter().any(is_of_another_map) {
            self.read_map();
        }
        Ok(replies)
    }

    /// The node that a redirect names. If the slot is its own now, the map is read anew in the background, and until then
    /// at least this slot is right.
    fn redirected(self: &Arc<Self>, redirect: &Redirect) -> Option<Arc<Node>> {
        let node = {
            let mut routes = self.routes_mut();
            let (place, node) = routes.node(&redirect.to, |address| self.node(address))?;
            if !redirect.asking {
                routes.give(redirect.slot, place);
            }
            node
        };
        node.redirected_to.store(true, Relaxed);
        if !redirect.asking {
            self.read_map();
        }
        Some(node)
    }

    /// A node of which nothing is known. Nothing is sent to it yet.
    // NOTE: called with the routes locked, so that a suspension can't miss it.
    fn node(&self, address: &Address) -> Option<Arc<Node>> {
        let (open, closed) = watch::channel(());
        let lanes = Arc::new(Lanes::new(&self.settings.at(address), closed).ok()?);
        if *self.suspended.borrow() {
            lanes.suspend(true);
        }
        Some(Arc::new(Node {
            address: address.clone(),
            lanes,
            health: Health::default(),
            redirected_to: AtomicBool::new(false),
            _open: open,
        }))
    }

    fn routes(&self) -> RwLockReadGuard<'_, Routes> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn routes_mut(&self) -> RwLockWriteGuard<'_, Routes> {
        self.routes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a node answered what it was asked, or told who would.
fn is_of_use(reply: &Value) -> bool {
    match reply {
        Value::ServerError(error) => matches!(error.code(), "MOVED" | "ASK"),
        _ => true,
    }
}

/// Whether a reply is of a node whose part in the Cluster isn't what it was, or that has lost its view of it.
fn is_of_another_map(reply: &Value) -> bool {
    const CODES: [&str; 4] = ["CLUSTERDOWN", "TRYAGAIN", "READONLY", "MASTERDOWN"];
    matches!(reply, Value::ServerError(error) if CODES.contains(&error.code()))
}
