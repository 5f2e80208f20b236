//! A policy resolved for run time: every name parsed, every value in range.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::header::{HeaderName, ORIGIN};
use http::{Method, StatusCode};

use super::fields::FieldSet;
use super::http::{HttpRules, invalidate};
use super::lifetime::MAX_LIFETIME;
use super::stale::StaleRules;
use super::tag_fields::TagFields;
use super::{Etag, Hooks, PolicyConfig, Preset};
use crate::clock::{Millis, millis};
use crate::error::PolicyError;

/// Longest lease. Who wants more would rather wait for ever.
const MAX_LEASE: Duration = Duration::from_secs(60 * 60);

/// Longest label, bytes.
const MAX_LABEL: usize = 64;

/// A validated policy. Its methods, all pure, stand beside what they decide: `gate`, `judge`, `fields`.
pub(crate) struct Rules {
    /// Largest response body that is stored, bytes.
    pub(crate) max_body: usize,
    /// Largest request body that is part of the key, bytes; none: requests with a body bypass.
    pub(crate) key_body: Option<usize>,
    /// How an absent `ETag` is made.
    pub(crate) etag: Etag,
    /// What becomes of entries that are stale or soon will be.
    pub(crate) stale: StaleRules,
    /// How long the lease of a key is taken for; none: each process fills for itself.
    pub(crate) lease: Option<Duration>,
    /// Response fields that bring tags.
    pub(crate) tag_fields: TagFields,
    /// Whether the purge journal is asked for each request.
    pub(crate) strict: bool,
    /// Uses of a key from which on its responses are stored; none: from the first.
    pub(crate) min_uses: Option<u8>,
    /// What a shared cache of RFC 9111 goes by; none: the rules of `Policy::ttl`.
    pub(crate) http: Option<HttpRules>,
    /// Whether unsafe methods purge what is stored for their URI.
    pub(crate) purges_unsafe: bool,
    /// Targeted fields, in their order.
    pub(super) targets: Vec<HeaderName>,
    pub(super) methods: Vec<Method>,
    pub(super) ttl: Millis,
    pub(super) override_ttl: bool,
    pub(super) negative_ttl: BTreeMap<StatusCode, Millis>,
    /// Whether `Origin` is part of the key, so that an echo of it is right.
    pub(super) keys_origin: bool,
    pub(super) credentials: FieldSet,
    pub(super) strip_credentials: bool,
    pub(super) session_cookies: Option<Vec<String>>,
    pub(super) per_request: FieldSet,
    pub(super) honor_request_directives: bool,
    pub(super) hooks: Hooks,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("methods", &self.methods)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl Rules {
    /// The rules of a policy under a handle whose own TTL is `default_ttl`.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Field`] for the first value that can't be used.
    pub(crate) fn new(
        config: &PolicyConfig,
        hooks: &Hooks,
        default_ttl: Duration,
    ) -> Result<Self, PolicyError> {
        let key_headers = header_names("key_headers", &config.key_headers)?;
        check_key_parts(config)?;
        check_label(config.label.as_deref())?;
        if hooks.partition_by.is_some() && config.strip_credentials {
            return Err(error(
                "strip_credentials",
                "can't be used together with `partition_by`, which needs the credentials",
            ));
        }
        let targets = header_names("targeted_fields", &config.targeted_fields)?;
        Ok(Self {
            max_body: positive("max_body", config.max_body)?,
            key_body: config.key_body.map(|bytes| positive("key_body", bytes)).transpose()?,
            etag: config.etag(),
            stale: StaleRules::new(config)?,
            lease: config.lease.map(lease).transpose()?,
            tag_fields: TagFields::parse(&config.tag_fields)?,
            strict: config.strict,
            min_uses: config.min_uses.map(min_uses).transpose()?,
            http: HttpRules::of(config, &targets)?,
            targets,
            purges_unsafe: config.preset == Preset::Http || config.purge_on_unsafe,
            methods: methods(config)?,
            ttl: lifetime("ttl", config.ttl.unwrap_or(default_ttl))?,
            override_ttl: config.override_ttl,
            negative_ttl: negative_ttl(&config.negative_ttl)?,
            keys_origin: key_headers.contains(&ORIGIN),
            credentials: FieldSet::parse("credential_fields", &config.credential_fields())?,
            strip_credentials: config.strip_credentials,
            session_cookies: config.session_cookies.as_deref().map(cookie_names).transpose()?,
            per_request: FieldSet::parse("per_request_fields", &config.per_request_fields())?,
            honor_request_directives: config.honor_request_directives,
            hooks: hooks.clone(),
        })
    }
}

impl Rules {
    /// # Errors
    ///
    /// [`PolicyError::Field`] where entries would live longer than purges are remembered.
    pub(crate) fn check_remembered(&self, retention: Duration) -> Result<(), PolicyError> {
        let longest = millis(retention);
        if let Some(http) = &self.http {
            // What responses say of their lives is cut at the retention; that would cut the stale ones' whole life.
            return match http.keep_stale > longest {
                true => Err(error("keep_stale", "is over the handle's `redis.journal_retention`")),
                false => Ok(()),
            };
        }
        let ttls = self.negative_ttl.values().map(|ttl| ("negative_ttl", *ttl));
        for (field, ttl) in std::iter::once(("ttl", self.ttl)).chain(ttls) {
            if ttl > longest {
                let problem = "is over the handle's `redis.journal_retention`: a purge would be forgotten before the entry";
                return Err(error(field, problem));
            }
        }
        let (field, window) = self.stale.longest_window();
        if self.ttl.saturating_add(window) > longest {
            let problem = "is, with `ttl`, over the handle's `redis.journal_retention`";
            return Err(error(field, problem));
        }
        Ok(())
    }
}

/// An error about a field.
pub(super) fn error(field: &'static str, problem: impl Into<String>) -> PolicyError {
    PolicyError::Field { field, problem: problem.into() }
}

/// The methods of a policy, each usable with it.
///
/// # Errors
///
/// [`PolicyError::Field`] naming `methods`.
pub(super) fn methods(config: &PolicyConfig) -> Result<Vec<Method>, PolicyError> {
    if config.methods.is_empty() {
        return Err(error("methods", "is empty; nothing would be cached"));
    }
    // RFC 9111 §4.4. A POST may well be a question.
    let changes = |name: &&String| {
        Method::from_bytes(name.as_bytes())
            .is_ok_and(|method| method != Method::POST && !invalidate::is_safe(&method))
    };
    if config.preset == Preset::Http
        && let Some(name) = config.methods.iter().find(changes)
    {
        return Err(error(
            "methods",
            format!("`{name}` changes what is stored; `preset` \"http\" lets it do so"),
        ));
    }
    config.methods.iter().map(|name| method(name, config.key_body.is_some())).collect()
}

fn method(name: &str, keys_body: bool) -> Result<Method, PolicyError> {
    let method = Method::from_bytes(name.as_bytes())
        .map_err(|_| error("methods", format!("`{name}` is not a method name")))?;
    if name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        // Names are case-sensitive (RFC 9110 §9.1), and no registered one has a small letter.
        return Err(error("methods", format!("`{name}` must be written in capitals")));
    }
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(error("methods", format!("`{name}` can't be cached")));
    }
    if !keys_body && method != Method::GET && method != Method::HEAD {
        return Err(error(
            "methods",
            format!("`{name}` needs `key_body`: the body tells such requests apart"),
        ));
    }
    Ok(method)
}

