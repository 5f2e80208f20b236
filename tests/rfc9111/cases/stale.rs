//! Stale answers: RFC 9111 §4.2.4, RFC 5861.

use crate::answer::{closes, fresh, not_modified, ok, stale, status};
use crate::case::{Case, Check, case, get, post};

/// What the gateway answers where it has nothing.
const GATEWAY: [u16; 2] = [502, 504];

pub(crate) fn cases() -> Vec<Case> {
    [disconnected(), forbidden(), while_revalidate(), if_error()].concat()
}

fn disconnected() -> Vec<Case> {
    vec![
        case(
            "s4_2_4_stale_is_better_than_a_closed_connection",
            [get().answer(stale("")), get().answer(closes()).status(200).age(100..=110)],
        ),
        case(
            "s4_2_4_stale_goes_on_while_the_origin_is_gone",
            [
                get().answer(stale("")),
                get().answer(closes()).status(200),
                get().answer(closes()).or_not().status(200),
                get().answer(closes()).or_not().status(200),
            ],
        ),
        case(
            "s4_2_4_stale_without_a_validator_is_better_than_a_closed_connection",
            [
                get().answer(ok().cc("max-age=1").undated()),
                get().after(2100).answer(closes()).status(200).age(2..=10),
            ],
        ),
        case(
            "s4_2_4_heuristically_stale_is_better_too",
            [
                get().answer(ok().modified(1000).tag("\"a\"").with("Age", "200")),
                get().answer(closes()).status(200).age(200..=210),
            ],
        ),
        case(
            "s4_2_4_expired_is_better_too",
            [get().answer(ok().with("Expires", "{-10}").tag("\"a\"")), get().answer(closes()).status(200)],
        ),
        case(
            "s4_2_4_nothing_stored_and_a_closed_connection",
            [get().answer(closes()).status_in(&GATEWAY).any_body()],
        ),
        case(
            "s4_2_4_a_closed_connection_stores_nothing",
            [get().answer(closes()).status_in(&GATEWAY).any_body(), get().answer(fresh()), get().hit()],
        ),
        case(
            "s4_2_4_an_answer_cut_in_its_head_is_a_failure",
            [get().answer(stale("")), get().answer(closes().body("HTTP/1.1 200 OK\r\nX-Cut")).status(200)],
        ),
        case(
            "s4_2_4_a_stale_entry_is_no_answer_to_an_unsafe_request",
            [get().answer(stale("")), post().answer(closes()).status_in(&GATEWAY).any_body()],
        ),
        case(
            "s4_2_4_the_origin_comes_back",
            [
                get().answer(stale("")),
                get().answer(closes()).status(200),
                get()
                    .after(2100)
                    .answer(not_modified().tag("\"a\"").cc("max-age=60"))
                    .sees("If-None-Match", "\"a\""),
                get().hit().age(0..=5),
            ],
        ),
    ]
}

fn forbidden() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, first) in [
        ("must_revalidate", stale("must-revalidate")),
        ("proxy_revalidate", stale("proxy-revalidate")),
        ("no_cache", stale("no-cache")),
        ("s_maxage", ok().cc("s-maxage=60").with("Age", "100").tag("\"a\"")),
        ("must_revalidate_in_capitals", stale("MUST-REVALIDATE")),
        ("must_revalidate_on_a_second_line", stale("").cc("must-revalidate")),
        ("must_revalidate_beside_stale_if_error", stale("must-revalidate, stale-if-error=600")),
        ("proxy_revalidate_beside_stale_if_error", stale("stale-if-error=600, proxy-revalidate")),
        ("targeted_must_revalidate", stale("").with("CDN-Cache-Control", "max-age=60, must-revalidate")),
    ] {
        cases.push(case(
            format!("s4_2_4_{name}_forbids_stale_on_a_closed_connection"),
            [get().answer(first.clone()), get().answer(closes()).status_in(&GATEWAY).any_body()],
        ));
        cases.push(case(
            format!("s4_2_4_{name}_forbids_stale_on_503"),
            [get().answer(first), get().answer(status(503)).status_in(&[502, 503, 504]).any_body()],
        ));
    }
    cases.extend([
        case(
            "s5_2_2_2_disconnected_must_revalidate_is_504",
            [get().answer(stale("must-revalidate")), get().answer(closes()).status(504).any_body()],
        ),
        case(
            "s5_2_2_2_must_revalidate_is_no_obstacle_while_fresh",
            [get().answer(ok().cc("max-age=60, must-revalidate")), get().hit()],
        ),
        case(
            "s5_2_2_4_a_qualified_no_cache_does_not_forbid_stale",
            [get().answer(stale("no-cache=\"x-odd\"")), get().answer(closes()).status(200)],
        ),
        case(
            "s4_2_4_cache_control_beside_a_targeted_field_does_not_forbid_stale",
            [
                get().answer(stale("must-revalidate").with("CDN-Cache-Control", "max-age=60")),
                get().answer(closes()).status(200),
            ],
        ),
        case(
            "s4_2_4_no_stale_while_the_origin_answers",
            [get().answer(stale("")), get().answer(fresh()).sees("If-None-Match", "\"a\""), get().hit_of(2)],
        ),
        case(
            "s4_2_4_a_4xx_is_an_answer",
            [get().answer(stale("stale-if-error=600")), get().answer(status(404)).status(404)],
        ),
    ]);
    cases
}

