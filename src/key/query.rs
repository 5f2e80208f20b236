//! Which query parameters count, and in which order.
//!
//! A query is split at `&`, a parameter's name ends at its first `=`. Names compare after percent-decoding,
//! with `+` as a space, as handlers read them: else `%75tm_source` slips past a deny list, and `b=1&%62=2`
//! changes the order of what the handler sees as one name. What is kept is keyed byte for byte.

use std::borrow::Cow;
use std::cmp::Ordering;

use http::Uri;
use http::uri::PathAndQuery;

use super::few::Few;
use super::material::{Field, Material, Sink};
use super::percent;
use crate::error::PolicyError;
use crate::policy::{Bypass, PolicyConfig};

/// Parameters that are sorted or filtered without heap.
const FEW: usize = 16;

/// The query's side of a policy.
#[derive(Clone, Debug)]
pub(super) struct QueryRules {
    sort: bool,
    allow: Option<Vec<Pattern>>,
    deny: Vec<Pattern>,
}

/// A parameter's name, or how it begins.
#[derive(Clone, Debug)]
struct Pattern {
    name: Box<[u8]>,
    any_rest: bool,
}

impl QueryRules {
    /// Parses the query fields of `config`.
    pub(super) fn new(config: &PolicyConfig) -> Result<Self, PolicyError> {
        Ok(Self {
            sort: config.sort_query,
            allow: config.allow_query.as_deref().map(|names| patterns("allow_query", names)).transpose()?,
            deny: patterns("deny_query", &config.deny_query)?,
        })
    }

    /// Frames the query: as `raw`, or as `parameters`, the list of those that count. A query of which none is
    /// left is absent, as it is for the handler.
    pub(super) fn write<S: Sink>(
        &self,
        query: Option<&str>,
        (raw, parameters): (Field, Field),
        to: &mut Material<S>,
    ) -> Result<(), Bypass> {
        let Some(query) = query else { return Ok(()) };
        if !self.sort && !self.filters() {
            return to.part(raw, query.as_bytes());
        }
        let kept = self.kept(query);
        if kept.as_slice().is_empty() {
            return Ok(());
        }
        to.list(parameters, || kept.as_slice().iter().copied())
    }

    /// The query that stands for all that have the same key.
    pub(super) fn common<'a>(&self, query: &'a str) -> Option<Cow<'a, [u8]>> {
        if !self.sort && !self.filters() {
            return Some(Cow::Borrowed(query.as_bytes()));
        }
        let kept = self.kept(query);
        let kept = Some(kept.as_slice()).filter(|kept| !kept.is_empty());
        kept.map(|kept| Cow::Owned(kept.join(&b'&')))
    }

    /// The parameters that count, in the order that counts.
    fn kept<'a>(&self, query: &'a str) -> Few<&'a [u8], FEW> {
        let mut kept = Few::new();
        for parameter in query.split('&').map(str::as_bytes).filter(|parameter| self.keeps(parameter)) {
            kept.push(parameter);
        }
        if self.sort {
            // Stable: repeats of a name keep their order, which handlers see.
            kept.as_mut_slice().sort_by(|a, b| compare_names(a, b));
        }
        kept
    }

    /// The URI that the handler may see: without the parameters that aren't part of the key. `None`: it stays
    /// as it is.
    pub(super) fn filtered_uri(&self, uri: &Uri) -> Option<Uri> {
        let query = uri.query()?;
        if !self.filters() || query.split('&').all(|parameter| self.keeps(parameter.as_bytes())) {
            return None;
        }
        let mut target = String::with_capacity(uri.path().len() + query.len() + 1);
        target.push_str(uri.path());
        let mut separator = '?';
        for parameter in query.split('&').filter(|parameter| self.keeps(parameter.as_bytes())) {
            target.push(separator);
            target.push_str(parameter);
            separator = '&';
        }
        let mut parts = uri.clone().into_parts();
        // A valid target stays valid when parameters are taken out of it.
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(bytes::Bytes::from(target)).ok()?);
        Uri::from_parts(parts).ok()
    }

    fn filters(&self) -> bool {
        self.allow.is_some() || !self.deny.is_empty()
    }

    fn keeps(&self, parameter: &[u8]) -> bool {
        let listed = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name(parameter)));
        self.allow.as_deref().is_none_or(listed) && !listed(&self.deny)
    }
}

impl Pattern {
    fn matches(&self, name: impl Iterator<Item = u8>) -> bool {
        let mut name = name;
        self.name.iter().all(|byte| name.next() == Some(*byte)) && (self.any_rest || name.next().is_none())
    }
}

fn patterns(field: &'static str, names: &[String]) -> Result<Vec<Pattern>, PolicyError> {
    let refuse = |problem| Err(PolicyError::Field { field, problem });
    let parse = |text: &String| {
        let (name, any_rest) = text.strip_suffix('*').map_or((text.as_str(), false), |name| (name, true));
        if text.is_empty() {
            return refuse("has an empty name".to_owned());
        }
        if name.contains('*') {
            return refuse(format!("{text:?} has a `*` that is not at the end"));
        }
        Ok(Pattern { name: name.as_bytes().into(), any_rest })
    };
    names.iter().map(parse).collect()
}

fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    name(a).cmp(name(b))
}

/// A parameter's decoded name.
fn name(parameter: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = parameter.split(|byte| *byte == b'=').next().unwrap_or_default();
    std::iter::from_fn(move || {
        let (decoded, after) = match rest {
            [b'+', after @ ..] => (b' ', after),
            rest => percent::first(rest)?,
        };
        rest = after;
        Some(decoded)
    })
}
