//! The journal of a `RedisStore` by itself: what is appended, read and waited for, and over which servers' connections.
#![cfg(feature = "redis")]

#[path = "../support/mod.rs"]
mod support;

mod entries;
mod tails;
mod servers;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tower_query_cache::{
    Append, AppendMode, Journal, JournalEntry, JournalId, RedisStore, Store, StoreError,
};

use self::support::proxy::Proxy;
use self::support::store::{clients, config, connected, documented_user, key, open, patient, value};
use self::support::{FakeRedis, RedisServer, eventually, eventually_async};

const STREAM: &str = "{test:v1:j}";
const HEAD: &str = "{test:v1:j}:h";
const EXISTING: AppendMode = AppendMode::Existing { trim: JournalId::ZERO };
const SECOND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(10);

fn journal(store: &RedisStore) -> &dyn Journal {
    store.journal().expect("a Redis store has a journal")
}

fn entry(name: &str, mode: AppendMode) -> Append {
    let text = Bytes::copy_from_slice(name.as_bytes());
    Append::new(vec![(Bytes::from_static(b"n"), text.clone())], text, mode)
}

fn placed(name: &str, id: JournalId) -> Append {
    let mut append = entry(name, EXISTING);
    append.id = Some(id);
    append
}

async fn append(store: &RedisStore, name: &str, mode: AppendMode) -> Option<JournalId> {
    journal(store).append(&entry(name, mode)).await.unwrap().id
}

/// The name of every entry from `from` on.
async fn names(store: &RedisStore, from: JournalId) -> Vec<String> {
    let entries = journal(store).range(from, 100).await.unwrap();
    let name = |entry: &JournalEntry| String::from_utf8(entry.fields[0].1.to_vec()).unwrap();
    entries.iter().map(name).collect()
}

/// The error of a call, however it is told.
fn text<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    outcome.unwrap_err().to_string()
}

/// The identity that the server itself tells.
fn identity(server: &RedisServer) -> String {
    let info = server.cli(&["INFO"]);
    let field = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).expect("a line of INFO");
        line.trim().to_owned()
    };
    format!("{}:{}", field("run_id:"), field("master_replid:"))
}

/// Lanes are up, and a first entry makes the journal.
async fn with_journal(url: String) -> Arc<RedisStore> {
    let store = open(&patient(url));
    store.ready().await.unwrap();
    append(&store, "first", AppendMode::Create).await.expect("an id");
    store
}
