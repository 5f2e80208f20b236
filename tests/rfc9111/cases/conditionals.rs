//! Preconditions of clients: RFC 9111 §4.3.2, RFC 9110 §13.

use crate::answer::{Answer, fresh, not_modified, ok, status};
use crate::case::{Case, case, get, head};

pub(crate) fn cases() -> Vec<Case> {
    [tags(), dates(), forwarded()].concat()
}

fn tags() -> Vec<Case> {
    // The entry's tag, the lines of If-None-Match, and whether they match.
    let rows: [(&str, &str, &[&str], bool); 24] = [
        ("the_same_tag", "\"a\"", &["\"a\""], true),
        ("another_tag", "\"a\"", &["\"b\""], false),
        ("the_case_of_a_tag", "\"a\"", &["\"A\""], false),
        ("weak_against_strong", "\"a\"", &["W/\"a\""], true),
        ("strong_against_weak", "W/\"a\"", &["\"a\""], true),
        ("weak_against_weak", "W/\"a\"", &["W/\"a\""], true),
        ("the_last_of_a_list", "\"a\"", &["\"x\", \"y\", \"a\""], true),
        ("the_first_of_a_list", "\"a\"", &["\"a\", \"y\""], true),
        ("a_list_without_spaces", "\"a\"", &["\"x\",W/\"a\",\"y\""], true),
        ("none_of_a_list", "\"a\"", &["\"x\", \"y\""], false),
        ("a_second_line", "\"a\"", &["\"x\"", "\"a\""], true),
        ("empty_members", "\"a\"", &[", \"x\",, \"a\","], true),
        ("a_star", "\"a\"", &["*"], true),
        ("a_quoted_star", "\"a\"", &["\"*\""], false),
        ("a_comma_inside_a_tag", "\"a,b\"", &["\"a,b\""], true),
        ("a_part_of_a_tag_with_a_comma", "\"b\"", &["\"a,b\""], false),
        ("an_empty_tag", "\"\"", &["\"\""], true),
        ("a_tag_without_quotes", "\"a\"", &["a"], false),
        ("a_tag_with_one_quote", "\"a\"", &["\"a"], false),
        ("a_small_w", "\"a\"", &["w/\"a\""], false),
        ("odd_characters", "\"!#~/=\"", &["\"!#~/=\""], true),
        ("a_backslash_is_itself", "\"a\\b\"", &["\"a\\b\""], true),
        ("a_prefix_of_a_tag", "\"ab\"", &["\"a\""], false),
        ("spaces_around", "\"a\"", &["  \"a\"  "], true),
    ];
    let mut cases: Vec<_> = rows
        .into_iter()
        .map(|(name, tag, lines, matches)| {
            let second = lines.iter().fold(get(), |step, line| step.with("If-None-Match", line)).hit();
            let second = if matches { second.status(304).is("ETag", tag) } else { second.status(200) };
            case(format!("s4_3_2_if_none_match_{name}"), [get().answer(fresh().tag(tag)), second])
        })
        .collect();
    let both = || fresh().tag("\"a\"").modified(1000);
    cases.extend([
        case(
            "s4_3_2_if_none_match_beats_if_modified_since_that_holds",
            [
                get().answer(both()),
                get().with("If-None-Match", "\"b\"").with("If-Modified-Since", "{-1000}").hit().status(200),
            ],
        ),
        case(
            "s4_3_2_if_none_match_beats_if_modified_since_that_does_not",
            [
                get().answer(both()),
                get().with("If-None-Match", "\"a\"").with("If-Modified-Since", "{-5000}").hit().status(304),
            ],
        ),
        case(
            "s4_3_2_a_star_matches_without_a_tag",
            [get().answer(fresh()), get().with("If-None-Match", "*").hit().status(304)],
        ),
        case(
            "s4_3_2_a_tag_does_not_match_where_there_is_none",
            [get().answer(fresh()), get().with("If-None-Match", "\"a\"").hit().status(200)],
        ),
        case(
            "s4_3_2_head_gets_304_too",
            [get().answer(both()), head().with("If-None-Match", "\"a\"").hit().status(304)],
        ),
        case(
            "http_15_4_5_a_304_has_the_fields_that_it_must",
            [
                get().answer(
                    both().with("Vary", "X-Odd").with("Expires", "{+60}").with("Content-Location", "{path}"),
                ),
                get()
                    .with("If-None-Match", "\"a\"")
                    .hit()
                    .status(304)
                    .is("ETag", "\"a\"")
                    .is("Cache-Control", "max-age=60")
                    .is("Vary", "X-Odd")
                    .is("Expires", "{+60}")
                    .is("Content-Location", "{path}")
                    .has("Date", "GMT")
                    .age(0..=5)
                    .told("hit"),
            ],
        ),
        case(
            "http_13_1_preconditions_are_for_200_only",
            [
                get().answer(status(404).cc("max-age=60").tag("\"a\"")),
                get().with("If-None-Match", "\"a\"").hit().status(404),
            ],
        ),
    ]);
    cases
}

