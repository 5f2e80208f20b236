use http::header::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::policy::testing::{any_headers, headers};

const FIELD: HeaderName = HeaderName::from_static("cdn-cache-control");

fn parse(lines: &[&str]) -> Option<Directives> {
    let lines: Vec<_> = lines.iter().map(|line| ("cdn-cache-control", *line)).collect();
    read(&headers(&lines), &FIELD).map(|members| members.directives)
}

#[test]
fn dictionaries_are_read_and_all_else_is_as_if_absent() {
    let none = Directives::default();
    let age = |seconds| Directives { max_age: Some(seconds), ..none };
    for (lines, expected) in [
        (&[][..], None),
        (&[""], None),
        (&["max-age=60"], Some(age(60))),
        (&["max-age=60;x=1;y , no-store"], Some(Directives { no_store: true, ..age(60) })),
        (&["max-age=60", "private"], Some(Directives { private: true, ..age(60) })),
        (&["max-age=60, max-age=5"], Some(age(5))),
        (&["max-age=-5"], Some(age(0))),
        (&["max-age=999999999999999"], Some(age(1 << 31))),
        (&["no-store=?0, no-cache=?1"], Some(Directives { no_cache: true, ..none })),
        (
            &["no-cache=\"a\", private=b"],
            Some(Directives { no_cache_fields: true, private_fields: true, ..none }),
        ),
        (&["private=\"\""], Some(Directives { private: true, ..none })),
        (&["private=\"a\", private"], Some(Directives { private: true, ..none })),
        (&["public, must-understand"], Some(Directives { public: true, must_understand: true, ..none })),
        (
            &["must-revalidate, proxy-revalidate"],
            Some(Directives { must_revalidate: true, proxy_revalidate: true, ..none }),
        ),
        (
            &["s-maxage=9, x=(1 \"a\" tok;q);p, y=:aGk=:, z=@1, *w=a/b:c, v=%\"%c3%a9\""],
            Some(Directives { s_maxage: Some(9), ..none }),
        ),
        (&["stale-while-revalidate=5, stale-if-error=6"], {
            Some(Directives { stale_while_revalidate: Some(5), stale_if_error: Some(6), ..none })
        }),
        (&["Max-Age=60"], None),
        (&["max-age=60,"], None),
        (&["max-age=60", ""], None),
        (&["max-age=60 no-store"], None),
        (&["max-age="], None),
        (&["max-age=60;"], None),
        (&["max-age=1."], None),
        (&["max-age=1234567890123456"], None),
        (&["max-age=-"], None),
        (&["x=\"open"], None),
        (&["x=\"\\n\""], None),
        (&["x=?2"], None),
        (&["x=:a"], None),
        (&["x=@a"], None),
        (&["x=@1.5"], None),
        (&["x=(1"], None),
        (&["x=(1\"a\")"], None),
        (&["x={"], None),
        (&["max-age=60, x=\u{e9}"], None),
    ] {
        assert_eq!(parse(lines), expected, "{lines:?}");
    }
}

/// RFC 9213 §2.1: a value of the wrong type isn't used. A lifetime of the wrong type is none that can be relied on.
#[test]
fn wrong_types_are_not_used_and_such_a_lifetime_is_stale() {
    let none = Directives::default();
    let age = |seconds| Directives { max_age: Some(seconds), ..none };
    for value in ["\"60\"", "1.5", "sixty", "?1", ":aGk=:", "(60)", "@60"] {
        assert_eq!(parse(&[&format!("max-age={value}")]), Some(age(0)), "{value}");
        assert_eq!(parse(&[&format!("max-age=60, max-age={value}")]), Some(age(0)), "{value}");
    }
    assert_eq!(parse(&["max-age"]), Some(age(0)));
    for wrong in ["no-store=1", "no-store=yes", "private=1", "no-cache=(a b)", "must-revalidate=\"x\""] {
        assert_eq!(parse(&[wrong]), Some(none), "{wrong}");
    }
    assert_eq!(parse(&["stale-if-error=\"5\", no-store, no-store=1"]), Some(none));
}

/// RFC 9213 §2.2.
#[test]
fn the_first_valid_field_of_the_list_is_selected() {
    let targets = [HeaderName::from_static("mine-cache-control"), FIELD];
    let select = |lines: &[(&str, &str)]| {
        let Selected { directives, targeted } = Selected::of(&headers(lines), &targets);
        (directives.max_age, targeted)
    };
    let (mine, cdn, all) =
        (("mine-cache-control", "max-age=1"), (FIELD.as_str(), "max-age=2"), ("cache-control", "max-age=3"));
    let (empty, broken, other) =
        (("mine-cache-control", ""), (FIELD.as_str(), "max-age=2,"), ("x-cache-control", "max-age=4"));
    for (lines, expected) in [
        (&[all, cdn, mine][..], (Some(1), true)),
        (&[all, cdn], (Some(2), true)),
        (&[all, cdn, empty], (Some(2), true)),
        (&[all, broken, empty], (Some(3), false)),
        (&[all, broken, mine], (Some(1), true)),
        (&[all, other], (Some(3), false)),
        (&[all, (FIELD.as_str(), "x")], (None, true)),
        (&[], (None, false)),
    ] {
        assert_eq!(select(lines), expected, "{lines:?}");
    }
    let none = Selected::of(&headers(&[all, cdn]), &[]);
    assert_eq!((none.directives.max_age, none.targeted), (Some(3), false));
}

#[test]
fn the_fields_named_are_those_of_the_selected_field() {
    let lines = [("cache-control", "private=\"a\""), (FIELD.as_str(), "private=\"b, c\", no-cache=D")];
    assert_eq!(qualified_fields(&headers(&lines), &[FIELD]), ["d", "b", "c"]);
    assert_eq!(qualified_fields(&headers(&lines[..1]), &[FIELD]), ["a"]);
    assert!(qualified_fields(&headers(&[(FIELD.as_str(), "private=\"b\", private")]), &[FIELD]).is_empty());
}

/// A parser that copies or looks back for each member would take minutes.
#[test]
fn long_values_are_read_once() {
    for unit in [
        "a, ",
        "a=\"\\\\\\\"\", ",
        "a;b;c, ",
        "a=(1 2 3), ",
        "private=\"a b c\", ",
        "a=\"",
        "a=:aGk=:, ",
        "\t",
    ] {
        let value = format!("{}no-store", unit.repeat((1 << 20) / unit.len()));
        let headers = HeaderMap::from_iter([(FIELD, HeaderValue::try_from(value).unwrap())]);
        let no_store = read(&headers, &FIELD).is_some_and(|members| members.directives.no_store);
        assert_eq!(no_store, unit.ends_with(", "), "{unit:?}");
    }
}

proptest! {
    #[test]
    fn one_bad_member_makes_the_whole_field_absent(headers in any_headers(), bad in "[A-Z!,=\"]") {
        let mut headers = headers;
        headers.append(FIELD, bad.parse().unwrap());
        prop_assert!(read(&headers, &FIELD).is_none());
    }

    #[test]
    fn no_bytes_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..3)) {
        let values = lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok());
        let headers: HeaderMap = values.map(|value| (FIELD, value)).collect();
        let _ = read(&headers, &FIELD);
    }
}
