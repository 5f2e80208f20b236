//! The response future of the service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use crate::body::CacheBody;
use crate::cache_status::Names;
use crate::policy::Bypass;
use crate::route::Route;

type Job<R, E> = Pin<Box<dyn Future<Output = Result<Response<CacheBody<R>>, E>> + Send>>;

/// What an answer that goes past the cache is to say, and not to say.
pub(crate) struct Mark {
    pub(crate) reason: Bypass,
    /// The policy that the request came to, if there is one.
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) names: Arc<Names>,
}

pin_project! {
    /// Response future of [`Cache`](crate::Cache).
    pub struct ResponseFuture<S, Req, R>
    where
        S: Service<Req>,
        R: Body,
    {
        #[pin]
        state: State<S, Req, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, Req, R>
    where
        S: Service<Req>,
        R: Body,
    {
        Past { #[pin] origin: Oneshot<S, Req>, mark: Option<Mark> },
        Hit { response: Option<Response<CacheBody<R>>> },
        Driven { job: Job<R, S::Error> },
    }
}

impl<S, Req, R> ResponseFuture<S, Req, R>
where
    S: Service<Req>,
    R: Body,
{
    /// Past the cache; the answer says why, unless the cache is off.
    pub(crate) fn past(inner: S, request: Req, mark: Option<Mark>) -> Self {
        Self { state: State::Past { origin: Oneshot::new(inner, request), mark } }
    }

    /// Answered already.
    pub(crate) const fn hit(response: Response<CacheBody<R>>) -> Self {
        Self { state: State::Hit { response: Some(response) } }
    }

    /// The rest of the request's way.
    pub(crate) fn driven(
        job: impl Future<Output = Result<Response<CacheBody<R>>, S::Error>> + Send + 'static,
    ) -> Self {
        Self { state: State::Driven { job: Box::pin(job) } }
    }
}

impl<S, Req, R> Future for ResponseFuture<S, Req, R>
where
    S: Service<Req, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<CacheBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Past { origin, mark } => {
                let mut response = ready!(origin.poll(cx))?.map(CacheBody::origin);
                if let Some(Mark { reason, route, names }) = mark.take() {
                    let is_http = route.as_ref().is_some_and(|route| route.rules.http.is_some());
                    if let Some(route) = route {
                        route.rules.tag_fields.strip(response.headers_mut());
                    }
                    let status = response.status();
                    match is_http && reason == Bypass::Method {
                        true => names.mark_method(response.headers_mut(), status),
                        false => names.mark_bypass(response.headers_mut(), reason),
                    }
                }
                Poll::Ready(Ok(response))
            }
            StateProj::Hit { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                // Polled after completion, which the contract of `Future` leaves open.
                None => Poll::Pending,
            },
            StateProj::Driven { job } => job.as_mut().poll(cx),
        }
    }
}

impl<S, Req, R> fmt::Debug for ResponseFuture<S, Req, R>
where
    S: Service<Req>,
    R: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
