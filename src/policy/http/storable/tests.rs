use std::time::Duration;

use http::HeaderValue;
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::policy::testing::{any_headers, headers, response, rules};
use crate::policy::{BodyKey, Policy};

/// 2001-09-09T01:46:40Z
const NOW: Millis = 1_000_000_000_000;

const DATE: (&str, &str) = ("date", "Sun, 09 Sep 2001 01:46:40 GMT");
const ETAG_A: (&str, &str) = ("etag", "\"a\"");
/// A day before.
const MODIFIED: (&str, &str) = ("last-modified", "Sat, 08 Sep 2001 01:46:40 GMT");
/// A tenth of a day.
const HEURISTIC: Result<u64, Refusal> = Ok(8_640);

fn judge_by(
    policy: &Policy<BodyKey>,
    method: &str,
    request: &[(&str, &str)],
    response: &response::Parts,
) -> Result<Verdict, Refusal> {
    let rules = rules(policy);
    let exchange = Exchange {
        method: &method.parse().unwrap(),
        request: &headers(request),
        response,
        asked: NOW,
        received: NOW,
    };
    rules.http.as_ref().unwrap().judge(&rules.stale, &exchange)
}

/// The lifetime in seconds, or the reason.
fn judge(
    method: &str,
    request: &[(&str, &str)],
    status: u16,
    fields: &[(&str, &str)],
) -> Result<u64, Refusal> {
    judge_by(&Policy::http(), method, request, &response(status, fields))
        .map(|verdict| verdict.lifetime / 1000)
}

/// RFC 9111 §3, the first two points.
#[test]
fn the_method_is_one_that_is_understood() {
    let explicit = [("cache-control", "max-age=60")];
    for (method, fields, expected) in [
        ("GET", &explicit[..], Ok(60)),
        ("QUERY", &explicit, Ok(60)),
        ("QUERY", &[DATE, MODIFIED], HEURISTIC),
        ("HEAD", &explicit, Err(Refusal::Head)),
        ("PUT", &explicit, Err(Refusal::Method)),
        ("OPTIONS", &explicit, Err(Refusal::Method)),
        ("get", &explicit, Err(Refusal::Method)),
        ("FOO", &explicit, Err(Refusal::Method)),
        // RFC 9110 §9.3.3: a POST's response only with explicit freshness.
        ("POST", &explicit, Ok(60)),
        ("POST", &[DATE, ("expires", "Sun, 09 Sep 2001 01:47:40 GMT")], Ok(60)),
        ("POST", &[DATE, MODIFIED], Err(Refusal::ZeroLifetime)),
        ("POST", &[DATE, MODIFIED, ETAG_A, ("cache-control", "public")], Err(Refusal::ZeroLifetime)),
    ] {
        assert_eq!(judge(method, &[], 200, fields), expected, "{method} {fields:?}");
    }
}

/// RFC 9111 §3 (final statuses, 206 and 304), §4.2.2 with RFC 9110 §15.1, and RFC 6585.
#[test]
fn any_final_status_is_stored_with_a_lifetime_and_some_without() {
    for status in 100..=999 {
        let explicit = judge("GET", &[], status, &[("cache-control", "max-age=60")]);
        let heuristic = judge("GET", &[], status, &[DATE, MODIFIED]);
        let public = judge("GET", &[], status, &[DATE, MODIFIED, ("cache-control", "public")]);
        let never = status < 200 || matches!(status, 206 | 304 | 428 | 429 | 431 | 511);
        let by_itself = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501].contains(&status);
        let refused = Err(match status {
            206 | 304 => Refusal::RequestConditions,
            _ => Refusal::Status,
        });
        let without = match status {
            500..600 if !never => Err(Refusal::ServerError),
            _ => refused,
        };
        assert_eq!(explicit, if never { refused } else { Ok(60) }, "{status}");
        assert_eq!(public, if never { refused } else { HEURISTIC }, "{status}");
        assert_eq!(heuristic, if by_itself { HEURISTIC } else { without }, "{status}");
    }
}

