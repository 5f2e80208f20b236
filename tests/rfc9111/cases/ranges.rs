//! Ranges of whole entries: RFC 9110 §14 and §13.1.5.

use crate::answer::{Answer, fresh, not_modified, stale, status};
use crate::case::{Case, Step, case, get, head};

const WHOLE: &str = "0123456789";

pub(crate) fn cases() -> Vec<Case> {
    [single(), ignored(), several(), if_range(), beside()].concat()
}

fn stored() -> Answer {
    fresh().tag("\"a\"").modified(100_000).body(WHOLE)
}

/// A request for a range of the entry.
fn part(name: &str, second: Step) -> Case {
    case(format!("http_14_2_{name}"), [get().answer(stored()), second.hit()])
}

fn single() -> Vec<Case> {
    let rows = [
        ("the_first_byte", "bytes=0-0", "0", "bytes 0-0/10"),
        ("the_last_byte", "bytes=9-9", "9", "bytes 9-9/10"),
        ("some_bytes", "bytes=2-4", "234", "bytes 2-4/10"),
        ("all_bytes", "bytes=0-9", WHOLE, "bytes 0-9/10"),
        ("an_open_range", "bytes=7-", "789", "bytes 7-9/10"),
        ("an_open_range_from_the_start", "bytes=0-", WHOLE, "bytes 0-9/10"),
        ("a_suffix", "bytes=-3", "789", "bytes 7-9/10"),
        ("a_suffix_longer_than_the_whole", "bytes=-20", WHOLE, "bytes 0-9/10"),
        ("an_end_beyond_the_end", "bytes=8-100", "89", "bytes 8-9/10"),
        ("an_end_beyond_2_to_the_64", "bytes=8-99999999999999999999", "89", "bytes 8-9/10"),
        ("the_unit_in_capitals", "BYTES=2-4", "234", "bytes 2-4/10"),
    ];
    let mut cases: Vec<_> = rows
        .map(|(name, range, body, content_range)| {
            let second = get().range(range).status(206).body(body).is("Content-Range", content_range);
            part(name, second.is("Content-Length", &body.len().to_string()).is("ETag", "\"a\"").age(0..=5))
        })
        .into();
    for (name, range) in [
        ("a_range_after_the_end", "bytes=10-"),
        ("a_range_far_after_the_end", "bytes=100-200"),
        ("a_suffix_of_nothing", "bytes=-0"),
        ("two_ranges_after_the_end", "bytes=10-11, 20-"),
    ] {
        let second = get().range(range).status(416).is("Content-Range", "bytes */10").any_body();
        cases.push(part(&format!("{name}_is_416"), second));
    }
    cases
}

fn ignored() -> Vec<Case> {
    let mut cases: Vec<_> = [
        ("an_unknown_unit", "lines=0-1"),
        ("no_unit", "0-1"),
        ("no_range", "bytes="),
        ("letters", "bytes=a-b"),
        ("an_end_before_the_start", "bytes=5-2"),
        ("only_a_hyphen", "bytes=-"),
        ("a_negative_start", "bytes=--3"),
        ("no_hyphen", "bytes=5"),
        ("an_invalid_one_among_others", "bytes=0-1, x"),
    ]
    .map(|(name, range)| {
        part(
            &format!("{name}_is_ignored"),
            get().range(range).status(200).body(WHOLE).absent("Content-Range"),
        )
    })
    .into();
    cases.push(part("head_has_no_ranges", head().range("bytes=0-1").status(200).is("Content-Length", "10")));
    cases.push(case(
        "http_14_2_only_a_200_has_ranges",
        [
            get().answer(status(404).cc("max-age=60").body(WHOLE)),
            get().range("bytes=0-1").hit().status(404).body(WHOLE),
        ],
    ));
    cases
}

