//! Whether a client's connection has a request in progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a request of a connection is being served: from its whole head to its answer's last byte written.
///
/// A head of which only a part has come is no request. All of it happens in the connection's task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Busy(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether hyper hasn't taken all of the answer.
    serving: AtomicBool,
    /// Whether hyper hasn't written all of it.
    unwritten: AtomicBool,
}

/// A request that is being served, until it is dropped with its answer's body.
#[derive(Debug)]
pub(crate) struct Serving(Busy);

impl Busy {
    /// Begins a request.
    pub(crate) fn begin(&self) -> Serving {
        self.0.serving.store(true, Ordering::Relaxed);
        self.0.unwritten.store(true, Ordering::Relaxed);
        Serving(self.clone())
    }

    /// All that hyper has taken so far is written.
    pub(crate) fn written(&self) {
        if !self.0.serving.load(Ordering::Relaxed) {
            self.0.unwritten.store(false, Ordering::Relaxed);
        }
    }

    /// Whether there is no request in progress.
    pub(crate) fn is_idle(&self) -> bool {
        !self.0.unwritten.load(Ordering::Relaxed)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.0.serving.store(false, Ordering::Relaxed);
    }
}
