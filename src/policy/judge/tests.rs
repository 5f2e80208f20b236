use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::policy::lifetime::MAX_LIFETIME;
use crate::policy::testing::{any_headers, headers, request, response, rules};
use crate::policy::{CacheTtl, Policy};

/// Sun, 06 Nov 1994 08:49:37 GMT.
const NOW: Millis = 784_111_777_000;

fn preset() -> Policy {
    Policy::ttl(Duration::from_secs(60))
}

fn judge(rules: &Rules, response: &response::Parts) -> Result<Verdict, Refusal> {
    rules.judge(&Method::GET, &request("GET", &[("origin", "https://a.example")]).headers, response, NOW)
}

fn fresh(lifetime: Millis, initial_age: Millis) -> Result<Verdict, Refusal> {
    let windows = Windows::default();
    Ok(Verdict { lifetime: lifetime * 1000, initial_age: initial_age * 1000, windows })
}

#[test]
fn each_refusal_has_its_name() {
    let plain = rules(&preset());
    let overriding = rules(&preset().override_ttl());
    let own = fresh(60, 0);
    let refused = |why| (Err(why), Err(why));
    let beaten = |why| (Err(why), own);
    for (status, lines, (expected, overridden)) in [
        (200, &[][..], (own, own)),
        (201, &[], refused(Refusal::Status)),
        (204, &[], refused(Refusal::Status)),
        (206, &[], refused(Refusal::Status)),
        (301, &[("cache-control", "max-age=9")], refused(Refusal::Status)),
        (304, &[], refused(Refusal::Status)),
        (404, &[("cache-control", "public, max-age=9")], refused(Refusal::Status)),
        (100, &[], refused(Refusal::Status)),
        (101, &[], refused(Refusal::Streaming)),
        (500, &[], refused(Refusal::ServerError)),
        (599, &[], refused(Refusal::ServerError)),
        (200, &[("upgrade", "h2c")], (own, own)),
        (200, &[("cache-control", "No-Store")], refused(Refusal::NoStore)),
        (200, &[("cache-control", "max-age=9"), ("cache-control", "Private")], refused(Refusal::Private)),
        (200, &[("cache-control", "private=\"x-user\"")], refused(Refusal::Private)),
        (200, &[("cache-control", "no-cache")], beaten(Refusal::NoCache)),
        (200, &[("cache-control", "no-cache=\"x-user\"")], beaten(Refusal::NoCache)),
        (200, &[("cache-control", "max-age=0")], beaten(Refusal::ZeroLifetime)),
        (200, &[("cache-control", "max-age=9"), ("age", "9")], (Err(Refusal::ZeroLifetime), fresh(69, 9))),
        (200, &[("set-cookie", "a=b")], refused(Refusal::SetCookie)),
        (200, &[("content-type", "Text/Event-Stream; charset=utf-8")], refused(Refusal::Streaming)),
        (200, &[("content-type", "multipart/x-mixed-replace;boundary=b")], refused(Refusal::Streaming)),
        (200, &[("content-type", "application/grpc+proto")], refused(Refusal::Streaming)),
        (200, &[("content-type", "multipart/mixed")], (own, own)),
        (200, &[("access-control-allow-origin", "https://a.example")], refused(Refusal::OriginEcho)),
        (200, &[("access-control-allow-origin", "https://A.example")], refused(Refusal::OriginEcho)),
        (
            200,
            &[("access-control-allow-origin", "https://a.example"), ("vary", "accept, Origin")],
            (own, own),
        ),
        (
            200,
            &[("access-control-allow-origin", "https://a.example"), ("vary", "x-origin")],
            refused(Refusal::OriginEcho),
        ),
        (200, &[("access-control-allow-origin", "*")], (own, own)),
        (200, &[("access-control-allow-origin", "https://b.example")], (own, own)),
        (200, &[("content-security-policy", "script-src 'Nonce-abc'")], refused(Refusal::CspNonce)),
        (
            200,
            &[("content-security-policy", "x"), ("content-security-policy", "'nonce-a'")],
            refused(Refusal::CspNonce),
        ),
        (
            200,
            &[("content-security-policy-report-only", "script-src 'nonce-abc'")],
            refused(Refusal::CspNonce),
        ),
        (200, &[("content-security-policy", "script-src 'self'")], (own, own)),
        (
            200,
            &[("cdn-cache-control", "no-store"), ("cache-control", "max-age=9")],
            refused(Refusal::NoStore),
        ),
        (200, &[("cdn-cache-control", "private")], refused(Refusal::Private)),
        (200, &[("cdn-cache-control", "no-cache")], beaten(Refusal::NoCache)),
    ] {
        let response = response(status, lines);
        assert_eq!(judge(&plain, &response), expected, "{status} {lines:?}");
        assert_eq!(judge(&overriding, &response), overridden, "override_ttl {status} {lines:?}");
    }
}

