//! `CDN-Cache-Control`, a targeted field ([RFC 9213]): a Dictionary of Structured Fields ([RFC 9651 §3.2]),
//! read strictly.
//!
//! Where it is present and valid, it stands in place of `Cache-Control` and `Expires`; where it isn't valid,
//! it is as if it weren't there.
//!
//! [RFC 9213]: https://www.rfc-editor.org/rfc/rfc9213
//! [RFC 9651 §3.2]: https://www.rfc-editor.org/rfc/rfc9651#section-3.2

use http::header::{HeaderMap, HeaderName};

use super::directives::Directives;
use super::structured::{Cursor, Value};

const FIELD: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The directives of the targeted field; `None` if it is absent, empty or invalid.
pub(super) fn directives(headers: &HeaderMap) -> Option<Directives> {
    let mut directives = Directives::default();
    let mut members = 0_usize;
    for line in headers.get_all(FIELD) {
        members += read_line(line.as_bytes(), &mut directives)?;
    }
    (members > 0).then_some(directives)
}

/// Reads one line's members and counts them.
fn read_line(line: &[u8], directives: &mut Directives) -> Option<usize> {
    let mut text = Cursor { rest: line.trim_ascii() };
    let mut members = 0;
    while !text.rest.is_empty() {
        if members > 0 {
            text.blanks();
            text.expect(b',')?;
            text.blanks();
        }
        let key = text.key()?;
        let value = if text.eat(b'=') { text.member()? } else { Value::Boolean(true) };
        text.parameters()?;
        apply(directives, key, value);
        members += 1;
    }
    Some(members)
}

/// Of members with one key, the last counts (RFC 9651 §4.2.2). A number of another type is ignored (RFC 9213
/// §2.1).
fn apply(directives: &mut Directives, key: &[u8], value: Value) {
    let on = !matches!(value, Value::Boolean(false));
    let seconds = match value {
        Value::Integer(seconds) => Some(seconds),
        Value::Boolean(_) | Value::Other => None,
    };
    match key {
        b"no-store" => directives.no_store = on,
        b"no-cache" => directives.no_cache = on,
        b"private" => directives.private = on,
        b"max-age" => directives.max_age = seconds,
        b"s-maxage" => directives.s_maxage = seconds,
        b"must-revalidate" | b"proxy-revalidate" => directives.must_revalidate |= on,
        b"stale-while-revalidate" => directives.stale_while_revalidate = seconds,
        b"stale-if-error" => directives.stale_if_error = seconds,
        _ => {}
    }
}

#[cfg(test)]
mod tests;
