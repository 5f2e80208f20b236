//! The freshness lifetime: RFC 9111 §4.2.1, and the syntax of directives, §5.2.

use crate::answer::{Answer, fresh, not_modified, ok};
use crate::case::{Case, case, get, not_reused, reused};

pub(crate) fn cases() -> Vec<Case> {
    [precedence(), syntax(), lines(), at_use()].concat()
}

/// A row's case: whether the answer is reused.
fn row(name: &str, is_reused: bool, answer: Answer) -> Case {
    let name = format!("s4_2_1_{name}");
    if is_reused { reused(name, answer) } else { not_reused(name, answer) }
}

fn precedence() -> Vec<Case> {
    vec![
        row("s_maxage_alone", true, ok().cc("s-maxage=60")),
        row("s_maxage_beats_max_age_0", true, ok().cc("max-age=0, s-maxage=60")),
        row("s_maxage_0_beats_max_age", false, ok().cc("max-age=60, s-maxage=0")),
        row("s_maxage_beats_expires", true, ok().cc("s-maxage=60").with("Expires", "{-60}")),
        row("s_maxage_0_beats_expires", false, ok().cc("s-maxage=0").with("Expires", "{+60}")),
        row("max_age_beats_expires", true, fresh().with("Expires", "{-60}")),
        row("max_age_beats_an_invalid_expires", true, fresh().with("Expires", "0")),
        row("max_age_0_beats_expires", false, ok().cc("max-age=0").with("Expires", "{+60}")),
        row("max_age_beats_an_expires_of_its_date", true, fresh().date("{+0}").with("Expires", "{+0}")),
        row("public_with_max_age", true, ok().cc("public, max-age=60")),
        row("expires_in_the_future", true, ok().with("Expires", "{+60}")),
        row("expires_in_the_past", false, ok().with("Expires", "{-60}")),
        row("expires_at_its_date", false, ok().date("{+0}").with("Expires", "{+0}")),
        row("expires_without_a_date", true, ok().undated().with("Expires", "{+60}")),
        row("expires_past_without_a_date", false, ok().undated().with("Expires", "{-60}")),
        row("expires_beside_an_invalid_date", true, ok().date("now").with("Expires", "{+60}")),
        row(
            "expires_counts_from_date_of_a_fast_clock",
            true,
            ok().date("{+1000}").with("Expires", "{+1100}"),
        ),
        row("expires_before_date_of_a_fast_clock", false, ok().date("{+1000}").with("Expires", "{+500}")),
        row(
            "expires_counts_from_date_of_a_slow_clock",
            false,
            ok().date("{-1000}").with("Expires", "{-900}"),
        ),
        row("expires_counts_from_an_older_date", true, ok().date("{-50}").with("Expires", "{+100}")),
        row(
            "directives_beside_expires_do_not_hide_it",
            true,
            ok().cc("no-transform").with("Expires", "{+60}"),
        ),
        row("no_cache_beats_max_age", false, ok().cc("max-age=60, no-cache")),
        row("no_cache_beats_expires", false, ok().cc("no-cache").with("Expires", "{+60}")),
    ]
}

