//! The way of a request under `Policy::http` that memory couldn't answer as it is, from top to bottom.

mod begin;
mod pass;
mod plan;

pub(crate) use self::pass::through;
pub(crate) use self::plan::Plan;

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response};
use http_body::Body;
use tower_service::Service;

use crate::answer::{self, How};
use crate::body::CacheBody;
use crate::drive::{Miss, Turn};
use crate::entry::Entry;
use crate::fallback::Fallback;
use crate::flight::is_error;
use crate::policy::Stale;
use crate::policy::http::request::{Ask, Reuse};
use crate::policy::http::{combine, range};
use crate::purge::Validity;
use crate::refresh::Look;

/// Answers from what is stored, where the request and the response's directives allow it; else from the origin, which is
/// asked to confirm what is stored.
pub(crate) async fn exchange<S, P, R>(
    mut miss: Miss<S, P>,
    ask: Ask,
) -> Result<Response<CacheBody<R>>, S::Error>
where
    S: Service<http::Request<P>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    P: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send + 'static,
{
    if miss.target.doubtful
        && let Some(entry) = miss.make_sure().await
        && let Some(response) = miss.reuse(&ask, entry)
    {
        miss.route.stats.hit_memory();
        return Ok(response);
    }
    if let Some(response) = miss.while_revalidated_for(&ask) {
        miss.refresh_for(&ask, Look::First);
        return Ok(response);
    }
    if !miss.has_fresh()
        && let Some(entry) = miss.look_up().await
    {
        match miss.reuse(&ask, Arc::clone(&entry)) {
            Some(response) => {
                miss.route.stats.hit_shared();
                if miss.is_due(&entry) && !ask.only_if_cached {
                    miss.refresh(Look::Done, Some(entry));
                }
                return Ok(response);
            }
            None => miss.route.stats.miss_shared(),
        }
    }
    if let Some(response) = miss.accepted_stale(&ask) {
        return Ok(response);
    }
    if let Some(response) = miss.while_revalidated_for(&ask) {
        miss.refresh_for(&ask, Look::Done);
        return Ok(response);
    }
    if ask.range
        && let Some(response) = miss.part(&ask).await
    {
        return Ok(response);
    }
    if ask.is_plain() {
        miss.find_part();
    }
    if ask.only_if_cached {
        return Ok(answer::only_if_cached(&miss.route, &miss.shared.names));
    }
    let mut fallback = miss.fallback();
    fallback.barred = ask.no_cache;
    fallback.part = miss.stale_part();
    if let Some(response) = miss.throttled(&fallback) {
        return Ok(response);
    }
    miss.count_use();
    let turn = match miss.may_share(&ask) {
        true => fallback.wait(miss.lead_or_follow(&fallback)).await.unwrap_or_else(Turn::StandIn),
        false => miss.alone(&fallback),
    };
    miss.take(turn, fallback).await
}

impl<S, P> Miss<S, P> {
    /// The answer from a fresh entry, if the request takes it; else it is what the origin is asked to confirm.
    fn reuse<R: Body>(&mut self, ask: &Ask, entry: Arc<Entry>) -> Option<Response<CacheBody<R>>> {
        if ask.reuse(&entry, self.shared.clock.now()) == Reuse::Fresh {
            return Some(self.answer(&entry, How::Hit));
        }
        self.target.stale = Some(entry);
        None
    }

    /// Whether there is a fresh entry that the request doesn't take as it is.
    fn has_fresh(&self) -> bool {
        let now = self.shared.clock.now();
        let is_fresh =
            |entry: &Arc<Entry>| entry.fresh_for(now).is_some() && self.worth(entry) == Validity::Fresh;
        self.target.stale.as_ref().is_some_and(is_fresh)
    }

    /// The answer from a stale entry whose staleness the request accepts.
    fn accepted_stale<R: Body>(&self, ask: &Ask) -> Option<Response<CacheBody<R>>> {
        let entry = self.target.stale.as_ref()?;
        let accepted = ask.reuse(entry, self.shared.clock.now()) == Reuse::Stale;
        if !accepted || self.worth(entry) == Validity::Gone {
            return None;
        }
        self.route.stats.stale(Stale::MaxStale);
        Some(self.answer(entry, How::Stale(Stale::MaxStale, None)))
    }

