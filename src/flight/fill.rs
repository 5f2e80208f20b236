//! The fill: calls the inner service, records its response, commits it, and announces how it ended.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use http::{Request, Response, StatusCode, header, response};
use http_body::{Body, Frame};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt as _;
use tower_service::Service;

use super::head::{declared_length, is_answer, is_error};
use super::record::{Recording, Step};
use super::{End, Filled, Lead};
use crate::answer;
use crate::body::{CacheBody, Piece};
use crate::cache::Shared;
use crate::conditional;
use crate::entry::Entry;
use crate::policy::Refusal;
use crate::purge::{Stamp, Tag};
use crate::route::{RequestHead, Route};
use crate::store::{Draft, Held, Target};

/// What the first caller gets; nobody else can have it.
pub(crate) enum First<R: Body, E> {
    /// The inner service's response.
    Answer(Response<CacheBody<R>>),
    /// The entry that the fill knew of may stand in for this.
    Failed(Failure<R, E>, Option<Arc<Entry>>),
}

/// How a fill failed.
pub(crate) enum Failure<R: Body, E> {
    /// The inner service's response, or the cache's own 504.
    Answer(Response<CacheBody<R>>),
    /// The inner service's error.
    Error(E),
    /// The inner service's panic, to be resumed.
    Panic(Box<dyn Any + Send>),
}

impl<R: Body, E> First<R, E> {
    fn of(answer: Response<CacheBody<R>>, failed: bool, context: &Context) -> Self {
        if failed { context.failure(Failure::Answer(answer)) } else { Self::Answer(answer) }
    }
}

/// A fill that is about to run.
pub(crate) struct Fill<S, P, R: Body, E> {
    pub(crate) inner: S,
    pub(crate) request: Request<P>,
    pub(crate) lead: Lead,
    pub(crate) first: oneshot::Sender<First<R, E>>,
    pub(crate) context: Context,
}

/// What a fill knows beside its request.
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) route: Arc<Route>,
    pub(crate) target: Target,
    /// Method and fields as the client sent them.
    pub(crate) head: Arc<RequestHead>,
    /// The shared tier didn't answer a moment ago.
    pub(crate) unanswered: bool,
    /// The lease of the target's key, once it is this process's turn to fill.
    pub(crate) held: Option<Arc<Held>>,
    /// No request waits for it from its start.
    pub(crate) refresh: bool,
    /// What the request is about.
    pub(crate) tags: Arc<[Tag]>,
    /// How far purges were known before the inner service was called.
    pub(crate) stamp: Stamp,
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
        let Self { inner, mut request, mut lead, first, mut context } = self;
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
        let started = Instant::now();
        let deadline = context.deadline(started);
        // NOTE: before the call: a purge that comes while the service works is about what it answers.
        context.stamp = context.shared.purges.stamp();
        context.shared.mark(request.extensions_mut());
        let called = AssertUnwindSafe(async move { inner.oneshot(request).await }).catch_unwind();
        let failure = match timeout_at(deadline, called).await {
            Ok(Ok(Ok(response))) => {
                let (parts, body) = response.into_parts();
                match context.judge(&parts) {
                    Ok(draft) => return context.record(parts, body, draft, started, lead, first).await,
                    Err(refusal) => {
                        context.route.stats.fill(started.elapsed());
                        let failed = is_error(parts.status);
                        lead.announce(context.refused(refusal, parts.status, failed));
                        let answer = context.answer(parts, CacheBody::origin(body), Some(refusal));
                        first.send(First::of(answer, failed, &context)).ok();
                        return;
                    }
                }
            }
            Ok(Ok(Err(error))) => Failure::Error(error),
            Ok(Err(panic)) => Failure::Panic(panic),
            Err(_) => {
                let names = &context.shared.names;
                Failure::Answer(answer::gateway(
                    StatusCode::GATEWAY_TIMEOUT,
                    context.target.forward(),
                    Refusal::FillTimeout,
                    names,
                ))
            }
        };
        context.route.stats.fill(started.elapsed());
        let panicked = matches!(failure, Failure::Panic(_));
        lead.announce(context.failed(if panicked { End::Panicked } else { End::Failed }));
        first.send(context.failure(failure)).ok();
    }
}

/// How long a key is remembered as uncacheable.
const UNCACHEABLE: Duration = Duration::from_secs(120);

/// Leaves the origin alone for a while as far as `stale` can stand in.
pub(crate) fn throttle(shared: &Shared, route: &Route, stale: Option<&Entry>) {
    if let Some(stale) = stale {
        shared.failing.remember(stale.key, shared.clock.now(), route.rules.stale.error_throttle);
    }
}

/// How a recording came out.
enum Outcome {
    /// Committed. The last frame, if there is one, may go on now.
    Stored(Filled, Option<Frame<Bytes>>),
    /// Not stored. The last frame, if there is one, goes on all the same.
    Not(End, Refusal, Option<Frame<Bytes>>),
    Panicked(Box<dyn Any + Send>),
}

