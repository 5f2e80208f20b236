//! The way of a request that memory couldn't answer, from top to bottom.

use std::panic::resume_unwind;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt as _;
use tower_service::Service;
use tracing::Instrument as _;

use crate::answer::{self, How};
use crate::body::CacheBody;
use crate::cache::{Running, Shared};
use crate::conditional;
use crate::entry::Entry;
use crate::flight::{Context, End, Fill, Filled, First, Joined, Lead, Waiter};
use crate::policy::{Bypass, Refusal};
use crate::route::{RequestHead, Route};
use crate::store::Target;

/// A request that memory couldn't answer.
pub(crate) struct Miss<S, P> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) route: Arc<Route>,
    pub(crate) inner: S,
    pub(crate) parts: Parts,
    pub(crate) head: RequestHead,
    pub(crate) body: P,
    pub(crate) target: Target,
    /// Until the answer, or the fill, is there.
    pub(crate) running: Running,
}

/// Fills a request waits for before it goes to the origin by itself: the first one, and that of one elected waiter.
const FLIGHTS: usize = 2;

/// Answers from the shared tier, from another request's fill, or by a fill of its own.
pub(crate) async fn miss<S, P, R>(mut miss: Miss<S, P>) -> Result<Response<CacheBody<R>>, S::Error>
where
    S: Service<Request<P>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    P: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send + 'static,
{
    if let Some(entry) = miss.look_up().await {
        miss.route.stats.hit_shared();
        return Ok(miss.answer(&entry, How::Hit));
    }
    if miss.parts.method == Method::HEAD {
        return miss.forward(Refusal::Head).await;
    }
    if conditional::is_for_origin(&miss.parts.headers) {
        return miss.past(Bypass::Precondition).await;
    }
    match miss.lead_or_follow().await {
        Turn::Fill(lead, waiter) => miss.fill(lead, waiter).await,
        Turn::Answer(entry, how) => Ok(miss.answer(&entry, how)),
        Turn::Past(reason) => miss.past(reason).await,
    }
}

/// What a request does once the tiers had nothing for it.
enum Turn {
    Fill(Lead, Waiter),
    Answer(Arc<Entry>, How),
    Past(Bypass),
}

impl<S, P> Miss<S, P> {
    async fn look_up(&mut self) -> Option<Arc<Entry>> {
        self.shared.tiers.look_up(&self.route, &mut self.target, &self.head.headers).await
    }

    fn answer<R: Body>(&self, entry: &Entry, how: How) -> Response<CacheBody<R>> {
        let now = self.shared.clock.now();
        let RequestHead { method, headers } = &self.head;
        let response = answer::from_entry(entry, method, headers, now, how, &self.shared.names);
        self.route.count(&response);
        response
    }

    /// Joins the fill of the key or leads one. Waits for two fills at most, and no longer than `coalesce_timeout` in all.
    async fn lead_or_follow(&mut self) -> Turn {
        let shared = Arc::clone(&self.shared);
        let patience = Instant::now() + shared.limits.coalesce_timeout;
        let mut waited = 0;
        while waited < FLIGHTS && !shared.uncacheable.contains(&self.target.key) {
            let waiter = match shared.flights.join(self.target.key) {
                Joined::Full => return Turn::Past(Bypass::FillsFull),
                Joined::Lead(mut lead, waiter) => {
                    // The fill before this one may have ended between the look into memory and now.
                    return match self.recall() {
                        Some(entry) => {
                            let fields =
                                self.target.vary.as_ref().map_or_else(Vec::new, |vary| vary.fields.clone());
                            lead.announce(End::Stored(Filled {
                                entry: Arc::clone(&entry),
                                fields: fields.into(),
                            }));
                            self.route.stats.hit_memory();
                            Turn::Answer(entry, How::Hit)
                        }
                        None => Turn::Fill(lead, waiter),
                    };
                }
                Joined::Follow(waiter) => waiter,
            };
            let Ok(end) = timeout_at(patience, waiter.end()).await else {
                break;
            };
            match end {
                End::Stored(filled) if self.target.accepts(&filled, &self.head.headers) => {
                    self.route.stats.collapsed();
                    return Turn::Answer(filled.entry, How::Collapsed);
                }
                // The resource varies, and that fill was for another variant: look again, now under its own key.
                End::Stored(_) => match self.recall() {
                    Some(entry) => {
                        self.route.stats.hit_memory();
                        return Turn::Answer(entry, How::Hit);
                    }
                    None => waited += 1,
                },
                End::Refused => break,
                End::Failed | End::Aborted => waited += 1,
            }
        }
        match shared.flights.solo() {
            Some((lead, waiter)) => Turn::Fill(lead, waiter),
            None => Turn::Past(Bypass::FillsFull),
        }
    }

    fn recall(&mut self) -> Option<Arc<Entry>> {
        let now = self.shared.clock.now();
        match self.shared.tiers.recall(&self.route, self.target.primary, &self.head.headers, now) {
            Ok(entry) => Some(entry),
            Err(target) => {
                self.target = target;
                None
            }
        }
    }
}

impl<S, P, R> Miss<S, P>
where
    S: Service<Request<P>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    /// To the origin, by a detached task: whoever hangs up, the fill goes on.
    async fn fill(mut self, lead: Lead, waiter: Waiter) -> Result<Response<CacheBody<R>>, S::Error>
    where
        S: Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        P: Send + 'static,
        R: Send + 'static,
        R::Error: Send + 'static,
    {
        self.route.disguise(&mut self.parts);
        conditional::strip_validators(&mut self.parts.headers);
        let (first, answered) = oneshot::channel();
        let fill = Fill {
            inner: self.inner,
            request: Request::from_parts(self.parts, self.body),
            lead,
            first,
            context: Context {
                shared: Arc::clone(&self.shared),
                route: Arc::clone(&self.route),
                target: self.target,
                head: self.head,
                held: None,
            },
        };
        self.shared.spawn(fill.run().in_current_span());
        drop(self.running);
        match answered.await {
            Ok(First::Answer(mut response)) => {
                response.body_mut().hold(waiter);
                Ok(response)
            }
            Ok(First::Error(error)) => Err(error),
            Ok(First::Panic(payload)) => resume_unwind(payload),
            Err(_) => {
                self.route.stats.aborted();
                Ok(answer::gateway(StatusCode::SERVICE_UNAVAILABLE, Refusal::FillAborted, &self.shared.names))
            }
        }
    }

    /// To the origin without a fill, because the answer can't be stored.
    async fn forward(mut self, refusal: Refusal) -> Result<Response<CacheBody<R>>, S::Error> {
        self.route.stats.forwarded();
        self.route.disguise(&mut self.parts);
        self.shared.mark(&mut self.parts.extensions);
        let response = self.inner.oneshot(Request::from_parts(self.parts, self.body)).await?;
        let mut response = response.map(CacheBody::origin);
        self.shared.names.mark_miss(response.headers_mut(), Some(refusal));
        Ok(response)
    }

    /// To the origin, past the cache.
    async fn past(self, reason: Bypass) -> Result<Response<CacheBody<R>>, S::Error> {
        self.route.bypassed(reason);
        let response = self.inner.oneshot(Request::from_parts(self.parts, self.body)).await?;
        let mut response = response.map(CacheBody::origin);
        self.shared.names.mark_bypass(response.headers_mut(), reason);
        Ok(response)
    }
}
