//! Targeted fields ([RFC 9213]), such as `CDN-Cache-Control`: Dictionaries of Structured Fields ([RFC 9651 §3.2]).
//!
//! The first field of a policy's list that is valid and not empty stands in place of `Cache-Control` and `Expires`. One
//! that isn't is as if it weren't there.
//!
//! [RFC 9213]: https://www.rfc-editor.org/rfc/rfc9213
//! [RFC 9651 §3.2]: https://www.rfc-editor.org/rfc/rfc9651#section-3.2

use std::borrow::Cow;
use std::convert::Infallible;

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName};
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::directives::{self, Directives, MAX_NAMED, MAX_SECONDS, named_fields};

/// The directives that apply to a response, and whether they are a targeted field's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Selected {
    pub(super) directives: Directives,
    pub(super) targeted: bool,
}

impl Selected {
    /// Those of the first field in `targets` that is valid and not empty, else `Cache-Control`'s (RFC 9213 §2.2).
    pub(super) fn of(headers: &HeaderMap, targets: &[HeaderName]) -> Self {
        match targeted(headers, targets) {
            Some(Members { directives, .. }) => Self { directives, targeted: true },
            None => Self { directives: Directives::of(headers, &CACHE_CONTROL), targeted: false },
        }
    }
}

/// The fields that `no-cache` and `private` name in the field that [`Selected::of`] goes by.
pub(super) fn qualified_fields(headers: &HeaderMap, targets: &[HeaderName]) -> Vec<HeaderName> {
    match targeted(headers, targets) {
        Some(Members { no_cache, private, .. }) => [no_cache, private].concat(),
        None => directives::qualified_fields(headers, &CACHE_CONTROL),
    }
}

fn targeted(headers: &HeaderMap, targets: &[HeaderName]) -> Option<Members> {
    targets.iter().find_map(|field| read(headers, field))
}

/// A targeted field's members; `None` if it is absent, empty or invalid. All its lines are one (RFC 9651 §4.2).
fn read(headers: &HeaderMap, field: &HeaderName) -> Option<Members> {
    let mut lines = headers.get_all(field).iter().map(|line| line.as_bytes());
    let mut value = Cow::Borrowed(lines.next()?);
    for line in lines {
        let joined = value.to_mut();
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(line);
    }
    let mut members = Members::default();
    Parser::new(&value).parse_dictionary_with_visitor(&mut members).ok()?;
    (!members.empty).then_some(members)
}

/// What the members seen so far say.
struct Members {
    empty: bool,
    directives: Directives,
    /// The fields that `no-cache` names.
    no_cache: Vec<HeaderName>,
    /// The fields that `private` names.
    private: Vec<HeaderName>,
}

impl Default for Members {
    fn default() -> Self {
        Self { empty: true, directives: Directives::default(), no_cache: Vec::new(), private: Vec::new() }
    }
}

impl Members {
    /// Of members with one key the last counts (RFC 9651 §4.2.2). A value of the wrong type isn't used (RFC 9213 §2.1), with
    /// one exception: a lifetime that can't be read means stale, as it does in `Cache-Control`. `value`: none for an
    /// Inner List.
    fn add(&mut self, key: &str, value: Option<&BareItemFromInput<'_>>) {
        let directives = &mut self.directives;
        let on = matches!(value, Some(BareItemFromInput::Boolean(true)));
        let seconds = match value {
            Some(BareItemFromInput::Integer(seconds)) => {
                Some(u64::try_from(i64::from(*seconds)).unwrap_or(0).min(MAX_SECONDS))
            }
            _ => None,
        };
        let fields = || {
            let text = match value? {
                BareItemFromInput::String(text) => text.as_str(),
                BareItemFromInput::Token(text) => text.as_str(),
                _ => return None,
            };
            Some(named_fields(text.as_bytes()).collect())
        };
        match key {
            "no-store" => directives.no_store = on,
            "no-cache" => {
                (directives.no_cache, directives.no_cache_fields, self.no_cache) = qualified(on, fields());
            }
            "private" => {
                (directives.private, directives.private_fields, self.private) = qualified(on, fields())
            }
            "public" => directives.public = on,
            "must-understand" => directives.must_understand = on,
            "must-revalidate" => directives.must_revalidate = on,
            "proxy-revalidate" => directives.proxy_revalidate = on,
            "max-age" => directives.max_age = Some(seconds.unwrap_or(0)),
            "s-maxage" => directives.s_maxage = Some(seconds.unwrap_or(0)),
            "stale-while-revalidate" => directives.stale_while_revalidate = seconds,
            "stale-if-error" => directives.stale_if_error = seconds,
            _ => {}
        }
    }
}

/// Whether a directive stands alone, whether it names fields, and these. An argument that names none, or too many, is as
/// good as none.
fn qualified(on: bool, fields: Option<Vec<HeaderName>>) -> (bool, bool, Vec<HeaderName>) {
    match fields {
        Some(fields) if fields.is_empty() || fields.len() > MAX_NAMED => (true, false, Vec::new()),
        Some(fields) => (false, true, fields),
        None => (on, false, Vec::new()),
    }
}

impl<'de> DictionaryVisitor<'de> for &mut Members {
    type Out = ();
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        self.empty = false;
        Ok(Member { members: self, key: key.as_str() })
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A member whose value is about to be read.
struct Member<'a, 'de> {
    members: &'a mut Members,
    key: &'de str,
}

impl<'de> EntryVisitor<'de> for Member<'_, 'de> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(move |value: BareItemFromInput<'de>| {
            self.members.add(self.key, Some(&value));
            Ok::<_, Infallible>(Ignored)
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        self.members.add(self.key, None);
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests;
