//! Sentinels: who the master is, and whether a lane still leads to it.
//!
//! Each connect asks the sentinels first, in turn, beginning with the one that answered last, and then the server itself
//! by `ROLE`: a sentinel may not know yet of a failover. Redis closes its clients' connections when it is demoted, but
//! that takes a sentinel which reaches it; so lanes in use are asked for their role from time to time, and the sentinels
//! for the master, and a write that a replica refuses gives all lanes up.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, RedisError, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::failure;
use super::keeper::PATIENCE;
use super::lane::Lane;
use super::settings::Address;
use crate::store::StoreError;

/// How often a lane in use is asked for its server's role.
const ROLE: Duration = Duration::from_secs(1);

/// How long the sentinels' word is good for while lanes are in use.
const WORD: Duration = Duration::from_secs(10);

/// The least time for a sentinel's answer.
const SHORTEST: Duration = Duration::from_millis(100);

/// The sentinels of a master. Holds credentials, so it has no `Debug`.
pub(super) struct Sentinels {
    servers: Vec<ConnectionInfo>,
    master: String,
    /// For one sentinel to answer.
    patience: Duration,
    /// Who is asked first.
    first: AtomicUsize,
    word: Mutex<Option<Word>>,
}

/// What the sentinels said last.
struct Word {
    master: Address,
    asked: Instant,
}

impl Sentinels {
    /// The sentinels that watch `master`. All of them together may take half of the time for a connect.
    pub(super) fn new(servers: Vec<ConnectionInfo>, master: String, connect_timeout: Duration) -> Self {
        let count = u32::try_from(servers.len()).unwrap_or(u32::MAX).max(1);
        let patience = (connect_timeout / 2 / count).max(SHORTEST);
        Self { servers, master, patience, first: AtomicUsize::new(0), word: Mutex::new(None) }
    }

    /// Where the master is, by the first sentinel that knows.
    pub(super) async fn master(&self) -> Result<Address, StoreError> {
        let first = self.first.load(Relaxed);
        let mut problem = StoreError::Unavailable;
        for step in 0..self.servers.len() {
            let index = first.wrapping_add(step) % self.servers.len();
            let Some(server) = self.servers.get(index) else { continue };
            match timeout(self.patience, self.ask(server)).await.unwrap_or(Err(StoreError::Timeout)) {
                Ok(master) => {
                    self.first.store(index, Relaxed);
                    *self.lock() = Some(Word { master: master.clone(), asked: Instant::now() });
                    return Ok(master);
                }
                Err(error) => {
                    // If this connect runs out of time, the next one begins behind those that were asked.
                    self.first.store(index.wrapping_add(1), Relaxed);
                    problem = error;
                }
            }
        }
        Err(StoreError::Connection(format!("no sentinel told of the master ({problem})")))
    }

    async fn ask(&self, server: &ConnectionInfo) -> Result<Address, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience))
            .set_response_timeout(None);
        let mut question = Cmd::new();
        question.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
        let reply = async {
            let mut connection =
                Client::open(server.clone())?.get_multiplexed_async_connection_with_config(&config).await?;
            connection.send_packed_command(&question).await
        };
        match reply.await.map_err(|error| failure::translate(&error))? {
            Value::ServerError(error) => Err(failure::server(error.code())),
            Value::Nil => Err(StoreError::Server("it watches no master of this name".to_owned())),
            reply => told(&reply).ok_or_else(|| StoreError::Server("it gave no address".to_owned())),
        }
    }

    /// Asks a server that was named whether it is a master.
    pub(super) async fn verify(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        match connection.send_packed_command(&role()).await? {
            Value::ServerError(error) => Err(error.into()),
            reply if is_master(&reply) => Ok(()),
            _ => {
                // Another sentinel may know better.
                self.first.fetch_add(1, Relaxed);
                Err(io::Error::other("the sentinels name a server that isn't a master").into())
            }
        }
    }

    /// Resolves when `lane` leads to a server that isn't the master any more. Nothing is sent for a lane that isn't in
    /// use, nor while the store is suspended.
    pub(super) async fn overtook(&self, lane: &Lane, suspension: watch::Receiver<bool>) {
        let role = role();
        let mut replies = lane.replies();
        loop {
            sleep(ROLE).await;
            if lane.replies() == replies || *suspension.borrow() {
                continue;
            }
            // What is wrong with the lane itself is its keeper's business.
            if let Ok(Ok(reply)) = timeout(PATIENCE, lane.run(&role)).await
                && !is_master(&reply)
            {
                return;
            }
            if let Some(home) = lane.home()
                && self.denies_anew(home).await
            {
                return;
            }
            replies = lane.replies();
        }
    }

    /// Whether the sentinels' last word is another server.
    fn denies(&self, server: &Address) -> bool {
        self.lock().as_ref().is_some_and(|word| word.master != *server)
    }

    /// The same by a word that is at most [`WORD`] old.
    pub(super) async fn denies_anew(&self, server: &Address) -> bool {
        {
            let mut word = self.lock();
            match word.as_mut() {
                Some(word) if word.asked.elapsed() < WORD => return word.master != *server,
                // One of those who ask does it for all.
                Some(word) => word.asked = Instant::now(),
                None => {}
            }
        }
        self.master().await.is_ok() && self.denies(server)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Word>> {
        self.word.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a replica refused this reply's command: what leads to it is no way to the master.
pub(super) fn is_replicas(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if matches!(error.code(), "READONLY" | "MASTERDOWN"))
}

fn role() -> Cmd {
    let mut command = Cmd::new();
    command.arg("ROLE");
    command
}

/// Whether a reply to `ROLE` is a master's.
fn is_master(reply: &Value) -> bool {
    let Value::Array(parts) = reply else { return false };
    matches!(parts.first(), Some(Value::BulkString(role)) if role == b"master")
}

/// The address in a reply: host and port, both as text.
fn told(reply: &Value) -> Option<Address> {
    let Value::Array(parts) = reply else { return None };
    let [Value::BulkString(host), Value::BulkString(port)] = parts.as_slice() else { return None };
    Address::told(std::str::from_utf8(host).ok()?, std::str::from_utf8(port).ok()?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_two_texts_and_nothing_else() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let array = |parts: &[&str]| Value::Array(parts.iter().map(|part| text(part)).collect());
        let address = |reply: &Value| told(reply).map(|address| (address.host.to_string(), address.port));
        assert_eq!(address(&array(&["10.0.0.1", "6379"])), Some(("10.0.0.1".to_owned(), 6379)));
        assert_eq!(address(&array(&["::1", "1"])), Some(("::1".to_owned(), 1)));
        for bad in [
            array(&[]),
            array(&["h"]),
            array(&["h", "1", "2"]),
            array(&["h", "0"]),
            array(&["h", "65536"]),
            array(&["h", "port"]),
            array(&["", "1"]),
            array(&["h\r\n", "1"]),
            array(&[&"h".repeat(256), "1"]),
            Value::Array(vec![Value::BulkString(vec![0xff]), text("1")]),
            Value::Array(vec![text("h"), Value::Int(1)]),
            Value::Nil,
            text("h:1"),
        ] {
            assert_eq!(address(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_a_master_is_one() {
        let role = |name: &str| Value::Array(vec![Value::BulkString(name.into()), Value::Int(0)]);
        assert!(is_master(&role("master")));
        for other in [role("slave"), role("sentinel"), role("MASTER "), Value::Array(vec![]), Value::Okay] {
            assert!(!is_master(&other), "{other:?}");
        }
    }
}
