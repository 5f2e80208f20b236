//! Many requests at once, and one after the other: RFC 9111 §4.

use crate::answer::{Answer, Framing, fresh, ok, status};
use crate::case::{Case, Step, case, get, head, post};

/// Requests of a burst.
const MANY: usize = 50;

pub(crate) fn cases() -> Vec<Case> {
    [shared(), apart(), rounds()].concat()
}

/// Requests that each reach the origin, which answers none before it has them all.
fn each(step: Step, answer: &Answer) -> Step {
    (0..MANY).fold(step.apart(MANY), |step, _| step.answer(answer.clone().together(MANY)))
}

fn shared() -> Vec<Case> {
    vec![
        case(
            "s4_a_cold_burst_is_one_request",
            [get().times(MANY).answer(fresh().delayed(1_000).body("one")).body("one"), get().hit()],
        ),
        case(
            "s4_a_cold_burst_for_what_is_heuristically_fresh_is_one_request",
            [
                get().times(MANY).answer(ok().modified(864_000).delayed(1_000).body("one")).body("one"),
                get().hit(),
            ],
        ),
        case(
            "s4_a_cold_burst_for_a_404_is_one_request",
            [
                get().times(MANY).answer(status(404).cc("max-age=60").delayed(1_000).body("no")).body("no"),
                get().hit(),
            ],
        ),
        case(
            "s4_a_burst_of_head_from_get_is_none",
            [get().answer(fresh()), head().times(MANY).hit().status(200)],
        ),
    ]
}

fn apart() -> Vec<Case> {
    let apart = |name: &str, step: Step, answer: Answer| {
        case(format!("s4_a_cold_burst_{name}_has_an_answer_for_each"), [each(step, &answer)])
    };
    vec![
        apart("with_authorization", get().with("Authorization", "Basic YTpi"), fresh()),
        apart(
            "with_shared_authorization",
            get().with("Authorization", "Basic YTpi"),
            ok().cc("public, max-age=60"),
        ),
        apart("with_if_none_match", get().with("If-None-Match", "\"z\""), fresh().tag("\"a\"")),
        apart("with_if_modified_since", get().with("If-Modified-Since", "{-1000}"), fresh().modified(10)),
        apart("with_a_range", get().range("bytes=0-1"), fresh()),
        apart("with_no_cache", get().cc("no-cache"), fresh()),
        apart("with_no_store", get().cc("no-store"), fresh()),
        apart("of_post", post(), fresh()),
    ]
}

/// So many requests that each must be a hit at once, whatever delimits the body.
fn rounds() -> Vec<Case> {
    let rounds = |name: &str, framing: Framing, body: &'static str| {
        let steps = (0..200).flat_map(move |round| {
            let at = format!("/{round}");
            let answer = match body {
                "" => fresh().framed(framing),
                _ => fresh().framed(framing).body(body),
            };
            [get().at(at.clone()).answer(answer), get().at(at).hit()]
        });
        case(format!("s4_{name}_received_whole_is_a_hit_at_once"), steps).in_memory()
    };
    vec![
        rounds("a_body_of_a_known_length", Framing::Length, ""),
        rounds("a_chunked_body", Framing::Chunked, ""),
        rounds("a_body_ended_by_close", Framing::Close, ""),
    ]
}
