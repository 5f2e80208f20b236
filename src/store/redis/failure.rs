//! redis-rs's errors in our words.
//!
//! Servers quote commands in their errors: one that doesn't know `AUTH` answers with the password. So nothing that
//! the server wrote goes on but the error's code.

use deadpool::managed::{PoolError, TimeoutType};
use deadpool_redis::redis::{ErrorKind, RedisError, ServerError};

use crate::store::StoreError;

/// `error` for callers. [`StoreError::Connection`] means that the connection can't be used any more.
pub(super) fn translate(error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => server(error.code().unwrap_or_default()),
        ErrorKind::AuthenticationFailed => server("WRONGPASS"),
        ErrorKind::Io => StoreError::Connection(io(error)),
        _ => StoreError::Connection(error.category().to_owned()),
    }
}

/// What the system, rustls or redis-rs wrote, none of which saw the URL's password.
fn io(error: &RedisError) -> String {
    #[cfg(feature = "tls")]
    if let Some(text) = super::tls::explain(error) {
        return text.to_owned();
    }
    error.to_string()
}

/// Why a connect failed.
pub(super) fn connect(error: &PoolError<RedisError>) -> StoreError {
    match error {
        PoolError::Backend(error) => translate(error),
        PoolError::Timeout(TimeoutType::Create) => StoreError::Connection("connecting timed out".to_owned()),
        _ => StoreError::Connection("no connection could be made".to_owned()),
    }
}

/// A server's error in reply to a command that not every server knows. Its text is only looked at.
pub(super) fn refusal(error: &ServerError, command: &'static str) -> StoreError {
    let text = error.details().unwrap_or_default().as_bytes();
    let is_unknown = text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"unknown"));
    if error.code() == "ERR" && is_unknown {
        return StoreError::Unsupported(command.to_owned());
    }
    server(error.code())
}

/// A server's error by its code, explained where the code alone says too little.
pub(super) fn server(code: &str) -> StoreError {
    let known = (1..=16).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let code = if known { code } else { "ERR" };
    let meaning = match code {
        "EXECABORT" => "the transaction was refused",
        "UNBLOCKED" => "the server became a replica",
        "LOADING" => "the server is loading its data",
        "NOAUTH" => "the server asks for a password",
        "WRONGPASS" => "the server refuses the user or the password",
        "NOPERM" => "the user may not do this",
        "OOM" => "the server's memory is full",
        "READONLY" => "the server is a read-only replica",
        "MISCONF" => "the server can't save and refuses writes",
        "MASTERDOWN" => "the replica has lost its master",
        "BUSY" => "the server is busy with a script",
        "WRONGTYPE" => "the key holds another type",
        "CLUSTERDOWN" => "the Cluster is down, or no node has the slot",
        "TRYAGAIN" => "the slot is being moved",
        "MOVED" | "ASK" | "CROSSSLOT" => "the server is part of a Cluster",
        _ => "the server refuses the command",
    };
    StoreError::Server(format!("{code}: {meaning}"))
}
