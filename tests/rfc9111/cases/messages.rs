//! What passes through on its way, and what a hit is made of: RFC 9110 §6 to §8, §15, RFC 9111 §3.1.

use crate::answer::{Answer, Framing, fresh, not_modified, ok, stale, status};
use crate::case::{Case, Check, case, get, head, method, post};

pub(crate) fn cases() -> Vec<Case> {
    [requests(), responses(), statuses(), interim(), sizes()].concat()
}

/// What reaches the origin.
fn requests() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, field, value) in [
        ("keep_alive", "Keep-Alive", "timeout=5"),
        ("proxy_connection", "Proxy-Connection", "keep-alive"),
        ("te", "TE", "gzip;q=0.5"),
    ] {
        cases.push(case(
            format!("http_7_6_1_{name}_of_a_request_stays_here"),
            [get().with(field, value).answer(fresh()).sees_no(field), get().hit()],
        ));
    }
    for (name, field, value) in [
        ("accept", "Accept", "text/html, */*;q=0.1"),
        ("accept_encoding", "Accept-Encoding", "gzip;q=1.0, br , *;q=0"),
        ("accept_language", "Accept-Language", "en-GB,  de ;q=0.5"),
        ("authorization", "Authorization", "Basic YTpi"),
        ("cookie", "Cookie", "a=1; b=2"),
        ("forwarded", "Forwarded", "for=192.0.2.1"),
        ("max_age", "Cache-Control", "max-age=0"),
        ("no_transform", "Cache-Control", "no-transform, odd=\"a, b\""),
        ("only_a_directive_of_its_own", "Cache-Control", "x"),
        ("origin", "Origin", "https://app.test"),
        ("pragma", "Pragma", "no-cache, odd"),
        ("user_agent", "User-Agent", "test/1 (a; b)"),
        ("x_forwarded_for", "X-Forwarded-For", "192.0.2.1"),
        ("an_empty_field", "X-Empty", ""),
        ("a_range", "Range", "bytes=0-1"),
        ("a_range_of_an_unknown_unit", "Range", "lines=0-1"),
        ("if_none_match", "If-None-Match", "W/\"a\" , \"b,c\""),
        ("if_modified_since", "If-Modified-Since", "{850:-1000}"),
        ("if_range", "If-Range", "\"a\""),
    ] {
        cases.push(case(
            format!("http_7_6_{name}_goes_on_as_it_is"),
            [get().with(field, value).answer(fresh()).sees(field, value)],
        ));
    }
    cases.extend([
        case(
            "http_7_8_an_upgrade_that_is_not_taken_is_no_obstacle",
            [get().with("Upgrade", "h2c").answer(fresh()).sees_no("Upgrade"), get().hit()],
        ),
        case("http_7_6_3_a_request_goes_on_with_via", [get().answer(fresh()).sees_part("Via", "1.1 ")]),
        case(
            "http_7_6_3_via_is_appended",
            [get()
                .with("Via", "1.0 before")
                .answer(fresh())
                .sees_at(0, Check::Has("Via", "1.0 before".into()))],
        ),
        case(
            "s5_2_all_lines_of_cache_control_go_on",
            [get()
                .cc("odd")
                .cc("max-age=100")
                .answer(fresh())
                .sees_at(0, Check::Lines("Cache-Control", vec!["odd".into(), "max-age=100".into()]))],
        ),
        case(
            "s4_3_1_a_validation_has_no_own_directives",
            [get().answer(stale("")), get().answer(fresh()).sees_no("Cache-Control").sees_no("Pragma")],
        ),
        case(
            "s3_1_a_listed_authorization_still_forbids_sharing",
            [
                get().with("Connection", "authorization").with("Authorization", "Basic YTpi").answer(fresh()),
                get().answer(fresh()),
            ],
        ),
        case(
            "s5_2_1_a_listed_no_cache_still_asks",
            [get().answer(fresh()), get().with("Connection", "cache-control").cc("no-cache").answer(fresh())],
        ),
        case(
            "http_9_3_1_a_get_with_content_keeps_it",
            [
                get().content("abc").answer(fresh()).sees("Content-Length", "3"),
                get().answer(fresh()).or_not().any_body().status(200),
            ],
        ),
    ]);
    cases
}

