//! Percent-encoding ([RFC 3986 §2.1]). A `%` that begins no escape stands for itself.
//!
//! [RFC 3986 §2.1]: https://www.rfc-editor.org/rfc/rfc3986#section-2.1

/// What a part of a path spells; `None` if that isn't UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let Some((byte, after)) = first(rest) {
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8(decoded).ok()
}

/// The first byte that a text spells, and what stands behind it.
pub(super) fn first(text: &[u8]) -> Option<(u8, &[u8])> {
    let (byte, rest) = text.split_first()?;
    if *byte == b'%'
        && let [high, low, after @ ..] = rest
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        return Some((high << 4 | low, after));
    }
    Some((*byte, rest))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
