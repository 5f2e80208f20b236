//! Directives of requests: RFC 9111 §5.2.1 and §5.4.

use crate::answer::{fresh, not_modified, ok, stale};
use crate::case::{Case, Step, case, get, head};

pub(crate) fn cases() -> Vec<Case> {
    [validating(), lifetimes(), stale_ones(), only_if_cached(), pragma()].concat()
}

/// A request to a fresh entry that is 30 seconds old and has 30 to go.
fn over(name: &str, second: Step) -> Case {
    case(format!("s5_2_1_{name}"), [get().answer(fresh().with("Age", "30").tag("\"a\"")), second])
}

fn asked(step: Step) -> Step {
    step.answer(ok().cc("max-age=60").with("X-New", "1")).is("X-New", "1")
}

fn validating() -> Vec<Case> {
    vec![
        over("no_cache_goes_on", asked(get().cc("no-cache"))),
        over("no_cache_in_capitals", asked(get().cc("NO-CACHE"))),
        over("no_cache_on_a_second_line", asked(get().cc("no-transform").cc("no-cache"))),
        over("no_cache_among_others", asked(get().cc("max-age=100, no-cache"))),
        case(
            "s5_2_1_4_no_cache_is_answered_when_validated",
            [
                get().answer(fresh().tag("\"a\"")),
                get()
                    .cc("no-cache")
                    .answer(not_modified().tag("\"a\"").cc("max-age=60"))
                    .sees("If-None-Match", "\"a\"")
                    .status(200),
                get().hit(),
            ],
        ),
        case(
            "s5_2_1_4_no_cache_replaces_what_has_no_validator",
            [get().answer(fresh()), get().cc("no-cache").answer(fresh()), get().hit_of(2)],
        )
        .alone(),
        case(
            "s5_2_1_4_no_cache_is_passed_on",
            [get().answer(fresh()), get().cc("no-cache").answer(fresh()).sees("Cache-Control", "no-cache")],
        ),
        case(
            "rfc8246_immutable_does_not_hold_against_no_cache",
            [
                get().answer(ok().cc("max-age=60, immutable").tag("\"a\"")),
                get().cc("no-cache").answer(not_modified().tag("\"a\"").cc("max-age=60")),
            ],
        ),
        over("no_transform_changes_nothing", get().cc("no-transform").hit()),
        over("unknown_directives_change_nothing", get().cc("odd=\"no-cache\", x").hit()),
        over("no_cache_inside_quotes_changes_nothing", get().cc("odd=\"a, no-cache, b\"").hit()),
        over("public_changes_nothing", get().cc("public, must-revalidate").hit()),
    ]
}

fn lifetimes() -> Vec<Case> {
    vec![
        over("max_age_0_goes_on", asked(get().cc("max-age=0"))),
        over("max_age_below_the_age_goes_on", asked(get().cc("max-age=10"))),
        over("max_age_above_the_age_is_met", get().cc("max-age=100").hit()),
        over("max_age_in_capitals", asked(get().cc("MAX-AGE=10"))),
        over("max_age_in_quotes", asked(get().cc("max-age=\"10\""))),
        over("max_age_over_2_to_the_64_is_met", get().cc("max-age=18446744073709551617").hit()),
        over("min_fresh_above_what_is_left_goes_on", asked(get().cc("min-fresh=50"))),
        over("min_fresh_below_what_is_left_is_met", get().cc("min-fresh=10").hit()),
        over("min_fresh_over_2_to_the_64_goes_on", asked(get().cc("min-fresh=18446744073709551617"))),
        over("min_fresh_and_max_age_both_hold", asked(get().cc("max-age=100, min-fresh=50"))),
    ]
}

/// A request to an entry that was used up 40 seconds ago.
fn late(name: &str, directives: &str, second: Step) -> Case {
    case(format!("s5_2_1_2_{name}"), [get().answer(stale(directives)), second])
}

fn stale_ones() -> Vec<Case> {
    let mut cases = vec![
        late("max_stale_within_its_argument", "", get().cc("max-stale=100").hit().age(100..=110)),
        late("max_stale_beyond_its_argument", "", asked(get().cc("max-stale=10"))),
        late("max_stale_without_an_argument", "", get().cc("max-stale").hit()),
        late("max_stale_in_capitals", "", get().cc("MAX-STALE=100").hit()),
        late("max_stale_over_2_to_the_64", "", get().cc("max-stale=18446744073709551617").hit()),
        late("max_stale_beside_max_age_that_is_met", "", get().cc("max-stale=100, max-age=200").hit()),
    ];
    for (name, directive) in [
        ("must_revalidate", "must-revalidate"),
        ("proxy_revalidate", "proxy-revalidate"),
        ("s_maxage", "s-maxage=60"),
        ("no_cache", "no-cache"),
    ] {
        cases.push(late(
            &format!("max_stale_does_not_beat_{name}"),
            directive,
            asked(get().cc("max-stale=100")).sees("If-None-Match", "\"a\""),
        ));
    }
    cases
}

fn only_if_cached() -> Vec<Case> {
    vec![
        case(
            "s5_2_1_7_only_if_cached_and_nothing_is_504",
            [get().cc("only-if-cached").hit().status(504).any_body()],
        ),
        case(
            "s5_2_1_7_only_if_cached_is_for_no_origin_whatever_connection_lists",
            [get()
                .cc("only-if-cached")
                .with("Connection", "foo")
                .with("Foo", "1")
                .hit()
                .status(504)
                .any_body()],
        ),
        case("s5_2_1_7_only_if_cached_and_fresh", [get().answer(fresh()), get().cc("only-if-cached").hit()]),
        case(
            "s5_2_1_7_only_if_cached_and_stale_is_504",
            [get().answer(stale("")), get().cc("only-if-cached").hit().status(504).any_body()],
        ),
        case(
            "s5_2_1_7_only_if_cached_and_acceptably_stale",
            [get().answer(stale("")), get().cc("only-if-cached, max-stale=100").hit().status(200)],
        ),
        case(
            "s5_2_1_7_only_if_cached_and_another_variant_is_504",
            [
                get().with("Foo", "1").answer(fresh().with("Vary", "Foo")),
                get().with("Foo", "2").cc("only-if-cached").hit().status(504).any_body(),
            ],
        ),
        case("s5_2_1_7_only_if_cached_head", [get().answer(fresh()), head().cc("only-if-cached").hit()]),
        case(
            "s5_2_1_7_a_504_of_only_if_cached_is_not_stored",
            [get().cc("only-if-cached").hit().status(504).any_body(), get().answer(fresh()), get().hit()],
        ),
        case(
            "s5_2_1_7_only_if_cached_and_max_age_that_is_not_met_is_504",
            [
                get().answer(fresh().with("Age", "30")),
                get().cc("only-if-cached, max-age=10").hit().status(504).any_body(),
            ],
        ),
    ]
}

fn pragma() -> Vec<Case> {
    vec![
        over("pragma_no_cache_goes_on", asked(get().with("Pragma", "no-cache"))),
        over(
            "pragma_is_ignored_beside_cache_control",
            get().with("Pragma", "no-cache").cc("max-age=100").hit(),
        ),
        over("pragma_of_another_word_is_ignored", get().with("Pragma", "odd").hit()),
        over("pragma_in_capitals", asked(get().with("PRAGMA", "NO-CACHE"))),
    ]
}
