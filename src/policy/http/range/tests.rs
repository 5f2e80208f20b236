use proptest::prelude::*;

use super::*;
use crate::policy::testing::{entry, headers};

const BODY: &str = "0123456789";
const THEN: &str = "Mon, 12 Jan 1970 13:46:40 GMT";
const MINUTE_EARLIER: &str = "Mon, 12 Jan 1970 13:45:40 GMT";

fn part(first: u64, last: u64) -> Content {
    Content { first, last, complete: Some(10) }
}

fn one(first: u64, last: u64) -> Option<Selection> {
    Some(Selection::Part(part(first, last)))
}

/// What a GET with these lines gets of an entry.
fn get(entry: &Entry, request: &[(&str, &str)]) -> Option<Selection> {
    select(&Method::GET, &headers(request), entry)
}

#[test]
fn a_whole_entry_gives_any_range() {
    use Selection::{Parts, Unsatisfiable, Whole};
    let whole = Some(Whole);
    let none = Some(Unsatisfiable);
    let two = |a, b| Some(Parts(vec![a, b]));
    let stored = entry(200, &[], BODY);
    let seventeen = format!("bytes={}", "0-0,".repeat(17));
    for (section, range, expected) in [
        ("14.1.2, first", "bytes=0-4", one(0, 4)),
        ("14.1.2, in the middle", "bytes=3-3", one(3, 3)),
        ("14.1.2, open", "bytes=7-", one(7, 9)),
        ("14.1.2, all", "bytes=0-", one(0, 9)),
        ("14.1.2, beyond the end", "bytes=7-99", one(7, 9)),
        ("14.1.2, suffix", "bytes=-3", one(7, 9)),
        ("14.1.2, a long suffix", "bytes=-99", one(0, 9)),
        ("14.1.2, large numbers", "bytes=5-99999999999999999999999999", one(5, 9)),
        ("14.1.2, large numbers", "bytes=-99999999999999999999999999", one(0, 9)),
        ("14.1.2, unsatisfiable", "bytes=10-", none.clone()),
        ("14.1.2, unsatisfiable", "bytes=99999999999999999999999999-", none.clone()),
        ("14.1.2, unsatisfiable", "bytes=-0", none.clone()),
        ("14.1.2, unsatisfiable", "bytes=10-11, -0", none),
        ("14.1.2, one of them satisfiable", "bytes=20-30, 1-2", one(1, 2)),
        ("14.1.2, several", "bytes=0-0,-1", two(part(0, 0), part(9, 9))),
        ("15.3.7.2, in their order", "bytes= 8-9 ,\t0-1", two(part(8, 9), part(0, 1))),
        ("5.6.1.2, empty members", "bytes=,0-1,,", one(0, 1)),
        ("15.3.7.2, overlapping", "bytes=0-3,2-5", one(0, 5)),
        ("15.3.7.2, adjacent", "bytes=3-4,0-2", one(0, 4)),
        ("15.3.7.2, a bridge", "bytes=0-1,4-5,8-9,2-3", two(part(0, 5), part(8, 9))),
        ("14.2, three that overlap", "bytes=0-3,2-5,3-3", whole.clone()),
        ("17.15, more than there is", "bytes=0-,0-", whole.clone()),
        ("17.15, too many", &seventeen, whole.clone()),
        ("14.1, units have no case", "BYTES=0-4", one(0, 4)),
        ("14.2, other units", "lines=0-4", whole.clone()),
        ("14.1.1, invalid", "bytes=4-0", whole.clone()),
        ("14.1.1, all invalid", "bytes=0-1, 4-0", whole.clone()),
        ("14.1.1, invalid", "bytes=a-4", whole.clone()),
        ("14.1.1, invalid", "bytes=-", whole.clone()),
        ("14.1.1, invalid", "bytes=0-4-5", whole.clone()),
        ("14.1.1, invalid", "bytes=+0-4", whole.clone()),
        ("14.1.1, invalid", "bytes=0 - 4", whole.clone()),
        ("14.1.1, invalid", "bytes=5", whole.clone()),
        ("14.1.1, no set", "bytes=", whole.clone()),
        ("14.1.1, no set", "bytes", whole.clone()),
        ("14.1.1, no unit", "0-4", whole.clone()),
        ("14.1.1, no unit", "", whole.clone()),
        ("14.1.1, space in it", "bytes =0-4", whole.clone()),
    ] {
        assert_eq!(get(&stored, &[("range", range)]), expected, "RFC 9110 {section}: {range}");
    }
    assert_eq!(get(&stored, &[]), whole);
    assert_eq!(get(&stored, &[("range", "bytes=0-4"), ("range", "bytes=0-4")]), whole, "several lines");
    for method in [Method::HEAD, Method::POST] {
        let asked = headers(&[("range", "bytes=0-4")]);
        assert_eq!(select(&method, &asked, &stored), whole, "RFC 9110 14.2: {method}");
    }
    assert_eq!(get(&entry(404, &[], BODY), &[("range", "bytes=0-4")]), whole, "RFC 9110 14.2");
    for range in ["bytes=0-", "bytes=-1", "bytes=5-6"] {
        assert_eq!(get(&entry(200, &[], ""), &[("range", range)]), whole, "RFC 9110 14.2: no content");
    }
}

