//! Validation of entries: RFC 9111 §4.3.1, §4.3.3 to §4.3.5.

use crate::answer::{Answer, fresh, not_modified, ok, stale, status};
use crate::case::{Case, Check, case, get, head};

pub(crate) fn cases() -> Vec<Case> {
    [preconditions(), confirmed(), replaced(), by_head()].concat()
}

/// Stale at once, without a validator of its own.
fn used_up() -> Answer {
    ok().cc("max-age=60").with("Age", "100")
}

fn tagged_304(tag: &str) -> Answer {
    not_modified().cc("max-age=60").tag(tag)
}

fn preconditions() -> Vec<Case> {
    vec![
        case(
            "s4_3_1_a_stale_entry_is_validated_by_its_tag",
            [
                get().answer(stale("")),
                get().answer(fresh()).sees("If-None-Match", "\"a\"").sees_no("If-Modified-Since"),
            ],
        ),
        case(
            "s4_3_1_a_stale_entry_is_validated_by_last_modified",
            [
                get().answer(used_up().modified(1000)),
                get().answer(fresh()).sees("If-Modified-Since", "{-1000}").sees_no("If-None-Match"),
            ],
        ),
        case(
            "s4_3_1_both_validators_are_sent",
            [
                get().answer(stale("").modified(1000)),
                get().answer(fresh()).sees("If-Modified-Since", "{-1000}").sees("If-None-Match", "\"a\""),
            ],
        ),
        case(
            "s4_3_1_a_weak_tag_is_sent_as_it_is",
            [get().answer(used_up().tag("W/\"w\"")), get().answer(fresh()).sees("If-None-Match", "W/\"w\"")],
        ),
        case(
            "s4_3_1_the_requests_own_fields_are_kept",
            [
                get().answer(stale("")),
                get()
                    .with("X-Own", "1")
                    .with("Accept", "text/x-odd")
                    .answer(fresh())
                    .sees("X-Own", "1")
                    .sees("Accept", "text/x-odd")
                    .sees("If-None-Match", "\"a\""),
            ],
        ),
        case(
            "s4_3_1_a_fresh_entry_is_not_validated",
            [get().answer(fresh().tag("\"a\"").modified(1000)), get().hit(), get().hit()],
        ),
        case(
            "s4_3_2_a_client_with_another_tag_gets_the_whole",
            [
                get().answer(stale("")),
                get()
                    .with("If-None-Match", "\"other\"")
                    .answer(tagged_304("\"a\""))
                    .sees_part("If-None-Match", "\"a\"")
                    .status(200)
                    .body("s4_3_2_a_client_with_another_tag_gets_the_whole answer 1"),
            ],
        ),
        case(
            "s4_3_2_a_client_with_the_tag_of_the_stale_entry_gets_304",
            [
                get().answer(stale("")),
                get()
                    .with("If-None-Match", "\"a\"")
                    .answer(tagged_304("\"a\""))
                    .sees_part("If-None-Match", "\"a\"")
                    .status(304),
                get().hit_of(1),
            ],
        ),
        case(
            "s4_3_2_a_client_with_another_date_gets_the_whole",
            [
                get().answer(used_up().modified(1000)),
                get()
                    .with("If-Modified-Since", "{-5000}")
                    .answer(not_modified().cc("max-age=60").modified(1000))
                    .status(200)
                    .body("s4_3_2_a_client_with_another_date_gets_the_whole answer 1"),
            ],
        ),
    ]
}

