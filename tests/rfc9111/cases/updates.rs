//! What confirmations do to what is stored, and what they don't: RFC 9111 §3.2, §4.3.4 and §4.3.5.

use crate::answer::{Answer, closes, fresh, not_modified, ok, stale, status};
use crate::case::{Case, Step, case, get, head};

pub(crate) fn cases() -> Vec<Case> {
    [of_304(), varying(), of_head(), listed()].concat()
}

fn confirmed() -> Answer {
    not_modified().tag("\"a\"").cc("max-age=60")
}

fn of_304() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, field, old, new) in [
        ("etag_by_its_own", "ETag", "\"a\"", "\"a\""),
        ("last_modified", "Last-Modified", "{-2000}", "{-1000}"),
        ("link", "Link", "</old>", "</new>"),
        ("server", "Server", "old/1", "new/2"),
        (
            "access_control_allow_origin",
            "Access-Control-Allow-Origin",
            "https://old.test",
            "https://new.test",
        ),
        ("strict_transport_security", "Strict-Transport-Security", "max-age=1", "max-age=2"),
        ("content_disposition", "Content-Disposition", "inline", "attachment"),
        ("cdn_cache_control", "CDN-Cache-Control", "max-age=60", "max-age=600"),
        ("pragma", "Pragma", "old", "new"),
        ("warning", "Warning", "199 - \"old\"", "199 - \"new\""),
    ] {
        let first = if field == "ETag" { stale("") } else { stale("").with(field, old) };
        let update = if field == "ETag" { confirmed() } else { confirmed().with(field, new) };
        cases.push(case(
            format!("s3_2_a_304_brings_{name}"),
            [get().answer(first), get().answer(update).is(field, new), get().hit().is(field, new)],
        ));
    }
    for (name, field) in [
        ("connection", "Connection"),
        ("proxy_connection", "Proxy-Connection"),
        ("proxy_authentication_info", "Proxy-Authentication-Info"),
        ("te", "TE"),
        ("upgrade", "Upgrade"),
    ] {
        cases.push(case(
            format!("s3_2_a_304_does_not_bring_{name}"),
            [
                get().answer(stale("")),
                get().answer(confirmed().with(field, "x-odd")),
                get().hit().lacks(field, "x-odd"),
            ],
        ));
    }
    cases.extend([
        case(
            "s3_2_a_304_keeps_cache_status_of_the_upstream_up_to_date",
            [
                get().answer(stale("").with("Cache-Status", "Up; fwd=uri-miss")),
                get().answer(confirmed().with("Cache-Status", "Up; hit")),
                get().hit().has("Cache-Status", "Up; hit").lacks("Cache-Status", "Up; fwd=uri-miss"),
            ],
        ),
        case(
            "s4_3_4_a_304_with_the_tag_made_weak_confirms",
            [
                get().answer(stale("")),
                get()
                    .answer(not_modified().tag("W/\"a\"").cc("max-age=60"))
                    .answer(fresh().body("s4_3_4_a_304_with_the_tag_made_weak_confirms answer 1"))
                    .or_not()
                    .status(200)
                    .body("s4_3_4_a_304_with_the_tag_made_weak_confirms answer 1"),
            ],
        ),
        case(
            "s4_3_4_a_304_with_a_strong_tag_for_a_weak_one",
            [
                get().answer(ok().cc("max-age=60").with("Age", "100").tag("W/\"a\"")),
                get()
                    .answer(not_modified().tag("\"b\"").cc("max-age=60"))
                    .answer(fresh().body("new"))
                    .status(200)
                    .body("new"),
                get().hit_of(3).body("new"),
            ],
        ),
        case(
            "s4_3_4_a_304_with_no_store_is_answered_and_ends_the_entry",
            [
                get().answer(stale("")),
                get()
                    .answer(not_modified().tag("\"a\"").cc("no-store"))
                    .answer(
                        ok().cc("no-store")
                            .body("s4_3_4_a_304_with_no_store_is_answered_and_ends_the_entry answer 1"),
                    )
                    .or_not()
                    .status(200)
                    .body("s4_3_4_a_304_with_no_store_is_answered_and_ends_the_entry answer 1"),
                get().answer(fresh().or_with("If-None-Match", fresh())).status(200),
            ],
        ),
        case(
            "s4_3_4_a_304_with_private_ends_the_entry_for_others",
            [
                get().answer(stale("")),
                get()
                    .answer(not_modified().tag("\"a\"").cc("private, max-age=60"))
                    .answer(
                        ok().cc("private")
                            .body("s4_3_4_a_304_with_private_ends_the_entry_for_others answer 1"),
                    )
                    .or_not()
                    .status(200)
                    .body("s4_3_4_a_304_with_private_ends_the_entry_for_others answer 1"),
                get().answer(fresh()).status(200),
            ],
        ),
        case(
            "s4_3_4_a_304_with_expires_in_place_of_max_age",
            [
                get().answer(ok().with("Expires", "{-10}").tag("\"a\"")),
                get().answer(not_modified().tag("\"a\"").with("Expires", "{+60}")),
                get().hit(),
            ],
        ),
        case(
            "s4_3_4_a_second_304_of_an_unknown_tag_is_no_answer",
            [
                get().answer(stale("must-revalidate")),
                get()
                    .answer(not_modified().tag("\"b\""))
                    .answer(not_modified().tag("\"b\""))
                    .status_in(&[304, 502, 504])
                    .any_body(),
                get().answer(fresh()).status(200),
            ],
        ),
        case(
            "s4_3_4_many_rounds_of_304",
            [get().answer(stale(""))].into_iter().chain((0..8).flat_map(|round| {
                let answer = not_modified()
                    .tag("\"a\"")
                    .cc("max-age=60")
                    .with("Age", "100")
                    .with("X-Round", &round.to_string());
                [get().answer(answer).sees("If-None-Match", "\"a\"").is("X-Round", &round.to_string())]
            })),
        ),
        case(
            "s4_3_4_a_burst_for_a_stale_entry_and_one_304",
            [
                get().answer(stale("").body("kept")),
                get().times(20).answer(confirmed().delayed(300)).status(200).body("kept"),
                get().hit_of(1).body("kept"),
            ],
        ),
    ]);
    cases
}