#[test]
fn if_range_takes_strong_validators_alone() {
    let etag = ("etag", "\"a\"");
    let dated = [("last-modified", MINUTE_EARLIER), ("date", THEN)];
    for (section, stored, value, holds) in [
        ("13.1.5", &[etag][..], "\"a\"", true),
        ("13.1.5, another", &[etag], "\"b\"", false),
        ("13.1.5, weak in the request", &[etag], "W/\"a\"", false),
        ("13.1.5, weak in the entry", &[("etag", "W/\"a\"")], "\"a\"", false),
        ("13.1.5, weak in both", &[("etag", "W/\"a\"")], "W/\"a\"", false),
        ("13.1.5, no quotes", &[("etag", "a")], "a", false),
        ("13.1.5, no list", &[etag], "\"a\", \"b\"", false),
        ("13.1.5, no star", &[etag], "*", false),
        ("13.1.5, no tag to compare", &[], "\"a\"", false),
        ("8.8.3, which of two tags", &[etag, ("etag", "\"b\"")], "\"a\"", false),
        ("13.1.5, the date", &dated, MINUTE_EARLIER, true),
        ("5.6.7, the date in another form", &dated, "Monday, 12-Jan-70 13:45:40 GMT", true),
        ("13.1.5, a later date", &dated, THEN, false),
        ("13.1.5, no date", &dated, "x", false),
        ("8.8.2.2, a weak date", &[("last-modified", THEN), ("date", THEN)], THEN, false),
        ("8.8.2.2, no Date", &[("last-modified", MINUTE_EARLIER)], MINUTE_EARLIER, false),
        ("13.1.5, nothing", &[etag], "", false),
    ] {
        let stored = entry(200, stored, BODY);
        let found = get(&stored, &[("range", "bytes=0-4"), ("if-range", value)]);
        let expected = if holds { one(0, 4) } else { Some(Selection::Whole) };
        assert_eq!(found, expected, "RFC 9110 {section}: {value}");
    }
    let stored = entry(200, &[etag], BODY);
    let twice = [("range", "bytes=0-4"), ("if-range", "\"a\""), ("if-range", "\"a\"")];
    assert_eq!(get(&stored, &twice), Some(Selection::Whole));
    assert_eq!(get(&stored, &[("if-range", "\"b\"")]), Some(Selection::Whole), "RFC 9110 13.1.5: no Range");
}

#[test]
fn a_part_gives_what_is_inside_it() {
    let stored = |content_range, body| {
        entry(206, &[("content-range", content_range), ("range", "bytes=2-7, 9-9"), ("etag", "\"a\"")], body)
    };
    let known = stored("bytes 2-7/10", "234567");
    let end = stored("bytes 4-9/10", "456789");
    let unknown = stored("bytes 2-7/*", "234567");
    let open = |first, last| Some(Selection::Part(Content { first, last, complete: None }));
    for (section, stored, range, expected) in [
        ("the same value", &known, "bytes=2-7, 9-9", one(2, 7)),
        ("all of it", &known, "bytes=2-7", one(2, 7)),
        ("inside", &known, "bytes=3-4", one(3, 4)),
        ("before it", &known, "bytes=1-3", None),
        ("behind it", &known, "bytes=3-8", None),
        ("to the end", &known, "bytes=3-", None),
        ("to the end", &end, "bytes=5-", one(5, 9)),
        ("beyond the end", &end, "bytes=5-99", one(5, 9)),
        ("suffix", &end, "bytes=-3", one(7, 9)),
        ("a longer suffix", &end, "bytes=-7", None),
        ("suffix", &known, "bytes=-1", None),
        ("unsatisfiable", &known, "bytes=10-", None),
        ("several", &known, "bytes=2-3,5-6", None),
        ("the same value, no length", &unknown, "bytes=2-7, 9-9", open(2, 7)),
        ("no length", &unknown, "bytes=3-4", open(3, 4)),
        ("no length, beyond", &unknown, "bytes=3-8", None),
        ("no length, open", &unknown, "bytes=3-", None),
        ("no length, suffix", &unknown, "bytes=-1", None),
        ("another unit", &known, "lines=2-7", None),
    ] {
        assert_eq!(get(stored, &[("range", range)]), expected, "RFC 9111 3.3 {section}: {range}");
    }
    assert_eq!(get(&known, &[]), None, "RFC 9111 3.3: never for the whole");
    let asked = headers(&[("range", "bytes=3-4")]);
    assert_eq!(select(&Method::HEAD, &asked, &known), None);
    assert_eq!(get(&known, &[("range", "bytes=3-4"), ("if-range", "\"a\"")]), one(3, 4));
    assert_eq!(get(&known, &[("range", "bytes=3-4"), ("if-range", "\"b\"")]), None, "the whole is wanted");
}

