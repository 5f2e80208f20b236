//! Who may purge.

use std::fmt;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

/// Says who asks, and whether they may purge.
///
/// It sees the request's head: fields, and what layers outside have put into the extensions. It is called once a request, before
/// any of the body is read, and mustn't block.
///
/// ```
/// use http::{HeaderValue, request::Parts};
/// use tower_query_cache::{Authorize, Denied};
///
/// /// What an authentication layer outside has found.
/// #[derive(Clone)]
/// struct User { name: String, is_admin: bool }
///
/// struct Admins;
///
/// impl Authorize for Admins {
///     fn authorize(&self, request: &Parts) -> Result<String, Denied> {
///         match request.extensions.get::<User>() {
///             Some(user) if user.is_admin => Ok(user.name.clone()),
///             Some(_) => Err(Denied::Forbidden),
///             None => Err(Denied::Unauthorized(HeaderValue::from_static("Bearer"))),
///         }
///     }
/// }
/// ```
pub trait Authorize: Send + Sync + 'static {
    /// The name by which the log knows who asks.
    ///
    /// # Errors
    ///
    /// Why they may not.
    fn authorize(&self, request: &Parts) -> Result<String, Denied>;
}

/// Why somebody may not purge.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// Nobody knows who asks: 401, with this challenge as `WWW-Authenticate` ([RFC 9110 §11.6.1]).
    ///
    /// [RFC 9110 §11.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
    Unauthorized(HeaderValue),
    /// Who asks is known, and may not: 403.
    Forbidden,
}

/// Lets those purge who have one token: `Authorization: Bearer <token>` ([RFC 6750 §2.1]).
///
/// The comparison takes the same time wherever a wrong token differs: it is that of two hashes. The token itself isn't kept.
///
/// ```
/// use tower_query_cache::{BearerToken, QueryCache};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let token = "0123456789abcdef0123456789abcdef";
/// let cache = QueryCache::builder().build()?;
/// let purge = cache.purge_handler(BearerToken::new(token)?);
/// let app: axum::Router = axum::Router::new().route_service("/v1/cache/purge", purge);
/// # Ok(()) }
/// ```
///
/// [RFC 6750 §2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
#[derive(Clone)]
pub struct BearerToken(blake3::Hash);

/// Why a text can't be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It has no characters: everybody would know it.
    #[error("the token is empty")]
    Empty,
    /// No `Authorization` field could hold it.
    #[error("the token has a character that isn't visible ASCII, such as a blank or a line's end")]
    Character,
}

/// A token shorter than this is warned about.
const SHORT: usize = 16;

impl BearerToken {
    /// Lets those purge who have `token`: visible ASCII without blanks, best 32 random characters or more. One under 16 is taken
    /// with a warning in the log.
    ///
    /// # Errors
    ///
    /// It is empty, or has other characters. It isn't part of the error.
    pub fn new(token: impl AsRef<str>) -> Result<Self, TokenError> {
        let token = token.as_ref();
        if token.is_empty() {
            return Err(TokenError::Empty);
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Character);
        }
        if token.len() < SHORT {
            tracing::warn!(
                "the token that purges are authorized by has under {SHORT} characters: it may be guessed"
            );
        }
        Ok(Self(blake3::hash(token.as_bytes())))
    }
}

impl Authorize for BearerToken {
    fn authorize(&self, request: &Parts) -> Result<String, Denied> {
        let challenge = |text| Err(Denied::Unauthorized(HeaderValue::from_static(text)));
        match presented(&request.headers) {
            // `blake3::Hash` compares in constant time.
            Some(token) if blake3::hash(token) == self.0 => Ok("bearer token".to_owned()),
            Some(_) => challenge(r#"Bearer error="invalid_token""#),
            None => challenge("Bearer"),
        }
    }
}

/// The token that a request has. Of several fields, none counts.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let (scheme, token) = field.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const TOKEN: &str = "a-Token/of~its+own==";

    fn authorize(fields: &[&str]) -> Result<String, Denied> {
        let mut request = Request::new(());
        for field in fields {
            request.headers_mut().append(AUTHORIZATION, HeaderValue::from_str(field).unwrap());
        }
        BearerToken::new(TOKEN).unwrap().authorize(&request.into_parts().0)
    }

    #[test]
    fn the_token_lets_in_and_nothing_else_does() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(authorize(&[&format!("{scheme} {TOKEN}")]).as_deref(), Ok("bearer token"));
        }
        let denied = |text| Err(Denied::Unauthorized(HeaderValue::from_static(text)));
        let right = format!("Bearer {TOKEN}");
        for fields in [
            &[][..],
            &[""],
            &["Bearer"],
            &[TOKEN],
            &["Basic YTpi"],
            &[&format!("Bearer{TOKEN}")],
            &[&right, &right],
        ] {
            assert_eq!(authorize(fields), denied("Bearer"), "{fields:?}");
        }
        for token in [
            "",
            " ",
            "a",
            "a-Token/of~its+own=",
            &format!("{TOKEN} "),
            &format!(" {TOKEN}"),
            &TOKEN.to_lowercase(),
        ] {
            let presented = format!("Bearer {token}");
            assert_eq!(authorize(&[&presented]), denied(r#"Bearer error="invalid_token""#), "{presented:?}");
        }
    }

    #[test]
    fn a_token_that_nobody_could_present_is_an_error() {
        assert_eq!(BearerToken::new("").unwrap_err(), TokenError::Empty);
        for odd in [" ", "a b", "token\n", "\u{e9}t\u{e9}", "a\0"] {
            let error = BearerToken::new(odd).unwrap_err();
            assert_eq!(error, TokenError::Character, "{odd:?}");
        }
        assert!(BearerToken::new("short").is_ok());
        assert_eq!(format!("{:?}", BearerToken::new(TOKEN)), "Ok(BearerToken { .. })");
    }
}