#[test]
fn a_head_response_has_nothing_to_store() {
    let verdict = rules(&preset()).judge(&Method::HEAD, &HeaderMap::new(), &response(200, &[]), NOW);
    assert_eq!(verdict, Err(Refusal::Head));
}

#[test]
fn an_echoed_origin_is_right_where_the_key_has_it() {
    let rules = rules(&preset().key_headers(["Origin"]));
    assert_eq!(
        judge(&rules, &response(200, &[("access-control-allow-origin", "https://a.example")])),
        fresh(60, 0)
    );
}

#[test]
fn the_first_lifetime_that_applies_counts() {
    let plain = rules(&preset());
    let day = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let later = ("expires", "Sun, 06 Nov 1994 08:50:07 GMT");
    let ten_years = MAX_LIFETIME / 1000;
    for (lines, expected) in [
        (&[][..], fresh(60, 0)),
        (&[("age", "7")], fresh(67, 7)),
        (&[("age", "7, 8"), ("age", "9")], fresh(67, 7)),
        (&[("age", "x")], fresh(60, 0)),
        (&[("age", "-7")], fresh(60, 0)),
        (&[("age", "")], fresh(60, 0)),
        (&[("cache-control", "public")], fresh(60, 0)),
        (&[("cache-control", "max-age=9"), ("age", "7")], fresh(9, 7)),
        (&[("cache-control", "max-age=9, s-maxage=5")], fresh(5, 0)),
        (&[("cache-control", "max-age=9, s-maxage=0")], Err(Refusal::ZeroLifetime)),
        (&[("cache-control", "max-age=9"), later], fresh(9, 0)),
        (&[("cdn-cache-control", "max-age=5"), ("cache-control", "s-maxage=9, private")], fresh(5, 0)),
        (&[("cdn-cache-control", "public"), later], fresh(60, 0)),
        (&[("cdn-cache-control", "max-age=5,"), ("cache-control", "max-age=9")], fresh(9, 0)),
        (&[later], fresh(30, 0)),
        (&[later, day, ("cache-control", "public")], fresh(30, 0)),
        (&[later, ("date", "Sun, 06 Nov 1994 08:50:00 GMT")], fresh(7, 0)),
        (&[later, ("date", "Sun, 06 Nov 1994 08:49:27 GMT")], fresh(40, 0)),
        (&[later, ("date", "junk")], fresh(30, 0)),
        (&[("expires", "0")], Err(Refusal::ZeroLifetime)),
        (&[("expires", "Sun, 06 Nov 1994 08:49:37 GMT")], Err(Refusal::ZeroLifetime)),
        (&[("expires", "Fri, 31 Dec 9999 23:59:59 GMT")], fresh(ten_years, 0)),
        (&[("cache-control", "max-age=2147483648")], fresh(ten_years, 0)),
        (&[("cache-control", "max-age=9999999999"), ("age", "9999999999")], Err(Refusal::ZeroLifetime)),
    ] {
        assert_eq!(judge(&plain, &response(200, lines)), expected, "{lines:?}");
    }
}

