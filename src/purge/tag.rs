//! Tags: what an entry is about.
//!
//! Inside the crate a tag is 64 bits of a hash, over its kind and its text, under a seed of the application's name: two
//! applications on one Redis don't purge each other's entries. Two tags that share their bits are purged together, which
//! costs a fill and is never wrong.

use http::Uri;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::key::Key;

/// Tags that an entry may have of its own, beside those of its key, URL and route.
pub(crate) const MAX_TAGS: usize = 32;

/// Those: of its key, its URL and its route.
pub(crate) const GIVEN_TAGS: usize = 3;

/// Longest tag, bytes.
pub(crate) const MAX_TAG: usize = 128;

/// Tags that a handler gives its own response, put into the response's extensions.
///
/// [`QueryCache::purge_tag`](crate::QueryCache::purge_tag) with one of them lets go of every entry that has it. A tag is 1
/// to 128 bytes without control characters; a response has 32 at most, those of the policy counted in. A response over a
/// limit isn't stored (`detail=tags`).
///
/// ```
/// use axum::{Extension, extract::Path, response::IntoResponse};
/// use tower_query_cache::CacheTags;
///
/// async fn product(Path(id): Path<u64>) -> impl IntoResponse {
///     (Extension(CacheTags::new([format!("product:{id}"), "catalogue".to_owned()])), "a product")
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheTags(Vec<String>);

impl CacheTags {
    /// These tags.
    pub fn new<T: Into<String>>(tags: impl IntoIterator<Item = T>) -> Self {
        Self(tags.into_iter().map(Into::into).collect())
    }

    /// The tags.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Why a text isn't a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// It has no bytes.
    #[error("a tag is empty")]
    Empty,
    /// It has over 128 bytes.
    #[error("a tag is over 128 bytes long")]
    TooLong,
    /// It has a control character.
    #[error("a tag has a control character")]
    Control,
}

/// Checks a tag's text.
pub(crate) fn check(tag: &str) -> Result<(), TagError> {
    match tag {
        "" => Err(TagError::Empty),
        long if long.len() > MAX_TAG => Err(TagError::TooLong),
        odd if odd.chars().any(char::is_control) => Err(TagError::Control),
        _ => Ok(()),
    }
}

/// A tag's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tag(u64);

impl Tag {
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }
}

/// Makes the tags of one application.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TagScope(u64);

/// What a tag's text is. A number is never given to another kind.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    All = 0,
    Own = 1,
    Key = 2,
    Url = 3,
    Route = 4,
}

impl TagScope {
    /// The tags of the application `app`. Its generations share them: a purge is about what is true, not about who serves it.
    pub(crate) fn new(app: &str) -> Self {
        Self(xxh3_64(app.as_bytes()))
    }

    /// What every entry has.
    pub(crate) fn all(self) -> Tag {
        self.tag(Kind::All, &[])
    }

    /// A tag that somebody gave.
    pub(crate) fn own(self, tag: &str) -> Tag {
        self.tag(Kind::Own, &[tag.as_bytes()])
    }

    /// What all variants of a key have.
    pub(crate) fn key(self, primary: &Key) -> Tag {
        self.tag(Kind::Key, &[primary.as_bytes()])
    }

    /// What all entries of a path and query have, whatever the authority, method or requester.
    pub(crate) fn url(self, path: &str, query: Option<&[u8]>) -> Tag {
        match query {
            None => self.tag(Kind::Url, &[path.as_bytes()]),
            Some(query) => self.tag(Kind::Url, &[path.as_bytes(), b"?", query]),
        }
    }

    /// [`url`](Self::url) of a URI.
    pub(crate) fn uri(self, uri: &Uri) -> Tag {
        self.url(uri.path(), uri.query().map(str::as_bytes))
    }

    /// What all entries of a route have.
    pub(crate) fn route(self, label: &str) -> Tag {
        self.tag(Kind::Route, &[label.as_bytes()])
    }

    fn tag(self, kind: Kind, parts: &[&[u8]]) -> Tag {
        let mut hash = Xxh3::with_seed(self.0);
        hash.update(&[kind as u8]);
        for part in parts {
            hash.update(part);
        }
        Tag(hash.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_short_and_printable() {
        assert_eq!(check("product:42"), Ok(()));
        assert_eq!(check("søk"), Ok(()));
        assert_eq!(check(&"x".repeat(128)), Ok(()));
        assert_eq!(check(&"x".repeat(129)), Err(TagError::TooLong));
        assert_eq!(check(""), Err(TagError::Empty));
        for odd in ["a\nb", "\0", "\u{7f}", "\u{85}"] {
            assert_eq!(check(odd), Err(TagError::Control), "{odd:?}");
        }
    }

    #[test]
    fn kinds_and_applications_do_not_meet() {
        let (a, b) = (TagScope::new("a"), TagScope::new("b"));
        let key = Key::from_bytes([7; 32]);
        let all = [a.own("/x"), a.url("/x", None), a.route("/x"), a.all(), a.key(&key), b.own("/x"), b.all()];
        for (at, tag) in all.iter().enumerate() {
            assert!(!all[..at].contains(tag), "{at}");
        }
        assert_eq!(a.uri(&"https://one.example/x?y".parse().unwrap()), a.url("/x", Some(b"y")));
        assert_ne!(a.url("/x", None), a.url("/x", Some(b"")));
    }
}
