use proptest::prelude::*;

use super::*;
use crate::policy::testing::{any_headers, entry, headers};

const START: Millis = 1_000_000_000;

fn ask(lines: &[(&str, &str)]) -> Ask {
    Ask::of(&headers(lines))
}

#[test]
fn directives_say_what_they_say() {
    let none = Ask::default();
    let no_cache = Ask { no_cache: true, ..none };
    let max_age = |limit| Ask { max_age: Some(limit), ..none };
    let max_stale = |limit| Ask { max_stale: Some(limit), ..none };
    for (section, lines, expected) in [
        ("nothing", &[("accept", "*/*"), ("cookie", "no-cache")][..], none),
        ("5.2.1.1", &[("cache-control", "max-age=5")], max_age(5_000)),
        ("5.2.1.1, any case", &[("cache-control", "foo, MAX-age=5")], max_age(5_000)),
        ("5.2.1.1, the first counts", &[("cache-control", "max-age=5, max-age=9")], max_age(5_000)),
        ("5.2.1.1, all lines", &[("cache-control", "x"), ("cache-control", "max-age=5")], max_age(5_000)),
        ("5.2.1.1, no number is strict", &[("cache-control", "max-age=5x")], max_age(0)),
        ("5.2.1.1, negative is no number", &[("cache-control", "max-age=-5")], max_age(0)),
        (
            "1.2.2, over 2^31",
            &[("cache-control", "max-age=99999999999999999999")],
            max_age(2_147_483_648_000),
        ),
        ("5.2.1.2", &[("cache-control", "max-stale=7")], max_stale(7_000)),
        ("5.2.1.2, any staleness", &[("cache-control", "max-stale")], max_stale(Millis::MAX)),
        ("5.2.1.2, no number is none", &[("cache-control", "max-stale=x, max-stale=9")], none),
        ("5.2.1.3", &[("cache-control", "min-fresh=3")], Ask { min_fresh: Some(3_000), ..none }),
        (
            "5.2.1.3, strict",
            &[("cache-control", "min-fresh=1.5")],
            Ask { min_fresh: Some(Millis::MAX), ..none },
        ),
        ("5.2.1.4", &[("cache-control", "no-cache")], no_cache),
        ("5.2.1.5", &[("cache-control", "no-store")], Ask { no_store: true, ..none }),
        ("5.2.1.7", &[("cache-control", "only-if-cached")], Ask { only_if_cached: true, ..none }),
        ("5.4", &[("pragma", "no-cache")], no_cache),
        ("5.4, beside others", &[("pragma", "x, No-Cache")], no_cache),
        ("5.4, other pragmas", &[("pragma", "no-cache=1, foo")], none),
        (
            "5.4, not with Cache-Control",
            &[("pragma", "no-cache"), ("cache-control", "max-age=5")],
            max_age(5_000),
        ),
        ("9110 13.1.2", &[("if-none-match", "*")], Ask { preconditions: true, ..none }),
        ("9110 13.1.3", &[("if-modified-since", "x")], Ask { preconditions: true, ..none }),
        ("9110 13.1.1", &[("if-match", "*")], Ask { preconditions: true, ..none }),
        ("9110 13.1.4", &[("if-unmodified-since", "x")], Ask { preconditions: true, ..none }),
        ("9110 13.1.5", &[("if-range", "x")], Ask { preconditions: true, ..none }),
        ("9110 14.2", &[("range", "bytes=0-")], Ask { range: true, ..none }),
        ("3.5", &[("authorization", "x")], Ask { authorization: true, ..none }),
    ] {
        assert_eq!(ask(lines), expected, "{section}");
        assert_eq!(ask(lines).is_plain(), expected == none, "{section}");
    }
}

#[test]
fn age_and_directives_decide_the_reuse() {
    use Reuse::{Fresh, Stale, Validate};
    for (section, directives, seconds, expected) in [
        ("4.2", "", 99, Fresh),
        ("4.2, at its end", "", 100, Validate),
        ("5.2.1.1", "max-age=10", 10, Fresh),
        ("5.2.1.1, too old", "max-age=10", 11, Validate),
        ("5.2.1.1, 0 asks for a validation", "max-age=0", 0, Validate),
        ("5.2.1.1, no stale one by itself", "max-age=200", 110, Validate),
        ("5.2.1.2", "max-stale=10", 110, Stale),
        ("5.2.1.2, too stale", "max-stale=10", 111, Validate),
        ("5.2.1.2, any staleness", "max-stale", 149, Stale),
        ("5.2.1.2, what the response forbids", "max-stale", 150, Validate),
        ("5.2.1.2, fresh ones too", "max-stale=10", 1, Fresh),
        ("5.2.1.1 with 5.2.1.2", "max-age=200, max-stale=20", 110, Stale),
        ("5.2.1.1 with 5.2.1.2, age holds", "max-age=105, max-stale=20", 110, Validate),
        ("5.2.1.3", "min-fresh=10", 90, Fresh),
        ("5.2.1.3, too little left", "min-fresh=10", 91, Validate),
        ("5.2.1.3 with 5.2.1.2", "min-fresh=1, max-stale", 110, Validate),
        ("5.2.1.3, no number", "min-fresh=x", 0, Validate),
        ("5.2.1.4", "no-cache", 0, Validate),
        ("5.2.1.4 with 5.2.1.2", "no-cache, max-stale", 110, Validate),
        ("5.2.1.5, an entry answers", "no-store", 0, Fresh),
        ("5.2.1.7", "only-if-cached", 0, Fresh),
    ] {
        let found =
            ask(&[("cache-control", directives)]).reuse(&entry(200, &[], ""), START + seconds * 1_000);
        assert_eq!(found, expected, "{section}: {directives}");
    }
}

#[test]
fn a_response_that_forbids_stale_use_is_never_stale() {
    let mut strict = entry(200, &[], "");
    strict.windows.if_error = 0;
    let max_stale = ask(&[("cache-control", "max-stale")]);
    assert_eq!(max_stale.reuse(&strict, START + 100_000), Reuse::Validate, "RFC 9111 5.2.2.2");
}

proptest! {
    #[test]
    fn nothing_is_answered_stale_unasked(headers in any_headers(), seconds in 0_u64..200) {
        let ask = Ask::of(&headers);
        let reuse = ask.reuse(&entry(200, &[], ""), START + seconds * 1_000);
        prop_assert!(reuse != Reuse::Fresh || (seconds < 100 && !ask.no_cache));
        prop_assert!(reuse != Reuse::Stale || (ask.max_stale.is_some() && (100..150).contains(&seconds)));
    }
}
