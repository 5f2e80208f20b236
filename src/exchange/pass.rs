//! Requests that change things: they pass, and what is stored for what they change goes ([RFC 9111 §4.4]).
//!
//! [RFC 9111 §4.4]: https://www.rfc-editor.org/rfc/rfc9111#section-4.4

use std::convert::Infallible;
use std::panic::resume_unwind;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, header, response};
use http_body::Body;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tower::ServiceExt as _;
use tower_service::Service;
use tracing::Instrument as _;

use super::Plan;
use crate::answer;
use crate::body::CacheBody;
use crate::cache::Shared;
use crate::cache_status::Forward;
use crate::clock::Millis;
use crate::conditional;
use crate::flight::{Context, Failure, First};
use crate::key;
use crate::policy::gate::lists_own_field;
use crate::policy::http::invalidate;
use crate::policy::{Bypass, Refusal};
use crate::purge::{Tag, Validity};
use crate::route::{RequestHead, Route};

/// Passes a request on. If its answer is no error, what was stored for its URI is gone before the answer goes on; and so is
/// what was stored for `Location` and `Content-Location`, where they are of the same origin.
pub(crate) async fn through<S, P, R>(
    shared: Arc<Shared>,
    route: Arc<Route>,
    reason: Bypass,
    inner: S,
    request: Request<P>,
) -> Result<Response<CacheBody<R>>, S::Error>
where
    S: Service<Request<P>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    P: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send + 'static,
{
    let (parts, body) = request.into_parts();
    let sent = parts.clone();
    let (asked, before) = (shared.clock.now(), shared.purges.stamp());
    let response = inner.oneshot(Request::from_parts(parts, body)).await?;
    let status = response.status();
    if !status.is_success() && !status.is_redirection() {
        return Ok(passed(&shared, &route, reason, response));
    }
    let uri = key::original_uri(&sent);
    let host = sent.headers.get(header::HOST).map(|host| host.as_bytes());
    let targets = invalidate::targets(uri, host, response.headers());
    let tags: Vec<_> = targets.iter().flat_map(|target| shared.urls(target)).collect();
    // Another change that was answered meanwhile may be the newer one.
    let is_newest = shared.purges.validity(&before, &tags) == Validity::Fresh;
    purged(&shared, &route, tags).await;
    let stored_for_get = is_newest
        && route.rules.http.is_some()
        && sent.method == Method::POST
        && !lists_own_field(&sent.headers)
        && invalidate::is_same_resource(uri, host, response.headers());
    if !stored_for_get {
        return Ok(passed(&shared, &route, reason, response));
    }
    let (parts, body) = response.into_parts();
    Ok(kept(shared, route, reason, sent, asked, parts, body).await)
}

/// Purges, whether the client waits for it or not.
async fn purged(shared: &Arc<Shared>, route: &Arc<Route>, tags: Vec<Tag>) {
    let (done, waited) = oneshot::channel();
    let (purges, route) = (Arc::clone(&shared.purges), Arc::clone(route));
    shared.spawn(async move {
        if let Err(error) = purges.purge(&tags, false).await {
            tracing::debug!(
                route = route.label(),
                "what an unsafe method changed is purged in this process alone so far: {error}"
            );
        }
        done.send(()).ok();
    });
    waited.await.ok();
}

/// The answer as it came.
fn passed<R: Body>(
    shared: &Shared,
    route: &Route,
    reason: Bypass,
    response: Response<R>,
) -> Response<CacheBody<R>> {
    let mut response = response.map(CacheBody::origin);
    route.rules.tag_fields.strip(response.headers_mut());
    let status = response.status();
    if reason == Bypass::Method && route.rules.http.is_some() {
        shared.names.mark_method(response.headers_mut(), status);
    } else {
        shared.names.mark_bypass(response.headers_mut(), reason);
    }
    response
}

/// An answer to POST that is one to GET as well, and may be stored as that ([RFC 9110 §9.3.3]).
///
/// [RFC 9110 §9.3.3]: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.3
async fn kept<R>(
    shared: Arc<Shared>,
    route: Arc<Route>,
    reason: Bypass,
    sent: Parts,
    asked: Millis,
    parts: response::Parts,
    body: R,
) -> Response<CacheBody<R>>
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send + 'static,
{
    // Behind its own purge.
    let stamp = shared.purges.stamp();
    let context = context(&shared, &route, sent, asked);
    let draft = context.as_ref().and_then(|context| context.judge(&parts).ok());
    let (Some(context), Some(draft), Some((lead, waiter))) = (context, draft, shared.flights.solo(stamp))
    else {
        return passed(&shared, &route, reason, Response::from_parts(parts, body));
    };
    let (first, answered) = oneshot::channel::<First<R, Infallible>>();
    shared.spawn(context.record(parts, body, draft, Instant::now(), lead, first).in_current_span());
    match answered.await {
        Ok(
            First::Answer(mut response)
            | First::Failed(Failure::Answer(mut response) | Failure::Own(mut response), _),
        ) => {
            response.body_mut().hold(waiter);
            response
        }
        Ok(First::Failed(Failure::Panic(payload), _)) => resume_unwind(payload),
        Ok(First::Failed(Failure::Error(never), _)) => match never {},
        Err(_) => {
            route.stats.aborted();
            let status = StatusCode::SERVICE_UNAVAILABLE;
            answer::gateway(status, Forward::Method, Refusal::FillAborted, &shared.names)
        }
    }
}

/// What the fill of the URI's entry knows, though the request is a POST.
fn context(shared: &Arc<Shared>, route: &Arc<Route>, sent: Parts, asked: Millis) -> Option<Context> {
    let method = sent.method.clone();
    let mut get = sent;
    get.method = Method::GET;
    // What describes the POST's content; a GET has none.
    conditional::kept(&mut get.headers, |name| {
        ![header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING].contains(name)
    });
    let read = route.rules.key_body.map(|_| &[][..]);
    let key = route.primary_key(&get, read).ok()?;
    let named = route.named_key(&get, read, &key);
    let (tags, tagged) = route.request_tags(&get, &named);
    let headers = route.visible(&get.headers).into_owned();
    Some(Context {
        shared: Arc::clone(shared),
        route: Arc::clone(route),
        target: shared.tiers.target(route, key, &headers),
        head: Arc::new(RequestHead { method, headers, tagged }),
        unanswered: false,
        held: None,
        refresh: false,
        tags: tags.into(),
        stamp: shared.purges.stamp(),
        asked,
        plan: Some(Plan {
            base: None,
            others: Vec::new(),
            part: None,
            forward: Forward::Method,
            plain: false,
            for_all: false,
            is_shaped: false,
        }),
    })
}
