//! The probe: whether the server answers, asked while the circuit breaker keeps everything else from it.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{Cmd, Value};
use tokio::time::{Instant, timeout};

use super::keeper::PATIENCE;
use super::lane::{Lane, accepted};
use super::lanes::Lanes;
use crate::store::StoreError;

/// Sends `command`, a read, over a lane that is up, or else over a new one. The reply must come within `limit`, as that
/// to a lookup must. The caller bounds the whole.
pub(super) async fn probe(lanes: &Arc<Lanes>, command: &Cmd, limit: Duration) -> Result<(), StoreError> {
    // Each lane that fails is given up, so that this ends with the new one.
    while let Some(lane) = lanes.up() {
        match ask(lanes, &lane, command, limit).await {
            Err(StoreError::Connection(_)) => {}
            done => return done,
        }
    }
    let lane = lanes.connect_once().await?;
    ask(lanes, &lane, command, limit).await
}

/// A late reply is none, but one all the same: a server that was slow for a moment keeps its lanes, so that its clients
/// don't all connect anew just then. After no reply for longer all lanes are given up, for the server's host may be gone.
async fn ask(lanes: &Lanes, lane: &Lane, command: &Cmd, limit: Duration) -> Result<(), StoreError> {
    let asked = Instant::now();
    match timeout(PATIENCE.max(limit), lane.ask(command)).await {
        Ok(Ok(reply)) if is_answer(&reply) && asked.elapsed() <= limit => Ok(()),
        Ok(Ok(reply)) if is_answer(&reply) => Err(StoreError::Timeout),
        Ok(Ok(reply)) => {
            accepted(reply)?;
            Err(StoreError::Server("GET was answered with another type".to_owned()))
        }
        Ok(Err(error)) => Err(error),
        Err(_) => {
            lanes.give_up();
            Err(StoreError::Connection("the server is silent".to_owned()))
        }
    }
}

/// Whether a reply is one to a `GET`. A Cluster's node that knows who has the slot would have answered for its own.
fn is_answer(reply: &Value) -> bool {
    match reply {
        Value::ServerError(error) => error.code() == "MOVED",
        reply => matches!(reply, Value::Nil | Value::BulkString(_)),
    }
}
