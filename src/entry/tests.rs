//! The codec: what goes in comes out; nothing else does.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::{Checked, DecodeError, Entry, EntryHead, Record, VaryRecord, Windows, decode, encode};
use crate::key::Key;
use crate::policy::Refusal;
use crate::purge::{Epoch, JournalId, Stamp, Tag};

const KEY: Key = Key::from_bytes([5; 32]);
const STAMP: Stamp = Stamp::foreign(Epoch::from_bytes([6; 16]), JournalId::new(7, 8));
const TAGS: [Tag; 2] = [Tag::from_bits(9), Tag::from_bits(u64::MAX)];

/// Where the number of tags stands, and what follows the two of the samples.
const TAG_COUNT: usize = 71;
const AFTER_TAGS: usize = TAG_COUNT + 1 + 2 * 8;

/// Where the entry's own numbers stand.
const STATUS: usize = AFTER_TAGS + 48;
const HEADER_COUNT: usize = STATUS + 2;
const BODY_LENGTH: usize = HEADER_COUNT + 2;
const FIRST_HEADER: usize = BODY_LENGTH + 8;

fn head(headers: &HeaderMap) -> EntryHead<'_> {
    EntryHead {
        key: &KEY,
        status: StatusCode::OK,
        headers,
        stored_at: 1,
        initial_age: 2,
        lifetime: 3,
        windows: Windows { while_revalidate: 4, if_error: 5, revalidate: 6 },
        stamp: STAMP,
        tags: &TAGS,
    }
}

fn sample() -> (Entry, Bytes) {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.append(header::LINK, HeaderValue::from_static("a"));
    headers.append("x-own", HeaderValue::from_bytes(b"caf\xe9").expect("obs-text"));
    headers.append(header::LINK, HeaderValue::from_static("b"));
    headers.insert(header::ETAG, HeaderValue::from_static(""));
    let chunks = [Bytes::from_static(b"hello, "), Bytes::new(), Bytes::from_static(b"world")];
    Entry::seal(head(&headers), &chunks).expect("encodable")
}

fn vary_sample() -> VaryRecord {
    VaryRecord {
        key: KEY,
        fields: vec![header::ACCEPT, HeaderName::from_static("x-own")],
        variants: vec![(KEY, 2), (Key::from_bytes([0xff; 32]), 0)],
        stamp: STAMP,
        tags: TAGS.into(),
    }
}

/// `bytes` with `change` made and the right checksum again, so that the checks behind it are reached.
fn resealed(bytes: &Bytes, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut content = bytes[..bytes.len() - 8].to_vec();
    change(&mut content);
    let sum = xxh3_64(&content);
    content.extend_from_slice(&sum.to_le_bytes());
    content.into()
}

fn within(outer: &Bytes, inner: &[u8]) -> bool {
    outer.as_ptr_range().contains(&inner.as_ptr())
}

#[test]
fn an_entry_is_slices_of_its_encoded_form() {
    let (entry, encoded) = sample();
    assert_eq!(entry.body, "hello, world");
    assert_eq!(entry.headers.get("x-own").map(HeaderValue::as_bytes), Some(&b"caf\xe9"[..]));
    assert_eq!(entry.headers.get_all(header::LINK).iter().collect::<Vec<_>>(), ["a", "b"]);
    let Ok(Record::Entry(decoded)) = decode(encoded.clone(), &KEY) else { panic!("an entry") };
    assert_eq!(decoded, entry);
    for entry in [&entry, &decoded] {
        assert!(within(&encoded, &entry.body));
        assert!(
            entry
                .headers
                .values()
                .filter(|value| !value.is_empty())
                .all(|value| within(&encoded, value.as_bytes()))
        );
    }
    assert_eq!(encode(&Record::Entry(entry)), Ok(encoded));
}

#[test]
fn a_vary_record_round_trips() {
    let record = Record::Vary(vary_sample());
    let encoded = encode(&record).expect("encodable");
    assert_eq!(decode(encoded, &KEY), Ok(record));
    for fields in [vec![header::VARY, header::ACCEPT], vec![header::ACCEPT, header::ACCEPT]] {
        let unordered = Record::Vary(VaryRecord { fields, ..vary_sample() });
        assert_eq!(decode(encode(&unordered).expect("encodable"), &KEY), Err(DecodeError::Corrupt));
    }
}

