//! Dates: RFC 9111 §4.2 and §5.3, RFC 9110 §5.6.7.

use crate::answer::{fresh, ok};
use crate::case::{Case, case, get, not_reused, reused};

/// A little less and more than fifty years, in seconds.
const YEARS_49: &str = "{850:+1546300800}";
const YEARS_60: &str = "{850:+1893456000}";

pub(crate) fn cases() -> Vec<Case> {
    [expires(), others()].concat()
}

fn expires() -> Vec<Case> {
    let rows = [
        ("imf_fixdate", true, "{+86400}"),
        ("rfc_850", true, "{850:+86400}"),
        ("asctime", true, "{asctime:+86400}"),
        ("asctime_of_a_day_of_one_digit", true, "Fri Jan  1 00:00:00 2100"),
        ("small_letters", true, "{lower:+86400}"),
        ("capitals", true, "{upper:+86400}"),
        ("rfc_850_in_the_past", false, "{850:-86400}"),
        ("asctime_in_the_past", false, "{asctime:-86400}"),
        ("two_digits_within_50_years", true, YEARS_49),
        ("two_digits_beyond_50_years_are_past", false, YEARS_60),
        ("the_wrong_day_name", true, "Mon, 01 Jan 2100 00:00:00 GMT"),
        ("the_year_9999", true, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ("the_year_1970", false, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("the_year_1", false, "Mon, 01 Jan 0001 00:00:00 GMT"),
        ("zero", false, "0"),
        ("minus_one", false, "-1"),
        ("an_empty_value", false, ""),
        ("a_word", false, "never"),
        ("seconds_of_the_epoch", false, "4102444800"),
        ("iso_8601", false, "2100-01-01T00:00:00Z"),
        ("utc", false, "{+86400|GMT|UTC}"),
        ("an_offset", false, "{+86400|GMT|+0000}"),
        ("another_zone", false, "{+86400|GMT|EST}"),
        ("no_zone", false, "{+86400| GMT|}"),
        ("a_zone_after_asctime", false, "Fri Jan  1 00:00:00 2100 GMT"),
        ("no_day_name", false, "01 Jan 2100 00:00:00 GMT"),
        ("no_comma", false, "Fri 01 Jan 2100 00:00:00 GMT"),
        ("a_day_of_one_digit", false, "Fri, 1 Jan 2100 00:00:00 GMT"),
        ("an_hour_of_one_digit", false, "Fri, 01 Jan 2100 0:00:00 GMT"),
        ("a_year_of_two_digits", false, "Fri, 01 Jan 30 00:00:00 GMT"),
        ("a_year_of_five_digits", false, "Fri, 01 Jan 21000 00:00:00 GMT"),
        ("rfc_850_of_four_digits", false, "Friday, 01-Jan-2100 00:00:00 GMT"),
        ("hyphens", false, "Fri, 01-Jan-2100 00:00:00 GMT"),
        ("two_spaces", false, "{+86400|GMT| GMT}"),
        ("no_seconds", false, "Fri, 01 Jan 2100 00:00 GMT"),
        ("hour_25", false, "Fri, 01 Jan 2100 25:00:00 GMT"),
        ("minute_60", false, "Fri, 01 Jan 2100 00:60:00 GMT"),
        ("no_such_day", false, "Tue, 30 Feb 2100 00:00:00 GMT"),
        ("no_leap_year", false, "Mon, 29 Feb 2100 00:00:00 GMT"),
        ("no_such_month", false, "Fri, 01 Foo 2100 00:00:00 GMT"),
        ("text_after", false, "{+86400|GMT|GMT x}"),
        ("text_before", false, "x {+86400}"),
        ("quotes", false, "\"{+86400}\""),
    ];
    rows.map(|(name, is_fresh, date)| {
        let (name, answer) = (format!("s5_3_expires_{name}"), ok().with("Expires", date));
        if is_fresh { reused(name, answer) } else { not_reused(name, answer) }
    })
    .into()
}

fn others() -> Vec<Case> {
    vec![
        case(
            "s4_2_3_a_date_in_rfc_850_counts",
            [get().answer(fresh().date("{850:-30}")), get().hit().age(30..=40)],
        ),
        case(
            "s4_2_3_a_date_in_asctime_counts",
            [get().answer(fresh().date("{asctime:-30}")), get().hit().age(30..=40)],
        ),
        case(
            "s4_2_3_a_date_in_small_letters_counts",
            [get().answer(fresh().date("{lower:-30}")), get().hit().age(30..=40)],
        ),
        case(
            "s4_2_3_an_invalid_date_is_the_time_of_receipt",
            [get().answer(fresh().date("{-30|GMT|UTC}")), get().hit().age(0..=5)],
        ),
        not_reused(
            "s4_2_2_no_heuristics_from_a_last_modified_of_another_zone",
            ok().with("Last-Modified", "{-864000|GMT|UTC}"),
        ),
        reused("s4_2_2_last_modified_in_rfc_850", ok().with("Last-Modified", "{850:-864000}")),
        reused("s4_2_2_last_modified_in_asctime", ok().with("Last-Modified", "{asctime:-864000}")),
    ]
}
