use proptest::prelude::*;

use super::*;
use crate::policy::testing::{any_headers, headers};

fn parse(lines: &[&str]) -> Option<Directives> {
    let lines: Vec<_> = lines.iter().map(|line| ("cdn-cache-control", *line)).collect();
    directives(&headers(&lines))
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
        (&["max-age=60, max-age=\"5\""], Some(none)),
        (&["max-age=-5"], Some(age(0))),
        (&["max-age=1.5"], Some(none)),
        (&["no-store=?0, no-cache=?1"], Some(Directives { no_cache: true, ..none })),
        (&["private=\"a\\\"b\""], Some(Directives { private: true, ..none })),
        (
            &["s-maxage=9, x=(1 \"a\" tok;q);p, y=:aGk=:, z=@1, *w=a/b:c"],
            Some(Directives { s_maxage: Some(9), ..none }),
        ),
        (&["Max-Age=60"], None),
        (&["max-age=60,"], None),
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
    ] {
        assert_eq!(parse(lines), expected, "{lines:?}");
    }
}

proptest! {
    #[test]
    fn one_bad_member_makes_the_whole_field_absent(headers in any_headers(), bad in "[A-Z!,=\"]") {
        let mut headers = headers;
        headers.append(FIELD, bad.parse().unwrap());
        prop_assert_eq!(directives(&headers), None);
    }
}
