//! Recording a response's body, storing it, and what the first caller gets of it.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use bytes::Bytes;
use http::{StatusCode, header, response};
use http_body::{Body, Frame};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::record::{Recording, Step};
use super::{Context, End, Failure, Filled, First, Lead};
use crate::answer;
use crate::body::{CacheBody, Piece};
use crate::conditional;
use crate::policy::Refusal;
use crate::store::Draft;

/// How a recording came out.
enum Outcome {
    /// Committed. The last frame, if there is one, may go on now.
    Stored(Filled, Option<Frame<Bytes>>),
    /// Not stored. The last frame, if there is one, goes on all the same.
    Not(End, Refusal, Option<Frame<Bytes>>),
    Panicked(Box<dyn Any + Send>),
}

impl Context {
    /// Records the body. The first caller is answered with the whole, or with a stream once the body makes it wait; where
    /// a stale entry may stand in for a broken body, with the whole alone.
    pub(crate) async fn record<R: Body<Data = Bytes>, E>(
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
        let (recording, pieces) = Recording::new(body, draft.declared, limit, &self.shared.recordings);
        let mut recording = recording.without_trailers(self.route.rules.http.is_some());
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
                let status = parts.status;
                if let Some(etag) = entry.headers.get(header::ETAG) {
                    parts.headers.insert(header::ETAG, etag.clone());
                }
                // Of a part, the entry may have more than what was asked for.
                let body = if recording.is_open() || self.is_part(&draft) {
                    recording.send_last(last);
                    streamed(recording.reservation())
                } else if self.judges_preconditions()
                    && conditional::not_modified(&self.head.method, &self.head.headers, entry)
                {
                    parts.status = StatusCode::NOT_MODIFIED;
                    conditional::strip_content(&mut parts.headers);
                    CacheBody::whole(Bytes::new())
                } else if recording.has_trailers() {
                    recording.send_last(last);
                    streamed(recording.reservation())
                } else {
                    CacheBody::whole(entry.body.clone())
                };
                lead.announce(End::Stored(filled));
                First::Answer(self.answer_to(status, parts, body, None))
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

    /// Whether the client's preconditions are the cache's to judge: the service got the request without them.
    fn judges_preconditions(&self) -> bool {
        self.plan.as_ref().is_none_or(|plan| plan.base.is_some())
    }

    /// Records to the end, or to that of the time for the fill.
    pub(super) async fn last_step<R: Body<Data = Bytes>>(
        &self,
        recording: &mut Recording<R>,
        started: Instant,
    ) -> Step {
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
    pub(super) fn commit(&self, draft: &Draft, chunks: &[Bytes]) -> Result<Filled, Refusal> {
        let tiers = &self.shared.tiers;
        let commit = || {
            tiers.keeps(&self.route, draft, chunks)?;
            if !self.is_admitted() {
                return Err(Refusal::MinUses);
            }
            if self.is_part(draft) {
                return self.commit_part(draft, chunks).inspect(|filled| self.overtake_whole(&filled.entry));
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
                    self.kept(&filled);
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