#[test]
fn a_206_brought_what_it_brought() {
    let found = |first, last, complete| Some(Content { first, last, complete });
    for (section, value, length, expected) in [
        ("14.4", "bytes 0-4/10", 5, found(0, 4, Some(10))),
        ("14.4, no length", "bytes 5-9/*", 5, found(5, 9, None)),
        ("14.1, no case", "Bytes 5-9/10", 5, found(5, 9, Some(10))),
        ("fewer than said", "bytes 5-9/10", 4, found(5, 8, Some(10))),
        ("more than said", "bytes 5-8/10", 5, found(5, 9, Some(10))),
        ("more than there is", "bytes 5-8/10", 6, None),
        ("nothing", "bytes 5-9/10", 0, None),
        ("14.4, invalid", "bytes 9-5/10", 5, None),
        ("14.4, invalid", "bytes 5-9/9", 5, None),
        ("14.4, other units", "lines 5-9/10", 5, None),
        ("14.4, unsatisfied", "bytes */10", 5, None),
        ("14.4, junk", "bytes=5-9/10", 5, None),
        ("14.4, junk", "bytes 5-9", 5, None),
        ("14.4, junk", "bytes 5-/10", 5, None),
        ("14.4, junk", "bytes 5-9/x", 5, None),
        ("14.4, junk", "bytes", 5, None),
        ("14.4, junk", "", 5, None),
    ] {
        assert_eq!(
            received_part(&headers(&[("content-range", value)]), length),
            expected,
            "{section}: {value}"
        );
    }
    assert_eq!(received_part(&headers(&[]), 5), None);
    let twice = headers(&[("content-range", "bytes 0-4/10"), ("content-range", "bytes 0-4/10")]);
    assert_eq!(received_part(&twice, 5), None);
    let several =
        headers(&[("content-range", "bytes 0-4/10"), ("content-type", "Multipart/ByteRanges; boundary=x")]);
    assert_eq!(received_part(&several, 5), None, "RFC 9110 14.6");
}

/// Status, fields and body of a selection.
fn answer(selection: &Selection, entry: &Entry) -> (u16, Vec<(String, String)>, Bytes) {
    let mut status = entry.status;
    let mut headers = entry.headers.clone();
    let body = apply(selection, &mut status, &mut headers, entry);
    let lines = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (status.as_u16(), lines.collect(), body)
}

