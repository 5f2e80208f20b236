use http::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};
use proptest::prelude::*;

use super::*;
use crate::policy::testing::{entry, headers};

const EARLIER: &str = "Mon, 12 Jan 1970 13:46:39 GMT";
/// When the entry was received, and `Date`.
const THEN: &str = "Mon, 12 Jan 1970 13:46:40 GMT";
const LATER: &str = "Mon, 12 Jan 1970 13:46:41 GMT";

fn names(lines: &[&str], etag: Option<&str>) -> bool {
    let lines: Vec<_> = lines.iter().map(|line| ("if-none-match", *line)).collect();
    let etag = etag.map(|etag| HeaderValue::from_bytes(etag.as_bytes()).unwrap());
    none_match_names(&headers(&lines), etag.as_ref())
}

#[test]
fn if_none_match_compares_weakly_and_member_by_member() {
    for (section, lines, etag, named) in [
        ("8.8.3.2, table 3", &["W/\"1\""][..], "W/\"1\"", true),
        ("8.8.3.2, table 3", &["W/\"1\""], "W/\"2\"", false),
        ("8.8.3.2, table 3", &["W/\"1\""], "\"1\"", true),
        ("8.8.3.2, table 3", &["\"1\""], "\"1\"", true),
        ("8.8.3.2", &["\"1\""], "W/\"1\"", true),
        ("13.1.2, a list", &["\"b\", \"a\""], "\"a\"", true),
        ("13.1.2, a list", &["\"a\" ,W/\"b\""], "\"b\"", true),
        ("13.1.2, a list", &["\"b\",\t\"c\""], "\"a\"", false),
        ("5.3, several lines", &["\"b\"", "\"a\""], "\"a\"", true),
        ("5.6.1.2, empty members", &[", ,\"b\",,\"a\",,"], "\"a\"", true),
        ("13.1.2, any", &["*"], "\"a\"", true),
        ("13.1.2, any", &[" * "], "a", true),
        ("13.1.2, * in a list", &["\"b\", *"], "\"a\"", false),
        ("13.1.2, * twice", &["*", "*"], "\"a\"", false),
        ("13.1.2, a tag of that name", &["\"*\""], "\"a\"", false),
        ("13.1.2, nothing", &[""], "\"a\"", false),
        ("8.8.3, empty tags are tags", &["\"\""], "\"\"", true),
        ("8.8.3, commas in tags", &["\"a,b\""], "\"a,b\"", true),
        ("8.8.3, commas in tags", &["\"b,\"a\",c\""], "\"a\"", false),
        ("8.8.3, obs-text", &["\"\u{e9}\""], "\"\u{e9}\"", true),
        ("8.8.3, no escapes", &["\"a\\\""], "\"a\\\"", true),
        ("8.8.3, tags have case", &["\"A\""], "\"a\"", false),
        ("8.8.3, a small w", &["w/\"a\""], "\"a\"", false),
        ("8.8.3, a small w", &["\"a\""], "w/\"a\"", false),
        ("8.8.3, no slash", &["W\"a\""], "\"a\"", false),
        ("8.8.3, no quotes: the same text", &["a"], "a", true),
        ("8.8.3, no quotes: the same text", &["x, W/a , b"], "W/a", true),
        ("8.8.3, no quotes", &["W/a"], "a", false),
        ("8.8.3, no quotes", &["a"], "\"a\"", false),
        ("8.8.3, no quotes", &["\"a\""], "a", false),
        ("8.8.3, odd syntax: the very text", &["\"a"], "\"a", true),
        ("8.8.3, odd syntax: the very text", &["w/\"a\""], "w/\"a\"", true),
        ("8.8.3, odd syntax: the very text", &[" W\\\"a\" "], "W\\\"a\"", true),
        ("8.8.3, odd syntax: another text", &["w/\"a\""], "W/\"a\"", false),
        ("8.8.3, odd syntax: in a list", &["\"b\", \"a"], "\"a", false),
        ("8.8.3, an open quote", &["\"b\", \"a"], "\"a\"", false),
        ("5.6.1, no comma", &["\"b\" \"a\""], "\"a\"", false),
        ("5.6.1, no comma", &["\"a\" \"b\""], "\"a\"", false),
        ("5.6.1, a broken line ends itself only", &["\"b\" \"c\"", "\"a\""], "\"a\"", true),
        ("8.8.3, no tag", &[""], "", false),
    ] {
        assert_eq!(names(lines, Some(etag)), named, "RFC 9110 {section}: {lines:?} {etag}");
    }
    assert!(!names(&["\"a\""], None));
    assert!(names(&["*"], None));
}