fn syntax() -> Vec<Case> {
    [
        ("capitals", true, "MAX-AGE=60"),
        ("mixed_case", true, "Max-aGe=60"),
        ("s_maxage_in_capitals", true, "S-MAXAGE=60, max-age=0"),
        ("leading_zeros", true, "max-age=007200"),
        ("a_quoted_value", true, "max-age=\"60\""),
        ("a_quoted_s_maxage", true, "s-maxage=\"60\", max-age=0"),
        ("a_quoted_zero", false, "max-age=\"0\""),
        ("single_quotes", false, "max-age='60'"),
        ("single_quotes_of_s_maxage_beat_max_age", false, "s-maxage='60', max-age=60"),
        ("a_negative_value", false, "max-age=-60"),
        ("a_signed_value", false, "max-age=+60"),
        ("a_float", false, "max-age=60.5"),
        ("an_exponent", false, "max-age=6e1"),
        ("hexadecimal", false, "max-age=0x60"),
        ("letters_after_digits", false, "max-age=60s"),
        ("letters_before_digits", false, "max-age=a60"),
        ("digits_apart", false, "max-age=6 0"),
        ("an_empty_value", false, "max-age="),
        ("no_value", false, "max-age"),
        ("an_empty_quoted_value", false, "max-age=\"\""),
        ("a_semicolon_after", false, "max-age=60;"),
        ("space_before_the_equals_sign", false, "max-age =60"),
        ("space_after_the_equals_sign", false, "max-age= 60"),
        ("an_invalid_s_maxage_beats_max_age", false, "s-maxage=x, max-age=60"),
        ("just_over_2_to_the_31", true, "max-age=2147483649"),
        ("over_2_to_the_32", true, "max-age=4294967297"),
        ("over_2_to_the_63", true, "max-age=9223372036854775809"),
        ("over_2_to_the_64", true, "max-age=18446744073709551617"),
        (
            "a_hundred_digits",
            true,
            concat!(
                "max-age=9999999999999999999999999999999999999999999999999",
                "999999999999999999999999999999999999999999999999999"
            ),
        ),
        ("the_first_of_two", true, "max-age=60, max-age=0"),
        ("the_first_of_two_is_0", false, "max-age=0, max-age=60"),
        ("the_first_of_two_s_maxages", true, "s-maxage=60, s-maxage=0"),
        ("an_invalid_first_of_two", false, "max-age=x, max-age=60"),
        ("empty_members", true, ", ,max-age=60,,"),
        ("tabs_around_commas", true, "public\t,\tmax-age=60\t"),
        ("no_space_after_the_comma", true, "public,max-age=60"),
        ("a_directive_that_ends_the_same", false, "x-max-age=60"),
        ("a_directive_that_begins_the_same", true, "max-age=60, max-aged=0, no-stores, privateer"),
        ("max_age_inside_quotes", false, "odd=\"max-age=60\""),
        ("no_store_inside_quotes", true, "odd=\"a, no-store, b\", max-age=60"),
        ("a_quote_escaped_inside_quotes", true, "odd=\"\\\", no-store, \", max-age=60"),
        ("a_backslash_escaped_inside_quotes", false, "odd=\"\\\\\", no-store, max-age=60"),
        ("a_comma_in_a_value_of_another", true, "odd=\"x,y\",max-age=60"),
        ("a_nameless_directive", true, "=60, max-age=60"),
    ]
    .into_iter()
    .map(|(name, is_reused, directives)| row(name, is_reused, ok().cc(directives)))
    .chain([row("an_invalid_max_age_beats_expires", false, ok().cc("max-age=x").with("Expires", "{+60}"))])
    .collect()
}

fn lines() -> Vec<Case> {
    vec![
        row("two_lines_are_one_list", true, ok().cc("public").cc("max-age=60")),
        row("the_first_line_counts", true, fresh().cc("max-age=0")),
        row("the_first_line_counts_if_it_is_0", false, ok().cc("max-age=0").cc("max-age=60")),
        row("no_cache_on_a_second_line", false, fresh().cc("no-cache")),
        row("an_empty_line_before", true, ok().cc("").cc("max-age=60")),
        row("the_first_expires_counts", true, ok().with("Expires", "{+60}").with("Expires", "{-60}")),
        row(
            "the_first_expires_counts_if_it_is_past",
            false,
            ok().with("Expires", "{-60}").with("Expires", "{+60}"),
        ),
    ]
}

fn at_use() -> Vec<Case> {
    vec![
        case(
            "s4_2_fresh_until_the_lifetime_is_used_up",
            [get().answer(ok().cc("max-age=4")), get().after(1500).hit(), get().after(3100).answer(fresh())],
        ),
        case(
            "s5_2_2_1_an_entry_without_validators_is_replaced_when_stale",
            [
                get().answer(ok().cc("max-age=1").undated()),
                get().after(2100).answer(fresh()).sees_no("If-None-Match").sees_no("If-Modified-Since"),
                get().hit_of(2),
            ],
        ),
        case(
            "s5_2_2_10_s_maxage_ends_too",
            [get().answer(ok().cc("s-maxage=1, max-age=60").undated()), get().after(2100).answer(fresh())],
        ),
        case(
            "s5_3_expires_ends_too",
            [get().answer(ok().with("Expires", "{+2}")), get().after(3100).answer(fresh())],
        ),
        case(
            "s5_2_2_4_no_cache_is_validated_each_time",
            [
                get().answer(ok().cc("no-cache, max-age=60").tag("\"a\"")),
                get().answer(not_modified().tag("\"a\"")).sees("If-None-Match", "\"a\""),
                get().answer(not_modified().tag("\"a\"")).sees("If-None-Match", "\"a\""),
            ],
        ),
        case(
            "s5_2_2_4_no_cache_without_a_validator_is_asked_for_anew",
            [
                get().answer(ok().cc("no-cache, max-age=60")),
                get().answer(fresh()).sees_no("If-None-Match").sees_no("If-Modified-Since"),
            ],
        ),
        case(
            "s4_2_1_max_age_0_with_a_validator_is_validated",
            [
                get().answer(ok().cc("max-age=0").tag("\"a\"")),
                get().answer(not_modified().tag("\"a\"").cc("max-age=0")).sees("If-None-Match", "\"a\""),
                get().answer(not_modified().tag("\"a\"").cc("max-age=60")).sees("If-None-Match", "\"a\""),
                get().hit(),
            ],
        ),
        reused("s5_4_pragma_in_a_response_means_nothing", fresh().with("Pragma", "no-cache")),
        reused("s5_5_warning_means_nothing", fresh().with("Warning", "110 - \"Response is Stale\"")),
    ]
}
