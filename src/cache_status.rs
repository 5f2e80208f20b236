//! What the cache did, as a field of the response.

use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::policy::{Bypass, Refusal, Stale};

/// `Cache-Status` ([RFC 9211]).
///
/// [RFC 9211]: https://www.rfc-editor.org/rfc/rfc9211
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why a request went to the origin ([RFC 9211 §2.2]).
///
/// [RFC 9211 §2.2]: https://www.rfc-editor.org/rfc/rfc9211#section-2.2
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forward {
    /// There was no entry.
    Miss,
    /// There was one, but a stale one.
    Stale,
    /// There was none for the URI.
    UriMiss,
    /// There was one for the URI, but for other values of the fields that `Vary` names.
    VaryMiss,
    /// There was one, but the request's own directives didn't allow it.
    Request,
    /// There was a part only.
    Partial,
    /// The method asks for the origin.
    Method,
}

impl Forward {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Request => "request",
            Self::Partial => "partial",
            Self::Method => "method",
        }
    }
}

/// Values for a [`Forward`].
#[derive(Debug)]
struct Forwarded {
    refused: Vec<HeaderValue>,
    stored: Option<HeaderValue>,
    collapsed: Option<HeaderValue>,
}

/// The cache's name in `Cache-Status`, and every value of the field that is known beforehand.
#[derive(Debug)]
pub(crate) struct Names {
    /// A hit's value without its number; none: the field isn't added.
    hit: Option<String>,
    bypass: Vec<HeaderValue>,
    miss: Forwarded,
    stale: Forwarded,
}

impl Names {
    pub(crate) fn new(name: Option<&str>) -> Self {
        let value = |rest: &str| name.and_then(|name| HeaderValue::try_from(format!("{name}; {rest}")).ok());
        let bypass = |reason: &Bypass| value(&format!("fwd=bypass; detail={reason}"));
        let forwarded = |fwd: &str| Forwarded {
            refused: Refusal::ALL
                .iter()
                .filter_map(|reason| value(&format!("fwd={fwd}; detail={reason}")))
                .collect(),
            stored: value(&format!("fwd={fwd}; stored")),
            collapsed: value(&format!("fwd={fwd}; collapsed")),
        };
        Self {
            hit: name.map(|name| format!("{name}; hit; ttl=")),
            bypass: Bypass::ALL.iter().filter_map(bypass).collect(),
            miss: forwarded("miss"),
            stale: forwarded("stale"),
        }
    }

    /// Marks a response of the origin that went past the cache.
    pub(crate) fn mark_bypass(&self, headers: &mut HeaderMap, reason: Bypass) {
        append(headers, self.bypass.get(reason.index()));
    }

    /// Marks a response of the origin that was asked for; `refusal` is why it isn't stored. `status`: the response's, where
    /// that is told.
    pub(crate) fn mark_forwarded(
        &self,
        headers: &mut HeaderMap,
        why: Forward,
        status: Option<StatusCode>,
        refusal: Option<Refusal>,
    ) {
        if let (None, Some(known)) = (status, self.known(why)) {
            let value = match refusal {
                Some(refusal) => known.refused.get(refusal.index()),
                None => known.stored.as_ref(),
            };
            append(headers, value);
        } else {
            append(headers, self.forwarded(why, status, refusal).as_ref());
        }
    }

    /// Marks a response to a method that no cache answers.
    pub(crate) fn mark_method(&self, headers: &mut HeaderMap, status: StatusCode) {
        let value = self.of(|name| format!("{name}; fwd=method; fwd-status={}", status.as_u16()));
        append(headers, value.as_ref());
    }

    /// Marks an answer that is neither from an entry nor of the origin.
    pub(crate) fn mark_unasked(&self, headers: &mut HeaderMap, reason: Refusal) {
        append(headers, self.of(|name| format!("{name}; detail={reason}")).as_ref());
    }

    /// For a response of the origin, or one that it had a part in.
    pub(crate) fn forwarded(
        &self,
        why: Forward,
        status: Option<StatusCode>,
        refusal: Option<Refusal>,
    ) -> Option<HeaderValue> {
        self.of(|name| {
            let mut value = format!("{name}; fwd={}", why.as_str());
            if let Some(status) = status {
                value.push_str(&format!("; fwd-status={}", status.as_u16()));
            }
            match refusal {
                Some(refusal) => value.push_str(&format!("; detail={refusal}")),
                None => value.push_str("; stored"),
            }
            value
        })
    }

    /// A value, if the field is added at all.
    fn of(&self, value: impl FnOnce(&str) -> String) -> Option<HeaderValue> {
        let name = self.hit.as_deref()?.strip_suffix("; hit; ttl=")?;
        HeaderValue::try_from(value(name)).ok()
    }

    /// The values that are made beforehand.
    const fn known(&self, why: Forward) -> Option<&Forwarded> {
        match why {
            Forward::Miss => Some(&self.miss),
            Forward::Stale => Some(&self.stale),
            _ => None,
        }
    }

    /// Whether the field is added at all.
    pub(crate) const fn are_shown(&self) -> bool {
        self.hit.is_some()
    }

    /// For an answer that another request's fill made.
    pub(crate) fn collapsed(&self, why: Forward) -> Option<HeaderValue> {
        match self.known(why) {
            Some(known) => known.collapsed.clone(),
            None => self.of(|name| format!("{name}; fwd={}; collapsed", why.as_str())),
        }
    }

    /// For an answer from an entry that has been stale for `by`; `status` is that of the origin's answer in whose place it
    /// stands, if there is one.
    pub(crate) fn stale(
        &self,
        by: Duration,
        reason: Stale,
        status: Option<StatusCode>,
    ) -> Option<HeaderValue> {
        self.of(|name| {
            if reason.is_forwarded() {
                let status =
                    status.map(|status| format!("; fwd-status={}", status.as_u16())).unwrap_or_default();
                format!("{name}; fwd=stale{status}; detail={reason}")
            } else {
                format!("{name}; hit; ttl={}; detail={reason}", -i128::from(by.as_secs()))
            }
        })
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
        // A map that can take no more goes on without.
        headers.try_append(CACHE_STATUS, value.clone()).ok();
    }
}
