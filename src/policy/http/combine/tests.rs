use proptest::prelude::*;

use super::*;
use crate::policy::testing::headers;

const BODY: &str = "0123456789";

/// A part of [`BODY`] with an entity tag, and the rest of its fields.
fn part(first: usize, last: usize, complete: &str, etag: &str) -> (HeaderMap, Bytes) {
    let content_range = format!("bytes {first}-{last}/{complete}");
    let body = Bytes::copy_from_slice(&BODY.as_bytes()[first..=last]);
    (headers(&[("etag", etag), ("content-range", &content_range), ("range", "bytes=x")]), body)
}

fn joined(old: &(HeaderMap, Bytes), new: &(HeaderMap, Bytes)) -> Option<(u16, String)> {
    let combined = combine((&old.0, &old.1), (&new.0, &new.1))?;
    Some((combined.status.as_u16(), String::from_utf8(combined.body.concat()).unwrap()))
}

#[test]
fn parts_of_one_representation_are_one() {
    let a = "\"a\"";
    for (section, old, new, expected) in [
        ("adjacent, all", part(0, 4, "10", a), part(5, 9, "10", a), Some((200, "0123456789"))),
        ("the other order", part(5, 9, "10", a), part(0, 4, "10", a), Some((200, "0123456789"))),
        ("overlapping, all", part(0, 6, "10", a), part(3, 9, "10", a), Some((200, "0123456789"))),
        ("inside", part(0, 9, "10", a), part(3, 5, "10", a), Some((200, "0123456789"))),
        ("around", part(3, 5, "10", a), part(0, 9, "10", a), Some((200, "0123456789"))),
        ("still a part", part(2, 4, "10", a), part(5, 7, "10", a), Some((206, "234567"))),
        ("a prefix", part(0, 2, "10", a), part(2, 4, "10", a), Some((206, "01234"))),
        ("one knows the length", part(0, 4, "*", a), part(5, 9, "10", a), Some((200, "0123456789"))),
        ("one knows the length", part(0, 4, "10", a), part(5, 9, "*", a), Some((200, "0123456789"))),
        ("nobody knows the length", part(0, 4, "*", a), part(5, 9, "*", a), Some((206, "0123456789"))),
        ("a gap", part(0, 3, "10", a), part(5, 9, "10", a), None),
        ("another length", part(0, 4, "10", a), part(5, 9, "11", a), None),
        ("beyond the length", part(0, 4, "5", a), part(5, 9, "*", a), None),
        ("another tag", part(0, 4, "10", a), part(5, 9, "10", "\"b\""), None),
        ("a weak tag", part(0, 4, "10", "W/\"a\""), part(5, 9, "10", "W/\"a\""), None),
        ("weak and strong", part(0, 4, "10", a), part(5, 9, "10", "W/\"a\""), None),
        ("no tag", part(0, 4, "10", "a"), part(5, 9, "10", "a"), None),
    ] {
        let expected = expected.map(|(status, body)| (status, body.to_owned()));
        assert_eq!(joined(&old, &new), expected, "RFC 9111 3.4: {section}");
    }
    let dated = |first, last, modified, date| {
        let (mut fields, body) = part(first, last, "10", "x");
        fields.remove(header::ETAG);
        fields.extend(headers(&[("last-modified", modified), ("date", date)]));
        (fields, body)
    };
    let (then, soon, later) =
        ("Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:59 GMT", "Mon, 01 Jan 2024 00:01:00 GMT");
    let first = dated(0, 4, then, later);
    assert_eq!(joined(&first, &dated(5, 9, then, later)), Some((200, BODY.to_owned())), "the strong date");
    assert_eq!(joined(&first, &dated(5, 9, then, soon)), None, "a weak date: RFC 9110 8.8.2.2");
    assert_eq!(joined(&first, &dated(5, 9, soon, "Tue, 02 Jan 2024 00:00:00 GMT")), None, "another date");
    let asctime = "Mon Jan  1 00:00:00 2024";
    let both = (dated(0, 4, asctime, later), dated(5, 9, asctime, later));
    assert_eq!(joined(&both.0, &both.1), None, "a form that no one may send");
    let (mut weak, body) = dated(5, 9, then, later);
    weak.insert(header::ETAG, HeaderValue::from_static("W/\"a\""));
    assert_eq!(joined(&first, &(weak, body)), None, "a date beside a weak tag");
    let (mut fields, body) = part(5, 9, "10", a);
    fields.append(header::ETAG, HeaderValue::from_static("\"a\""));
    assert_eq!(joined(&part(0, 4, "10", a), &(fields, body)), None, "which of two tags?");
}