/// RFC 9111 §4.3.3: what answers the preconditions of one request is for nobody else.
#[test]
fn a_failed_precondition_is_never_stored() {
    let fields = [("cache-control", "max-age=60")];
    assert_eq!(judge("GET", &[], 412, &fields), Ok(60));
    for field in ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"] {
        assert_eq!(judge("GET", &[(field, "x")], 412, &fields), Err(Refusal::RequestConditions), "{field}");
        assert_eq!(judge("GET", &[(field, "x")], 304, &fields), Err(Refusal::RequestConditions), "{field}");
        assert_eq!(judge("GET", &[(field, "x")], 200, &fields), Ok(60), "{field}");
    }
    // A range that nobody else asked for.
    assert_eq!(judge("GET", &[("range", "bytes=9-")], 416, &fields), Err(Refusal::RequestConditions));
    assert_eq!(judge("GET", &[], 416, &fields), Ok(60));
}

/// RFC 9111 §3.3, RFC 9110 §14.4: a part is stored only if it was asked for and its place is known.
#[test]
fn a_part_is_stored_where_its_place_is_known() {
    let part = |request: &[(&str, &str)], ranges: &[&str]| {
        let mut fields = vec![("cache-control", "max-age=60")];
        fields.extend(ranges.iter().map(|range| ("content-range", *range)));
        judge("GET", request, 206, &fields)
    };
    let range = [("range", "bytes=0-4")];
    for stored in ["bytes 0-4/10", "Bytes 0-4/*", "bytes 5-5/6"] {
        assert_eq!(part(&range, &[stored]), Ok(60), "{stored}");
        assert_eq!(part(&[], &[stored]), Err(Refusal::RequestConditions), "{stored}");
    }
    for refused in [
        &[][..],
        &["bytes 0-4/10", "bytes 0-4/10"],
        &[""],
        &["bytes"],
        &["bytes */10"],
        &["bytes 4-0/10"],
        &["bytes 0-4/4"],
        &["bytes 0-4"],
        &["bytes 0-4/"],
        &["bytes -4/10"],
        &["bytes 0-/10"],
        &["bytes 0-4/+9"],
        &["bytes=0-4/10"],
        &["lines 0-4/10"],
        &["bytes 0-4/10, 5-6/10"],
    ] {
        assert_eq!(part(&range, refused), Err(Refusal::RequestConditions), "{refused:?}");
    }
}

#[test]
fn directives_forbid_and_allow() {
    let plain = &[][..];
    let secret = &[("authorization", "Basic x")][..];
    for (request, directives, expected) in [
        // §5.2.2.5
        (plain, "no-store, max-age=60", Err(Refusal::NoStore)),
        (plain, "NO-STORE=\"x\", max-age=60", Err(Refusal::NoStore)),
        (plain, "x=\"no-store\", max-age=60", Ok(60)),
        // §5.2.1.5
        (&[("cache-control", "No-Store")], "max-age=60", Err(Refusal::RequestNoStore)),
        (&[("cache-control", "no-cache, max-age=0, min-fresh=99")], "max-age=60", Ok(60)),
        (&[("pragma", "no-cache")], "max-age=60", Ok(60)),
        // §5.2.2.3
        (plain, "must-understand, no-store, max-age=60", Ok(60)),
        (plain, "must-understand, max-age=60", Ok(60)),
        (plain, "must-understand, private, max-age=60", Err(Refusal::Private)),
        // §5.2.2.7
        (plain, "private, max-age=60", Err(Refusal::Private)),
        (plain, "private=\"x\", max-age=60", Ok(60)),
        (plain, "private=\"\", max-age=60", Err(Refusal::Private)),
        (plain, "public, private, max-age=60", Err(Refusal::Private)),
        // §3.5
        (secret, "max-age=60", Err(Refusal::Authorization)),
        (secret, "max-age=60, proxy-revalidate", Err(Refusal::Authorization)),
        (secret, "max-age=60, private=\"x\"", Err(Refusal::Authorization)),
        (secret, "max-age=60, public", Ok(60)),
        (secret, "max-age=60, must-revalidate", Ok(60)),
        (secret, "s-maxage=60", Ok(60)),
        (secret, "no-store, public", Err(Refusal::NoStore)),
        // §4.2.1: s-maxage goes before max-age, the first before others, and what can't be read is 0.
        (plain, "max-age=9, s-maxage=60", Ok(60)),
        (plain, "max-age=60, max-age=9", Ok(60)),
        (plain, "max-age=x", Err(Refusal::ZeroLifetime)),
        (plain, "s-maxage=-1, max-age=60", Err(Refusal::ZeroLifetime)),
        (plain, "max-age=99999999999999999999", Ok(MAX_SECONDS)),
        // §5.2.2.4: of no use without a validator.
        (plain, "no-cache, max-age=60", Err(Refusal::NoCache)),
        (plain, "no-cache=\"x\", max-age=60", Ok(60)),
    ] {
        let found = judge("GET", request, 200, &[("cache-control", directives)]);
        assert_eq!(found, expected, "{directives}");
    }
    // A status that nobody knows.
    for (status, expected) in
        [(299, Err(Refusal::MustUnderstand)), (599, Err(Refusal::MustUnderstand)), (404, Ok(60))]
    {
        let fields = [("cache-control", "must-understand, no-store, max-age=60")];
        assert_eq!(judge("GET", &[], status, &fields), expected, "{status}");
    }
}

