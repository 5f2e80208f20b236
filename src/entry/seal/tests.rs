//! What one handle closes another opens, if it has the key; and nothing else does.

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::entry::{Entry, EntryHead, Windows, decode};
use crate::purge::{Epoch, JournalId, Stamp, Tag};

const NAME: Key = Key::from_bytes([5; 32]);
const TAGS: [Tag; 3] = [Tag::from_bits(0x1111_2222_3333_4444), Tag::from_bits(9), Tag::from_bits(u64::MAX)];

fn secret(number: u8) -> SecretKey {
    SecretKey::new([number; 32])
}

fn ring(numbers: &[u8]) -> KeyRing {
    let (first, rest) = numbers.split_first().expect("a key");
    rest.iter().fold(KeyRing::new(secret(*first)), |ring, number| ring.reads(secret(*number)))
}

fn sealed_by(keys: KeyRing, names: SecretKey) -> SealConfig {
    SealConfig {
        seal: Some((keys, names)),
        #[cfg(feature = "encrypt")]
        encrypt: None,
    }
}

fn sealing(numbers: &[u8]) -> Seals {
    let config = sealed_by(ring(numbers), secret(200));
    Seals::new(&config).expect("a good ring").expect("seals")
}

#[cfg(feature = "encrypt")]
fn encrypting(numbers: &[u8]) -> Seals {
    let config = SealConfig { encrypt: Some(ring(numbers)), ..SealConfig::default() };
    Seals::new(&config).expect("a good ring").expect("seals")
}

/// The ways to close a value.
fn ways() -> Vec<fn(&[u8]) -> Seals> {
    vec![
        sealing,
        #[cfg(feature = "encrypt")]
        encrypting,
    ]
}

