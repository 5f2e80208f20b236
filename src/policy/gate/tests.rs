use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::policy::Policy;
use crate::policy::testing::{any_headers, request, rules};

fn preset() -> Policy {
    Policy::ttl(Duration::from_secs(60))
}

#[test]
fn each_kind_of_request_that_bypasses_has_its_name() {
    let preset_rules = rules(&preset());
    let honoring = rules(&preset().honor_request_directives());
    let plain = Ok(());
    for (method, lines, expected, honored) in [
        ("GET", &[][..], plain, plain),
        ("HEAD", &[], plain, plain),
        ("POST", &[], Err(Bypass::Method), Err(Bypass::Method)),
        ("get", &[], Err(Bypass::Method), Err(Bypass::Method)),
        ("CONNECT", &[], Err(Bypass::Upgrade), Err(Bypass::Upgrade)),
        ("GET", &[("upgrade", "websocket")], Err(Bypass::Upgrade), Err(Bypass::Upgrade)),
        ("GET", &[("range", "bytes=0-1")], Err(Bypass::Range), Err(Bypass::Range)),
        ("GET", &[("if-range", "\"x\"")], plain, plain),
        ("GET", &[("content-type", "Application/GRPC-web+proto")], Err(Bypass::Grpc), Err(Bypass::Grpc)),
        ("GET", &[("content-type", "application/json")], plain, plain),
        ("GET", &[("connection", "keep-alive, TE, x-absent"), ("te", "trailers")], plain, plain),
        ("GET", &[("connection", "Close"), ("connection", " a b ,,")], plain, plain),
        ("GET", &[("connection", "Cache-Control"), ("cache-control", "max-age=1")], plain, plain),
        ("GET", &[("connection", "If-None-Match")], Err(Bypass::Connection), Err(Bypass::Connection)),
        ("GET", &[("connection", "host"), ("host", "a")], Err(Bypass::Connection), Err(Bypass::Connection)),
        (
            "GET",
            &[("connection", "close"), ("connection", "te ,Accept"), ("accept", "x")],
            Err(Bypass::Connection),
            Err(Bypass::Connection),
        ),
        ("GET", &[("cache-control", "No-Store")], plain, Err(Bypass::RequestDirective)),
        (
            "GET",
            &[("cache-control", "x"), ("cache-control", "no-cache")],
            plain,
            Err(Bypass::RequestDirective),
        ),
        ("GET", &[("cache-control", "max-age=0")], plain, Err(Bypass::RequestDirective)),
        ("GET", &[("cache-control", "max-age=1")], plain, plain),
        ("GET", &[("pragma", "no-cache")], plain, Err(Bypass::RequestDirective)),
        ("GET", &[("pragma", "no-cache"), ("cache-control", "max-age=1")], plain, plain),
    ] {
        let parts = request(method, lines);
        assert_eq!(preset_rules.gate(&parts), expected, "{method} {lines:?}");
        assert_eq!(honoring.gate(&parts), honored, "honoring {method} {lines:?}");
    }
}

/// What `principal` says of one request under four policies.
#[test]
fn credentials_bypass_unless_a_rule_covers_them() {
    let shared = rules(&preset());
    let sid = rules(&preset().session_cookies(["sid"]));
    let stripped = rules(&preset().strip_credentials());
    let credentials = Err(Bypass::Credentials);
    let cookie = Err(Bypass::Cookie);
    for (lines, shared_says, sid_says) in [
        (&[][..], Ok(None), Ok(None)),
        (&[("accept", "*/*")], Ok(None), Ok(None)),
        (&[("authorization", "Bearer x")], credentials.clone(), credentials.clone()),
        (&[("proxy-authorization", "x")], credentials.clone(), credentials.clone()),
        (&[("x-api-key", "x")], credentials.clone(), credentials.clone()),
        (&[("X-Auth-Token", "")], credentials.clone(), credentials.clone()),
        (&[("x-forwarded-user", "x")], credentials.clone(), credentials.clone()),
        (&[("x-amzn-oidc-identity", "x")], credentials.clone(), credentials.clone()),
        (&[("cf-access-jwt-assertion", "x")], credentials.clone(), credentials.clone()),
        (&[("x-amzn-trace-id", "x")], Ok(None), Ok(None)),
        (&[("cookie", "_ga=1")], cookie.clone(), Ok(None)),
        (&[("cookie", "_ga=1; sid=2")], cookie.clone(), cookie.clone()),
        (&[("cookie", "_ga=1"), ("cookie", "sid=2")], cookie.clone(), cookie.clone()),
        (&[("cookie", "_ga=1;sid =2")], cookie.clone(), cookie.clone()),
        (&[("cookie", "_ga=1;\tsid=")], cookie.clone(), cookie.clone()),
        (&[("cookie", "SID=1; xsid=2; sid2=3")], cookie.clone(), Ok(None)),
        (&[("cookie", "a=1;; b=2; ")], cookie.clone(), Ok(None)),
        (&[("cookie", "a=\"x; sid=1\"")], cookie.clone(), cookie.clone()),
        (&[("cookie", "nameless")], cookie.clone(), cookie.clone()),
        (&[("cookie", "=value")], cookie.clone(), cookie.clone()),
        (&[("cookie", "a b=1")], cookie.clone(), cookie.clone()),
        (&[("cookie", "é=1")], cookie.clone(), cookie.clone()),
    ] {
        let parts = request("GET", lines);
        assert_eq!(shared.principal(&parts), shared_says, "{lines:?}");
        assert_eq!(sid.principal(&parts), sid_says, "session_cookies {lines:?}");
        assert_eq!(stripped.principal(&parts), Ok(None), "strip_credentials {lines:?}");
    }
}