fn lines(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn answers_describe_what_they_carry() {
    let stored =
        [("date", THEN), ("content-type", "text/plain"), ("etag", "\"a\""), ("content-length", "10")];
    let whole = entry(200, &stored, BODY);

    let (status, fields, body) = answer(&Selection::Part(part(3, 5)), &whole);
    assert_eq!((status, &body[..]), (206, &b"345"[..]), "RFC 9110 15.3.7.1");
    let mut expected = lines(&stored);
    expected[3].1 = "3".to_owned();
    expected.extend(lines(&[("content-range", "bytes 3-5/10")]));
    assert_eq!(fields, expected, "RFC 9110 15.3.7.1");
    assert_eq!(body.as_ptr(), whole.body[3..].as_ptr(), "one range is not copied");

    let (status, fields, body) = answer(&Selection::Whole, &whole);
    assert_eq!((status, fields, &body[..]), (200, lines(&stored), BODY.as_bytes()));

    let (status, fields, body) = answer(&Selection::Unsatisfiable, &whole);
    assert_eq!((status, body.len()), (416, 0), "RFC 9110 15.5.17");
    assert_eq!(
        fields,
        lines(&[("date", THEN), ("content-range", "bytes */10"), ("content-length", "0")]),
        "no field of the representation is left"
    );

    let section =
        entry(206, &[("range", "bytes=4-"), ("content-range", "bytes 4-9/10"), ("x-a", "b")], "456789");
    let (status, fields, body) = answer(&Selection::Part(part(5, 6)), &section);
    assert_eq!((status, &body[..]), (206, &b"56"[..]));
    let expected = lines(&[("content-range", "bytes 5-6/10"), ("x-a", "b"), ("content-length", "2")]);
    assert_eq!(fields, expected, "no answer shows the range that a part was asked for by");
}

#[test]
fn several_parts_are_a_multipart_body() {
    let whole = entry(200, &[("content-type", "text/plain"), ("content-range", "junk")], BODY);
    let parts = Selection::Parts(vec![part(8, 9), part(0, 1)]);
    let (status, fields, body) = answer(&parts, &whole);
    let boundary = fields[0].1.strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
    let text = format!(
        "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n\
         --{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--{boundary}--\r\n"
    );
    assert_eq!((status, std::str::from_utf8(&body).unwrap()), (206, text.as_str()), "RFC 9110 14.6");
    assert_eq!(fields[1..], lines(&[("content-length", &text.len().to_string())]), "RFC 9110 15.3.7.2");
    assert_eq!(answer(&parts, &whole).2, body, "the boundary is the body's");
    let untyped = entry(200, &[], BODY);
    assert!(!answer(&parts, &untyped).2.windows(12).any(|text| text == b"Content-Type"));
}

/// A reader that looks back or ahead once per byte would need hours for these.
#[test]
fn long_lines_are_read_once() {
    let stored = entry(200, &[("etag", "\"a\"")], BODY);
    for unit in [",", "0-0,", "9", "-", "=", " "] {
        let long = unit.repeat((1 << 20) / unit.len());
        let start = format!("bytes={long}");
        assert_eq!(get(&stored, &[("range", &start)]), Some(Selection::Whole), "{unit:?}");
        let if_range = [("range", "bytes=0-4"), ("if-range", long.as_str())];
        assert_eq!(get(&stored, &if_range), Some(Selection::Whole));
    }
    let end = format!("bytes={}0-4", ",".repeat(1 << 20));
    assert_eq!(get(&stored, &[("range", &end)]), one(0, 4));
}

proptest! {
    #[test]
    fn ranges_lie_inside_the_body_and_apart(
        ranges in prop::collection::vec((prop::option::of(0_u64..30), prop::option::of(0_u64..30)), 1..6),
        length in 0_usize..24,
    ) {
        let text = |number: &Option<u64>| number.map_or(String::new(), |number| number.to_string());
        let set: Vec<_> = ranges.iter().map(|(first, last)| format!("{}-{}", text(first), text(last))).collect();
        let whole: String = ('a'..='z').cycle().take(length).collect();
        let stored = entry(200, &[], &whole);
        let range = format!("bytes={}", set.join(","));
        let selection = get(&stored, &[("range", &range)]).unwrap();
        let (_, _, body) = answer(&selection, &stored);
        let parts = match &selection {
            Selection::Part(part) => {
                prop_assert_eq!(&body[..], &whole.as_bytes()[part.first as usize..=part.last as usize]);
                vec![*part]
            }
            Selection::Parts(parts) => {
                prop_assert!(parts.len() > 1 && parts.len() <= ranges.len());
                parts.clone()
            }
            Selection::Whole => vec![],
            Selection::Unsatisfiable => vec![],
        };
        for (place, part) in parts.iter().enumerate() {
            prop_assert!(part.first <= part.last && part.last < length as u64);
            prop_assert!(parts[..place].iter().all(|other| !other.touches(*part)));
        }
        // Every byte that was asked for is there, and no other.
        for byte in 0..length as u64 {
            let asked = ranges.iter().any(|(first, last)| match (first, last) {
                (Some(first), last) => *first <= byte && last.is_none_or(|last| byte <= last),
                (None, Some(suffix)) => byte + suffix >= length as u64,
                (None, None) => false,
            });
            let given = parts.iter().any(|part| part.first <= byte && byte <= part.last);
            prop_assert!(parts.is_empty() || asked == given);
        }
    }

    #[test]
    fn any_bytes_give_a_selection(
        range in prop::collection::vec(any::<u8>(), 0..40),
        near in "(bytes)?[=, ]?([0-9]{0,3}-?[0-9]{0,22}[, ]?){0,4}",
        content_range in "(bytes )?[0-9]{0,22}-?[0-9]{0,22}/?([0-9]{0,22}|\\*)",
    ) {
        for value in [range.as_slice(), near.as_bytes()] {
            let Ok(value) = HeaderValue::from_bytes(value) else { continue };
            let request = HeaderMap::from_iter([(header::RANGE, value)]);
            for stored in [entry(200, &[], BODY), entry(206, &[("content-range", &content_range)], BODY)] {
                if let Some(selection) = select(&Method::GET, &request, &stored) {
                    let (status, _, body) = answer(&selection, &stored);
                    prop_assert!(status != 206 || !body.is_empty());
                }
            }
        }
    }
}