fn varying() -> Vec<Case> {
    let with = |value: &str| get().with("Foo", value);
    vec![
        case(
            "s4_1_a_304_with_a_star_is_asked_once_more",
            [
                get().answer(stale("")),
                get()
                    .answer(confirmed().with("Vary", "*"))
                    .answer(
                        fresh().with("Vary", "*").body("s4_1_a_304_with_a_star_is_asked_once_more answer 1"),
                    )
                    .or_not()
                    .status(200)
                    .body("s4_1_a_304_with_a_star_is_asked_once_more answer 1"),
                get().answer(fresh()).status(200).body("s4_1_a_304_with_a_star_is_asked_once_more answer 4"),
            ],
        ),
        case(
            "s4_1_a_304_may_bring_vary",
            [
                with("1").answer(stale("")),
                with("1").answer(confirmed().with("Vary", "Foo")).status(200),
                with("1").hit_of(1),
                with("2").answer(fresh()),
            ],
        ),
        case(
            "s4_1_a_304_without_vary_keeps_it",
            [
                with("1").answer(stale("").with("Vary", "Foo")),
                with("1").answer(confirmed()),
                with("1").hit_of(1),
                with("2").answer(fresh().with("Vary", "Foo")),
            ],
        ),
        case(
            "s4_1_a_response_without_vary_among_some_with_it",
            [
                with("1").answer(fresh().with("Vary", "Foo")),
                with("2").answer(fresh()),
                with("1").hit_of(1),
                with("2").hit_of(2),
            ],
        ),
        case(
            "s4_3_2_a_variant_is_judged_by_its_own_tag",
            [
                with("1").answer(fresh().with("Vary", "Foo").tag("\"a\"")),
                with("2").answer(fresh().with("Vary", "Foo").tag("\"b\"")),
                with("1").with("If-None-Match", "\"b\"").hit_of(1).status(200),
                with("2").with("If-None-Match", "\"b\"").hit_of(2).status(304),
            ],
        ),
        case(
            "s3_3_parts_of_two_variants_are_apart",
            [
                with("1")
                    .range("bytes=0-1")
                    .answer(super::partial::part("aaaa", 0, 1, "\"a\"").with("Vary", "Foo")),
                with("2")
                    .range("bytes=0-1")
                    .answer(super::partial::part("bbbb", 0, 1, "\"b\"").with("Vary", "Foo")),
                with("1").range("bytes=0-1").hit_of(1).status(206).body("aa"),
                with("2").range("bytes=0-1").hit_of(2).status(206).body("bb"),
            ],
        ),
        case(
            "s4_4_what_invalidates_ends_variants_that_were_confirmed",
            [
                with("1").answer(stale("").with("Vary", "Foo")),
                with("1").answer(confirmed()),
                crate::case::post().answer(ok()),
                with("1").answer(fresh()).sees_no("If-None-Match"),
            ],
        ),
    ]
}