#[test]
fn a_partition_is_named_by_the_request_or_bypasses() {
    let policy = preset().partition_by(|parts| Some(parts.headers.get("authorization")?.as_bytes().into()));
    let rules = rules(&policy);
    let alice = request("GET", &[("authorization", "alice"), ("cookie", "sid=1")]);
    assert_eq!(rules.principal(&alice), Ok(Some(b"alice".as_slice().into())));
    assert_eq!(rules.principal(&request("GET", &[])), Err(Bypass::NoPrincipal));
}

#[test]
fn an_own_list_takes_the_place_of_the_default_one() {
    let rules = rules(&preset().credential_fields(["x-ticket*"]));
    assert_eq!(rules.principal(&request("GET", &[("x-tickets", "1")])), Err(Bypass::Credentials));
    assert_eq!(rules.principal(&request("GET", &[("x-api-key", "1")])), Ok(None));
}

#[test]
fn the_handler_sees_nothing_that_would_make_the_answer_personal() {
    let lines = &[
        ("authorization", "a"),
        ("x-amzn-oidc-data", "o"),
        ("cookie", "_ga=1; sid=2"),
        ("cookie", "b; c=3"),
    ];
    let names = |policy: &Policy| {
        let mut headers = request("GET", lines).headers;
        headers.insert("accept", "x".parse().unwrap());
        rules(policy).disguise(&mut headers);
        let cookies = headers.get_all(COOKIE).iter().map(|value| value.to_str().unwrap().to_owned());
        (headers.keys().any(|name| *name != COOKIE && *name != "accept"), cookies.collect::<Vec<_>>())
    };
    let kept = |cookies: &[&str]| cookies.iter().map(|cookie| (*cookie).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&preset()), (true, kept(&["_ga=1; sid=2", "b; c=3"])));
    assert_eq!(names(&preset().strip_credentials()), (false, kept(&[])));
    assert_eq!(names(&preset().session_cookies(["sid"])), (true, kept(&["sid=2; b"])));
    assert_eq!(names(&preset().strip_credentials().session_cookies(["sid"])), (false, kept(&[])));
}

#[test]
fn harmless_cookies_leave_no_field_behind() {
    let mut headers = request("GET", &[("cookie", "_ga=1; _gid=2")]).headers;
    rules(&preset().session_cookies(["sid"])).disguise(&mut headers);
    assert!(headers.is_empty(), "{headers:?}");
}

#[test]
fn cache_if_sees_the_head_and_the_body() {
    let rules = rules(&preset().cache_if(|parts, body| parts.uri.path() == "/x" && body != b"mutation"));
    let parts = request("GET", &[]);
    assert_eq!(rules.admits_body(&parts, b"query"), Ok(()));
    assert_eq!(rules.admits_body(&parts, b"mutation"), Err(Bypass::CacheIf));
}

proptest! {
    #[test]
    fn no_shared_answer_is_made_from_a_credential(fields in any_headers(), session in any::<bool>()) {
        let policy = if session { preset().session_cookies(["sid"]) } else { preset() };
        let rules = rules(&policy);
        let mut parts = request("GET", &[]);
        parts.headers = fields;
        let _ = rules.gate(&parts);
        if rules.principal(&parts) == Ok(None) {
            rules.disguise(&mut parts.headers);
            prop_assert!(!parts.headers.contains_key("authorization"));
            prop_assert!(!parts.headers.contains_key("cookie"));
            prop_assert!(!parts.headers.contains_key("x-amzn-oidc-data"));
        }
    }
}
