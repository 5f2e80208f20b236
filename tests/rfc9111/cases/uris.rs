//! Which requests are for the same resource: RFC 9111 §2 and §4, RFC 9110 §4.2.3.

use crate::answer::{fresh, ok};
use crate::case::{Case, Step, case, get, head, post};

pub(crate) fn cases() -> Vec<Case> {
    [apart(), together(), others()].concat()
}

fn apart() -> Vec<Case> {
    [
        ("the_case_of_a_path", "/a", "/A"),
        ("the_case_of_a_query", "?a=b", "?a=B"),
        ("the_order_of_a_query", "?a=1&b=2", "?b=2&a=1"),
        ("a_trailing_slash", "/a", "/a/"),
        ("two_slashes", "/a/b", "/a//b"),
        ("an_empty_query", "/a", "/a?"),
        ("a_query_without_a_value", "?a", "?a="),
        ("a_repeated_parameter", "?a=1&a=2", "?a=2"),
        ("an_encoded_slash", "/a/b", "/a%2Fb"),
        ("an_encoded_question_mark", "/a?b", "/a%3Fb"),
        ("an_encoded_ampersand", "?a=1&b=2", "?a=1%26b=2"),
        ("a_plus_and_a_space", "?a=+", "?a=%20"),
        ("an_encoded_percent_sign", "/a%25", "/a%2525"),
        ("a_semicolon", "/a", "/a;v=1"),
    ]
    .map(|(name, one, other)| {
        case(
            format!("s2_{name}_tells_two_resources_apart"),
            [
                get().at(one).answer(fresh()),
                get().at(other).answer(fresh()),
                get().at(one).hit_of(1),
                get().at(other).hit_of(2),
            ],
        )
    })
    .into()
}

/// What may be told apart or not: the answer is right either way.
fn together() -> Vec<Case> {
    [
        ("an_encoded_letter", "/%61b", "/ab"),
        ("the_case_of_an_encoding", "/a%2fb", "/a%2Fb"),
        ("an_encoded_tilde", "/%7Ea", "/~a"),
    ]
    .map(|(name, one, other)| {
        case(
            format!("http_4_2_3_{name}_is_passed_on_as_it_is"),
            [
                get().at(one).answer(fresh().body("same")),
                get().at(other).answer(fresh().body("same")).or_not().body("same"),
            ],
        )
    })
    .into()
}

fn others() -> Vec<Case> {
    let elsewhere = |step: Step| step.host("elsewhere.test");
    vec![
        case(
            "s2_fields_about_content_that_is_not_there_are_no_part_of_the_key",
            [
                get().answer(fresh()),
                get().with("Content-Type", "text/plain").hit(),
                get().with("Content-Language", "en").hit(),
            ],
        ),
        case(
            "s2_the_host_tells_two_resources_apart",
            [
                get().answer(fresh()),
                elsewhere(get()).answer(fresh()),
                get().hit_of(1),
                elsewhere(get()).hit_of(2),
            ],
        ),
        case(
            "s2_the_port_tells_two_resources_apart",
            [
                get().answer(fresh()),
                get().host("site.test:8080").answer(fresh()),
                get().hit_of(1),
                get().host("site.test:8080").hit_of(2),
            ],
        ),
        case(
            "http_4_2_3_the_case_of_the_host_tells_nothing_apart",
            [
                get().answer(fresh().body("same")),
                get().host("SITE.test").answer(fresh().body("same")).or_not(),
            ],
        ),
        case(
            "s4_4_a_post_with_a_query_leaves_the_path_alone",
            [get().answer(fresh()), post().at("?a").answer(ok()), get().hit_of(1)],
        ),
        case(
            "s4_4_a_post_to_the_path_leaves_its_queries_alone",
            [get().at("?a").answer(fresh()), post().answer(ok()), get().at("?a").hit_of(1)],
        ),
        case(
            "s4_4_a_post_leaves_what_is_below_its_path_alone",
            [get().at("/a").answer(fresh()), post().answer(ok()), get().at("/a").hit_of(1)],
        ),
        case(
            "s4_a_head_to_another_query_is_no_hit",
            [get().at("?a").answer(fresh()), head().at("?b").answer(fresh())],
        ),
        case(
            "s2_a_long_query_is_part_of_the_key",
            [
                get().at(format!("?{}a", "x".repeat(4000))).answer(fresh()),
                get().at(format!("?{}b", "x".repeat(4000))).answer(fresh()),
                get().at(format!("?{}a", "x".repeat(4000))).hit_of(1),
            ],
        ),
    ]
}
