//! The way of a request that memory couldn't answer, from top to bottom.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use crate::answer::{self, How};
use crate::body::CacheBody;
use crate::cache::{Running, Shared};
use crate::conditional;
use crate::entry::Entry;
use crate::fallback::Fallback;
use crate::flight::{End, Filled, Joined, Lead, Waiter};
use crate::key::Key;
use crate::policy::http::request::Ask;
use crate::policy::{Bypass, Refusal, Stale};
use crate::purge::{Stamp, Tag, Trust, Validity};
use crate::refresh::Look;
use crate::route::{RequestHead, Route};
use crate::store::Target;

/// A request that memory couldn't answer.
pub(crate) struct Miss<S, P> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) route: Arc<Route>,
    pub(crate) inner: S,
    pub(crate) parts: Parts,
    pub(crate) head: Arc<RequestHead>,
    pub(crate) body: P,
    pub(crate) target: Target,
    /// The shared tier was asked and didn't answer: the request has no more time for it.
    pub(crate) unanswered: bool,
    /// What the request is about.
    pub(crate) tags: Arc<[Tag]>,
    /// How it may use what this process has.
    pub(crate) trust: Trust,
    /// Until the answer, or the fill, is there.
    pub(crate) running: Running,
    /// Under `Policy::http`: what the request asks of a cache.
    pub(crate) ask: Option<Ask>,
    /// The inner service and the request's body once more, for a request without preconditions.
    pub(crate) spare: Option<(S, P)>,
    /// A part of what the request is for is stored.
    pub(crate) partial: bool,
    /// That part, where it is stale.
    pub(crate) stale_part: Option<Arc<Entry>>,
    /// That part, if the origin may be asked for the rest.
    pub(crate) incomplete: Option<Arc<Entry>>,
}

/// Fills a request waits for before it goes to the origin by itself: the first one, and that of one elected waiter.
const FLIGHTS: usize = 2;

/// Answers from the shared tier, from another request's fill, or by a fill of its own; or from a stale entry.
pub(crate) async fn miss<S, P, R>(mut miss: Miss<S, P>) -> Result<Response<CacheBody<R>>, S::Error>
where
    S: Service<Request<P>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    P: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send + 'static,
{
    if miss.target.doubtful
        && let Some(entry) = miss.make_sure().await
    {
        miss.route.stats.hit_memory();
        let response = miss.answer(&entry, How::Hit);
        if miss.is_due(&entry) {
            miss.refresh(Look::First, Some(entry));
        }
        return Ok(response);
    }
    if let Some(response) = miss.while_revalidated() {
        miss.refresh(Look::First, None);
        return Ok(response);
    }
    if let Some(entry) = miss.look_up().await {
        miss.route.stats.hit_shared();
        let response = miss.answer(&entry, How::Hit);
        if miss.is_due(&entry) {
            miss.refresh(Look::Done, Some(entry));
        }
        return Ok(response);
    }
    if let Some(response) = miss.while_revalidated() {
        miss.refresh(Look::Done, None);
        return Ok(response);
    }
    if conditional::is_for_origin(&miss.head.headers) {
        return miss.past(Bypass::Precondition).await;
    }
    let fallback = miss.fallback();
    if let Some(response) = miss.throttled(&fallback) {
        return Ok(response);
    }
    if miss.head.method == Method::HEAD {
        return miss.forward(Refusal::Head, &fallback).await;
    }
    miss.count_use();
    let turn = fallback.wait(miss.lead_or_follow(&fallback)).await.unwrap_or_else(Turn::StandIn);
    miss.take(turn, fallback).await
}

/// What a request does once the tiers had nothing for it.
pub(crate) enum Turn<R: Body> {
    Fill(Lead, Waiter),
    Answer(Arc<Entry>, How),
    StandIn(Response<CacheBody<R>>),
    Past(Bypass),
}

impl<S, P> Miss<S, P> {
    pub(crate) fn answer<R: Body>(&self, entry: &Entry, how: How) -> Response<CacheBody<R>> {
        let now = self.shared.clock.now();
        let RequestHead { method, headers, .. } = &*self.head;
        let response = answer::from_entry(entry, method, headers, now, how, &self.shared.names);
        self.route.count(&response);
        response
    }

    pub(crate) fn fallback(&self) -> Fallback {
        Fallback {
            shared: Arc::clone(&self.shared),
            route: Arc::clone(&self.route),
            head: Arc::clone(&self.head),
            stale: self.target.stale.clone(),
            part: None,
            trust: self.trust,
            barred: false,
            why: self.why(),
            since: Instant::now(),
        }
    }

    /// Counts a use of the key, where that decides whether it is stored. Before the request waits: those who wait for one fill
    /// are uses, too.
    pub(crate) fn count_use(&self) {
        if self.route.rules.min_uses.is_some() {
            self.shared.uses.count(&self.target.primary, self.shared.clock.now());
        }
    }

    /// The answer from an entry that may be used while it is revalidated.
    pub(crate) fn while_revalidated<R: Body>(&self) -> Option<Response<CacheBody<R>>> {
        let now = self.shared.clock.now();
        let entry = self.target.stale.as_ref().filter(|entry| entry.serves_while_revalidated(now))?;
        if !self.head.may_refresh() || self.worth(entry) == Validity::Gone {
            return None;
        }
        self.route.stats.stale(Stale::WhileRevalidate);
        Some(self.answer(entry, How::Stale(Stale::WhileRevalidate, None)))
    }

