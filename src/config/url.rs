//! What may be known, and what may be shown, of a Redis URL.

#[cfg(feature = "redis")]
use deadpool_redis::redis::{ConnectionInfo, IntoConnectionInfo as _, parse_redis_url};

/// The schemes that are accepted.
const SCHEMES: [&str; 8] = [
    "redis",
    "rediss",
    "redis+unix",
    "unix",
    "redis-cluster",
    "rediss-cluster",
    "redis-sentinel",
    "rediss-sentinel",
];

/// What [`check`] accepts.
pub(super) const ACCEPTED: &str = "redis://[user:password@]host[:port][/db], redis+unix:///path, unix:///path, \
     redis-cluster://[user:password@]host[:port][,host[:port]…], \
     redis-sentinel://[user:password@]host[:port][,host[:port]…]/master[/db], \
     and all but sockets with rediss for TLS (feature `tls`)";

/// Whether a scheme is one of Redis over TLS.
fn is_tls(scheme: &str) -> bool {
    scheme.starts_with("rediss") && SCHEMES.contains(&scheme)
}

/// Whether the URL asks for TLS.
pub(super) fn asks_for_tls(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| is_tls(scheme))
}

/// The URL in a form that is safe to show: without user, password, query and fragment.
///
/// Where it isn't clear which part is the password, as with an unescaped `/` in one, only the scheme is left.
pub(super) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| SCHEMES.contains(scheme)) else {
        return "…".to_owned();
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (shown, hidden) = rest.split_at(end);
    if hidden.contains('@') {
        return format!("{scheme}://…");
    }
    match shown.split_once('@') {
        None => format!("{scheme}://{shown}"),
        Some((credentials, place)) if !credentials.contains('/') && !place.contains('@') => {
            format!("{scheme}://…@{place}")
        }
        Some(_) => format!("{scheme}://…"),
    }
}

/// What is wrong with a Redis URL, if anything. Of the URL itself, only the scheme is told.
pub(super) fn check(url: &str) -> Result<(), String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("isn't a URL".to_owned());
    };
    if !SCHEMES.contains(&scheme) {
        let is_scheme = scheme.len() <= 16
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        return Err(if is_scheme {
            format!("the scheme `{scheme}` isn't one of Redis")
        } else {
            "isn't a URL".to_owned()
        });
    }
    if rest.is_empty() {
        return Err(format!("nothing follows `{scheme}://`"));
    }
    if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("white space in the `{scheme}` URL"));
    }
    if is_tls(scheme) && rest.contains('#') {
        return Err(format!(
            "a `#` in the `{scheme}` URL; there is no `#insecure`: certificates are always verified"
        ));
    }
    as_the_client_reads_it(url)
}

/// What the Redis client says of the URL.
#[cfg(feature = "redis")]
fn as_the_client_reads_it(url: &str) -> Result<(), String> {
    super::servers::parse(url).map(drop)
}

/// Without the client there is nothing more to ask: a configured Redis is an error of its own then.
#[cfg(not(feature = "redis"))]
fn as_the_client_reads_it(_url: &str) -> Result<(), String> {
    Ok(())
}

/// Where the server is and who we are, as the Redis client reads the URL. Its texts are fixed ones, up to the colon.
#[cfg(feature = "redis")]
pub(super) fn connection_info(url: &str) -> Result<ConnectionInfo, String> {
    let parsed = parse_redis_url(url).ok_or("doesn't parse as a URL")?;
    let info = parsed.into_connection_info().map_err(|error| {
        let text = error.to_string();
        let fixed = text.split([':']).next().unwrap_or_default();
        fixed.split("- ").next().unwrap_or_default().trim_end().to_owned()
    })?;
    if info.redis_settings().db() < 0 {
        return Err("the database number is negative".to_owned());
    }
    Ok(info)
}