    /// The answer from an entry that may be used while it is revalidated, unless the request asks for better.
    fn while_revalidated_for<R: Body>(&self, ask: &Ask) -> Option<Response<CacheBody<R>>> {
        let asks = ask.no_cache || ask.no_store || ask.max_age.is_some() || ask.min_fresh.is_some();
        if asks || self.has_fresh() { None } else { self.while_revalidated() }
    }

    /// The answer from a part that is stored, to a request for one.
    async fn part<R: Body>(&mut self, ask: &Ask) -> Option<Response<CacheBody<R>>> {
        if self.head.method != Method::GET {
            return None;
        }
        let part = self.shared.tiers.target(&self.route, self.target.primary.part(), &self.head.headers);
        let whole = mem::replace(&mut self.target, part);
        let mut found = self.recall();
        let in_memory = found.is_some();
        if found.is_none() && !self.unanswered {
            found = self.look_up().await;
        }
        let stale = mem::replace(&mut self.target, whole).stale;
        if let Some(part) = found.as_ref().or(stale.as_ref())
            && self.is_outdated(part)
        {
            self.shared.tiers.forget(part);
            return None;
        }
        self.partial = found.is_some() || stale.is_some();
        self.stale_part = stale;
        let entry = found.filter(|entry| ask.reuse(entry, self.shared.clock.now()) == Reuse::Fresh)?;
        range::select(&self.head.method, &self.head.headers, &entry)?;
        if in_memory {
            self.route.stats.hit_memory()
        } else {
            self.route.stats.hit_shared()
        }
        Some(self.answer(&entry, How::Hit))
    }

    /// Whether the whole that is known is newer than a part, and not sure to be of the same representation: the most recent of
    /// two responses is used ([RFC 9111 §4]). Another process may have stored it.
    ///
    /// [RFC 9111 §4]: https://www.rfc-editor.org/rfc/rfc9111#section-4
    fn is_outdated(&self, part: &Entry) -> bool {
        self.target.stale.as_ref().is_some_and(|whole| {
            whole.stored_at >= part.stored_at
                && !is_error(whole.status)
                && !combine::share_validator(&whole.origin_fields(self.route.rules.etag), &part.headers)
        })
    }

    /// The stale part that would answer the request, if the origin can't.
    fn stale_part(&mut self) -> Option<Arc<Entry>> {
        let part = self.stale_part.take()?;
        range::select(&self.head.method, &self.head.headers, &part).is_some().then_some(part)
    }

    /// Looks in memory for a part of what the request is for all of. It needn't be fresh: the origin is asked for the rest of
    /// this very representation.
    fn find_part(&mut self) {
        if self.head.method != Method::GET || self.target.stale.is_some() {
            return;
        }
        let (tiers, primary) = (&self.shared.tiers, self.target.primary.part());
        let now = self.shared.clock.now();
        let found = tiers.recall(&self.route, primary, &self.head.headers, now, self.trust);
        let found = found.map_or_else(|target| target.stale, Some);
        self.partial = found.is_some();
        let rules = &self.route.rules;
        self.incomplete = found.filter(|part| {
            let fits = combine::complete_length(&part.headers, part.body.len())
                .is_some_and(|length| length <= rules.max_body as u64);
            fits && part.windows.may_be_updated()
                && rules.min_uses.is_none()
                && combine::missing(&part.headers, part.body.len()).is_some()
        });
    }

    /// Whether the answer will do for others who ask for the same, so that one fill is enough.
    fn may_share(&self, ask: &Ask) -> bool {
        // What has to be confirmed for each request is no answer for those who wait.
        let each = self.target.stale.as_ref().is_some_and(|entry| entry.lifetime == 0);
        ask.is_plain() && self.head.method != Method::HEAD && !each
    }

    /// A fill for this request alone.
    fn alone<R: Body>(&self, fallback: &Fallback) -> Turn<R> {
        match self.shared.flights.solo(self.shared.purges.stamp()) {
            Some((lead, waiter)) => Turn::Fill(lead, waiter),
            None => crate::drive::full(fallback),
        }
    }
}

impl<S, P, R> Miss<S, P>
where
    S: Service<http::Request<P>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    P: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send + 'static,
{
    /// Refreshes what has answered, unless the client wants nothing of the origin.
    fn refresh_for(self, ask: &Ask, look: Look) {
        if !ask.only_if_cached {
            self.refresh(look, None);
        }
    }
}