fn confirmed() -> Vec<Case> {
    vec![
        case(
            "s4_3_4_a_304_makes_the_entry_fresh_again",
            [get().answer(stale("")), get().answer(tagged_304("\"a\"")), get().hit(), get().hit()],
        ),
        case(
            "s4_3_4_a_304_to_a_weak_tag_confirms",
            [get().answer(used_up().tag("W/\"w\"")), get().answer(tagged_304("W/\"w\"")), get().hit()],
        ),
        case(
            "s4_3_4_a_304_by_last_modified_confirms",
            [
                get().answer(used_up().modified(1000)),
                get().answer(not_modified().cc("max-age=60").modified(1000)),
                get().hit(),
            ],
        ),
        case(
            "s4_3_4_a_last_modified_of_now_takes_nothing_back",
            [
                get().answer(used_up().modified(1000)),
                get().answer(not_modified().cc("max-age=60").modified(0)),
                get().hit(),
            ],
        ),
        case(
            "s4_3_4_another_strong_last_modified_updates_nothing",
            [
                get().answer(used_up().modified(1000)),
                get().answer(not_modified().cc("max-age=60").modified(900)).answer(fresh().modified(900)),
                get().hit_of(3),
            ],
        ),
        case(
            "s4_3_4_an_earlier_last_modified_is_of_another_response",
            [
                get().answer(used_up().modified(1000)),
                get()
                    .answer(not_modified().cc("max-age=60").modified(2000))
                    .answer(fresh().modified(2000))
                    .sees_at(1, Check::Absent("If-Modified-Since")),
                get().hit_of(3),
            ],
        ),
        case(
            "s4_3_4_a_304_without_validators_confirms_the_one_asked_for",
            [get().answer(stale("")), get().answer(not_modified().cc("max-age=60")), get().hit()],
        ),
        case(
            "s4_3_4_a_304_of_an_unknown_strong_tag_is_asked_once_more",
            [
                get().answer(stale("")),
                get()
                    .answer(tagged_304("\"b\""))
                    .answer(fresh())
                    .sees("If-None-Match", "\"a\"")
                    .sees_at(1, Check::Absent("If-None-Match"))
                    .sees_at(1, Check::Absent("If-Modified-Since")),
                get().hit_of(3),
            ],
        ),
        case(
            "s4_3_4_a_304_of_an_unknown_strong_tag_updates_nothing",
            [
                get().answer(stale("must-revalidate")),
                get()
                    .answer(tagged_304("\"b\"").with("X-New", "1"))
                    .answer(ok().cc("no-store"))
                    .status(200)
                    .absent("X-New"),
                get().answer(fresh()).sees_no("If-None-Match").absent("X-New"),
            ],
        )
        .alone(),
        case(
            "s4_3_4_a_304_without_new_directives_keeps_the_old",
            [
                get().answer(stale("")),
                get().answer(not_modified().tag("\"a\"")).is("Cache-Control", "max-age=60"),
                get().hit(),
            ],
        ),
        case(
            "s4_3_4_a_304_may_end_the_freshness",
            [
                get().answer(ok().cc("no-cache, max-age=60").tag("\"a\"")),
                get().answer(tagged_304("\"a\"")),
                get().hit(),
            ],
        ),
        case(
            "s4_3_4_a_304_may_forbid_reuse",
            [
                get().answer(stale("")),
                get().answer(not_modified().cc("no-cache, max-age=60").tag("\"a\"")),
                get().answer(fresh()).sees("If-None-Match", "\"a\""),
            ],
        ),
        case(
            "s4_3_4_a_304_that_nobody_asked_for_is_not_stored",
            [
                get().answer(not_modified().tag("\"a\"").cc("max-age=60")).status_in(&[304, 502]).any_body(),
                get().answer(fresh()),
            ],
        ),
        case(
            "s4_3_4_the_entry_of_a_status_is_confirmed_too",
            [
                get().answer(status(404).cc("max-age=60").with("Age", "100").tag("\"a\"")),
                get().answer(tagged_304("\"a\"")).status(404),
                get().hit().status(404),
            ],
        ),
    ]
}

fn replaced() -> Vec<Case> {
    vec![
        case("s4_3_3_a_200_replaces", [get().answer(stale("")), get().answer(fresh()), get().hit_of(2)]),
        case(
            "s4_3_3_a_200_with_the_same_tag_replaces",
            [
                get().answer(stale("").with("X-Old", "1")),
                get().answer(fresh().tag("\"a\"")),
                get().hit_of(2).absent("X-Old"),
            ],
        ),
        case(
            "s4_3_3_a_404_replaces",
            [get().answer(stale("")), get().answer(status(404).cc("max-age=60")), get().hit_of(2)],
        ),
        case(
            "s4_3_3_a_200_that_may_not_be_stored_ends_the_entry",
            [
                get().answer(stale("")),
                get().answer(ok().cc("no-store")),
                get()
                    .answer(fresh())
                    .or_not()
                    .status(200)
                    .body("s4_3_3_a_200_that_may_not_be_stored_ends_the_entry answer 3"),
            ],
        ),
        case(
            "s4_3_3_an_older_200_is_the_answer_all_the_same",
            [get().answer(stale("")), get().answer(fresh().date("{-20}")), get().hit_of(2).age(20..=30)],
        ),
    ]
}