fn several() -> Vec<Case> {
    let many: Vec<_> = (0..200).map(|number| format!("{}-{}", number * 2, number * 2)).collect();
    let overlapping = ["0-"; 200].join(",");
    let big = "0123456789".repeat(1000);
    let limited = |name: &str, ranges: &str| {
        case(
            format!("http_17_15_{name}_are_limited"),
            [
                get().answer(fresh().body(&big)),
                get()
                    .range(&format!("bytes={ranges}"))
                    .hit()
                    .status_in(&[200, 206, 416])
                    .any_body()
                    .body_at_most(30_000),
            ],
        )
    };
    vec![
        part(
            "two_ranges_come_in_two_parts",
            get()
                .range("bytes=0-1,8-9")
                .status(206)
                .has("Content-Type", "multipart/byteranges; boundary=")
                .absent("Content-Range")
                .any_body()
                .body_has("bytes 0-1/10\r\n")
                .body_has("\r\n\r\n01\r\n--")
                .body_has("bytes 8-9/10\r\n")
                .body_has("\r\n\r\n89\r\n--"),
        ),
        part(
            "spaces_between_ranges",
            get()
                .range("bytes=0-1 , -1")
                .status(206)
                .any_body()
                .body_has("bytes 0-1/10")
                .body_has("bytes 9-9/10"),
        ),
        part(
            "parts_have_the_type_of_the_whole",
            get().range("bytes=0-1,8-9").status(206).any_body().body_has("\r\n\r\n01\r\n"),
        ),
        part(
            "one_satisfiable_range_of_two",
            get().range("bytes=2-4,50-60").status(206).any_body().body_has("234"),
        ),
        limited("many_ranges", &many.join(",")),
        limited("overlapping_ranges", &overlapping),
    ]
}

fn if_range() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, value, holds) in [
        ("the_strong_tag", "\"a\"", true),
        ("another_tag", "\"b\"", false),
        ("the_tag_made_weak", "W/\"a\"", false),
        ("a_list_of_tags", "\"a\", \"b\"", false),
        ("a_tag_without_quotes", "a", false),
        ("last_modified_a_day_old", "{-100000}", true),
        ("a_later_date", "{-50000}", false),
        ("an_earlier_date", "{-150000}", false),
    ] {
        let second = get().range("bytes=2-4").with("If-Range", value);
        let second = if holds { second.status(206).body("234") } else { second.status(200).body(WHOLE) };
        cases.push(part(&format!("if_range_{name}"), second));
    }
    cases.extend([
        case(
            "http_13_1_5_if_range_never_takes_a_weak_tag",
            [
                get().answer(fresh().tag("W/\"a\"").body(WHOLE)),
                get().range("bytes=2-4").with("If-Range", "W/\"a\"").hit().status(200).body(WHOLE),
            ],
        ),
        case(
            "http_13_1_5_if_range_never_takes_a_young_date",
            [
                get().answer(fresh().date("{+0}").with("Last-Modified", "{+0}").body(WHOLE)),
                get().range("bytes=2-4").with("If-Range", "{+0}").hit().status(200).body(WHOLE),
            ],
        ),
        part("if_range_without_range_is_ignored", get().with("If-Range", "\"b\"").status(200).body(WHOLE)),
    ]);
    cases
}

fn beside() -> Vec<Case> {
    vec![
        part(
            "if_none_match_that_holds_comes_before_range",
            get().range("bytes=2-4").with("If-None-Match", "\"a\"").status(304),
        ),
        part(
            "if_none_match_that_does_not_hold_leaves_range",
            get().range("bytes=2-4").with("If-None-Match", "\"b\"").status(206).body("234"),
        ),
        case(
            "http_14_2_the_whole_in_answer_to_a_range_is_stored",
            [
                get().range("bytes=2-4").answer(stored()).status(200).body(WHOLE),
                get().hit().body(WHOLE),
                get().range("bytes=5-6").hit().status(206).body("56"),
            ],
        ),
        case(
            "http_14_2_a_stale_entry_is_validated_before_its_range_is_used",
            [
                get().answer(stale("").body(WHOLE)),
                get()
                    .range("bytes=2-4")
                    .answer(not_modified().tag("\"a\"").cc("max-age=60"))
                    .sees("If-None-Match", "\"a\"")
                    .status(206)
                    .body("234")
                    .is("Content-Range", "bytes 2-4/10"),
            ],
        ),
        case(
            "http_14_2_a_range_of_a_body_ended_by_close",
            [
                get().answer(fresh().body(WHOLE).framed(crate::answer::Framing::Close)),
                get().range("bytes=2-4").hit().status(206).body("234").is("Content-Range", "bytes 2-4/10"),
            ],
        ),
    ]
}