/// What comes back, now and from the cache.
fn responses() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, field, value) in [
        ("accept_ranges", "Accept-Ranges", "bytes"),
        ("access_control_allow_origin", "Access-Control-Allow-Origin", "*"),
        ("allow", "Allow", "GET, HEAD"),
        ("alt_svc", "Alt-Svc", "h3=\":443\"; ma=60"),
        ("content_disposition", "Content-Disposition", "attachment; filename=\"a,b\""),
        ("content_digest", "Content-Digest", "sha-256=:AAAA:"),
        ("content_encoding", "Content-Encoding", "x-odd"),
        ("content_md5", "Content-MD5", "Q2hlY2sgSW50ZWdyaXR5IQ=="),
        ("content_security_policy", "Content-Security-Policy", "default-src 'self'"),
        ("an_old_expires", "Expires", "{-60}"),
        ("an_odd_expires", "Expires", "0"),
        ("a_link", "Link", "</a>; rel=preload, </b>; rel=next"),
        ("pragma", "Pragma", "no-cache"),
        ("retry_after", "Retry-After", "60"),
        ("server", "Server", "test/1"),
        ("server_timing", "Server-Timing", "a;dur=1"),
        ("strict_transport_security", "Strict-Transport-Security", "max-age=60"),
        ("surrogate_control", "Surrogate-Control", "max-age=60, x"),
        ("via", "Via", "1.1 before"),
        ("warning", "Warning", "199 - \"odd\""),
        ("www_authenticate", "WWW-Authenticate", "Basic realm=\"a\""),
        ("a_weak_tag", "ETag", "W/\"a\""),
        ("a_tag_without_quotes", "ETag", "abc"),
        ("an_empty_tag", "ETag", "\"\""),
        ("an_odd_last_modified", "Last-Modified", "long ago"),
        ("a_vary_in_odd_case", "Vary", "FOO,bar"),
        ("an_unknown_field", "X-Odd", "a;b=\"c, d\", e"),
    ] {
        cases.push(case(
            format!("s3_1_{name}_is_passed_on_and_stored"),
            [
                get().answer(fresh().with(field, value)).has(field, value),
                get().hit().check(Check::Has(field, value.into())),
            ],
        ));
    }
    cases.extend([
        case(
            "s3_1_what_connection_lists_in_two_lines_is_dropped",
            [
                get()
                    .answer(
                        fresh()
                            .with("Connection", "x-one")
                            .with("Connection", "close, X-Two")
                            .with("X-One", "1")
                            .with("X-Two", "2")
                            .with("X-Three", "3"),
                    )
                    .absent("X-One")
                    .absent("X-Two"),
                get().hit().absent("X-One").absent("X-Two").is("X-Three", "3"),
            ],
        ),
        case(
            "s3_1_connection_close_of_the_origin_is_not_stored",
            [get().answer(fresh().with("Connection", "close")), get().hit().absent("Connection")],
        ),
        case("s3_1_te_is_not_stored", [get().answer(fresh().with("TE", "x")), get().hit().absent("TE")]),
        case(
            "s3_1_transfer_encoding_is_not_stored",
            [
                get().answer(fresh().framed(Framing::Chunked).body("0123456789")),
                get().hit().absent("Transfer-Encoding").is("Content-Length", "10"),
            ],
        ),
        case(
            "s3_1_octets_beyond_ascii_are_kept",
            [
                get().answer(fresh().with("X-Octets", "caf\u{e9} \u{fc}")),
                get().hit().check(Check::Has("X-Octets", "caf".into())).same("X-Octets"),
            ],
        ),
        case(
            "s3_1_a_content_range_of_a_200_means_nothing",
            [
                get().answer(fresh().with("Content-Range", "bytes 0-4/10").body("0123456789")).status(200),
                get().hit().status(200).body("0123456789"),
                get().range("bytes=8-9").hit().status(206).body("89").is("Content-Range", "bytes 8-9/10"),
            ],
        ),
    ]);
    cases
}

