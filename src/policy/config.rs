//! A policy as plain data.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::seconds;

/// How an absent `ETag` is made from the body ([RFC 9110 §8.8.3]).
///
/// [RFC 9110 §8.8.3]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Etag {
    /// A weak validator; right behind a compression layer too.
    #[default]
    Weak,
    /// A strong validator: only where nothing outside changes the bytes.
    Strong,
    /// None is made.
    Off,
}

/// Whose rules a policy begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Preset {
    /// Those of [`Policy::ttl`](crate::Policy::ttl).
    #[default]
    Ttl,
    /// Those of [`Policy::http`](crate::Policy::http), a shared cache of RFC 9111.
    Http,
}

/// What is cached, under which key, for how long: the data of a [`Policy`](crate::Policy).
///
/// Field names in lists are compared without case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PolicyConfig {
    /// Whose rules the policy begins with. Default: `ttl`.
    pub preset: Preset,
    /// Freshness lifetime of a response that names none, in seconds. Default: the handle's `CACHE_TTL`.
    #[serde(with = "seconds::option")]
    pub ttl: Option<Duration>,
    /// Lifetime wins over what the response says, save `no-store` and `private`. Default: false.
    pub override_ttl: bool,
    /// Lifetimes, in seconds, of statuses other than 200. Default: none.
    #[serde(with = "seconds::by_status")]
    pub negative_ttl: BTreeMap<u16, Duration>,
    /// Methods that are cached. Default: GET and HEAD.
    pub methods: Vec<String>,
    /// Largest response body that is stored, bytes. Default: 1 MiB.
    pub max_body: usize,
    /// Largest request body that is part of the key, bytes. Default: none, such requests bypass.
    pub key_body: Option<usize>,
    /// JSON bodies are keyed by their canonical form (RFC 8785). Default: false.
    pub canonical_json: bool,
    /// Request fields that are part of the key. Default: none.
    pub key_headers: Vec<String>,
    /// A fixed authority in place of the request's, in the key and as the handler's `Host`. Default: none.
    pub authority: Option<String>,
    /// A name that stands for the path prefix a router strips. Default: none.
    pub route: Option<String>,
    /// Name of the policy's row in the stats, 1 to 64 printable ASCII characters. Not part of the key.
    /// Default: `route`, else the pattern of the table, else `default`.
    pub label: Option<String>,
    /// Query parameters are keyed in the order of their names. Default: false.
    pub sort_query: bool,
    /// The only query parameters that are kept. Default: all.
    pub allow_query: Option<Vec<String>>,
    /// Query parameters that are removed; a `*` at the end matches any rest. Default: none.
    pub deny_query: Vec<String>,
    /// Request fields that carry credentials; a `*` at the end matches any rest. Default: `Authorization`,
    /// `Proxy-Authorization`, `X-Api-Key`, `X-Auth-Token`, `X-Forwarded-User`, `X-Amzn-Oidc-*`,
    /// `Cf-Access-Jwt-Assertion`; none under `http`, where `Authorization` counts as RFC 9111 §3.5 says.
    pub credential_fields: Option<Vec<String>>,
    /// Credentials are removed from the request instead of bypassing; the handler doesn't see them. Default:
    /// false.
    pub strip_credentials: bool,
    /// Cookies that count as credentials; the others are hidden. Default: every cookie counts.
    pub session_cookies: Option<Vec<String>>,
    /// Response fields that belong to one request and are never stored; a `*` at the end matches any rest.
    /// Default: `X-Request-Id`, `X-Correlation-Id`, `Traceparent`, `Tracestate`, `Server-Timing`,
    /// `RateLimit*`, `X-RateLimit*`; none under `http`.
    pub per_request_fields: Option<Vec<String>>,
    /// Whether requests with `no-store`, `no-cache`, `max-age=0` or `Pragma: no-cache` bypass. Default:
    /// false. For `ttl` alone; `http` honours what requests ask for.
    pub honor_request_directives: bool,
    /// How an absent `ETag` is made. Default: weak; off under `http`.
    pub etag: Option<Etag>,
    /// How long after its lifetime an entry may answer while it is revalidated, in seconds. Default: none.
    #[serde(with = "seconds::option")]
    pub stale_while_revalidate: Option<Duration>,
    /// How long after its lifetime an entry may answer in place of an error, in seconds. Default: none.
    #[serde(with = "seconds::option")]
    pub stale_if_error: Option<Duration>,
    /// Under `http`, how long after its lifetime, or its arrival if that was later, an entry is kept, in seconds: to be
    /// validated, and to answer where the service can't and no directive forbids it. Default: 3600 under `http`, and not for
    /// `ttl`.
    #[serde(with = "seconds::option")]
    pub keep_stale: Option<Duration>,
    /// Targeted fields that stand in place of `Cache-Control` and `Expires`, the first valid one of the list (RFC 9213).
    /// Default: `CDN-Cache-Control`.
    pub targeted_fields: Vec<String>,
    /// Under `http`, responses that set a cookie aren't stored. Default: false; `ttl` never stores them.
    pub refuse_set_cookie: bool,
    /// How long the service isn't asked again after a failed fill while an entry may stand in, in seconds; 0: no time at
    /// all. Default: 1; 0 under `http`.
    #[serde(with = "seconds::option")]
    pub error_throttle: Option<Duration>,
    /// How long a request waits for the service if an entry may stand in for an error, in seconds. Default: to the end.
    #[serde(with = "seconds::option")]
    pub soft_timeout: Option<Duration>,
    /// How long a request waits for the service at all, in seconds. Default: none of its own.
    #[serde(with = "seconds::option")]
    pub hard_timeout: Option<Duration>,
    /// Share of the lifetime after which a hit starts a refresh, between 0 and 1. Default: none.
    pub refresh_ahead: Option<f64>,
    /// Share by which lifetimes are shortened at random, from 0 up to 1. Default: 0.
    pub jitter: f64,
    /// One fill per key over all processes that share the store, and how long, in seconds, a holder that died can
    /// cost the others; 0.001 to 3600. Default: none, each process fills for itself.
    #[serde(with = "seconds::option")]
    pub lease: Option<Duration>,
    /// Uses of a key from which on its responses are stored, 2 to 255. Default: none, the first is.
    pub min_uses: Option<u32>,
    /// Tags of all that is stored, at most 32 of up to 128 bytes each; `{name}` is a parameter of the route's pattern. Default:
    /// none.
    pub tags: Vec<String>,
    /// An unsafe method, such as PUT or one that isn't known, whose answer is no error purges what is stored for its URI (RFC
    /// 9111 §4.4). Default: false; `http` always does.
    pub purge_on_unsafe: bool,
    /// Response fields that bring further tags: `Cache-Tag`, `Surrogate-Key`, `Cache-Groups`. Default: none.
    pub tag_fields: Vec<String>,
    /// Every answer from the cache is one that the purge journal was asked about after the request began; where it can't be
    /// asked, the cache isn't used. Default: false.
    pub strict: bool,
}

