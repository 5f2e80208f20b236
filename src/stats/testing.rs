//! A store that answers by a script, for stepping.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::key::Key;
use crate::store::{PoolStatus, Store, StoreError, StoreFuture, StoreStatus};

/// What [`Store::status`] does.
#[derive(Clone)]
pub(super) enum Answer {
    Keys(u64),
    KeysAfter(u64, Duration),
    Fails(StoreError),
    Never,
}

pub(super) struct Scripted {
    answer: Answer,
    asked: AtomicU64,
}

impl Scripted {
    pub(super) fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self { answer, asked: AtomicU64::new(0) })
    }

    /// How often the server was asked.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Store for Scripted {
    fn get<'a>(&'a self, _: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        unreachable!("stats ask for the status alone")
    }

    fn set<'a>(&'a self, _: &'a Key, _: Bytes, _: Duration) -> StoreFuture<'a, ()> {
        unreachable!("stats ask for the status alone")
    }

    fn remove<'a>(&'a self, _: &'a Key) -> StoreFuture<'a, ()> {
        unreachable!("stats ask for the status alone")
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        unreachable!("stats ask for the status alone")
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let keys = match &self.answer {
                Answer::Keys(keys) => *keys,
                Answer::KeysAfter(keys, time) => {
                    tokio::time::sleep(*time).await;
                    *keys
                }
                Answer::Fails(error) => return Err(error.clone()),
                Answer::Never => std::future::pending().await,
            };
            let memory_used = Some("1.50M".to_owned());
            Ok(StoreStatus { keys: Some(keys), memory_used, uptime_seconds: Some(99) })
        })
    }

    fn pool(&self) -> PoolStatus {
        PoolStatus::default()
    }
}