impl Context {
    /// When a fill that started then must be done.
    fn deadline(&self, started: Instant) -> Instant {
        started + self.shared.limits.fill_timeout
    }

    /// The response's head, judged.
    fn judge(&self, parts: &response::Parts) -> Result<Draft, Refusal> {
        let received = self.shared.clock.now();
        let RequestHead { method, headers, .. } = &*self.head;
        // An error doesn't take the place of an entry that is of use.
        let is_of_use = |entry: &Arc<Entry>| entry.fresh_for(received).is_some() || entry.is_of_use(received);
        if is_error(parts.status) && self.target.stale.as_ref().is_some_and(is_of_use) {
            return Err(Refusal::ServerError);
        }
        let verdict = self.route.rules.judge(method, headers, parts, received)?;
        let declared = declared_length(parts)?;
        if declared.is_some_and(|declared| declared > self.route.rules.max_body as u64) {
            return Err(Refusal::TooLarge);
        }
        let fields = crate::key::vary_fields(&parts.headers)?;
        let response_tags = self.route.response_tags(&self.head, &self.tags, parts)?;
        let (stamp, request_tags) = (self.stamp, Arc::clone(&self.tags));
        let mut parts = parts.clone();
        answer::date(&mut parts.headers, received);
        Ok(Draft { parts, verdict, received, fields, declared, stamp, request_tags, response_tags })
    }

    /// Whether a stale entry may stand in for a failure now.
    fn may_stand_in(&self) -> bool {
        self.target.stale.as_ref().is_some_and(|entry| entry.serves_if_error(self.shared.clock.now()))
    }

    /// Counts a refusal; what followers hear of it. `failed`: the response was no answer but an error.
    fn refused(&self, refusal: Refusal, status: StatusCode, failed: bool) -> End {
        self.route.stats.refused(refusal);
        let stale = self.target.stale.as_ref();
        if refusal.is_structural() && !(failed && stale.is_some()) {
            let now = self.shared.clock.now();
            self.shared.uncacheable.remember(self.target.key, now, UNCACHEABLE);
        }
        if failed {
            return self.failed(End::Failed);
        }
        match stale {
            // The origin has a new answer, and it is for nobody else.
            Some(stale) if refusal.is_structural() && is_answer(status) => self.shared.tiers.forget(stale),
            // Each hit would begin another.
            Some(stale) if self.refresh => throttle(&self.shared, &self.route, Some(stale)),
            _ => {}
        }
        End::Refused(refusal)
    }

    fn failure<R: Body, E>(&self, failure: Failure<R, E>) -> First<R, E> {
        First::Failed(failure, self.target.stale.clone())
    }

    /// Leaves the origin alone for a while, if an entry may stand in.
    fn failed(&self, end: End) -> End {
        throttle(&self.shared, &self.route, self.target.stale.as_deref());
        end
    }

    /// The first caller's answer: the origin's, and what the cache did with it.
    fn answer<R: Body>(
        &self,
        mut parts: response::Parts,
        body: CacheBody<R>,
        refusal: Option<Refusal>,
    ) -> Response<CacheBody<R>> {
        self.route.rules.tag_fields.strip(&mut parts.headers);
        self.shared.names.mark_forwarded(&mut parts.headers, self.target.forward(), refusal);
        Response::from_parts(parts, body)
    }

    /// Records the body. The first caller is answered with the whole, or with a stream once the body makes it wait; where
    /// a stale entry may stand in for a broken body, with the whole alone.
    async fn record<R: Body<Data = Bytes>, E>(
        self,
        mut parts: response::Parts,
        body: R,
        draft: Draft,
        started: Instant,
        mut lead: Lead,
        first: oneshot::Sender<First<R, E>>,
    ) {
        answer::date(&mut parts.headers, draft.received);
        let limit = self.route.rules.max_body;
        let (mut recording, pieces) = Recording::new(body, draft.declared, limit, &self.shared.recordings);
        let length = recording.length();
        let streamed = |reservation| CacheBody::streamed(pieces, length, reservation);

        let mut step = poll_fn(|cx| Poll::Ready(ready_steps(&mut recording, cx))).await;
        if step.is_none() && self.may_stand_in() {
            step = Some(self.last_step(&mut recording, started).await);
        }
        let Some(step) = step else {
            let body = streamed(recording.reservation());
            // What is known so far: more may come before the body's end.
            let refusal = (!self.is_admitted()).then_some(Refusal::MinUses);
            first.send(First::Answer(self.answer(parts, body, refusal))).ok();
            let step = self.last_step(&mut recording, started).await;
            let (end, last) = match self.conclude(step, &recording, &draft, started, &lead) {
                Outcome::Stored(filled, last) => (End::Stored(filled), last),
                Outcome::Not(end, _, last) => (end, last),
                Outcome::Panicked(payload) => {
                    recording.send(Piece::Panic(payload));
                    (self.failed(End::Panicked), None)
                }
            };
            lead.announce(end);
            recording.send_last(last);
            return;
        };

        let answered = match self.conclude(step, &recording, &draft, started, &lead) {
            Outcome::Stored(filled, last) => {
                let entry = &filled.entry;
                if let Some(etag) = entry.headers.get(header::ETAG) {
                    parts.headers.insert(header::ETAG, etag.clone());
                }
                let body = if recording.is_open() {
                    recording.send_last(last);
                    streamed(recording.reservation())
                } else if conditional::not_modified(&self.head.method, &self.head.headers, entry) {
                    parts.status = StatusCode::NOT_MODIFIED;
                    conditional::strip_content(&mut parts.headers);
                    CacheBody::whole(Bytes::new())
                } else {
                    CacheBody::whole(entry.body.clone())
                };
                lead.announce(End::Stored(filled));
                First::Answer(self.answer(parts, body, None))
            }
            Outcome::Not(end, refusal, last) => {
                let failed = matches!(end, End::Failed);
                lead.announce(end);
                recording.send_last(last);
                let body = streamed(recording.reservation());
                First::of(self.answer(parts, body, Some(refusal)), failed, &self)
            }
            Outcome::Panicked(payload) => {
                lead.announce(self.failed(End::Panicked));
                self.failure(Failure::Panic(payload))
            }
        };
        drop(recording);
        first.send(answered).ok();
    }