fn dates() -> Vec<Case> {
    let modified = || fresh().modified(1000);
    let undated = || fresh().date("{-30}");
    // The entry, If-Modified-Since, and whether the answer is 304.
    let rows: [(&str, Answer, &str, bool); 16] = [
        ("last_modified_itself", modified(), "{-1000}", true),
        ("later_than_last_modified", modified(), "{-500}", true),
        ("earlier_than_last_modified", modified(), "{-1500}", false),
        ("a_second_earlier", modified(), "{-1001}", false),
        ("last_modified_in_rfc_850", modified(), "{850:-1000}", true),
        ("last_modified_in_asctime", modified(), "{asctime:-1000}", true),
        ("earlier_in_asctime", modified(), "{asctime:-1500}", false),
        ("a_date_by_date", undated(), "{-30}", true),
        ("a_later_date_by_date", undated(), "{-10}", true),
        ("an_earlier_date_by_date", undated(), "{-60}", false),
        ("a_word", modified(), "yesterday", false),
        ("an_empty_value", modified(), "", false),
        ("zero", modified(), "0", false),
        ("iso_8601", modified(), "2100-01-01T00:00:00Z", false),
        ("an_invalid_date_by_date", undated(), "tomorrow", false),
        ("last_modified_that_beats_date", fresh().modified(100).date("{-30}"), "{-200}", false),
    ];
    rows.into_iter()
        .map(|(name, answer, date, matches)| {
            let second = get().with("If-Modified-Since", date).hit();
            let second = second.status(if matches { 304 } else { 200 });
            case(format!("s4_3_2_if_modified_since_{name}"), [get().answer(answer), second])
        })
        .collect()
}

fn forwarded() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, field, value, code) in [
        ("if_none_match", "If-None-Match", "\"a\"", 304),
        ("if_modified_since", "If-Modified-Since", "{-1000}", 304),
        ("if_match", "If-Match", "\"a\"", 412),
        ("if_unmodified_since", "If-Unmodified-Since", "{-1000}", 412),
    ] {
        cases.push(case(
            format!("s4_3_2_{name}_goes_on_where_nothing_is_stored"),
            [
                get()
                    .with(field, value)
                    .answer(status(code).cc("max-age=60").tag("\"a\"").modified(1000))
                    .sees(field, value)
                    .status(code)
                    .any_body(),
                get().answer(fresh()).sees_no(field),
                get().hit(),
            ],
        ));
        let answered = get().with(field, value).answer(fresh().tag("\"b\"")).sees(field, value);
        cases.push(match code {
            304 => case(format!("s4_3_2_a_200_to_{name}_is_stored"), [answered, get().hit()]),
            // It goes past the cache.
            _ => case(format!("s4_3_2_a_200_to_{name}_is_not_stored"), [answered, get().answer(fresh())]),
        });
    }
    for (name, field, value) in
        [("if_match", "If-Match", "\"b\""), ("if_unmodified_since", "If-Unmodified-Since", "{-5000}")]
    {
        cases.push(case(
            format!("s4_3_2_{name}_is_for_the_origin"),
            [
                get().answer(fresh().tag("\"a\"").modified(1000)),
                get().with(field, value).answer(status(412)).sees(field, value).status(412),
                get().hit_of(1),
            ],
        ));
    }
    cases.extend([
        case(
            "s4_3_2_a_412_with_freshness_is_not_stored",
            [
                get().with("If-Match", "\"x\"").answer(status(412).cc("max-age=60")).status(412),
                get().answer(fresh()),
            ],
        ),
        case(
            "s4_3_2_the_304_on_a_miss_is_the_clients",
            [get()
                .with("If-None-Match", "\"z\"")
                .answer(not_modified().tag("\"z\"").with("X-Own", "1"))
                .status(304)
                .is("ETag", "\"z\"")
                .is("X-Own", "1")],
        ),
        case(
            "s4_3_2_a_precondition_on_a_miss_does_not_spoil_the_entry",
            [
                get().with("If-None-Match", "\"z\"").answer(ok().cc("max-age=60").tag("\"a\"")),
                get().with("If-None-Match", "\"a\"").hit().status(304),
                get().with("If-None-Match", "\"z\"").hit().status(200),
            ],
        ),
    ]);
    cases
}
