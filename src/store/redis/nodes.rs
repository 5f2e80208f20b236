//! The servers, and which of them has a key: one server, found by its address or by sentinels, or the nodes of a Cluster.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{Cmd, ConnectionInfo, Pipeline, Value};
use tokio::sync::watch;

use super::cluster::Cluster;
use super::lane::{Lane, accepted};
use super::lanes::Lanes;
use super::probe::{Question, probe};
use super::sentinel::{Sentinels, is_replicas};
use super::settings::{Address, Settings, at};
use crate::error::ConfigError;
use crate::store::{PoolStatus, StoreError};

/// All servers of a store. Clones share them.
#[derive(Clone)]
pub(super) enum Nodes {
    One { lanes: Arc<Lanes>, settings: Arc<Settings> },
    Cluster(Arc<Cluster>),
}

/// What a lane is wanted for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// What a request waits for: it doesn't wait for a lane.
    Read,
    /// A write of so many bytes.
    Write(usize),
}

impl Role {
    async fn lane(self, lanes: &Arc<Lanes>) -> Result<Arc<Lane>, StoreError> {
        match self {
            Self::Read => lanes.read().ok_or(StoreError::Unavailable),
            Self::Write(size) => lanes.write(size).await,
        }
    }

    /// The replies to commands over one of `lanes`, refusals among them.
    pub(super) async fn run(self, lanes: &Arc<Lanes>, commands: &Pipeline) -> Result<Vec<Value>, StoreError> {
        self.lane(lanes).await?.run_all(commands).await
    }
}

impl Nodes {
    /// Servers that are connected to on demand; `seeds` if they are a Cluster. `closed` changes when the store is dropped.
    pub(super) fn new(
        settings: Settings,
        seeds: Option<Vec<Address>>,
        lookup_timeout: Duration,
        closed: watch::Receiver<()>,
    ) -> Result<Self, ConfigError> {
        if settings.max_lanes == 1 {
            tracing::warn!("one Redis connection: reads wait behind writes; allow at least 3");
        }
        Ok(match seeds {
            Some(seeds) => Self::Cluster(Arc::new(Cluster::new(settings, seeds, lookup_timeout, closed))),
            None => {
                Self::One { lanes: Arc::new(Lanes::new(&settings, closed)?), settings: Arc::new(settings) }
            }
        })
    }

    /// The reply to a lookup of the key `name`; after a broken connection it is sent once more, on another lane.
    pub(super) async fn look_up(&self, name: &str, command: &Cmd) -> Result<Value, StoreError> {
        match self {
            Self::One { lanes, .. } => {
                let reply = look_up(lanes, command).await?;
                judge(lanes, &reply);
                accepted(reply)
            }
            Self::Cluster(cluster) => cluster.look_up(name, command).await,
        }
    }

    /// The replies to commands for the key `name` and those of its slot, refusals among them.
    pub(super) async fn run(
        &self,
        name: &str,
        commands: &Pipeline,
        role: Role,
    ) -> Result<Vec<Value>, StoreError> {
        match self {
            Self::One { lanes, .. } => {
                let replies = role.run(lanes, commands).await?;
                replies.iter().for_each(|reply| judge(lanes, reply));
                Ok(replies)
            }
            Self::Cluster(cluster) => cluster.run(name, commands, role).await,
        }
    }

    /// The lanes to the server that has the key `name` now.
    pub(super) fn lanes_of(&self, name: &str) -> Result<Arc<Lanes>, StoreError> {
        match self {
            Self::One { lanes, .. } => Ok(Arc::clone(lanes)),
            Self::Cluster(cluster) => cluster.lanes_of(name),
        }
    }

    /// Something failed that may point to another server than was asked.
    pub(super) fn doubt(&self) {
        if let Self::Cluster(cluster) = self {
            cluster.read_map();
        }
    }

    /// From now on only lanes to this server may be used; `None`: any. In a Cluster that isn't for the nodes to say.
    pub(super) fn trust(&self, server: Option<&str>) {
        if let Self::One { lanes, .. } = self {
            lanes.trust(server);
        }
    }

    /// Changes when a lane leads to a server that isn't the trusted one; not in a Cluster.
    pub(super) fn strangers(&self) -> Option<watch::Receiver<u64>> {
        match self {
            Self::One { lanes, .. } => Some(lanes.strangers()),
            Self::Cluster(_) => None,
        }
    }

