//! Which responses a shared cache may store, and for how long ([RFC 9111 §3]).
//!
//! [RFC 9111 §3]: https://www.rfc-editor.org/rfc/rfc9111#section-3

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, ETAG, EXPIRES, HeaderMap, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE, SET_COOKIE,
};
use http::{Method, StatusCode, response};

use super::age::initial_age;
use super::freshness::{self, is_heuristic};
use super::{HttpRules, range};
use crate::clock::Millis;
use crate::entry::Windows;
use crate::policy::directives::Directives;
use crate::policy::fields::connection_listed;
use crate::policy::stale::StaleRules;
use crate::policy::targeted::Selected;
use crate::policy::{CacheTtl, NoStore, Refusal, Verdict};

/// A request and the final response to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange<'a> {
    /// The request's method.
    pub(crate) method: &'a Method,
    /// The request's fields, as they were sent.
    pub(crate) request: &'a HeaderMap,
    /// The response, as it was received.
    pub(crate) response: &'a response::Parts,
    /// When the request was sent.
    pub(crate) asked: Millis,
    /// When the response was received.
    pub(crate) received: Millis,
}

impl HttpRules {
    /// Whether the response may be stored, and how long it may be used. Pure: the exchange says what time it was.
    ///
    /// `Vary` is judged with the keys. What only the caller knows, it sees to itself: that the Content-Location of a POST's
    /// response is the target URI, and that a part (206) doesn't stand in a whole response's place.
    ///
    /// # Errors
    ///
    /// The reason not to store it.
    pub(crate) fn judge(&self, stale: &StaleRules, exchange: &Exchange<'_>) -> Result<Verdict, Refusal> {
        let Exchange { method, request, response, asked, received } = *exchange;
        let headers = &response.headers;
        let selected = Selected::of(headers, &self.targets);
        let directives = &selected.directives;
        admit_request(method, request)?;
        admit_status(method, request, response)?;
        admit_directives(request, response, directives)?;
        if self.refuse_set_cookie && headers.contains_key(SET_COOKIE) {
            return Err(Refusal::SetCookie);
        }
        let initial_age = initial_age(headers, asked, received);
        let explicit = freshness::explicit(response, &selected, initial_age, received);
        let lifetime = match explicit {
            Some(lifetime) => lifetime,
            // A POST's response has no heuristic lifetime (RFC 9110 §9.3.3).
            None if method == Method::POST => return Err(Refusal::ZeroLifetime),
            None if directives.public || is_heuristic(response.status) => {
                freshness::heuristic(headers, received)
            }
            None if response.status.is_server_error() => return Err(Refusal::ServerError),
            None => return Err(Refusal::Status),
        };
        let lifetime = if directives.no_cache { 0 } else { lifetime };
        let late = initial_age.saturating_sub(lifetime);
        let mut windows = self.windows(stale, response.status, directives, late);
        if self.lists_policy(headers) {
            windows.revalidate = 0;
        }
        let verdict = Verdict { lifetime, initial_age, windows };
        let is_said = directives.stale_while_revalidate.max(directives.stale_if_error) > Some(0);
        // Stale at once, it may still stand in where the origin can't be reached.
        let stands_in = (lifetime > 0 || is_said) && !directives.forbid_stale();
        let has_validator = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
        if lifetime > initial_age || stands_in || (has_validator && windows.revalidate > 0) {
            Ok(verdict)
        } else if directives.no_cache {
            Err(Refusal::NoCache)
        } else {
            Err(Refusal::ZeroLifetime)
        }
    }

    /// Whether `Connection` lists a field that says what becomes of the response. An entry doesn't have that field, so that nobody
    /// knows any more what an update that lacks it leaves in force ([RFC 9111 §3.2]): such a response is no base for any.
    ///
    /// [RFC 9111 §3.2]: https://www.rfc-editor.org/rfc/rfc9111#section-3.2
    pub(crate) fn lists_policy(&self, headers: &HeaderMap) -> bool {
        let rules =
            |name: &HeaderName| [CACHE_CONTROL, EXPIRES].contains(name) || self.targets.contains(name);
        headers.contains_key(CONNECTION) && connection_listed(headers).iter().any(rules)
    }

