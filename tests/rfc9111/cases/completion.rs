//! Parts that are made whole: RFC 9111 §3.3 and §3.4, RFC 9110 §15.3.7.3.

use super::partial::part;
use crate::answer::{Answer, Framing, closes, fresh, ok, status};
use crate::case::{Case, Check, Step, case, get, head};

pub(super) const WHOLE: &str = "0123456789";

pub(crate) fn cases() -> Vec<Case> {
    [completed(), not_completed(), overtaken(), combined()].concat()
}

/// `first..=last` under `"a"`.
pub(super) fn piece(first: usize, last: usize) -> Answer {
    part(WHOLE, first, last, "\"a\"")
}

/// `first..=last` without a tag, last modified so many seconds ago.
fn dated(first: usize, last: usize, seconds: u64) -> Answer {
    let range = format!("bytes {first}-{last}/10");
    status(206).cc("max-age=60").modified(seconds).with("Content-Range", &range).body(&WHOLE[first..=last])
}

/// The first half is stored, and the whole is asked for.
fn over(name: &str, steps: impl IntoIterator<Item = Step>) -> Case {
    let first = get().range("bytes=0-4").answer(piece(0, 4));
    case(name, [first].into_iter().chain(steps)).in_memory()
}

/// What asks for the rest.
fn rest(answer: Answer) -> Step {
    get().answer(answer).sees("Range", "bytes=5-").sees("If-Range", "\"a\"")
}

/// What asks for the rest, gets this, and asks once more for the whole.
fn again(name: &str, answer: Answer) -> Case {
    let whole = fresh().tag("\"b\"").body("another");
    let second = rest(answer).answer(whole).status(200).body("another").absent("Content-Range");
    let plain = second.sees_at(1, Check::Absent("Range")).sees_at(1, Check::Absent("If-Range"));
    over(name, [plain, get().hit_of(3).status(200).body("another").absent("Content-Range")])
}

fn completed() -> Vec<Case> {
    let whole = || get().hit().status(200).body(WHOLE).absent("Content-Range");
    vec![
        over(
            "s3_4_the_rest_completes_a_part",
            [
                rest(piece(5, 9))
                    .status(200)
                    .body(WHOLE)
                    .absent("Content-Range")
                    .is("Content-Length", "10")
                    .is("ETag", "\"a\"")
                    .told("fwd=partial")
                    .told("fwd-status=206"),
                whole().is("Content-Length", "10").is("ETag", "\"a\""),
                get().range("bytes=3-6").hit().status(206).body("3456").is("Content-Range", "bytes 3-6/10"),
                head().hit().status(200).is("Content-Length", "10").absent("Content-Range"),
            ],
        ),
        case(
            "s3_4_the_start_completes_a_part",
            [
                get().range("bytes=5-9").answer(piece(5, 9)),
                get()
                    .answer(piece(0, 4))
                    .sees("Range", "bytes=0-4")
                    .sees("If-Range", "\"a\"")
                    .status(200)
                    .body(WHOLE),
                whole(),
            ],
        )
        .in_memory(),
        over(
            "s3_4_a_rest_of_more_than_is_missing_completes",
            [rest(piece(3, 9)).status(200).body(WHOLE), whole()],
        ),
        over(
            "s3_4_a_chunked_rest_completes",
            [rest(piece(5, 9).framed(Framing::Chunked)).status(200).body(WHOLE), whole()],
        ),
        case(
            "s3_4_the_rest_completes_a_stale_part",
            [
                get().range("bytes=0-4").answer(piece(0, 4).with("Age", "100")),
                rest(piece(5, 9)).status(200).body(WHOLE).absent("Content-Range"),
                whole().age(0..=10),
            ],
        )
        .in_memory(),
        case(
            "s3_4_a_200_in_place_of_the_rest_replaces_a_stale_part",
            [
                get().range("bytes=0-4").answer(piece(0, 4).with("Age", "100")),
                rest(fresh().tag("\"b\"").body("other")).status(200).body("other"),
                get().hit().status(200).body("other"),
            ],
        )
        .in_memory(),
        over(
            "s3_4_the_newer_fields_count",
            [
                rest(piece(5, 9).with("X-New", "1").cc("odd")).status(200).body(WHOLE).is("X-New", "1"),
                whole().is("X-New", "1"),
            ],
        ),
        over(
            "s3_4_the_age_of_the_rest_counts",
            [rest(piece(5, 9).with("Age", "30")).status(200).body(WHOLE), whole().age(30..=40)],
        ),
        over(
            "s3_4_a_rest_that_may_not_be_stored_completes_nothing_for_others",
            [
                rest(piece(5, 9).cc("no-store"))
                    .answer(ok().cc("no-store").tag("\"a\"").body(WHOLE))
                    .or_not()
                    .status(200)
                    .body(WHOLE),
                get().answer(fresh().tag("\"b\"").body("another")).status(200).body("another"),
            ],
        ),
    ]
}