fn negative_ttl(config: &BTreeMap<u16, Duration>) -> Result<BTreeMap<StatusCode, Millis>, PolicyError> {
    const FIELD: &str = "negative_ttl";
    let entry = |(&code, &ttl): (&u16, &Duration)| {
        let status = StatusCode::from_u16(code)
            .ok()
            .filter(|status| status.as_u16() < 600)
            .ok_or_else(|| error(FIELD, format!("{code} is not a status code (100 to 599)")))?;
        match code {
            200 => Err(error(FIELD, "the lifetime of 200 is `ttl`")),
            100..200 | 206 | 304 => Err(error(FIELD, format!("{code} is never stored"))),
            _ if ttl.is_zero() => {
                Err(error(FIELD, format!("{code} has no TTL, `ttl` being that of 200 alone")))
            }
            _ => Ok((status, lifetime(FIELD, ttl)?)),
        }
    };
    config.iter().map(entry).collect()
}

/// What names parts of the key must not be empty.
fn check_key_parts(config: &PolicyConfig) -> Result<(), PolicyError> {
    let names = |field, list: &[String]| match list.iter().find(|name| name.is_empty() || *name == "*") {
        Some(name) => Err(error(field, format!("`{name}` is not the name of a query parameter"))),
        None => Ok(()),
    };
    names("allow_query", config.allow_query.as_deref().unwrap_or_default())?;
    names("deny_query", &config.deny_query)?;
    let text = |field, value: &Option<String>| match value.as_deref() {
        Some("") => Err(error(field, "is empty")),
        _ => Ok(()),
    };
    text("authority", &config.authority)?;
    text("route", &config.route)?;
    if config.canonical_json && config.key_body.is_none() {
        return Err(error("canonical_json", "needs `key_body`"));
    }
    Ok(())
}

