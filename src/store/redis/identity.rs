//! Which server a connection leads to, and which one may be used.
//!
//! A server that was restarted may have lost data, and one that took over from another may lack its last writes. Both have
//! another identity than before, which every connection asks for when it is made.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use deadpool_redis::redis::{FromRedisValue as _, Pipeline, Value};
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64;

use super::failure;
use crate::store::StoreError;

/// Longest id that is taken for one, bytes; Redis's have 40.
const LONGEST_ID: usize = 64;

/// The mark of no server.
const NONE: u64 = 0;

/// A server, as text and as what is cheap to compare.
#[derive(Clone)]
pub(super) struct Identity {
    text: Arc<str>,
    mark: u64,
}

impl Identity {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.into(), mark: mark(text) }
    }

    /// Of a server that couldn't tell just now: no other is like it.
    pub(super) fn unknown() -> Self {
        Self::new(&format!("?{:016x}", RandomState::new().hash_one(0_u8)))
    }

    /// Whether the server couldn't tell.
    pub(super) fn is_unknown(&self) -> bool {
        self.text.starts_with('?')
    }

    /// Adds what is to be asked, two commands: Redis 6.2 takes one section at a time.
    pub(super) fn ask(questions: &mut Pipeline) {
        questions.cmd("INFO").arg("server").cmd("INFO").arg("replication");
    }

    /// The identity in the replies. Empty for a server that never tells.
    pub(super) fn read(replies: impl IntoIterator<Item = Value>) -> Result<Self, StoreError> {
        let mut replies = replies.into_iter();
        let run = id(replies.next(), "run_id")?;
        let history = id(replies.next(), "master_replid")?;
        Ok(Self::new(&if run.is_empty() && history.is_empty() {
            String::new()
        } else {
            format!("{run}:{history}")
        }))
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn mark(&self) -> u64 {
        self.mark
    }
}

/// The id of this name in a reply to `INFO`.
fn id(reply: Option<Value>, name: &str) -> Result<String, StoreError> {
    match reply {
        // Others pass, such as `BUSY`: the next connection is told.
        Some(Value::ServerError(error)) if !matches!(error.code(), "NOPERM" | "ERR") => {
            Err(failure::server(error.code()))
        }
        Some(reply) => {
            let info = String::from_redis_value(reply).unwrap_or_default();
            let id = super::figures::field(&info, name)
                .filter(|id| id.len() <= LONGEST_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            Ok(id.unwrap_or_default().to_owned())
        }
        None => Ok(String::new()),
    }
}

fn mark(text: &str) -> u64 {
    xxh3_64(text.as_bytes()).max(NONE + 1)
}

/// The server whose lanes may be used.
pub(super) struct Trust {
    /// Its mark; none: that of any.
    trusted: AtomicU64,
    /// The mark of the last other one that a lane led to.
    stranger: watch::Sender<u64>,
    warned: AtomicBool,
}

impl Trust {
    pub(super) fn new() -> Self {
        Self {
            trusted: AtomicU64::new(NONE),
            stranger: watch::Sender::new(NONE),
            warned: AtomicBool::new(false),
        }
    }

    pub(super) fn set(&self, server: Option<&str>) {
        self.trusted.store(server.map_or(NONE, mark), Ordering::Release);
    }

    /// Says once that a server doesn't tell who it is.
    pub(super) fn warn(&self, server: Option<&str>) {
        if server.is_some_and(str::is_empty) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "Redis doesn't tell who it is (INFO): purges may be missed when another server takes over"
            );
        }
    }

    /// Whether a server is trusted.
    pub(super) fn is_set(&self) -> bool {
        self.trusted.load(Ordering::Acquire) != NONE
    }

    /// Whether a server's lanes may be used.
    pub(super) fn allows(&self, server: &Identity) -> bool {
        let trusted = self.trusted.load(Ordering::Acquire);
        trusted == NONE || trusted == server.mark
    }

    /// A lane leads to this server. Another than the trusted one may have taken over: the tails hear of it.
    pub(super) fn meet(&self, server: &Identity) {
        if !self.allows(server) {
            self.stranger.send_replace(server.mark);
        }
    }

    /// Changes to the mark of a server that isn't the trusted one when a lane leads to it.
    pub(super) fn strangers(&self) -> watch::Receiver<u64> {
        self.stranger.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use deadpool_redis::redis::{VerbatimFormat, parse_redis_value};

    use super::*;

    fn info(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn refusal(text: &str) -> Value {
        parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap()
    }

    fn read(replies: Vec<Value>) -> Result<String, StoreError> {
        Identity::read(replies).map(|identity| identity.text().to_owned())
    }

    #[test]
    fn a_server_is_its_run_and_its_history() {
        let server = "# Server\r\nredis_version:7.0.15\r\nrun_id:ab12\r\n";
        let history = "role:master\r\nmaster_replid:cd34\r\nmaster_replid2:0000\r\n";
        assert_eq!(read(vec![info(server), info(history)]).unwrap(), "ab12:cd34");
        let verbatim = Value::VerbatimString { format: VerbatimFormat::Text, text: server.to_owned() };
        assert_eq!(read(vec![verbatim, info("")]).unwrap(), "ab12:");
    }

    #[test]
    fn a_server_that_never_tells_is_nobody_and_one_that_cannot_now_is_an_error() {
        for text in ["NOPERM no rights", "ERR unknown command"] {
            assert_eq!(read(vec![refusal(text), refusal(text)]).unwrap(), "");
        }
        let long = format!("run_id:{}\r\n", "a".repeat(LONGEST_ID + 1));
        assert_eq!(read(vec![info("run_id:a b\r\n"), info("")]).unwrap(), "");
        assert_eq!(read(vec![info(&long), Value::Int(1)]).unwrap(), "");
        assert_eq!(read(Vec::new()).unwrap(), "");
        for text in ["BUSY a script", "LOADING data"] {
            assert!(matches!(read(vec![refusal(text)]), Err(StoreError::Server(_))), "{text}");
        }
        assert_ne!(Identity::unknown().mark(), Identity::unknown().mark());
    }

    #[test]
    fn until_one_is_trusted_any_server_may_be_used() {
        let trust = Trust::new();
        let mut strangers = trust.strangers();
        let [one, other] = ["one", "other"].map(Identity::new);
        trust.meet(&one);
        assert!(trust.allows(&one) && trust.allows(&other) && !strangers.has_changed().unwrap());
        trust.set(Some("one"));
        trust.meet(&one);
        assert!(trust.allows(&one) && !trust.allows(&other) && !strangers.has_changed().unwrap());
        trust.meet(&other);
        assert!(strangers.has_changed().unwrap());
        assert_eq!(*strangers.borrow_and_update(), other.mark());
        trust.set(None);
        assert!(trust.allows(&other));
    }
}