    /// Records to the end, or to that of the time for the fill.
    async fn last_step<R: Body<Data = Bytes>>(&self, recording: &mut Recording<R>, started: Instant) -> Step {
        let last = poll_fn(|cx| ready_steps(recording, cx).map_or(Poll::Pending, Poll::Ready));
        match timeout_at(self.deadline(started), last).await {
            Ok(step) => step,
            Err(_) => recording.refuse(Refusal::FillTimeout),
        }
    }

    /// Whether the policy's `min_uses` lets a response in.
    pub(super) fn is_admitted(&self) -> bool {
        let Some(least) = self.route.rules.min_uses else { return true };
        let uses = || self.shared.uses.of(&self.target.primary, self.shared.clock.now());
        self.target.known || self.target.stale.is_some() || uses() >= least
    }

    /// Stores a whole response. The policy's `store_if` may panic; the client gets its answer all the same.
    fn commit(&self, draft: &Draft, chunks: &[Bytes]) -> Result<Filled, Refusal> {
        let tiers = &self.shared.tiers;
        let commit = || {
            tiers.keeps(&self.route, draft, chunks)?;
            if !self.is_admitted() {
                return Err(Refusal::MinUses);
            }
            tiers.commit(&self.route, &self.target, &self.head, draft, chunks, self.held.as_ref())
        };
        catch_unwind(AssertUnwindSafe(commit)).unwrap_or_else(|_| {
            tracing::error!("a `store_if` panicked; the response isn't stored");
            Err(Refusal::StoreIf)
        })
    }

    /// How a fill ends for those who wait, if its response isn't stored because the key has too few uses.
    fn unstored(&self, draft: &Draft, chunks: &[Bytes]) -> End {
        let end = self.refused(Refusal::MinUses, draft.parts.status, false);
        let made = self.shared.tiers.share(&self.route, &self.target, &self.head, draft, chunks);
        made.map_or(end, End::Stored)
    }

    /// Commits a body that ended well.
    fn conclude<R: Body<Data = Bytes>>(
        &self,
        step: Step,
        recording: &Recording<R>,
        draft: &Draft,
        started: Instant,
        lead: &Lead,
    ) -> Outcome {
        self.route.stats.fill(started.elapsed());
        let status = draft.parts.status;
        match step {
            Step::End(last) => match self.commit(draft, recording.chunks()) {
                Ok(filled) => {
                    self.route.stats.stored();
                    self.shared.uncacheable.clear(&self.target.key);
                    self.shared.failing.clear(&filled.entry.key);
                    Outcome::Stored(filled, last)
                }
                Err(Refusal::MinUses) if lead.is_followed() => {
                    Outcome::Not(self.unstored(draft, recording.chunks()), Refusal::MinUses, last)
                }
                Err(refusal) => Outcome::Not(self.refused(refusal, status, false), refusal, last),
            },
            Step::Refused(refusal) => {
                Outcome::Not(self.refused(refusal, status, refusal.is_failure()), refusal, None)
            }
            Step::Panicked(payload) => Outcome::Panicked(payload),
            Step::More => Outcome::Not(End::Failed, Refusal::BodyError, None),
        }
    }
}

/// Takes steps for as long as the body has them ready.
fn ready_steps<R: Body<Data = Bytes>>(
    recording: &mut Recording<R>,
    cx: &mut std::task::Context<'_>,
) -> Option<Step> {
    loop {
        match recording.poll_step(cx) {
            Poll::Ready(Step::More) => {}
            Poll::Ready(step) => return Some(step),
            Poll::Pending => return None,
        }
    }
}
