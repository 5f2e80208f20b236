//! What is stored: RFC 9111 §3 and §3.5, and heuristics, §4.2.2.

use super::completion::piece;
use crate::answer::{Answer, Framing, fresh, ok, status};
use crate::case::{Case, case, get, head, method, not_reused, reused};

/// RFC 9110 §15.1, but 206.
const HEURISTIC: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

/// Final statuses that are cacheable with explicit freshness alone, known ones and others.
const EXPLICIT: [u16; 18] =
    [201, 202, 299, 302, 303, 307, 400, 401, 403, 422, 499, 500, 502, 503, 504, 505, 599, 999];

/// RFC 6585 §3 to §6: never to be stored.
const NEVER: [u16; 4] = [428, 429, 431, 511];

pub(crate) fn cases() -> Vec<Case> {
    [directives(), statuses(), authorization(), bodies(), heuristics()].concat()
}

fn directives() -> Vec<Case> {
    vec![
        reused("s3_get_with_max_age_is_reused", fresh()),
        not_reused("s3_no_freshness_and_no_validator_is_not_reused", ok()),
        not_reused("s3_no_store_is_not_stored", ok().cc("no-store")),
        not_reused("s3_no_store_beats_max_age", ok().cc("max-age=60, no-store")),
        not_reused("s3_no_store_in_any_case", ok().cc("max-age=60, No-StOrE")),
        not_reused("s3_no_store_on_a_second_line", fresh().cc("no-store")),
        not_reused("s3_no_store_with_validators_is_not_stored", ok().cc("no-store, max-age=60").tag("\"a\"")),
        case(
            "s3_no_store_leaves_nothing_to_validate",
            [
                get().answer(ok().cc("no-store").tag("\"a\"").modified(1000)),
                get().answer(fresh()).sees_no("If-None-Match").sees_no("If-Modified-Since"),
            ],
        ),
        not_reused("s3_private_is_not_stored", ok().cc("private")),
        not_reused("s3_private_beats_max_age", ok().cc("private, max-age=60")),
        not_reused("s3_private_beats_s_maxage", ok().cc("s-maxage=60, private")),
        not_reused("s3_private_beats_public", ok().cc("public, private, max-age=60")),
        reused(
            "s5_2_2_3_must_understand_overrides_no_store",
            ok().cc("must-understand, no-store, max-age=60"),
        ),
        not_reused(
            "s5_2_2_3_must_understand_of_an_unknown_status_with_no_store",
            status(299).cc("must-understand, no-store, max-age=60"),
        ),
        not_reused(
            "s5_2_2_3_must_understand_of_an_unknown_status",
            status(599).cc("must-understand, max-age=60"),
        ),
        case(
            "s5_2_1_5_no_store_of_a_request_stores_nothing",
            [get().cc("no-store").answer(fresh()), get().answer(fresh())],
        ),
        reused(
            "s7_3_set_cookie_is_stored_and_replayed",
            fresh().with("Set-Cookie", "a=1").with("Set-Cookie", "b=2"),
        ),
        case(
            "s7_3_set_cookie_lines_are_all_replayed",
            [
                get().answer(fresh().with("Set-Cookie", "a=1; Path=/").with("Set-Cookie", "b=2")),
                get().hit().lines("Set-Cookie", &["a=1; Path=/", "b=2"]),
            ],
        ),
        case(
            "s3_a_request_with_a_cookie_is_no_obstacle",
            [get().with("Cookie", "a=1").answer(fresh()), get().hit()],
        ),
        reused("s5_2_2_8_proxy_revalidate_is_no_obstacle", ok().cc("max-age=60, proxy-revalidate")),
        reused("s5_2_2_6_no_transform_is_no_obstacle", ok().cc("max-age=60, no-transform")),
        reused("s5_2_3_unknown_directives_are_ignored", ok().cc("max-age=60, community=\"UCI\", x, y=z")),
        reused("rfc8246_immutable_is_reused", ok().cc("max-age=60, immutable")),
        not_reused("rfc8246_immutable_alone_gives_no_lifetime", ok().cc("immutable")),
        case(
            "rfc8246_stale_immutable_is_validated",
            [
                get().answer(ok().cc("max-age=60, immutable").with("Age", "100").tag("\"a\"")),
                get().answer(fresh()).sees("If-None-Match", "\"a\""),
            ],
        ),
        case(
            "s2_the_query_is_part_of_the_key",
            [
                get().at("?a=1").answer(fresh()),
                get().at("?a=2").answer(fresh()),
                get().at("?a=1").hit_of(1),
                get().at("?a=2").hit_of(2),
                get().answer(fresh()),
            ],
        ),
        case("s3_head_stores_nothing_for_get", [head().answer(fresh()), get().answer(fresh())]),
        case("s3_put_is_not_stored", [method("PUT").content("x").answer(fresh()), get().answer(fresh())]),
        case(
            "s3_an_unknown_method_is_not_stored",
            [method("M-FOO").answer(fresh()), method("M-FOO").answer(fresh()), get().answer(fresh())],
        ),
        case(
            "s3_options_is_not_stored",
            [method("OPTIONS").answer(fresh()), method("OPTIONS").answer(fresh()), get().answer(fresh())],
        ),
    ]
}

