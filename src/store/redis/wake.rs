//! Hearing that leases are given back: one subscription, and who waits for which key.
//!
//! Wake-ups are a courtesy: whoever waits also looks by itself from time to time. So a subscription that can't be had
//! costs nothing but time, and after each (re)connect everybody is woken, because words may have been missed.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deadpool_redis::redis::aio::{PubSubSink, PubSubStream};
use deadpool_redis::redis::{Client, RedisError, Value};
use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::failure;
use super::keeper::Backoff;
use super::nodes::Nodes;
use crate::key::Key;
use crate::store::StoreError;

/// Keys that may be waited for at once; those beyond hear nothing.
const MAX_KEYS: usize = 8192;

/// A subscription that heard nothing for this long is probed, and given up if no reply comes in [`PATIENCE`].
const IDLE_PROBE: Duration = Duration::from_secs(30);

/// Time for the reply to a probe. A subscription that lasted longer makes the next connect a first try.
const PATIENCE: Duration = Duration::from_secs(1);

/// The subscription of a store. It connects when it is first waited for, and ends with the store.
pub(super) struct Wake {
    nodes: Nodes,
    channel: String,
    connect_timeout: Duration,
    waiters: Arc<Waiters>,
    /// Whether there is a listener.
    listening: AtomicBool,
    suspended: watch::Sender<bool>,
    closed: watch::Receiver<()>,
}

impl Wake {
    /// A subscription that connects when it is needed. `closed` changes when the store is dropped.
    pub(super) fn new(
        nodes: Nodes,
        connect_timeout: Duration,
        namespace: &str,
        closed: watch::Receiver<()>,
    ) -> Self {
        Self {
            nodes,
            channel: format!("{namespace}:v1:w"),
            connect_timeout,
            waiters: Arc::default(),
            listening: AtomicBool::new(false),
            suspended: watch::Sender::new(false),
            closed,
        }
    }

    /// Where it is told that leases are given back.
    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// What is told: the key's digest in base64url, as in the names of keys.
    pub(super) fn message(key: &Key) -> String {
        URL_SAFE_NO_PAD.encode(key.as_bytes())
    }

    /// While suspended there is no connection.
    pub(super) fn suspend(&self, suspended: bool) {
        self.suspended.send_replace(suspended);
    }