fn statuses() -> Vec<Case> {
    let mut cases = Vec::new();
    for code in [301, 302, 303, 307, 308] {
        cases.push(case(
            format!("http_15_4_a_stored_{code}_keeps_its_location"),
            [
                get().answer(status(code).cc("max-age=60").with("Location", "/elsewhere")),
                get().hit().status(code).is("Location", "/elsewhere"),
            ],
        ));
    }
    cases.extend([
        case(
            "http_15_3_5_a_stored_204_has_neither_body_nor_length",
            [
                get().answer(status(204).cc("max-age=60")).status(204),
                get().hit().status(204).body("").absent("Content-Length").absent("Transfer-Encoding"),
                head().hit().status(204).absent("Content-Length"),
            ],
        ),
        case(
            "http_8_6_a_304_has_the_length_of_the_whole_or_none",
            [
                get().answer(fresh().tag("\"a\"").body("0123456789")),
                get()
                    .with("If-None-Match", "\"a\"")
                    .hit()
                    .status(304)
                    .check(Check::Lacks("Content-Length", "0".repeat(2)))
                    .absent("Transfer-Encoding"),
            ],
        ),
        case(
            "http_15_5_a_stored_error_answers_head",
            [
                get().answer(status(404).cc("max-age=60").body("0123456789")),
                head().hit().status(404).is("Content-Length", "10"),
            ],
        ),
        case(
            "http_15_5_2_a_stored_401_keeps_its_challenge",
            [
                get().answer(status(401).cc("max-age=60").with("WWW-Authenticate", "Basic")),
                get().hit().status(401).is("WWW-Authenticate", "Basic"),
            ],
        ),
        case(
            "http_15_3_7_a_206_that_nobody_asked_for_is_not_stored",
            [
                get()
                    .answer(status(206).cc("max-age=60").with("Content-Range", "bytes 0-1/9").body("01"))
                    .status_in(&[206, 502])
                    .any_body(),
                get().range("bytes=0-1").answer(fresh()).status(200),
            ],
        ),
        case(
            "http_15_4_5_a_304_to_head_confirms_for_get",
            [
                get().answer(stale("")),
                head()
                    .answer(not_modified().tag("\"a\"").cc("max-age=60"))
                    .sees("If-None-Match", "\"a\"")
                    .status(200),
                get().hit_of(1),
            ],
        ),
    ]);
    cases
}

fn interim() -> Vec<Case> {
    let hinted = |answer: Answer, code: u16| answer.after_interim(code, "X-Interim", "1");
    vec![
        case(
            "http_15_2_a_103_before_a_304_is_relayed",
            [
                get().answer(stale("")),
                get()
                    .answer(hinted(not_modified().tag("\"a\"").cc("max-age=60"), 103))
                    .interim(&[103])
                    .status(200)
                    .absent("X-Interim"),
                get().hit_of(1).interim(&[]).absent("X-Interim"),
            ],
        ),
        case(
            "http_15_2_an_unknown_interim_response_is_no_answer",
            [get().answer(hinted(fresh(), 199)).absent("X-Interim"), get().hit().absent("X-Interim")],
        ),
        case(
            "http_15_2_1_a_100_that_nobody_asked_for_is_no_answer",
            [get().answer(hinted(fresh(), 100)).absent("X-Interim"), get().hit().absent("X-Interim")],
        ),
        case(
            "http_15_2_an_interim_response_with_freshness_is_not_stored",
            [
                get().answer(ok().cc("no-store").after_interim(103, "Cache-Control", "max-age=600")),
                get().answer(fresh()),
            ],
        ),
        case(
            "http_15_2_an_interim_response_before_a_part",
            [
                get()
                    .range("bytes=0-1")
                    .answer(hinted(
                        status(206)
                            .cc("max-age=60")
                            .tag("\"a\"")
                            .with("Content-Range", "bytes 0-1/9")
                            .body("01"),
                        103,
                    ))
                    .interim(&[103]),
                get().range("bytes=0-1").hit().interim(&[]).body("01"),
            ],
        ),
        case(
            "http_15_2_an_interim_response_to_post_is_relayed",
            [post().answer(hinted(ok(), 103)).interim(&[103])],
        ),
        case(
            "http_15_2_2_an_unasked_101_is_a_failure",
            [get()
                .answer(status(101).with("Upgrade", "x").with("Connection", "upgrade"))
                .status(502)
                .any_body()],
        ),
    ]
}