/// Ten years: lifetimes are cut there, seconds.
const MAX_SECONDS: u64 = 10 * 365 * 24 * 3600;

/// RFC 9213 §2.2: the selected field alone decides; §3.5, must-revalidate and private too.
#[test]
fn a_targeted_field_stands_in_the_place_of_others() {
    let secret = &[("authorization", "Basic x")][..];
    let (expires, all) =
        (("expires", "Sun, 09 Sep 2001 01:47:40 GMT"), ("cache-control", "max-age=9, public"));
    for (request, targeted, expected) in [
        (&[][..], "max-age=60", Ok(60)),
        (&[], "max-age=60, private", Err(Refusal::Private)),
        (&[], "no-store", Err(Refusal::NoStore)),
        (&[], "max-age=\"60\"", Err(Refusal::ZeroLifetime)),
        (&[], "max-age=60.5", Err(Refusal::ZeroLifetime)),
        (&[], "x", Err(Refusal::ZeroLifetime)),
        (&[], "", Ok(9)),
        (&[], "max-age=60,", Ok(9)),
        (secret, "max-age=60", Err(Refusal::Authorization)),
        (secret, "max-age=60, must-revalidate", Ok(60)),
        (secret, "max-age=60,", Ok(9)),
    ] {
        let fields = [DATE, all, expires, ("cdn-cache-control", targeted)];
        assert_eq!(judge("GET", request, 200, &fields), expected, "{targeted}");
    }
    let verdict = judge_by(
        &Policy::http().targeted_fields(["Mine-Cache-Control", "CDN-Cache-Control"]),
        "GET",
        &[],
        &response(200, &[("cdn-cache-control", "max-age=1"), ("mine-cache-control", "max-age=2")]),
    );
    assert_eq!(verdict.unwrap().lifetime, 2_000);
}

/// What is stale at once is stored only if it can be validated, or may be used all the same.
#[test]
fn what_is_of_no_use_is_not_stored() {
    let zero = Err(Refusal::ZeroLifetime);
    for (fields, expected) in [
        (&[][..], zero),
        (&[ETAG_A][..], Ok(0)),
        (&[DATE, ETAG_A, ("cache-control", "no-cache, max-age=60")], Ok(0)),
        (&[DATE, MODIFIED, ("cache-control", "no-cache")], Ok(0)),
        (&[DATE, MODIFIED, ("cache-control", "max-age=0")], Ok(0)),
        (&[ETAG_A, ("cache-control", "max-age=5"), ("age", "5")], Ok(5)),
        (&[("cache-control", "max-age=5"), ("age", "5")], Ok(5)),
        (&[("cache-control", "max-age=0")], zero),
        (&[("cache-control", "max-age=0, stale-if-error=5")], Ok(0)),
        (&[("cache-control", "max-age=0, stale-if-error=5, must-revalidate")], zero),
        (&[("cache-control", "max-age=5"), ("age", "4")], Ok(5)),
        (&[("cache-control", "s-maxage=5"), ("age", "5")], zero),
        (&[("cache-control", "s-maxage=5"), ("age", "4")], Ok(5)),
        (&[("cache-control", "max-age=5, stale-while-revalidate=2"), ("age", "6")], Ok(5)),
        (&[("cache-control", "max-age=0, stale-while-revalidate=1"), ("age", "6")], Ok(0)),
        (&[("expires", "0")], zero),
        (&[("expires", "0"), ETAG_A], Ok(0)),
        (&[DATE, MODIFIED, ("expires", "0")], Ok(0)),
        (&[DATE, MODIFIED], HEURISTIC),
        (&[DATE, MODIFIED, ("cache-control", "no-transform")], HEURISTIC),
    ] {
        assert_eq!(judge("GET", &[], 200, fields), expected, "{fields:?}");
    }
}