#[test]
fn preconditions_decide_in_their_order() {
    let etag = ("etag", "\"a\"");
    let modified = ("last-modified", THEN);
    let date = ("date", THEN);
    let none_match = |value| ("if-none-match", value);
    let since = |value| ("if-modified-since", value);
    let get = |status, stored: &[(&str, &str)], request: &[(&str, &str)]| {
        not_modified(&Method::GET, &headers(request), &entry(status, stored, "0123456789"))
    };
    for (section, stored, request, expected) in [
        ("none", &[etag, modified][..], &[][..], false),
        ("13.1.2", &[etag], &[none_match("\"a\"")], true),
        ("13.2.2, If-None-Match alone", &[etag, modified], &[none_match("\"b\""), since(LATER)], false),
        ("13.2.2, If-None-Match alone", &[etag, modified], &[none_match("\"a\""), since(EARLIER)], true),
        ("13.2.2, without a tag, too", &[modified], &[none_match("\"a\""), since(LATER)], false),
        ("13.1.3", &[modified], &[since(THEN)], true),
        ("13.1.3, later", &[modified], &[since(LATER)], true),
        ("13.1.3, modified since", &[modified], &[since(EARLIER)], false),
        ("13.1.3, rfc850", &[modified], &[since("Monday, 12-Jan-70 13:46:40 GMT")], true),
        ("13.1.3, no date", &[modified], &[since("now")], false),
        ("13.1.3, no date", &[modified], &[since("")], false),
        ("13.1.3, several", &[modified], &[since(LATER), since(THEN)], false),
        ("13.1.3, several", &[modified], &[since(THEN), since(THEN)], false),
        ("13.1.3, several", &[modified], &[since("Mon, 12 Jan 1970 13:46:40 GMT, x")], false),
        ("9111 4.3.2, Date", &[date], &[since(THEN)], true),
        ("9111 4.3.2, Date", &[date], &[since(EARLIER)], false),
        ("9111 4.3.2, time of receipt", &[], &[since(THEN)], true),
        ("9111 4.3.2, time of receipt", &[], &[since(EARLIER)], false),
        ("13.1.3, a broken modification date", &[("last-modified", "x"), date], &[since(LATER)], false),
    ] {
        assert_eq!(get(200, stored, request), expected, "RFC 9110 {section}: {request:?}");
    }
    assert!(!get(404, &[etag], &[none_match("\"a\"")]), "RFC 9110 13.2.1");
    assert!(!get(301, &[etag, modified], &[since(THEN)]), "RFC 9110 13.2.1");
    let stored = entry(200, &[etag, modified], "");
    let asked = headers(&[none_match("*")]);
    assert!(not_modified(&Method::HEAD, &asked, &stored));
    assert!(not_modified(&Method::QUERY, &asked, &stored), "RFC 10008 2.6");
    assert!(!not_modified(&Method::POST, &asked, &stored), "RFC 9110 13.1.2: 412, which is the origin's");
    assert!(!not_modified(&Method::POST, &headers(&[since(LATER)]), &stored), "RFC 9110 13.1.3");
}

#[test]
fn a_part_is_judged_only_where_it_answers() {
    let part = entry(206, &[("etag", "\"a\""), ("content-range", "bytes 0-4/10")], "01234");
    let asked = |lines: &[(&str, &str)]| not_modified(&Method::GET, &headers(lines), &part);
    assert!(asked(&[("if-none-match", "\"a\""), ("range", "bytes=1-2")]), "RFC 9110 13.2.2");
    assert!(!asked(&[("if-none-match", "\"a\""), ("range", "bytes=5-6")]));
    assert!(!asked(&[("if-none-match", "\"a\"")]), "RFC 9111 4.3.2");
}

#[test]
fn a_304_keeps_what_it_must_and_describes_no_content() {
    let mut answer = headers(&[
        ("content-length", "1"),
        ("date", THEN),
        ("content-type", "text/plain"),
        ("vary", "accept"),
        ("content-encoding", "gzip"),
        ("etag", "\"a\""),
        ("content-language", "en"),
        ("set-cookie", "a"),
        ("set-cookie", "b"),
        ("content-location", "/a"),
        ("content-range", "bytes 0-0/1"),
        ("cache-control", "max-age=1"),
        ("range", "bytes=0-"),
        ("content-security-policy", "x"),
        ("expires", THEN),
    ]);
    strip_content(&mut answer);
    let left: Vec<_> = answer.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let expected = [
        ("date", THEN),
        ("vary", "accept"),
        ("etag", "\"a\""),
        ("set-cookie", "a"),
        ("set-cookie", "b"),
        ("content-location", "/a"),
        ("cache-control", "max-age=1"),
        ("content-security-policy", "x"),
        ("expires", THEN),
    ];
    assert_eq!(left, expected, "RFC 9110 15.4.5, in the order it came");
}

/// A reader that looks back or ahead once per byte would need hours for these.
#[test]
fn long_lines_are_read_once() {
    for unit in ["\"a\",", ",", "a,", "W/", "\"", " ", "W/\"b\" , ", "a\"", "\"a\" "] {
        let line = unit.repeat((1 << 20) / unit.len());
        let request = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::try_from(line).unwrap())]);
        let etag = HeaderValue::from_static("\"z\"");
        assert!(!none_match_names(&request, Some(&etag)), "{unit:?}");
    }
}

proptest! {
    #[test]
    fn a_304_needs_the_tag_in_the_request(
        lines in prop::collection::vec("[\"aW/*, ]{0,12}", 0..4),
        etag in "(W/)?\"[ab,*/]{0,3}\"",
    ) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        if names(&lines, Some(&etag)) {
            let opaque = etag.trim_start_matches("W/");
            prop_assert!(lines.iter().any(|line| line.contains(opaque)) || lines.iter().any(|l| l.trim() == "*"));
        }
    }

    #[test]
    fn every_tag_of_a_list_is_found(tags in prop::collection::vec("(W/)?\"[a-z, ]{0,4}\"", 1..6), which: prop::sample::Index) {
        let line = tags.join(" ,\t");
        prop_assert!(names(&[&line], Some(which.get(&tags).as_str())));
    }

    #[test]
    fn any_bytes_give_an_answer(
        request in prop::collection::vec((0..4_usize, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        status in prop::sample::select(vec![200_u16, 206, 404]),
    ) {
        let field = ["if-none-match", "if-modified-since", "range", "if-range"];
        let mut map = HeaderMap::new();
        for (name, value) in &request {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                map.append(field[*name], value);
            }
        }
        let entry = entry(status, &[("etag", "\"a\""), ("content-range", "bytes 0-4/10")], "01234");
        let judged = not_modified(&Method::GET, &map, &entry);
        prop_assert!(!judged || map.contains_key("if-none-match") || map.contains_key("if-modified-since"));
    }
}
