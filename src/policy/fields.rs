//! Sets of field names, and the response fields that are stored.

use std::collections::HashSet;

use http::HeaderMap;
use http::header::{
    AGE, CONNECTION, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

use super::Rules;
use super::rules::{error, header_name};
use crate::error::PolicyError;

/// Fields of one connection, or made anew for every response: never part of an entry ([RFC 9111 §3.1]).
///
/// [RFC 9111 §3.1]: https://www.rfc-editor.org/rfc/rfc9111#section-3.1
const NEVER_STORED: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    AGE,
];

/// What caches nearer to the origin did. Under `Policy::ttl` the cache stands beside the origin and tells of itself alone.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Field names, some of them given by their start.
pub(super) struct FieldSet {
    exact: Vec<HeaderName>,
    prefixes: Vec<String>,
}

impl FieldSet {
    /// The set that the names of a list spell; a `*` at the end matches any rest.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Field`] naming `field`.
    pub(super) fn parse(field: &'static str, names: &[String]) -> Result<Self, PolicyError> {
        let mut set = Self { exact: Vec::new(), prefixes: Vec::new() };
        for name in names {
            match name.strip_suffix('*') {
                None => set.exact.push(header_name(field, name)?),
                Some("") => return Err(error(field, "`*` alone would match every field")),
                Some(start) => set.prefixes.push(header_name(field, start)?.as_str().to_owned()),
            }
        }
        Ok(set)
    }

    /// Whether the name is in the set.
    pub(super) fn contains(&self, name: &HeaderName) -> bool {
        self.exact.contains(name)
            || self.prefixes.iter().any(|start| name.as_str().starts_with(start.as_str()))
    }
}

impl Rules {
    /// The response fields that are part of an entry, in their order.
    pub(crate) fn stored_headers(&self, headers: &HeaderMap) -> HeaderMap {
        let own = |name: &HeaderName| self.per_request.contains(name) || self.tag_fields.hides(name);
        match &self.http {
            Some(http) => without(&http.stored_fields(headers), own),
            None => without(&storable(headers), |name| *name == CACHE_STATUS || own(name)),
        }
    }
}

/// The fields that aren't of one connection or one answer alone ([RFC 9111 §3.1]).
///
/// [RFC 9111 §3.1]: https://www.rfc-editor.org/rfc/rfc9111#section-3.1
pub(super) fn storable(headers: &HeaderMap) -> HeaderMap {
    let listed = connection_listed(headers);
    without(headers, |name| NEVER_STORED.contains(name) || listed.contains(name))
}

/// The fields but those that aren't wanted, made anew: removal would put others in their places.
pub(super) fn without(headers: &HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let wanted = headers.iter().filter(|(name, _)| !unwanted(name));
    wanted.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Removes all lines of the fields that aren't wanted.
pub(super) fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// The fields that `Connection` names as belonging to the connection.
pub(super) fn connection_listed(headers: &HeaderMap) -> HashSet<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|member| HeaderName::from_bytes(member.trim_ascii()).ok())
        .collect()
}

#[cfg(test)]
mod tests;