fn statuses() -> Vec<Case> {
    let explicit = HEURISTIC.into_iter().chain(EXPLICIT).map(|code| {
        reused(format!("s3_status_{code}_with_max_age_is_reused"), status(code).cc("max-age=60"))
    });
    let expiring = [404, 503, 599].map(|code| {
        reused(format!("s3_status_{code}_with_expires_is_reused"), status(code).with("Expires", "{+60}"))
    });
    let never = NEVER.map(|code| {
        not_reused(format!("rfc6585_status_{code}_is_never_stored"), status(code).cc("public, max-age=60"))
    });
    // One that is stale itself doesn't stand in for the next, be it an error too.
    let stale = [200, 204, 299, 404, 410, 500, 502, 503, 504, 599].map(|code| {
        let fresh = || status(code).cc("max-age=60");
        let steps = [get().answer(fresh().with("Age", "100")), get().answer(fresh()), get().hit_of(2)];
        case(format!("s4_2_status_{code}_stale_is_replaced"), steps)
    });
    explicit.chain(expiring).chain(never).chain(stale).collect()
}

fn heuristics() -> Vec<Case> {
    let day_old = |answer: Answer| answer.modified(864_000);
    let heuristic = HEURISTIC.map(|code| {
        reused(format!("s4_2_2_status_{code}_with_last_modified_is_reused"), day_old(status(code)))
    });
    let others = EXPLICIT.into_iter().map(|code| {
        not_reused(format!("s4_2_2_status_{code}_gets_no_heuristic_lifetime"), day_old(status(code)))
    });
    let mut cases = vec![
        reused("s4_2_2_public_makes_any_status_heuristically_cacheable", day_old(status(299).cc("public"))),
        not_reused("s4_2_2_public_without_last_modified_gives_no_lifetime", ok().cc("public")),
        not_reused("s4_2_2_no_heuristics_beside_an_invalid_expires", day_old(ok().with("Expires", "0"))),
        not_reused("s4_2_2_no_heuristics_beside_max_age_0", day_old(ok().cc("max-age=0"))),
        not_reused("s4_2_2_no_heuristics_beside_an_invalid_max_age", day_old(ok().cc("max-age=x"))),
        not_reused(
            "s4_2_2_no_heuristics_from_an_invalid_last_modified",
            ok().with("Last-Modified", "long ago"),
        ),
        reused("s4_2_2_a_tenth_of_the_time_since_last_modified", ok().modified(1000).with("Age", "80")),
        not_reused("s4_2_2_no_more_than_a_tenth", ok().modified(1000).with("Age", "110")),
        reused("s4_2_2_up_to_a_day", ok().modified(8_640_000).with("Age", "86000")),
        not_reused("s4_2_2_no_more_than_a_day", ok().modified(8_640_000).with("Age", "86500")),
        not_reused("s4_2_2_last_modified_in_the_future_gives_nothing", ok().with("Last-Modified", "{+1000}")),
        case(
            "s4_2_2_a_query_is_no_obstacle_to_heuristics",
            [get().at("?q=1").answer(day_old(ok())), get().at("?q=1").hit()],
        ),
    ];
    cases.extend(heuristic);
    cases.extend(others);
    cases
}