fn by_head() -> Vec<Case> {
    let stored = || fresh().tag("\"a\"").modified(1000).body("0123456789");
    let asked = |answer: Answer| head().cc("no-cache").answer(answer.body("0123456789")).status(200);
    vec![
        case(
            "s4_head_is_answered_from_get",
            [get().answer(stored()), head().hit().is("Content-Length", "10").is("ETag", "\"a\"").age(0..=5)],
        ),
        case(
            "s4_3_5_head_updates_the_entry",
            [
                get().answer(stored()),
                asked(stored().with("X-New", "1")).sees_at(0, Check::Absent("Content-Length")),
                get().hit_of(1).is("X-New", "1"),
            ],
        )
        .alone(),
        case(
            "s4_3_5_head_makes_a_stale_entry_fresh",
            [
                get().answer(stale("").body("0123456789")),
                head().answer(fresh().tag("\"a\"").body("0123456789")).status(200),
                get().hit_of(1).age(0..=5),
            ],
        )
        .alone(),
        case(
            "s4_3_5_head_with_another_tag_makes_stale",
            [get().answer(stored()), asked(fresh().tag("\"b\"").modified(1000)), get().answer(fresh())],
        )
        .alone(),
        case(
            "s4_3_5_head_with_another_last_modified_makes_stale",
            [get().answer(stored()), asked(fresh().tag("\"a\"").modified(500)), get().answer(fresh())],
        )
        .alone(),
        case(
            "s4_3_5_head_with_another_length_makes_stale",
            [
                get().answer(stored()),
                head().cc("no-cache").answer(fresh().tag("\"a\"").modified(1000).body("shorter")).status(200),
                get().answer(fresh()),
            ],
        )
        .alone(),
        case(
            "s4_3_5_head_that_fails_leaves_the_entry",
            [
                get().answer(stored()),
                head().cc("no-cache").answer(status(500)).or_not().status_in(&[200, 500]),
                get().hit_of(1),
            ],
        ),
        case(
            "s4_3_1_the_tags_of_all_variants_are_sent",
            [
                get().with("Foo", "1").answer(variant("a")),
                get().with("Foo", "2").answer(variant("b")),
                get()
                    .with("Foo", "3")
                    .answer(tagged_304("\"b\"").with("Vary", "Foo").cc("max-age=60"))
                    .sees("If-None-Match", "\"a\", \"b\"")
                    .status(200)
                    .body("s4_3_1_the_tags_of_all_variants_are_sent answer 2"),
                get().with("Foo", "3").hit_of(2),
                get().with("Foo", "1").hit_of(1),
            ],
        )
        .in_memory(),
        case(
            "s4_3_4_a_304_of_no_variant_is_asked_again",
            [
                get().with("Foo", "1").answer(variant("a")),
                get()
                    .with("Foo", "2")
                    .answer(tagged_304("\"c\"").with("Vary", "Foo"))
                    .answer(variant("b"))
                    .sees("If-None-Match", "\"a\"")
                    .sees_at(1, Check::Absent("If-None-Match")),
                get().with("Foo", "1").hit_of(1),
            ],
        )
        .in_memory(),
        case(
            "s4_3_5_a_304_to_head_confirms",
            [
                get().answer(stale("").body("0123456789")),
                head().answer(tagged_304("\"a\"")).status(200).is("Content-Length", "10"),
                get().hit_of(1),
            ],
        ),
        case(
            "s4_head_has_no_body_and_the_length_of_get",
            [get().answer(fresh().body("0123456789")), head().hit().body("").is("Content-Length", "10")],
        ),
    ]
}

/// A variant by `Foo`.
fn variant(tag: &str) -> Answer {
    fresh().with("Vary", "Foo").tag(&format!("\"{tag}\""))
}