fn record() -> Bytes {
    let head = EntryHead {
        key: &NAME,
        status: StatusCode::OK,
        headers: &HeaderMap::new(),
        stored_at: 1,
        initial_age: 2,
        lifetime: 3,
        windows: Windows::default(),
        stamp: Stamp::foreign(Epoch::from_bytes([6; 16]), JournalId::new(7, 8)),
        tags: &TAGS,
    };
    Entry::seal(head, &[Bytes::from(vec![b'x'; 400])]).expect("encodable").1
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn what_is_closed_is_opened_where_it_lies() {
    for way in ways() {
        let (seals, record) = (way(&[1]), record());
        let value = seals.close(&NAME, &record).unwrap();
        let place = value.as_ptr_range();
        let opened = seals.open(&NAME, value).unwrap();
        assert_eq!(opened, record);
        assert!(place.contains(&opened.as_ptr()), "no second copy");
        // Another has the bytes too: they stay as they are.
        let value = seals.close(&NAME, &record).unwrap();
        let kept = value.clone();
        assert_eq!(seals.open(&NAME, value), Ok(record.clone()));
        assert_eq!(seals.open(&NAME, kept), Ok(record));
    }
}

#[test]
fn every_change_every_cut_and_another_name_are_found() {
    for way in ways() {
        let seals = way(&[1, 2]);
        let value = seals.close(&NAME, &record()).unwrap();
        assert_eq!(seals.open(&Key::from_bytes([6; 32]), value.clone()), Err(DecodeError::Corrupt));
        for place in 0..value.len() {
            for flip in [1, 0x80, 0xff] {
                let mut changed = value.to_vec();
                changed[place] ^= flip;
                // Nobody knows whose it is, if the header says another version or key.
                let foreign = (4..HEADER).contains(&place);
                let expected = if foreign { DecodeError::Foreign } else { DecodeError::Corrupt };
                assert_eq!(seals.open(&NAME, changed.into()), Err(expected), "byte {place}");
            }
            assert_eq!(seals.open(&NAME, value.slice(..place)), Err(DecodeError::Corrupt), "cut at {place}");
        }
        let longer = [&value[..], &[0]].concat();
        assert_eq!(seals.open(&NAME, longer.into()), Err(DecodeError::Corrupt));
        assert_eq!(seals.open(&NAME, Bytes::from_static(b"TQCE\x02")), Err(DecodeError::Foreign));
    }
}

#[test]
fn keys_rotate_without_a_gap() {
    for way in ways() {
        let [before, accepts, writes, after] = [&[1][..], &[1, 2], &[2, 1], &[2]].map(way);
        let record = record();
        let both_read = |one: &Seals, other: &Seals| {
            [(one, other), (other, one)]
                .iter()
                .all(|(from, to)| to.open(&NAME, from.close(&NAME, &record).unwrap()).as_ref() == Ok(&record))
        };
        assert!(both_read(&before, &accepts) && both_read(&accepts, &writes) && both_read(&writes, &after));
        // Two steps at once are a miss, and nobody removes what the other wrote.
        for (from, to) in [(&writes, &before), (&before, &after)] {
            let value = from.close(&NAME, &record).unwrap();
            assert_eq!(to.open(&NAME, value), Err(DecodeError::Foreign));
        }
    }
}

#[test]
fn whoever_closes_otherwise_is_left_alone() {
    let record = record();
    for way in ways() {
        let seals = way(&[1]);
        assert_eq!(seals.open(&NAME, record.clone()), Err(DecodeError::Foreign), "a plain value");
        let value = seals.close(&NAME, &record).unwrap();
        assert_eq!(decode(value.clone(), &NAME), Err(DecodeError::Foreign), "without keys");
        for (number, other) in ways().into_iter().enumerate() {
            let opened = other(&[1]).open(&NAME, value.clone());
            assert_eq!(opened.is_ok(), other as usize == way as usize, "way {number}");
            assert!(opened.is_ok_and(|opened| opened == record) || other as usize != way as usize);
        }
    }
    for error in [DecodeError::Foreign, DecodeError::Corrupt] {
        assert_eq!(decode(error.example(), &NAME), Err(error));
    }
}

#[test]
fn a_value_tells_nothing_of_what_it_is_about() {
    let record = record();
    let secrets: Vec<Vec<u8>> = std::iter::once(NAME.as_bytes().to_vec())
        .chain(TAGS.iter().map(|tag| tag.bits().to_le_bytes().to_vec()))
        .collect();
    assert!(secrets.iter().all(|secret| contains(&record, secret)), "the test finds them");
    for way in ways() {
        let value = way(&[1]).close(&NAME, &record).unwrap();
        for secret in &secrets {
            assert!(!contains(&value, secret));
        }
    }
}

#[test]
fn the_end_of_a_value_changes_with_what_is_in_it() {
    for way in ways() {
        let seals = way(&[1]);
        let mut other = record().to_vec();
        other[300] ^= 1;
        let [one, other] = [record(), other.into()].map(|record: Bytes| seals.close(&NAME, &record).unwrap());
        assert_ne!(one[one.len() - 8..], other[other.len() - 8..]);
    }
}

#[cfg(feature = "encrypt")]
#[test]
fn an_encrypted_value_hides_all_and_is_never_the_same_twice() {
    let seals = encrypting(&[1]);
    let [one, other] = [(), ()].map(|()| seals.close(&NAME, &record()).unwrap());
    assert_ne!(one[HEADER..HEADER + 24], other[HEADER..HEADER + 24]);
    assert!(!contains(&one, b"xxxx"));
    assert!(contains(&sealing(&[1]).close(&NAME, &record()).unwrap(), b"xxxx"), "a sealed one doesn't");
}

#[test]
fn names_go_by_their_own_secret() {
    let name = |keys: &[u8], names: u8| {
        let config = sealed_by(ring(keys), secret(names));
        Seals::new(&config).unwrap().unwrap().name(&NAME)
    };
    assert_eq!(name(&[1], 3), name(&[2, 1], 3));
    assert_ne!(name(&[1], 3), name(&[1], 4));
    assert_ne!(name(&[1], 3), NAME);
    assert_ne!(name(&[1], 1), Key::from_bytes(*blake3::keyed_hash(&[1; 32], NAME.as_bytes()).as_bytes()));
}

#[test]
fn a_sealed_value_stays_readable() {
    // Made from the description: another version must never change it.
    let mac_key = blake3::derive_key("tower-query-cache v1 seal", &[1; 32]);
    let mask_key = blake3::derive_key("tower-query-cache v1 seal mask", &[1; 32]);
    let mut value = b"TQCE\x01\0\x01".to_vec();
    value.extend_from_slice(&blake3::derive_key("tower-query-cache v1 key id", &[1; 32])[..8]);
    let mac = blake3::keyed_hash(&mac_key, &[&[5; 32][..], &value, &record()].concat());
    let mut mask = [0; 352];
    blake3::Hasher::new_keyed(&mask_key).update(mac.as_bytes()).finalize_xof().fill(&mut mask);
    value.extend(record().iter().zip(mask.into_iter().chain(std::iter::repeat(0))).map(|(a, b)| a ^ b));
    value.extend_from_slice(mac.as_bytes());
    assert_eq!(sealing(&[1]).close(&NAME, &record()).unwrap(), value);
}

#[test]
fn a_ring_with_a_key_twice_is_an_error() {
    let config = sealed_by(ring(&[1, 1]), secret(2));
    let error = Seals::new(&config).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("seal: a key is there twice"), "{error}");
    assert!(Seals::new(&SealConfig::default()).unwrap().is_none());
}

proptest! {
    #[test]
    fn any_record_comes_back(record in proptest::collection::vec(any::<u8>(), 0..600), name: [u8; 32]) {
        let name = Key::from_bytes(name);
        for way in ways() {
            let seals = way(&[3, 1]);
            let value = seals.close(&name, &record).unwrap();
            prop_assert_eq!(seals.open(&name, value), Ok(record.clone().into()));
        }
    }

    #[test]
    fn any_bytes_are_no_value(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), content in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        for way in ways() {
            let seals = way(&[1]);
            let headed = [&seals.keys[0].0[..], &content].concat();
            prop_assert!(seals.open(&NAME, bytes.clone().into()).is_err());
            prop_assert_eq!(seals.open(&NAME, headed.into()), Err(DecodeError::Corrupt));
        }
    }
}