/// RFC 9111 §7.3: Set-Cookie prevents nothing.
#[test]
fn cookies_are_refused_by_choice_alone() {
    let response = response(200, &[("set-cookie", "a=1"), ("cache-control", "max-age=60")]);
    assert!(judge_by(&Policy::http(), "GET", &[], &response).is_ok());
    assert_eq!(judge_by(&Policy::http().refuse_set_cookie(), "GET", &[], &response), Err(Refusal::SetCookie));
}

#[test]
fn a_handler_goes_before_fields_but_never_stores_the_unstorable() {
    let judge = |ttl: Option<u64>, directives: &str| {
        let mut response = response(299, &[("cache-control", directives), ("age", "7"), ETAG_A]);
        match ttl {
            Some(seconds) => response.extensions.insert(CacheTtl(Duration::from_secs(seconds))).is_some(),
            None => response.extensions.insert(NoStore).is_some(),
        };
        judge_by(&Policy::http(), "GET", &[], &response).map(|verdict| verdict.lifetime)
    };
    assert_eq!(judge(Some(5), "max-age=1"), Ok(12_000));
    assert_eq!(judge(Some(5), ""), Ok(12_000));
    assert_eq!(judge(Some(5), "no-cache"), Ok(0));
    assert_eq!(judge(Some(5), "private"), Err(Refusal::Private));
    assert_eq!(judge(Some(0), "max-age=60"), Err(Refusal::ZeroLifetime));
    assert_eq!(judge(None, "max-age=60"), Err(Refusal::HandlerNoStore));
}

/// RFC 9111 §4.2.4, RFC 5861: a directive forbids or sets it, else the policy does, and an error gives the entry as long as it
/// is kept.
#[test]
fn windows_are_what_a_directive_says_else_the_policy() {
    let http = Policy::http;
    let own = || http().stale_while_revalidate(Duration::from_secs(5)).stale_if_error(Duration::from_secs(7));
    let short = || own().keep_stale(Duration::from_secs(6));
    for (policy, status, directives, while_revalidate, if_error) in [
        (http(), 200, "max-age=9", 0, 3600),
        (http(), 200, "max-age=9, stale-while-revalidate=3", 3, 3600),
        (http(), 200, "max-age=9, stale-if-error=3", 0, 3),
        (http(), 200, "max-age=9, stale-if-error=0", 0, 0),
        (http(), 200, "max-age=9, stale-if-error=9000", 0, 9000),
        (http(), 503, "max-age=9, stale-while-revalidate=3", 3, 3600),
        (http(), 503, "max-age=9, stale-if-error=3", 0, 3),
        (http(), 200, "max-age=9, must-revalidate", 0, 0),
        (http(), 200, "max-age=9, proxy-revalidate, stale-if-error=9", 0, 0),
        (http(), 200, "s-maxage=9, stale-while-revalidate=9", 0, 0),
        (http(), 200, "max-age=9, no-cache", 0, 0),
        (http(), 200, "max-age=9, no-cache=\"x\"", 0, 3600),
        (own(), 200, "max-age=9", 5, 3600),
        (own(), 404, "max-age=9", 0, 3600),
        (own(), 200, "max-age=9, must-revalidate", 0, 0),
        (short(), 200, "max-age=9", 5, 7),
        (short(), 404, "max-age=9", 0, 6),
    ] {
        let keep = rules(&policy).http.unwrap().keep_stale;
        let response = response(status, &[("cache-control", directives), ETAG_A]);
        let windows = judge_by(&policy, "GET", &[], &response).unwrap().windows;
        let expected = Windows {
            while_revalidate: while_revalidate * 1000,
            if_error: if_error * 1000,
            revalidate: keep,
        };
        assert_eq!(windows, expected, "{directives}");
    }
}

