//! Targeted fields: RFC 9213.

use crate::answer::{Answer, closes, fresh, not_modified, ok};
use crate::case::{Case, case, get, not_reused, reused};

pub(crate) fn cases() -> Vec<Case> {
    [precedence(), syntax(), uses()].concat()
}

/// `CDN-Cache-Control`.
fn cdn(answer: Answer, value: &str) -> Answer {
    answer.with("CDN-Cache-Control", value)
}

fn row(name: &str, is_reused: bool, answer: Answer) -> Case {
    let name = format!("rfc9213_{name}");
    if is_reused { reused(name, answer) } else { not_reused(name, answer) }
}

fn precedence() -> Vec<Case> {
    vec![
        row("2_2_max_age_alone", true, cdn(ok(), "max-age=60")),
        row("2_2_max_age_beats_no_store", true, cdn(ok().cc("no-store"), "max-age=60")),
        row("2_2_max_age_beats_private", true, cdn(ok().cc("private"), "max-age=60")),
        row("2_2_max_age_beats_max_age_0", true, cdn(ok().cc("max-age=0"), "max-age=60")),
        row("2_2_max_age_beats_s_maxage_0", true, cdn(ok().cc("s-maxage=0"), "max-age=60")),
        row("2_2_max_age_beats_expires", true, cdn(ok().with("Expires", "{-60}"), "max-age=60")),
        row("2_2_max_age_0_beats_max_age", false, cdn(fresh(), "max-age=0")),
        row("2_2_no_store_beats_max_age", false, cdn(fresh(), "no-store")),
        row("2_2_private_beats_max_age", false, cdn(fresh(), "private")),
        row("2_2_no_cache_beats_max_age", false, cdn(fresh(), "no-cache")),
        row("2_2_no_store_makes_its_own_max_age_inoperative", false, cdn(fresh(), "max-age=60, no-store")),
        row("2_2_no_cache_makes_its_own_max_age_inoperative", false, cdn(fresh(), "max-age=60, no-cache")),
        row("2_2_s_maxage_beats_its_own_max_age", true, cdn(ok().cc("no-store"), "max-age=0, s-maxage=60")),
        row("2_2_unknown_directives_are_ignored", true, cdn(ok().cc("no-store"), "max-age=60, odd, x=y")),
        row("3_1_a_field_without_a_known_directive_is_selected", false, cdn(fresh(), "none")),
        row(
            "3_1_heuristics_beside_a_field_without_a_known_directive",
            true,
            cdn(ok().cc("no-store").modified(864_000), "none"),
        ),
        row("2_2_expires_is_ignored_too", false, cdn(ok().with("Expires", "{+60}"), "none")),
        row(
            "2_2_fields_off_the_list_change_nothing",
            true,
            fresh().with("Example-Cache-Control", "no-store"),
        ),
        row("2_2_fields_off_the_list_give_nothing", false, ok().with("Surrogate-Control", "max-age=60")),
        row("2_3_age_counts", false, cdn(ok().with("Age", "100"), "max-age=60")),
        row("2_3_age_counts_up_to_the_lifetime", true, cdn(ok().with("Age", "50"), "max-age=60")),
        row("2_3_date_counts", false, cdn(ok().date("{-100}"), "max-age=60")),
    ]
}

