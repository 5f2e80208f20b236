//! Cookies, as far as a cache must tell them apart ([RFC 6265 §5.4]).
//!
//! Whatever can't be parsed counts as a credential. Cookies that don't count never reach the handler on a
//! cached fill, so that it doesn't matter if the handler's own parser would read them differently.
//!
//! [RFC 6265 §5.4]: https://www.rfc-editor.org/rfc/rfc6265#section-5.4

use http::header::{COOKIE, HeaderMap, HeaderValue};

/// Whether a cookie of the request counts as a credential.
pub(super) fn any_session(headers: &HeaderMap, session: &[String]) -> bool {
    pairs(headers).any(|pair| is_session(pair, session))
}

/// Removes the cookies that don't count as credentials.
pub(super) fn hide_others(headers: &mut HeaderMap, session: &[String]) {
    let kept: Vec<&[u8]> = pairs(headers).filter(|pair| is_session(pair, session)).collect();
    let kept = HeaderValue::from_bytes(&kept.join(b"; ".as_slice())).ok().filter(|kept| !kept.is_empty());
    headers.remove(COOKIE);
    if let Some(mut kept) = kept {
        kept.set_sensitive(true);
        // There is room: a field was removed just now, or there was none and nothing is kept.
        let _ = headers.try_insert(COOKIE, kept);
    }
}

/// Whether the bytes are a cookie's name (a token, RFC 9110 §5.6.2).
pub(super) fn is_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| super::directives::is_token(*byte))
}

/// All pairs of all lines; empty ones carry nothing.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
}

fn is_session(pair: &[u8], session: &[String]) -> bool {
    let Some(end) = pair.iter().position(|byte| *byte == b'=') else { return true };
    let name = pair.get(..end).unwrap_or_default().trim_ascii_end();
    !is_name(name) || session.iter().any(|counts| counts.as_bytes() == name)
}