fn while_revalidate() -> Vec<Case> {
    let swr = || stale("stale-while-revalidate=600");
    vec![
        case(
            "rfc5861_3_stale_at_once_and_one_refresh",
            [
                get().answer(swr()),
                get().hit_before(fresh()).sees("If-None-Match", "\"a\"").age(100..=110),
                get().hit_of(2).eventually(),
            ],
        ),
        case(
            "rfc5861_3_the_refresh_confirms",
            [
                get().answer(swr()),
                get().hit_before(not_modified().cc("max-age=60").tag("\"a\"")),
                get().hit_of(1).age(0..=5).eventually(),
            ],
        ),
        case(
            "rfc5861_3_the_refresh_has_the_fields_of_the_request",
            [
                get().answer(swr()),
                get()
                    .with("X-Own", "1")
                    .with("Accept-Language", "eo")
                    .hit_before(fresh())
                    .sees("X-Own", "1")
                    .sees("Accept-Language", "eo"),
            ],
        ),
        case(
            "rfc5861_3_one_refresh_for_many_requests",
            [get().answer(swr()), get().times(8).hit_before(fresh()), get().hit_of(2).eventually()],
        )
        .alone(),
        case(
            "rfc5861_3_without_a_validator",
            [
                get().answer(ok().cc("max-age=1, stale-while-revalidate=600").undated()),
                get().after(2100).hit_before(fresh()).sees_no("If-None-Match").age(2..=10),
                get().hit_of(2).eventually(),
            ],
        ),
        case(
            "rfc5861_3_over_when_the_window_is",
            [
                get()
                    .answer(ok().cc("max-age=60, stale-while-revalidate=30").with("Age", "100").tag("\"a\"")),
                get().answer(fresh()).sees("If-None-Match", "\"a\""),
                get().hit_of(2),
            ],
        ),
        case(
            "rfc5861_3_a_failed_refresh_leaves_the_entry",
            [
                get().answer(swr()),
                get().hit_before(status(503)),
                get().answer(fresh()).or_not().status(200).any_body(),
            ],
        )
        .alone(),
        case(
            "rfc5861_3_must_revalidate_forbids_it",
            [
                get().answer(stale("must-revalidate, stale-while-revalidate=600")),
                get().answer(fresh()).sees("If-None-Match", "\"a\""),
            ],
        ),
        case(
            "rfc5861_3_no_cache_forbids_it",
            [
                get().answer(stale("no-cache, stale-while-revalidate=600")),
                get().answer(fresh()).sees("If-None-Match", "\"a\""),
            ],
        ),
        case(
            "rfc5861_3_no_cache_of_a_request_forbids_it",
            [get().answer(swr()), get().cc("no-cache").answer(fresh()), get().hit_of(2)],
        )
        .alone(),
        case(
            "rfc5861_3_an_invalid_window_is_none",
            [
                get().answer(stale("stale-while-revalidate=x")),
                get().answer(fresh()).sees("If-None-Match", "\"a\""),
            ],
        ),
        case(
            "rfc5861_3_a_targeted_field_allows_it",
            [
                get().answer(stale("").with("CDN-Cache-Control", "max-age=60, stale-while-revalidate=600")),
                get().hit_before(fresh()),
            ],
        ),
    ]
}

fn if_error() -> Vec<Case> {
    let mut cases = Vec::new();
    for code in [500, 502, 503, 504] {
        cases.push(case(
            format!("rfc5861_4_stale_on_{code}"),
            [
                get().answer(stale("stale-if-error=600")),
                get()
                    .answer(status(code))
                    .status(200)
                    .body(&format!("rfc5861_4_stale_on_{code} answer 1"))
                    .age(100..=110)
                    .sees_at(0, Check::Is("If-None-Match", "\"a\"".into())),
            ],
        ));
        cases.push(case(
            format!("rfc5861_4_{code}_is_written_through_when_the_window_is_over"),
            [
                get().answer(ok().cc("max-age=60, stale-if-error=30").with("Age", "100").tag("\"a\"")),
                get().answer(status(code)).status(code),
            ],
        ));
        cases.push(case(
            format!("s4_3_3_{code}_while_validating_is_passed_on_or_stale"),
            [get().answer(stale("")), get().answer(status(code)).status_in(&[200, code]).any_body()],
        ));
    }
    cases.extend([
        case(
            "rfc5861_4_stale_on_a_closed_connection",
            [get().answer(stale("stale-if-error=600")), get().answer(closes()).status(200).age(100..=110)],
        ),
        case(
            "s4_3_3_an_error_while_validating_leaves_the_entry",
            [
                get().answer(stale("must-revalidate")),
                get().answer(status(503)).status_in(&[503, 504]).any_body(),
                get()
                    .answer(not_modified().cc("max-age=60").tag("\"a\""))
                    .sees("If-None-Match", "\"a\"")
                    .status(200)
                    .body("s4_3_3_an_error_while_validating_leaves_the_entry answer 1"),
            ],
        ),
    ]);
    cases
}
