//! The tags that a policy gives: texts with parameters of the route's pattern in them.

use std::fmt;

use matchit::{Params, Router};

use super::rules::error;
use crate::error::PolicyError;
use crate::key::percent;
use crate::purge::{MAX_TAGS, TagError, check_tag};

/// The tags of a policy.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    templates: Vec<Template>,
    /// The table's own pattern, where parameters of it are needed.
    pattern: Option<Pattern>,
}

/// A text in which `{name}` stands for something, `{{` for `{` and `}}` for `}`, as in patterns.
#[derive(Debug, PartialEq, Eq)]
struct Template(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter(String),
}

/// A router of one route.
struct Pattern(Router<()>);

/// Why the tags of a request or a response can't be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unmade {
    /// Its path parameters aren't known.
    #[error("the path's pattern isn't known: use `Routes`, or a layer on a route of axum's")]
    NoPattern,
    /// The pattern doesn't have the parameter, or has it twice.
    #[error("the path's pattern doesn't have `{{{0}}}` exactly once")]
    Parameter(String),
    /// What stands in the path, decoded, isn't text.
    #[error("`{{{0}}}` isn't UTF-8 in the path")]
    NotUtf8(String),
    /// It isn't a tag.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// The response has a field of tags that can't be read.
    #[error("the response's `{0}` can't be read")]
    Field(&'static str),
    /// There are too many.
    #[error("there are over {MAX_TAGS} tags")]
    TooMany,
}

impl Templates {
    /// The tags that a policy's list spells. `pattern` is the table's; without one, parameters are those of the pattern that
    /// axum's router matched.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Field`] naming `tags`.
    pub(crate) fn parse(tags: &[String], pattern: Option<&str>) -> Result<Self, PolicyError> {
        const FIELD: &str = "tags";
        let known = pattern.map(|pattern| Template::parse(pattern).unwrap_or_else(|_| Template(Vec::new())));
        let mut templates = Vec::new();
        for tag in tags {
            let wrong = |problem: &dyn fmt::Display| error(FIELD, format!("{tag:?}: {problem}"));
            let template = Template::parse(tag).map_err(|problem| wrong(&problem))?;
            template.check(known.as_ref()).map_err(|problem| wrong(&problem))?;
            if !templates.contains(&template) {
                templates.push(template);
            }
        }
        if templates.len() > MAX_TAGS {
            return Err(error(FIELD, format!("has {} tags; the most is {MAX_TAGS}", templates.len())));
        }
        let needed = templates.iter().any(|template| template.parameters().next().is_some());
        let pattern = pattern.filter(|_| needed).map(Pattern::new).transpose();
        Ok(Self { templates, pattern: pattern.map_err(|problem| error(FIELD, problem))? })
    }

    /// The texts of the tags of a request for `path`; `matched` gives the pattern that a router says it matched.
    ///
    /// # Errors
    ///
    /// Why one of them can't be made.
    pub(crate) fn texts<'a>(
        &self,
        path: &str,
        matched: impl FnOnce() -> Option<&'a str>,
    ) -> Result<Vec<String>, Unmade> {
        let needed = self.templates.iter().any(|template| template.parameters().next().is_some());
        let found;
        let params = match (&self.pattern, needed) {
            (_, false) => None,
            (Some(pattern), true) => Some(pattern.params(path)?),
            (None, true) => {
                let matched = matched().ok_or(Unmade::NoPattern)?;
                found = Pattern::new(matched).map_err(|_| Unmade::NoPattern)?;
                Some(found.params(path)?)
            }
        };
        let text = |template: &Template| {
            let text = template.fill(params.as_ref())?;
            check_tag(&text)?;
            Ok(text)
        };
        self.templates.iter().map(text).collect()
    }
}

impl Template {
    /// Splits a text at its parameters; what is wrong with it.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(next) = rest.next() {
            let doubled = rest.as_str().starts_with(next);
            match next {
                '{' | '}' if doubled => {
                    plain.push(next);
                    rest.next();
                }
                '}' => return Err("has a `}` without a `{`; a `}` of its own is written `}}`"),
                '{' => {
                    let (name, behind) = rest
                        .as_str()
                        .split_once('}')
                        .ok_or("has a `{` without a `}`; a `{` of its own is written `{{`")?;
                    if name.is_empty() || name.contains(['{', '/']) {
                        return Err("has a parameter without a name");
                    }
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(Piece::Parameter(name.to_owned()));
                    rest = behind.chars();
                }
                _ => plain.push(next),
            }
        }
        pieces.push(Piece::Text(plain));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Ok(Self(pieces))
    }

    fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Parameter(name) => Some(name.as_str()),
        })
    }

    /// Checks what is known of a tag beforehand; `pattern` is that of its path, split too.
    fn check(&self, pattern: Option<&Self>) -> Result<(), Unmade> {
        if let Some(pattern) = pattern {
            // A parameter for the rest of a path is `{*name}` in a pattern, and goes by its name.
            let times = |name: &str| {
                pattern.parameters().filter(|known| known.trim_start_matches('*') == name).count()
            };
            if let Some(unknown) = self.parameters().find(|name| times(name) != 1) {
                return Err(Unmade::Parameter(unknown.to_owned()));
            }
        }
        let fixed: String =
            self.0.iter().map(|piece| if let Piece::Text(text) = piece { text } else { "" }).collect();
        match check_tag(&fixed) {
            Err(TagError::Empty) if !self.0.is_empty() => Ok(()),
            checked => Ok(checked?),
        }
    }

    fn fill(&self, params: Option<&Params<'_, '_>>) -> Result<String, Unmade> {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Parameter(name) => {
                    let mut values =
                        params.into_iter().flat_map(Params::iter).filter(|(known, _)| known == name);
                    let (Some((_, value)), None) = (values.next(), values.next()) else {
                        return Err(Unmade::Parameter(name.clone()));
                    };
                    // As axum gives it to handlers.
                    filled += &percent::decode(value).ok_or_else(|| Unmade::NotUtf8(name.clone()))?;
                }
            }
        }
        Ok(filled)
    }
}

