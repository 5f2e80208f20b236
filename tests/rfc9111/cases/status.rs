//! What the cache tells of itself: RFC 9211.

use crate::answer::{closes, fresh, not_modified, ok, stale, status};
use crate::case::{Case, Check, case, get, head, method, post};

pub(crate) fn cases() -> Vec<Case> {
    [hits(), forwarded(), chains()].concat()
}

fn hits() -> Vec<Case> {
    vec![
        case(
            "rfc9211_2_1_a_hit_and_its_ttl",
            [get().answer(fresh()), get().hit().told("hit").told("ttl=").untold("fwd").untold("stored")],
        ),
        case(
            "rfc9211_2_4_ttl_is_what_is_left",
            [get().answer(fresh().with("Age", "52")), get().hit().told("ttl=")],
        ),
        case(
            "rfc9211_2_4_ttl_of_a_stale_hit_is_negative",
            [get().answer(stale("")), get().cc("max-stale").hit().told("hit").told("ttl=-4")],
        ),
        case(
            "rfc9211_2_1_a_304_of_the_cache_is_a_hit",
            [
                get().answer(fresh().tag("\"a\"")),
                get().with("If-None-Match", "\"a\"").hit().status(304).told("hit").told("ttl=").untold("fwd"),
            ],
        ),
        case(
            "rfc9211_2_1_a_206_of_the_cache_is_a_hit",
            [
                get().answer(fresh().body("0123")),
                get().range("bytes=1-2").hit().status(206).body("12").told("hit"),
            ],
        ),
        case(
            "rfc9211_2_1_head_from_get_is_a_hit",
            [get().answer(fresh()), head().hit().told("hit").untold("fwd")],
        ),
        case(
            "rfc9211_2_1_stale_while_revalidate_is_a_hit",
            [
                get().answer(stale("stale-while-revalidate=600")),
                get().hit_before(fresh()).told("hit").told("ttl=-4").told("detail=stale-while-revalidate"),
            ],
        ),
    ]
}

fn forwarded() -> Vec<Case> {
    let told = |name: &str, steps: Vec<crate::case::Step>| case(format!("rfc9211_2_2_{name}"), steps);
    vec![
        told(
            "uri_miss_and_stored",
            vec![get().answer(fresh()).told("fwd=uri-miss").told("stored").untold("hit")],
        ),
        told(
            "vary_miss",
            vec![
                get().with("Foo", "1").answer(fresh().with("Vary", "Foo")).told("fwd=uri-miss"),
                get()
                    .with("Foo", "2")
                    .answer(fresh().with("Vary", "Foo"))
                    .told("fwd=vary-miss")
                    .told("stored"),
            ],
        ),
        told("stale", vec![get().answer(stale("")), get().answer(fresh()).told("fwd=stale").told("stored")]),
        told(
            "stale_and_confirmed",
            vec![
                get().answer(stale("")),
                get()
                    .answer(not_modified().tag("\"a\"").cc("max-age=60"))
                    .told("fwd=stale")
                    .told("fwd-status=304")
                    .untold("hit"),
            ],
        ),
        told(
            "request",
            vec![get().answer(fresh()), get().cc("no-cache").answer(fresh()).told("fwd=request")],
        ),
        told(
            "request_by_max_age",
            vec![
                get().answer(fresh().with("Age", "30")),
                get().cc("max-age=10").answer(fresh()).told("fwd=request"),
            ],
        ),
        told("method", vec![post().answer(fresh()).told("fwd=method")]),
        told("method_of_an_unknown_name", vec![method("M-FOO").answer(fresh()).told("fwd=method")]),
        told(
            "partial",
            vec![
                get().range("bytes=0-1").answer(
                    status(206).cc("max-age=60").tag("\"a\"").with("Content-Range", "bytes 0-1/4").body("01"),
                ),
                get()
                    .answer(
                        fresh().tag("\"a\"").body("0123").or_with(
                            "Range",
                            status(206)
                                .cc("max-age=60")
                                .tag("\"a\"")
                                .with("Content-Range", "bytes 2-3/4")
                                .body("23"),
                        ),
                    )
                    .status(200)
                    .body("0123")
                    .told("fwd=partial"),
            ],
        )
        .in_memory(),
        told(
            "bypass_for_a_precondition_of_the_origin",
            vec![
                get()
                    .with("If-Match", "\"a\"")
                    .answer(ok().cc("no-store"))
                    .told("fwd=bypass")
                    .told("detail=precondition"),
            ],
        ),
        told(
            "no_store_is_told",
            vec![
                get()
                    .answer(ok().cc("no-store"))
                    .told("fwd=uri-miss")
                    .untold("stored")
                    .told("detail=no-store"),
            ],
        ),
        told(
            "private_is_told",
            vec![get().answer(ok().cc("private")).untold("stored").told("detail=private")],
        ),
        told(
            "vary_star_is_told",
            vec![get().answer(fresh().with("Vary", "*")).untold("stored").told("detail=vary-star")],
        ),
        told(
            "stale_on_an_error",
            vec![
                get().answer(stale("stale-if-error=600")),
                get()
                    .answer(status(503))
                    .status(200)
                    .told("fwd=stale")
                    .told("fwd-status=503")
                    .told("detail=stale-if-error")
                    .any_body(),
            ],
        ),
        told(
            "stale_on_a_closed_connection",
            vec![
                get().answer(stale("")),
                get().answer(closes()).status(200).told("fwd=stale").untold("stored"),
            ],
        ),
        case(
            "rfc9211_2_3_fwd_status_where_it_differs",
            [
                get().answer(stale("must-revalidate")),
                get()
                    .with("If-None-Match", "\"other\"")
                    .answer(not_modified().tag("\"a\"").cc("max-age=60"))
                    .status(200)
                    .any_body()
                    .told("fwd-status=304"),
            ],
        ),
        case(
            "rfc9211_2_6_collapsed_is_told",
            [get().times(6).answer(fresh().delayed(400)), get().hit().untold("collapsed")],
        ),
    ]
}

fn chains() -> Vec<Case> {
    vec![
        case(
            "rfc9211_2_our_member_follows_the_upstreams",
            [
                get()
                    .answer(fresh().with("Cache-Status", "Origin; fwd=uri-miss"))
                    .has("Cache-Status", "Origin; fwd=uri-miss")
                    .told("fwd=uri-miss"),
                get().hit().has("Cache-Status", "Origin; fwd=uri-miss").told("hit"),
            ],
        ),
        case(
            "rfc9211_2_all_lines_of_the_upstream_are_kept",
            [
                get().answer(fresh().with("Cache-Status", "A; hit, B").with("Cache-Status", "C; hit")),
                get().hit().has("Cache-Status", "A; hit, B").has("Cache-Status", "C; hit").told("hit"),
            ],
        ),
        case(
            "rfc9211_2_a_hit_has_no_member_of_the_time_it_was_stored",
            [
                get().answer(fresh()).told("stored"),
                get().hit().check(Check::Lacks("Cache-Status", "stored".into())),
            ],
        ),
    ]
}
