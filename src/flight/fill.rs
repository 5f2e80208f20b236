//! The fill: calls the inner service, records its response, commits it, and announces how it ended.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use http::{Request, Response};
use http_body::Body;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt as _;
use tower_service::Service;

use super::context::{Context, throttle};
use super::head::is_error;
use super::settle::Settled;
use super::{End, Lead};
use crate::body::CacheBody;
use crate::entry::Entry;

/// What the first caller gets; nobody else can have it.
pub(crate) enum First<R: Body, E> {
    /// The inner service's response.
    Answer(Response<CacheBody<R>>),
    /// The entry that the fill knew of may stand in for this.
    Failed(Failure<R, E>, Option<Arc<Entry>>),
}

/// How a fill failed.
pub(crate) enum Failure<R: Body, E> {
    /// The inner service's response.
    Answer(Response<CacheBody<R>>),
    /// The cache's own, because the service gave none in time, or one that can't be used.
    Own(Response<CacheBody<R>>),
    /// The inner service's error.
    Error(E),
    /// The inner service's panic, to be resumed.
    Panic(Box<dyn Any + Send>),
}

impl<R: Body, E> First<R, E> {
    pub(super) fn of(answer: Response<CacheBody<R>>, failed: bool, context: &Context) -> Self {
        if failed { context.failure(Failure::Answer(answer)) } else { Self::Answer(answer) }
    }
}

/// A fill that is about to run.
pub(crate) struct Fill<S, P, R: Body, E> {
    pub(crate) inner: S,
    pub(crate) request: Request<P>,
    /// The same without preconditions, where the request has some of the cache's own.
    pub(crate) spare: Option<(S, Request<P>)>,
    pub(crate) lead: Lead,
    pub(crate) first: oneshot::Sender<First<R, E>>,
    pub(crate) context: Context,
}

impl<S, P, R> Fill<S, P, R, S::Error>
where
    S: Service<Request<P>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    /// Runs to the end, or until nobody waits and too many such fills run.
    pub(crate) async fn run(self) {
        let cancelled = pin!(self.lead.cancelled());
        let Context { shared, route, target, .. } = &self.context;
        let (shared, route, stale) = (Arc::clone(shared), Arc::clone(route), target.stale.clone());
        if let Either::Right(_) = select(pin!(self.fill()), cancelled).await {
            // Else each request would begin what is cancelled again.
            throttle(&shared, &route, stale.as_deref());
        }
    }

    async fn fill(self) {
        let Self { inner, request, mut spare, mut lead, first, mut context } = self;
        if lead.is_shared()
            && let Some(filled) = context.await_turn(&lead).await
        {
            // A refresh has nobody to answer.
            let response = (!first.is_closed()).then(|| context.follow(&filled.entry));
            lead.announce(End::Stored(filled));
            if let Some(response) = response {
                first.send(First::Answer(response)).ok();
            }
            return;
        }
        lead.take_turn();
        if !context.refresh {
            context.route.stats.forwarded();
        }
        let (mut inner, mut request) = (inner, request);
        let mut started = Instant::now();
        let failure = loop {
            let deadline = context.deadline(started);
            // NOTE: before the call: a purge that comes while the service works is about what it answers.
            context.stamp = context.shared.purges.stamp();
            context.asked = context.shared.clock.now();
            context.shared.mark(request.extensions_mut());
            let called = AssertUnwindSafe(async move { inner.oneshot(request).await }).catch_unwind();
            let (parts, body) = match timeout_at(deadline, called).await {
                Ok(Ok(Ok(response))) => response.into_parts(),
                Ok(Ok(Err(error))) => break Failure::Error(error),
                Ok(Err(panic)) => break Failure::Panic(panic),
                Err(_) => break Failure::Own(context.timed_out()),
            };
            let settled = context.settle(&parts);
            match &settled {
                Settled::Record(_) => context.overtake_part(&parts, None),
                Settled::Refused(refusal) => context.overtake_part(&parts, Some(*refusal)),
                _ => {}
            }
            match settled {
                Settled::Record(draft) => {
                    return context.record(parts, body, draft, started, lead, first).await;
                }
                Settled::Confirmed(confirmed) => match context.confirm(&confirmed, &mut lead) {
                    Some(response) => {
                        context.route.stats.fill(started.elapsed());
                        first.send(First::Answer(response)).ok();
                        return;
                    }
                    None => context.let_go(Some(confirmed.base())),
                },
                Settled::Again(base) => context.let_go(base.as_ref()),
                Settled::Rest(part) => match context.complete(&part, &parts, body, started).await {
                    Some(filled) => {
                        context.route.stats.fill(started.elapsed());
                        let response = context.completed(&filled.entry);
                        lead.announce(End::Stored(filled));
                        first.send(First::Answer(response)).ok();
                        return;
                    }
                    None => context.let_go(Some(&part)),
                },
                // Nobody but this cache has asked whether something was modified.
                Settled::Refused(_) if context.is_unusable(&parts) => {
                    break Failure::Own(context.unusable());
                }
                Settled::Refused(refusal) => {
                    context.route.stats.fill(started.elapsed());
                    let failed = is_error(parts.status);
                    lead.announce(context.refused(refusal, parts.status, failed));
                    let answer = context.answer(parts, CacheBody::origin(body), Some(refusal));
                    first.send(First::of(answer, failed, &context)).ok();
                    return;
                }
            }
            // The one second call (RFC 9111 §4.3.4): the answer was about a response that isn't stored.
            match spare.take() {
                Some(again) => {
                    (inner, request) = again;
                    started = Instant::now();
                }
                None => break Failure::Own(context.unusable()),
            }
        };
        context.route.stats.fill(started.elapsed());
        let panicked = matches!(failure, Failure::Panic(_));
        lead.announce(context.failed(if panicked { End::Panicked } else { End::Failed }));
        first.send(context.failure(failure)).ok();
    }
}
