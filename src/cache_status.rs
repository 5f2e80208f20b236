//! What the cache did, as a field of the response.

use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

use crate::policy::{Bypass, Refusal};

/// `Cache-Status` ([RFC 9211]).
///
/// [RFC 9211]: https://www.rfc-editor.org/rfc/rfc9211
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The cache's name in `Cache-Status`, and every value of the field that is known beforehand.
#[derive(Debug)]
pub(crate) struct Names {
    /// A hit's value without its number; none: the field isn't added.
    hit: Option<String>,
    bypass: Vec<HeaderValue>,
    refused: Vec<HeaderValue>,
    stored: Option<HeaderValue>,
    collapsed: Option<HeaderValue>,
}

impl Names {
    pub(crate) fn new(name: Option<&str>) -> Self {
        let value = |rest: &str| name.and_then(|name| HeaderValue::try_from(format!("{name}; {rest}")).ok());
        let bypass = |reason: &Bypass| value(&format!("fwd=bypass; detail={reason}"));
        let refused = |reason: &Refusal| value(&format!("fwd=miss; detail={reason}"));
        Self {
            hit: name.map(|name| format!("{name}; hit; ttl=")),
            bypass: Bypass::ALL.iter().filter_map(bypass).collect(),
            refused: Refusal::ALL.iter().filter_map(refused).collect(),
            stored: value("fwd=miss; stored"),
            collapsed: value("fwd=miss; collapsed"),
        }
    }

    /// Marks a response of the origin that went past the cache.
    pub(crate) fn mark_bypass(&self, headers: &mut HeaderMap, reason: Bypass) {
        append(headers, self.bypass.get(reason.index()));
    }

    /// Marks a response of the origin that was asked for; `refusal` is why it isn't stored.
    pub(crate) fn mark_miss(&self, headers: &mut HeaderMap, refusal: Option<Refusal>) {
        append(
            headers,
            match refusal {
                Some(refusal) => self.refused.get(refusal.index()),
                None => self.stored.as_ref(),
            },
        );
    }

    /// Whether the field is added at all.
    pub(crate) const fn are_shown(&self) -> bool {
        self.hit.is_some()
    }

    /// For an answer that another request's fill made.
    pub(crate) fn collapsed(&self) -> Option<HeaderValue> {
        self.collapsed.clone()
    }

    /// `hit; ttl=…`, the remaining freshness lifetime in seconds.
    pub(crate) fn hit(&self, ttl: Duration) -> Option<HeaderValue> {
        let start = self.hit.as_deref()?.as_bytes();
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(ttl.as_secs()).as_bytes();
        // Made on the stack, so that the value is the one allocation.
        let mut text = [0_u8; 128];
        let (name, rest) = text.split_at_mut_checked(start.len())?;
        name.copy_from_slice(start);
        rest.get_mut(..digits.len())?.copy_from_slice(digits);
        HeaderValue::from_bytes(text.get(..start.len() + digits.len())?).ok()
    }
}

fn append(headers: &mut HeaderMap, value: Option<&HeaderValue>) {
    if let Some(value) = value {
        headers.append(CACHE_STATUS, value.clone());
    }
}
