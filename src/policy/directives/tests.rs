use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::policy::testing::headers;

fn parse(lines: &[&str]) -> Directives {
    let lines: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
    Directives::of(&headers(&lines), &CACHE_CONTROL)
}

#[test]
fn what_counts_counts_whatever_surrounds_it() {
    let none = Directives::default();
    let no_store = Directives { no_store: true, ..none };
    let private = Directives { private: true, ..none };
    let private_fields = Directives { private_fields: true, ..none };
    let no_cache = Directives { no_cache: true, ..none };
    let no_cache_fields = Directives { no_cache_fields: true, ..none };
    let age = |seconds| Directives { max_age: Some(seconds), ..none };
    for (lines, expected) in [
        (&["immutable, no-transform"][..], none),
        (&["Public, Must-Understand"], Directives { public: true, must_understand: true, ..none }),
        (&["must-revalidate"], Directives { must_revalidate: true, ..none }),
        (&["proxy-revalidate"], Directives { proxy_revalidate: true, ..none }),
        (&["No-Store"], no_store),
        (&["immutable", "private"], private),
        (&["private=\"set-cookie, x-user\""], private_fields),
        (&["Private=set-cookie"], private_fields),
        (&["private=\"set-\\cookie\""], private_fields),
        (&["private=\"@, x\""], private_fields),
        (&["private=\"\""], private),
        (&["private="], private),
        (&["private=\"@, (\""], private),
        (&["private='set-cookie'"], private),
        (&["private=\"a"], private),
        (&["private=\"a\", private"], Directives { private: true, ..private_fields }),
        (&["no-cache"], no_cache),
        (&["no-cache=\"x\""], no_cache_fields),
        (&["no-cache=\"x\"", "no-cache"], Directives { no_cache: true, ..no_cache_fields }),
        (&["x; private"], private),
        (&["x private"], private),
        (&[",, ,private,"], private),
        (&["\"junk, private"], private),
        (&["x=\"unclosed, private"], private),
        (&["x=\"a\\\", private"], private),
        (&["x=\"private, no-store\""], none),
        (&["x=\"a\\\", private\""], none),
        (&["x=\"a\\\\\", private"], private),
        (&["x=\"\\\"\", private"], private),
        (&["x=max-age=9"], none),
        (&["not-private, private2"], none),
        (&["max-age=60"], age(60)),
        (&["MAX-AGE=60"], age(60)),
        (&["max-age = 60"], age(0)),
        (&["x= no-store"], no_store),
        (&["max-age=\"60\""], age(60)),
        (&["max-age=\"6\\0\""], age(60)),
        (&["max-age=6\\0"], age(0)),
        (&["max-age='60'"], age(0)),
        (&["max-age=060"], age(60)),
        (&["max-age=+60"], age(0)),
        (&["max-age=1, max-age=100", "max-age=7"], age(1)),
        (&["max-age"], age(0)),
        (&["max-age="], age(0)),
        (&["max-age=, private"], Directives { private: true, ..age(0) }),
        (&["max-age=-1"], age(0)),
        (&["max-age=1.5"], age(0)),
        (&["max-age=6x"], age(0)),
        (&["max-age=6 0"], age(0)),
        (&["max-age=60;"], age(0)),
        (&["max-age=60; private"], Directives { private: true, ..age(0) }),
        (&["max-age=60 no-store"], Directives { no_store: true, ..age(0) }),
        (&["max-age=\"60\"x"], age(0)),
        (&["max-age= 60"], age(0)),
        (&["max-age =60"], age(0)),
        (&["max-age=60 , public"], Directives { public: true, ..age(60) }),
        (&["max-age=\"60"], age(0)),
        (&["max-age=2147483647"], age(2_147_483_647)),
        (&["max-age=99999999999999999999999999"], age(1 << 31)),
        (&["s-maxage=5, max-age=60"], Directives { s_maxage: Some(5), ..age(60) }),
    ] {
        assert_eq!(parse(lines), expected, "{lines:?}");
    }
}

#[test]
fn the_fields_that_arguments_name_are_told() {
    for (lines, expected) in [
        (&["private, no-cache"][..], &[][..]),
        (&["private=\"Set-Cookie\""], &["set-cookie"]),
        (&["no-cache=\"b, ,a\", private=\"c a\"", "No-Cache=d"], &["a", "b", "c", "d"]),
        (&["private=\"x\\-y,@,'z',\u{e9}\""], &["x-y"]),
        (&["max-age=\"a\", x=\"private=b\", no-store=c"], &[]),
        (&["private=\"a"], &[]),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
        assert_eq!(qualified_fields(&headers(&lines), &CACHE_CONTROL), expected, "{lines:?}");
    }
}

#[test]
fn who_names_too_many_fields_names_them_all() {
    for (count, named) in [(MAX_NAMED, true), (MAX_NAMED + 1, false)] {
        let names: Vec<_> = (0..count).map(|number| format!("x-{number}")).collect();
        let line = format!("private=\"{}\"", names.join(","));
        let found = parse(&[&line]);
        assert_eq!((found.private_fields, found.private), (named, !named));
        let found = qualified_fields(&headers(&[("cache-control", &line)]), &CACHE_CONTROL);
        assert_eq!(found.len(), MAX_NAMED);
    }
}

/// A reader that looks back or ahead once per byte would need hours for these.
#[test]
fn long_lines_are_read_once() {
    for unit in [
        "=\"",
        "a=\"b\",",
        ",",
        "a",
        " ",
        "\"",
        "a=",
        "\\\"",
        "a \t",
        "a=\"\\\",",
        "a=\"\\",
        "=\"\\\"",
        "private=\"a\"",
        "private=\"a,",
    ] {
        for length in [64 << 10, 1 << 20] {
            let line = format!("{}, no-store", unit.repeat(length / unit.len()));
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::try_from(line).unwrap())]);
            assert!(Directives::of(&headers, &CACHE_CONTROL).no_store, "{unit:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_directive_is_found_behind_any_unquoted_junk(junk in "[ -!#-~]{0,40}", end in "[,; ]") {
        let line = junk + &end + "no-store";
        prop_assert!(parse(&[&line]).no_store);
    }

    #[test]
    fn numbers_are_digits_only(text in "[ -~]{0,12}") {
        let number = text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
        prop_assert_eq!(delta_seconds(text.as_bytes()), number.map(|number| number.min(1 << 31)));
    }
}