fn syntax() -> Vec<Case> {
    // The field's lines, and whether the response is reused beside `no-store` and beside `max-age=60`.
    let rows: [(&str, &[&str], bool, bool); 21] = [
        ("2_1_an_empty_field_is_ignored", &[""], false, true),
        ("2_1_a_field_of_spaces_is_ignored", &["   "], false, true),
        ("2_1_a_trailing_comma_is_an_error", &["max-age=60,"], false, true),
        ("2_1_an_empty_member_is_an_error", &["max-age=0,, x"], false, true),
        ("2_1_a_key_in_capitals_is_an_error", &["Max-Age=0"], false, true),
        ("2_1_no_store_in_capitals_is_an_error", &["NO-STORE"], false, true),
        ("2_1_semicolons_are_no_commas", &["no-store;;"], false, true),
        ("2_1_a_value_that_is_missing_is_an_error", &["max-age="], false, true),
        ("2_1_single_quotes_are_an_error", &["max-age='60'"], false, true),
        ("2_1_a_space_before_the_equals_sign_is_an_error", &["max-age =60"], false, true),
        ("2_1_a_number_of_16_digits_is_an_error", &["max-age=1000000000000000"], false, true),
        ("2_1_an_error_on_a_second_line", &["max-age=0", "="], false, true),
        ("2_1_a_string_for_max_age_is_stale", &["max-age=\"60\""], false, false),
        ("2_1_a_decimal_for_max_age_is_stale", &["max-age=60.0"], false, false),
        ("2_1_a_token_for_max_age_is_stale", &["max-age=a60"], false, false),
        ("2_1_a_boolean_for_max_age_is_stale", &["max-age"], false, false),
        ("2_1_a_negative_max_age_is_stale", &["max-age=-60"], false, false),
        ("2_1_parameters_are_ignored", &["max-age=60;odd=1;x"], true, true),
        ("2_1_the_last_of_two_members_counts", &["max-age=0, max-age=60"], true, true),
        ("2_1_two_lines_are_one_field", &["odd", "max-age=60"], true, true),
        ("2_1_a_no_store_of_the_wrong_type_is_not_consumed", &["no-store=1, max-age=60"], true, true),
    ];
    rows.into_iter()
        .flat_map(|(name, lines, beside_no_store, beside_max_age)| {
            let with = |answer: Answer| lines.iter().fold(answer, |answer, line| cdn(answer, line));
            [
                row(&format!("{name}_beside_no_store"), beside_no_store, with(ok().cc("no-store"))),
                row(&format!("{name}_beside_max_age"), beside_max_age, with(fresh())),
            ]
        })
        .chain([row(
            "2_1_the_last_of_two_members_counts_if_it_is_0",
            false,
            cdn(fresh(), "max-age=60, max-age=0"),
        )])
        .collect()
}

fn uses() -> Vec<Case> {
    vec![
        case(
            "rfc9213_2_2_it_is_passed_on",
            [
                get().answer(cdn(ok().cc("no-store"), "max-age=60")).is("CDN-Cache-Control", "max-age=60"),
                get().hit().is("CDN-Cache-Control", "max-age=60").is("Cache-Control", "no-store"),
            ],
        ),
        case(
            "rfc9213_2_2_other_fields_are_passed_on",
            [
                get()
                    .answer(fresh().with("Example-Cache-Control", "no-store"))
                    .is("Example-Cache-Control", "no-store"),
                get().hit().is("Example-Cache-Control", "no-store"),
            ],
        ),
        case(
            "rfc9213_2_2_no_cache_is_validated",
            [
                get().answer(cdn(fresh().tag("\"a\""), "no-cache")),
                get().answer(cdn(not_modified().tag("\"a\""), "max-age=60")).sees("If-None-Match", "\"a\""),
                get().hit(),
            ],
        ),
        case(
            "rfc9213_2_2_must_revalidate_holds",
            [
                get().answer(cdn(ok().with("Age", "100").tag("\"a\""), "max-age=60, must-revalidate")),
                get().answer(closes()).status_in(&[502, 504]).any_body(),
            ],
        ),
        case(
            "rfc9213_2_2_a_304_without_it_keeps_it",
            [
                get().answer(cdn(ok().cc("no-store").with("Age", "100").tag("\"a\""), "max-age=60")),
                get().answer(not_modified().tag("\"a\"")),
                get().hit(),
            ],
        ),
        case(
            "rfc9213_2_2_a_304_updates_it",
            [
                get().answer(cdn(ok().with("Age", "100").tag("\"a\""), "max-age=60")),
                get().answer(cdn(not_modified().tag("\"a\""), "max-age=600")),
                get().hit().is("CDN-Cache-Control", "max-age=600"),
            ],
        ),
        case(
            "rfc9213_2_2_qualified_private_is_read_from_it",
            [
                get()
                    .answer(cdn(ok().with("X-Secret", "1"), "max-age=60, private=\"x-secret\""))
                    .is("X-Secret", "1"),
                get().hit().absent("X-Secret"),
            ],
        ),
        case(
            "rfc9213_2_2_a_set_cookie_that_it_names_is_left_out",
            [
                get().answer(cdn(ok().with("Set-Cookie", "a=1"), "max-age=60, no-cache=\"set-cookie\"")),
                get().hit().absent("Set-Cookie"),
            ],
        ),
    ]
}
