//! What unsafe requests make invalid: RFC 9111 §4.4.

use crate::answer::{Answer, closes, fresh, ok, stale, status};
use crate::case::{Case, case, get, head, method, post};

pub(crate) fn cases() -> Vec<Case> {
    [methods(), statuses(), others(), locations()].concat()
}

fn methods() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["POST", "PUT", "DELETE", "PATCH", "M-FOO", "post", "MKCOL"] {
        cases.push(case(
            format!(
                "s4_4_{}_invalidates",
                if name == "post" { "a_lower_case_method".into() } else { name.replace('-', "_") }
            ),
            [
                get().answer(fresh()),
                method(name).content("x").answer(ok()),
                get().answer(fresh()),
                get().hit_of(3),
            ],
        ));
    }
    for name in ["OPTIONS", "PROPFIND", "REPORT", "SEARCH", "QUERY"] {
        cases.push(case(
            format!("s4_4_{name}_is_safe"),
            [get().answer(fresh()), method(name).content("x").answer(ok().cc("no-store")), get().hit_of(1)],
        ));
    }
    cases.push(case("s4_4_head_is_safe", [get().answer(fresh()), head().hit(), get().hit_of(1)]));
    cases
}

fn statuses() -> Vec<Case> {
    let after = |code: u16| [get().answer(fresh()), post().answer(status(code)).status(code)];
    let mut cases = Vec::new();
    for code in [200, 201, 202, 204, 299, 301, 302, 303, 307] {
        cases.push(case(
            format!("s4_4_{code}_invalidates"),
            after(code).into_iter().chain([get().answer(fresh())]),
        ));
    }
    for code in [400, 404, 409, 412, 499, 500, 503, 599] {
        cases.push(case(
            format!("s4_4_{code}_does_not_invalidate"),
            after(code).into_iter().chain([get().hit_of(1)]),
        ));
    }
    cases.push(case(
        "s4_4_a_closed_connection_does_not_invalidate",
        [get().answer(fresh()), post().answer(closes()).status_in(&[502, 504]).any_body(), get().hit_of(1)],
    ));
    cases
}

fn others() -> Vec<Case> {
    vec![
        case(
            "s4_4_all_variants_are_invalidated",
            [
                get().with("Foo", "1").answer(fresh().with("Vary", "Foo")),
                get().with("Foo", "2").answer(fresh().with("Vary", "Foo")),
                post().answer(ok()),
                get().with("Foo", "1").answer(fresh().with("Vary", "Foo")),
                get().with("Foo", "2").answer(fresh().with("Vary", "Foo")),
            ],
        ),
        case(
            "s4_4_another_query_is_another_uri",
            [get().at("?a").answer(fresh()), post().at("?b").answer(ok()), get().at("?a").hit_of(1)],
        ),
        case(
            "s4_4_the_query_belongs_to_the_uri",
            [get().at("?a").answer(fresh()), post().at("?a").answer(ok()), get().at("?a").answer(fresh())],
        ),
        case(
            "s4_4_what_is_invalid_is_not_served_stale",
            [
                get().answer(fresh().tag("\"a\"")),
                post().answer(ok()),
                get().answer(closes()).status_in(&[502, 504]).any_body(),
            ],
        ),
        case(
            "s4_4_what_is_invalid_is_not_served_while_revalidating",
            [
                get().answer(stale("stale-while-revalidate=600")),
                post().answer(ok()),
                get().answer(fresh()).status(200),
            ],
        ),
        case(
            "s4_4_what_is_invalid_is_not_for_max_stale",
            [get().answer(stale("")), post().answer(ok()), get().cc("max-stale").answer(fresh())],
        ),
        case(
            "s4_4_parts_are_invalidated",
            [
                get().range("bytes=0-1").answer(
                    status(206).cc("max-age=60").tag("\"a\"").with("Content-Range", "bytes 0-1/9").body("01"),
                ),
                post().answer(ok()),
                get().range("bytes=0-1").answer(fresh()),
            ],
        ),
        case(
            "s4_unsafe_requests_are_written_through",
            [
                post().answer(fresh()).sees("Content-Length", "7"),
                post().answer(fresh()),
                method("DELETE").answer(fresh()),
                method("DELETE").answer(fresh()),
            ],
        ),
    ]
}

fn locations() -> Vec<Case> {
    let mut cases = Vec::new();
    for field in ["Location", "Content-Location"] {
        let name = field.replace('-', "_").to_lowercase();
        let over = |what: &str, value: &str, first: &'static str, code: u16, is_hit: bool| {
            let answer: Answer = status(code).with(field, value);
            let last = if is_hit { get().at(first).hit_of(1) } else { get().at(first).answer(fresh()) };
            case(
                format!("s4_4_{name}_{what}"),
                [get().at(first).answer(fresh()), post().at("/form").answer(answer), last],
            )
        };
        cases.extend([
            over("of_a_path", "{path}/other", "/other", 201, false),
            over("of_a_relative_path", "other", "/other", 201, false),
            over("with_dots", "./x/../other", "/other", 201, false),
            over("of_a_uri", "http://site.test{path}/other", "/other", 201, false),
            over("of_a_uri_in_capitals", "HTTP://SITE.test{path}/other", "/other", 201, false),
            over("of_the_default_port", "http://site.test:80{path}/other", "/other", 200, false),
            over("of_a_scheme_relative_uri", "//site.test{path}/other", "/other", 200, false),
            over("with_a_fragment", "{path}/other#part", "/other", 200, false),
            over("with_a_query", "{path}/other?q", "/other?q", 200, false),
            over("with_303", "{path}/other", "/other", 303, false),
            over("of_another_host", "http://elsewhere.test{path}/other", "/other", 201, true),
            // The request's own scheme isn't known: both may be meant.
            over(
                "of_another_scheme_where_none_is_known",
                "https://site.test{path}/other",
                "/other",
                201,
                false,
            ),
            over("of_another_port", "http://site.test:8080{path}/other", "/other", 201, true),
            over("of_another_host_without_scheme", "//elsewhere.test{path}/other", "/other", 201, true),
            over("of_no_uri", "http://[", "/other", 201, true),
            over("of_an_error", "{path}/other", "/other", 400, true),
            over("of_a_server_error", "{path}/other", "/other", 500, true),
        ]);
        cases.push(case(
            format!("s4_4_{name}_of_a_safe_request_invalidates_nothing"),
            [
                get().at("/other").answer(fresh()),
                get().answer(fresh().with(field, "{path}/other")),
                get().at("/other").hit_of(1),
            ],
        ));
    }
    cases
}