fn authorization() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, reusable, directives) in [
        ("max_age_alone_does_not_allow_it", false, "max-age=60"),
        ("public_allows_it", true, "max-age=60, public"),
        ("must_revalidate_allows_it", true, "max-age=60, must-revalidate"),
        ("s_maxage_allows_it", true, "s-maxage=60"),
        ("proxy_revalidate_does_not_allow_it", false, "max-age=60, proxy-revalidate"),
        ("no_store_beats_public", false, "max-age=60, public, no-store"),
    ] {
        let first = || get().with("Authorization", "Basic YTpi").answer(ok().cc(directives));
        for (whose, second) in [("same", get().with("Authorization", "Basic YTpi")), ("none", get())] {
            let second = if reusable { second.hit() } else { second.answer(fresh()) };
            cases.push(case(format!("s3_5_authorization_{name}_to_{whose}"), [first(), second]));
        }
    }
    cases.push(case(
        "s3_5_an_expires_does_not_allow_it",
        [
            get().with("Authorization", "Basic YTpi").answer(ok().with("Expires", "{+60}")),
            get().answer(fresh()),
        ],
    ));
    cases.push(case(
        "s3_5_the_targeted_field_is_read_for_it",
        [
            get()
                .with("Authorization", "Basic YTpi")
                .answer(fresh().with("CDN-Cache-Control", "max-age=60, public")),
            get().hit(),
        ],
    ));
    cases.push(case(
        "s3_5_cache_control_is_not_read_beside_a_targeted_field",
        [
            get()
                .with("Authorization", "Basic YTpi")
                .answer(ok().cc("public, max-age=60").with("CDN-Cache-Control", "max-age=60")),
            get().answer(fresh()),
        ],
    ));
    cases
}

fn bodies() -> Vec<Case> {
    vec![
        reused("http_a_chunked_body_is_stored", fresh().framed(Framing::Chunked)),
        reused("http_a_body_ended_by_close_is_whole", fresh().framed(Framing::Close)),
        reused(
            "http_a_body_of_an_unknown_transfer_coding_ended_by_close_is_whole",
            fresh().framed(Framing::Close).with("Transfer-Encoding", "x-unknown"),
        ),
        reused("s3_an_empty_body_is_stored", fresh().body("")),
        case(
            "s3_3_a_body_cut_short_is_not_reused",
            [get().answer(fresh().framed(Framing::Short)).fails(), get().answer(fresh())],
        ),
        case(
            "s3_3_a_chunked_body_without_its_end_is_not_reused",
            [get().answer(fresh().framed(Framing::Unended)).fails(), get().answer(fresh())],
        ),
        case(
            "s3_3_a_body_cut_short_leaves_the_next_whole",
            [
                get().answer(fresh().framed(Framing::Short)).fails(),
                get().answer(fresh()).status(200),
                get().hit(),
            ],
        ),
        case(
            "s3_1_trailers_never_become_headers",
            [
                get().answer(fresh().framed(Framing::Trailers)).absent("X-Trailer"),
                get().hit().status(200).absent("X-Trailer"),
            ],
        ),
        case(
            "s3_1_what_has_trailers_is_stored_without_them",
            [
                get()
                    .with("TE", "trailers")
                    .with("Connection", "TE")
                    .answer(fresh().with("Trailer", "X-Trailer").framed(Framing::Trailers))
                    .absent("X-Trailer")
                    .told("stored"),
                get().hit().status(200).absent("X-Trailer").is("Trailer", "X-Trailer"),
            ],
        ),
        case(
            "s3_1_a_part_with_trailers_is_stored_without_them",
            [
                get().range("bytes=0-4").answer(piece(0, 4).framed(Framing::Trailers)).absent("X-Trailer"),
                get().range("bytes=0-4").hit().status(206).body("01234").absent("X-Trailer"),
            ],
        ),
        case(
            "s3_an_interim_response_is_relayed_and_not_stored",
            [
                get().answer(fresh().after_interim(103, "Link", "</a.css>")).interim(&[103]).absent("Link"),
                get().hit().interim(&[]).absent("Link"),
            ],
        ),
        case(
            "s3_an_interim_102_is_not_an_answer",
            [get().answer(fresh().after_interim(102, "X-Interim", "1")), get().hit().absent("X-Interim")],
        ),
        reused("s3_a_large_body_is_stored_whole", fresh().body(&"0123456789".repeat(20_000))),
        case(
            "http_what_was_received_whole_is_a_hit_at_once",
            (0..40).flat_map(|round| {
                let at = format!("/{round}");
                [get().at(at.clone()).answer(fresh()), get().at(at).hit()]
            }),
        )
        .in_memory(),
    ]
}