/// Labels are shown in the stats as they are.
fn check_label(label: Option<&str>) -> Result<(), PolicyError> {
    match label {
        Some("") => Err(error("label", "is empty")),
        Some(label) if label.len() > MAX_LABEL => {
            Err(error("label", format!("is {} bytes long; the most is {MAX_LABEL}", label.len())))
        }
        Some(label) if !label.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
            Err(error("label", "has a character that isn't printable ASCII"))
        }
        _ => Ok(()),
    }
}

fn header_names(field: &'static str, names: &[String]) -> Result<Vec<HeaderName>, PolicyError> {
    names.iter().map(|name| header_name(field, name)).collect()
}

/// The field name that `name` spells.
pub(super) fn header_name(field: &'static str, name: &str) -> Result<HeaderName, PolicyError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| error(field, format!("`{name}` is not a field name")))
}

fn cookie_names(names: &[String]) -> Result<Vec<String>, PolicyError> {
    match names.iter().find(|name| !super::cookies::is_name(name.as_bytes())) {
        Some(name) => Err(error("session_cookies", format!("`{name}` is not a cookie name"))),
        None => Ok(names.to_vec()),
    }
}

fn positive(field: &'static str, bytes: usize) -> Result<usize, PolicyError> {
    if bytes == 0 { Err(error(field, "must be more than 0 bytes")) } else { Ok(bytes) }
}

pub(super) fn lifetime(field: &'static str, ttl: Duration) -> Result<Millis, PolicyError> {
    match millis(ttl) {
        0 => Err(error(field, format!("{ttl:?} is too short; the least is a millisecond"))),
        ttl if ttl > MAX_LIFETIME => Err(error(field, "is over ten years")),
        ttl => Ok(ttl),
    }
}

fn min_uses(uses: u32) -> Result<u8, PolicyError> {
    match u8::try_from(uses) {
        Ok(uses) if uses >= 2 => Ok(uses),
        _ => Err(error("min_uses", format!("{uses} isn't 2 to 255"))),
    }
}

fn lease(time: Duration) -> Result<Duration, PolicyError> {
    const FIELD: &str = "lease";
    if time < Duration::from_millis(1) {
        return Err(error(FIELD, format!("{time:?} is too short; the least is a millisecond")));
    }
    if time > MAX_LEASE {
        return Err(error(FIELD, format!("{time:?} is over an hour")));
    }
    Ok(time)
}

#[cfg(test)]
mod tests;
