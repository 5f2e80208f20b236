//! The key's side of a policy, parsed once.

use std::borrow::Cow;

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Uri, header};

use super::digest::Digest;
use super::material::{Domain, Field, Material};
use super::query::QueryRules;
use crate::error::PolicyError;
use crate::policy::{Bypass, PolicyConfig, Preset};

/// Most bytes of a policy's key-relevant fields; far above any real policy.
const MAX_SCOPE: usize = 1 << 20;

/// Version of the framing and of what the parts mean.
const VERSION: &[u8] = &[1];

/// Whose entries these are: what keeps applications and deploys apart in one shared tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `CACHE_NAMESPACE`.
    pub(crate) namespace: String,
    /// `CACHE_APP`.
    pub(crate) app: String,
    /// `CACHE_GENERATION`.
    pub(crate) generation: String,
}

/// How a policy makes keys.
#[derive(Clone, Debug)]
pub(crate) struct KeyRules {
    /// Digest of all that is the same for each request of the policy, so that a request hashes 32 bytes of
    /// it.
    pub(super) scope: [u8; 32],
    /// The authority that the policy fixes; it is part of the scope.
    pub(super) fixed_authority: Option<HeaderValue>,
    /// The chosen headers, sorted, without repeats; their names are part of the scope.
    pub(super) headers: Vec<HeaderName>,
    /// Whether every key needs a principal.
    pub(super) partitioned: bool,
    /// Whether JSON bodies are keyed by their canonical form.
    pub(super) canonical_json: bool,
    /// Which query parameters count.
    pub(super) query: QueryRules,
}

impl KeyRules {
    /// Parses what `config` says about keys. `partitioned`: the policy has a `partition_by`.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Field`] names the first field that can't be used.
    pub(crate) fn new(
        config: &PolicyConfig,
        partitioned: bool,
        identity: &Identity,
    ) -> Result<Self, PolicyError> {
        let headers = header_names(&config.key_headers)?;
        let authority = config.authority.as_deref().map(authority).transpose()?;
        if config.route.as_deref().is_some_and(str::is_empty) {
            return Err(PolicyError::Field { field: "route", problem: "is empty".to_owned() });
        }
        let query = QueryRules::new(config)?;
        let fixed_authority = authority.as_deref().map(host).transpose()?;
        let scope = scope(config, partitioned, identity, &headers, authority.as_deref())?;
        Ok(Self {
            scope,
            fixed_authority,
            headers,
            partitioned,
            canonical_json: config.canonical_json,
            query,
        })
    }

    /// The query that stands for all queries with the same key.
    pub(crate) fn common_query<'a>(&self, uri: &'a Uri) -> Option<Cow<'a, [u8]>> {
        self.query.common(uri.query()?)
    }

    /// Takes from the request what isn't part of its key, else one request's parameter or `Host` shapes
    /// another's answer.
    pub(crate) fn disguise(&self, parts: &mut Parts) {
        if let Some(authority) = &self.fixed_authority
            && parts.headers.contains_key(header::HOST)
        {
            parts.headers.insert(header::HOST, authority.clone());
        }
        if let Some(uri) = self.query.filtered_uri(&parts.uri) {
            parts.uri = uri;
        }
        #[cfg(feature = "axum")]
        if let Some(axum::extract::OriginalUri(uri)) = parts.extensions.get_mut()
            && let Some(filtered) = self.query.filtered_uri(uri)
        {
            *uri = filtered;
        }
    }
}

/// The fingerprint of all that decides who may see an entry. What only decides how long it lives (times,
/// limits) isn't part of it, so that changing that keeps the cache. Lists whose order means nothing are
/// sorted.
fn scope(
    config: &PolicyConfig,
    partitioned: bool,
    identity: &Identity,
    headers: &[HeaderName],
    authority: Option<&str>,
) -> Result<[u8; 32], PolicyError> {
    let write = || {
        let mut material = Material::with_limit(Domain::Scope, Digest::new(), MAX_SCOPE);
        material.part(Field::Version, VERSION)?;
        material.part(Field::Namespace, identity.namespace.as_bytes())?;
        material.part(Field::App, identity.app.as_bytes())?;
        material.part(Field::Generation, identity.generation.as_bytes())?;
        material.optional(Field::FixedAuthority, authority.map(str::as_bytes))?;
        material.optional(Field::Route, config.route.as_deref().map(str::as_bytes))?;
        material.list(Field::KeyHeaders, || headers.iter().map(|name| name.as_str().as_bytes()))?;
        names(Field::CredentialFields, &lowercase(&config.credential_fields()), &mut material)?;
        if let Some(cookies) = &config.session_cookies {
            names(Field::SessionCookies, cookies, &mut material)?;
        }
        if let Some(parameters) = &config.allow_query {
            names(Field::AllowQuery, parameters, &mut material)?;
        }
        names(Field::DenyQuery, &config.deny_query, &mut material)?;
        let switches = [
            partitioned,
            config.strip_credentials,
            config.sort_query,
            config.canonical_json,
            config.key_body.is_some(),
            config.preset == Preset::Http,
            config.refuse_set_cookie,
        ];
        material.part(Field::Switches, &switches.map(u8::from))?;
        // Entries that were stored without a tag aren't for a policy that has it: its purge wouldn't reach them.
        if !config.tags.is_empty() {
            names(Field::Tags, &config.tags, &mut material)?;
        }
        if !config.tag_fields.is_empty() {
            names(Field::TagFields, &lowercase(&config.tag_fields), &mut material)?;
        }
        // What one field calls private, another may call public.
        let targeted = lowercase(&config.targeted_fields);
        material.list(Field::TargetedFields, || targeted.iter().map(String::as_bytes))?;
        // Entries that keep a field aren't for a policy that takes that field for one requester's own.
        names(Field::PerRequestFields, &lowercase(&config.per_request_fields()), &mut material)?;
        let mut digest = material.into_sink();
        Ok(digest.finish())
    };
    let digest = write().map_err(|reason: Bypass| PolicyError::Field {
        field: "key_headers",
        problem: format!("and the other lists of names are too long together ({reason})"),
    })?;
    Ok(*digest.as_bytes())
}

/// A list whose order and repeats mean nothing.
fn names(field: Field, names: &[String], to: &mut Material<Digest>) -> Result<(), Bypass> {
    let mut names: Vec<_> = names.iter().map(String::as_bytes).collect();
    names.sort_unstable();
    names.dedup();
    to.list(field, || names.iter().copied())
}

fn lowercase(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}

fn header_names(names: &[String]) -> Result<Vec<HeaderName>, PolicyError> {
    let mut parsed = names
        .iter()
        .map(|name| {
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| PolicyError::Field {
                field: "key_headers",
                problem: format!("{name:?} is not a field name"),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    parsed.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    parsed.dedup();
    Ok(parsed)
}

/// A fixed authority, with small letters.
fn authority(text: &str) -> Result<String, PolicyError> {
    let parsed =
        text.parse::<Authority>().map_err(|_| bad_authority("is not a host, optionally with a port"))?;
    // Not echoed: what stands before the `@` may be a password.
    if parsed.as_str().contains('@') {
        return Err(bad_authority("has user information in front of the host"));
    }
    Ok(text.to_ascii_lowercase())
}

/// The `Host` that handlers see under a fixed authority.
fn host(authority: &str) -> Result<HeaderValue, PolicyError> {
    HeaderValue::from_str(authority).map_err(|_| bad_authority("can't stand in a `Host` field"))
}

fn bad_authority(problem: &str) -> PolicyError {
    PolicyError::Field { field: "authority", problem: problem.to_owned() }
}
