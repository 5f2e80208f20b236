//! The second step: variants.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use proptest::prelude::*;

use crate::key::{Key, variant, vary_fields};
use crate::policy::{Bypass, Refusal};

const PRIMARY: Key = Key::from_bytes([7; 32]);

fn map(name: &HeaderName, lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_bytes(line.as_bytes()).expect("a good value"));
    }
    headers
}

fn of(name: &HeaderName, lines: &[&str]) -> Key {
    variant(&PRIMARY, std::slice::from_ref(name), &map(name, lines)).expect("a key")
}

fn fields(lines: &[&str]) -> Result<Vec<HeaderName>, Refusal> {
    vary_fields(&map(&header::VARY, lines))
}

#[test]
fn vary_lists_are_joined_sorted_and_without_repeats() {
    assert_eq!(fields(&[]), Ok(vec![]));
    assert_eq!(fields(&["", " , ,"]), Ok(vec![]));
    assert_eq!(
        fields(&["Origin, accept-encoding", "ACCEPT ,origin"]),
        Ok(vec![header::ACCEPT, header::ACCEPT_ENCODING, header::ORIGIN])
    );
}

#[test]
fn a_star_anywhere_or_junk_is_a_star() {
    for lines in
        [&["*"][..], &["accept, *"], &["accept", "*"], &["a b"], &["accept;q=1"], &["\u{e9}"], &["a,\"b,c\""]]
    {
        assert_eq!(fields(lines), Err(Refusal::VaryStar), "{lines:?}");
    }
    let many = |count: u32| (0..count).map(|number| format!("f{number}")).collect::<Vec<_>>().join(",");
    assert_eq!(fields(&[&many(32), &many(32)]).map(|fields| fields.len()), Ok(32));
    assert_eq!(fields(&[&many(33)]), Err(Refusal::VaryLimit));
}

#[test]
fn negotiation_fields_compare_as_sets() {
    let name = &header::ACCEPT_ENCODING;
    let reference = of(name, &["gzip, br;q=0.5"]);
    for lines in [
        &["br;q=0.5,gzip"][..],
        &["br;q=0.5", "GZIP"],
        &["gzip,gzip", " br ; q=0.5 ,, gzip"],
        &["gzip", "", "br;Q=0.5"],
    ] {
        assert_eq!(of(name, lines), reference, "{lines:?}");
    }
    for lines in [
        &["gzip, br"][..],
        &["gzip"],
        &[],
        &[""],
        &["gzip, br;q=0.50"],
        &["gz ip, br;q=0.5"],
        &["gzip br;q=0.5"],
    ] {
        assert_ne!(of(name, lines), reference, "{lines:?}");
    }
    assert_ne!(of(name, &[]), of(name, &[""]), "anything is acceptable, or nothing is");
    let accept = |lines: &[&str]| of(&header::ACCEPT, lines);
    assert_ne!(accept(&[r#"a/b;p="x,y""#]), accept(&[r#"a/b;p="y,x""#]), "a comma in quotes splits nothing");
    assert_ne!(accept(&[r#"a/b;p="X""#]), accept(&[r#"a/b;p="x""#]), "quoted text has case");
    assert_ne!(accept(&[r#"a/b;p="x \" , y""#]), accept(&[r#"a/b;p="x \" ,y""#]));
    assert_ne!(
        accept(&[r#"a/b;p="x"#, "c/d"]),
        accept(&["c/d", r#"a/b;p="x"#]),
        "an open quote swallows the rest"
    );
    let many = |order: &mut dyn Iterator<Item = u32>| {
        let members: Vec<_> = order.map(|number| format!("t/x{number:04}")).collect();
        accept(&[&members.join(",")])
    };
    assert_eq!(many(&mut (0..200)), many(&mut (0..200).rev()), "more than stay off the heap");
}

#[test]
fn other_fields_compare_line_by_line() {
    let origin = |lines| of(&header::ORIGIN, lines);
    let keys = [
        origin(&[]),
        origin(&[""]),
        origin(&["a"]),
        origin(&["A"]),
        origin(&["a", "b"]),
        origin(&["b", "a"]),
        origin(&["a,b"]),
    ];
    for (place, key) in keys.iter().enumerate() {
        assert!(!keys[..place].contains(key), "{place}");
    }
}

#[test]
fn variants_belong_to_one_resource_and_one_field_list() {
    let empty = HeaderMap::new();
    let key = |primary: &Key, fields: &[HeaderName]| variant(primary, fields, &empty).expect("a key");
    let keys = [
        PRIMARY,
        key(&PRIMARY, &[]),
        key(&Key::from_bytes([8; 32]), &[]),
        key(&PRIMARY, &[header::ACCEPT]),
        key(&PRIMARY, &[header::ORIGIN]),
        key(&PRIMARY, &[header::ACCEPT, header::ORIGIN]),
    ];
    for (place, key) in keys.iter().enumerate() {
        assert!(!keys[..place].contains(key), "{place}");
    }
    let long = "x".repeat(20_000);
    for name in [header::ACCEPT, header::ORIGIN] {
        let headers = map(&name, &[&long]);
        assert_eq!(variant(&PRIMARY, &[name], &headers), Err(Bypass::KeyTooLong));
    }
}

proptest! {
    #[test]
    fn any_fields_give_a_variant_and_a_list_or_a_reason(lines in proptest::collection::vec(
        proptest::collection::vec(prop_oneof![32_u8..127, 128_u8..=255, Just(b','), Just(b'"'), Just(b'\\'), Just(b' ')], 0..24),
        0..4,
    )) {
        let mut headers = HeaderMap::new();
        for line in &lines {
            let value = HeaderValue::from_bytes(line).expect("a good value");
            headers.append(header::ACCEPT, value.clone());
            headers.append(header::VARY, value);
        }
        let listed = vary_fields(&headers);
        prop_assert!(listed.is_err() || listed.is_ok_and(|fields| fields.len() <= 32));
        let names = [header::ACCEPT];
        let once = variant(&PRIMARY, &names, &headers);
        prop_assert!(once.is_ok());
        prop_assert_eq!(once, variant(&PRIMARY, &names, &headers));
    }

    #[test]
    fn sets_are_equal_if_and_only_if_their_members_are(
        a in proptest::collection::vec("[abAB]{1,2}", 1..4),
        b in proptest::collection::vec("[abAB]{1,2}", 1..4),
        joined: bool,
    ) {
        let set = |members: &[String]| {
            members.iter().map(|member| member.to_ascii_lowercase()).collect::<std::collections::BTreeSet<_>>()
        };
        let lines: Vec<&str> = a.iter().map(String::as_str).collect();
        let line = b.join(" , ");
        let other: Vec<&str> = if joined { vec![&line] } else { b.iter().map(String::as_str).collect() };
        prop_assert_eq!(of(&header::ACCEPT, &lines) == of(&header::ACCEPT, &other), set(&a) == set(&b));
    }
}
