//! What a response's head makes of a fill: under `Policy::http` it may be the answer to a validation.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode, header, response};
use http_body::Body;

use super::{Context, End, Filled, Lead};
use crate::answer::{self, How};
use crate::body::CacheBody;
use crate::clock::{Millis, millis};
use crate::conditional;
use crate::entry::{Entry, MAX_HEADERS, Windows};
use crate::policy::http::validate;
use crate::policy::{Refusal, Verdict};
use crate::purge::Validity;
use crate::route::RequestHead;
use crate::store::Draft;

/// What becomes of a response.
pub(super) enum Settled {
    /// It is stored, if its body ends well.
    Record(Draft),
    /// It isn't stored.
    Refused(Refusal),
    /// The origin says that a stored response is still right.
    Confirmed(Confirmed),
    /// It says so of a response that isn't stored.
    Again(Option<Arc<Entry>>),
    /// It is what was missing of a part.
    Rest(Arc<Entry>),
}

/// A stored response with newer fields.
pub(super) struct Update {
    parts: response::Parts,
    pub(super) verdict: Result<Verdict, Refusal>,
    /// What tells it from the resource's other variants.
    pub(super) fields: Result<Vec<HeaderName>, Refusal>,
}

/// A stored response that the origin has confirmed.
pub(super) struct Confirmed {
    base: Arc<Entry>,
    /// The fields of the confirmation.
    update: HeaderMap,
    /// The base with them.
    draft: Draft,
    /// Whether it may be stored so.
    storable: Result<(), Refusal>,
}

impl Confirmed {
    pub(super) const fn base(&self) -> &Arc<Entry> {
        &self.base
    }
}

impl Context {
    /// What becomes of a response with this head.
    pub(super) fn settle(&self, parts: &response::Parts) -> Settled {
        // No entry holds so many, nor is one updated by them.
        if parts.headers.len() > MAX_HEADERS {
            return Settled::Refused(Refusal::Unencodable);
        }
        if parts.status == StatusCode::NOT_MODIFIED
            && let Some(plan) = &self.plan
        {
            if let Some(base) = &plan.base {
                return self.validated(base, parts);
            }
            if !plan.others.is_empty() {
                // Which of the variants it is, its entity tag says (RFC 9111 §4.3.4).
                let named = |entry: &&Arc<Entry>| validate::names(&entry.headers, &parts.headers);
                return match plan.others.iter().find(named) {
                    Some(base) => self.validated(base, parts),
                    None => Settled::Again(None),
                };
            }
        }
        // By other methods than GET and HEAD the cache's own precondition fails where it holds (RFC 9110 §13.1.2).
        if parts.status == StatusCode::PRECONDITION_FAILED
            && let Some(plan) = &self.plan
            && (plan.base.is_some() || !plan.others.is_empty())
        {
            return Settled::Again(plan.base.clone());
        }
        if let Some(part) = self.plan.as_ref().and_then(|plan| plan.part.as_ref()) {
            match parts.status {
                StatusCode::PARTIAL_CONTENT => return Settled::Rest(Arc::clone(part)),
                // The client asked for no range.
                StatusCode::RANGE_NOT_SATISFIABLE => return Settled::Again(Some(Arc::clone(part))),
                _ => {}
            }
        }
        if self.plan.is_some() && self.head.method == Method::HEAD {
            self.head_answered(parts);
        }
        match self.judge(parts) {
            Ok(draft) => Settled::Record(draft),
            Err(refusal) => Settled::Refused(refusal),
        }
    }

    /// A 304 to a validation ([RFC 9111 §4.3.4]).
    ///
    /// [RFC 9111 §4.3.4]: https://www.rfc-editor.org/rfc/rfc9111#section-4.3.4
    fn validated(&self, base: &Arc<Entry>, update: &response::Parts) -> Settled {
        // What was purged meanwhile is no answer to anybody, whatever the origin said before.
        if self.is_gone(base)
            || !validate::confirms(&base.origin_fields(self.route.rules.etag), &update.headers)
        {
            return Settled::Again(Some(Arc::clone(base)));
        }
        let received = self.shared.clock.now();
        let Update { parts, verdict, fields } = self.updated(base, base.status, update, received);
        let verdict =
            verdict.and_then(|verdict| fields.as_ref().map(|_| verdict).map_err(|refusal| *refusal));
        let storable = verdict.map(drop);
        // Good for the requests that wait for it, and for no other.
        let unstored = Verdict { lifetime: 0, initial_age: 0, windows: Windows::default() };
        match self.draft(parts, verdict.unwrap_or(unstored), received) {
            Ok(mut draft) => {
                draft.fields = fields.unwrap_or_default();
                self.inherit(base, &mut draft);
                let (base, update) = (Arc::clone(base), update.headers.clone());
                Settled::Confirmed(Confirmed { base, update, draft, storable })
            }
            Err(_) => Settled::Again(Some(Arc::clone(base))),
        }
    }

