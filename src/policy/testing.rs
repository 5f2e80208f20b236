//! What the tests of this module share.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, request, response};
use proptest::prelude::*;

use super::{Policy, Rules};
use crate::entry::{Checked, Entry, Windows};
use crate::error::PolicyError;
use crate::key::Key;
use crate::purge::{Epoch, JournalId, Stamp};

/// The TTL of the handle in these tests.
pub(super) const HANDLE_TTL: Duration = Duration::from_secs(3600);

pub(super) fn try_rules<K>(policy: &Policy<K>) -> Result<Rules, PolicyError> {
    Rules::new(policy.config(), policy.hooks(), HANDLE_TTL)
}

pub(super) fn rules<K>(policy: &Policy<K>) -> Rules {
    try_rules(policy).unwrap()
}

pub(crate) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| -> (HeaderName, HeaderValue) {
        (name.parse().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    lines.iter().map(line).collect()
}

pub(super) fn request(method: &str, lines: &[(&str, &str)]) -> request::Parts {
    let mut parts = Request::builder().method(method).uri("/x").body(()).unwrap().into_parts().0;
    parts.headers = headers(lines);
    parts
}

pub(super) fn response(status: u16, lines: &[(&str, &str)]) -> response::Parts {
    let mut parts = Response::builder().status(status).body(()).unwrap().into_parts().0;
    parts.headers = headers(lines);
    parts
}

/// An entry of the Unix epoch plus 1,000,000 s, fresh for 100 s and of use for 50 s more.
pub(crate) fn entry(status: u16, lines: &[(&str, &str)], body: &str) -> Entry {
    Entry {
        key: Key::from_bytes([0; 32]),
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers(lines),
        body: Bytes::copy_from_slice(body.as_bytes()),
        stored_at: 1_000_000_000,
        initial_age: 0,
        lifetime: 100_000,
        windows: Windows { while_revalidate: 50_000, if_error: 50_000, revalidate: 50_000 },
        stamp: Stamp::foreign(Epoch::NONE, JournalId::ZERO),
        tags: Box::new([]),
        checked: Checked::default(),
    }
}

/// Any lines of the fields that decide something, with values near those that matter or quite arbitrary.
pub(super) fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let name = prop::sample::select(vec![
        "cache-control",
        "cdn-cache-control",
        "age",
        "expires",
        "date",
        "vary",
        "set-cookie",
        "cookie",
        "pragma",
        "content-type",
        "connection",
        "content-security-policy",
        "access-control-allow-origin",
        "origin",
        "range",
        "authorization",
        "x-amzn-oidc-data",
        "upgrade",
        "x-request-id",
        "x-other",
    ]);
    let near = "(((max-age|s-maxage|private|no-cache|sid|public|a)( ?= ?(\"[a-z,;]*\"?|[0-9]{1,12}|-1|\\?0|\\(1 2\\))?)?|[,;\" =?@:]){0,3}[,; ]{0,2}){0,4}";
    let arbitrary = prop::collection::vec(any::<u8>(), 0..40);
    let value = prop_oneof![
        3 => near.prop_map(String::into_bytes),
        1 => arbitrary,
        1 => prop::sample::select(vec!["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "0", "text/html"])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec((name, value), 0..12).prop_map(|lines| {
        let lines = lines.into_iter().filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::from_bytes(&value).ok()?))
        });
        lines.collect()
    })
}
