//! What a request gets that the origin doesn't answer, or not in time: a stale entry, or 504.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use http_body::Body;
use tokio::time::{Instant, timeout_at};

use crate::answer::{self, How};
use crate::body::CacheBody;
use crate::cache::Shared;
use crate::cache_status::Forward;
use crate::entry::Entry;
use crate::policy::{Refusal, Stale};
use crate::purge::{Trust, Validity};
use crate::route::{RequestHead, Route};

/// What stands in for the origin's answer to one request.
pub(crate) struct Fallback {
    pub(crate) shared: Arc<Shared>,
    pub(crate) route: Arc<Route>,
    pub(crate) head: Arc<RequestHead>,
    pub(crate) stale: Option<Arc<Entry>>,
    /// A stale part that answers the request, where there is no whole.
    pub(crate) part: Option<Arc<Entry>>,
    /// How the request may use it.
    pub(crate) trust: Trust,
    /// The request itself forbids it.
    pub(crate) barred: bool,
    /// Why the request goes to the origin.
    pub(crate) why: Forward,
    /// When the request turned to the origin.
    pub(crate) since: Instant,
}

impl Fallback {
    /// Waits for `work`, no longer than the policy's time-outs allow. In place of a late end comes what stands in.
    pub(crate) async fn wait<T, R: Body>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, Response<CacheBody<R>>> {
        let mut work = pin!(work);
        let rules = &self.route.rules.stale;
        if let Some(soft) = rules.soft_timeout
            && self.stale.is_some()
        {
            if let Ok(done) = timeout_at(self.at(soft), &mut work).await {
                return Ok(done);
            }
            if let Some(response) = self.stale(Stale::SoftTimeout) {
                return Err(response);
            }
        }
        let Some(hard) = rules.hard_timeout else { return Ok(work.await) };
        timeout_at(self.at(hard), work).await.map_err(|_| {
            self.stale(Stale::HardTimeout).unwrap_or_else(|| {
                self.route.stats.refused(Refusal::HardTimeout);
                let names = &self.shared.names;
                answer::gateway(StatusCode::GATEWAY_TIMEOUT, self.forward(), Refusal::HardTimeout, names)
            })
        })
    }

    /// Why the request goes to the origin.
    pub(crate) fn forward(&self) -> Forward {
        match self.why {
            // More may be known by now.
            Forward::Miss if self.stale.is_some() => Forward::Stale,
            why => why,
        }
    }

    /// Whether there is an entry that the response's own directives forbid to use without the origin ([RFC 9111 §5.2.2.2]).
    ///
    /// [RFC 9111 §5.2.2.2]: https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.2
    pub(crate) fn is_forbidden(&self) -> bool {
        self.stale.as_ref().is_some_and(|entry| entry.windows.if_error == 0 && entry.windows.revalidate > 0)
    }

    fn at(&self, wait: Duration) -> Instant {
        self.since + wait
    }

    /// The answer from the stale entry, if it may stand in for an error now. One that is an error itself is no better than the
    /// origin's next.
    pub(crate) fn stale<R: Body>(&self, reason: Stale) -> Option<Response<CacheBody<R>>> {
        if self.is_error() && reason == Stale::IfError { None } else { self.stand_in(reason) }
    }

    /// The same in place of the origin's answer with this status, which is told where it is another one than the entry's.
    pub(crate) fn in_place_of<R: Body>(&self, status: StatusCode) -> Option<Response<CacheBody<R>>> {
        if self.is_error() { None } else { self.answer(Stale::IfError, Some(status)) }
    }

    fn is_error(&self) -> bool {
        self.stale.as_ref().is_some_and(|entry| entry.status.is_server_error())
    }

    /// The same where the origin gave no answer at all.
    pub(crate) fn stand_in<R: Body>(&self, reason: Stale) -> Option<Response<CacheBody<R>>> {
        self.answer(reason, None)
    }

    fn answer<R: Body>(&self, reason: Stale, status: Option<StatusCode>) -> Option<Response<CacheBody<R>>> {
        let now = self.shared.clock.now();
        let entry = self.stale.as_ref().or(self.part.as_ref());
        let entry = entry.filter(|entry| !self.barred && entry.serves_if_error(now))?;
        // Purges go on while the origin is waited for.
        if self.shared.purges.worth(entry, self.trust) == Validity::Gone {
            return None;
        }
        let status = status.filter(|status| *status != entry.status);
        let RequestHead { method, headers, .. } = &*self.head;
        let response =
            answer::from_entry(entry, method, headers, now, How::Stale(reason, status), &self.shared.names);
        self.route.stats.stale(reason);
        self.route.count(&response);
        Some(response)
    }
}
