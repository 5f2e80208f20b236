//! What a purge request says: a JSON object.

use http::Uri;
use serde::{Deserialize, Deserializer};

use crate::cache::QueryCache;
use crate::purge::{Purge, TagError, check_tag};

/// A request for a purge.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) target: Target,
    pub(super) soft: bool,
}

/// What is to be purged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Tags(Vec<String>),
    Url(Uri),
    Route(String),
    All,
}

/// An order as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, deserialize_with = "given")]
    tag: Option<String>,
    #[serde(default, deserialize_with = "given")]
    tags: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    url: Option<String>,
    #[serde(default, deserialize_with = "given")]
    route: Option<String>,
    #[serde(default, deserialize_with = "given")]
    all: Option<bool>,
    #[serde(default)]
    soft: bool,
}

/// A field that is there has a value: `null` is none.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Longest part of what was sent, characters, in an answer or in the log.
pub(super) const SHOWN: usize = 128;

impl Order {
    /// Reads a body; what is wrong with it.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(body).map_err(|error| match error.is_data() {
            true => error.to_string().chars().take(SHOWN).collect(),
            false => "the body isn't JSON".to_owned(),
        })?;
        // serde takes an array for the fields in their order.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err("expected a JSON object".to_owned());
        }
        let Written { tag, tags, url, route, all, soft } = written;
        let asked = [
            tag.map(|tag| listed(vec![tag])),
            tags.map(listed),
            url.map(|url| location(&url)),
            route.map(|route| Ok(Target::Route(route))),
            all.map(|all| if all { Ok(Target::All) } else { Err("`all` can only be true".to_owned()) }),
        ];
        let mut asked = asked.into_iter().flatten();
        match (asked.next(), asked.next()) {
            (Some(target), None) => Ok(Self { target: target?, soft }),
            _ => Err("expected exactly one of `tag`, `tags`, `url`, `route` and `all`".to_owned()),
        }
    }

    /// The purge.
    pub(super) fn purge(&self, cache: &QueryCache) -> Purge {
        let purge = match &self.target {
            Target::Tags(tags) => cache.purge_tags(tags),
            Target::Url(url) => cache.purge_url(url),
            Target::Route(label) => cache.purge_route(label),
            Target::All => cache.purge_all(),
        };
        if self.soft { purge.soft() } else { purge }
    }
}

fn listed(tags: Vec<String>) -> Result<Target, String> {
    if tags.is_empty() {
        return Err("`tags` is empty".to_owned());
    }
    let checked = tags.iter().try_for_each(|tag| check_tag(tag));
    checked.map_err(|wrong: TagError| wrong.to_string()).map(|()| Target::Tags(tags))
}

/// A URL, whole or from its path on.
fn location(url: &str) -> Result<Target, String> {
    match url.parse::<Uri>() {
        Ok(uri) if uri.path().starts_with('/') => Ok(Target::Url(uri)),
        _ => Err("`url` is neither a path nor a URL".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_read() {
        for (body, target, soft) in [
            (r#"{"tag": "a"}"#, Target::Tags(vec!["a".to_owned()]), false),
            (
                r#"{"soft": true, "tags": ["a", "b"]}"#,
                Target::Tags(vec!["a".to_owned(), "b".to_owned()]),
                true,
            ),
            (r#"{"url": "/x?y=1"}"#, Target::Url(Uri::from_static("/x?y=1")), false),
            (
                r#"{"url": "https://one.example/x"}"#,
                Target::Url(Uri::from_static("https://one.example/x")),
                false,
            ),
            (r#"{"route": "search", "soft": false}"#, Target::Route("search".to_owned()), false),
            ("\n{ \"all\" : true }\n", Target::All, false),
        ] {
            let order = Order::read(body.as_bytes()).unwrap();
            assert_eq!((order.target, order.soft), (target, soft), "{body}");
        }
    }

    #[test]
    fn what_is_no_order_is_told() {
        let long = format!(r#"{{"tag": "{}"}}"#, "x".repeat(129));
        let unknown = format!(r#"{{"{}": 1}}"#, "y".repeat(5000));
        for (body, words) in [
            ("", "isn't JSON"),
            ("tag=a", "isn't JSON"),
            (r#"{"tag": "a""#, "isn't JSON"),
            (r#"{"tag": "a"} {}"#, "isn't JSON"),
            ("{\"tag\": \"\u{7f}a\nb\"}", "isn't JSON"),
            (r#"{"tag": "a\nb"}"#, "control"),
            (r#"{"tag": ""}"#, "empty"),
            (&long, "128 bytes"),
            ("[]", "a JSON object"),
            (r#"["a"]"#, "a JSON object"),
            (r#""a""#, "invalid"),
            ("null", "invalid"),
            ("{}", "exactly one"),
            (r#"{"soft": true}"#, "exactly one"),
            (r#"{"tag": "a", "all": true}"#, "exactly one"),
            (r#"{"tag": "a", "tags": ["b"]}"#, "exactly one"),
            (r#"{"tag": "a", "tag": "b"}"#, "duplicate"),
            (r#"{"tag": "a", "key": "b"}"#, "unknown field `key`"),
            (&unknown, "unknown field"),
            (r#"{"tag": null}"#, "invalid"),
            (r#"{"tag": 5}"#, "invalid"),
            (r#"{"tag": "a", "soft": 1}"#, "invalid"),
            (r#"{"tags": []}"#, "empty"),
            (r#"{"tags": ["a", ""]}"#, "empty"),
            (r#"{"all": false}"#, "only be true"),
            (r#"{"url": ""}"#, "neither"),
            (r#"{"url": "one.example"}"#, "neither"),
            (r#"{"url": "*"}"#, "neither"),
            (r#"{"url": "/a b"}"#, "neither"),
        ] {
            let problem = Order::read(body.as_bytes()).map(|order| order.target).unwrap_err();
            assert!(problem.contains(words) && problem.len() <= 4 * SHOWN, "{body}: {problem}");
        }
        assert!(Order::read(&[b'['; 10_000]).is_err());
        assert!(Order::read(b"{\"tag\": \"\xff\"}").is_err());
    }
}
