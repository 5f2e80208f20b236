//! Which fields are stored, replayed and updated: RFC 9111 §3.1 and §3.2, qualified `no-cache` and `private`.

use crate::answer::{fresh, not_modified, ok, stale};
use crate::case::{Case, case, get};

pub(crate) fn cases() -> Vec<Case> {
    [replayed(), hop_by_hop(), qualified(), updated(), dates()].concat()
}

fn replayed() -> Vec<Case> {
    vec![
        case(
            "s3_1_unknown_fields_are_stored_line_by_line",
            [
                get().answer(fresh().with("X-One", "1").with("X-Two", "2").with("X-One", "3")),
                get().hit().lines("X-One", &["1", "3"]).is("X-Two", "2"),
            ],
        ),
        case(
            "s3_1_empty_values_are_stored",
            [get().answer(fresh().with("X-Empty", "")), get().hit().is("X-Empty", "")],
        ),
        case(
            "s3_1_representation_fields_are_replayed",
            [
                get().answer(
                    fresh()
                        .with("Content-Type", "text/x-odd")
                        .with("Content-Language", "eo")
                        .with("Content-Location", "{path}")
                        .tag("\"a\"")
                        .modified(1000),
                ),
                get()
                    .hit()
                    .is("Content-Type", "text/x-odd")
                    .is("Content-Language", "eo")
                    .is("Content-Location", "{path}")
                    .is("ETag", "\"a\"")
                    .is("Last-Modified", "{-1000}")
                    .is("Cache-Control", "max-age=60"),
            ],
        ),
        case(
            "s5_2_unknown_directives_are_passed_on",
            [
                get()
                    .answer(ok().cc("max-age=60, Odd=\"a, b\", x"))
                    .is("Cache-Control", "max-age=60, Odd=\"a, b\", x"),
                get().hit().is("Cache-Control", "max-age=60, Odd=\"a, b\", x"),
            ],
        ),
        case(
            "s5_2_directives_of_requests_are_passed_on",
            [get().cc("max-age=100, odd").answer(fresh()).sees("Cache-Control", "max-age=100, odd")],
        ),
        case(
            "http_content_length_of_a_hit_is_right",
            [get().answer(fresh().body("0123456789")), get().hit().is("Content-Length", "10")],
        ),
        case(
            "http_no_entity_tag_is_made",
            [get().answer(fresh()).absent("ETag"), get().hit().absent("ETag")],
        ),
    ]
}

