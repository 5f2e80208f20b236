//! Reading the map of slots, in the background: one task at a time, one question a second.
//!
//! What asks for it is a request that found the map wanting: a redirect, a node that failed a lookup, a slot that nobody
//! has. Without traffic nothing is sent.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use deadpool::managed::Manager as _;
use deadpool_redis::redis::{Cmd, Value};
use futures_util::StreamExt as _;
use futures_util::future::select;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Cluster;
use super::slots::{Range, ranges};
use crate::store::StoreError;
use crate::store::redis::failure;
use crate::store::redis::keeper::{Backoff, PATIENCE};
use crate::store::redis::lane::Lane;
use crate::store::redis::manager::Manager;
use crate::store::redis::settings::Address;

/// The least time from one question to the next.
const GAP: Duration = Duration::from_secs(1);

/// Nodes that are asked at once over a lane that they have.
const LANES: usize = 3;

/// Nodes that are asked at once over a connection for this alone, when no lane gave an answer.
const CONNECTS: usize = 8;

/// Commands that wait inside redis-rs: there is one.
const BUFFER: usize = 1;

impl Cluster {
    /// Has the map read in the background, unless that is under way or the store is suspended. Outside a runtime nothing
    /// happens.
    pub(in crate::store::redis) fn read_map(self: &Arc<Self>) {
        if self.is_reading() || *self.suspended.borrow() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if self.reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let reader = Reader(Arc::clone(self));
        runtime.spawn(async move {
            let (mut closed, mut suspension) = (reader.0.closed.clone(), reader.0.suspended.subscribe());
            let store_dropped = std::pin::pin!(closed.changed());
            let suspended = std::pin::pin!(suspension.wait_for(|suspended| *suspended));
            select(std::pin::pin!(reader.work()), select(store_dropped, suspended)).await;
        });
    }

    /// Whether there is a task that reads the map.
    pub(super) fn is_reading(&self) -> bool {
        self.reading.load(Ordering::Acquire)
    }

    /// Asks nodes for the map and takes the first answer over. Bounded by [`PATIENCE`] and the time for a connect.
    pub(super) async fn discover(&self) -> Result<(), StoreError> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let map = match self.ask_over_lanes().await {
            Some(map) => map,
            None => self.ask_anew().await?,
        };
        self.routes_mut().take_over(&map, |address| self.node(address));
        self.trouble.passed();
        self.changed.notify_waiters();
        Ok(())
    }

    /// The map by the first of some nodes that have a lane.
    async fn ask_over_lanes(&self) -> Option<Vec<Range>> {
        let nodes = self.some_nodes();
        let asked = nodes.iter().filter_map(|node| Some((&node.address, node.lanes.up()?))).take(LANES);
        let mut answers: FuturesUnordered<_> = asked
            .map(|(address, lane)| async move { timeout(PATIENCE, ask(&lane, address)).await.ok()?.ok() })
            .collect();
        while let Some(answer) = answers.next().await {
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    /// The map by the first of some nodes, known ones and those of the configuration, over connections for this alone.
    async fn ask_anew(&self) -> Result<Vec<Range>, StoreError> {
        let mut addresses: Vec<Address> =
            self.some_nodes().iter().take(CONNECTS / 2).map(|node| node.address.clone()).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.seeds.len().max(1);
        for seed in self.seeds.iter().cycle().skip(turn).take(self.seeds.len()) {
            if addresses.len() < CONNECTS && !addresses.contains(seed) {
                addresses.push(seed.clone());
            }
        }
        let mut answers: FuturesUnordered<_> = addresses.iter().map(|address| self.ask_at(address)).collect();
        let mut problem = StoreError::Unavailable;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(map) => return Ok(map),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    async fn ask_at(&self, address: &Address) -> Result<Vec<Range>, StoreError> {
        let work = async {
            let manager =
                Manager::new(&self.settings.at(address), BUFFER).map_err(|e| failure::translate(&e))?;
            let lane = manager.create().await.map_err(|error| failure::translate(&error))?;
            ask(&lane, address).await
        };
        let late = || StoreError::Connection("connecting timed out".to_owned());
        timeout(self.settings.connect_timeout, work).await.unwrap_or_else(|_| Err(late()))
    }
}

/// The map as the node at `address` sees it.
async fn ask(lane: &Lane, address: &Address) -> Result<Vec<Range>, StoreError> {
    let mut question = Cmd::new();
    question.arg("CLUSTER").arg("SLOTS");
    match lane.ask(&question).await? {
        Value::ServerError(error) if error.code() == "ERR" => {
            Err(StoreError::Server("ERR: the server isn't a node of a Cluster".to_owned()))
        }
        Value::ServerError(error) => Err(failure::server(error.code())),
        reply => ranges(&reply, address)
            .ok_or_else(|| StoreError::Server("the Cluster has no slots that a node serves".to_owned())),
    }
}

/// The task that reads the map. Dropped with its runtime, it leaves the work to the next.
struct Reader(Arc<Cluster>);

impl Reader {
    async fn work(&self) {
        let before = *self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = before {
            sleep_until(before + GAP).await;
        }
        let mut backoff = Backoff::default();
        while let Err(error) = self.0.discover().await {
            self.0.trouble.failed(&error);
            self.0.changed.notify_waiters();
            sleep(backoff.next()).await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.reading.store(false, Ordering::Release);
        self.0.changed.notify_waiters();
    }
}