/// What is left to the preset. RFC 9111 knows nothing of it, so `http` leaves it alone.
impl PolicyConfig {
    pub(crate) fn credential_fields(&self) -> Vec<String> {
        self.credential_fields.clone().unwrap_or_else(|| strings(self.of_ttl(CREDENTIAL_FIELDS)))
    }

    pub(crate) fn per_request_fields(&self) -> Vec<String> {
        self.per_request_fields.clone().unwrap_or_else(|| strings(self.of_ttl(PER_REQUEST_FIELDS)))
    }

    pub(crate) fn etag(&self) -> Etag {
        self.etag.unwrap_or(match self.preset {
            Preset::Ttl => Etag::Weak,
            Preset::Http => Etag::Off,
        })
    }

    pub(crate) fn error_throttle(&self) -> Duration {
        self.error_throttle.unwrap_or(match self.preset {
            Preset::Ttl => ERROR_THROTTLE,
            Preset::Http => Duration::ZERO,
        })
    }

    /// A list that is empty under `http`.
    fn of_ttl<'a>(&self, list: &'a [&'a str]) -> &'a [&'a str] {
        match self.preset {
            Preset::Ttl => list,
            Preset::Http => &[],
        }
    }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// How long the service is left alone after a failure, unless a policy says otherwise.
const ERROR_THROTTLE: Duration = Duration::from_secs(1);

/// Request fields that carry credentials, unless a policy says otherwise.
const CREDENTIAL_FIELDS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "x-auth-token",
    "x-forwarded-user",
    "x-amzn-oidc-*",
    "cf-access-jwt-assertion",
];

/// Response fields that describe one exchange, unless a policy says otherwise.
const PER_REQUEST_FIELDS: &[&str] = &[
    "x-request-id",
    "x-correlation-id",
    "traceparent",
    "tracestate",
    "server-timing",
    "ratelimit*",
    "x-ratelimit*",
];

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            preset: Preset::Ttl,
            ttl: None,
            override_ttl: false,
            negative_ttl: BTreeMap::new(),
            methods: strings(&["GET", "HEAD"]),
            max_body: 1 << 20,
            key_body: None,
            canonical_json: false,
            key_headers: Vec::new(),
            authority: None,
            route: None,
            label: None,
            sort_query: false,
            allow_query: None,
            deny_query: Vec::new(),
            credential_fields: None,
            strip_credentials: false,
            session_cookies: None,
            per_request_fields: None,
            honor_request_directives: false,
            etag: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            keep_stale: None,
            targeted_fields: strings(&["cdn-cache-control"]),
            refuse_set_cookie: false,
            error_throttle: None,
            soft_timeout: None,
            hard_timeout: None,
            refresh_ahead: None,
            jitter: 0.0,
            lease: None,
            min_uses: None,
            purge_on_unsafe: false,
            tags: Vec::new(),
            tag_fields: Vec::new(),
            strict: false,
        }
    }
}