fn hop_by_hop() -> Vec<Case> {
    let mut cases = vec![
        case(
            "s3_1_fields_listed_in_connection_are_dropped",
            [
                get()
                    .answer(
                        fresh().with("Connection", "X-Hop, x-other").with("X-Hop", "1").with("X-Other", "2"),
                    )
                    .absent("X-Hop")
                    .absent("X-Other"),
                get().hit().absent("X-Hop").absent("X-Other").lacks("Connection", "X-Hop"),
            ],
        ),
        case(
            "s3_1_a_listed_cache_control_still_rules_and_is_dropped",
            [
                get().answer(fresh().with("Connection", "cache-control")).absent("Cache-Control"),
                get().hit().absent("Cache-Control"),
            ],
        ),
        case(
            "s3_1_a_listed_no_store_still_rules",
            [
                get().answer(ok().cc("no-store, max-age=60").with("Connection", "cache-control")),
                get().answer(fresh()),
            ],
        ),
        case(
            "s3_1_a_listed_vary_still_rules_and_is_dropped",
            [
                get()
                    .with("X-Lang", "en")
                    .answer(fresh().with("Vary", "X-Lang").with("Connection", "vary"))
                    .absent("Vary"),
                get().with("X-Lang", "de").answer(fresh().with("Vary", "X-Lang").with("Connection", "vary")),
                get().with("X-Lang", "en").hit_of(1).absent("Vary"),
            ],
        ),
        case(
            "s3_1_a_listed_set_cookie_is_dropped",
            [
                get()
                    .answer(fresh().with("Connection", "set-cookie").with("Set-Cookie", "a=1"))
                    .absent("Set-Cookie"),
                get().hit().absent("Set-Cookie"),
            ],
        ),
        case(
            "s3_1_all_three_listed_at_once",
            [
                get()
                    .with("X-Lang", "en")
                    .answer(
                        fresh()
                            .with("Vary", "X-Lang")
                            .with("Set-Cookie", "a=1")
                            .with("Connection", "cache-control, vary, set-cookie"),
                    )
                    .absent("Set-Cookie"),
                get().with("X-Lang", "en").hit().absent("Cache-Control").absent("Vary").absent("Set-Cookie"),
                get().with("X-Lang", "de").answer(fresh()),
            ],
        ),
        case(
            "s4_1_what_a_listed_field_selected_is_nobody_elses",
            [
                get()
                    .with("Connection", "foo")
                    .with("Foo", "1")
                    .answer(fresh().with("Vary", "Foo"))
                    .sees_no("Foo"),
                get().with("Foo", "1").answer(fresh().with("Vary", "Foo")),
                get()
                    .with("Connection", "keep-alive, foo")
                    .with("Foo", "1")
                    .answer(fresh().with("Vary", "Foo")),
                get().with("Foo", "1").hit_of(2),
            ],
        ),
        case(
            "s4_3_1_a_listed_if_none_match_gets_no_validation_of_ours",
            [
                get().answer(stale("").modified(1000)),
                get().with("Connection", "if-none-match").answer(fresh()).sees_no("If-Modified-Since"),
            ],
        ),
        case(
            "s3_1_request_fields_listed_in_connection_stay_here",
            [get()
                .with("Connection", "X-Hop")
                .with("X-Hop", "1")
                .with("X-End", "2")
                .answer(fresh())
                .sees_no("X-Hop")
                .sees("X-End", "2")],
        ),
    ];
    for (name, field, value) in [
        ("keep_alive", "Keep-Alive", "timeout=5"),
        ("proxy_connection", "Proxy-Connection", "keep-alive"),
        ("upgrade", "Upgrade", "h2c"),
        ("proxy_authenticate", "Proxy-Authenticate", "Basic"),
        ("proxy_authentication_info", "Proxy-Authentication-Info", "x=1"),
    ] {
        cases.push(case(
            format!("s3_1_{name}_is_no_obstacle_and_not_stored"),
            [get().answer(fresh().with(field, value)), get().hit().absent(field)],
        ));
    }
    cases
}

fn qualified() -> Vec<Case> {
    let secret = || fresh().with("X-Secret", "1").with("X-Open", "2");
    let mut cases = Vec::new();
    for (name, directive) in [
        ("private_leaves_out_its_fields", "private=\"X-Secret\""),
        ("no_cache_leaves_out_its_fields", "no-cache=\"X-Secret\""),
        ("private_names_fields_in_any_case", "private=\"x-other, x-SECRET\""),
        ("no_cache_names_fields_in_any_case", "no-cache=\" x-secret ,x-other\""),
        ("private_as_a_token", "private=X-Secret"),
        ("no_cache_as_a_token", "no-cache=x-secret"),
    ] {
        cases.push(case(
            format!("s5_2_2_qualified_{name}"),
            [
                get().answer(secret().cc(directive)).is("X-Secret", "1"),
                get().hit().absent("X-Secret").is("X-Open", "2"),
            ],
        ));
    }
    cases.extend([
        case(
            "s5_2_2_7_a_private_set_cookie_is_left_out",
            [
                get()
                    .answer(ok().cc("max-age=60, private=\"set-cookie\"").with("Set-Cookie", "a=1"))
                    .is("Set-Cookie", "a=1"),
                get().hit().absent("Set-Cookie"),
            ],
        ),
        case(
            "s5_2_2_4_a_no_cache_set_cookie_is_left_out",
            [
                get().answer(ok().cc("max-age=60, no-cache=\"Set-Cookie\"").with("Set-Cookie", "a=1")),
                get().hit().absent("Set-Cookie"),
            ],
        ),
        case(
            "s5_2_2_7_private_qualified_and_not_is_private",
            [get().answer(secret().cc("private=\"X-Secret\", private")), get().answer(fresh())],
        ),
    ]);
    cases
}

