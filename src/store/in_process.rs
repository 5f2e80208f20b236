//! A store in this process, for tests without a server.

mod journal;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::time::Instant;

use self::journal::MemoryJournal;
use super::{GivenBack, Journal, Lease, Leases, PoolStatus, Store, StoreError, StoreFuture, StoreStatus};
use crate::key::Key;

/// Leases given back that a waiter may be behind. One that is further behind wakes for nothing, which it bears.
const BACKLOG: usize = 256;

/// A [`Store`] in this process: a bounded map, with [`Leases`] and a [`Journal`]. To share it, share the `Arc` that the builder takes.
///
/// Lives are counted on tokio's clock, which tests can pause and advance. Over its bound the oldest value goes.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use tower_query_cache::{Key, Store as _, test_util::MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_query_cache::StoreError> {
/// let store = Arc::new(MemoryStore::new(1000));
/// let key = Key::from_bytes([7; 32]);
/// store.set(&key, "value".into(), Duration::from_secs(60)).await?;
/// assert_eq!(store.get(&key).await?, Some("value".into()));
/// tokio::time::advance(Duration::from_secs(60)).await;
/// assert_eq!(store.get(&key).await?, None);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    given_back: broadcast::Sender<Key>,
    journal: MemoryJournal,
    max_entries: usize,
}

#[derive(Debug, Default)]
struct State {
    values: HashMap<Key, Mortal<Bytes>>,
    leases: HashMap<Key, Mortal<()>>,
    /// Values and leases so far.
    made: u64,
}

/// Something with an end.
#[derive(Debug)]
struct Mortal<T> {
    it: T,
    /// None: later than the clock can tell.
    ends: Option<Instant>,
    number: u64,
}

impl<T> Mortal<T> {
    fn is_live(&self) -> bool {
        self.ends.is_none_or(|ends| Instant::now() < ends)
    }
}

/// Bytes of a number in a proof: that of the lease comes first, then that of the value which stood there.
const NUMBER: usize = size_of::<u64>();

/// The two numbers that a lease was made of.
fn split(lease: &Lease) -> (&[u8], &[u8]) {
    lease.as_bytes().split_at_checked(NUMBER).unwrap_or_default()
}

impl State {
    fn mortal<T>(&mut self, it: T, life: Duration) -> Mortal<T> {
        self.made += 1;
        Mortal { it, ends: Instant::now().checked_add(life), number: self.made }
    }

    fn put(&mut self, key: &Key, value: Bytes, life: Duration, max_entries: usize) {
        let value = self.mortal(value, life);
        self.values.remove(key);
        if self.values.len() >= max_entries {
            self.values.retain(|_, value| value.is_live());
        }
        if self.values.len() >= max_entries
            && let Some((oldest, _)) = self.values.iter().min_by_key(|(_, value)| value.number)
        {
            let oldest = *oldest;
            self.values.remove(&oldest);
        }
        self.values.insert(*key, value);
    }

    /// The number of what stands under `key`, for a lease's proof. 0, which nothing has: there is nothing.
    fn standing(&self, key: &Key) -> [u8; NUMBER] {
        let number = self.values.get(key).filter(|value| value.is_live()).map(|value| value.number);
        number.unwrap_or_default().to_le_bytes()
    }

    fn is_leased(&self, key: &Key) -> bool {
        self.leases.get(key).is_some_and(Mortal::is_live)
    }

    /// Takes the lease of `key` from its holder; false if that isn't the holder any more.
    fn take_back(&mut self, key: &Key, lease: &Lease) -> bool {
        let (number, _) = split(lease);
        let is_held = self.leases.get(key).is_some_and(|held| held.number.to_le_bytes() == number);
        let is_held = is_held && self.is_leased(key);
        if is_held {
            self.leases.remove(key);
        }
        is_held
    }

    /// Whether nobody has had the lease of `key` since it ran out, for all that can be seen.
    fn is_untouched(&self, key: &Key, lease: &Lease) -> bool {
        let (_, standing) = split(lease);
        !self.is_leased(key) && self.standing(key) == standing
    }
}

