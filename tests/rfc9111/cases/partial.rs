//! Parts that were stored as parts: RFC 9111 §3.3 and §3.4, RFC 9110 §15.3.7.

use crate::answer::{Answer, Framing, fresh, ok, status};
use crate::case::{Case, Check, case, get, head};

pub(crate) fn cases() -> Vec<Case> {
    [reuse(), refused(), combined(), newest()].concat()
}

/// `first..=last` of `whole` under a tag, fresh.
pub(super) fn part(whole: &str, first: usize, last: usize, tag: &str) -> Answer {
    status(206)
        .cc("max-age=60")
        .tag(tag)
        .with("Content-Range", &format!("bytes {first}-{last}/{}", whole.len()))
        .body(&whole[first..=last])
}

const WHOLE: &str = "0123456789";

/// The first half.
fn half() -> Answer {
    part(WHOLE, 0, 4, "\"a\"")
}

fn reuse() -> Vec<Case> {
    let start = || get().range("bytes=0-4").answer(half()).status(206).sees("Range", "bytes=0-4");
    vec![
        case(
            "s3_3_a_part_answers_the_same_range",
            [
                start(),
                get().range("bytes=0-4").hit().status(206).body("01234").is("Content-Range", "bytes 0-4/10"),
            ],
        ),
        case(
            "s3_3_a_part_answers_a_range_inside_it",
            [
                start(),
                get().range("bytes=1-3").hit().status(206).body("123").is("Content-Range", "bytes 1-3/10"),
            ],
        ),
        case(
            "s3_3_a_part_answers_its_own_last_byte",
            [
                start(),
                get().range("bytes=4-4").hit().status(206).body("4").is("Content-Range", "bytes 4-4/10"),
            ],
        ),
        case(
            "s3_3_a_suffix_as_it_came",
            [
                get().range("bytes=-5").answer(part(WHOLE, 5, 9, "\"a\"")),
                get().range("bytes=-5").hit().status(206).body("56789").is("Content-Range", "bytes 5-9/10"),
            ],
        ),
        case(
            "s3_3_an_open_range_as_it_came",
            [
                get().range("bytes=5-").answer(part(WHOLE, 5, 9, "\"a\"")),
                get().range("bytes=5-").hit().status(206).body("56789").is("Content-Range", "bytes 5-9/10"),
            ],
        ),
        case(
            "s3_3_a_part_without_validators_answers_the_same_range",
            [
                get()
                    .range("bytes=0-4")
                    .answer(status(206).cc("max-age=60").with("Content-Range", "bytes 0-4/10").body("01234")),
                get().range("bytes=0-4").hit().status(206).body("01234"),
            ],
        ),
        case(
            "s3_3_a_part_does_not_answer_another_range",
            [start(), get().range("bytes=5-9").answer(part(WHOLE, 5, 9, "\"a\"")).status(206).body("56789")],
        ),
        case(
            "s3_3_a_part_does_not_answer_a_range_that_goes_on",
            [start(), get().range("bytes=3-6").answer(part(WHOLE, 3, 6, "\"a\"")).status(206).body("3456")],
        ),
        case(
            "s3_3_a_part_does_not_answer_an_open_range",
            [
                start(),
                get().range("bytes=2-").answer(part(WHOLE, 2, 9, "\"a\"")).status(206).body("23456789"),
            ],
        ),
        case(
            "s3_3_a_part_is_never_the_whole",
            [
                start(),
                get()
                    .answer(fresh().tag("\"a\"").body(WHOLE).or_with("Range", part(WHOLE, 5, 9, "\"a\"")))
                    .status(200)
                    .body(WHOLE)
                    .absent("Content-Range"),
            ],
        ),
        case(
            "s3_3_a_part_is_no_answer_to_head",
            [start(), head().answer(fresh().tag("\"a\"").body(WHOLE)).status(200)],
        ),
        case(
            "s3_3_a_part_is_not_used_past_another_if_range",
            [
                start(),
                get()
                    .range("bytes=0-4")
                    .with("If-Range", "\"b\"")
                    .answer(fresh().tag("\"c\"").body(WHOLE))
                    .sees("If-Range", "\"b\"")
                    .status(200)
                    .body(WHOLE),
            ],
        ),
        case(
            "s3_3_a_used_up_part_is_asked_for_again",
            [
                get().range("bytes=0-4").answer(half().with("Age", "100")),
                get()
                    .range("bytes=0-4")
                    .answer(half().with("X-New", "1"))
                    .status(206)
                    .body("01234")
                    .is("X-New", "1"),
            ],
        ),
        case(
            "s4_3_2_a_parts_tag_is_not_sent_for_the_whole",
            [
                get().range("bytes=0-4").answer(half().with("Age", "100")),
                get()
                    .answer(fresh().tag("\"a\"").body(WHOLE).or_with("Range", part(WHOLE, 5, 9, "\"a\"")))
                    .sees_no("If-None-Match")
                    .status(200)
                    .body(WHOLE),
            ],
        ),
    ]
}

