//! Tags in response fields.

use std::fmt;

use http::{HeaderMap, HeaderName};
use sfv::visitor::{EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor};
use sfv::{BareItemFromInput, Parser};

use super::rules::error;
use super::template::Unmade;
use crate::error::PolicyError;

/// The fields that a policy takes tags from.
#[derive(Clone, Debug, Default)]
pub(crate) struct TagFields(Vec<TagField>);

/// A field of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TagField {
    /// Texts with commas between them.
    CacheTag,
    /// Texts with blanks between them.
    SurrogateKey,
    /// A List of Strings ([RFC 9875 §2]).
    ///
    /// [RFC 9875 §2]: https://www.rfc-editor.org/rfc/rfc9875#section-2
    CacheGroups,
}

impl TagField {
    const ALL: [Self; 3] = [Self::CacheTag, Self::SurrogateKey, Self::CacheGroups];

    const fn as_str(self) -> &'static str {
        match self {
            Self::CacheTag => "cache-tag",
            Self::SurrogateKey => "surrogate-key",
            Self::CacheGroups => "cache-groups",
        }
    }

    /// The texts in one line; `None` if it can't be read.
    fn texts(self, line: &[u8]) -> Option<Vec<String>> {
        let listed = |separator: fn(char) -> bool| {
            let line = std::str::from_utf8(line).ok()?;
            let members = line.split(separator).map(|tag| tag.trim_matches([' ', '\t']));
            Some(members.filter(|tag| !tag.is_empty()).map(str::to_owned).collect())
        };
        match self {
            Self::CacheTag => listed(|at| at == ','),
            Self::SurrogateKey => listed(|at| matches!(at, ' ' | '\t')),
            Self::CacheGroups => strings(line),
        }
    }
}

impl TagFields {
    /// The fields that a policy's list names.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Field`] naming `tag_fields`.
    pub(super) fn parse(names: &[String]) -> Result<Self, PolicyError> {
        let known = |name: &String| {
            TagField::ALL.into_iter().find(|field| name.eq_ignore_ascii_case(field.as_str())).ok_or_else(
                || {
                    let problem =
                        format!("{name:?} isn't one of `Cache-Tag`, `Surrogate-Key` and `Cache-Groups`");
                    error("tag_fields", problem)
                },
            )
        };
        names.iter().map(known).collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// The texts of the tags that a response names, repeats and all.
    ///
    /// # Errors
    ///
    /// [`Unmade::Field`]: a line can't be read.
    // NOTE: RFC 9651 §4.2 ignores a field that can't be read. A response whose tags aren't known mustn't outlive their
    // purge, and no cache must store anything.
    pub(crate) fn texts(&self, headers: &HeaderMap) -> Result<Vec<String>, Unmade> {
        let mut texts = Vec::new();
        for field in &self.0 {
            for line in headers.get_all(field.as_str()) {
                texts.extend(field.texts(line.as_bytes()).ok_or(Unmade::Field(field.as_str()))?);
            }
        }
        Ok(texts)
    }

    /// Whether a field is for this cache alone. Groups are for every cache on the way.
    pub(super) fn hides(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|field| *field != TagField::CacheGroups && name == field.as_str())
    }

    /// Takes from a response what is for this cache alone.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        for field in self.0.iter().filter(|field| **field != TagField::CacheGroups) {
            headers.remove(field.as_str());
        }
    }
}

/// The members of a line that is a List of Strings ([RFC 9651 §3.1]), whatever their parameters.
///
/// [RFC 9651 §3.1]: https://www.rfc-editor.org/rfc/rfc9651#section-3.1
fn strings(line: &[u8]) -> Option<Vec<String>> {
    let mut members = Vec::new();
    Parser::new(line.trim_ascii()).parse_list_with_visitor(Strings(&mut members)).ok()?;
    Some(members)
}

/// Takes the members of a List, of Strings only.
struct Strings<'a>(&'a mut Vec<String>);

/// A member that isn't a String.
#[derive(Debug)]
struct NoString;

impl fmt::Display for NoString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member isn't a String")
    }
}

impl std::error::Error for NoString {}

impl<'de> ListVisitor<'de> for Strings<'_> {
    type Out = ();
    type Error = NoString;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, NoString> {
        Ok(Strings(self.0))
    }

    fn finish(self) -> Result<(), NoString> {
        Ok(())
    }
}

impl<'de> EntryVisitor<'de> for Strings<'_> {
    type Error = NoString;

    fn item(self) -> Result<impl ItemVisitor<'de>, NoString> {
        Ok(move |value: BareItemFromInput<'de>| match value {
            BareItemFromInput::String(text) => {
                self.0.push(text.as_str().to_owned());
                Ok(Ignored)
            }
            _ => Err(NoString),
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, NoString> {
        Err::<Ignored, _>(NoString)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::headers;

    fn fields(names: &[&str]) -> TagFields {
        TagFields::parse(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn each_field_has_its_own_syntax_and_is_read_by_choice_alone() {
        let lines = headers(&[
            ("cache-tag", "a b, c,,\td ,"),
            ("cache-tag", "søk"),
            ("surrogate-key", "e  f,g\th"),
            ("cache-groups", r#""i j";x, "k""#),
            ("cache-groups", ""),
        ]);
        let read = |names: &[&str]| fields(names).texts(&lines).unwrap();
        assert_eq!(read(&["Cache-Tag"]), ["a b", "c", "d", "søk"]);
        assert_eq!(read(&["Surrogate-Key", "cache-groups"]), ["e", "f,g", "h", "i j", "k"]);
        assert!(read(&[]).is_empty());
    }

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

    #[test]
    fn what_cannot_be_read_is_told() {
        let mut odd = headers(&[("cache-groups", "scripts"), ("surrogate-key", "a")]);
        odd.insert("cache-tag", http::HeaderValue::from_bytes(b"a, \xff").unwrap());
        assert_eq!(fields(&["cache-groups"]).texts(&odd), Err(Unmade::Field("cache-groups")));
        assert_eq!(fields(&["cache-tag"]).texts(&odd), Err(Unmade::Field("cache-tag")));
        assert_eq!(fields(&["surrogate-key"]).texts(&odd).unwrap(), ["a"]);
        assert!(TagFields::parse(&["x-tags".to_owned()]).is_err());
    }

    #[test]
    fn what_is_for_this_cache_alone_is_stripped() {
        let mut lines = headers(&[("cache-tag", "a"), ("surrogate-key", "b"), ("cache-groups", "\"c\"")]);
        fields(&["cache-tag", "cache-groups"]).strip(&mut lines);
        assert!(!lines.contains_key("cache-tag"));
        assert!(lines.contains_key("surrogate-key") && lines.contains_key("cache-groups"));
    }
}