    /// True when a lease of `key` was given back after this call, false when one may have been.
    pub(super) fn given_back(self: &Arc<Self>, key: Key) -> impl Future<Output = bool> + Send + use<> {
        let waiting = self.waiters.wait(key);
        self.listen();
        async move {
            match waiting {
                Some(mut waiting) => waiting.woken().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Starts the listener unless there is one. Outside a runtime nothing happens.
    fn listen(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.listening.swap(true, Ordering::AcqRel) {
            return;
        }
        let listener = Listener(Arc::clone(self));
        runtime.spawn(async move {
            let mut closed = listener.0.closed.clone();
            let store_dropped = std::pin::pin!(closed.changed());
            let work = std::pin::pin!(listener.work());
            select(work, store_dropped).await;
        });
    }
}

/// The task that listens. Dropped with its runtime, it leaves the work to the next.
struct Listener(Arc<Wake>);

impl Listener {
    async fn work(&self) {
        let mut suspended = self.0.suspended.subscribe();
        let mut backoff = Backoff::default();
        let mut warned = false;
        for attempt in 0_u64.. {
            // The sender lives as long as this task: neither wait can fail.
            suspended.wait_for(|suspended| !suspended).await.ok();
            let started = Instant::now();
            {
                let interrupted = std::pin::pin!(suspended.wait_for(|suspended| *suspended));
                let work = std::pin::pin!(self.subscription(attempt));
                match select(work, interrupted).await {
                    Either::Left((Err(error), _)) if !warned => {
                        tracing::warn!(%error, "no subscription for leases; waiters look by themselves");
                        warned = true;
                    }
                    Either::Left((Err(_), _)) => {}
                    Either::Left((Ok(()), _)) => warned = false,
                    Either::Right(_) => continue,
                }
            }
            if started.elapsed() >= PATIENCE {
                backoff = Backoff::default();
            }
            sleep(backoff.next()).await;
        }
    }

    /// Connects and listens until the connection breaks. In a Cluster every node tells what any other was told, so each
    /// attempt may go to another.
    async fn subscription(&self, attempt: u64) -> Result<(), StoreError> {
        let Wake { nodes, channel, connect_timeout, waiters, .. } = &*self.0;
        let connect = async {
            let server = nodes.server_of(&format!("{channel}:{attempt}")).await?;
            let subscribe = async {
                let (mut sink, stream) = Client::open(server)?.get_async_pubsub().await?.split();
                sink.subscribe(channel).await?;
                Ok((sink, stream))
            };
            subscribe.await.map_err(|error: RedisError| failure::translate(&error))
        };
        let (sink, stream) = timeout(*connect_timeout, connect).await.unwrap_or(Err(StoreError::Timeout))?;
        waiters.wake_all();
        hear(waiters, sink, stream).await;
        Ok(())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.listening.store(false, Ordering::Release);
    }
}

/// Wakes waiters as their keys are named, until the connection breaks or is silent when probed.
async fn hear(waiters: &Waiters, mut sink: PubSubSink, mut stream: PubSubStream) {
    loop {
        match timeout(IDLE_PROBE, stream.next()).await {
            Ok(Some(message)) => {
                let mut digest = [0; 32];
                if URL_SAFE_NO_PAD.decode_slice(message.get_payload_bytes(), &mut digest) == Ok(32) {
                    waiters.wake(&Key::from_bytes(digest));
                }
            }
            Ok(None) => return,
            Err(_) => match timeout(PATIENCE, sink.ping::<Value>()).await {
                // An error that the server wrote is a sign of life too.
                Ok(Err(error)) if error.is_unrecoverable_error() => return,
                Ok(_) => {}
                Err(_) => return,
            },
        }
    }
}

/// Who waits for which key.
#[derive(Default)]
struct Waiters(Mutex<HashMap<Key, watch::Sender<()>>>);

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among those who wait for `key`; `None` if too many keys are waited for.
    fn wait(self: &Arc<Self>, key: Key) -> Option<Waiting> {
        let mut keys = self.lock();
        if keys.len() >= MAX_KEYS && !keys.contains_key(&key) {
            return None;
        }
        let receiver = keys.entry(key).or_default().subscribe();
        Some(Waiting { waiters: Arc::clone(self), key, receiver: Some(receiver) })
    }

    fn wake(&self, key: &Key) {
        if let Some(sender) = self.lock().remove(key) {
            sender.send_replace(());
        }
    }

    /// Words may have been missed.
    fn wake_all(&self) {
        self.lock().clear();
    }
}

/// A place among those who wait for a key.
struct Waiting {
    waiters: Arc<Waiters>,
    key: Key,
    /// Ends when the sender is taken out of the map.
    receiver: Option<watch::Receiver<()>>,
}

impl Waiting {
    /// True if the key was named.
    async fn woken(&mut self) -> bool {
        match &mut self.receiver {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => false,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut keys = self.waiters.lock();
        self.receiver = None;
        if keys.get(&self.key).is_some_and(|sender| sender.receiver_count() == 0) {
            keys.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn key(number: usize) -> Key {
        Key::from_bytes(std::array::from_fn(|place| (number >> (8 * (place % 8))) as u8))
    }

    fn is_woken(waiting: &mut Waiting) -> Option<bool> {
        waiting.woken().now_or_never()
    }

    #[test]
    fn whoever_waits_for_the_key_is_woken_and_nobody_else() {
        let waiters = Arc::<Waiters>::default();
        let [mut one, mut two, mut other] = [1, 1, 2].map(|number| waiters.wait(key(number)).unwrap());
        waiters.wake(&key(1));
        assert_eq!([&mut one, &mut two, &mut other].map(is_woken), [Some(true), Some(true), None]);
        // A wait that begins now is for the next word.
        let mut late = waiters.wait(key(1)).unwrap();
        assert_eq!(is_woken(&mut late), None);
        drop(one);
        assert!(waiters.lock().contains_key(&key(1)), "an old waiter takes a new one's place away");
        waiters.wake_all();
        assert_eq!([&mut late, &mut other].map(is_woken), [Some(false), Some(false)]);
    }

    #[test]
    fn what_is_waited_for_is_bounded_and_forgotten_with_its_waiters() {
        let waiters = Arc::<Waiters>::default();
        let mut all: Vec<_> = (0..MAX_KEYS).map(|number| waiters.wait(key(number)).unwrap()).collect();
        assert!(waiters.wait(key(MAX_KEYS)).is_none());
        all.push(waiters.wait(key(0)).expect("a key that is waited for already"));
        all.remove(0);
        assert_eq!(waiters.lock().len(), MAX_KEYS);
        drop(all);
        assert!(waiters.lock().is_empty());
    }
}