#[test]
fn newer_bytes_and_fields_count() {
    let old = headers(&[
        ("etag", "\"a\""),
        ("x-old", "1"),
        ("cache-control", "max-age=1"),
        ("content-length", "5"),
        ("content-range", "bytes 0-4/10"),
        ("range", "bytes=0-4"),
    ]);
    let new = headers(&[
        ("x-new", "2"),
        ("etag", "\"a\""),
        ("content-length", "7"),
        ("content-range", "bytes 3-9/10"),
        ("cache-control", "max-age=9"),
        ("connection", "close"),
    ]);
    let combine = |to: &'static str, range: &str| {
        let mut new = new.clone();
        new.insert(header::CONTENT_RANGE, HeaderValue::try_from(range).unwrap());
        combine((&old, &Bytes::from_static(b"abcde")), (&new, &Bytes::from_static(to.as_bytes()))).unwrap()
    };
    let lines = |combined: &Combined| {
        let line =
            |(name, value): (&http::HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        combined.headers.iter().map(line).collect::<Vec<_>>()
    };
    let whole = combine("DEFGHIJ", "bytes 3-9/10");
    assert_eq!(whole.body.concat(), b"abcDEFGHIJ");
    assert_eq!(
        lines(&whole),
        ["etag: \"a\"", "x-old: 1", "cache-control: max-age=9", "content-length: 10", "x-new: 2"],
        "RFC 9111 3.2"
    );
    let more = combine("DEF", "bytes 3-5/10");
    assert_eq!((more.status, more.body.concat()), (StatusCode::PARTIAL_CONTENT, b"abcDEF".to_vec()));
    assert_eq!(
        lines(&more)[3..],
        ["content-length: 6", "content-range: bytes 0-5/10", "range: bytes=0-5", "x-new: 2"]
    );
}

#[test]
fn one_request_completes_a_part_with_one_end_missing() {
    let a = "\"a\"";
    for (section, (fields, body), expected) in [
        ("the rest", part(0, 4, "10", a), Some("bytes=5-")),
        ("the beginning", part(4, 9, "10", a), Some("bytes=0-3")),
        ("both ends", part(4, 5, "10", a), None),
        ("nothing", part(0, 9, "10", a), None),
        ("an unknown length", part(0, 4, "*", a), None),
        ("a weak tag", part(0, 4, "10", "W/\"a\""), None),
    ] {
        let found = missing(&fields, body.len());
        let expected = expected.map(|range| (HeaderValue::from_static(range), HeaderValue::from_static(a)));
        assert_eq!(found, expected, "RFC 9111 3.3: {section}");
    }
}

proptest! {
    #[test]
    fn what_is_combined_is_the_representation(
        (a, b, c, d) in (0_usize..10, 0_usize..10, 0_usize..10, 0_usize..10),
        complete in prop::sample::select(vec!["10", "*"]),
    ) {
        let old = part(a.min(b), a.max(b), complete, "\"a\"");
        let new = part(c.min(d), c.max(d), "10", "\"a\"");
        let touch = a.min(b) <= c.max(d) + 1 && c.min(d) <= a.max(b) + 1;
        let (first, last) = (a.min(b).min(c.min(d)), a.max(b).max(c.max(d)));
        let status = if (first, last) == (0, 9) { 200 } else { 206 };
        prop_assert_eq!(joined(&old, &new), touch.then(|| (status, BODY[first..=last].to_owned())));
        if let Some(combined) = combine((&old.0, &old.1), (&new.0, &new.1)).filter(|found| found.status == 206) {
            let part = received_part(&combined.headers, last + 1 - first);
            prop_assert_eq!(part, Some(Content { first: first as u64, last: last as u64, complete: Some(10) }));
        }
    }

    #[test]
    fn any_bytes_are_combined_or_not(
        old in prop::collection::vec(any::<u8>(), 0..24),
        new in "bytes [0-9]{1,22}-[0-9]{1,22}/([0-9]{1,22}|\\*)",
        length in 0_usize..12,
    ) {
        let with = |range: &[u8]| {
            let mut fields = headers(&[("etag", "\"a\"")]);
            if let Ok(value) = HeaderValue::from_bytes(range) {
                fields.insert(header::CONTENT_RANGE, value);
            }
            (fields, Bytes::from(vec![0; length]))
        };
        for old in [with(&old), with(new.as_bytes()), part(0, 4, "*", "\"a\"")] {
            let new = with(new.as_bytes());
            if let Some(found) = combine((&old.0, &old.1), (&new.0, &new.1)) {
                let length = found.body.iter().map(Bytes::len).sum::<usize>();
                prop_assert_eq!(found.headers[header::CONTENT_LENGTH].to_str().unwrap(), length.to_string());
                let is_part = received_part(&found.headers, length).is_some();
                prop_assert_eq!(is_part, found.status == StatusCode::PARTIAL_CONTENT);
            }
            if let Some((range, _)) = missing(&old.0, old.1.len()) {
                prop_assert!(range.as_bytes().starts_with(b"bytes="));
            }
        }
    }
}
