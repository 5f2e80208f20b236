//! Fills that no request waits for: of an entry that is stale and answered all the same, or that soon will be.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tower_service::Service;
use tracing::Instrument as _;

use crate::drive::Miss;
use crate::entry::Entry;
use crate::flight::Lead;
use crate::purge::{Stamp, Trust};

/// Whether a refresh asks the shared tier before the origin: another process may have refreshed the entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    First,
    Done,
}

impl<S, P> Miss<S, P> {
    /// What another fill, or another process, has brought meanwhile, if it needn't be refreshed itself.
    async fn refreshed_elsewhere(&mut self, look: Look) -> Option<Arc<Entry>> {
        if let Some(entry) = self.recall().filter(|entry| !self.is_due(entry)) {
            return Some(entry);
        }
        if look == Look::Done || self.trust != Trust::Known {
            return None;
        }
        // No request's lookup: it counts among no request's misses.
        let found = self.shared.tiers.look_up(&self.route, &mut self.target, &self.head.headers).await;
        self.unanswered = found.is_err();
        found.ok().flatten().filter(|entry| !self.is_due(entry))
    }
}

impl<S, P, R> Miss<S, P>
where
    S: Service<Request<P>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    /// Begins a detached fill, unless one of the key runs or failed just now. The request has its answer already, from
    /// `fresh` if that is still fresh.
    pub(crate) fn refresh(mut self, look: Look, fresh: Option<Arc<Entry>>)
    where
        S: Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        P: Send + 'static,
        R: Send + 'static,
        R::Error: Send + 'static,
    {
        self.target.stale = fresh.or(self.target.stale.take());
        let key = self.target.key;
        // Outside a runtime there is no task.
        if Handle::try_current().is_err() || self.shared.failing.contains(&key, self.shared.clock.now()) {
            return;
        }
        let overtaken = |stamp: &Stamp| self.is_overtaken(stamp);
        let stamp = self.shared.purges.stamp();
        let Some(lead) = self.shared.flights.refresh(key, stamp, overtaken) else { return };
        self.route.stats.refresh();
        let shared = Arc::clone(&self.shared);
        shared.spawn(self.refreshed(lead, look).in_current_span());
    }

    async fn refreshed(mut self, mut lead: Lead, look: Look) {
        if let Some(entry) = self.refreshed_elsewhere(look).await {
            lead.announce(self.filled(entry));
            return;
        }
        let (first, _) = oneshot::channel();
        let (fill, _running) = self.into_fill(lead, first, true);
        fill.run().await;
    }
}
