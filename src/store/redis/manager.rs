//! deadpool's manager of lanes.
//!
//! `deadpool_redis::Manager` makes the connections: URLs, users and databases come with it. Its `recycle` costs a
//! round trip at every checkout, so ours takes its place and asks only where there is a doubt.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, ConnectionInfo, ErrorKind, Pipeline, RedisError, Value};

use super::identity::Identity;
use super::lane::Lane;
use super::sentinel::Sentinels;
use super::settings::{Address, Settings, at};
use crate::store::StoreError;

/// A connection that nobody used for this long is probed before it is used again.
const IDLE: Duration = Duration::from_secs(30);

/// Time for the reply to a probe.
const PROBE: Duration = Duration::from_millis(500);

/// Makes lanes.
pub(super) struct Manager(Way);

/// How a server is found.
enum Way {
    Straight(deadpool_redis::Manager),
    BySentinels { sentinels: Arc<Sentinels>, server: ConnectionInfo, config: AsyncConnectionConfig },
}

impl Manager {
    /// Lanes of which each lets `buffer` commands wait inside redis-rs before senders wait themselves.
    ///
    /// redis-rs's response time-out is off: every call has a budget of its own.
    pub(super) fn new(settings: &Settings, buffer: usize) -> Result<Self, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(settings.connect_timeout))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(buffer);
        let server = settings.server.clone();
        Ok(Self(match &settings.sentinels {
            None => Way::Straight(deadpool_redis::Manager::new_with_config(server, config)?),
            Some(sentinels) => Way::BySentinels { sentinels: Arc::clone(sentinels), server, config },
        }))
    }

    /// A connection, and where it leads if that was for sentinels to tell.
    async fn connect(&self) -> Result<(MultiplexedConnection, Option<Address>), RedisError> {
        match &self.0 {
            Way::Straight(manager) => Ok((managed::Manager::create(manager).await?, None)),
            Way::BySentinels { sentinels, server, config } => {
                let master = sentinels.master().await.map_err(|error| match error {
                    StoreError::Connection(text) => io::Error::other(text),
                    other => io::Error::other(other),
                })?;
                let manager = deadpool_redis::Manager::new_with_config(at(server, &master), config.clone())?;
                let mut connection = managed::Manager::create(&manager).await?;
                sentinels.verify(&mut connection).await?;
                Ok((connection, Some(master)))
            }
        }
    }
}

impl managed::Manager for Manager {
    type Type = Arc<Lane>;
    type Error = RedisError;

    /// Connects, and asks for one reply: a server that wants a password accepts connections without one. And who it is.
    async fn create(&self) -> Result<Arc<Lane>, RedisError> {
        let (mut connection, home) = self.connect().await?;
        let mut questions = Pipeline::with_capacity(3);
        questions.cmd("PING");
        Identity::ask(&mut questions);
        let replies = connection.send_packed_commands(&questions, 0, questions.len()).await?;
        let mut replies = replies.into_iter();
        if let Some(Value::ServerError(error)) = replies.next() {
            let error = RedisError::from(error);
            if refuses(&error) {
                return Err(error);
            }
        }
        let server = Identity::read(replies).unwrap_or_else(|_| Identity::unknown());
        Ok(Arc::new(Lane::new(connection, server).at(home)))
    }

    async fn recycle(&self, lane: &mut Arc<Lane>, metrics: &Metrics) -> RecycleResult<RedisError> {
        let doubtful = lane.abandoned() > 0 || metrics.last_used() >= IDLE;
        if lane.is_broken() || (doubtful && !lane.answers(PROBE).await) {
            return Err(RecycleError::message("the connection is broken"));
        }
        Ok(())
    }
}

/// Whether a reply to the first `PING` means that no command will ever be accepted. A user without the right to
/// `PING`, or a server that is loading, is there all the same.
fn refuses(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(_) => false,
        ErrorKind::Extension => matches!(error.code(), Some("NOAUTH" | "WRONGPASS")),
        _ => true,
    }
}