#[test]
fn the_first_version_stays_readable() {
    // Written out by hand from the format's description; it must never change.
    let mut bytes = b"TQCE\x01\x01\0".to_vec();
    bytes.extend_from_slice(&[5; 32]);
    bytes.extend_from_slice(&[6; 16]);
    bytes.extend_from_slice(b"\x07\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x02");
    for number in [9_u64, u64::MAX, 1, 2, 3, 4, 5, 6] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(b"\xc8\0\x01\0\x02\0\0\0\0\0\0\0\x04\0\x01\0\0\0etagxok");
    let sum = xxh3_64(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, HeaderValue::from_static("x"));
    let (entry, encoded) = Entry::seal(head(&headers), &[Bytes::from_static(b"ok")]).expect("encodable");
    assert_eq!(encoded, bytes);
    assert_eq!(decode(bytes.into(), &KEY), Ok(Record::Entry(entry)));
}

#[test]
fn every_change_of_one_byte_and_every_cut_is_found() {
    for bytes in [sample().1, encode(&Record::Vary(vary_sample())).expect("encodable")] {
        for place in 0..bytes.len() {
            for flip in 1..=u8::MAX {
                let mut changed = bytes.to_vec();
                changed[place] ^= flip;
                let expected =
                    if matches!(place, 4 | 6) { DecodeError::Foreign } else { DecodeError::Corrupt };
                assert_eq!(decode(changed.into(), &KEY), Err(expected), "byte {place}");
            }
            assert_eq!(decode(bytes.slice(..place), &KEY), Err(DecodeError::Corrupt), "cut at {place}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(decode(longer.into(), &KEY), Err(DecodeError::Corrupt));
    }
}

#[test]
fn another_version_is_left_alone_whatever_follows() {
    assert_eq!(decode(Bytes::from_static(b"TQCE\x02"), &KEY), Err(DecodeError::Foreign));
    assert_eq!(decode(Bytes::from_static(b"TQCE\0 what"), &KEY), Err(DecodeError::Foreign));
    assert_eq!(decode(Bytes::from_static(b"TQC"), &KEY), Err(DecodeError::Corrupt));
    assert_eq!(decode(Bytes::from_static(b"TQCE\x01\x01"), &KEY), Err(DecodeError::Corrupt));
    assert_eq!(decode(Bytes::from_static(b"another application's"), &KEY), Err(DecodeError::Corrupt));
}

#[test]
fn a_flag_that_nobody_knows_is_anothers_whatever_follows() {
    for flag in (0..8).map(|bit| 1_u8 << bit) {
        for bytes in [sample().1, encode(&Record::Vary(vary_sample())).expect("encodable")] {
            let flagged = resealed(&bytes, |content| content[6] = flag);
            assert_eq!(decode(flagged, &KEY), Err(DecodeError::Foreign), "{flag}");
        }
        let short = [b"TQCE\x01\x01", &[flag][..]].concat();
        assert_eq!(decode(short.into(), &KEY), Err(DecodeError::Foreign), "{flag}");
    }
}

#[test]
fn a_record_has_at_most_35_tags() {
    let tags: Vec<Tag> = (0..36).map(Tag::from_bits).collect();
    let headers = HeaderMap::new();
    for (count, fits) in [(0, true), (1, true), (35, true), (36, false)] {
        let tags = &tags[..count];
        let entry = Entry::seal(EntryHead { tags, ..head(&headers) }, &[]);
        let vary = Record::Vary(VaryRecord { tags: tags.into(), ..vary_sample() });
        if fits {
            let (entry, encoded) = entry.expect("encodable");
            assert_eq!(&*entry.tags, tags);
            assert_eq!(decode(encoded, &KEY), Ok(Record::Entry(entry)));
            assert_eq!(decode(encode(&vary).expect("encodable"), &KEY), Ok(vary));
        } else {
            assert_eq!(entry.map(|_| ()), Err(Refusal::Unencodable));
            assert_eq!(encode(&vary), Err(Refusal::Unencodable));
        }
    }
    // One more than the codec writes, with room for all that it claims.
    for bytes in [sample().1, encode(&Record::Vary(vary_sample())).expect("encodable")] {
        let more = resealed(&bytes, |content| {
            content[TAG_COUNT] = 36;
            content.splice(AFTER_TAGS..AFTER_TAGS, [0; 34 * 8]);
        });
        assert_eq!(decode(more, &KEY), Err(DecodeError::Corrupt));
    }
}

#[test]
fn an_entry_under_another_key_is_corrupt() {
    assert_eq!(decode(sample().1, &Key::from_bytes([6; 32])), Err(DecodeError::Corrupt));
}

#[test]
fn false_claims_under_a_right_checksum_are_found() {
    let encoded = sample().1;
    let put = |place: usize, bytes: &'static [u8]| {
        resealed(&encoded, |content| content[place..place + bytes.len()].copy_from_slice(bytes))
    };
    for (what, bytes) in [
        ("kind", put(5, &[9])),
        ("an entry as a vary record", put(5, &[2])),
        ("more tags than there are", put(TAG_COUNT, &[35])),
        ("fewer tags than there are", put(TAG_COUNT, &[1])),
        ("tags over the limit", put(TAG_COUNT, &[0xff])),
        ("status 0", put(STATUS, &[0, 0])),
        ("status 1000", put(STATUS, &[0xe8, 3])),
        ("too many headers", put(HEADER_COUNT, &[0xff, 0xff])),
        ("too few headers", put(HEADER_COUNT, &[4, 0])),
        ("a huge body", put(BODY_LENGTH, &[0xff; 8])),
        ("a longer body", put(BODY_LENGTH, &[13])),
        ("a shorter body", put(BODY_LENGTH, &[11])),
        ("a huge name", put(FIRST_HEADER, &[0xff, 0xff])),
        ("an empty name", put(FIRST_HEADER, &[0, 0])),
        ("a huge value", put(FIRST_HEADER + 2, &[0xff; 4])),
        ("a name in capitals", put(FIRST_HEADER + 6, b"C")),
        ("a value with a line end", put(FIRST_HEADER + 6 + 12, b"\n")),
        ("something behind the body", resealed(&encoded, |content| content.push(0))),
    ] {
        assert_eq!(decode(bytes, &KEY), Err(DecodeError::Corrupt), "{what}");
    }
    let vary = encode(&Record::Vary(vary_sample())).expect("encodable");
    for (what, place, claim) in
        [("fields", AFTER_TAGS, &[0xff; 2][..]), ("variants", AFTER_TAGS + 2, &[0xff; 4][..])]
    {
        let bytes = resealed(&vary, |content| content[place..place + claim.len()].copy_from_slice(claim));
        assert_eq!(decode(bytes, &KEY), Err(DecodeError::Corrupt), "{what}");
    }
}

/// An entry's bytes with this many header values of one name, whatever encoding says of it.
fn with_headers(count: u16) -> Bytes {
    let (_, encoded) = Entry::seal(head(&HeaderMap::new()), &[]).expect("encodable");
    resealed(&encoded, |content| {
        content[HEADER_COUNT..BODY_LENGTH].copy_from_slice(&count.to_le_bytes());
        for _ in 0..count {
            content.extend_from_slice(b"\x04\0\x01\0\0\0linka");
        }
    })
}

#[test]
fn an_entry_has_at_most_1024_header_values() {
    let mut headers = HeaderMap::new();
    for _ in 0..1024 {
        headers.append(header::LINK, HeaderValue::from_static("a"));
    }
    let (entry, encoded) = Entry::seal(head(&headers), &[]).expect("encodable");
    assert_eq!(encoded, with_headers(1024));
    assert_eq!(decode(encoded, &KEY), Ok(Record::Entry(entry.clone())));

    headers.append(header::ETAG, HeaderValue::from_static("a"));
    assert_eq!(Entry::seal(head(&headers), &[]).map(|_| ()), Err(Refusal::Unencodable));
    assert_eq!(encode(&Record::Entry(Entry { headers, ..entry })), Err(Refusal::Unencodable));
    for count in [1025, u16::MAX] {
        assert_eq!(decode(with_headers(count), &KEY), Err(DecodeError::Corrupt), "{count}");
    }
}

/// A vary record of `count` fields with names of three letters, in order.
fn with_fields(count: usize) -> VaryRecord {
    let letter = |number: usize| char::from(b'a' + u8::try_from(number % 26).expect("a letter"));
    let name = |number: usize| format!("{}{}{}", letter(number / 676), letter(number / 26), letter(number));
    let fields = (0..count).map(|number| name(number).parse().expect("a good name")).collect();
    VaryRecord { fields, ..vary_sample() }
}

#[test]
fn a_vary_record_has_at_most_32_fields() {
    let most = Record::Vary(with_fields(32));
    let encoded = encode(&most).expect("encodable");
    assert_eq!(decode(encoded.clone(), &KEY), Ok(most));
    assert_eq!(encode(&Record::Vary(with_fields(33))), Err(Refusal::Unencodable));
    let one_more = resealed(&encoded, |content| {
        content[AFTER_TAGS] = 33;
        let end = content.len() - 2 * (32 + 8);
        content.splice(end..end, *b"\x03\0zzz");
    });
    assert_eq!(decode(one_more, &KEY), Err(DecodeError::Corrupt));
}

#[test]
fn claims_reserve_no_more_than_a_few_fields() {
    let fields = resealed(&Bytes::from(vec![0; 8]), |content| {
        content.extend_from_slice(b"TQCE\x01\x02\0");
        content.extend_from_slice(KEY.as_bytes());
        content.extend_from_slice(&[0; 33]);
        content.extend_from_slice(b"\xff\xff\0\0\0\0");
        (0..u16::MAX).for_each(|_| content.extend_from_slice(b"\x01\0a"));
    });
    for bytes in [fields, with_headers(u16::MAX)] {
        let mut decoded = Ok(());
        let used = allocation_counter::measure(|| decoded = decode(bytes.clone(), &KEY).map(|_| ()));
        assert_eq!(decoded, Err(DecodeError::Corrupt));
        assert!(used.bytes_total < 4096, "{used:?}");
    }
}

#[test]
fn weight_counts_body_values_names_and_the_map() {
    let weigh = |headers: &HeaderMap, body: usize| {
        Entry::seal(head(headers), &[vec![0; body].into()]).expect("encodable").0.weight()
    };
    let empty = HeaderMap::new();
    assert_eq!(weigh(&empty, 1024) - weigh(&empty, 0), 1024);
    assert!(weigh(&empty, 0) > 128);
    let mut headers = HeaderMap::new();
    headers.insert("x-own", HeaderValue::from_static("12345678"));
    assert!(weigh(&headers, 0) - weigh(&empty, 0) > 100 + 5 + 8);
}

fn header_map() -> impl Strategy<Value = HeaderMap> {
    let name = prop_oneof![
        prop::sample::select(vec![header::ETAG, header::LINK, header::DATE]),
        "[a-z-]{1,9}".prop_map(|name| HeaderName::from_bytes(name.as_bytes()).expect("a good name")),
    ];
    let value = proptest::collection::vec(prop_oneof![Just(b'\t'), 32_u8..127, 128_u8..=255], 0..20)
        .prop_map(|value| HeaderValue::from_bytes(&value).expect("a good value"));
    proptest::collection::vec((name, value), 0..12).prop_map(|fields| {
        let mut headers = HeaderMap::new();
        fields.into_iter().for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    })
}

fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4)
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(
        headers in header_map(), chunks in chunks(), key: [u8; 32], status in 100_u16..=999, times: [u64; 6],
        stamp: ([u8; 16], u64, u64), tags in proptest::collection::vec(any::<u64>().prop_map(Tag::from_bits), 0..=35),
    ) {
        let stamp = Stamp::foreign(Epoch::from_bytes(stamp.0), JournalId::new(stamp.1, stamp.2));
        let key = Key::from_bytes(key);
        let [stored_at, initial_age, lifetime, while_revalidate, if_error, revalidate] = times;
        let windows = Windows { while_revalidate, if_error, revalidate };
        let status = StatusCode::from_u16(status).expect("a good status");
        let head = EntryHead { key: &key, status, headers: &headers, stored_at, initial_age, lifetime, windows, stamp, tags: &tags };
        let body: Vec<Bytes> = chunks.iter().cloned().map(Bytes::from).collect();
        let (entry, encoded) = Entry::seal(head, &body).expect("encodable");
        let expected = Entry {
            key, status, headers: headers.clone(), body: chunks.concat().into(), stored_at, initial_age, lifetime,
            windows, stamp, tags: tags.clone().into(), checked: Checked::default(),
        };
        prop_assert_eq!(&entry, &expected);
        prop_assert_eq!(decode(encoded.clone(), &key), Ok(Record::Entry(expected)));
        prop_assert_eq!(encode(&Record::Entry(entry)), Ok(encoded));
    }

    #[test]
    fn any_bytes_are_no_record(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(bytes.into(), &KEY).is_err());
    }

    #[test]
    fn any_content_under_a_right_checksum_is_a_record_or_corrupt(
        kind in 1_u8..3, content in proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(200), any::<u8>()], 0..90),
        tags in 0_u8..40,
    ) {
        let bytes = resealed(&Bytes::from(vec![0; 8]), |start| {
            start.extend_from_slice(b"TQCE\x01");
            start.extend_from_slice(&[kind, 0]);
            start.extend_from_slice(KEY.as_bytes());
            start.extend_from_slice(&[7; 32]);
            start.push(tags);
            start.extend_from_slice(&vec![8; usize::from(tags % 36) * 8]);
            start.extend_from_slice(&content);
        });
        match decode(bytes.clone(), &KEY) {
            Ok(record) => prop_assert_eq!(encode(&record).map(|again| again.len()), Ok(bytes.len())),
            Err(error) => prop_assert_eq!(error, DecodeError::Corrupt),
        }
    }

    #[test]
    fn changed_places_under_a_right_checksum_never_panic(
        changes in proptest::collection::vec((39_usize..190, any::<u8>()), 1..4),
    ) {
        let encoded = sample().1;
        let bytes = resealed(&encoded, |content| {
            for (place, byte) in changes {
                if let Some(place) = content.get_mut(place) {
                    *place = byte;
                }
            }
        });
        match decode(bytes, &KEY) {
            Ok(record) => prop_assert_eq!(encode(&record).map(|again| again.len()), Ok(encoded.len())),
            Err(error) => prop_assert_eq!(error, DecodeError::Corrupt),
        }
    }
}
