//! Query parameters: raw, sorted, filtered.

use http::Uri;
use proptest::prelude::*;

use super::{PolicyConfig, get, rules};
use crate::key::{Key, KeyRules, primary};

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn sorted() -> KeyRules {
    rules(&PolicyConfig { sort_query: true, ..PolicyConfig::default() })
}

fn denying(names: &[&str]) -> KeyRules {
    rules(&PolicyConfig { deny_query: owned(names), ..PolicyConfig::default() })
}

fn allowing(names: &[&str]) -> KeyRules {
    rules(&PolicyConfig { allow_query: Some(owned(names)), ..PolicyConfig::default() })
}

fn key(rules: &KeyRules, uri: &str) -> Key {
    primary(rules, &get(uri, &[]), None, None).expect("a key")
}

/// The target that a handler sees.
fn seen(rules: &KeyRules, uri: &str) -> String {
    let uri: Uri = uri.parse().expect("a good URI");
    rules.query.filtered_uri(&uri).unwrap_or(uri).to_string()
}

#[test]
fn sorting_keeps_the_order_of_repeats() {
    let rules = sorted();
    assert_eq!(key(&rules, "/?b=2&a=1"), key(&rules, "/?a=1&b=2"));
    assert_eq!(key(&rules, "/?b=2&a=1&b=1"), key(&rules, "/?b=2&b=1&a=1"));
    assert_ne!(key(&rules, "/?a=1&a=2"), key(&rules, "/?a=2&a=1"));
    assert_ne!(key(&rules, "/?a=1&%61=2"), key(&rules, "/?%61=2&a=1"), "one name, spelt in two ways");
    assert_ne!(key(&rules, "/?a=%31"), key(&rules, "/?a=1"), "kept byte for byte");
    assert_ne!(key(&rules, "/?"), key(&rules, "/"));
    assert_ne!(key(&rules, "/?a=1&b=2"), key(&rules, "/?a=1%26b=2"));
    assert_eq!(seen(&rules, "/?b=2&a=1"), "/?b=2&a=1");
    let many = |order: &mut dyn Iterator<Item = u32>| {
        let parameters: Vec<_> = order.map(|number| format!("p{number:03}=1")).collect();
        key(&rules, &format!("/?{}", parameters.join("&")))
    };
    assert_eq!(many(&mut (0..100)), many(&mut (0..100).rev()), "more than stay off the heap");
}

#[test]
fn denied_parameters_are_neither_keyed_nor_seen() {
    let rules = denying(&["utm_*", "fbclid", "a b"]);
    for uri in [
        "/x?q=1&utm_source=m",
        "/x?utm_source=m&q=1",
        "/x?q=1&%75tm_source=m",
        "/x?q=1&utm_",
        "/x?q=1&fbclid=1",
        "/x?q=1&fb%63lid",
        "/x?a+b=1&q=1&a%20b=2",
    ] {
        assert_eq!(key(&rules, uri), key(&rules, "/x?q=1"), "{uri}");
        assert_eq!(seen(&rules, uri), "/x?q=1", "{uri}");
    }
    for uri in ["/x?q=1&fbclid2=1", "/x?q=1&utm=1", "/x?q=utm_source", "/x?q=1&%zz=1", "/x?q=1&"] {
        assert_ne!(key(&rules, uri), key(&rules, "/x?q=1"), "{uri}");
        assert_eq!(seen(&rules, uri), uri);
    }
    assert_eq!(key(&rules, "/x?utm_source=m"), key(&rules, "/x"));
    assert_eq!(seen(&rules, "http://h/x?utm_source=m"), "http://h/x");
}

#[test]
fn only_allowed_parameters_are_keyed_and_seen() {
    let rules = allowing(&["q", "page*"]);
    assert_eq!(key(&rules, "/x?q=1&x=2&page_size=3"), key(&rules, "/x?q=1&page_size=3"));
    assert_eq!(seen(&rules, "/x?q=1&x=2&page_size=3"), "/x?q=1&page_size=3");
    assert_ne!(key(&rules, "/x?q=1"), key(&rules, "/x?q=2"));
    assert_eq!(seen(&rules, "/x?Q=1"), "/x");
    assert_eq!(seen(&allowing(&[]), "/x?q=1"), "/x");
    assert!(allowing(&["q"]).query.filtered_uri(&Uri::from_static("/x?q=1")).is_none());
    let both = PolicyConfig {
        allow_query: Some(owned(&["a*"])),
        deny_query: owned(&["ab"]),
        ..PolicyConfig::default()
    };
    assert_eq!(seen(&super::rules(&both), "/?a=1&ab=2&ac=3"), "/?a=1&ac=3");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// With filters two requests share a key exactly if the handler sees the same URI.
    #[test]
    fn the_key_is_that_of_what_the_handler_sees(a in "(\\?([ab+&=]|%6[12]){0,6})?", b in "(\\?([ab+&=]|%6[12]){0,6})?") {
        for rules in [denying(&["a*"]), denying(&["b", "a b"]), allowing(&["a"])] {
            let (a, b) = (format!("/{a}"), format!("/{b}"));
            prop_assert_eq!(key(&rules, &a) == key(&rules, &b), seen(&rules, &a) == seen(&rules, &b));
        }
    }
}
