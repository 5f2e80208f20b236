//! What concerns all nodes of a Cluster: readiness, probes, suspension and figures.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use deadpool_redis::redis::{Cmd, Pipeline, Value};
use futures_util::StreamExt as _;
use futures_util::future::{Either, join_all, select, select_all};
use futures_util::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

use super::Cluster;
use super::routes::Node;
use crate::store::redis::probe::{Question, probe};
use crate::store::{PoolStatus, StoreError};

/// Nodes that a probe asks at once.
const PROBED: usize = 8;

/// Time for a node's figures: one that is silent shall not take those of the others with it.
const FIGURES: Duration = Duration::from_millis(150);

/// How long [`Cluster::ready`] waits before it has the map read anew, after that ended without a word.
const AGAIN: Duration = Duration::from_secs(1);

impl Cluster {
    /// Resolves when each node was connected to or couldn't be, and at least one was.
    pub(in crate::store::redis) async fn ready(self: &Arc<Self>) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let nodes = self.nodes();
            if nodes.is_empty() {
                self.read_map();
                if self.is_reading() {
                    changed.await;
                } else {
                    sleep(AGAIN).await;
                }
                continue;
            }
            let tried = join_all(nodes.iter().map(|node| node.lanes.tried())).await;
            if tried.contains(&true) {
                return;
            }
            let any = select_all(nodes.iter().map(|node| Box::pin(node.lanes.ready())));
            self.read_map();
            if let Either::Left(_) = select(any, changed).await {
                return;
            }
        }
    }

    /// A sign of life: a map, and then an answer to `command`, a read, by one of its nodes.
    pub(in crate::store::redis) async fn probe(
        &self,
        command: &Cmd,
        limit: Duration,
    ) -> Result<(), StoreError> {
        self.discover().await?;
        let nodes = self.some_nodes();
        let question = Question { command, limit, redirects: true };
        let mut probes: FuturesUnordered<_> =
            nodes.iter().take(PROBED).map(|node| probe(&node.lanes, question)).collect();
        let mut problem = StoreError::Unavailable;
        while let Some(outcome) = probes.next().await {
            match outcome {
                Ok(()) => return Ok(()),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    /// While suspended nothing is sent but probes.
    pub(in crate::store::redis) fn suspend(self: &Arc<Self>, suspended: bool) {
        // NOTE: the word before the nodes: one that is made meanwhile hears it.
        self.suspended.send_replace(suspended);
        for node in self.nodes() {
            node.lanes.suspend(suspended);
        }
    }

    pub(in crate::store::redis) fn is_suspended(&self) -> bool {
        *self.suspended.borrow()
    }

    /// The replies of each node that gives any in time.
    pub(in crate::store::redis) async fn ask_all(&self, questions: &Pipeline) -> Vec<Vec<Value>> {
        let nodes = self.nodes();
        let ask = |node: &Arc<Node>| {
            let lane = node.lanes.read();
            async move { timeout(FIGURES, lane?.run_all(questions)).await.ok()?.ok() }
        };
        join_all(nodes.iter().map(ask)).await.into_iter().flatten().collect()
    }

    /// The sums over all nodes. While none is known, of one that is to come.
    pub(in crate::store::redis) fn pool(&self) -> PoolStatus {
        let mut sum = PoolStatus::default();
        for node in self.nodes() {
            let status = node.lanes.status();
            sum.max_connections += status.max_connections;
            sum.connections_created += status.connections_created;
            sum.available_connections += status.available_connections;
            sum.in_use_connections += status.in_use_connections;
        }
        sum.max_connections = sum.max_connections.max(self.settings.max_lanes);
        sum
    }

    /// Whether a node answers, whatever another does.
    pub(in crate::store::redis) fn answers_in_part(&self) -> bool {
        self.routes().nodes().iter().any(|node| node.is_well())
    }

    /// Why no node answers, if so.
    pub(in crate::store::redis) fn last_error(&self) -> Option<String> {
        if self.answers_in_part() {
            return None;
        }
        let nodes = self.nodes();
        nodes.iter().find_map(|node| node.lanes.last_error()).or_else(|| self.trouble.text())
    }

    fn nodes(&self) -> Vec<Arc<Node>> {
        self.routes().nodes().to_vec()
    }

    /// All nodes, beginning with another one each time.
    pub(super) fn some_nodes(&self) -> Vec<Arc<Node>> {
        let mut nodes = self.nodes();
        let turn = self.turn.fetch_add(1, Relaxed) % nodes.len().max(1);
        nodes.rotate_left(turn);
        nodes
    }
}
