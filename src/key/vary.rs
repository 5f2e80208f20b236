//! The second step of a key: what `Vary` names ([RFC 9111 §4.1]).
//!
//! The field list is learnt from responses and kept per primary key. All lines and values of the named fields
//! count. The four negotiation fields compare as normalised sets, because clients differ in their spelling
//! and order alone.
//!
//! [RFC 9111 §4.1]: https://www.rfc-editor.org/rfc/rfc9111#section-4.1

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Key;
use super::digest::Digest;
use super::few::Few;
use super::material::{Domain, Field, Material, Sink};
use super::primary::lines;
use crate::policy::{Bypass, Refusal};

/// Most fields that a resource may vary by.
pub(crate) const MAX_FIELDS: usize = 32;

/// Fields whose members have no order and no case.
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

/// Writes the material of a variant: for each field its name, then its lines or its set.
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
        if SETS.contains(name) {
            set(name, headers, &mut to)?;
        } else {
            lines(Field::VaryLines, name, headers, &mut to)?;
        }
    }
    Ok(to.into_sink())
}

/// A field as the sorted set of its members. An absent field has no frame: no `Accept-Encoding` says
/// "anything", an empty one "nothing".
fn set<S: Sink>(name: &HeaderName, headers: &HeaderMap, to: &mut Material<S>) -> Result<(), Bypass> {
    if !headers.contains_key(name) {
        return Ok(());
    }
    let mut bytes = Few::<u8, 256>::new();
    let mut ends = Few::<u32, 24>::new();
    normalise(headers.get_all(name).iter().map(HeaderValue::as_bytes), &mut bytes, &mut ends)?;
    let mut members = Few::<&[u8], 24>::new();
    let mut start = 0;
    for end in ends.as_slice() {
        let end = *end as usize;
        let member = bytes.as_slice().get(start..end).unwrap_or_default();
        if !member.is_empty() {
            members.push(member);
        }
        start = end;
    }
    let members = members.as_mut_slice();
    members.sort_unstable();
    // Equal members stand together now; the first of each run counts.
    to.list(Field::VarySet, || members.chunk_by(PartialEq::eq).filter_map(|run| run.first().copied()))
}

/// Collects the members of all lines, one after the other in `bytes`, each ending where `ends` says. Outside
/// quotes letters become small, and the optional space at a member's ends and around `;` goes; space
/// elsewhere is malformed, and stays, so that it doesn't make the value equal to a well-formed one.
fn normalise<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    bytes: &mut Few<u8, 256>,
    ends: &mut Few<u32, 24>,
) -> Result<(), Bypass> {
    let mut state = State::Plain;
    let mut previous = b',';
    let mut space = false;
    // Lines join by commas (RFC 9110 §5.3); the last comma closes the last member.
    for byte in lines.flat_map(|line| line.iter().copied().chain(std::iter::once(b','))) {
        if state == State::Plain {
            if matches!(byte, b' ' | b'\t') {
                space = true;
                continue;
            }
            if std::mem::take(&mut space) && !matches!(previous, b',' | b';') && !matches!(byte, b',' | b';')
            {
                bytes.push(b' ');
            }
            previous = byte;
            if byte == b',' {
                ends.push(u32::try_from(bytes.as_slice().len()).map_err(|_| Bypass::KeyTooLong)?);
                continue;
            }
        }
        bytes.push(if state == State::Plain { byte.to_ascii_lowercase() } else { byte });
        state = match (state, byte) {
            (State::Plain, b'"') | (State::Escaped, _) => State::Quoted,
            (State::Quoted, b'"') => State::Plain,
            (State::Quoted, b'\\') => State::Escaped,
            (state, _) => state,
        };
    }
    // A quote that never closed: what it swallowed is one member.
    if state != State::Plain {
        ends.push(u32::try_from(bytes.as_slice().len()).map_err(|_| Bypass::KeyTooLong)?);
    }
    Ok(())
}

/// Where in a quoted string (RFC 9110 §5.6.4) a byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    Quoted,
    Escaped,
}
