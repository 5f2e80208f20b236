//! What is sent to a server for the journal, and what its replies say.

use std::time::Duration;

use bytes::Bytes;
use deadpool_redis::redis::{Pipeline, ServerError, Value};

use crate::clock::millis;
use crate::purge::JournalId;
use crate::store::redis::failure;
use crate::store::{Append, AppendMode, JournalEntry, StoreError};

/// Longest wait that is asked for, milliseconds.
const LONGEST_WAIT: u64 = 60_000;

/// The commands on one namespace's journal.
pub(super) struct Commands {
    /// The stream.
    journal: String,
    /// The string beside it.
    head: String,
    /// The question for the head, which is asked most.
    ask_head: Pipeline,
}

impl Commands {
    pub(super) fn new(namespace: &str) -> Self {
        // The text in braces alone makes the slot in a Cluster.
        let journal = format!("{{{namespace}:v1:j}}");
        let head = format!("{journal}:h");
        let mut ask_head = Pipeline::with_capacity(1);
        ask_head.cmd("GET").arg(&head);
        Self { journal, head, ask_head }
    }

    /// The stream's name, which tells where in a Cluster it is.
    pub(super) fn journal(&self) -> &str {
        &self.journal
    }

    pub(super) fn head(&self) -> &Pipeline {
        &self.ask_head
    }

    pub(super) fn range(&self, from: JournalId, count: usize) -> Pipeline {
        let mut command = Pipeline::with_capacity(1);
        command.cmd("XRANGE").arg(&self.journal).arg(from.to_string()).arg("+").arg("COUNT").arg(count);
        command
    }

    /// The stream's part is the last but one of the transaction.
    pub(super) fn append(&self, append: &Append) -> Pipeline {
        let mut commands = Pipeline::with_capacity(5);
        commands.cmd("MULTI");
        if append.mode == AppendMode::Replace {
            commands.cmd("UNLINK").arg(&self.journal);
        }
        commands.cmd("XADD").arg(&self.journal);
        if let AppendMode::Existing { trim } = append.mode {
            commands.arg("NOMKSTREAM").arg("MINID").arg("~").arg(trim.to_string());
        }
        match append.id {
            Some(id) => commands.arg(id.to_string()),
            None => commands.arg("*"),
        };
        for (name, value) in &append.fields {
            commands.arg(name.as_ref()).arg(value.as_ref());
        }
        commands.cmd("SET").arg(&self.head).arg(append.head.as_ref());
        commands.cmd("EXEC");
        commands
    }

    /// One entry after `after`, or none when `time` has passed. 0 would be for ever.
    pub(super) fn wait(&self, after: JournalId, time: Duration) -> Pipeline {
        let time = millis(time).clamp(1, LONGEST_WAIT);
        let mut command = Pipeline::with_capacity(1);
        command.cmd("XREAD").arg("COUNT").arg(1).arg("BLOCK").arg(time);
        command.arg("STREAMS").arg(&self.journal).arg(after.to_string());
        command
    }
}

/// The head, if there is one.
pub(super) fn head(replies: Vec<Value>) -> Result<Option<Bytes>, StoreError> {
    match only(replies) {
        Value::BulkString(head) => Ok(Some(head.into())),
        Value::Nil => Ok(None),
        reply => Err(unexpected(&reply, "GET")),
    }
}

/// The entries of a range.
pub(super) fn entries(replies: Vec<Value>) -> Result<Vec<JournalEntry>, StoreError> {
    match only(replies) {
        Value::Array(entries) => entries.into_iter().filter_map(|reply| entry(reply).transpose()).collect(),
        Value::Nil => Ok(Vec::new()),
        reply => Err(unexpected(&reply, "XRANGE")),
    }
}

/// The entry's place. Why a command wasn't queued says more than that the transaction was refused for it.
pub(super) fn appended(mut replies: Vec<Value>) -> Result<Option<JournalId>, StoreError> {
    if let Some(error) = replies.iter().find_map(error) {
        return Err(failure::refusal(error, "a transaction with XADD"));
    }
    let done = match replies.pop() {
        Some(Value::Array(done)) => done,
        reply => return Err(unexpected(&reply.unwrap_or_default(), "EXEC")),
    };
    if let Some(error) = done.iter().find_map(error) {
        return Err(failure::refusal(error, "XADD"));
    }
    match done.as_slice() {
        [.., Value::Nil, _] => Ok(None),
        [.., added, _] => id(added).map(Some).ok_or_else(|| unexpected(added, "XADD")),
        _ => Err(unexpected(&Value::Nil, "EXEC")),
    }
}

/// Whether an entry came. That a server won't wait, for this user or at all, isn't the end of a tail.
pub(super) fn came(replies: Vec<Value>) -> Result<bool, StoreError> {
    match only(replies) {
        Value::Nil => Ok(false),
        Value::ServerError(error) if matches!(error.code(), "ERR" | "NOPERM") => {
            Err(StoreError::Unsupported("XREAD BLOCK".to_owned()))
        }
        Value::Array(_) | Value::Map(_) => Ok(true),
        reply => Err(unexpected(&reply, "XREAD")),
    }
}

fn only(replies: Vec<Value>) -> Value {
    replies.into_iter().next().unwrap_or_default()
}

fn error(reply: &Value) -> Option<&ServerError> {
    match reply {
        Value::ServerError(error) => Some(error),
        _ => None,
    }
}

/// An entry with its fields; `None` for one that was deleted.
fn entry(reply: Value) -> Result<Option<JournalEntry>, StoreError> {
    let parts: Option<[Value; 2]> = match reply {
        Value::Array(parts) => parts.try_into().ok(),
        _ => None,
    };
    let Some([place, fields]) = parts else { return Err(unexpected(&Value::Nil, "XRANGE")) };
    let fields = match fields {
        Value::Nil => return Ok(None),
        Value::Array(flat) => pairs(flat),
        Value::Map(pairs) => {
            pairs.into_iter().map(|(name, value)| Some((text(name)?, text(value)?))).collect()
        }
        _ => None,
    };
    match (id(&place), fields) {
        (Some(id), Some(fields)) => Ok(Some(JournalEntry { id, fields })),
        _ => Err(unexpected(&Value::Nil, "XRANGE")),
    }
}

/// Names and values that take turns.
fn pairs(flat: Vec<Value>) -> Option<Vec<(Bytes, Bytes)>> {
    let mut pairs = Vec::with_capacity(flat.len() / 2);
    let mut flat = flat.into_iter();
    while let Some(name) = flat.next() {
        pairs.push((text(name)?, text(flat.next()?)?));
    }
    Some(pairs)
}

fn text(reply: Value) -> Option<Bytes> {
    match reply {
        Value::BulkString(bytes) => Some(bytes.into()),
        Value::SimpleString(text) => Some(text.into()),
        _ => None,
    }
}

fn id(reply: &Value) -> Option<JournalId> {
    let text = match reply {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?,
        Value::SimpleString(text) => text,
        _ => return None,
    };
    JournalId::parse(text)
}

fn unexpected(reply: &Value, command: &'static str) -> StoreError {
    match reply {
        Value::ServerError(error) => failure::refusal(error, command),
        _ => StoreError::Server(format!("{command} was answered with another type")),
    }
}
