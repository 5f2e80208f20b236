use proptest::prelude::*;

use super::*;
use crate::policy::testing::headers;

const EARLIER: &str = "Mon, 12 Jan 1970 13:45:40 GMT";
const THEN: &str = "Mon, 12 Jan 1970 13:46:40 GMT";

fn lines(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

#[test]
fn a_validator_is_a_tag_or_a_date() {
    for (base, expected) in [
        (&[][..], false),
        (&[("etag", "\"a\"")], true),
        (&[("etag", "W/\"a\"")], true),
        (&[("etag", "a")], true),
        (&[("etag", "")], false),
        (&[("last-modified", THEN)], true),
        (&[("last-modified", "yesterday")], false),
        (&[("date", THEN), ("expires", THEN)], false),
    ] {
        assert_eq!(has_validator(&headers(base)), expected, "RFC 9110 8.8: {base:?}");
    }
}

#[test]
fn a_validation_asks_for_the_base_alone() {
    let client = [
        ("if-none-match", "\"mine\""),
        ("accept", "a"),
        ("if-modified-since", EARLIER),
        ("range", "bytes=0-4"),
        ("if-range", "\"mine\""),
        ("accept", "b"),
        ("x-last", "c"),
    ];
    let own = [("accept", "a"), ("accept", "b"), ("x-last", "c")];
    let tag = ("if-none-match", "W/\"a\"");
    let date = ("if-modified-since", THEN);
    for (section, base, kept, added) in [
        ("both", &[("etag", "W/\"a\""), ("last-modified", THEN)][..], &own[..], &[tag, date][..]),
        ("a tag", &[("etag", "W/\"a\"")], &own, &[tag]),
        ("a tag as it is", &[("etag", "a, b")], &own, &[("if-none-match", "a, b")]),
        ("a date", &[("last-modified", THEN)], &own, &[date]),
        ("no date", &[("last-modified", "x")], &own, &[]),
        ("none", &[], &own, &[]),
    ] {
        let mut request = headers(&client);
        condition(&mut request, &headers(base));
        assert_eq!(lines(&request), [kept, added].concat(), "RFC 9111 4.3.1: {section}");
    }
}

#[test]
fn a_second_call_has_no_preconditions() {
    let mut request = headers(&[
        ("if-match", "*"),
        ("accept", "a"),
        ("if-none-match", "*"),
        ("if-range", "\"a\""),
        ("range", "bytes=0-4"),
        ("if-unmodified-since", THEN),
        ("if-modified-since", THEN),
        ("x-last", "b"),
    ]);
    strip(&mut request);
    assert_eq!(lines(&request), [("accept", "a"), ("x-last", "b")]);
    let mut request = headers(&[("if-none-match", "*"), ("range", "bytes=0-4")]);
    strip(&mut request);
    assert_eq!(lines(&request), [("range", "bytes=0-4")]);
}

#[test]
fn a_304_confirms_what_it_names() {
    let strong = ("etag", "\"a\"");
    let weak = ("etag", "W/\"a\"");
    let modified = ("last-modified", EARLIER);
    let later = ("last-modified", THEN);
    let date = ("date", THEN);
    for (section, base, answer, expected) in [
        ("the strong tag", &[strong][..], &[strong][..], true),
        ("another strong tag", &[strong], &[("etag", "\"b\"")], false),
        ("another strong tag, the same date", &[strong, modified], &[("etag", "\"b\""), modified], false),
        ("the strong tag, another date", &[strong, modified], &[strong, later], true),
        ("a strong tag for a weak one", &[weak], &[strong], false),
        ("a strong tag for none", &[modified], &[strong], false),
        ("a strong tag and the weak date", &[modified], &[strong, modified], false),
        ("a strong tag and the strong date", &[modified, date], &[strong, modified], true),
        ("a strong tag and another date", &[modified, date], &[strong, later], false),
        ("the weak tag", &[weak], &[weak], true),
        ("a weak tag for a strong one", &[strong], &[weak], true),
        ("another weak tag", &[weak], &[("etag", "W/\"b\"")], false),
        ("a weak tag for none, the date", &[modified], &[weak, modified], true),
        ("a weak tag for none", &[modified], &[weak], false),
        ("no quotes, the same text", &[("etag", "a")], &[("etag", "a")], true),
        ("no quotes, another text", &[("etag", "a")], &[("etag", "b")], false),
        ("the date", &[modified], &[modified], true),
        ("the date, in another form", &[modified], &[("last-modified", "Mon Jan 12 13:45:40 1970")], true),
        (
            "the date, with two digits for its year",
            &[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")],
            &[("last-modified", "Sunday, 06-Nov-94 08:49:37 GMT")],
            true,
        ),
        (
            "the date, with two digits for a year of this century",
            &[("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT")],
            &[("last-modified", "Monday, 01-Jan-24 00:00:00 GMT")],
            true,
        ),
        ("the date beside a tag", &[strong, modified], &[modified], true),
        ("an earlier date: rolled back", &[later], &[modified], false),
        ("a later date: that of the answer", &[modified], &[later], true),
        (
            "a later date that is strong",
            &[modified],
            &[later, ("date", "Wed, 14 Jan 1970 13:45:40 GMT")],
            false,
        ),
        ("another date, where a tag was asked about", &[strong, modified], &[later], true),
        ("no date", &[modified], &[("last-modified", "x")], false),
        ("no validator", &[strong, modified], &[date], true),
        ("no validator", &[modified], &[], true),
        ("no validator at all", &[], &[], true),
    ] {
        assert_eq!(confirms(&headers(base), &headers(answer)), expected, "RFC 9111 4.3.4: {section}");
    }
}

#[test]
fn an_update_replaces_fields_and_keeps_their_order() {
    let base = [
        ("date", EARLIER),
        ("cache-control", "max-age=1"),
        ("x-lines", "1"),
        ("x-lines", "2"),
        ("content-length", "10"),
        ("etag", "\"a\""),
        ("age", "7"),
        ("content-type", "text/plain"),
        ("set-cookie", "a=1"),
        ("range", "bytes=0-"),
        ("content-range", "bytes 0-9/10"),
    ];
    let update = [
        ("x-new", "1"),
        ("date", THEN),
        ("x-lines", "3"),
        ("content-length", "0"),
        ("content-range", "bytes 1-2/3"),
        ("range", "x"),
        ("etag", "W/\"a\""),
        ("age", "3"),
        ("set-cookie", "b=1"),
        ("set-cookie", "c=1"),
        ("connection", "close, X-Hop, cache-control"),
        ("x-hop", "1"),
        ("cache-control", "max-age=9"),
        ("content-type", "text/html"),
        ("content-encoding", "gzip"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "x"),
        ("proxy-authenticate", "x"),
        ("x-new", "2"),
    ];
    let expected = [
        ("date", THEN),
        ("cache-control", "max-age=1"),
        ("x-lines", "3"),
        ("content-length", "10"),
        ("etag", "W/\"a\""),
        ("content-type", "text/html"),
        ("set-cookie", "b=1"),
        ("set-cookie", "c=1"),
        ("range", "bytes=0-"),
        ("content-range", "bytes 0-9/10"),
        ("x-new", "1"),
        ("x-new", "2"),
        ("content-encoding", "gzip"),
    ];
    assert_eq!(lines(&merged(&headers(&base), &headers(&update))), expected, "RFC 9111 3.2");
    let unchanged = headers(&base[..6]);
    assert_eq!(merged(&unchanged, &headers(&[])), unchanged);
}

#[test]
fn a_head_speaks_of_what_it_matches() {
    let strong = ("etag", "\"a\"");
    let modified = ("last-modified", THEN);
    let stored = headers(&[strong, modified, ("content-length", "10")]);
    for (section, head, expected) in [
        ("all the same", &[strong, modified, ("content-length", "10")][..], true),
        ("nothing received", &[], true),
        ("one of them", &[strong], true),
        ("another tag", &[("etag", "\"b\""), modified], false),
        ("a weak tag", &[("etag", "W/\"a\"")], false),
        ("another date", &[strong, ("last-modified", EARLIER)], false),
        ("another length", &[strong, ("content-length", "11")], false),
        ("two lengths", &[("content-length", "10"), ("content-length", "11")], false),
        ("no length", &[("content-length", "x")], false),
    ] {
        assert_eq!(head_matches(&stored, 10, &headers(head)), expected, "RFC 9111 4.3.5: {section}");
    }
    assert!(!head_matches(&headers(&[]), 10, &headers(&[strong])), "a tag that the stored one lacks");
    assert!(head_matches(&headers(&[]), 10, &headers(&[("content-length", "10")])), "the body's own length");
}

#[test]
fn long_lines_are_read_once() {
    let long = "a,".repeat(1 << 19);
    let update = headers(&[("connection", &long), ("a", "1"), ("b", "2")]);
    assert_eq!(lines(&merged(&headers(&[]), &update)), [("b", "2")]);
}

/// Fields that no update may bring: RFC 9111 §3.1 and §3.2.
const NEVER: [HeaderName; 13] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::RANGE,
    header::AGE,
];

/// Any lines of fields that an update treats in some way.
fn any_update() -> impl Strategy<Value = HeaderMap> {
    let name = prop::sample::select(
        NEVER
            .iter()
            .cloned()
            .chain([header::ETAG, header::LAST_MODIFIED, header::DATE, header::SET_COOKIE])
            .collect::<Vec<_>>(),
    );
    let value = prop_oneof![
        "(etag|date|set-cookie|x|close)(, ?(etag|date|set-cookie))?".prop_map(String::into_bytes),
        "(W/)?\"[ab]\"".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec((name, value), 0..12).prop_map(|lines| {
        lines
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::from_bytes(&value).ok()?)))
            .collect()
    })
}

proptest! {
    #[test]
    fn an_update_never_brings_what_belongs_to_the_connection(base in any_update(), update in any_update()) {
        let merged = merged(&base, &update);
        prop_assert!(!merged.contains_key(header::AGE));
        for name in merged.keys() {
            let values: Vec<_> = merged.get_all(name).iter().collect();
            let is_base: Vec<_> = base.get_all(name).iter().collect();
            let is_update: Vec<_> = update.get_all(name).iter().collect();
            prop_assert!(values == is_base || (values == is_update && !NEVER.contains(name)), "{}", name);
        }
    }

    #[test]
    fn any_fields_are_judged(base in any_update(), answer in any_update(), length in 0_u64..3) {
        let yes = confirms(&base, &answer);
        let named = answer.contains_key(header::ETAG) || answer.contains_key(header::LAST_MODIFIED);
        prop_assert!(yes || named);
        let matches = head_matches(&base, length, &answer);
        prop_assert!(!matches || !answer.contains_key(header::ETAG) || base.get(header::ETAG) == answer.get(header::ETAG));
        let mut request = answer.clone();
        condition(&mut request, &base);
        prop_assert_eq!(request.get(header::IF_NONE_MATCH).is_some(), etag(&base).is_some());
    }
}
