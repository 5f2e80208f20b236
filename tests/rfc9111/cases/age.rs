//! The current age: RFC 9111 §4.2.3 and §5.1.

use crate::answer::{fresh, not_modified, ok, stale};
use crate::case::{Case, case, get, not_reused, reused};

pub(crate) fn cases() -> Vec<Case> {
    [values(), arithmetic(), updated()].concat()
}

fn values() -> Vec<Case> {
    let rows = [
        ("below_the_lifetime", true, "50"),
        ("above_the_lifetime", false, "100"),
        ("at_the_lifetime", false, "60"),
        ("zero", true, "0"),
        ("leading_zeros", true, "0050"),
        ("the_first_member_counts", true, "50, 100"),
        ("the_first_member_counts_if_it_is_high", false, "100, 50"),
        ("an_invalid_first_member_is_ignored", true, "x, 100"),
        ("a_word_is_ignored", true, "old"),
        ("a_negative_value_is_ignored", true, "-100"),
        ("a_signed_value_is_ignored", true, "+100"),
        ("a_float_is_ignored", true, "100.0"),
        ("letters_after_digits_are_ignored", true, "100s"),
        ("quotes_are_ignored", true, "\"100\""),
        ("parameters_are_ignored", true, "100;x=y"),
        ("an_empty_value_is_ignored", true, ""),
        ("an_empty_first_member_is_skipped", false, ", 100"),
        ("empty_members_alone_are_ignored", true, " , ,"),
        ("over_2_to_the_31", false, "2147483649"),
        ("over_2_to_the_64", false, "18446744073709551617"),
    ];
    let mut cases: Vec<_> = rows
        .map(|(name, is_fresh, age)| {
            let (name, answer) = (format!("s5_1_age_{name}"), fresh().with("Age", age));
            if is_fresh { reused(name, answer) } else { not_reused(name, answer) }
        })
        .into();
    cases.extend([
        reused("s5_1_age_the_first_line_counts", fresh().with("Age", "10").with("Age", "100")),
        not_reused(
            "s5_1_age_the_first_line_counts_if_it_is_high",
            fresh().with("Age", "100").with("Age", "10"),
        ),
        not_reused("s5_1_age_an_empty_first_line_is_skipped", fresh().with("Age", "").with("Age", "100")),
        not_reused("s5_1_age_counts_against_s_maxage", ok().cc("s-maxage=60").with("Age", "100")),
        not_reused("s5_1_age_counts_against_expires", ok().with("Expires", "{+60}").with("Age", "100")),
    ]);
    cases
}

fn arithmetic() -> Vec<Case> {
    vec![
        case("s4_a_hit_has_an_age", [get().answer(fresh()), get().hit().age(0..=5)]),
        case(
            "s4_the_age_of_a_hit_replaces_the_stored_one",
            [get().answer(fresh().with("Age", "30")), get().hit().age(30..=40)],
        ),
        case("s4_2_3_resident_time_counts", [get().answer(fresh()), get().after(2000).hit().age(2..=8)]),
        case(
            "s4_2_3_resident_time_is_added_to_age",
            [get().answer(fresh().with("Age", "30")), get().after(2000).hit().age(32..=40)],
        ),
        case(
            "s4_2_3_the_apparent_age_counts",
            [get().answer(fresh().date("{-30}")), get().hit().age(30..=40)],
        ),
        not_reused("s4_2_3_the_apparent_age_uses_up_the_lifetime", fresh().date("{-100}")),
        case(
            "s4_2_3_the_greater_of_the_two_ages_counts_if_it_is_age",
            [get().answer(fresh().date("{-10}").with("Age", "40")), get().hit().age(40..=50)],
        ),
        case(
            "s4_2_3_the_greater_of_the_two_ages_counts_if_it_is_apparent",
            [get().answer(fresh().date("{-40}").with("Age", "10")), get().hit().age(40..=50)],
        ),
        case(
            "s4_2_3_a_fast_clock_gives_age_0",
            [get().answer(fresh().date("{+1000}")), get().hit().age(0..=5)],
        ),
        case(
            "s4_2_3_a_fast_clock_does_not_hide_age",
            [get().answer(fresh().date("{+1000}").with("Age", "30")), get().hit().age(30..=40)],
        ),
        case(
            "s4_2_3_the_time_of_the_request_counts",
            [get().answer(fresh().undated().delayed(2000)), get().hit().age(2..=8)],
        ),
        case(
            "s4_2_3_the_time_of_the_request_is_added_to_age",
            [get().answer(fresh().with("Age", "30").delayed(2000)), get().hit().age(32..=40)],
        ),
        case(
            "s4_2_3_ttl_and_age_make_the_lifetime",
            [get().answer(fresh().with("Age", "35")), get().hit().age(35..=40).told("hit").told("ttl=2")],
        ),
    ]
}

fn updated() -> Vec<Case> {
    let confirmed = || not_modified().cc("max-age=60").tag("\"a\"");
    vec![
        case(
            "s4_2_3_a_304_without_age_restarts_it",
            [get().answer(stale("")), get().answer(confirmed()), get().hit().age(0..=5)],
        ),
        case(
            "s4_2_3_a_304_with_age_counts_from_there",
            [get().answer(stale("")), get().answer(confirmed().with("Age", "20")), get().hit().age(20..=30)],
        ),
        case(
            "s4_2_3_a_304_without_directives_restarts_the_stored_lifetime",
            [
                get().answer(stale("")),
                get().answer(not_modified().tag("\"a\"")).sees("If-None-Match", "\"a\""),
                get().hit().age(0..=5),
            ],
        ),
        case(
            "s4_2_3_a_304_of_an_old_date_is_old",
            [get().answer(stale("")), get().answer(confirmed().date("{-30}")), get().hit().age(30..=40)],
        ),
        case(
            "s4_2_3_a_304_with_a_used_up_age_is_validated_again",
            [
                get().answer(stale("")),
                get().answer(confirmed().with("Age", "100")),
                get().answer(confirmed()).sees("If-None-Match", "\"a\""),
            ],
        ),
    ]
}
