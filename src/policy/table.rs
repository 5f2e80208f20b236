//! From a path and a method to what applies there.

use http::Method;
use matchit::Router;

use super::Bypass;
use crate::error::PolicyError;

/// What applies to which path and method.
pub(crate) struct Table<T> {
    patterns: Router<Vec<Entry<T>>>,
    /// What applies where no pattern matches.
    rest: Option<T>,
}

/// One of the things that stand under a pattern.
struct Entry<T> {
    methods: Vec<Method>,
    value: T,
}

impl<T> Table<T> {
    /// A value for each pattern and set of methods, and perhaps one for where no pattern matches.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Route`] for a pattern that can't be matched, collides with another, or has a method
    /// twice; [`PolicyError::Field`] if there is none.
    pub(crate) fn build(routes: Vec<(String, Vec<Method>, T)>, rest: Option<T>) -> Result<Self, PolicyError> {
        let mut grouped: Vec<(String, Vec<Entry<T>>)> = Vec::new();
        for (pattern, methods, value) in routes {
            let entry = Entry { methods, value };
            match grouped.iter_mut().find(|(known, _)| *known == pattern) {
                Some((_, entries)) => {
                    let taken = |method: &&Method| entries.iter().any(|known| known.methods.contains(method));
                    if let Some(method) = entry.methods.iter().find(taken) {
                        return Err(error(&pattern, format!("has two policies for {method}")));
                    }
                    entries.push(entry);
                }
                None => grouped.push((pattern, vec![entry])),
            }
        }
        if grouped.is_empty() && rest.is_none() {
            return Err(super::rules::error("routes", "is empty; nothing would be cached"));
        }
        let mut patterns = Router::new();
        for (pattern, entries) in grouped {
            if !pattern.starts_with('/') {
                return Err(error(&pattern, "must start with `/`".to_owned()));
            }
            patterns.insert(pattern.as_str(), entries).map_err(|wrong| error(&pattern, wrong.to_string()))?;
        }
        Ok(Self { patterns, rest })
    }

    /// All that stands under a path, whatever the method.
    pub(crate) fn all(&self, path: &str) -> impl Iterator<Item = &T> {
        let (listed, rest) = match self.patterns.at(path) {
            Ok(found) => (found.value.as_slice(), None),
            Err(_) => (&[][..], self.rest.as_ref()),
        };
        listed.iter().map(|entry| &entry.value).chain(rest)
    }

    /// What applies to a request, by the path of its original URI.
    ///
    /// # Errors
    ///
    /// [`Bypass::NoRoute`] or [`Bypass::Method`].
    pub(crate) fn find(&self, path: &str, method: &Method) -> Result<&T, Bypass> {
        match self.patterns.at(path) {
            Ok(found) => {
                let entry = found.value.iter().find(|entry| entry.methods.contains(method));
                entry.map(|entry| &entry.value).ok_or(Bypass::Method)
            }
            Err(_) => self.rest.as_ref().ok_or(Bypass::NoRoute),
        }
    }
}

fn error(pattern: &str, problem: String) -> PolicyError {
    PolicyError::Route { pattern: pattern.to_owned(), problem }
}

#[cfg(test)]
mod tests;