impl Pattern {
    fn new(pattern: &str) -> Result<Self, String> {
        let mut router = Router::new();
        router.insert(pattern, ()).map_err(|problem| problem.to_string())?;
        Ok(Self(router))
    }

    fn params<'a>(&'a self, path: &'a str) -> Result<Params<'a, 'a>, Unmade> {
        self.0.at(path).map(|found| found.params).map_err(|_| Unmade::NoPattern)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(tags: &[&str], pattern: Option<&str>) -> Result<Templates, String> {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Templates::parse(&tags, pattern).map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_of_the_path_stand_in_tags() {
        let pattern = Some("/{tenant}/items/{id}/{*rest}");
        let tags = ["items", "{tenant}", "item:{id}", "{tenant}/{id}", "at:{rest}", "{{{id}}}", "items"];
        let made = parse(&tags, pattern).unwrap().texts("/a/items/7/x/y%20z", || None).unwrap();
        assert_eq!(made, ["items", "a", "item:7", "a/7", "at:x/y z", "{7}"], "duplicates count once");
    }

    #[test]
    fn the_pattern_of_the_router_does_where_there_is_no_table() {
        let templates = parse(&["item:{id}"], None).unwrap();
        assert_eq!(templates.texts("/items/7", || Some("/items/{id}")).unwrap(), ["item:7"]);
        for (path, matched, why) in [
            ("/items/7", None, Unmade::NoPattern),
            ("/items/7", Some("/users/{id}"), Unmade::NoPattern),
            ("/items/7", Some("/items/{i/d}"), Unmade::NoPattern),
            ("/items/7", Some("/items/{name}"), Unmade::Parameter("id".to_owned())),
            ("/a/7/b/8", Some("/a/{id}/b/{id}"), Unmade::Parameter("id".to_owned())),
        ] {
            assert_eq!(templates.texts(path, || matched), Err(why), "{path} {matched:?}");
        }
        let fixed = parse(&["items"], None).unwrap();
        assert_eq!(fixed.texts("/", || unreachable!()).unwrap(), ["items"]);
    }

    #[test]
    fn what_is_no_tag_in_the_end_is_told() {
        let templates = parse(&["{id}"], Some("/{id}")).unwrap();
        let made = |path: &str| templates.texts(path, || None);
        assert_eq!(made("/s%C3%B8k%zz%"), Ok(vec!["søk%zz%".to_owned()]));
        assert_eq!(made("/a+b"), Ok(vec!["a+b".to_owned()]));
        assert_eq!(made("/%ff"), Err(Unmade::NotUtf8("id".to_owned())));
        assert_eq!(made("/a%0a"), Err(Unmade::Tag(TagError::Control)));
        assert_eq!(made(&format!("/{}", "x".repeat(129))), Err(Unmade::Tag(TagError::TooLong)));
    }

    #[test]
    fn what_cannot_be_a_tag_is_an_error_that_names_it() {
        let many: Vec<String> = (0..33).map(|number| format!("tag {number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let long = "x".repeat(129);
        for (tags, pattern, words) in [
            (&["item:{no}"][..], Some("/{id}"), "{no}"),
            (&["{*rest}"], Some("/{*rest}"), "{*rest}"),
            (&["{id}"], Some("/a/{id}/b/{id}"), "exactly once"),
            (&["{id}"], Some("/{{id}}"), "exactly once"),
            (&[""], None, "empty"),
            (&["ok", "a\nb"], None, "control"),
            (&[&long], None, "128 bytes"),
            (&[&format!("{long}{{id}}")], Some("/{id}"), "128 bytes"),
            (&["{"], None, "without a `}`"),
            (&["}"], None, "without a `{`"),
            (&["a{}"], None, "without a name"),
            (&["{a{b}"], None, "without a name"),
            (&many, None, "33 tags"),
        ] {
            let error = parse(tags, pattern).unwrap_err();
            assert!(error.starts_with("policy field `tags`: ") && error.contains(words), "{error}");
        }
        assert!(parse(&many[..32], None).is_ok());
    }
}
