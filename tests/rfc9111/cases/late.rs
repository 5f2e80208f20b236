//! What is stale when it comes: it is kept as long as what becomes so here, to be validated and to stand in.

use crate::answer::{Answer, closes, fresh, not_modified, ok, status};
use crate::case::{Case, case, get, head};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = arrivals().into_iter().flat_map(|(name, answer)| of(name, answer)).collect();
    cases.extend(others());
    cases
}

/// Two hours over, each with the tag `"a"`; `Policy::http` keeps what is stale for one.
fn arrivals() -> Vec<(&'static str, Answer)> {
    let tagged = || ok().tag("\"a\"");
    vec![
        ("by_age", tagged().cc("max-age=60").with("Age", "7200")),
        ("by_date", tagged().cc("max-age=60").date("{-7200}")),
        ("by_expires", tagged().with("Expires", "{-7140}").date("{-7200}")),
        ("without_a_lifetime", tagged().with("Age", "86400")),
    ]
}

fn of(name: &str, late: Answer) -> Vec<Case> {
    vec![
        case(
            format!("s4_3_1_what_came_late_{name}_is_validated"),
            [
                get().answer(late.clone()).told("stored"),
                get()
                    .answer(not_modified().tag("\"a\"").cc("max-age=60"))
                    .sees("If-None-Match", "\"a\"")
                    .told("fwd=stale"),
                get().hit(),
            ],
        ),
        case(
            format!("s4_2_4_what_came_late_{name}_stands_in_on_a_closed_connection"),
            [get().answer(late.clone()), get().answer(closes()).status(200)],
        ),
        case(
            format!("s5_2_1_2_what_came_late_{name}_is_taken_by_max_stale"),
            [get().answer(late), get().cc("max-stale").hit()],
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        case(
            "s5_2_2_4_no_cache_that_came_late_is_validated",
            [
                get().answer(ok().tag("\"a\"").cc("no-cache").with("Age", "7200")),
                get().answer(not_modified().tag("\"a\"")).sees("If-None-Match", "\"a\""),
            ],
        ),
        case(
            "s4_2_4_must_revalidate_that_came_late_does_not_stand_in",
            [
                get().answer(ok().tag("\"a\"").cc("max-age=60, must-revalidate").with("Age", "7200")),
                get().answer(closes()).status(504).any_body(),
            ],
        ),
        case(
            "rfc5861_4_an_explicit_window_counts_from_freshness",
            [
                get().answer(ok().tag("\"a\"").cc("max-age=60, stale-if-error=600").with("Age", "7200")),
                get().answer(status(503)).status(503),
            ],
        ),
        case(
            "s4_3_4_a_304_that_comes_late_is_kept_too",
            [
                get().answer(ok().tag("\"a\"").cc("max-age=60").with("Age", "100")),
                get().answer(not_modified().tag("\"a\"").with("Age", "9000")),
                get().answer(not_modified().tag("\"a\"")).sees("If-None-Match", "\"a\""),
            ],
        ),
        case(
            "s4_3_5_what_head_marked_stale_is_validated_however_old_it_is",
            [
                get().answer(ok().tag("\"a\"").cc("max-age=9000").with("Age", "5000")),
                head().cc("no-cache").answer(fresh().tag("\"b\"")).status(200),
                get().answer(not_modified().tag("\"a\"")).sees("If-None-Match", "\"a\"").any_body(),
            ],
        )
        .alone(),
        case(
            "s4_2_3_an_origin_without_a_clock_gives_an_hour_all_the_same",
            [
                get().answer(
                    ok().date("Thu, 01 Jan 1970 00:00:00 GMT").with("Expires", "{+3600}").body("early"),
                ),
                get().hit(),
            ],
        ),
        // What the cache takes for one requester's own is for that one all the same.
        case(
            "s5_2_2_7_the_cookie_of_a_304_reaches_its_client_alone",
            [
                get().answer(ok().tag("\"a\"").cc("max-age=60, private=\"set-cookie\"").with("Age", "100")),
                get()
                    .answer(
                        not_modified()
                            .tag("\"a\"")
                            .cc("max-age=60, private=\"set-cookie\"")
                            .with("Set-Cookie", "n=2"),
                    )
                    .is("Set-Cookie", "n=2"),
                get().hit().absent("Set-Cookie"),
            ],
        ),
        case(
            "s4_3_3_a_404_to_a_reload_ends_what_is_fresh",
            [
                get().answer(fresh().tag("\"a\"")),
                get().cc("no-cache").answer(status(404)).status(404),
                get().answer(fresh()),
            ],
        )
        .alone(),
        case(
            "s4_3_4_a_private_304_to_a_reload_ends_what_is_fresh",
            [
                get().answer(fresh().tag("\"a\"")),
                get().cc("no-cache").answer(not_modified().tag("\"a\"").cc("private")),
                get().answer(fresh()),
            ],
        )
        .alone(),
        case(
            "s4_2_4_what_a_304_made_late_stands_in_on_a_closed_connection",
            [
                get().answer(ok().tag("\"a\"").with("Expires", "{-60}").date("{-100}")),
                get().answer(not_modified().tag("\"a\"").with("Age", "7200").with("Expires", "{+60}")),
                get().answer(closes()).status(200),
            ],
        ),
        case(
            "s4_2_2_heuristic_freshness_grows_by_a_304",
            [
                get().answer(ok().tag("\"a\"").modified(1010).date("{-1000}")),
                get().answer(not_modified().tag("\"a\"").modified(1010)).sees("If-None-Match", "\"a\""),
                get().after(1_500).hit(),
            ],
        ),
        case(
            "s3_a_503_with_a_lifetime_takes_the_place_of_what_must_not_stand_in",
            [
                get().answer(ok().tag("\"a\"").cc("max-age=60, must-revalidate").with("Age", "100")),
                get().answer(status(503).cc("max-age=60")).status(503).told("stored"),
                get().hit().status(503),
            ],
        ),
        case(
            "s4_a_date_that_connection_takes_away_is_set_and_kept",
            [
                get().answer(fresh().undated().with("Connection", "date")),
                get().hit().has("Date", "GMT"),
                get().after(1_100).hit().same("Date"),
            ],
        ),
    ]
}
