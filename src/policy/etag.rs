//! Validators for responses that come without ([RFC 9110 §8.8.3]).
//!
//! [RFC 9110 §8.8.3]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderValue;

use super::Etag;

/// Bytes of the digest in a validator: enough that no two bodies of a resource ever share one.
const DIGEST_BYTES: usize = 16;

/// Characters of the digest in a validator.
const DIGITS: usize = 22;

/// The `ETag` of a body that comes in chunks; `None` where none is to be made.
pub(crate) fn make(kind: Etag, body: &[Bytes]) -> Option<HeaderValue> {
    let weak = match kind {
        Etag::Weak => "W/",
        Etag::Strong => "",
        Etag::Off => return None,
    };
    HeaderValue::try_from(format!("{weak}\"{}\"", digits(body)?)).ok()
}

/// Whether a validator is the one that is [made](make) of this body, so that the origin may not know it.
pub(crate) fn is_made(etag: &HeaderValue, body: &Bytes) -> bool {
    let etag = etag.as_bytes();
    let tag = etag.strip_prefix(b"W/").unwrap_or(etag);
    match tag {
        // Its form tells most others apart, without a look at the body.
        [b'"', text @ .., b'"'] if text.len() == DIGITS => {
            digits(std::slice::from_ref(body)).is_some_and(|made| made.as_bytes() == text)
        }
        _ => false,
    }
}

fn digits(body: &[Bytes]) -> Option<String> {
    let mut digest = blake3::Hasher::new();
    for chunk in body {
        digest.update(chunk);
    }
    let digest = digest.finalize();
    Some(URL_SAFE_NO_PAD.encode(digest.as_bytes().first_chunk::<DIGEST_BYTES>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validator_follows_the_body_and_the_kind() {
        let make = |kind, body: &'static str| {
            let whole = make(kind, &[Bytes::from_static(body.as_bytes())]);
            let chunks: Vec<_> = body.as_bytes().chunks(1).map(Bytes::from_static).collect();
            assert_eq!(make(kind, &chunks), whole, "chunks don't matter");
            whole.map(|tag| tag.to_str().unwrap().to_owned())
        };
        // The first 16 bytes of blake3 of nothing: af1349b9f5f9a1a6a0404dea36dcc949.
        assert_eq!(make(Etag::Weak, "").as_deref(), Some("W/\"rxNJufX5oaagQE3qNtzJSQ\""));
        assert_eq!(make(Etag::Strong, "").as_deref(), Some("\"rxNJufX5oaagQE3qNtzJSQ\""));
        assert_eq!(make(Etag::Off, ""), None);
        assert_ne!(make(Etag::Weak, "a"), make(Etag::Weak, "b"));

        let body = Bytes::from_static(b"");
        let is_made = |etag| is_made(&HeaderValue::from_static(etag), &body);
        assert!(is_made("W/\"rxNJufX5oaagQE3qNtzJSQ\"") && is_made("\"rxNJufX5oaagQE3qNtzJSQ\""));
        for other in
            ["\"rxNJufX5oaagQE3qNtzJSq\"", "\"rxNJufX5oaagQE3qNtzJS\"", "rxNJufX5oaagQE3qNtzJSQ", "\"", ""]
        {
            assert!(!is_made(other), "{other}");
        }
    }
}
