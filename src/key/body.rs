//! A request body as part of the key.

use http::{HeaderMap, header};

use super::json;
use super::material::{Field, Form, Material, Sink};
use super::primary::lines;
use crate::policy::Bypass;

/// Writes a body together with the fields that say how to read it: the same bytes as another type, or in
/// another coding, are another question.
pub(super) fn write<S: Sink>(
    canonical_json: bool,
    headers: &HeaderMap,
    body: &[u8],
    to: &mut Material<S>,
) -> Result<(), Bypass> {
    lines(Field::ContentType, &header::CONTENT_TYPE, headers, to)?;
    lines(Field::ContentEncoding, &header::CONTENT_ENCODING, headers, to)?;
    // Seldom there: without them a key is what it was.
    for (field, name) in [
        (Field::ContentLanguage, header::CONTENT_LANGUAGE),
        (Field::ContentLocation, header::CONTENT_LOCATION),
    ] {
        if headers.contains_key(&name) {
            lines(field, &name, headers, to)?;
        }
    }
    let canonical = (canonical_json && is_plain_json(headers)).then(|| json::canonical(body)).flatten();
    match canonical {
        Some(canonical) => to.body(Form::CanonicalJson, &canonical),
        None => to.body(Form::Raw, body),
    }
    Ok(())
}

/// Whether the one `Content-Type` is `application/json` or ends in `+json`, and no coding is applied.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return false };
    if headers.contains_key(header::CONTENT_ENCODING) {
        return false;
    }
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/json") || has_json_suffix(essence)
}

fn has_json_suffix(essence: &[u8]) -> bool {
    const SUFFIX: &[u8] = b"+json";
    essence
        .len()
        .checked_sub(SUFFIX.len())
        .and_then(|start| essence.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(SUFFIX))
}
