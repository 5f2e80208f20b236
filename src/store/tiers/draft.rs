//! Responses on their way into the tiers.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, StatusCode, header, response};

use super::{Target, Tiers};
use crate::answer;
use crate::clock::Millis;
use crate::entry::{Entry, EntryHead};
use crate::flight::Filled;
use crate::key::{self, Key};
use crate::policy::{Refusal, Verdict, etag};
use crate::purge::{Stamp, Tag, Validity};
use crate::route::{RequestHead, Route};

/// A response that a fill wants to store.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) parts: response::Parts,
    pub(crate) verdict: Verdict,
    pub(crate) received: Millis,
    /// The response's own `Vary`.
    pub(crate) fields: Vec<HeaderName>,
    /// The length that the response declares.
    pub(crate) declared: Option<u64>,
    /// How far purges were known when the fill began.
    pub(crate) stamp: Stamp,
    /// What the request is about: tags that the entry's list of variants has too.
    pub(crate) request_tags: Arc<[Tag]>,
    /// What the response says it is about.
    pub(crate) response_tags: Vec<Tag>,
}

impl Draft {
    /// What the entry is about.
    fn tags(&self) -> Vec<Tag> {
        [&self.request_tags, self.response_tags.as_slice()].concat()
    }

    /// The entry under `key`, and its bytes.
    pub(super) fn entry(
        &self,
        route: &Route,
        key: &Key,
        lifetime: Millis,
        chunks: &[Bytes],
    ) -> Result<(Entry, Bytes), Refusal> {
        let mut headers = route.rules.stored_headers(&self.parts.headers);
        // Where a directive or `Connection` names even `Date`, an answer has one all the same, and always the same.
        answer::date(&mut headers, self.received);
        // A part would get another tag than its whole.
        if !headers.contains_key(header::ETAG)
            && self.parts.status != StatusCode::PARTIAL_CONTENT
            && let Some(made) = etag::make(route.rules.etag, chunks)
        {
            headers.insert(header::ETAG, made);
        }
        let head = EntryHead {
            key,
            status: self.parts.status,
            headers: &headers,
            stored_at: self.received,
            initial_age: self.verdict.initial_age,
            lifetime,
            windows: self.verdict.windows,
            stamp: self.stamp,
            tags: &self.tags(),
        };
        Entry::seal(head, chunks)
    }
}

impl Tiers {
    /// Whether a whole response may be stored.
    ///
    /// # Errors
    ///
    /// The policy's `store_if` says no, or a purge came while it was made.
    pub(crate) fn keeps(&self, route: &Route, draft: &Draft, chunks: &[Bytes]) -> Result<(), Refusal> {
        route.rules.keeps(&draft.parts, chunks)?;
        match self.purges.validity(&draft.stamp, &draft.tags()) {
            Validity::Fresh => Ok(()),
            // Another fill, begun behind a soft purge, may have stored already what is newer.
            Validity::Gone | Validity::Stale => Err(Refusal::Overtaken),
        }
    }

    /// The entry of a response that isn't stored, for those who wait for it.
    pub(crate) fn share(
        &self,
        route: &Route,
        target: &Target,
        request: &RequestHead,
        draft: &Draft,
        chunks: &[Bytes],
    ) -> Result<Filled, Refusal> {
        let key = match draft.fields.as_slice() {
            [] => target.primary,
            fields => {
                key::variant(&target.primary, fields, &request.headers).map_err(|_| Refusal::VaryLimit)?
            }
        };
        let (entry, _) = draft.entry(route, &key, draft.verdict.lifetime, chunks)?;
        Ok(Filled { entry: self.shared_out(entry), fields: draft.fields.as_slice().into() })
    }
}
