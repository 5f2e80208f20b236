//! Structured Fields ([RFC 9651 §4.2]), read strictly, as far as they matter here.
//!
//! [RFC 9651 §4.2]: https://www.rfc-editor.org/rfc/rfc9651#section-4.2

use super::directives::{delta_seconds, is_token};

/// The members of a line that is a List of Strings (§4.2.1), whatever their parameters.
pub(super) fn strings(line: &[u8]) -> Option<Vec<String>> {
    let mut text = Cursor { rest: line.trim_ascii() };
    let mut members = Vec::new();
    while !text.rest.is_empty() {
        if !members.is_empty() {
            text.blanks();
            text.expect(b',')?;
            text.blanks();
        }
        members.push(text.string()?);
        text.parameters()?;
    }
    Some(members)
}

/// A member's value, as far as it matters here.
#[derive(Clone, Copy)]
pub(super) enum Value {
    Boolean(bool),
    /// Negative ones count as 0.
    Integer(u64),
    Other,
}

/// What is left of a line.
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        match self.rest.strip_prefix(&[byte]) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !accept(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    pub(super) fn blanks(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    pub(super) fn key(&mut self) -> Option<&'a [u8]> {
        let first = self.rest.first()?;
        if !first.is_ascii_lowercase() && *first != b'*' {
            return None;
        }
        let more = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte);
        Some(self.take_while(more))
    }

    pub(super) fn member(&mut self) -> Option<Value> {
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

    pub(super) fn parameters(&mut self) -> Option<()> {
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
            b'"' => self.string().map(|_| Value::Other),
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
        let seconds = delta_seconds(whole)?;
        Some(Value::Integer(if negative { 0 } else { seconds }))
    }

    /// A String's text (§4.2.5), which is ASCII.
    fn string(&mut self) -> Option<String> {
        self.expect(b'"')?;
        let mut text = String::new();
        loop {
            let byte = match self.next()? {
                b'"' => return Some(text),
                b'\\' => self.next().filter(|byte| matches!(byte, b'"' | b'\\'))?,
                byte @ b' '..=b'~' => byte,
                _ => return None,
            };
            text.push(char::from(byte));
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
mod tests {
    use super::strings;

    #[test]
    fn a_list_of_strings_is_read_and_nothing_else_is() {
        let read = |line: &str| strings(line.as_bytes());
        assert_eq!(read(""), Some(vec![]));
        assert_eq!(read(r#""scripts""#).unwrap(), ["scripts"]);
        assert_eq!(
            read(r#" "a" ,	"b;,c";x=1;y="z" , "say \"hi\" \\" "#).unwrap(),
            ["a", "b;,c", "say \"hi\" \\"]
        );
        assert_eq!(read(r#""""#).unwrap(), [""]);
        for wrong in [
            "scripts",
            r#""a","#,
            r#","a""#,
            r#""a",,"b""#,
            r#""a" "b""#,
            r#""a"#,
            r#""\x""#,
            r#"("a" "b")"#,
            r#""a", 1"#,
            r#""a";"#,
            "\"\u{f8}\"",
            "\"\t\"",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