    /// What a response is good for after its lifetime: nothing but a validation where a directive forbids it ([RFC 9111
    /// §4.2.4]); else what it says itself, or else the policy. For whom the origin fails a stale response is better than none
    /// as long as it is kept, unless `stale-if-error` sets another time. Windows count from the end of freshness; what was stale
    /// by `late` when it came is kept as long from then.
    ///
    /// [RFC 9111 §4.2.4]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.4
    fn windows(
        &self,
        stale: &StaleRules,
        status: StatusCode,
        directives: &Directives,
        late: Millis,
    ) -> Windows {
        // Without any time to be kept it may be validated all the same while it is there.
        let revalidate = match self.keep_stale {
            0 => 1,
            time => time.saturating_add(late),
        };
        if directives.forbid_stale() {
            return Windows { revalidate, ..Windows::default() };
        }
        let said = stale.said(status, directives);
        let if_error = match directives.stale_if_error {
            Some(_) => said.if_error,
            None => said.if_error.max(revalidate),
        };
        Windows { if_error, revalidate, ..said }
    }
}

/// Whether the request is one whose response may be stored at all.
fn admit_request(method: &Method, request: &HeaderMap) -> Result<(), Refusal> {
    match *method {
        Method::GET | Method::QUERY | Method::POST => {}
        Method::HEAD => return Err(Refusal::Head),
        _ => return Err(Refusal::Method),
    }
    if Directives::of(request, &CACHE_CONTROL).no_store { Err(Refusal::RequestNoStore) } else { Ok(()) }
}

/// Whether the status is one that may be stored, given a lifetime.
///
/// A 304 and a 412 answer the preconditions of one request, a 416 its range. A 206 is a part that was asked for, and whose
/// place is known; how much of it came is for the caller. Those of [RFC 6585] must not be stored.
///
/// [RFC 6585]: https://www.rfc-editor.org/rfc/rfc6585
fn admit_status(method: &Method, request: &HeaderMap, response: &response::Parts) -> Result<(), Refusal> {
    const PRECONDITIONS: [HeaderName; 4] = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
    let asked = |fields: &[HeaderName]| fields.iter().any(|field| request.contains_key(field));
    let is_part = || range::received_part(&response.headers, 1).is_some();
    match response.status.as_u16() {
        100..200 | 428 | 429 | 431 | 511 => Err(Refusal::Status),
        206 if *method == Method::GET && asked(&[RANGE]) && is_part() => Ok(()),
        206 | 304 => Err(Refusal::RequestConditions),
        412 if asked(&PRECONDITIONS) => Err(Refusal::RequestConditions),
        416 if asked(&[RANGE]) => Err(Refusal::RequestConditions),
        _ => Ok(()),
    }
}

/// Whether no directive, and no credentials, forbid it.
fn admit_directives(
    request: &HeaderMap,
    response: &response::Parts,
    directives: &Directives,
) -> Result<(), Refusal> {
    if response.extensions.get::<NoStore>().is_some() {
        return Err(Refusal::HandlerNoStore);
    }
    // A handler that gives no time at all wants the same.
    if response.extensions.get() == Some(&CacheTtl(std::time::Duration::ZERO)) {
        return Err(Refusal::ZeroLifetime);
    }
    if directives.must_understand && !is_understood(response.status) {
        return Err(Refusal::MustUnderstand);
    }
    if directives.no_store && !directives.must_understand {
        return Err(Refusal::NoStore);
    }
    if directives.private {
        return Err(Refusal::Private);
    }
    let shared = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
    if request.contains_key(AUTHORIZATION) && !shared { Err(Refusal::Authorization) } else { Ok(()) }
}

/// Whether this cache does all that is specified about the caching of a status: those of [RFC 9110 §15].
///
/// [RFC 9110 §15]: https://www.rfc-editor.org/rfc/rfc9110#section-15
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

#[cfg(test)]
mod tests;
