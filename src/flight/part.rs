//! Parts of a response: stored apart from the whole, until they make one ([RFC 9111 §3.3]).
//!
//! [RFC 9111 §3.3]: https://www.rfc-editor.org/rfc/rfc9111#section-3.3

use bytes::Bytes;
use http::{StatusCode, header};

use super::{Context, Filled};
use crate::policy::Refusal;
use crate::policy::http::range;
use crate::store::Draft;

impl Context {
    /// Whether the response is a part.
    pub(super) fn is_part(&self, draft: &Draft) -> bool {
        self.plan.is_some() && draft.parts.status == StatusCode::PARTIAL_CONTENT
    }

    /// Stores a part.
    pub(super) fn commit_part(&self, draft: &Draft, chunks: &[Bytes]) -> Result<Filled, Refusal> {
        let length = chunks.iter().map(Bytes::len).sum();
        range::received_part(&draft.parts.headers, length).ok_or(Refusal::Status)?;
        let mut draft = draft.clone();
        // Whoever asks for the same gets the same.
        if let Some(asked) = self.head.headers.get(header::RANGE) {
            draft.parts.headers.insert(header::RANGE, asked.clone());
        }
        let (tiers, primary) = (&self.shared.tiers, self.target.primary.part());
        let target = tiers.target(&self.route, primary, &self.head.headers);
        tiers.commit(&self.route, &target, &self.head, &draft, chunks, None)
    }
}
