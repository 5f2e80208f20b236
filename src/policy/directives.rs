//! `Cache-Control` ([RFC 9111 §5.2]): strict about what counts, tolerant of what surrounds it.
//!
//! Lists in the wild are separated by `;` or blanks, lack a quote, or repeat themselves. What is missed here
//! may show one user's page to another, so every token outside a well-formed quoted argument is taken for a
//! directive, whatever separates it from the next.
//!
//! [RFC 9111 §5.2]: https://www.rfc-editor.org/rfc/rfc9111#section-5.2

use std::borrow::Cow;

use http::header::{HeaderMap, HeaderName};

/// The largest number of seconds; larger ones count as this ([RFC 9111 §1.2.2]).
///
/// [RFC 9111 §1.2.2]: https://www.rfc-editor.org/rfc/rfc9111#section-1.2.2
pub(super) const MAX_SECONDS: u64 = 1 << 31;

/// The most fields that a response's directives may name. Who names more means them all: the directives then count as if
/// they had no argument.
pub(super) const MAX_NAMED: usize = 256;

/// The directives that decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    pub(super) no_store: bool,
    /// `no-cache` without an argument that names a field: the response must be validated before each use (§5.2.2.4).
    pub(super) no_cache: bool,
    /// `no-cache="…"`, which is about the fields it names.
    pub(super) no_cache_fields: bool,
    /// `private` without an argument that names a field: not for a shared cache (§5.2.2.7).
    pub(super) private: bool,
    /// `private="…"`, which is about the fields it names.
    pub(super) private_fields: bool,
    pub(super) public: bool,
    /// The response is only for caches that know its status (§5.2.2.3).
    pub(super) must_understand: bool,
    /// Seconds. Where there is a directive without a usable number, 0.
    pub(super) max_age: Option<u64>,
    /// Seconds, as with `max_age`.
    pub(super) s_maxage: Option<u64>,
    /// The response must not be used once it is stale (§5.2.2.2).
    pub(super) must_revalidate: bool,
    /// The same, for shared caches; but it allows none to store what it otherwise mustn't (§3.5).
    pub(super) proxy_revalidate: bool,
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
    /// The directives in all lines of a field, in one pass. Of repeated ones, the first counts; `no-cache` and `private`
    /// without an argument go before those with one.
    pub(super) fn of(headers: &HeaderMap, field: &HeaderName) -> Self {
        let mut directives = Self::default();
        let mut named = 0;
        for (name, argument) in members(headers, field) {
            directives.add(name, argument, &mut named);
        }
        directives
    }

    fn add(&mut self, name: &[u8], argument: &[u8], named: &mut usize) {
        let is = |directive: &[u8]| name.eq_ignore_ascii_case(directive);
        let seconds = || delta_seconds(&unescaped(argument)).unwrap_or(0);
        let mut names_fields = || {
            let count = named_fields(&unescaped(argument)).count();
            *named += count;
            count > 0 && *named <= MAX_NAMED
        };
        if is(b"no-store") {
            self.no_store = true;
        } else if is(b"no-cache") {
            *if names_fields() { &mut self.no_cache_fields } else { &mut self.no_cache } = true;
        } else if is(b"private") {
            *if names_fields() { &mut self.private_fields } else { &mut self.private } = true;
        } else if is(b"max-age") {
            self.max_age.get_or_insert_with(seconds);
        } else if is(b"s-maxage") {
            self.s_maxage.get_or_insert_with(seconds);
        } else if is(b"must-revalidate") {
            self.must_revalidate = true;
        } else if is(b"proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is(b"public") {
            self.public = true;
        } else if is(b"must-understand") {
            self.must_understand = true;
        } else if is(b"stale-while-revalidate") {
            self.stale_while_revalidate.get_or_insert_with(seconds);
        } else if is(b"stale-if-error") {
            self.stale_if_error.get_or_insert_with(seconds);
        }
    }

    /// `no-cache`, whatever its argument.
    pub(super) const fn any_no_cache(&self) -> bool {
        self.no_cache || self.no_cache_fields
    }

    /// `private`, whatever its argument.
    pub(super) const fn any_private(&self) -> bool {
        self.private || self.private_fields
    }

    /// Whether the response must never be used once it is stale ([RFC 9111 §4.2.4]). `s-maxage` means that too (§5.2.2.10).
    ///
    /// [RFC 9111 §4.2.4]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.4
    pub(super) const fn forbid_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache || self.s_maxage.is_some()
    }
}

/// The fields that the arguments of `no-cache` and `private` name, sorted, at most [`MAX_NAMED`] ([RFC 9111 §5.2.2.4] and
/// §5.2.2.7).
///
/// [RFC 9111 §5.2.2.4]: https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.4
pub(super) fn qualified_fields(headers: &HeaderMap, field: &HeaderName) -> Vec<HeaderName> {
    let mut fields = Vec::new();
    for (name, argument) in members(headers, field) {
        if name.eq_ignore_ascii_case(b"no-cache") || name.eq_ignore_ascii_case(b"private") {
            let room = MAX_NAMED.saturating_sub(fields.len());
            fields.extend(named_fields(&unescaped(argument)).take(room));
        }
    }
    fields.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    fields.dedup();
    fields
}

/// The field names in an argument, between commas or blanks; what is no name is skipped. Of the characters of a token only
/// those that names are made of count, so that `'set-cookie'` isn't the name of another field.
pub(super) fn named_fields(argument: &[u8]) -> impl Iterator<Item = HeaderName> {
    let usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    argument
        .split(|byte| matches!(byte, b',' | b' ' | b'\t'))
        .filter(move |name| name.iter().all(usual))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
}

/// The directives in all lines of a field.
fn members<'a>(headers: &'a HeaderMap, field: &HeaderName) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    headers.get_all(field).into_iter().flat_map(|line| Members::of(line.as_bytes()))
}

/// The text of an argument: in quotes, a backslash stands for the byte behind it ([RFC 9110 §5.6.4]).
///
/// [RFC 9110 §5.6.4]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.4
fn unescaped(argument: &[u8]) -> Cow<'_, [u8]> {
    if !argument.contains(&b'\\') {
        return Cow::Borrowed(argument);
    }
    let mut escapes = false;
    let text = argument.iter().copied().filter(|byte| {
        escapes = *byte == b'\\' && !escapes;
        !escapes
    });
    Cow::Owned(text.collect())
}

/// An argument that can't be read: neither a number nor a name.
const JUNK: &[u8] = b"\"";

/// Name and argument of one directive after the other; no argument is an empty one. Quotes are taken off, escapes aren't.
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

    /// A quote that nothing closes is skipped as junk. Whatever quotes stand behind it are escaped, so none of them begins an
    /// argument, and the line is still read once only. What escapes without quotes is junk too, and what has more behind it than
    /// a comma; but that is read on, since it may be a directive whose comma was forgotten.
    fn argument(&mut self) -> &'a [u8] {
        let argument = if let Some((b'"', inside)) = self.rest.split_first()
            && let Some((argument, rest)) = quoted(inside)
        {
            self.rest = rest;
            argument
        } else {
            let argument = self.take_while(|byte| !matches!(byte, b' ' | b'\t' | b',' | b';' | b'"'));
            if argument.contains(&b'\\') { JUNK } else { argument }
        };
        let behind = self.rest.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
        if behind.is_none_or(|byte| *byte == b',') { argument } else { JUNK }
    }
}

/// The inside of a quoted-string whose opening quote was read, and what stands behind the closing one.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    })?;
    let (inside, rest) = text.split_at_checked(end)?;
    Some((inside, rest.get(1..).unwrap_or_default()))
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
