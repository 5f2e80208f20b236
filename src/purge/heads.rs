//! Asking the journal whether this process knows all of it: one small read, shared by all who began to wait before it was sent.
//!
//! The head is the nonce of the journal's newest entry, and every append replaces it in one step. If a head that was asked for
//! after a request began is that of the newest entry known, no purge that returned before the request began is unknown. Else what
//! is missing is read. What was asked for before the request began proves nothing: a request never joins a read under way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::journal::{Inner, Trust};
use super::record::{self, Record};
use super::state::Mark;
use super::tail::PAGE;
use crate::store::{Journal, StoreError, guarded};

/// Requests that wait for the next look.
#[derive(Debug, Default)]
pub(super) struct Heads(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Whether there is a task that looks.
    looking: bool,
    next: Option<watch::Sender<Option<Trust>>>,
}

impl Heads {
    /// [`Trust::Known`]: all that the journal held when this was called is known now.
    pub(super) async fn ask(inner: &Arc<Inner>) -> Trust {
        let Ok(runtime) = Handle::try_current() else { return Trust::Grace };
        let mut answer = {
            let mut waiting = inner.heads.lock();
            let answer = waiting.next.get_or_insert_with(|| watch::Sender::new(None)).subscribe();
            if !std::mem::replace(&mut waiting.looking, true) {
                let looking = Looking { inner: Arc::clone(inner), done: false };
                drop(waiting);
                runtime.spawn(looking.run());
            }
            answer
        };
        answer.wait_for(Option::is_some).await.ok().and_then(|answer| *answer).unwrap_or(Trust::Grace)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that looks, one read after the other, while there are waiters. Dropped with its runtime, it answers none of them.
struct Looking {
    inner: Arc<Inner>,
    done: bool,
}

impl Looking {
    async fn run(mut self) {
        while let Some(answer) = self.next() {
            answer.send_replace(Some(self.inner.look().await));
        }
    }

    fn next(&mut self) -> Option<watch::Sender<Option<Trust>>> {
        let mut waiting = self.inner.heads.lock();
        let next = waiting.next.take();
        // NOTE: under the lock: whoever comes next starts another.
        waiting.looking = next.is_some();
        self.done = next.is_none();
        next
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        if !self.done {
            *self.inner.heads.lock() = Waiting::default();
        }
    }
}

impl Inner {
    /// One look, within the time for a lookup.
    async fn look(&self) -> Trust {
        let (Some(link), Some(journal)) = (&self.link, self.journal()) else { return Trust::Known };
        let Some(leave) = link.breaker.admit().filter(|_| self.read().is_ready()) else {
            return Trust::Grace;
        };
        let asked = self.cycle();
        let looked = timeout(link.lookup_timeout, guarded(self.is_current(journal))).await;
        let looked = looked.unwrap_or(Err(StoreError::Timeout));
        link.breaker.report(leave, looked.as_ref().map(drop));
        match looked {
            Ok(true) => {
                self.touched(asked);
                Trust::Known
            }
            // It was asked, and what is known here isn't what it holds: that is no partition.
            Ok(false) => Trust::Nothing,
            Err(_) => Trust::Grace,
        }
    }

    async fn is_current(&self, journal: &dyn Journal) -> Result<bool, StoreError> {
        let look = self.read().look();
        let head = journal.head().await?.and_then(|head| record::read_head(&head));
        if self.read().is_current(look, head) {
            return Ok(true);
        }
        loop {
            let Some(mark) = self.mark() else { return Ok(false) };
            let entries = journal.range(mark.id, PAGE).await?;
            let whole = entries.len() < PAGE;
            let records: Vec<_> = entries.iter().map(Record::read).collect();
            let followed = self.change(|state| state.follow(mark, &records).is_ok() && !state.is_exhausted());
            if !followed {
                self.doubt();
                return Ok(false);
            }
            if whole {
                return Ok(true);
            }
        }
    }

    /// Where to read on, once the journal was read.
    fn mark(&self) -> Option<Mark> {
        let state = self.read();
        state.mark().filter(|_| state.is_ready())
    }
}