/// Long lines, and many.
fn sizes() -> Vec<Case> {
    let long = "x,".repeat(32 << 10);
    let many = |answer: Answer| {
        (0..300).fold(answer, |answer, number| answer.with(&format!("X-Field-{number}"), "value"))
    };
    vec![
        case(
            "s5_2_a_cache_control_of_64_kib_is_answered",
            [
                get().answer(ok().cc(&format!("max-age=60, {long}"))).status(200),
                get().answer(fresh()).or_not().any_body().status(200),
            ],
        ),
        case(
            "s5_2_a_no_store_behind_64_kib_counts",
            [get().answer(ok().cc(&format!("max-age=60, {long} no-store"))), get().answer(fresh())],
        ),
        case(
            "s5_2_1_a_cache_control_of_64_kib_in_a_request_is_answered",
            [
                get().answer(fresh()),
                get()
                    .cc(&format!("{long} no-cache"))
                    .answer(fresh())
                    .or_not()
                    .status_in(&[200, 400, 431])
                    .any_body(),
            ],
        ),
        case(
            "s4_1_a_long_list_of_vary_is_answered",
            [
                get()
                    .answer(fresh().with("Vary", &(0..2000).map(|n| format!("X-{n}, ")).collect::<String>())),
                get().answer(fresh()).or_not().status(200).any_body(),
            ],
        ),
        case(
            "s4_3_2_a_long_list_of_tags_is_judged",
            [
                get().answer(fresh().tag("\"a\"")),
                get().with("If-None-Match", &format!("{}\"a\"", "\"x\", ".repeat(5000))).hit().status(304),
            ],
        ),
        case(
            "http_14_2_a_long_list_of_ranges_is_bounded",
            [
                get().answer(fresh().body("0123456789")),
                get()
                    .range(&format!("bytes={}0-", "0-,".repeat(10_000)))
                    .hit()
                    .status_in(&[200, 206, 416])
                    .any_body()
                    .body_at_most(10_000),
            ],
        ),
        case(
            "s3_1_300_fields_are_stored",
            [get().answer(many(fresh())), get().hit().is("X-Field-0", "value").is("X-Field-299", "value")],
        ),
        case(
            "s3_a_field_of_60_kib_is_stored",
            [get().answer(fresh().with("X-Long", &"x".repeat(60 << 10))), get().hit().has("X-Long", "xxxx")],
        ),
        case(
            "s3_5_2_a_quoted_string_that_never_ends_is_answered",
            [
                get().answer(ok().cc(&format!("max-age=60, odd=\"{}", "\\\"".repeat(16 << 10)))).status(200),
                get().answer(fresh()).or_not().any_body().status(200),
            ],
        ),
        case(
            "http_9_an_unknown_method_with_much_content_passes",
            [method("M-FOO").content(&"x".repeat(300_000)).answer(ok()).sees("Content-Length", "300000")],
        ),
    ]
}
