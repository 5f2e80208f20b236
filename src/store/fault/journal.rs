//! The operations of the journal, struck as the faults say.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::forward::after;
use super::{Operation, Shared};
use crate::purge::JournalId;
use crate::store::{Append, Appended, Journal, JournalEntry, StoreError, StoreFuture, Tail};

impl Shared {
    fn inner_journal(&self) -> Result<&dyn Journal, StoreError> {
        self.inner.journal().ok_or(StoreError::Unavailable)
    }
}

impl Journal for Arc<Shared> {
    fn tail(&self) -> StoreFuture<'_, Box<dyn Tail>> {
        let strike = self.strike(Operation::Tail, None);
        Box::pin(after(strike, async move {
            let inner = self.inner_journal()?.tail().await?;
            Ok(Box::new(FaultTail { inner, shared: Self::clone(self) }) as Box<dyn Tail>)
        }))
    }

    fn append<'a>(&'a self, append: &'a Append) -> StoreFuture<'a, Appended> {
        let strike = self.strike(Operation::Journal, None);
        Box::pin(after(strike, async move { self.inner_journal()?.append(append).await }))
    }

    fn head(&self) -> StoreFuture<'_, Option<Bytes>> {
        let strike = self.strike(Operation::Journal, None);
        Box::pin(after(strike, async move { self.inner_journal()?.head().await }))
    }

    fn range(&self, from: JournalId, count: usize) -> StoreFuture<'_, Vec<JournalEntry>> {
        let strike = self.strike(Operation::Journal, None);
        Box::pin(after(strike, async move { self.inner_journal()?.range(from, count).await }))
    }

    fn trust(&self, server: Option<&str>) {
        if let Some(journal) = self.inner.journal() {
            journal.trust(server);
        }
    }
}

/// A tail of the store behind.
struct FaultTail {
    inner: Box<dyn Tail>,
    shared: Arc<Shared>,
}

impl Tail for FaultTail {
    fn server(&self) -> &str {
        self.inner.server()
    }

    fn head(&mut self) -> StoreFuture<'_, Option<Bytes>> {
        let strike = self.shared.strike(Operation::Tail, None);
        Box::pin(after(strike, async { self.inner.head().await }))
    }

    fn range(&mut self, from: JournalId, count: usize) -> StoreFuture<'_, Vec<JournalEntry>> {
        let strike = self.shared.strike(Operation::Tail, None);
        Box::pin(after(strike, async move { self.inner.range(from, count).await }))
    }

    fn append<'a>(&'a mut self, append: &'a Append) -> StoreFuture<'a, Appended> {
        let strike = self.shared.strike(Operation::Tail, None);
        Box::pin(after(strike, async { self.inner.append(append).await }))
    }

    fn wait(&mut self, after_id: JournalId, time: Duration) -> StoreFuture<'_, bool> {
        let strike = self.shared.strike(Operation::Tail, None);
        Box::pin(after(strike, async move { self.inner.wait(after_id, time).await }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AppendMode, Fault, FaultStore, MemoryStore, Store as _};

    #[tokio::test(start_paused = true)]
    async fn the_journal_and_its_tail_are_struck_when_named() {
        let store = FaultStore::new(Arc::new(MemoryStore::new(10)));
        let journal = store.journal().unwrap();
        store.inject(Fault::error(StoreError::Timeout));
        let append = Append::new(vec![("n".into(), "1".into())], "1".into(), AppendMode::Create);
        let id = journal.append(&append).await.unwrap().id.unwrap();
        let mut tail = journal.tail().await.unwrap();
        assert_eq!(tail.range(id, 10).await.unwrap(), journal.range(id, 10).await.unwrap());
        assert_eq!(store.counts().all_struck(), 0, "nobody named them");

        let fault = store.inject(Fault::error(StoreError::Timeout).on([Operation::Tail]));
        assert!(tail.head().await.is_err() && tail.append(&append).await.is_err());
        assert!(tail.range(id, 1).await.is_err() && tail.wait(id, Duration::ZERO).await.is_err());
        assert!(journal.tail().await.is_err() && journal.head().await.is_ok());
        fault.lift();
        store.inject(Fault::error(StoreError::Timeout).on([Operation::Journal]));
        assert!(journal.head().await.is_err() && journal.append(&append).await.is_err());
        assert!(journal.range(id, 1).await.is_err() && tail.head().await.is_ok());
        assert_eq!(store.counts().struck(Operation::Tail), 5);
    }
}
