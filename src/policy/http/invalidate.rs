//! What an unsafe request invalidates ([RFC 9111 §4.4]), and references resolved against a target ([RFC 3986 §5.2]).
//!
//! A resolved URI has the target's own scheme and authority, part by part, and only path and query of its own. So it
//! can't leave the origin, whatever a response says, and it has the form that the key of a later request is made of.
//!
//! Where the target doesn't tell its scheme, as in the origin-form that servers receive, `Host` is all there is of the
//! origin: a reference to it with `http` or `https` counts as the same, each with its own default port. At worst that
//! invalidates the one for the other.
//!
//! [RFC 9111 §4.4]: https://www.rfc-editor.org/rfc/rfc9111#section-4.4
//! [RFC 3986 §5.2]: https://www.rfc-editor.org/rfc/rfc3986#section-5.2

use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, Uri, header};

use crate::conditional::single;

/// Most lines that are read of each of the two fields: one is usual.
const MAX_LINES: usize = 8;

/// The URIs that a non-error answer to an unsafe request invalidates: the target, and what `Location` and
/// `Content-Location` name on the same origin. `host` is the request's `Host`, for a target without authority.
pub(crate) fn targets(target: &Uri, host: Option<&[u8]>, response: &HeaderMap) -> Vec<Uri> {
    let mut uris = vec![target.clone()];
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        for line in response.get_all(name).iter().take(MAX_LINES) {
            if let Some(uri) = resolve(target, host, line.as_bytes())
                && !uris.contains(&uri)
            {
                uris.push(uri);
            }
        }
    }
    uris
}

/// Whether the answer to a POST is a representation of the target, as a `Content-Location` that names it says
/// ([RFC 9110 §9.3.3]).
///
/// [RFC 9110 §9.3.3]: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.3
pub(crate) fn is_same_resource(target: &Uri, host: Option<&[u8]>, response: &HeaderMap) -> bool {
    single(response, &header::CONTENT_LOCATION)
        .and_then(|location| resolve(target, host, location.as_bytes()))
        .is_some_and(|uri| uri.path() == target.path() && uri.query() == target.query())
}

/// Whether a method is known to change nothing: by [RFC 9110 §9.2.1], RFC 10008, or the registry of methods. All others
/// invalidate.
///
/// [RFC 9110 §9.2.1]: https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1
pub(crate) fn is_safe(method: &Method) -> bool {
    let others = ["QUERY", "PROPFIND", "REPORT", "SEARCH"];
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        || others.contains(&method.as_str())
}

/// A reference as a URI on the target's origin; none if it is on another, or isn't a reference.
fn resolve(target: &Uri, host: Option<&[u8]>, reference: &[u8]) -> Option<Uri> {
    let reference = Reference::parse(reference.trim_ascii());
    let base = target.authority().map(Authority::as_str).map(str::as_bytes).or(host);
    if let Some(authority) = reference.authority {
        is_same_origin(target.scheme_str(), base?, reference.scheme, authority).then_some(())?;
    } else if reference.scheme.is_some() {
        // `http:/path` and `urn:x`: nothing that this origin answers for.
        return None;
    }

    let path = match reference {
        Reference { authority: Some(_), path, .. } => without_dots(path),
        Reference { path: [], .. } => target.path().as_bytes().to_vec(),
        Reference { path: path @ [b'/', ..], .. } => without_dots(path),
        Reference { path, .. } => {
            let base = target.path().as_bytes();
            let directory = base.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            without_dots(&[base.get(..directory)?, path].concat())
        }
    };
    let query = match reference {
        Reference { authority: None, path: [], query: None, .. } => target.query().map(str::as_bytes),
        _ => reference.query,
    };
    let mut text = path;
    if let Some(query) = query {
        text.push(b'?');
        text.extend_from_slice(query);
    }
    let mut parts = target.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

/// The parts of a reference ([RFC 3986 §4.1]) without its fragment.
///
/// [RFC 3986 §4.1]: https://www.rfc-editor.org/rfc/rfc3986#section-4.1
struct Reference<'a> {
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: &'a [u8],
    query: Option<&'a [u8]>,
}

impl<'a> Reference<'a> {
    fn parse(text: &'a [u8]) -> Self {
        let (text, _) = split(text, |byte| byte == b'#');
        let (text, query) = split(text, |byte| byte == b'?');
        // Before the first slash a colon ends the scheme.
        let (start, _) = split(text, |byte| byte == b'/');
        let (scheme, text) = match split(start, |byte| byte == b':') {
            (scheme, Some(_)) => (Some(scheme), text.get(scheme.len() + 1..).unwrap_or_default()),
            (_, None) => (None, text),
        };
        match text.strip_prefix(b"//") {
            None => Self { scheme, authority: None, path: text, query },
            Some(rest) => {
                let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
                let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                Self { scheme, authority: Some(authority), path, query }
            }
        }
    }
}

/// What is before the first separator, and what is after it.
fn split(text: &[u8], is_separator: impl Fn(u8) -> bool) -> (&[u8], Option<&[u8]>) {
    let end = text.iter().position(|byte| is_separator(*byte)).unwrap_or(text.len());
    (text.get(..end).unwrap_or_default(), text.get(end + 1..))
}

/// Whether two origins are one ([RFC 9110 §4.3.1]): scheme, host in any case, and port, where a default one may be
/// left out.
///
/// [RFC 9110 §4.3.1]: https://www.rfc-editor.org/rfc/rfc9110#section-4.3.1
fn is_same_origin(
    target_scheme: Option<&str>,
    target: &[u8],
    scheme: Option<&[u8]>,
    authority: &[u8],
) -> bool {
    let known = target_scheme.map(str::as_bytes);
    let scheme = scheme.or(known);
    if let (Some(known), Some(scheme)) = (known, scheme)
        && !known.eq_ignore_ascii_case(scheme)
    {
        return false;
    }
    let default = match scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case(b"http") => Some(80),
        Some(scheme) if scheme.eq_ignore_ascii_case(b"https") => Some(443),
        Some(_) => return false,
        None => None,
    };
    let (Some((host, port)), Some((other, other_port))) = (host_and_port(target), host_and_port(authority))
    else {
        return false;
    };
    host.eq_ignore_ascii_case(other) && port.or(default) == other_port.or(default)
}

/// Host and port of an authority. None without a host, with user information, which no reference of HTTP has (RFC 9110
/// §4.2.4), or with a port that isn't one.
fn host_and_port(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let authority = authority.trim_ascii();
    if authority.contains(&b'@') {
        return None;
    }
    // The colons of an IPv6 address stand inside brackets.
    let colon = authority.iter().rposition(|byte| matches!(byte, b':' | b']'));
    let (host, port) = match colon {
        Some(colon) if authority.get(colon) == Some(&b':') => {
            (authority.get(..colon)?, authority.get(colon + 1..)?)
        }
        _ => (authority, &[][..]),
    };
    let port = match port {
        [] => None,
        digits if digits.iter().all(u8::is_ascii_digit) => {
            Some(std::str::from_utf8(digits).ok()?.parse().ok()?)
        }
        _ => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

/// A path without its `.` and `..` segments ([RFC 3986 §5.2.4]), beginning with a slash. Encoded dots aren't dots.
///
/// [RFC 3986 §5.2.4]: https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut clean: Vec<u8> = Vec::with_capacity(path.len() + 1);
    let mut segments = path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    clean.truncate(clean.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                }
                if is_last {
                    clean.push(b'/');
                }
            }
            segment => {
                clean.push(b'/');
                clean.extend_from_slice(segment);
            }
        }
    }
    clean
}

#[cfg(test)]
mod tests;
