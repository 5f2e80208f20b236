//! What a fill knows, and what it makes of a response's head.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Response, StatusCode, response};
use http_body::Body;
use tokio::time::Instant;

use super::head::{declared_length, is_answer, is_error};
use super::{End, Failure, First};
use crate::answer;
use crate::body::CacheBody;
use crate::cache::Shared;
use crate::cache_status::Forward;
use crate::clock::Millis;
use crate::entry::Entry;
use crate::exchange::Plan;
use crate::policy::http::Exchange;
use crate::policy::{Refusal, Verdict};
use crate::purge::{Stamp, Tag};
use crate::route::{RequestHead, Route};
use crate::store::{Draft, Held, Target};

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
    /// When the inner service was called.
    pub(crate) asked: Millis,
    /// What it goes by under `Policy::http`.
    pub(crate) plan: Option<Plan>,
}

/// How long a key is remembered as uncacheable.
const UNCACHEABLE: Duration = Duration::from_secs(120);

/// Leaves the origin alone for a while as far as `stale` can stand in.
pub(crate) fn throttle(shared: &Shared, route: &Route, stale: Option<&Entry>) {
    if let Some(stale) = stale {
        shared.failing.remember(stale.key, shared.clock.now(), route.rules.stale.error_throttle);
    }
}

impl Context {
    /// When a fill that started then must be done.
    pub(super) fn deadline(&self, started: Instant) -> Instant {
        started + self.shared.limits.fill_timeout
    }

    /// The response's head, judged.
    pub(crate) fn judge(&self, parts: &response::Parts) -> Result<Draft, Refusal> {
        let received = self.shared.clock.now();
        // An error doesn't take the place of an entry that may answer, unless that is one too.
        let serves = |entry: &Arc<Entry>| {
            let stale = entry.serves_if_error(received) || entry.serves_while_revalidated(received);
            !is_error(entry.status) && (entry.fresh_for(received).is_some() || stale)
        };
        if is_error(parts.status) && self.target.stale.as_ref().is_some_and(serves) {
            return Err(Refusal::ServerError);
        }
        let verdict = self.verdict(&self.head.method, parts, received)?;
        let mut parts = parts.clone();
        answer::date(&mut parts.headers, received);
        self.draft(parts, verdict, received)
    }

    /// What the policy says of a response.
    pub(super) fn verdict(
        &self,
        method: &Method,
        response: &response::Parts,
        received: Millis,
    ) -> Result<Verdict, Refusal> {
        let request = &self.head.headers;
        match &self.route.rules.http {
            Some(http) => http.judge(
                &self.route.rules.stale,
                &Exchange { method, request, response, asked: self.asked, received },
            ),
            None => self.route.rules.judge(method, request, response, received),
        }
    }

    /// A response that is to be stored, if nothing but its body can prevent it.
    pub(super) fn draft(
        &self,
        parts: response::Parts,
        verdict: Verdict,
        received: Millis,
    ) -> Result<Draft, Refusal> {
        let declared = declared_length(&parts)?;
        if declared.is_some_and(|declared| declared > self.route.rules.max_body as u64) {
            return Err(Refusal::TooLarge);
        }
        let fields = crate::key::vary_fields(&parts.headers)?;
        let response_tags = self.route.response_tags(&self.head, &self.tags, &parts)?;
        let (stamp, request_tags) = (self.stamp, Arc::clone(&self.tags));
        Ok(Draft { parts, verdict, received, fields, declared, stamp, request_tags, response_tags })
    }

    /// Why the request went to the origin.
    pub(super) fn forward(&self) -> Forward {
        self.plan.as_ref().map_or_else(|| self.target.forward(), |plan| plan.forward)
    }

    /// Whether a stale entry may stand in for a failure now.
    ///
    /// A gateway doesn't hold back whole bodies for that.
    pub(super) fn may_stand_in(&self) -> bool {
        self.plan.is_none()
            && self.target.stale.as_ref().is_some_and(|entry| entry.serves_if_error(self.shared.clock.now()))
    }

    /// Counts a refusal; what followers hear of it. `failed`: the response was no answer but an error.
    pub(super) fn refused(&self, refusal: Refusal, status: StatusCode, failed: bool) -> End {
        self.route.stats.refused(refusal);
        let stale = self.target.stale.as_ref();
        // What a request brings about by asks of its own goes for no other.
        let goes_for_all = refusal.is_structural() && self.plan.as_ref().is_none_or(|plan| plan.plain);
        let is_for_all = refusal.is_structural() && self.plan.as_ref().is_none_or(|plan| plan.for_all);
        if goes_for_all && !(failed && stale.is_some()) {
            let now = self.shared.clock.now();
            self.shared.uncacheable.remember(self.target.key, now, UNCACHEABLE);
        }
        if failed {
            return self.failed(End::Failed);
        }
        match stale {
            // The origin has a new answer, and it is for nobody else.
            Some(stale) if is_for_all && is_answer(status) => self.shared.tiers.forget(stale),
            // Each hit would begin another.
            Some(stale) if self.refresh => throttle(&self.shared, &self.route, Some(stale)),
            _ => {}
        }
        End::Refused(refusal)
    }

    pub(super) fn failure<R: Body, E>(&self, failure: Failure<R, E>) -> First<R, E> {
        First::Failed(failure, self.target.stale.clone())
    }

    /// The cache's own answer to a request whose time is over.
    pub(super) fn timed_out<R: Body>(&self) -> Response<CacheBody<R>> {
        let (why, names) = (self.forward(), &self.shared.names);
        answer::gateway(StatusCode::GATEWAY_TIMEOUT, why, Refusal::FillTimeout, names)
    }

    /// The cache's own answer where the service's is about nothing that there is.
    pub(super) fn unusable<R: Body>(&self) -> Response<CacheBody<R>> {
        let (why, names) = (self.forward(), &self.shared.names);
        answer::gateway(StatusCode::BAD_GATEWAY, why, Refusal::RequestConditions, names)
    }

    /// Leaves the origin alone for a while, if an entry may stand in.
    pub(super) fn failed(&self, end: End) -> End {
        throttle(&self.shared, &self.route, self.target.stale.as_deref());
        end
    }

    /// The first caller's answer: the origin's, and what the cache did with it.
    pub(super) fn answer<R: Body>(
        &self,
        parts: response::Parts,
        body: CacheBody<R>,
        refusal: Option<Refusal>,
    ) -> Response<CacheBody<R>> {
        self.answer_to(parts.status, parts, body, refusal)
    }

    /// As [`answer`](Self::answer), where the origin's own status was another.
    pub(super) fn answer_to<R: Body>(
        &self,
        status: StatusCode,
        mut parts: response::Parts,
        body: CacheBody<R>,
        refusal: Option<Refusal>,
    ) -> Response<CacheBody<R>> {
        self.route.rules.tag_fields.strip(&mut parts.headers);
        let status = self.plan.is_some().then_some(status);
        if self.plan.is_some() {
            answer::date(&mut parts.headers, self.shared.clock.now());
        }
        self.shared.names.mark_forwarded(&mut parts.headers, self.forward(), status, refusal);
        Response::from_parts(parts, body)
    }
}
