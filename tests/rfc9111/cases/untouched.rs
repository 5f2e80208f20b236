//! What one client's preconditions, ranges and `no-store` leave alone for the others: RFC 9111 §3.3, §4.3.2 and §5.2.1.5,
//! RFC 5861 §3.

use super::completion::{WHOLE, piece};
use crate::answer::{Answer, closes, fresh, not_modified, ok, stale, status};
use crate::case::{Case, case, get, head};

pub(crate) fn cases() -> Vec<Case> {
    [left_alone(), refreshed(), unstored()].concat()
}

fn confirmed() -> Answer {
    not_modified().tag("\"a\"").cc("max-age=60")
}

/// A whole without validators, so that what clients ask goes on as it is.
fn left_alone() -> Vec<Case> {
    let bare = || get().answer(fresh().body(WHOLE));
    vec![
        case(
            "s4_3_2_a_304_to_a_client_leaves_the_whole",
            [
                bare(),
                get()
                    .cc("no-cache")
                    .with("If-None-Match", "\"z\"")
                    .answer(not_modified().tag("\"z\"").cc("max-age=60"))
                    .sees("If-None-Match", "\"z\"")
                    .status(304),
                get().hit_of(1),
            ],
        ),
        case(
            "s4_3_2_a_304_to_a_clients_date_leaves_the_whole",
            [
                bare(),
                get()
                    .cc("no-cache")
                    .with("If-Modified-Since", "{-1000}")
                    .answer(not_modified())
                    .sees("If-Modified-Since", "{-1000}")
                    .status(304),
                get().hit_of(1),
            ],
        ),
        case(
            "s3_3_a_206_to_a_client_leaves_the_whole",
            [
                bare(),
                get().cc("no-cache").range("bytes=2-4").answer(piece(2, 4)).status(206).body("234"),
                get().hit_of(1),
            ],
        ),
        case(
            "http_15_5_17_a_416_to_a_client_leaves_the_whole",
            [
                bare(),
                get()
                    .cc("no-cache")
                    .range("bytes=50-")
                    .answer(status(416).cc("max-age=60").with("Content-Range", "bytes */10"))
                    .status(416),
                get().hit_of(1),
            ],
        ),
        case(
            "http_15_5_17_a_416_with_freshness_is_no_answer_to_others",
            [
                get()
                    .range("bytes=50-")
                    .answer(status(416).cc("max-age=60").with("Content-Range", "bytes */10"))
                    .status(416),
                get().range("bytes=50-").answer(status(416).with("Content-Range", "bytes */10")).status(416),
                get().answer(fresh()).status(200),
                get().hit(),
            ],
        ),
        case(
            "http_15_5_13_a_412_with_freshness_leaves_the_whole",
            [
                get().answer(fresh().tag("\"a\"")),
                get().with("If-Match", "\"b\"").answer(status(412).cc("max-age=60")).status(412),
                get().hit_of(1),
            ],
        ),
        case(
            "s4_3_2_a_304_to_a_client_leaves_a_stale_whole",
            [
                get().answer(ok().cc("max-age=1").undated()),
                get()
                    .after(2100)
                    .with("If-None-Match", "\"z\"")
                    .answer(not_modified().tag("\"z\""))
                    .sees("If-None-Match", "\"z\"")
                    .status(304),
                get()
                    .answer(closes())
                    .status(200)
                    .body("s4_3_2_a_304_to_a_client_leaves_a_stale_whole answer 1"),
            ],
        ),
        case(
            "s3_3_a_part_does_not_replace_a_stale_whole",
            [
                get().answer(ok().cc("max-age=1").undated().body(WHOLE)),
                get().after(2100).range("bytes=2-4").answer(piece(2, 4)).status(206).body("234"),
                get()
                    .answer(closes().or_with("Range", closes()))
                    .status(200)
                    .body(WHOLE)
                    .absent("Content-Range"),
            ],
        ),
        case(
            "s4_3_5_head_leaves_a_part",
            [
                get().range("bytes=0-4").answer(piece(0, 4)),
                head().answer(fresh().tag("\"a\"").body(WHOLE)).status(200),
                get().range("bytes=1-2").hit_of(1).status(206).body("12"),
            ],
        ),
    ]
}

