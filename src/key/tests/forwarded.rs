//! Requests whose URI isn't the one that the client sent.

use axum::extract::OriginalUri;
use http::Uri;
use http::request::Parts;

use super::{PolicyConfig, get, key, plain, rules};
use crate::key::{Key, primary};
use crate::policy::Bypass;

/// A request for `original` that goes on as one for `uri`.
fn rewritten(original: &str, uri: &str) -> Parts {
    let mut parts = get(uri, &[("host", b"a")]);
    parts.extensions.insert(OriginalUri(original.parse::<Uri>().expect("a URI")));
    parts
}

fn of(original: &str, uri: &str) -> Key {
    key(&PolicyConfig::default(), &rewritten(original, uri))
}

#[test]
fn the_original_uri_wins_over_the_stripped_one() {
    assert_ne!(of("/users/1", "/1"), of("/orders/1", "/1"));
    assert_ne!(of("http://a/users/1", "http://a/1"), of("http://b/users/1", "http://b/1"));
    assert_eq!(of("/users/1", "/users/1"), plain("/users/1", &[("host", b"a")]));
}

#[test]
fn every_part_of_the_uri_that_goes_on_counts() {
    let keys = [
        of("/x", "/x"),
        of("/x", "http://up/x"),
        of("/x", "https://up/x"),
        of("/x", "http://other/x"),
        of("/x", "http://up/y"),
        of("/x", "http://up/x?"),
        of("/x", "http://up/x?q"),
        of("/x", "/x?q"),
        of("/x", "/y"),
        of("/x?q", "/x"),
        of("/y", "/x"),
        of("http://up/x", "/x"),
        of("http://up/x", "http://up/x"),
    ];
    for (place, key) in keys.iter().enumerate() {
        assert!(!keys[..place].contains(key), "{place}");
    }
    assert_eq!(of("/x", "HTTP://UP/y"), of("/x", "http://up/y"));
}

#[test]
fn a_fixed_authority_does_not_stand_for_another_place() {
    let config = PolicyConfig { authority: Some("edge".to_owned()), ..PolicyConfig::default() };
    let of = |original, uri| key(&config, &rewritten(original, uri));
    assert_ne!(of("/x", "http://up/x"), of("/x", "http://other/x"));
    assert_ne!(of("/x", "http://up/x"), of("/x", "https://up/x"));
    assert_ne!(of("http://a/x", "http://up/x"), of("http://a/x", "http://other/x"));
    // A stripped prefix moves nothing to another place: replicas share what is below it.
    assert_eq!(of("http://a/n/x", "http://a/x"), of("http://b/n/x", "http://b/x"));
    assert_eq!(of("http://a/n/x", "http://a/x"), of("/n/x", "/x"));
}

#[test]
fn what_does_not_count_of_the_query_does_not_count_of_the_one_that_goes_on() {
    let deny = PolicyConfig { deny_query: vec!["utm_*".to_owned()], ..PolicyConfig::default() };
    let of = |original, uri| key(&deny, &rewritten(original, uri));
    assert_eq!(of("/n/x?q&utm_a", "/x?q&utm_a"), of("/n/x?utm_b&q", "/x?utm_b&q"));
    assert_eq!(of("/n/x?utm_a", "/x?utm_a"), of("/n/x", "/x"));
    assert_ne!(of("/n/x?q", "/x?q"), of("/n/x?q", "/x?r"));
    let sort = PolicyConfig { sort_query: true, ..PolicyConfig::default() };
    let of = |original, uri| key(&sort, &rewritten(original, uri));
    assert_eq!(of("/n/x?a&b", "/x?a&b"), of("/n/x?b&a", "/x?b&a"));
    assert_ne!(of("/n/x?a", "/x?a"), of("/n/x?a", "/x?b"));
}

#[test]
fn the_uri_that_goes_on_has_no_room_of_its_own() {
    let long = format!("/{}", "x".repeat(9 << 10));
    let parts = rewritten(&long, &format!("{long}y"));
    assert_eq!(primary(&rules(&PolicyConfig::default()), &parts, None, None), Err(Bypass::KeyTooLong));
}

#[test]
fn user_information_in_either_uri_bypasses() {
    for (original, uri) in [("http://user@a/x", "/x"), ("/x", "http://user:secret@up/x")] {
        let key = primary(&rules(&PolicyConfig::default()), &rewritten(original, uri), None, None);
        assert_eq!(key, Err(Bypass::Credentials), "{original} {uri}");
    }
}
