//! Shuttle's locks and atomics. Tokio's watch and notify are as they are: a call to them is one step, before and after which
//! others may run. What happens inside one is tokio's to test, which it does with loom.

pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic};

use atomic::{AtomicUsize, Ordering};

/// Lets the scheduler choose who goes on. Not a yield, which would be a hint that it should be another.
fn switch() {
    AtomicUsize::new(0).load(Ordering::SeqCst);
}

/// A [`tokio::sync::Notify`].
#[derive(Debug)]
pub(crate) struct Notify(tokio::sync::Notify);

impl Notify {
    pub(crate) fn new() -> Self {
        Self(tokio::sync::Notify::new())
    }

    pub(crate) fn notify_one(&self) {
        switch();
        self.0.notify_one();
        switch();
    }

    pub(crate) async fn notified(&self) {
        switch();
        self.0.notified().await;
        switch();
    }
}

pub(crate) mod watch {
    use tokio::sync::watch;
    use tokio::sync::watch::error::RecvError;

    use super::switch;

    /// A [`watch::Sender`].
    #[derive(Debug)]
    pub(crate) struct Sender<T>(watch::Sender<T>);

    /// A [`watch::Receiver`].
    #[derive(Debug)]
    pub(crate) struct Receiver<T>(watch::Receiver<T>);

    impl<T> Sender<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(watch::Sender::new(value))
        }

        pub(crate) fn send_replace(&self, value: T) -> T {
            switch();
            let old = self.0.send_replace(value);
            switch();
            old
        }

        pub(crate) fn subscribe(&self) -> Receiver<T> {
            switch();
            let receiver = self.0.subscribe();
            switch();
            Receiver(receiver)
        }
    }

    impl<T> Receiver<T> {
        // NOTE: no switch while the reference lives. It holds a lock that shuttle doesn't know.
        pub(crate) async fn wait_for(
            &mut self,
            condition: impl FnMut(&T) -> bool,
        ) -> Result<watch::Ref<'_, T>, RecvError> {
            switch();
            self.0.wait_for(condition).await
        }
    }
}