/// Answers to ranges of an entry that is stale.
fn refreshed() -> Vec<Case> {
    let swr = || stale("stale-while-revalidate=600").body(WHOLE);
    vec![
        case(
            "rfc5861_3_the_refresh_of_a_range_is_of_the_whole",
            [
                get().answer(swr()),
                get()
                    .range("bytes=2-4")
                    .hit_before(fresh().tag("\"b\"").body("abcdefghij"))
                    .sees_no("Range")
                    .sees("If-None-Match", "\"a\"")
                    .status(206)
                    .body("234"),
                get().hit_of(2).eventually(),
            ],
        ),
        case(
            "rfc5861_3_the_refresh_of_a_range_with_if_range_is_of_the_whole",
            [
                get().answer(swr()),
                get()
                    .range("bytes=2-4")
                    .with("If-Range", "\"a\"")
                    .hit_before(fresh().tag("\"b\"").body("abcdefghij"))
                    .sees_no("Range")
                    .sees_no("If-Range")
                    .status(206)
                    .body("234"),
                get().hit_of(2).eventually(),
            ],
        ),
        case(
            "rfc5861_3_the_refresh_of_a_precondition_is_by_the_entry",
            [
                get().answer(swr()),
                get()
                    .with("If-None-Match", "\"a\"")
                    .hit_before(not_modified().tag("\"a\"").cc("max-age=60"))
                    .sees("If-None-Match", "\"a\"")
                    .status(304),
                get().hit_of(1).age(0..=5).eventually(),
            ],
        ),
        case(
            "s5_2_1_7_only_if_cached_begins_no_refresh",
            [
                get().answer(swr()),
                get().cc("only-if-cached").hit().status_in(&[200, 504]).any_body().and_quiet(),
                get().hit_before(fresh()),
            ],
        ),
        case(
            "s4_2_4_a_range_of_a_stale_whole_where_the_origin_is_gone",
            [
                get().answer(stale("").body(WHOLE)),
                get().range("bytes=2-4").answer(closes()).status(206).body("234"),
            ],
        ),
        case(
            "s4_3_4_a_200_in_answer_to_a_range_replaces_the_stale_whole",
            [
                get().answer(stale("").body(WHOLE)),
                get()
                    .range("bytes=2-4")
                    .answer(fresh().tag("\"b\"").body("abcdefghij"))
                    .sees_no("Range")
                    .status_in(&[200, 206])
                    .any_body()
                    .body_has("cde"),
                get().hit().body("abcdefghij").status(200),
            ],
        ),
    ]
}

/// Requests with `no-store`: nothing that comes of them is stored.
fn unstored() -> Vec<Case> {
    vec![
        case(
            "s5_2_1_5_a_304_to_no_store_updates_nothing",
            [
                get().answer(stale("")),
                get().cc("no-store").answer(confirmed().with("X-New", "1")).status(200),
                get().answer(confirmed()).sees("If-None-Match", "\"a\"").absent("X-New"),
            ],
        ),
        case(
            "s5_2_1_5_a_200_to_no_store_replaces_nothing",
            [
                get().answer(stale("")),
                get().cc("no-store").answer(fresh().tag("\"b\"")).status(200),
                get().answer(fresh()).status(200),
            ],
        ),
        case(
            "s5_2_1_5_a_200_to_no_cache_and_no_store_replaces_nothing",
            [
                get().answer(fresh()),
                get().cc("no-cache, no-store").answer(fresh()).status(200),
                get().hit_of(1),
            ],
        ),
        case(
            "s5_2_1_5_no_store_leaves_what_is_stored",
            [
                get().answer(fresh()),
                get()
                    .cc("no-store")
                    .answer(fresh().body("s5_2_1_5_no_store_leaves_what_is_stored answer 1"))
                    .or_not()
                    .body("s5_2_1_5_no_store_leaves_what_is_stored answer 1"),
                get().hit_of(1),
            ],
        ),
        case(
            "s5_2_1_5_a_part_to_no_store_is_not_stored",
            [
                get().cc("no-store").range("bytes=0-1").answer(super::partial::part("0123", 0, 1, "\"a\"")),
                get().range("bytes=0-1").answer(super::partial::part("0123", 0, 1, "\"a\"")).status(206),
            ],
        ),
        case(
            "s5_2_1_5_head_with_no_store_updates_nothing",
            [
                get().answer(fresh().tag("\"a\"").body("0123")),
                head().cc("no-cache, no-store").answer(fresh().tag("\"a\"").body("0123").with("X-New", "1")),
                get().hit_of(1).absent("X-New"),
            ],
        ),
        case(
            "s5_2_1_5_post_with_no_store_is_not_stored_for_get",
            [
                crate::case::post().cc("no-store").answer(fresh().with("Content-Location", "{path}")),
                get().answer(fresh()),
            ],
        ),
        case(
            "s3_5_a_304_to_authorization_is_no_leave_to_share",
            [
                get().answer(stale("")),
                get().with("Authorization", "Basic YTpi").answer(confirmed().with("X-New", "1")).status(200),
                get().answer(fresh()).or_not().status(200).any_body(),
            ],
        ),
        case(
            "s3_5_a_200_to_authorization_replaces_nothing",
            [
                get().answer(fresh()),
                get().with("Authorization", "Basic YTpi").cc("no-cache").answer(fresh()).status(200),
                get().hit_of(1),
            ],
        ),
    ]
}