fn refused() -> Vec<Case> {
    let start = |answer: Answer| get().range("bytes=0-4").answer(answer);
    let again = || get().range("bytes=0-4").answer(half()).status(206);
    vec![
        case(
            "s3_3_a_part_without_content_range_is_not_reused",
            [start(status(206).cc("max-age=60").tag("\"a\"").body("01234")), again()],
        ),
        case(
            "s3_3_a_part_of_an_unknown_unit_is_not_reused",
            [
                start(
                    status(206)
                        .cc("max-age=60")
                        .tag("\"a\"")
                        .with("Content-Range", "lines 0-4/10")
                        .body("01234"),
                ),
                again(),
            ],
        ),
        case(
            "s3_3_a_part_shorter_than_it_says_is_trusted_for_its_bytes_at_most",
            [
                start(
                    status(206)
                        .cc("max-age=60")
                        .tag("\"a\"")
                        .with("Content-Range", "bytes 0-9/10")
                        .body("01234"),
                ),
                get().range("bytes=5-9").answer(part(WHOLE, 5, 9, "\"a\"")).status(206).body("56789"),
            ],
        ),
        case(
            "s3_3_a_part_cut_short_is_not_taken_for_whole",
            [
                start(half().framed(Framing::Short)).fails(),
                get().range("bytes=0-4").answer(half()).or_not().status(206).body("01234"),
            ],
        ),
        case(
            "s3_3_several_parts_are_not_one",
            [
                get().range("bytes=0-1,4-5").answer(
                    status(206)
                        .cc("max-age=60")
                        .tag("\"a\"")
                        .with("Content-Type", "multipart/byteranges; boundary=X")
                        .body("--X\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--X--\r\n"),
                ),
                get().range("bytes=0-1").answer(part(WHOLE, 0, 1, "\"a\"")).status(206).body("01"),
            ],
        ),
        case(
            "s3_3_a_part_that_nobody_asked_for_is_not_the_whole",
            [
                get().answer(half()).status_in(&[206, 502]).any_body(),
                get().answer(fresh().body(WHOLE)).status(200).body(WHOLE),
            ],
        ),
        case("s3_3_no_store_parts_are_not_stored", [start(half().cc("no-store")), again()]),
        case(
            "s3_5_parts_with_authorization_are_not_reused",
            [get().range("bytes=0-4").with("Authorization", "Basic YTpi").answer(half()), again()],
        ),
        case(
            "http_15_5_17_a_416_of_the_origin_is_no_answer_to_others",
            [
                get().range("bytes=50-").answer(status(416).with("Content-Range", "bytes */10")).status(416),
                get().answer(fresh().body(WHOLE)).status(200).body(WHOLE),
            ],
        ),
        case(
            "s3_3_an_incomplete_200_is_no_whole_answer",
            [
                get().answer(fresh().tag("\"a\"").body(WHOLE).framed(Framing::Short)).fails(),
                get().answer(fresh().tag("\"b\"").body("other")).status(200).body("other"),
            ],
        ),
    ]
}

