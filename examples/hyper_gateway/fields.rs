//! Fields that are meant for one connection alone.

use std::collections::HashSet;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName};

/// Hop-by-hop fields whether `Connection` lists them or not ([RFC 9110 §7.6.1]). `Trailer` isn't one of them.
///
/// [RFC 9110 §7.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
const HOP_BY_HOP: [&str; 6] =
    ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// The fields that go on: all lines of all but the hop-by-hop fields and those that `Connection` lists, in their order.
///
/// The map is made anew, because removing from a [`HeaderMap`] changes the order of what stays.
pub(crate) fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let listed = listed(headers);
    let mut kept = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers {
        if !HOP_BY_HOP.contains(&name.as_str()) && !listed.contains(name) {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// Takes a field away; the others keep their order.
pub(crate) fn without(headers: &mut HeaderMap, unwanted: &HeaderName) {
    if headers.contains_key(unwanted) {
        let mut kept = HeaderMap::with_capacity(headers.keys_len());
        for (name, value) in headers.iter().filter(|(name, _)| *name != unwanted) {
            kept.append(name, value.clone());
        }
        *headers = kept;
    }
}

/// The fields that `Connection` lists, except those without which a message can't be read or routed.
fn listed(headers: &HeaderMap) -> HashSet<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect()
}
