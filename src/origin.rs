//! The ways to the origin: by a fill, without one, and past the cache.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tower::ServiceExt as _;
use tower_service::Service;
use tracing::Instrument as _;

use crate::answer;
use crate::body::CacheBody;
use crate::cache::Running;
use crate::conditional;
use crate::drive::Miss;
use crate::fallback::Fallback;
use crate::flight::{Context, Failure, Fill, First, Lead, Waiter, is_error, throttle};
use crate::policy::{Bypass, Refusal, Stale};

impl<S, P, R> Miss<S, P>
where
    S: Service<Request<P>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    pub(crate) fn into_fill(
        mut self,
        lead: Lead,
        first: oneshot::Sender<First<R, S::Error>>,
        refresh: bool,
    ) -> (Fill<S, P, R, S::Error>, Running) {
        self.route.disguise(&mut self.parts);
        let (mut parts, _) = Request::new(()).into_parts();
        std::mem::swap(&mut parts, &mut self.parts);
        let (plan, spare) = match self.is_http() {
            true => {
                let (plan, spare) = self.plan(&mut parts, refresh);
                (Some(plan), spare)
            }
            false => {
                conditional::strip_validators(&mut parts.headers);
                (None, None)
            }
        };
        let stamp = self.shared.purges.stamp();
        let asked = self.shared.clock.now();
        let fill = Fill {
            inner: self.inner,
            request: Request::from_parts(parts, self.body),
            spare,
            lead,
            first,
            context: Context {
                shared: self.shared,
                route: self.route,
                target: self.target,
                head: self.head,
                unanswered: self.unanswered,
                held: None,
                refresh,
                tags: self.tags,
                stamp,
                asked,
                plan,
            },
        };
        (fill, self.running)
    }

    /// To the origin, by a detached task: whoever hangs up, the fill goes on.
    pub(crate) async fn fill(
        self,
        lead: Lead,
        waiter: Waiter,
        mut fallback: Fallback,
    ) -> Result<Response<CacheBody<R>>, S::Error>
    where
        S: Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        P: Send + 'static,
        R: Send + 'static,
        R::Error: Send + 'static,
    {
        let (shared, route) = (Arc::clone(&self.shared), Arc::clone(&self.route));
        let (first, answered) = oneshot::channel();
        let (fill, running) = self.into_fill(lead, first, false);
        shared.spawn(fill.run().in_current_span());
        drop(running);
        let answered = match fallback.wait(answered).await {
            Ok(answered) => answered,
            Err(response) => return Ok(response),
        };
        let failure = match answered {
            Ok(First::Answer(mut response)) => {
                response.body_mut().hold(waiter);
                return Ok(response);
            }
            Ok(First::Failed(failure, stale)) => {
                // The fill may have found one in the shared tier meanwhile.
                fallback.stale = stale;
                Some(failure)
            }
            Err(_) => None,
        };
        let stands_in = match &failure {
            Some(Failure::Answer(answer)) => fallback.in_place_of(answer.status()),
            Some(Failure::Own(_)) => fallback.stale(Stale::IfError),
            _ => fallback.stand_in(Stale::IfError),
        };
        if let Some(response) = stands_in {
            return Ok(response);
        }
        match failure {
            Some(Failure::Answer(mut response) | Failure::Own(mut response)) => {
                response.body_mut().hold(waiter);
                Ok(response)
            }
            Some(Failure::Error(_)) if fallback.is_forbidden() => {
                let why = fallback.forward();
                route.stats.refused(Refusal::Disconnected);
                Ok(answer::gateway(StatusCode::GATEWAY_TIMEOUT, why, Refusal::Disconnected, &shared.names))
            }
            Some(Failure::Error(error)) => Err(error),
            Some(Failure::Panic(payload)) => resume_unwind(payload),
            None => {
                route.stats.aborted();
                let why = fallback.forward();
                let (status, names) = (StatusCode::SERVICE_UNAVAILABLE, &shared.names);
                Ok(answer::gateway(status, why, Refusal::FillAborted, names))
            }
        }
    }

    /// To the origin without a fill, because the answer can't be stored.
    pub(crate) async fn forward(
        mut self,
        refusal: Refusal,
        fallback: &Fallback,
    ) -> Result<Response<CacheBody<R>>, S::Error> {
        self.route.stats.forwarded();
        self.route.disguise(&mut self.parts);
        self.shared.mark(&mut self.parts.extensions);
        let called = self.inner.oneshot(Request::from_parts(self.parts, self.body));
        let called = timeout(self.shared.limits.fill_timeout, AssertUnwindSafe(called).catch_unwind());
        let answered = match fallback.wait(called).await {
            Ok(answered) => answered,
            Err(response) => return Ok(response),
        };
        let status = match &answered {
            Ok(Ok(Ok(response))) => Some(response.status()),
            _ => None,
        };
        if status.is_none_or(is_error) {
            throttle(&self.shared, &self.route, self.target.stale.as_deref());
            let stands_in = match status {
                Some(status) => fallback.in_place_of(status),
                None => fallback.stale(Stale::IfError),
            };
            if let Some(response) = stands_in {
                return Ok(response);
            }
        }
        let why = self.target.forward();
        match answered {
            Ok(Ok(response)) => {
                let mut response = response?.map(CacheBody::origin);
                self.route.rules.tag_fields.strip(response.headers_mut());
                self.shared.names.mark_forwarded(response.headers_mut(), why, None, Some(refusal));
                Ok(response)
            }
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Ok(answer::gateway(
                StatusCode::GATEWAY_TIMEOUT,
                why,
                Refusal::FillTimeout,
                &self.shared.names,
            )),
        }
    }

    /// To the origin, past the cache.
    pub(crate) async fn past(self, reason: Bypass) -> Result<Response<CacheBody<R>>, S::Error> {
        self.route.bypassed(reason);
        // It is the origin's from here on, however long that takes.
        drop(self.running);
        let response = self.inner.oneshot(Request::from_parts(self.parts, self.body)).await?;
        let mut response = response.map(CacheBody::origin);
        self.route.rules.tag_fields.strip(response.headers_mut());
        self.shared.names.mark_bypass(response.headers_mut(), reason);
        Ok(response)
    }
}