    /// Who tells which server is the master, if that is for others to tell.
    pub(super) fn sentinels(&self) -> Option<Arc<Sentinels>> {
        match self {
            Self::One { settings, .. } => settings.sentinels.clone(),
            Self::Cluster(_) => None,
        }
    }

    /// Changes when the store is suspended or is so no more.
    pub(super) fn suspension(&self) -> watch::Receiver<bool> {
        match self {
            Self::One { lanes, .. } => lanes.suspension(),
            Self::Cluster(cluster) => cluster.suspension(),
        }
    }

    /// Where the server is that has the key `name` now, and who we are to it: for a connection of one's own.
    pub(super) async fn server_of(&self, name: &str) -> Result<ConnectionInfo, StoreError> {
        match self {
            Self::One { settings, .. } => match &settings.sentinels {
                None => Ok(settings.server.clone()),
                Some(sentinels) => Ok(at(&settings.server, &sentinels.master().await?)),
            },
            Self::Cluster(cluster) => cluster.server_of(name),
        }
    }

    /// Resolves when a server is connected to.
    pub(super) async fn ready(&self) {
        match self {
            Self::One { lanes, .. } => lanes.ready().await,
            Self::Cluster(cluster) => cluster.ready().await,
        }
    }

    /// A sign of life by an answer to `command`, a read, within `limit`. The caller bounds the whole.
    pub(super) async fn probe(&self, command: &Cmd, limit: Duration) -> Result<(), StoreError> {
        match self {
            Self::One { lanes, .. } => probe(lanes, Question { command, limit, redirects: false }).await,
            Self::Cluster(cluster) => cluster.probe(command, limit).await,
        }
    }

    /// While suspended nothing is sent but probes.
    pub(super) fn suspend(&self, suspended: bool) {
        match self {
            Self::One { lanes, .. } => lanes.suspend(suspended),
            Self::Cluster(cluster) => cluster.suspend(suspended),
        }
    }

    pub(super) fn is_suspended(&self) -> bool {
        match self {
            Self::One { lanes, .. } => lanes.is_suspended(),
            Self::Cluster(cluster) => cluster.is_suspended(),
        }
    }

    /// The replies of each server that gives any, trusted or not; of none, why.
    pub(super) async fn ask_all(&self, questions: &Pipeline) -> Result<Vec<Vec<Value>>, StoreError> {
        match self {
            Self::One { lanes, .. } => {
                Ok(vec![lanes.up().ok_or(StoreError::Unavailable)?.run_all(questions).await?])
            }
            Self::Cluster(cluster) => {
                let answers = cluster.ask_all(questions).await;
                if answers.is_empty() { Err(StoreError::Unavailable) } else { Ok(answers) }
            }
        }
    }

    /// Counts from the lanes.
    pub(super) fn pool(&self) -> PoolStatus {
        match self {
            Self::One { lanes, .. } => lanes.status(),
            Self::Cluster(cluster) => cluster.pool(),
        }
    }

    /// Why there is no connection, if so.
    pub(super) fn last_error(&self) -> Option<String> {
        match self {
            Self::One { lanes, .. } => lanes.last_error(),
            Self::Cluster(cluster) => cluster.last_error(),
        }
    }

    /// Whether what failed is a part of the whole, and another answers.
    pub(super) fn answers_in_part(&self) -> bool {
        match self {
            Self::One { .. } => false,
            Self::Cluster(cluster) => cluster.answers_in_part(),
        }
    }
}

/// Sends a lookup; after a broken connection once more, on another lane. A refusal is a [`Value::ServerError`].
pub(super) async fn look_up(lanes: &Arc<Lanes>, command: &Cmd) -> Result<Value, StoreError> {
    let lane = lanes.read().ok_or(StoreError::Unavailable)?;
    match lane.ask(command).await {
        Err(broken @ StoreError::Connection(_)) => match lanes.read() {
            Some(other) => other.ask(command).await,
            None => Err(broken),
        },
        done => done,
    }
}

/// Gives up lanes to a replica, if sentinels know where its master is.
fn judge(lanes: &Lanes, reply: &Value) {
    if is_replicas(reply) && lanes.sentinels().is_some() {
        lanes.give_up();
    }
}