#[test]
fn the_handlers_word_goes_before_the_fields() {
    let extended = |ttl: Option<u64>, no_store: bool, lines| {
        let mut response = response(200, lines);
        response
            .extensions
            .extend(ttl.map(|ttl| CacheTtl(Duration::from_secs(ttl))).map(extensions).unwrap_or_default());
        if no_store {
            response.extensions.insert(NoStore);
        }
        response
    };
    let plain = rules(&preset());
    let overriding = rules(&preset().override_ttl());
    let fields = &[("cache-control", "s-maxage=9"), ("age", "2")][..];
    assert_eq!(judge(&plain, &extended(Some(5), false, fields)), fresh(7, 2));
    assert_eq!(judge(&plain, &extended(Some(0), false, fields)), Err(Refusal::ZeroLifetime));
    assert_eq!(judge(&plain, &extended(Some(u64::MAX), false, &[])), fresh(MAX_LIFETIME / 1000, 0));
    assert_eq!(judge(&plain, &extended(Some(5), true, fields)), Err(Refusal::HandlerNoStore));
    assert_eq!(
        judge(&plain, &extended(Some(5), false, &[("cache-control", "no-store")])),
        Err(Refusal::NoStore)
    );
    assert_eq!(
        judge(&plain, &extended(Some(5), false, &[("cache-control", "no-cache")])),
        Err(Refusal::NoCache)
    );
    assert_eq!(judge(&overriding, &extended(Some(5), false, fields)), fresh(62, 2));
    assert_eq!(judge(&overriding, &extended(None, true, fields)), Err(Refusal::HandlerNoStore));
}

fn extensions(ttl: CacheTtl) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    extensions.insert(ttl);
    extensions
}

#[test]
fn a_status_has_the_lifetime_given_to_it() {
    let policy = preset()
        .negative_ttl(StatusCode::NOT_FOUND, Duration::from_secs(5))
        .negative_ttl(StatusCode::BAD_GATEWAY, Duration::from_secs(1));
    let plain = rules(&policy);
    let overriding = rules(&policy.override_ttl());
    let long = &[("cache-control", "max-age=9")][..];
    assert_eq!(judge(&plain, &response(404, &[])), fresh(5, 0));
    assert_eq!(judge(&plain, &response(404, long)), fresh(9, 0));
    assert_eq!(judge(&overriding, &response(404, long)), fresh(5, 0));
    assert_eq!(judge(&plain, &response(404, &[("cache-control", "no-store")])), Err(Refusal::NoStore));
    assert_eq!(judge(&plain, &response(502, &[])), fresh(1, 0));
    assert_eq!(judge(&plain, &response(503, &[])), Err(Refusal::ServerError));
    assert_eq!(judge(&plain, &response(410, &[])), Err(Refusal::Status));
}

#[test]
fn a_policy_without_a_ttl_has_the_handles() {
    assert_eq!(judge(&rules(&Policy::default()), &response(200, &[])), fresh(3600, 0));
}

#[test]
fn store_if_sees_the_head_and_the_body() {
    let rules = rules(&preset().store_if(|parts, body| parts.status == 200 && body != b"{\"errors\":[]}"));
    assert_eq!(rules.keeps(&response(200, &[]), &[Bytes::from_static(b"{}")]), Ok(()));
    assert_eq!(
        rules.keeps(&response(200, &[]), &[Bytes::from_static(b"{\"errors\":[]}")]),
        Err(Refusal::StoreIf)
    );
}

proptest! {
    #[test]
    fn any_fields_give_a_verdict_in_bounds(
        request in any_headers(), fields in any_headers(), status in 100..=999_u16,
        now in any::<u64>(), ttl in prop::option::of(any::<u64>()), overriding in any::<bool>(),
    ) {
        let policy = preset().negative_ttl(StatusCode::NOT_FOUND, Duration::from_secs(5));
        let rules = rules(&if overriding { policy.override_ttl() } else { policy });
        let mut response = response(status, &[]);
        response.headers = fields;
        response.extensions.extend(ttl.map(|ttl| extensions(CacheTtl(Duration::from_millis(ttl)))).unwrap_or_default());
        if let Ok(Verdict { lifetime, initial_age, .. }) = rules.judge(&Method::GET, &request, &response, now) {
            prop_assert!(matches!(status, 200 | 404));
            prop_assert!(lifetime > initial_age && lifetime - initial_age <= MAX_LIFETIME);
            prop_assert!(!response.headers.contains_key(SET_COOKIE));
        }
    }

    #[test]
    fn a_well_formed_no_store_is_never_beaten(fields in any_headers(), overriding in any::<bool>()) {
        let rules = rules(&if overriding { preset().override_ttl() } else { preset() });
        let mut response = response(200, &[]);
        response.headers = fields;
        response.headers.remove("cdn-cache-control");
        response.headers.append("cache-control", "max-age=60, No-Store".parse().unwrap());
        prop_assert!(rules.judge(&Method::GET, &headers(&[]), &response, NOW).is_err());
    }
}
