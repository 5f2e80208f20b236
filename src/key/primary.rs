//! The key of a request, before `Vary`.

use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use super::Key;
use super::body;
use super::digest::Digest;
use super::material::{Domain, Field, Material, Sink};
use super::rules::KeyRules;
use crate::policy::Bypass;

/// The key of a request. `principal` is the partition that the policy gave, `body` the whole request body of
/// a policy that keys bodies.
///
/// # Errors
///
/// [`Bypass::KeyTooLong`]: the material without the body is over 16 KiB. [`Bypass::KeyMalformed`]: several
/// `Host` fields. [`Bypass::NoPrincipal`]: the policy partitions, and there is no principal.
/// [`Bypass::Credentials`]: the URI has user information.
pub(crate) fn primary(
    rules: &KeyRules,
    parts: &Parts,
    principal: Option<&[u8]>,
    body: Option<&[u8]>,
) -> Result<Key, Bypass> {
    // Lent and not handed on: it is 2 KiB.
    let mut digest = Digest::new();
    Ok(write(rules, parts, principal, body, &mut digest)?.finish())
}

/// The URI as the client sent it. Inside `Router::nest` axum strips the prefix from `parts.uri`, and two
/// resources would share a key.
pub(crate) fn original_uri(parts: &Parts) -> &Uri {
    original_uri_of(&parts.uri, &parts.extensions)
}

/// As [`original_uri`], of a request's URI and extensions.
#[cfg_attr(not(feature = "axum"), expect(unused_variables, reason = "no other router says so"))]
pub(crate) fn original_uri_of<'a>(uri: &'a Uri, extensions: &'a Extensions) -> &'a Uri {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(original)) = extensions.get() {
        return original;
    }
    uri
}

/// Writes the material of a request. The frames' order is fixed: see [`super::material`].
pub(super) fn write<S: Sink>(
    rules: &KeyRules,
    parts: &Parts,
    principal: Option<&[u8]>,
    body: Option<&[u8]>,
    sink: S,
) -> Result<S, Bypass> {
    if rules.partitioned && principal.is_none() {
        return Err(Bypass::NoPrincipal);
    }
    let uri = original_uri(parts);
    if has_userinfo(uri) || has_userinfo(&parts.uri) {
        return Err(Bypass::Credentials);
    }
    let mut to = Material::new(Domain::Primary, sink);
    to.part(Field::Scope, &rules.scope)?;
    // A HEAD request is answered by what GET stored.
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    to.part(Field::Method, method.as_str().as_bytes())?;
    if rules.fixed_authority.is_none() {
        authority(uri, &parts.headers, &mut to)?;
    }
    to.part(Field::Path, uri.path().as_bytes())?;
    rules.query.write(uri.query(), (Field::Query, Field::Parameters), &mut to)?;
    if parts.uri != *uri {
        forwarded(rules, uri, &parts.uri, &mut to)?;
    }
    for name in &rules.headers {
        lines(Field::Header, name, &parts.headers, &mut to)?;
    }
    to.optional(Field::Principal, principal)?;
    if let Some(bytes) = body {
        body::write(rules.canonical_json, &parts.headers, bytes, &mut to)?;
    }
    Ok(to.into_sink())
}

/// Whether user information stands in front of the host. It may be a password, and its case counts.
fn has_userinfo(uri: &Uri) -> bool {
    uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
}

/// Scheme and authority. A handler may look at the URI's authority or at `Host`: where both are there and
/// differ, both are part of the key, so that neither can poison the other's entries.
fn authority<S: Sink>(uri: &Uri, headers: &HeaderMap, to: &mut Material<S>) -> Result<(), Bypass> {
    let mut hosts = headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Bypass::KeyMalformed);
    }
    if let Some(scheme) = uri.scheme_str() {
        to.lowercase(Field::Scheme, scheme.as_bytes())?;
    }
    let Some(authority) = uri.authority().map(|authority| authority.as_str().as_bytes()) else {
        return host.map_or(Ok(()), |host| to.lowercase(Field::Authority, host));
    };
    to.lowercase(Field::Authority, authority)?;
    match host {
        Some(host) if !host.eq_ignore_ascii_case(authority) => to.lowercase(Field::Host, host),
        _ => Ok(()),
    }
}

/// The URI that goes on, where it isn't the original one. Below `Router::nest` it follows from that; but a
/// middleware may rewrite it by anything that the request has, and a proxy may send the request that it got
/// to another place.
///
/// A fixed authority stands for the client's names of this service, not for another place that the request is
/// sent to.
fn forwarded<S: Sink>(
    rules: &KeyRules,
    original: &Uri,
    uri: &Uri,
    to: &mut Material<S>,
) -> Result<(), Bypass> {
    let elsewhere = uri.authority() != original.authority() || uri.scheme() != original.scheme();
    if elsewhere || rules.fixed_authority.is_none() {
        if let Some(scheme) = uri.scheme_str() {
            to.lowercase(Field::ForwardedScheme, scheme.as_bytes())?;
        }
        if let Some(authority) = uri.authority() {
            to.lowercase(Field::ForwardedAuthority, authority.as_str().as_bytes())?;
        }
    }
    to.part(Field::ForwardedPath, uri.path().as_bytes())?;
    rules.query.write(uri.query(), (Field::ForwardedQuery, Field::ForwardedParameters), to)
}

/// All lines of one field, their number first; no lines differ from an empty one.
pub(super) fn lines<S: Sink>(
    field: Field,
    name: &HeaderName,
    headers: &HeaderMap,
    to: &mut Material<S>,
) -> Result<(), Bypass> {
    to.list(field, || headers.get_all(name).iter().map(HeaderValue::as_bytes))
}
