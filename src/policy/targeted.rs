//! `CDN-Cache-Control`, a targeted field ([RFC 9213]): a Dictionary of Structured Fields ([RFC 9651 §3.2]),
//! read strictly.
//!
//! Where it is present and valid, it stands in place of `Cache-Control` and `Expires`; where it isn't valid,
//! it is as if it weren't there.
//!
//! [RFC 9213]: https://www.rfc-editor.org/rfc/rfc9213
//! [RFC 9651 §3.2]: https://www.rfc-editor.org/rfc/rfc9651#section-3.2

use http::header::{HeaderMap, HeaderName};

use super::directives::{Directives, is_token};

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

/// A member's value, as far as it matters here.
#[derive(Clone, Copy)]
enum Value {
    Boolean(bool),
    /// Negative ones count as 0.
    Integer(u64),
    Other,
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.rest.strip_prefix(&[byte]) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !accept(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    fn blanks(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        let first = self.rest.first()?;
        if !first.is_ascii_lowercase() && *first != b'*' {
            return None;
        }
        let more = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte);
        Some(self.take_while(more))
    }

    fn member(&mut self) -> Option<Value> {
        if !self.eat(b'(') {
            return self.bare_item();
        }
        loop {
            self.take_while(|byte| byte == b' ');
            if self.eat(b')') {
                return Some(Value::Other);
            }
            self.bare_item()?;
            self.parameters()?;
            if !matches!(self.rest.first(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            self.take_while(|byte| byte == b' ');
            self.key()?;
            if self.eat(b'=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    fn bare_item(&mut self) -> Option<Value> {
        match self.rest.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => self.boolean(),
            b':' => self.bytes(),
            b'@' => self.date(),
            b'*' | b'a'..=b'z' | b'A'..=b'Z' => {
                self.take_while(|byte| is_token(byte) || matches!(byte, b':' | b'/'));
                Some(Value::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Value> {
        let negative = self.eat(b'-');
        let whole = self.take_while(|byte| byte.is_ascii_digit());
        if self.eat(b'.') {
            let fraction = self.take_while(|byte| byte.is_ascii_digit());
            let fits = (1..=12).contains(&whole.len()) && (1..=3).contains(&fraction.len());
            return fits.then_some(Value::Other);
        }
        if whole.len() > 15 {
            return None;
        }
        let seconds = super::directives::delta_seconds(whole)?;
        Some(Value::Integer(if negative { 0 } else { seconds }))
    }

    fn string(&mut self) -> Option<Value> {
        self.expect(b'"')?;
        loop {
            match self.next()? {
                b'"' => return Some(Value::Other),
                b'\\' if !matches!(self.next()?, b'"' | b'\\') => return None,
                b'\\' | b' '..=b'~' => {}
                _ => return None,
            }
        }
    }

    fn boolean(&mut self) -> Option<Value> {
        self.expect(b'?')?;
        match self.next()? {
            b'0' => Some(Value::Boolean(false)),
            b'1' => Some(Value::Boolean(true)),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<Value> {
        self.expect(b':')?;
        self.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        self.expect(b':')?;
        Some(Value::Other)
    }

    fn date(&mut self) -> Option<Value> {
        self.expect(b'@')?;
        match self.number()? {
            Value::Integer(_) => Some(Value::Other),
            Value::Boolean(_) | Value::Other => None,
        }
    }
}

#[cfg(test)]
mod tests;
