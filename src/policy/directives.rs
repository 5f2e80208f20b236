//! `Cache-Control` ([RFC 9111 §5.2]): strict about what counts, tolerant of what surrounds it.
//!
//! Lists in the wild are separated by `;` or blanks, lack a quote, or repeat themselves. What is missed here
//! may show one user's page to another, so every token outside a well-formed quoted argument is taken for a
//! directive, whatever separates it from the next. Backslashes don't escape: no argument needs one, and an
//! escaped quote then ends the argument early, never late.
//!
//! [RFC 9111 §5.2]: https://www.rfc-editor.org/rfc/rfc9111#section-5.2

use http::header::{HeaderMap, HeaderName};

/// The largest number of seconds; larger ones count as this ([RFC 9111 §1.2.2]).
///
/// [RFC 9111 §1.2.2]: https://www.rfc-editor.org/rfc/rfc9111#section-1.2.2
const MAX_SECONDS: u64 = 1 << 31;

/// The directives that decide. An argument of `private` or `no-cache` (field names) makes no difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) private: bool,
    /// Seconds. Where there is a directive without a usable number, 0.
    pub(super) max_age: Option<u64>,
    /// Seconds, as with `max_age`.
    pub(super) s_maxage: Option<u64>,
    /// `must-revalidate` or `proxy-revalidate`: the response must not be used once it is stale.
    pub(super) must_revalidate: bool,
    /// Seconds, as with `max_age` ([RFC 5861 §3]).
    ///
    /// [RFC 5861 §3]: https://www.rfc-editor.org/rfc/rfc5861#section-3
    pub(super) stale_while_revalidate: Option<u64>,
    /// Seconds, as with `max_age` ([RFC 5861 §4]).
    ///
    /// [RFC 5861 §4]: https://www.rfc-editor.org/rfc/rfc5861#section-4
    pub(super) stale_if_error: Option<u64>,
}

impl Directives {
    /// The directives in all lines of a field, in one pass and without allocating. Of repeated ones, the
    /// first counts.
    pub(super) fn of(headers: &HeaderMap, field: &HeaderName) -> Self {
        let mut directives = Self::default();
        for line in headers.get_all(field) {
            for (name, argument) in Members::of(line.as_bytes()) {
                directives.add(name, argument);
            }
        }
        directives
    }

    fn add(&mut self, name: &[u8], argument: &[u8]) {
        let is = |directive: &[u8]| name.eq_ignore_ascii_case(directive);
        let seconds = || delta_seconds(argument).unwrap_or(0);
        if is(b"no-store") {
            self.no_store = true;
        } else if is(b"no-cache") {
            self.no_cache = true;
        } else if is(b"private") {
            self.private = true;
        } else if is(b"max-age") {
            self.max_age.get_or_insert_with(seconds);
        } else if is(b"s-maxage") {
            self.s_maxage.get_or_insert_with(seconds);
        } else if is(b"must-revalidate") || is(b"proxy-revalidate") {
            self.must_revalidate = true;
        } else if is(b"stale-while-revalidate") {
            self.stale_while_revalidate.get_or_insert_with(seconds);
        } else if is(b"stale-if-error") {
            self.stale_if_error.get_or_insert_with(seconds);
        }
    }
}

/// Name and argument of one directive after the other; no argument is an empty one.
pub(super) struct Members<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.take_while(|byte| !is_token(byte));
        let name = self.take_while(is_token);
        if name.is_empty() {
            return None;
        }
        let Some((b'=', rest)) = self.rest.split_first() else {
            return Some((name, &[]));
        };
        self.rest = rest;
        Some((name, self.argument()))
    }
}

impl<'a> Members<'a> {
    /// The directives of one line.
    pub(super) fn of(line: &'a [u8]) -> Self {
        Self { rest: line }
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !accept(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// A quote that nothing closes is skipped as junk. There is no further quote behind it, so the line is
    /// still read once only.
    fn argument(&mut self) -> &'a [u8] {
        if let Some((b'"', inside)) = self.rest.split_first()
            && let Some(end) = inside.iter().position(|byte| *byte == b'"')
            && let Some((argument, closed)) = inside.split_at_checked(end)
        {
            self.rest = closed.get(1..).unwrap_or_default();
            return argument;
        }
        self.take_while(|byte| !matches!(byte, b' ' | b'\t' | b',' | b';' | b'"'))
    }
}

/// Whether a byte may stand in a token ([RFC 9110 §5.6.2]).
///
/// [RFC 9110 §5.6.2]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A number of seconds: digits and nothing else ([RFC 9111 §1.2.2]).
///
/// [RFC 9111 §1.2.2]: https://www.rfc-editor.org/rfc/rfc9111#section-1.2.2
pub(super) fn delta_seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |seconds: u64, byte: &u8| (seconds * 10 + u64::from(byte - b'0')).min(MAX_SECONDS);
    Some(text.iter().fold(0, digit))
}

#[cfg(test)]
mod tests;