fn updated() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, field) in [
        ("an_unknown_field", "Test-Field"),
        ("content_type", "Content-Type"),
        ("content_encoding", "Content-Encoding"),
        ("content_language", "Content-Language"),
        ("content_location", "Content-Location"),
        ("content_security_policy", "Content-Security-Policy"),
        ("an_unknown_content_field", "Content-Foo"),
        ("set_cookie", "Set-Cookie"),
        ("x_frame_options", "X-Frame-Options"),
    ] {
        cases.push(case(
            format!("s3_2_a_304_updates_{name}"),
            [
                get().answer(stale("").with(field, "old")),
                get()
                    .answer(not_modified().cc("max-age=60").tag("\"a\"").with(field, "new"))
                    .is(field, "new"),
                get().hit().is(field, "new"),
            ],
        ));
    }
    for (name, field) in [("keep_alive", "Keep-Alive"), ("proxy_authenticate", "Proxy-Authenticate")] {
        cases.push(case(
            format!("s3_2_a_304_does_not_add_{name}"),
            [
                get().answer(stale("")),
                get().answer(not_modified().cc("max-age=60").tag("\"a\"").with(field, "x")),
                get().hit().absent(field),
            ],
        ));
    }
    let confirmed = || not_modified().cc("max-age=60").tag("\"a\"");
    cases.extend([
        case(
            "s3_2_a_304_adds_new_fields",
            [
                get().answer(stale("")),
                get().answer(confirmed().with("X-New", "1")),
                get().hit().is("X-New", "1"),
            ],
        ),
        case(
            "s3_2_what_a_304_does_not_have_stays",
            [
                get().answer(stale("").with("X-Old", "1")),
                get().answer(confirmed()),
                get().hit().is("X-Old", "1"),
            ],
        ),
        case(
            "s3_2_a_304_replaces_all_lines_of_a_field",
            [
                get().answer(stale("").with("X-Many", "1").with("X-Many", "2")),
                get().answer(confirmed().with("X-Many", "3")),
                get().hit().lines("X-Many", &["3"]),
            ],
        ),
        case(
            "s3_2_a_304_never_updates_content_length",
            [
                get().answer(stale("").body("0123456789")),
                get()
                    .answer(confirmed().with("Content-Length", "3"))
                    .is("Content-Length", "10")
                    .body("0123456789"),
                get().hit().is("Content-Length", "10").body("0123456789"),
            ],
        ),
        case(
            "s3_2_a_304_updates_cache_control",
            [
                get().answer(stale("")),
                get().answer(not_modified().cc("max-age=600").tag("\"a\"")),
                get().hit().is("Cache-Control", "max-age=600"),
            ],
        ),
        case(
            "s3_2_a_304_updates_expires",
            [
                get().answer(ok().with("Expires", "{-10}").tag("\"a\"")),
                get().answer(not_modified().with("Expires", "{+600}").tag("\"a\"")),
                get().hit().is("Expires", "{+600}"),
            ],
        ),
        case(
            "s3_2_a_304_does_not_add_fields_listed_in_connection",
            [
                get().answer(stale("").with("X-Hop", "old")),
                get().answer(confirmed().with("Connection", "X-Hop").with("X-Hop", "new")),
                get().hit().is("X-Hop", "old"),
            ],
        ),
        case(
            "s3_2_a_304_does_not_bring_a_body",
            [
                get().answer(stale("").body("whole")),
                get().answer(confirmed()).body("whole"),
                get().hit().body("whole"),
            ],
        ),
    ]);
    cases
}

fn dates() -> Vec<Case> {
    vec![
        case(
            "http_a_missing_date_is_set_and_kept",
            [get().answer(fresh().undated()).has("Date", " GMT"), get().after(1100).hit().same("Date")],
        ),
        case(
            "http_a_date_is_kept_by_hits",
            [
                get().answer(fresh().date("{-30}")).is("Date", "{-30}"),
                get().after(1100).hit().is("Date", "{-30}").age(31..=40),
            ],
        ),
        case(
            "http_an_invalid_date_is_replaced_at_receipt",
            [
                get().answer(fresh().date("yesterday")),
                get().hit().has("Date", " GMT").lacks("Date", "yesterday").age(0..=5),
            ],
        ),
        case(
            "http_a_304_updates_the_date",
            [
                get().answer(stale("").date("{-500}")),
                get().answer(not_modified().cc("max-age=60").tag("\"a\"").date("{-5}")),
                get().hit().is("Date", "{-5}"),
            ],
        ),
    ]
}
