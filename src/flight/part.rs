//! Parts of a response: stored apart from the whole, until they make one ([RFC 9111 §3.3], §3.4).
//!
//! [RFC 9111 §3.3]: https://www.rfc-editor.org/rfc/rfc9111#section-3.3

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header, response};
use http_body::Body;
use tokio::time::Instant;

use super::head::{declared_length, is_answer, is_error};
use super::record::{Recording, Step};
use super::settle::Update;
use super::{Context, Filled};
use crate::answer::{self, How};
use crate::body::CacheBody;
use crate::clock::Millis;
use crate::conditional::kept;
use crate::entry::Entry;
use crate::policy::Refusal;
use crate::policy::http::combine::{self, Combined, combine};
use crate::policy::http::range;
use crate::policy::http::request::Ask;
use crate::route::RequestHead;
use crate::store::{Draft, Target};

impl Context {
    /// Whether the response is a part.
    pub(super) fn is_part(&self, draft: &Draft) -> bool {
        self.route.rules.http.is_some() && draft.parts.status == StatusCode::PARTIAL_CONTENT
    }

    /// Stores a part, together with the one that is stored already, if the two make one piece.
    pub(super) fn commit_part(&self, draft: &Draft, chunks: &[Bytes]) -> Result<Filled, Refusal> {
        let body = joined(chunks);
        let part = range::received_part(&draft.parts.headers, body.len()).ok_or(Refusal::Status)?;
        let mut draft = draft.clone();
        if part.is_all() {
            draft.parts.status = StatusCode::OK;
            kept(&mut draft.parts.headers, |name| *name != header::CONTENT_RANGE);
            return self.shared.tiers.commit(&self.route, &self.target, &self.head, &draft, chunks, None);
        }
        kept(&mut draft.parts.headers, |name| *name != header::RANGE);
        // Whoever asks for the same gets the same.
        if let Some(asked) = self.head.headers.get(header::RANGE) {
            draft.parts.headers.insert(header::RANGE, asked.clone());
        }
        let tiers = &self.shared.tiers;
        let target = self.part_target();
        if let Some(stored) = tiers.peek(&target.key).filter(|stored| stored.windows.may_be_updated())
            && let Some(both) =
                combine((&answer::stored_fields(&stored), &stored.body), (&draft.parts.headers, &body))
        {
            // Too large together, say: then the newer one alone.
            if let Ok(Whole { draft, body }) = self.put_together(&stored, &draft.parts, both, draft.received)
            {
                let is_whole = draft.parts.status == StatusCode::OK;
                let target = if is_whole { &self.target } else { &target };
                return tiers.commit(&self.route, target, &self.head, &draft, &body, None);
            }
        }
        tiers.commit(&self.route, &target, &self.head, &draft, chunks, None)
    }

    /// Where the part of what the request is for stands.
    fn part_target(&self) -> Target {
        self.shared.tiers.target(&self.route, self.target.primary.part(), &self.head.headers)
    }

    /// Lets go of a whole that a stored part has overtaken: by another strong validator the origin says that there is another
    /// representation. Without one the whole stays for what the part doesn't answer.
    pub(super) fn overtake_whole(&self, part: &Entry) {
        let tiers = &self.shared.tiers;
        let whole = tiers.peek(&self.target.key).or_else(|| self.target.stale.clone());
        if let Some(whole) = whole
            && part.status == StatusCode::PARTIAL_CONTENT
            && combine::differ(&whole.origin_fields(self.route.rules.etag), &part.headers)
        {
            tiers.forget(&whole);
        }
    }

    /// Lets go of a part that an answer of the origin has overtaken, stored or not, unless both have one strong validator: of two
    /// responses the most recent is used ([RFC 9111 §4]). What is only the requester's own says nothing about the part.
    ///
    /// [RFC 9111 §4]: https://www.rfc-editor.org/rfc/rfc9111#section-4
    pub(super) fn overtake_part(&self, answer: &response::Parts, refusal: Option<Refusal>) {
        if self.route.rules.http.is_none() {
            return;
        }
        let overtakes = match refusal {
            None => !is_error(answer.status),
            Some(_) => {
                let ask = Ask::of(&self.head.headers);
                let is_own = ask.authorization || ask.no_store || answer.status == StatusCode::NOT_MODIFIED;
                self.head.method == Method::GET && !is_own && is_answer(answer.status)
            }
        };
        let planned = || self.plan.as_ref().and_then(|plan| plan.part.clone());
        let part = self.shared.tiers.peek(&self.part_target().key).or_else(planned);
        if let Some(part) = part
            && overtakes
            && !combine::share_validator(&part.headers, &answer.headers)
        {
            self.shared.tiers.forget(&part);
        }
    }

    /// Takes what was missing of a part, and stores the whole. `None`: it doesn't fit.
    pub(super) async fn complete<R: Body<Data = Bytes>>(
        &self,
        part: &Arc<Entry>,
        parts: &response::Parts,
        body: R,
        started: Instant,
    ) -> Option<Filled> {
        if !combine::is_of_same(&part.headers, &parts.headers) {
            return None;
        }
        let declared = declared_length(parts).ok()?;
        let limit = self.route.rules.max_body;
        let (recording, pieces) = Recording::new(body, declared, limit, &self.shared.recordings);
        let mut recording = recording.without_trailers(true);
        // The client gets the whole.
        drop(pieces);
        let Step::End(_) = self.last_step(&mut recording, started).await else { return None };
        let rest = joined(recording.chunks());
        let stored = answer::stored_fields(part);
        let both = combine((&stored, &part.body), (&parts.headers, &rest))
            .filter(|both| both.status == StatusCode::OK && !self.is_gone(part))?;
        let whole = self.put_together(part, parts, both, self.shared.clock.now()).ok()?;
        let filled = self.commit(&whole.draft, &whole.body).ok()?;
        self.kept(&filled);
        Some(filled)
    }

    /// The answer from a whole that was completed.
    pub(super) fn completed<R: Body>(&self, entry: &Entry) -> Response<CacheBody<R>> {
        let now = self.shared.clock.now();
        let RequestHead { method, headers, .. } = &*self.head;
        let how = How::Fetched(self.forward(), StatusCode::PARTIAL_CONTENT, None);
        answer::from_entry(entry, method, headers, now, how, &self.shared.names)
    }

    /// Two parts as a response that is to be stored.
    fn put_together(
        &self,
        stored: &Entry,
        newer: &response::Parts,
        both: Combined,
        received: Millis,
    ) -> Result<Whole, Refusal> {
        let Update { verdict, fields, .. } = self.updated(stored, both.status, newer, received);
        let mut parts = newer.clone();
        (parts.status, parts.headers) = (both.status, both.headers);
        answer::date(&mut parts.headers, received);
        let mut draft = self.draft(parts, verdict?, received)?;
        draft.fields = fields?;
        self.inherit(stored, &mut draft);
        Ok(Whole { draft, body: both.body })
    }
}

/// What two parts make.
struct Whole {
    draft: Draft,
    body: Vec<Bytes>,
}

/// Chunks as one piece; a single one isn't copied.
fn joined(chunks: &[Bytes]) -> Bytes {
    match chunks {
        [only] => only.clone(),
        many => many.concat().into(),
    }
}