    /// A stored response with the fields of one that is about it ([RFC 9111 §3.2]), and what they say.
    ///
    /// [RFC 9111 §3.2]: https://www.rfc-editor.org/rfc/rfc9111#section-3.2
    pub(super) fn updated(
        &self,
        base: &Entry,
        status: StatusCode,
        update: &response::Parts,
        received: Millis,
    ) -> Update {
        let stored = answer::stored_fields(base);
        let mut parts = update.clone();
        // It was made now, if it doesn't say when.
        answer::date(&mut parts.headers, received);
        // `Connection` takes away fields that are read all the same.
        let mut said = parts.clone();
        conditional::kept(&mut said.headers, |name| *name != header::CONNECTION);
        said.headers = validate::merged(&stored, &said.headers);
        for age in update.headers.get_all(header::AGE) {
            said.headers.append(header::AGE, age.clone());
        }
        said.status = status;
        parts.status = status;
        parts.headers = validate::merged(&stored, &parts.headers);

        let mut verdict = self.verdict(self.stored_method(), &said, received);
        if let (Ok(verdict), Some(http)) = (&mut verdict, &self.route.rules.http)
            && http.lists_policy(&update.headers)
        {
            verdict.windows.revalidate = 0;
        }
        let fields = crate::key::vary_fields(&said.headers).map(|mut fields| {
            // The base's own `Vary` may have been of the connection.
            let known = self.told_apart_by(base);
            let more: Vec<_> = known.iter().filter(|name| !fields.contains(name)).cloned().collect();
            fields.extend(more);
            fields
        });
        Update { parts, verdict, fields }
    }

    /// The method whose response is stored.
    fn stored_method(&self) -> &Method {
        if self.head.method == Method::HEAD { &Method::GET } else { &self.head.method }
    }

    /// Whether a purge took an entry away.
    pub(super) fn is_gone(&self, entry: &Entry) -> bool {
        self.shared.purges.validity(&entry.stamp, &entry.tags) == Validity::Gone
    }

    /// Whether a response that came after this fill began stands in the entry's place.
    fn is_replaced(&self, base: &Arc<Entry>) -> bool {
        let current = self.shared.tiers.peek(&base.key);
        current.is_some_and(|current| !Arc::ptr_eq(&current, base) && current.stored_at >= self.asked)
    }

    /// Counts what was stored, which is proof that the key can be.
    pub(super) fn kept(&self, filled: &Filled) {
        self.route.stats.stored();
        self.shared.uncacheable.clear(&self.target.key);
        self.shared.failing.clear(&filled.entry.key);
    }

    /// The base's tags go on with it.
    pub(super) fn inherit(&self, base: &Entry, draft: &mut Draft) {
        for tag in &base.tags {
            if !draft.request_tags.contains(tag) && !draft.response_tags.contains(tag) {
                draft.response_tags.push(*tag);
            }
        }
    }

    /// Stores what was confirmed, and gives the first caller's answer; `None` if a purge overtook it.
    pub(super) fn confirm<R: Body>(
        &self,
        confirmed: &Confirmed,
        lead: &mut Lead,
    ) -> Option<Response<CacheBody<R>>> {
        let Confirmed { base, update, draft, storable } = confirmed;
        let body = std::slice::from_ref(&base.body);
        let newest = if self.is_replaced(base) { Err(Refusal::Overtaken) } else { Ok(()) };
        let stored = storable.and(newest).and_then(|()| self.commit(draft, body));
        let (filled, unstored) = match stored {
            Ok(filled) => {
                self.kept(&filled);
                (filled, None)
            }
            // A soft purge leaves the answer to those who asked before it.
            Err(Refusal::Overtaken) if self.is_gone(base) => return None,
            Err(refusal) => {
                self.route.stats.refused(refusal);
                // What one request may not store, another has stored.
                if refusal.is_structural() && self.plan.as_ref().is_some_and(|plan| plan.for_all) {
                    self.shared.tiers.forget(base);
                }
                (self.unstored_entry(draft, body).ok()?, Some(refusal))
            }
        };
        let now = self.shared.clock.now();
        let RequestHead { method, headers, .. } = &*self.head;
        let how = How::Fetched(self.forward(), StatusCode::NOT_MODIFIED, unstored);
        let mut response = answer::from_entry(&filled.entry, method, headers, now, how, &self.shared.names);
        // What is for this requester alone isn't stored (RFC 9111 §5.2.2.7).
        let mut own = validate::unstored(update, &filled.entry.headers);
        self.route.rules.tag_fields.strip(&mut own);
        for (name, value) in &own {
            response.headers_mut().append(name, value.clone());
        }
        self.route.count(&response);
        lead.announce(End::Stored(filled));
        Some(response)
    }