/// What was stale by two hours when it came is kept as long as what becomes so here; explicit windows count from freshness.
#[test]
fn windows_count_from_the_arrival_of_what_came_late() {
    let http = Policy::http;
    let window = |policy: Policy<BodyKey>, directives: &str| {
        let response = response(200, &[("cache-control", directives), ("age", "7260"), ETAG_A]);
        let windows = judge_by(&policy, "GET", &[], &response).unwrap().windows;
        [windows.revalidate, windows.if_error, windows.while_revalidate].map(|window| window / 1000)
    };
    assert_eq!(window(http(), "max-age=60"), [3600 + 7200, 3600 + 7200, 0]);
    assert_eq!(window(http(), "no-cache"), [3600 + 7260, 0, 0]);
    assert_eq!(window(http(), "max-age=60, must-revalidate"), [3600 + 7200, 0, 0]);
    assert_eq!(window(http(), "max-age=60, stale-if-error=9, stale-while-revalidate=8"), [3600 + 7200, 9, 8]);
    assert_eq!(window(http().keep_stale(Duration::ZERO), "max-age=60"), [0, 0, 0]);
}

/// A function that looks at each byte more than a few times would take minutes.
#[test]
fn long_fields_cost_little() {
    let mut slowest = (Duration::ZERO, "", "");
    for unit in ["max-age=1,", "private=\"a,b\",", "\"", "=\"\\", ",", "a=\"", "x ", "no-cache=x;"] {
        let line = HeaderValue::try_from(unit.repeat((64 << 10) / unit.len())).unwrap();
        for field in
            ["cache-control", "cdn-cache-control", "age", "expires", "date", "connection", "content-range"]
        {
            let is_part = field == "content-range";
            let mut response = response(if is_part { 206 } else { 200 }, &[ETAG_A]);
            response.headers.insert(field, line.clone());
            let started = Instant::now();
            let found = judge_by(&Policy::http(), "GET", &[("range", "bytes=0-1")], &response);
            slowest = slowest.max((started.elapsed(), field, unit));
            match found {
                Err(refusal) if is_part => assert_eq!(refusal, Refusal::RequestConditions, "{unit}"),
                // All is read, so that the names of `private` are too many to be its own.
                Err(refusal) => {
                    assert!(refusal == Refusal::Private && unit.starts_with('p'), "{field} {unit}")
                }
                Ok(_) => assert!(!is_part, "{unit}"),
            }
            let stored = rules(&Policy::http()).stored_headers(&response.headers);
            assert_eq!(stored.contains_key(field), !matches!(field, "age" | "connection"), "{field} {unit}");
        }
    }
    println!("64 KiB in one line: judged in {slowest:?} at the most");
}

proptest! {
    /// Any fields give a verdict, and what must never be stored isn't.
    #[test]
    fn any_fields_give_a_verdict(
        request in any_headers(),
        fields in any_headers(),
        status in 100_u16..1000,
        (asked, received) in (any::<Millis>(), any::<Millis>()),
    ) {
        let mut response = response(status, &[]);
        response.headers = fields;
        let rules = rules(&Policy::http());
        let exchange = Exchange { method: &Method::GET, request: &request, response: &response, asked, received };
        let Ok(verdict) = rules.http.as_ref().unwrap().judge(&rules.stale, &exchange) else { return Ok(()) };
        let selected = Selected::of(&response.headers, &rules.targets).directives;
        prop_assert!(!selected.private && (!selected.no_store || selected.must_understand));
        prop_assert!(!selected.no_cache || verdict.lifetime == 0);
        prop_assert!(verdict.lifetime <= verdict.initial_age.saturating_add(MAX_SECONDS * 1000));
        prop_assert!(!selected.forbid_stale() || verdict.windows.if_error == 0);
        prop_assert!(status >= 200 && status != 304);
    }
}