fn of_head() -> Vec<Case> {
    let body = "0123456789";
    let stored = || fresh().tag("\"a\"").body(body);
    let asked = |answer: Answer| head().cc("no-cache").answer(answer.body(body)).status(200);
    let kept = |name: &str, step: Step, last: Step| case(name, [get().answer(stored()), step, last]).alone();
    vec![
        kept(
            "s4_3_5_a_head_without_validators_updates",
            asked(fresh().with("X-New", "1")),
            get().hit_of(1).is("X-New", "1").is("ETag", "\"a\"").body(body),
        ),
        kept(
            "s4_3_5_a_head_brings_no_length",
            asked(fresh().tag("\"a\"").with("X-New", "1")),
            get().hit_of(1).is("Content-Length", "10").body(body),
        ),
        kept(
            "s4_3_5_a_404_to_head_leaves_the_entry_to_get",
            head().cc("no-cache").answer(status(404).body(body)).status(404),
            get().answer(stored()).or_not().status(200).body(body),
        ),
        kept(
            "s4_3_5_a_head_may_forbid_reuse",
            asked(ok().cc("no-cache, max-age=60").tag("\"a\"")),
            get().answer(fresh().body("new")).sees("If-None-Match", "\"a\"").body("new"),
        ),
        kept(
            "s4_3_5_a_head_with_a_weak_tag_of_a_strong_one",
            asked(fresh().tag("W/\"a\"")),
            get().answer(stored()).or_not().status(200).body(body),
        ),
        case(
            "s4_3_5_head_selects_its_variant",
            [
                get().with("Foo", "1").answer(stored().with("Vary", "Foo")),
                get().with("Foo", "2").answer(fresh().with("Vary", "Foo").tag("\"b\"").body(body)),
                head()
                    .with("Foo", "1")
                    .cc("no-cache")
                    .answer(stored().with("Vary", "Foo").with("X-New", "1"))
                    .status(200),
                get().with("Foo", "1").hit_of(1).is("X-New", "1"),
                get().with("Foo", "2").hit_of(2).absent("X-New"),
            ],
        )
        .alone(),
        case(
            "s4_3_5_a_miss_by_head_goes_on_as_head",
            [
                head().answer(fresh().body(body)).status(200).is("Content-Length", "10"),
                head().answer(fresh().body(body)).status(200),
            ],
        ),
        case(
            "s4_3_5_head_of_a_closed_origin_is_answered_from_the_stale_get",
            [
                get().answer(stale("").body(body)),
                head().answer(closes()).status(200).is("Content-Length", "10"),
            ],
        ),
    ]
}

/// What `Connection` takes away is read all the same, now and when it is confirmed.
fn listed() -> Vec<Case> {
    let with = |value: &str| get().with("Foo", value);
    vec![
        case(
            "s3_2_a_listed_vary_still_rules_after_a_304",
            [
                with("1").answer(stale("").with("Vary", "Foo").with("Connection", "vary")),
                with("1").answer(confirmed()),
                with("1").hit_of(1).absent("Vary"),
                with("2").answer(fresh()),
            ],
        ),
        case(
            "s3_2_a_listed_must_revalidate_forbids_stale",
            [
                get().answer(stale("must-revalidate").with("Connection", "cache-control")),
                get().answer(closes()).status_in(&[502, 504]).any_body(),
            ],
        ),
        case(
            "s3_2_what_a_listed_field_rules_is_replaced_whole",
            [
                get().answer(stale("").with("Connection", "cache-control")),
                get().answer(fresh()).sees_no("If-None-Match"),
                get().hit(),
            ],
        ),
        case(
            "s3_2_and_updated_by_no_head",
            [
                get().answer(
                    ok().tag("\"a\"")
                        .cc("max-age=60, private=\"set-cookie\"")
                        .with("Connection", "cache-control"),
                ),
                head()
                    .cc("no-cache")
                    .answer(ok().tag("\"a\"").with("Set-Cookie", "u=2").modified(864_000))
                    .is("Set-Cookie", "u=2"),
                get().hit_of(1).absent("Set-Cookie"),
            ],
        ),
        case(
            "s3_2_a_304_with_a_listed_field_is_the_last_one",
            [
                get().answer(stale("")),
                get()
                    .answer(
                        not_modified()
                            .tag("\"a\"")
                            .cc("max-age=60, private=\"set-cookie\"")
                            .with("Age", "100")
                            .with("Connection", "cache-control"),
                    )
                    .sees("If-None-Match", "\"a\""),
                get().answer(fresh()).sees_no("If-None-Match"),
            ],
        ),
        case(
            "rfc9213_2_2_a_listed_targeted_field_is_lifted_by_no_304",
            [
                get().answer(
                    ok().tag("\"a\"")
                        .cc("max-age=60")
                        .with("CDN-Cache-Control", "max-age=1, private=\"set-cookie\"")
                        .with("Age", "100")
                        .with("Connection", "cdn-cache-control"),
                ),
                get()
                    .answer(fresh().with("Set-Cookie", "u=2"))
                    .sees_no("If-None-Match")
                    .is("Set-Cookie", "u=2"),
            ],
        ),
        case(
            "s3_2_a_304_with_a_listed_no_store_is_not_stored",
            [
                get().answer(stale("")),
                get()
                    .answer(not_modified().tag("\"a\"").cc("no-store").with("Connection", "cache-control"))
                    .answer(
                        ok().cc("no-store").body("s3_2_a_304_with_a_listed_no_store_is_not_stored answer 1"),
                    )
                    .or_not()
                    .status(200)
                    .body("s3_2_a_304_with_a_listed_no_store_is_not_stored answer 1"),
                get().answer(fresh()).status(200),
            ],
        ),
    ]
}