impl MemoryStore {
    /// An empty store of at most `max_entries` values and as many leases, one of each at least.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        let (given_back, _) = broadcast::channel(BACKLOG);
        let journal = MemoryJournal::new();
        Self { state: Mutex::default(), given_back, journal, max_entries: max_entries.max(1) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells who waits for the lease of `key`; nobody may.
    fn wake(&self, key: &Key) {
        self.given_back.send(*key).ok();
    }
}

impl Store for MemoryStore {
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let mut state = self.lock();
            if state.values.get(key).is_some_and(|value| !value.is_live()) {
                state.values.remove(key);
            }
            Ok(state.values.get(key).map(|value| value.it.clone()))
        })
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.lock().put(key, value, life, self.max_entries);
            Ok(())
        })
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.lock().values.remove(key);
            Ok(())
        })
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    fn journal(&self) -> Option<&dyn Journal> {
        Some(&self.journal)
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        Box::pin(async move {
            let live = self.lock().values.values().filter(|value| value.is_live()).count();
            Ok(StoreStatus { keys: u64::try_from(live).ok(), ..StoreStatus::default() })
        })
    }

    fn pool(&self) -> PoolStatus {
        PoolStatus::default()
    }
}

impl Leases for MemoryStore {
    fn acquire<'a>(&'a self, key: &'a Key, life: Duration) -> StoreFuture<'a, Option<Lease>> {
        Box::pin(async move {
            let mut state = self.lock();
            if state.is_leased(key) {
                return Ok(None);
            }
            state.leases.remove(key);
            if state.leases.len() >= self.max_entries {
                state.leases.retain(|_, lease| lease.is_live());
            }
            if state.leases.len() >= self.max_entries {
                return Err(StoreError::Server("OOM: no room for another lease".to_owned()));
            }
            let held = state.mortal((), life);
            let lease = Lease::new([held.number.to_le_bytes(), state.standing(key)].concat().into());
            state.leases.insert(*key, held);
            Ok(Some(lease))
        })
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        lease: &'a Lease,
        value: Bytes,
        life: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut state = self.lock();
            let may_put = state.take_back(key, lease) || state.is_untouched(key, lease);
            if may_put {
                state.put(key, value, life, self.max_entries);
                drop(state);
                self.wake(key);
            }
            Ok(may_put)
        })
    }

    fn release<'a>(&'a self, key: &'a Key, lease: &'a Lease) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            if self.lock().take_back(key, lease) {
                self.wake(key);
            }
            Ok(())
        })
    }

    fn given_back<'a>(&'a self, key: &Key) -> GivenBack<'a> {
        // Now and not when it is polled: what is given back from here on counts.
        let (mut given_back, key) = (self.given_back.subscribe(), *key);
        Box::pin(async move {
            loop {
                match given_back.recv().await {
                    Ok(other) if other == key => return true,
                    Ok(_) => {}
                    // Too many words at once. The sender lives in `self`: the channel can't be closed.
                    Err(_) => return false,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::time::advance;

    use super::*;

    const LIFE: Duration = Duration::from_secs(60);

    fn key(number: u8) -> Key {
        Key::from_bytes([number; 32])
    }

    async fn keys(store: &MemoryStore) -> Vec<u8> {
        let mut keys = Vec::new();
        for number in 0..10 {
            if store.get(&key(number)).await.unwrap().is_some() {
                keys.push(number);
            }
        }
        keys
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_lives_as_long_as_it_was_given() {
        let store = MemoryStore::new(10);
        store.set(&key(0), "short".into(), LIFE).await.unwrap();
        store.set(&key(1), "for ever".into(), Duration::MAX).await.unwrap();
        advance(LIFE - Duration::from_nanos(1)).await;
        assert_eq!(keys(&store).await, [0, 1]);
        advance(Duration::from_nanos(1)).await;
        assert_eq!(store.status().await.unwrap().keys, Some(1));
        assert_eq!(keys(&store).await, [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn over_its_bound_the_dead_go_first_and_then_the_oldest() {
        let store = MemoryStore::new(3);
        for (number, life) in [(0, 2 * LIFE), (1, LIFE), (2, 2 * LIFE)] {
            store.set(&key(number), "x".into(), life).await.unwrap();
        }
        // Written again, it isn't the oldest any more.
        store.set(&key(0), "y".into(), 2 * LIFE).await.unwrap();
        assert_eq!(keys(&store).await, [0, 1, 2]);
        advance(LIFE).await;
        store.set(&key(3), "x".into(), LIFE).await.unwrap();
        assert_eq!(keys(&store).await, [0, 2, 3]);
        store.set(&key(4), "x".into(), LIFE).await.unwrap();
        assert_eq!(keys(&store).await, [0, 3, 4]);
        assert!(store.lock().values.len() <= 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_has_one_holder_and_an_end() {
        let store = MemoryStore::new(2);
        let first = store.acquire(&key(0), LIFE).await.unwrap().unwrap();
        assert_eq!(store.acquire(&key(0), LIFE).await.unwrap(), None);
        advance(LIFE).await;
        let second = store.acquire(&key(0), LIFE).await.unwrap().unwrap();
        store.release(&key(0), &first).await.unwrap();
        assert_eq!(store.acquire(&key(0), LIFE).await.unwrap(), None, "not the first one's to release");
        assert!(!store.commit(&key(0), &first, "late".into(), LIFE).await.unwrap(), "another has it");
        assert!(store.commit(&key(0), &second, "value".into(), LIFE).await.unwrap());
        assert_eq!(store.get(&key(0)).await.unwrap(), Some("value".into()));
        assert!(!store.commit(&key(0), &second, "again".into(), LIFE).await.unwrap());

        for number in 0..2 {
            assert!(store.acquire(&key(number), LIFE).await.unwrap().is_some());
        }
        assert!(store.acquire(&key(2), LIFE).await.is_err(), "over the bound");
        advance(LIFE).await;
        assert!(store.acquire(&key(2), LIFE).await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_lost_a_lease_overwrites_nothing_that_came_meanwhile() {
        let store = MemoryStore::new(10);
        let commit = async |lease: &Lease, value: &'static str| {
            store.commit(&key(0), lease, value.into(), 100 * LIFE).await.unwrap()
        };
        let lost = async || {
            let lease = store.acquire(&key(0), LIFE).await.unwrap().unwrap();
            advance(LIFE).await;
            lease
        };
        // Nobody had it, and all is as it was: over none, and over a value.
        for value in ["first", "second"] {
            let (lease, key_0) = (lost().await, key(0));
            let waiting = store.given_back(&key_0);
            assert!(commit(&lease, value).await);
            assert_eq!(store.get(&key(0)).await.unwrap(), Some(value.into()));
            assert!(waiting.now_or_never().is_some(), "it is there to be had");
            assert!(!commit(&lease, "again").await);
        }
        // Another had it, and has put its value.
        let lease = lost().await;
        let others = store.acquire(&key(0), LIFE).await.unwrap().unwrap();
        assert!(commit(&others, "another's").await);
        assert!(!commit(&lease, "late").await);
        assert_eq!(store.get(&key(0)).await.unwrap(), Some("another's".into()));
        // What stood there is gone: that was somebody's doing too.
        let lease = lost().await;
        store.remove(&key(0)).await.unwrap();
        assert!(!commit(&lease, "late").await);
        assert!(!commit(&Lease::new(Bytes::new()), "no proof of this store").await);
        assert_eq!(store.get(&key(0)).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_hear_of_their_own_lease() {
        let store = MemoryStore::new(10);
        let lease = store.acquire(&key(0), LIFE).await.unwrap().unwrap();
        let other = store.acquire(&key(1), LIFE).await.unwrap().unwrap();
        let (key_0, key_1) = (key(0), key(1));
        // Never polled before the lease is given back.
        let (late, mut early) = (store.given_back(&key_0), store.given_back(&key_0));
        assert!((&mut early).now_or_never().is_none());
        store.commit(&key_1, &other, "x".into(), LIFE).await.unwrap();
        assert!((&mut early).now_or_never().is_none());
        store.release(&key_0, &lease).await.unwrap();
        assert!(early.now_or_never().is_some() && late.now_or_never().is_some());
        assert!(store.given_back(&key_0).now_or_never().is_none(), "that was before");
    }
}