fn combined() -> Vec<Case> {
    let halves = |first: Answer, second: Answer| {
        [
            get().range("bytes=0-4").answer(first).status(206),
            get().range("bytes=5-9").answer(second).status(206),
        ]
    };
    let then = |halves: [crate::case::Step; 2], last: crate::case::Step| halves.into_iter().chain([last]);
    vec![
        case(
            "s3_4_parts_under_one_strong_tag_may_be_combined",
            then(
                halves(half(), part(WHOLE, 5, 9, "\"a\"")),
                get()
                    .answer(fresh().tag("\"a\"").body(WHOLE).or_with("Range", part(WHOLE, 0, 9, "\"a\"")))
                    .or_not()
                    .status(200)
                    .body(WHOLE)
                    .absent("Content-Range"),
            ),
        ),
        case(
            "s3_4_parts_under_two_tags_are_not_combined",
            then(
                halves(part("aaaaaaaaaa", 0, 4, "\"a\""), part("bbbbbbbbbb", 5, 9, "\"b\"")),
                get().answer(fresh().tag("\"b\"").body("bbbbbbbbbb")).status(200).body("bbbbbbbbbb"),
            ),
        ),
        case(
            "s3_4_parts_under_a_weak_tag_are_not_combined",
            then(
                halves(part("aaaaaaaaaa", 0, 4, "W/\"w\""), part("bbbbbbbbbb", 5, 9, "W/\"w\"")),
                get()
                    .answer(fresh().tag("W/\"w\"").body("cccccccccc"))
                    .sees_no("Range")
                    .status(200)
                    .body("cccccccccc"),
            ),
        ),
        case(
            "s3_4_parts_without_validators_are_not_combined",
            then(
                halves(
                    status(206).cc("max-age=60").with("Content-Range", "bytes 0-4/10").body("aaaaa"),
                    status(206).cc("max-age=60").with("Content-Range", "bytes 5-9/10").body("bbbbb"),
                ),
                get().answer(fresh().body("cccccccccc")).sees_no("Range").status(200).body("cccccccccc"),
            ),
        ),
        case(
            "s3_3_a_part_is_completed_only_under_its_tag",
            [
                get().range("bytes=0-4").answer(part("aaaaaaaaaa", 0, 4, "\"a\"")),
                get().answer(fresh().tag("\"b\"").body("bbbbbbbbbb")).status(200).body("bbbbbbbbbb"),
                get().hit().body("bbbbbbbbbb"),
            ],
        ),
        case(
            "s3_4_what_asks_for_the_rest_names_the_tag",
            [
                get().range("bytes=0-4").answer(half()),
                get()
                    .answer(fresh().tag("\"a\"").body(WHOLE).or_with("If-Range", part(WHOLE, 5, 9, "\"a\"")))
                    .sees_at(0, Check::Lacks("If-Range", "W/".into()))
                    .status(200)
                    .body(WHOLE),
                get().hit().body(WHOLE).status(200),
            ],
        ),
    ]
}

/// Of a part and a whole that aren't of one representation, the one that came last answers: RFC 9111 §4.
fn newest() -> Vec<Case> {
    let old = || ok().cc("max-age=3600").body(WHOLE);
    let new = || status(206).cc("max-age=3600").with("Content-Range", "bytes 0-4/10").body("abcde");
    let asks = || get().range("bytes=0-4");
    let then = || part("bbbbbbbbbb", 0, 4, "\"b\"");
    let once = |tag: &str| ok().cc("max-age=1").tag(tag);
    vec![
        case(
            "s4_a_newer_part_answers_before_an_older_whole",
            [
                get().answer(old()),
                asks().cc("no-cache").answer(new()).status(206).body("abcde"),
                asks().hit().status(206).body("abcde"),
                get().range("bytes=2-7").hit_of(1).status(206).body("234567"),
                get().hit_of(1).status(200).body(WHOLE),
            ],
        )
        .in_memory(),
        case(
            "s4_a_part_lets_go_of_an_older_whole_of_another_tag",
            [
                get().answer(fresh().tag("\"a\"").body(WHOLE)),
                asks().cc("no-cache").answer(then()).status(206).body("bbbbb"),
                asks().hit().status(206).body("bbbbb"),
            ],
        )
        .alone(),
        case(
            "s4_a_newer_part_answers_before_a_whole_that_came_stale",
            [
                get()
                    .answer(ok().cc("max-age=60, stale-while-revalidate=600").with("Age", "100").body(WHOLE)),
                asks().cc("no-cache").answer(new()).status(206).body("abcde"),
                asks().hit().status(206).body("abcde"),
            ],
        )
        .in_memory(),
        case(
            "s4_a_part_leaves_the_whole_of_its_tag",
            [
                get().answer(fresh().tag("\"a\"").body(WHOLE)),
                asks().cc("no-cache").answer(half()).status(206).body("01234"),
                get().hit_of(1).status(200).body(WHOLE),
            ],
        ),
        case(
            "s4_a_part_that_is_not_stored_leaves_the_whole",
            [
                get().answer(fresh().body(WHOLE)),
                asks().cc("no-cache").answer(new().cc("no-store")).status(206).body("abcde"),
                get().hit_of(1).status(200).body(WHOLE),
            ],
        ),
        case(
            "s4_a_whole_lets_go_of_an_older_part",
            [
                asks().answer(half().cc("max-age=3600")),
                get().cc("no-cache").answer(once("\"b\"").body("bbbbbbbbbb")).status(200),
                asks().after(1500).answer(then()).status(206).body("bbbbb"),
            ],
        ),
        case(
            "s4_a_whole_without_a_tag_lets_go_of_an_older_part",
            [
                asks().answer(new()),
                get().cc("no-cache").answer(ok().cc("max-age=1").body("bbbbbbbbbb")).status(200),
                asks().after(1500).answer(then()).status(206).body("bbbbb"),
            ],
        ),
        case(
            "s4_a_whole_leaves_the_part_of_its_tag",
            [
                asks().answer(half()),
                get().cc("no-cache").answer(once("\"a\"").body(WHOLE)).status(200),
                asks().after(1500).hit_of(1).status(206).body("01234"),
            ],
        ),
    ]
}
