//! The second step of a key: what `Vary` names ([RFC 9111 §4.1]).
//!
//! The field list is learnt from responses and kept per primary key. Two requests match in a field if its values are
//! the same text once its lines are joined by commas, and the optional space around commas and at both ends is gone,
//! except inside quotes. In the four negotiation fields the case of what isn't quoted and the order of members don't
//! count either. Nothing else is the same: what a field's own syntax would allow beyond that isn't known here.
//!
//! [RFC 9111 §4.1]: https://www.rfc-editor.org/rfc/rfc9111#section-4.1

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Key;
use super::digest::Digest;
use super::few::Few;
use super::material::{Domain, Field, Material, Sink};
use crate::policy::{Bypass, Refusal};

/// Most fields that a resource may vary by.
pub(crate) const MAX_FIELDS: usize = 32;

/// Fields in which the order of members doesn't count, nor the case of what isn't quoted.
const SETS: [HeaderName; 4] =
    [header::ACCEPT, header::ACCEPT_LANGUAGE, header::ACCEPT_ENCODING, header::ACCEPT_CHARSET];

/// The key of the variant that answers a request with `headers`, given the fields that the resource varies
/// by.
///
/// # Errors
///
/// [`Bypass::KeyTooLong`]: the values are over 16 KiB.
pub(crate) fn variant(primary: &Key, fields: &[HeaderName], headers: &HeaderMap) -> Result<Key, Bypass> {
    let mut digest = Digest::new();
    Ok(write(primary, fields, headers, &mut digest)?.finish())
}

/// The field names that a response's `Vary` lists: small letters, sorted, without repeats.
///
/// # Errors
///
/// [`Refusal::VaryStar`]: a `*`, or a member that isn't a field name, after which nothing is known.
/// [`Refusal::VaryLimit`]: more than 32 names.
pub(crate) fn vary_fields(headers: &HeaderMap) -> Result<Vec<HeaderName>, Refusal> {
    let mut fields: Vec<HeaderName> = Vec::new();
    let members =
        headers.get_all(header::VARY).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    for member in members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
        if member == b"*" {
            return Err(Refusal::VaryStar);
        }
        let field = HeaderName::from_bytes(member).map_err(|_| Refusal::VaryStar)?;
        if let Err(place) = fields.binary_search_by(|known| known.as_str().cmp(field.as_str())) {
            fields.insert(place, field);
        }
        if fields.len() > MAX_FIELDS {
            return Err(Refusal::VaryLimit);
        }
    }
    Ok(fields)
}

/// Writes the material of a variant: for each field its name, then its joined lines, or its members in order. An absent
/// field has no frame but that of its name: no `Accept-Encoding` says "anything", an empty one "nothing".
pub(super) fn write<S: Sink>(
    primary: &Key,
    fields: &[HeaderName],
    headers: &HeaderMap,
    sink: S,
) -> Result<S, Bypass> {
    let mut to = Material::new(Domain::Variant, sink);
    to.part(Field::PrimaryKey, primary.as_bytes())?;
    for name in fields {
        to.part(Field::VaryName, name.as_str().as_bytes())?;
        let mut lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let Some(first) = lines.next() else {
            continue;
        };
        if SETS.contains(name) {
            set(std::iter::once(first).chain(lines), &mut to)?;
        } else if lines.next().is_none() && !first.contains(&b',') {
            to.list(Field::VaryLines, || std::iter::once(first.trim_ascii()))?;
        } else {
            let mut joined = Joined::default();
            headers.get_all(name).iter().for_each(|line| joined.add(line.as_bytes(), false));
            to.list(Field::VaryLines, || std::iter::once(joined.bytes.as_slice()))?;
        }
    }
    Ok(to.into_sink())
}

/// A field as its members, sorted.
fn set<'a, S: Sink>(lines: impl Iterator<Item = &'a [u8]>, to: &mut Material<S>) -> Result<(), Bypass> {
    let mut joined = Joined::default();
    lines.for_each(|line| joined.add(line, true));
    let bytes = joined.bytes.as_slice();
    let mut members = Few::<&[u8], 24>::new();
    let mut start = 0;
    for comma in joined.commas.as_slice() {
        members.push(bytes.get(start..*comma).unwrap_or_default());
        start = comma.saturating_add(1);
    }
    members.push(bytes.get(start..).unwrap_or_default());
    let members = members.as_mut_slice();
    members.sort_unstable();
    to.list(Field::VarySet, || members.iter().copied())
}

/// The lines of a field joined by commas ([RFC 9110 §5.3]), without the optional space around them and at both ends. A
/// quote that isn't closed goes on in the next line.
///
/// [RFC 9110 §5.3]: https://www.rfc-editor.org/rfc/rfc9110#section-5.3
struct Joined {
    bytes: Few<u8, 256>,
    /// Where the commas outside quotes stand.
    commas: Few<usize, 24>,
    state: State,
    is_first: bool,
}

impl Default for Joined {
    fn default() -> Self {
        Self { bytes: Few::new(), commas: Few::new(), state: State::Plain, is_first: true }
    }
}

impl Joined {
    /// Adds a line; outside quotes with small letters only, if `is_lower`.
    fn add(&mut self, line: &[u8], is_lower: bool) {
        if !std::mem::take(&mut self.is_first) {
            self.push(b',', is_lower);
        }
        // Where the last byte that counts ended, unless that is a comma or the start.
        let mut end = None;
        for (place, byte) in line.iter().copied().enumerate() {
            let is_plain = self.state == State::Plain;
            if is_plain && matches!(byte, b' ' | b'\t') {
                continue;
            }
            // Space between two other bytes stays as it is.
            if is_plain
                && byte != b','
                && let Some(space) = end.and_then(|end| line.get(end..place))
            {
                space.iter().for_each(|byte| self.bytes.push(*byte));
            }
            self.push(byte, is_lower);
            end = (!is_plain || byte != b',').then_some(place.saturating_add(1));
        }
    }

    fn push(&mut self, byte: u8, is_lower: bool) {
        let is_plain = self.state == State::Plain;
        if is_plain && byte == b',' {
            self.commas.push(self.bytes.as_slice().len());
        }
        self.bytes.push(if is_plain && is_lower { byte.to_ascii_lowercase() } else { byte });
        self.state = match (self.state, byte) {
            (State::Plain, b'"') | (State::Escaped, _) => State::Quoted,
            (State::Quoted, b'"') => State::Plain,
            (State::Quoted, b'\\') => State::Escaped,
            (state, _) => state,
        };
    }
}

/// Where in a quoted string ([RFC 9110 §5.6.4]) a byte stands.
///
/// [RFC 9110 §5.6.4]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.4
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    Quoted,
    Escaped,
}
