//! Canonical JSON ([RFC 8785]), for texts inside I-JSON ([RFC 7493]) only.
//!
//! Two bodies may share a key only if every reader takes them for the same value. So exactly this is joined:
//! space between tokens, the order of an object's members, escapes of characters in strings and names, and
//! spellings of a number that differ in its zeros and its exponent alone, such as `4.50` and `45e-1`.
//!
//! What readers disagree about has no canonical form here, and is keyed as it is: repeated names, lone
//! surrogates, noncharacters, a byte order mark, nesting deeper than [`MAX_DEPTH`], `-0`, numbers that a
//! double doesn't hold exactly, and numbers that are written as an integer while their canonical form isn't,
//! or the reverse: a reader of integers takes `5` and refuses `5.0`. A double *holds* a number if the
//! double's shortest form denotes the very decimal of the text: `0.1` and `1e30` are fine, `9007199254740993`
//! isn't.
//!
//! One pass over the text. Members are moved into their order when their object ends, so a byte moves at most
//! once for each level it is nested in. Memory: the canonical form (at most 6 times the text), names, and 16
//! bytes for each member of the objects that are open.
//!
//! [RFC 8785]: https://www.rfc-editor.org/rfc/rfc8785
//! [RFC 7493]: https://www.rfc-editor.org/rfc/rfc7493

use std::ops::Range;

use super::number;

/// Deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 64;

/// The canonical form of `text`; `None` if it isn't JSON, or has none.
pub(super) fn canonical(text: &[u8]) -> Option<Vec<u8>> {
    // Offsets are 32 bits wide, and the form may be 6 times as long as the text.
    if text.len() > (u32::MAX / 8) as usize {
        return None;
    }
    let mut parser = Parser {
        rest: std::str::from_utf8(text).ok()?,
        out: Vec::with_capacity(text.len()),
        names: String::new(),
        members: Vec::new(),
    };
    parser.value(MAX_DEPTH)?;
    parser.space();
    parser.rest.is_empty().then_some(parser.out)
}

/// A member of an object that is still open.
#[derive(Clone, Copy)]
struct Member {
    /// Where its unescaped name stands in `names`.
    name: (u32, u32),
    /// Where its canonical form, `"name":value`, stands in `out`.
    form: (u32, u32),
}

struct Parser<'a> {
    rest: &'a str,
    out: Vec<u8>,
    /// Unescaped names of the members of open objects, one after the other.
    names: String,
    members: Vec<Member>,
}

impl Parser<'_> {
    /// A value with the space before it, in which `depth` levels may still open.
    fn value(&mut self, depth: usize) -> Option<()> {
        self.space();
        match self.rest.as_bytes().first()? {
            b'{' => self.object(depth.checked_sub(1)?),
            b'[' => self.array(depth.checked_sub(1)?),
            b'"' => self.string(|_| ()),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => {
                self.rest = number::canonical(self.rest, &mut self.out)?;
                Some(())
            }
        }
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        self.out.extend_from_slice(word.as_bytes());
        Some(())
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.copy('[')?;
        self.space();
        if self.rest.starts_with(']') {
            return self.copy(']');
        }
        loop {
            self.value(depth)?;
            self.space();
            if self.copy(',').is_none() {
                return self.copy(']');
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.copy('{')?;
        let (first_member, first_name, start) = (self.members.len(), self.names.len(), self.out.len());
        self.space();
        if self.rest.starts_with('}') {
            return self.copy('}');
        }
        loop {
            self.member(depth)?;
            self.space();
            if self.copy(',').is_none() {
                break;
            }
        }
        self.order(first_member, start)?;
        self.members.truncate(first_member);
        self.names.truncate(first_name);
        self.copy('}')
    }

    fn member(&mut self, depth: usize) -> Option<()> {
        self.space();
        let (name_start, form_start) = (offset(self.names.len())?, offset(self.out.len())?);
        let mut names = std::mem::take(&mut self.names);
        let read = self.string(|part| names.push(part));
        self.names = names;
        read?;
        let name = (name_start, offset(self.names.len())?);
        self.space();
        self.copy(':')?;
        self.value(depth)?;
        self.members.push(Member { name, form: (form_start, offset(self.out.len())?) });
        Some(())
    }

    /// Brings the members from `first_member` on, whose forms begin at `start`, into the order of their
    /// names' UTF-16 code units. `None` if a name repeats.
    fn order(&mut self, first_member: usize, start: usize) -> Option<()> {
        let names = &self.names;
        let name = |member: &Member| names.get(range(member.name)).unwrap_or_default().encode_utf16();
        let members = self.members.get_mut(first_member..)?;
        if members.is_sorted_by(|a, b| name(a).lt(name(b))) {
            return Some(());
        }
        members.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        if members.windows(2).any(|pair| matches!(pair, [a, b] if name(a).eq(name(b)))) {
            return None;
        }
        let mut ordered = Vec::with_capacity(self.out.len().checked_sub(start)?);
        for member in members {
            if !ordered.is_empty() {
                ordered.push(b',');
            }
            ordered.extend_from_slice(self.out.get(range(member.form))?);
        }
        self.out.truncate(start);
        self.out.append(&mut ordered);
        Some(())
    }

    /// A string in the form of RFC 8785 §3.2.2.2; each of its characters goes to `each` too.
    fn string(&mut self, mut each: impl FnMut(char)) -> Option<()> {
        self.copy('"')?;
        loop {
            let mut characters = self.rest.chars();
            let character = match characters.next()? {
                '"' => return self.copy('"'),
                '\\' => escape(&mut characters)?,
                '\0'..='\x1f' => return None,
                character => character,
            };
            if is_noncharacter(character) {
                return None;
            }
            self.rest = characters.as_str();
            each(character);
            write_character(character, &mut self.out);
        }
    }

    /// Takes one character of the syntax over as it is.
    fn copy(&mut self, character: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(character)?;
        write_plain(character, &mut self.out);
        Some(())
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }
}

/// What follows a backslash. A surrogate counts only together with its other half.
fn escape(characters: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match characters.next()? {
        character @ ('"' | '\\' | '/') => character,
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = unit(characters)?;
            if !(0xd800..0xe000).contains(&first) {
                return char::from_u32(first.into());
            }
            let ('\\', 'u') = (characters.next()?, characters.next()?) else { return None };
            char::decode_utf16([first, unit(characters)?]).next()?.ok()?
        }
        _ => return None,
    })
}

/// Four hexadecimal digits.
fn unit(characters: &mut std::str::Chars<'_>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit << 4 | u16::try_from(characters.next()?.to_digit(16)?).ok()?;
    }
    Some(unit)
}

/// RFC 7493 §2.1 keeps these out of strings.
fn is_noncharacter(character: char) -> bool {
    let code = u32::from(character);
    matches!(code, 0xfdd0..=0xfdef) || code & 0xfffe == 0xfffe
}

/// A character of a string: the short escapes, `\u00xx` for other controls, anything else as it is.
fn write_character(character: char, out: &mut Vec<u8>) {
    let short = match character {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\x08' => "\\b",
        '\x0c' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\0'..='\x1f' => {
            let digit = |value: u32| char::from_digit(value & 0xf, 16).map_or(b'0', |digit| digit as u8);
            let code = u32::from(character);
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(code >> 4), digit(code)]);
        }
        character => return write_plain(character, out),
    };
    out.extend_from_slice(short.as_bytes());
}

fn write_plain(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

fn offset(length: usize) -> Option<u32> {
    u32::try_from(length).ok()
}

fn range((start, end): (u32, u32)) -> Range<usize> {
    start as usize..end as usize
}
