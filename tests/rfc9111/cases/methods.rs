//! Methods with content, and requests made one: RFC 9110 §9.3.3, RFC 10008, RFC 9111 §4.

use crate::answer::{Answer, fresh, ok, stale, status};
use crate::case::{Case, Step, case, get, head, method, post};

pub(crate) fn cases() -> Vec<Case> {
    [posted(), queried(), collapsed()].concat()
}

fn posted() -> Vec<Case> {
    let located = |answer: Answer| answer.with("Content-Location", "{path}");
    vec![
        case(
            "http_9_3_3_post_with_freshness_and_content_location_answers_get",
            [post().answer(located(fresh())), get().hit()],
        ),
        case(
            "http_9_3_3_post_with_an_absolute_content_location_answers_get",
            [post().answer(fresh().with("Content-Location", "http://site.test{path}")), get().hit()],
        ),
        case(
            "http_9_3_3_post_with_expires_answers_get",
            [post().answer(located(ok().with("Expires", "{+60}"))), get().hit()],
        ),
        case("http_9_3_3_post_answers_head", [post().answer(located(fresh())), head().hit()]),
        case(
            "http_9_3_3_post_whose_connection_lists_what_its_answer_varies_by_does_not",
            [
                post()
                    .with("Connection", "foo")
                    .with("Foo", "1")
                    .answer(located(fresh().with("Vary", "Foo")))
                    .sees_no("Foo"),
                get().with("Foo", "1").answer(fresh().with("Vary", "Foo")),
            ],
        ),
        case(
            "http_9_3_3_post_without_content_location_does_not",
            [post().answer(fresh()), get().answer(fresh())],
        ),
        case(
            "http_9_3_3_post_without_freshness_does_not",
            [post().answer(located(ok().modified(864_000))), get().answer(fresh())],
        ),
        case(
            "http_9_3_3_post_with_another_content_location_does_not",
            [
                post().answer(fresh().with("Content-Location", "{path}/other")),
                get().answer(fresh()),
                get().at("/other").answer(fresh()),
            ],
        ),
        case(
            "http_9_3_3_post_with_no_store_does_not",
            [post().answer(located(ok().cc("max-age=60, no-store"))), get().answer(fresh())],
        ),
        case(
            "http_9_3_3_post_with_private_does_not",
            [post().answer(located(ok().cc("max-age=60, private"))), get().answer(fresh())],
        ),
        case(
            "http_9_3_3_post_with_an_error_does_not",
            [post().answer(located(status(400).cc("max-age=60"))), get().answer(fresh())],
        ),
        case(
            "http_9_3_3_post_does_not_answer_post",
            [post().answer(located(fresh())), post().answer(located(fresh())), get().hit_of(2)],
        )
        .alone(),
        case(
            "http_9_3_3_post_replaces_what_it_invalidates",
            [get().answer(fresh()), post().answer(located(fresh())), get().hit_of(2)],
        )
        .alone(),
        case(
            "http_9_3_3_post_with_authorization_does_not",
            [post().with("Authorization", "Basic YTpi").answer(located(fresh())), get().answer(fresh())],
        ),
        case(
            "http_9_3_4_put_with_content_location_does_not",
            [method("PUT").content("x").answer(located(fresh())), get().answer(fresh())],
        ),
    ]
}

fn queried() -> Vec<Case> {
    let query = |content: &str| method("QUERY").content(content).with("Content-Type", "text/x-query");
    vec![
        case("rfc10008_query_is_reused_for_the_same_content", [query("a").answer(fresh()), query("a").hit()]),
        case(
            "rfc10008_query_is_keyed_by_its_content",
            [
                query("a").answer(fresh()),
                query("b").answer(fresh()),
                query("a").hit_of(1),
                query("b").hit_of(2),
            ],
        ),
        case(
            "rfc10008_query_is_keyed_by_its_type",
            [
                query("a").answer(fresh()),
                method("QUERY").content("a").with("Content-Type", "text/x-other").answer(fresh()),
            ],
        ),
        case(
            "rfc10008_query_is_keyed_by_its_coding",
            [query("a").answer(fresh()), query("a").with("Content-Encoding", "x-odd").answer(fresh())],
        ),
        case(
            "rfc10008_query_is_answered_304_and_in_part",
            [
                query("a").answer(fresh().tag("\"a\"").body("0123456789")),
                query("a").with("If-None-Match", "\"a\"").hit().status(304).any_body(),
                query("a").range("bytes=2-4").hit().status(206).body("234"),
            ],
        ),
        case("rfc10008_query_does_not_answer_get", [query("a").answer(fresh()), get().answer(fresh())]),
        case("rfc10008_get_does_not_answer_query", [get().answer(fresh()), query("a").answer(fresh())]),
        case(
            "rfc10008_query_without_freshness_is_not_reused",
            [query("a").answer(ok()), query("a").answer(ok())],
        ),
        case(
            "rfc10008_query_is_invalidated_with_its_uri",
            [query("a").answer(fresh()), post().answer(ok()), query("a").answer(fresh())],
        ),
        case(
            "rfc10008_the_content_of_a_query_reaches_the_origin",
            [query("abc").answer(fresh()).sees("Content-Length", "3").sees("Content-Type", "text/x-query")],
        ),
    ]
}

/// Requests at once, each of which the origin must see before it answers any.
fn apart(name: &str, step: Step, answer: &Answer) -> Case {
    let step = (0..4).fold(step.times(4), |step, _| step.answer(answer.clone().together(4)));
    case(format!("s4_{name}_are_not_collapsed"), [step.any_body()])
}

fn collapsed() -> Vec<Case> {
    let slow = || fresh().delayed(400);
    vec![
        case("s4_a_burst_is_one_request", [get().times(12).answer(slow()), get().hit()]),
        case(
            "s4_a_burst_for_a_stale_entry_is_one_request",
            [get().answer(stale("")), get().times(8).answer(slow()), get().hit_of(2)],
        ),
        case(
            "s4_a_burst_of_variants_shares_nothing",
            [
                get().with("Foo", "1").times(4).answer(slow().with("Vary", "Foo")),
                get().with("Foo", "2").times(4).answer(slow().with("Vary", "Foo")),
                get().with("Foo", "1").hit_of(1),
            ],
        ),
        case(
            "s4_what_may_not_be_shared_is_asked_for_by_each",
            [(0..4)
                .fold(get().times(4), |step, _| step.answer(ok().cc("private").delayed(200)))
                .status(200)
                .any_body()],
        ),
        apart("requests_with_authorization", get().with("Authorization", "Basic YTpi"), &fresh()),
        apart("requests_with_if_none_match", get().with("If-None-Match", "\"z\""), &fresh().tag("\"a\"")),
        apart(
            "requests_with_range",
            get().range("bytes=0-1"),
            &status(206).cc("no-store").with("Content-Range", "bytes 0-1/9").body("01"),
        ),
        apart("requests_with_no_store", get().cc("no-store"), &fresh()),
        apart("unsafe_requests", post(), &fresh()),
    ]
}