fn not_completed() -> Vec<Case> {
    vec![
        over(
            "s3_4_a_200_in_place_of_the_rest_replaces_the_part",
            [
                rest(fresh().tag("\"b\"").body("other")).status(200).body("other").told("fwd=partial"),
                get().hit().status(200).body("other"),
                get().range("bytes=0-3").hit().status(206).body("othe").is("Content-Range", "bytes 0-3/5"),
            ],
        ),
        again("s3_4_a_rest_under_another_tag_is_not_used", part(WHOLE, 5, 9, "\"b\"")),
        again("s3_4_a_rest_under_a_weak_tag_is_not_used", part(WHOLE, 5, 9, "W/\"a\"")),
        again(
            "s3_4_a_rest_without_a_tag_is_not_used",
            status(206).cc("max-age=60").with("Content-Range", "bytes 5-9/10").body("56789"),
        ),
        again("s3_4_a_rest_with_a_gap_is_not_used", piece(6, 9)),
        again("s3_4_a_rest_that_lacks_the_end_is_not_used", piece(5, 8)),
        again("s3_4_a_rest_of_another_length_is_not_used", part("0123456789X", 5, 9, "\"a\"")),
        again(
            "s3_4_a_rest_without_its_place_is_not_used",
            status(206).cc("max-age=60").tag("\"a\"").body("56789"),
        ),
        again(
            "s3_4_a_rest_that_says_another_length_is_not_used",
            status(206).cc("max-age=60").tag("\"a\"").with("Content-Range", "bytes 5-9/10").body("567"),
        ),
        again("s3_4_a_rest_that_breaks_off_is_not_used", piece(5, 9).framed(Framing::Short)),
        again(
            "s3_4_a_multipart_rest_is_not_used",
            status(206)
                .cc("max-age=60")
                .tag("\"a\"")
                .with("Content-Type", "multipart/byteranges; boundary=X")
                .body("--X\r\nContent-Range: bytes 5-9/10\r\n\r\n56789\r\n--X--\r\n"),
        ),
        again(
            "http_15_5_17_a_416_to_the_rest_is_not_the_clients",
            status(416).cc("max-age=60").with("Content-Range", "bytes */3"),
        ),
        over(
            "s3_4_a_404_in_place_of_the_rest_is_the_answer",
            [rest(status(404)).status(404), get().answer(fresh()).status(200)],
        ),
        over(
            "s3_4_a_503_in_place_of_the_rest_is_the_answer",
            [rest(status(503)).status(503), get().answer(fresh()).or_not().status(200).any_body()],
        ),
        over(
            "s3_4_a_closed_connection_in_place_of_the_rest",
            [rest(closes()).status_in(&[502, 504]).any_body(), get().answer(fresh()).status(200)],
        ),
        case(
            "s3_4_a_part_from_the_middle_is_not_completed",
            [
                get().range("bytes=3-5").answer(piece(3, 5)),
                get().answer(fresh().tag("\"a\"").body(WHOLE)).sees_no("Range").status(200).body(WHOLE),
                get().hit().body(WHOLE),
            ],
        ),
        case(
            "s3_4_a_part_of_an_unknown_whole_is_not_completed",
            [
                get().range("bytes=0-4").answer(
                    status(206)
                        .cc("max-age=60")
                        .tag("\"a\"")
                        .with("Content-Range", "bytes 0-4/*")
                        .body("01234"),
                ),
                get().answer(fresh().tag("\"a\"").body(WHOLE)).sees_no("Range").status(200).body(WHOLE),
            ],
        ),
        over(
            "s3_4_no_rest_is_asked_for_with_no_cache",
            [get().cc("no-cache").answer(fresh().tag("\"b\"").body("another")).sees_no("Range").status(200)],
        ),
        over(
            "s3_4_no_rest_is_asked_for_with_a_precondition",
            [get()
                .with("If-None-Match", "\"z\"")
                .answer(fresh().tag("\"b\"").body("another"))
                .sees_no("Range")
                .sees("If-None-Match", "\"z\"")
                .status(200)
                .body("another")],
        ),
        over(
            "s3_3_a_part_is_no_answer_to_only_if_cached",
            [get().cc("only-if-cached").hit().status(504).any_body()],
        ),
        over(
            "s3_3_a_part_answers_only_if_cached_for_itself",
            [get().cc("only-if-cached").range("bytes=1-2").hit().status(206).body("12")],
        ),
    ]
}

