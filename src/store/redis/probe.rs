//! The probe: whether the server answers, asked while the circuit breaker keeps everything else from it.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{Cmd, Value};
use tokio::time::{Instant, timeout};

use super::keeper::PATIENCE;
use super::lane::{Lane, accepted};
use super::lanes::Lanes;
use crate::store::StoreError;

/// A read that shows whether a server is alive.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) command: &'a Cmd,
    /// Time for the reply, as for that to a lookup.
    pub(super) limit: Duration,
    /// Whether a redirect is a reply too: a Cluster's node that tells who has the slot would have answered for its own.
    pub(super) redirects: bool,
}

/// Sends a question over a lane that is up, or else over a new one. The caller bounds the whole.
pub(super) async fn probe(lanes: &Arc<Lanes>, question: Question<'_>) -> Result<(), StoreError> {
    // Each lane that fails is given up, so that this ends with the new one.
    while let Some(lane) = lanes.up() {
        match ask(lanes, &lane, question).await {
            Err(StoreError::Connection(_)) => {}
            done => return done,
        }
    }
    let lane = lanes.connect_once().await?;
    ask(lanes, &lane, question).await
}

/// A late reply is none, but one all the same: a server that was slow for a moment keeps its lanes, so that its clients
/// don't all connect anew just then. After no reply for longer all lanes are given up, for the server's host may be gone.
async fn ask(lanes: &Lanes, lane: &Lane, question: Question<'_>) -> Result<(), StoreError> {
    let Question { command, limit, redirects } = question;
    let asked = Instant::now();
    match timeout(PATIENCE.max(limit), lane.ask(command)).await {
        Ok(Ok(reply)) => {
            let redirected = matches!(&reply, Value::ServerError(error) if error.code() == "MOVED");
            match if redirects && redirected { Value::Nil } else { accepted(reply)? } {
                Value::Nil | Value::BulkString(_) if asked.elapsed() <= limit => Ok(()),
                Value::Nil | Value::BulkString(_) => Err(StoreError::Timeout),
                _ => Err(StoreError::Server("GET was answered with another type".to_owned())),
            }
        }
        Ok(Err(error)) => Err(error),
        Err(_) => {
            lanes.give_up();
            Err(StoreError::Connection("the server is silent".to_owned()))
        }
    }
}
