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

/// Whether two requests match ([RFC 9111 §4.1](https://www.rfc-editor.org/rfc/rfc9111#section-4.1)).
fn matches(name: &HeaderName, one: &[&str], other: &[&str]) -> bool {
    of(name, one) == of(name, other)
}

#[test]
fn negotiation_fields_compare_without_order_and_case() {
    let name = &header::ACCEPT_ENCODING;
    let reference = &["gzip, br;q=0.5"][..];
    for lines in [&["br;q=0.5,gzip"][..], &["br;q=0.5", "GZIP"], &[" gzip ,\tbr;Q=0.5 "]] {
        assert!(matches(name, lines, reference), "{lines:?}");
    }
    for lines in [
        &["gzip, br"][..],
        &["gzip"],
        &[],
        &[""],
        &["gzip, br;q=0.50"],
        &["gzip, br ; q=0.5"],
        &["gzip, gzip, br;q=0.5"],
        &["gzip,, br;q=0.5"],
        &["gzip", "br;q=0.5", ""],
        &["gz ip, br;q=0.5"],
        &["gzip br;q=0.5"],
    ] {
        assert!(!matches(name, lines, reference), "{lines:?}");
    }
    for name in [header::ACCEPT, header::ACCEPT_LANGUAGE, header::ACCEPT_ENCODING, header::ACCEPT_CHARSET] {
        assert!(matches(&name, &["A, b"], &["B", "a"]), "{name}");
        assert!(!matches(&name, &[], &[""]), "{name}: anything is acceptable, or nothing is");
    }
    let accept = |one: &[&str], other: &[&str]| matches(&header::ACCEPT, one, other);
    assert!(!accept(&[r#"a/b;p="x,y""#], &[r#"a/b;p="y,x""#]), "a comma in quotes splits nothing");
    assert!(!accept(&[r#"a/b;p="X""#], &[r#"a/b;p="x""#]), "quoted text has case");
    assert!(!accept(&[r#"a/b;p="x \" , y""#], &[r#"a/b;p="x \" ,y""#]));
    assert!(!accept(&[r#"a/b;p="x"#, "c/d"], &["c/d", r#"a/b;p="x"#]), "an open quote swallows the rest");
    let many = |order: &mut dyn Iterator<Item = u32>| {
        let members: Vec<_> = order.map(|number| format!("t/x{number:04}")).collect();
        of(&header::ACCEPT, &[&members.join(",")])
    };
    assert_eq!(many(&mut (0..200)), many(&mut (0..200).rev()), "more than stay off the heap");
}

#[test]
fn other_fields_compare_as_joined_text() {
    let name = &HeaderName::from_static("x-field");
    for (one, other) in [
        (&["a", "b"][..], &["a,b"][..]),
        (&["a , b"], &["a,b"]),
        (&["a\t,b", " c "], &["a, b,c"]),
        (&["  a b  "], &["a b"]),
        (&["a", ""], &["a,"]),
        (&["", ""], &[" , "]),
        (&["a;p=\"x\" ,b"], &["a;p=\"x\",b"]),
        (&["a;p=\"x", "y\", z"], &["a;p=\"x,y\",z"]),
    ] {
        assert!(matches(name, one, other), "{one:?} {other:?}");
    }
    let keys = [
        &[][..],
        &[""],
        &["", ""],
        &["a"],
        &["A"],
        &["a,"],
        &["a,b"],
        &["b,a"],
        &["a,a"],
        &["a,,b"],
        &["a b"],
        &["a  b"],
        &["a\tb"],
        &["ab"],
        &["a;b"],
        &["a ;b"],
        &["\"a,b\""],
        &["\"a, b\""],
        &["\"a ,b\""],
        &["\"a\\\" , b\""],
        &["\"a\\\",b\""],
    ]
    .map(|lines: &[&str]| of(name, lines));
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
    fn any_fields_give_a_variant_and_a_list_or_a_reason(lines in prop::collection::vec(
        prop::collection::vec(prop_oneof![32_u8..127, 128_u8..=255, Just(b','), Just(b'"'), Just(b'\\'), Just(b' ')], 0..24),
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
    fn members_are_equal_if_and_only_if_they_are_so_in_some_order(
        a in prop::collection::vec("[abAB]{1,2}", 1..4),
        b in prop::collection::vec("[abAB]{1,2}", 1..4),
        joined: bool,
    ) {
        let members = |members: &[String]| {
            let mut members: Vec<_> = members.iter().map(|member| member.to_ascii_lowercase()).collect();
            members.sort();
            members
        };
        let lines: Vec<&str> = a.iter().map(String::as_str).collect();
        let line = b.join(" , ");
        let other: Vec<&str> = if joined { vec![&line] } else { b.iter().map(String::as_str).collect() };
        prop_assert_eq!(matches(&header::ACCEPT, &lines, &other), members(&a) == members(&b));
        let name = HeaderName::from_static("x-field");
        prop_assert_eq!(matches(&name, &lines, &other), a == b);
    }

    /// Against the rule as it reads: join, split at the commas outside quotes, trim. The two differ in their spaces alone.
    #[test]
    fn only_space_around_commas_goes(
        spaced in prop::collection::vec(
            prop::collection::vec((prop::sample::select(vec!["a", ",", "\"", "\\"]), 0..3_usize, 0..3_usize), 1..6),
            1..3,
        ),
    ) {
        let text = |with: fn(&(&str, usize, usize)) -> usize| -> Vec<String> {
            let line = |line: &Vec<(&'static str, usize, usize)>| {
                line.iter().map(|part| " ".repeat(with(part)) + part.0).collect::<String>().trim().to_owned()
            };
            spaced.iter().map(line).collect()
        };
        let (one, other) = (text(|part| part.1), text(|part| part.2));
        let normal = |lines: &[String]| {
            let (mut members, mut quoted, mut escaped) = (vec![String::new()], false, false);
            for letter in lines.join(",").chars() {
                if letter == ',' && !quoted {
                    members.push(String::new());
                } else if let Some(member) = members.last_mut() {
                    member.push(letter);
                }
                (quoted, escaped) = match letter {
                    '"' if !escaped => (!quoted, false),
                    '\\' if !escaped => (quoted, quoted),
                    _ => (quoted, false),
                };
            }
            members.iter().map(|member| member.trim().to_owned()).collect::<Vec<_>>()
        };
        let name = HeaderName::from_static("x-field");
        let as_lines = |lines: &'_ [String]| of(&name, &lines.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(as_lines(&one) == as_lines(&other), normal(&one) == normal(&other));
    }
}