/// What the origin answered in the place of a part, though it isn't stored: RFC 9111 §4.
fn overtaken() -> Vec<Case> {
    let unstored = |answer: Answer| get().cc("no-cache").answer(answer);
    let asks = || get().range("bytes=0-4");
    let gone = || asks().after(100).answer(part("bbbbbbbbbb", 0, 4, "\"b\"")).status(206).body("bbbbb");
    let kept = || asks().hit_of(1).status(206).body("01234");
    vec![
        over(
            "s4_a_200_in_place_of_the_rest_that_is_not_stored_overtakes_the_part",
            [rest(ok().cc("no-store").tag("\"b\"").body("other")).status(200).body("other"), gone()],
        ),
        over("s4_a_404_in_place_of_the_rest_overtakes_the_part", [rest(status(404)).status(404), gone()]),
        over("s4_a_404_overtakes_a_part", [unstored(status(404)).status(404), gone()]),
        over("s4_a_410_overtakes_a_part", [unstored(status(410)).status(410), gone()]),
        over(
            "s4_a_200_that_is_not_stored_overtakes_a_part",
            [unstored(ok().cc("no-store").tag("\"b\"").body("other")).status(200), gone()],
        ),
        over(
            "s4_a_206_that_is_not_stored_overtakes_a_part",
            [
                asks().cc("no-cache").answer(part("bbbbbbbbbb", 0, 4, "\"b\"").cc("no-store")).body("bbbbb"),
                gone(),
            ],
        ),
        over(
            "s4_a_200_of_its_tag_leaves_a_part",
            [unstored(ok().cc("no-store").tag("\"a\"").body(WHOLE)).status(200), kept()],
        ),
        over("s4_a_503_leaves_a_part", [unstored(status(503)).status(503), kept()]),
        over(
            "s4_what_one_requester_may_not_have_leaves_a_part",
            [get().with("Authorization", "Basic YTpi").answer(status(404)).status(404), kept()],
        ),
    ]
}

fn combined() -> Vec<Case> {
    let asks = |range: &'static str, answer: Answer| get().range(range).answer(answer);
    vec![
        over(
            "s3_4_two_parts_that_touch_are_one",
            [asks("bytes=5-9", piece(5, 9)), get().hit().status(200).body(WHOLE).absent("Content-Range")],
        ),
        case(
            "s3_4_two_parts_of_one_strong_date_are_one",
            [
                asks("bytes=0-4", dated(0, 4, 1000)),
                asks("bytes=5-9", dated(5, 9, 1000)),
                get().hit().status(200).body(WHOLE).absent("Content-Range"),
            ],
        )
        .in_memory(),
        case(
            "s3_4_two_parts_of_a_weak_date_stay_two",
            [
                asks("bytes=0-4", dated(0, 4, 10)),
                asks("bytes=5-9", dated(5, 9, 10)),
                get().answer(fresh().body(WHOLE)).sees_no("Range"),
            ],
        ),
        over(
            "s3_4_two_parts_that_overlap_are_one",
            [
                asks("bytes=3-9", piece(3, 9)).body("3456789").is("Content-Range", "bytes 3-9/10"),
                get().hit().status(200).body(WHOLE),
            ],
        ),
        over(
            "s3_4_what_two_parts_make_answers_ranges_across_them",
            [
                asks("bytes=5-7", piece(5, 7)).body("567").is("Content-Range", "bytes 5-7/10"),
                get().range("bytes=3-6").hit().status(206).body("3456").is("Content-Range", "bytes 3-6/10"),
            ],
        ),
        over(
            "s3_4_three_parts_make_the_whole",
            [
                asks("bytes=5-7", piece(5, 7)),
                asks("bytes=8-", piece(8, 9)),
                get().hit().status(200).body(WHOLE),
            ],
        ),
        over(
            "s3_4_parts_with_a_gap_between_are_two",
            [
                asks("bytes=7-9", piece(7, 9)),
                get().range("bytes=4-7").answer(piece(4, 7)).status(206).body("4567"),
            ],
        ),
        over(
            "s3_4_parts_of_two_lengths_are_two",
            [
                asks("bytes=5-9", part("0123456789X", 5, 9, "\"a\"")),
                get()
                    .answer(fresh().tag("\"b\"").body("another").or_with("Range", closes()))
                    .or_not()
                    .status_in(&[200, 502])
                    .any_body(),
            ],
        ),
        over(
            "s3_3_the_whole_follows_its_part",
            [
                asks("bytes=5-", fresh().tag("\"a\"").body(WHOLE)).status(200).body(WHOLE),
                get().hit().status(200).body(WHOLE),
                get().range("bytes=1-2").hit().status(206).body("12"),
            ],
        ),
        case(
            "s3_3_a_part_that_is_all_of_it_answers_for_the_whole",
            [
                get().range("bytes=0-").answer(piece(0, 9)).status(206).body(WHOLE),
                get().hit().status(200).body(WHOLE).absent("Content-Range"),
                get().range("bytes=2-4").hit().status(206).body("234").is("Content-Range", "bytes 2-4/10"),
            ],
        ),
        over(
            "s3_3_a_304_with_if_none_match_is_judged_by_the_part",
            [get().range("bytes=0-4").with("If-None-Match", "\"a\"").hit().status(304)],
        ),
    ]
}
