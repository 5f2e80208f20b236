//! Canonical JSON, and when a body is keyed by it.

use proptest::prelude::*;
use serde_json::Value;

use super::{PolicyConfig, request, rules};
use crate::key::json::canonical;
use crate::key::{Key, primary};

fn form(text: &str) -> Option<String> {
    canonical(text.as_bytes()).map(|form| String::from_utf8(form).expect("UTF-8"))
}

#[test]
fn the_examples_of_rfc_8785() {
    // §3.2.2, without the number whose double denotes another decimal.
    let text = r#"{
        "numbers": [1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    let expected = "{\"literals\":[null,true,false],\"numbers\":[1e+30,4.5,0.002,1e-27],\
                    \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
    assert_eq!(form(text).as_deref(), Some(expected));
    // §3.2.3: UTF-16 code units, not code points.
    let text = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
        "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
    let values: Vec<_> = form(text)
        .expect("I-JSON")
        .split('"')
        .skip(3)
        .step_by(4)
        .map(|value| value.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(values, ["Carriage", "One", "Control", "Latin", "Euro", "Emoji:", "Hebrew"]);
}

#[test]
fn numbers_that_a_double_holds() {
    for (text, expected) in [
        ("0", "0"),
        ("1", "1"),
        ("-100", "-100"),
        ("-1.50", "-1.5"),
        ("0.1", "0.1"),
        ("1e-1", "0.1"),
        ("150E-2", "1.5"),
        ("0.15e+1", "1.5"),
        ("100000000000000000000", "100000000000000000000"),
        ("9007199254740992", "9007199254740992"),
        ("1e21", "1e+21"),
        ("1e-7", "1e-7"),
        ("0.000001", "0.000001"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
    ] {
        assert_eq!(form(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn an_integer_and_a_number_with_fraction_or_exponent_are_never_joined() {
    let long = format!("1{}", "0".repeat(300));
    for text in [
        "5.0",
        "-5.00",
        "0.0",
        "0e9",
        "0e99999999999999999999",
        "1e2",
        "1E+2",
        "1E2",
        "100e-2",
        "1.0e20",
        &long,
    ] {
        assert_eq!(form(text), None, "{text}");
        assert_eq!(form(&format!("[{text}]")), None, "{text}");
    }
    assert_eq!(form("[5,5.5,1e21]").as_deref(), Some("[5,5.5,1e+21]"));
    assert_eq!(form("1000000000000000000000"), None, "its form is 1e+21");
}

#[test]
fn what_readers_disagree_about_has_no_form() {
    let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(form(&deep(64)).is_some());
    let (deep, deeper) = (deep(65), deep(1_000_000));
    for text in [
        // Numbers that no double holds, and the zero with a sign.
        "0.10000000000000000001",
        "2237565480538175.3",
        "9007199254740993",
        "333333333.33333329",
        "1e400",
        "1e-400",
        "-0",
        "-0.0",
        "-0e1",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        // Not numbers.
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e+",
        "-",
        "0x1",
        "NaN",
        "Infinity",
        // Repeated names, after unescaping too, in any nesting.
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"[{"b":1,"a":2,"b":3}]"#,
        r#"{"x":{"":1,"":2}}"#,
        // Surrogates and noncharacters.
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""\ud800x""#,
        r#""\ud800\n""#,
        r#"{"\udfff":1}"#,
        r#""\uffff""#,
        r#""\ufdd0""#,
        "\"\u{1fffe}\"",
        // Not JSON.
        "",
        " ",
        "nul",
        "nullx",
        "{",
        "[1,]",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        "{a:1}",
        "'a'",
        r#"""#,
        r#""\x""#,
        r#""\u12""#,
        r#""\u+123""#,
        "\"\n\"",
        "1 2",
        "\u{feff}1",
        "[1}",
        "/**/1",
        &deep,
        &deeper,
    ] {
        assert_eq!(form(text), None, "{text:.40}");
    }
    assert_eq!(canonical(b"\"\xff\""), None);
}

/// A policy that keys JSON bodies by their canonical form.
fn keyed(headers: &[(&str, &[u8])], body: &str, canonical_json: bool) -> Key {
    let config = PolicyConfig { key_body: Some(1 << 20), canonical_json, ..PolicyConfig::default() };
    let parts = request("POST", "/x", headers);
    primary(&rules(&config), &parts, None, Some(body.as_bytes())).expect("a key")
}

#[test]
fn bodies_are_canonical_only_as_plain_json_and_on_demand() {
    let (spaced, dense) = (r#"{ "b": 1, "a": 2 }"#, r#"{"a":2,"b":1}"#);
    let same = |headers: &[(&str, &[u8])], canonical_json| {
        keyed(headers, spaced, canonical_json) == keyed(headers, dense, canonical_json)
    };
    for json in ["application/json", "Application/JSON; charset=utf-8", "application/geo+json"] {
        assert!(same(&[("content-type", json.as_bytes())], true), "{json}");
        assert!(!same(&[("content-type", json.as_bytes())], false), "{json}");
        assert!(!same(&[("content-type", json.as_bytes()), ("content-encoding", b"gzip")], true), "{json}");
    }
    assert!(!same(&[], true));
    assert!(!same(&[("content-type", b"text/plain")], true));
    assert!(!same(&[("content-type", b"application/jsonx")], true));
    assert!(!same(&[("content-type", b"application/json"), ("content-type", b"text/plain")], true));
    let json: &[(&str, &[u8])] = &[("content-type", b"application/json")];
    let distinct = [
        keyed(json, "{}", true),
        keyed(json, "{", true),
        keyed(json, r#"{"a":1,"a":1}"#, true),
        keyed(json, r#"{"a":1, "a":1}"#, true),
        keyed(json, "", true),
        keyed(json, "5", true),
        keyed(json, "5.0", true),
        keyed(json, "5e0", true),
        keyed(&[("content-type", b"application/json; a")], "{}", true),
        keyed(&[("content-type", b"application/json"), ("content-encoding", b"")], "{}", true),
    ];
    for (place, key) in distinct.iter().enumerate() {
        assert!(!distinct[..place].contains(key), "{place}");
    }
    let absent = primary(
        &rules(&PolicyConfig { key_body: Some(1), ..PolicyConfig::default() }),
        &request("POST", "/x", &[]),
        None,
        None,
    );
    let empty = primary(
        &rules(&PolicyConfig { key_body: Some(1), ..PolicyConfig::default() }),
        &request("POST", "/x", &[]),
        None,
        Some(b""),
    );
    assert_ne!(absent, empty);
}

/// Values inside I-JSON, with few letters, so that equal ones come up.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i32..3).prop_map(Value::from),
        (-4_i32..4).prop_map(|quarter| Value::from(f64::from(quarter) + 0.25)),
        "[ab\"\\\\\u{1}\u{e9}\u{fb33}\u{1f600}\n]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = "[ab\u{e9}\u{fb33}\u{1f600}]{0,2}";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes a value in one of its many spellings, as `seed` has it.
fn spell(value: &Value, seed: &mut u64, out: &mut String) {
    let mut roll = |sides: u64| {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % sides
    };
    let space = [" ", "", "\n\t", "\r"][usize::try_from(roll(4)).expect("small")];
    out.push_str(space);
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            for place in (1..members.len()).rev() {
                members.swap(place, usize::try_from(roll(place as u64 + 1)).expect("small"));
            }
            out.push('{');
            for (place, (name, member)) in members.into_iter().enumerate() {
                out.push_str(if place == 0 { "" } else { "," });
                spell(&Value::from(name.as_str()), seed, out);
                out.push_str(" :");
                spell(member, seed, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { "," });
                spell(item, seed, out);
            }
            out.push(']');
        }
        Value::String(text) => {
            out.push('"');
            for unit in text.chars() {
                if roll(2) == 0 || unit < ' ' || matches!(unit, '"' | '\\') {
                    unit.encode_utf16(&mut [0; 2])
                        .iter()
                        .for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
                } else {
                    out.push(unit);
                }
            }
            out.push('"');
        }
        Value::Number(number) => match roll(3) {
            0 if number.is_f64() => out.push_str(&format!("{number}e0")),
            1 if number.is_f64() => out.push_str(&format!("{number}00E+00")),
            _ => out.push_str(&number.to_string()),
        },
        other => out.push_str(&other.to_string()),
    }
    out.push_str(space);
}

fn spelt(value: &Value, mut seed: u64) -> String {
    let mut out = String::new();
    spell(value, &mut seed, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_spelling_of_a_value_has_one_form(value in value(), a: u64, b: u64) {
        let one = form(&spelt(&value, a)).expect("I-JSON");
        prop_assert_eq!(Some(one.clone()), form(&spelt(&value, b)));
        prop_assert_eq!(Some(one.clone()), form(&one), "idempotent");
        let read: Value = serde_json::from_str(&one).expect("JSON");
        prop_assert_eq!(read, value);
    }

    #[test]
    fn different_values_have_different_forms(a in value(), b in value(), seed: u64) {
        prop_assert_eq!(form(&spelt(&a, seed)) == form(&spelt(&b, seed)), a == b);
    }

    #[test]
    fn any_bytes_have_a_form_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Some(form) = canonical(&bytes) {
            prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
            prop_assert_eq!(canonical(&form), Some(form));
        }
    }

    #[test]
    fn near_json_has_a_form_only_if_it_is_json(text in "[\\[\\]{},:\"\\\\u0d8-9eE.+ -]{0,12}") {
        if let Some(form) = form(&text) {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
            prop_assert!(form.len() <= 6 * text.len());
        }
    }

    #[test]
    fn a_double_in_its_shortest_form_keeps_its_value(
        double in any::<f64>().prop_filter("in JSON", |double| double.is_finite() && *double != 0.0),
    ) {
        let shortest = ryu_js::Buffer::new().format_finite(double).to_owned();
        prop_assert_eq!(form(&shortest), Some(shortest.clone()));
        prop_assert_eq!(shortest.parse::<f64>().map(f64::to_bits), Ok(double.to_bits()));
    }
}
