//! What becomes of a request, and of what was stored, where the origin doesn't stand by it.

use crate::answer::{closes, fresh, not_modified, ok, stale, status};
use crate::case::{Case, Check, case, get, head};

/// What the gateway answers where it has nothing.
const GATEWAY: [u16; 2] = [502, 504];

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case(
            "http_13_1_5_the_second_call_has_no_range_without_its_condition",
            [
                get().answer(stale("").body("0123456789")),
                get()
                    .range("bytes=4-")
                    .with("If-Range", "\"a\"")
                    .answer(not_modified().tag("\"b\""))
                    .answer(fresh().tag("\"b\"").body("abcdefghij"))
                    .sees_at(1, Check::Absent("Range"))
                    .status(200)
                    .body("abcdefghij"),
            ],
        ),
        case(
            "s4_3_4_what_an_unknown_tag_has_ended_stands_in_for_nothing",
            [
                get().answer(stale("")),
                get().answer(not_modified().tag("\"b\"")).answer(closes()).status_in(&GATEWAY).any_body(),
            ],
        ),
        case(
            "s4_3_4_nor_for_an_error_of_the_second_call",
            [
                get().answer(stale("")),
                get().answer(not_modified().tag("\"b\"")).answer(status(503)).status(503),
            ],
        ),
        case(
            "s4_3_4_a_304_to_the_second_call_is_no_answer_to_a_client_with_a_tag",
            [
                get().answer(stale("")),
                get()
                    .with("If-None-Match", "\"z\"")
                    .answer(not_modified().tag("\"b\""))
                    .answer(not_modified().tag("\"c\""))
                    .sees_at(1, Check::Absent("If-None-Match"))
                    .status_in(&GATEWAY)
                    .any_body(),
            ],
        ),
        case(
            "s4_3_5_head_of_another_tag_with_vary_star_makes_stale",
            [
                get().answer(fresh().tag("\"a\"")),
                head().cc("no-cache").answer(fresh().tag("\"b\"").with("Vary", "*")).status(200),
                get().answer(fresh()),
            ],
        )
        .alone(),
        case(
            "s4_3_5_head_that_forbids_storing_ends_what_is_stored",
            [
                get().answer(fresh().tag("\"a\"")),
                head().cc("no-cache").answer(ok().cc("no-store").tag("\"a\"")).status(200),
                get().answer(fresh()),
            ],
        )
        .alone(),
        case(
            "s4_2_4_a_stale_error_is_better_than_no_answer",
            [
                get().answer(status(503).cc("max-age=60").with("Age", "100")),
                get().answer(closes()).status(503).age(100..=110),
            ],
        ),
    ]
}