    /// What the answer to a HEAD request tells of the stored response to GET ([RFC 9111 §4.3.5]): its fields, or that it
    /// is stale.
    ///
    /// [RFC 9111 §4.3.5]: https://www.rfc-editor.org/rfc/rfc9111#section-4.3.5
    fn head_answered(&self, head: &response::Parts) {
        let Some(base) = self.target.stale.as_ref().filter(|_| head.status == StatusCode::OK) else { return };
        let worth = self.shared.purges.validity(&base.stamp, &base.tags);
        if worth == Validity::Gone || self.is_replaced(base) || !base.windows.may_be_updated() {
            return;
        }
        let received = self.shared.clock.now();
        let Update { mut parts, mut verdict, fields } = self.updated(base, base.status, head, received);
        // What was softly purged needs more than that nothing speaks against it.
        let is_named = validate::has_validator(&head.headers) || worth == Validity::Fresh;
        let matches = base.status == StatusCode::OK
            && is_named
            && validate::head_matches(
                &base.origin_fields(self.route.rules.etag),
                base.body.len() as u64,
                &head.headers,
            );
        if !matches {
            parts.headers = answer::stored_fields(base);
            let age = millis(base.age(received));
            verdict =
                Ok(Verdict { lifetime: base.lifetime.min(age), initial_age: age, windows: base.windows });
        }
        let fields = if matches { fields } else { Ok(self.told_apart_by(base).to_vec()) };
        let draft = verdict.and_then(|verdict| Ok((self.draft(parts, verdict, received)?, fields?)));
        match draft {
            Ok((mut draft, fields)) => {
                draft.fields = fields;
                self.inherit(base, &mut draft);
                if !matches {
                    // Nothing was confirmed.
                    draft.stamp = base.stamp;
                }
                self.commit(&draft, std::slice::from_ref(&base.body)).ok();
            }
            // What GET would get now mustn't be stored.
            Err(refusal) if refusal.is_structural() => self.shared.tiers.forget(base),
            Err(_) => {}
        }
    }

    /// The fields that tell an entry from the resource's other variants.
    fn told_apart_by(&self, entry: &Entry) -> &[HeaderName] {
        let vary = self.target.vary.as_ref().filter(|_| entry.key != self.target.primary);
        vary.map_or(&[], |vary| vary.fields.as_slice())
    }

    /// An entry that the origin doesn't stand by: it is asked as if there were none.
    pub(super) fn let_go(&mut self, base: Option<&Arc<Entry>>) {
        if let Some(base) = base {
            self.shared.tiers.forget(base);
        }
        self.target.stale.take_if(|stale| base.is_some_and(|base| Arc::ptr_eq(base, stale)));
        if let Some(plan) = &mut self.plan {
            plan.others.clear();
            plan.base = None;
            plan.part = None;
        }
    }

    /// Whether a response answers what only the cache has asked: its preconditions stood in the place of the client's, its range
    /// where the client had none.
    pub(super) fn is_unusable(&self, parts: &response::Parts) -> bool {
        let Some(plan) = &self.plan else { return false };
        match parts.status {
            StatusCode::NOT_MODIFIED | StatusCode::PRECONDITION_FAILED => plan.is_shaped,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => plan.part.is_some(),
            _ => false,
        }
    }

    /// An entry for those who wait, of a response that isn't stored.
    pub(super) fn unstored_entry(&self, draft: &Draft, body: &[Bytes]) -> Result<Filled, Refusal> {
        self.shared.tiers.share(&self.route, &self.target, &self.head, draft, body)
    }
}