    /// The answer from an entry that stood in for a failure just now, and does again.
    pub(crate) fn throttled<R: Body>(&self, fallback: &Fallback) -> Option<Response<CacheBody<R>>> {
        let entry = fallback.stale.as_ref()?;
        let recently = self.shared.failing.contains(&entry.key, self.shared.clock.now());
        if recently { fallback.stale(Stale::Throttled) } else { None }
    }

    /// Whether a hit on a fresh entry should refresh it.
    pub(crate) fn is_due(&self, entry: &Entry) -> bool {
        self.head.may_refresh() && self.route.rules.stale.refresh_is_due(entry, self.shared.clock.now())
    }

    /// Joins the fill of the key or leads one. Waits for two fills at most, and no longer than `coalesce_timeout` in all,
    /// not counting what a fill itself waits for another process's.
    pub(crate) async fn lead_or_follow<R: Body>(&mut self, fallback: &Fallback) -> Turn<R> {
        let shared = Arc::clone(&self.shared);
        let why = self.why();
        let patience = Instant::now() + shared.limits.coalesce_timeout;
        let is_uncacheable = |key: &Key| shared.uncacheable.contains(key, shared.clock.now());
        let mut waited = 0;
        // Another request's fill may have begun before a purge that this one must not miss.
        while self.trust != Trust::Nothing && waited < FLIGHTS && !is_uncacheable(&self.target.key) {
            let overtaken = |stamp: &Stamp| self.is_overtaken(stamp);
            let waiter = match shared.flights.join(self.target.key, shared.purges.stamp(), overtaken) {
                Joined::Full => return full(fallback),
                Joined::Lead(mut lead, waiter) => {
                    // The fill before this one may have ended between the look into memory and now.
                    return match self.recall() {
                        Some(entry) => {
                            lead.announce(self.filled(Arc::clone(&entry)));
                            self.route.stats.hit_memory();
                            Turn::Answer(entry, How::Hit)
                        }
                        None => Turn::Fill(lead, waiter),
                    };
                }
                Joined::Follow(waiter) => waiter,
            };
            let mut end = timeout_at(patience, waiter.end()).await;
            // What was waited for until then was another process's fill.
            if end.is_err()
                && let Some(turn) = waiter.turn()
            {
                end = timeout_at(turn + shared.limits.coalesce_timeout, waiter.end()).await;
            }
            let Ok(end) = end else {
                match fallback.stale(Stale::CoalesceTimeout) {
                    Some(response) => return Turn::StandIn(response),
                    None => break,
                }
            };
            match end {
                End::Stored(filled) if self.target.accepts(&filled, &self.head.headers) => {
                    // A purge may have come behind it.
                    if self.worth(&filled.entry) == Validity::Fresh && self.takes(&filled.entry) {
                        self.route.stats.collapsed();
                        return Turn::Answer(filled.entry, How::Collapsed(why));
                    }
                    waited += 1;
                }
                // The resource varies, and that fill was for another variant: look again, now under its own key.
                End::Stored(_) => match self.recall() {
                    Some(entry) => {
                        self.route.stats.hit_memory();
                        return Turn::Answer(entry, How::Hit);
                    }
                    None => waited += 1,
                },
                End::Refused(refusal) if refusal.is_structural() => break,
                End::Refused(_) => waited += 1,
                End::Failed | End::Panicked | End::Aborted => match fallback.stale(Stale::IfError) {
                    Some(response) => return Turn::StandIn(response),
                    None => waited += 1,
                },
            }
        }
        match shared.flights.solo(shared.purges.stamp()) {
            Some((lead, waiter)) => Turn::Fill(lead, waiter),
            None => full(fallback),
        }
    }

    /// Whether an entry that another request's fill has made answers this one: under `Policy::http` it may have been stored
    /// only to be confirmed.
    fn takes(&self, entry: &Entry) -> bool {
        !self.is_http() || entry.fresh_for(self.shared.clock.now()).is_some()
    }

    /// Whether its policy is `Policy::http`.
    pub(crate) const fn is_http(&self) -> bool {
        self.ask.is_some()
    }

    /// The end of a fill whose entry was there already.
    pub(crate) fn filled(&self, entry: Arc<Entry>) -> End {
        let fields = self.target.vary.as_ref().map_or_else(Vec::new, |vary| vary.fields.clone());
        End::Stored(Filled { entry, fields: fields.into() })
    }
}

impl<S, P, R> Miss<S, P>
where
    S: Service<Request<P>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    P: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send + 'static,
{
    /// Does what the request's turn is.
    pub(crate) async fn take(
        self,
        turn: Turn<R>,
        mut fallback: Fallback,
    ) -> Result<Response<CacheBody<R>>, S::Error> {
        match turn {
            Turn::Fill(lead, waiter) => {
                // More may be known by now.
                fallback.stale = self.target.stale.clone();
                self.fill(lead, waiter, fallback).await
            }
            Turn::Answer(entry, how) => Ok(self.answer(&entry, how)),
            Turn::StandIn(response) => Ok(response),
            Turn::Past(reason) => self.past(reason).await,
        }
    }
}

/// As many fills run as may.
pub(crate) fn full<R: Body>(fallback: &Fallback) -> Turn<R> {
    fallback.stale(Stale::FillsFull).map_or(Turn::Past(Bypass::FillsFull), Turn::StandIn)
}
