//! Keys of requests; the other parts have files of their own.

#[cfg(feature = "axum")]
mod forwarded;
mod json;
mod query;
mod scope;
mod vary;

use http::Request;
use http::request::Parts;
use proptest::prelude::*;

use super::digest::Digest;
use super::material::{Domain, Form, MAX_MATERIAL, Material, Sink};
use super::{Identity, Key, KeyRules, primary};
use crate::policy::{Bypass, PolicyConfig};

fn rules(config: &PolicyConfig) -> KeyRules {
    KeyRules::new(config, false, &Identity::default()).expect("a good policy")
}

fn get(uri: &str, headers: &[(&str, &[u8])]) -> Parts {
    request("GET", uri, headers)
}

fn request(method: &str, uri: &str, headers: &[(&str, &[u8])]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a good request").into_parts().0
}

fn key(config: &PolicyConfig, parts: &Parts) -> Key {
    primary(&rules(config), parts, None, None).expect("a key")
}

fn plain(uri: &str, headers: &[(&str, &[u8])]) -> Key {
    key(&PolicyConfig::default(), &get(uri, headers))
}

/// Lines of `Content-Type` and of `Content-Encoding`, and the bytes.
type SpecBody = (Vec<Vec<u8>>, Vec<Vec<u8>>, Vec<u8>);

/// A request, part by part.
#[derive(Clone, Debug, PartialEq)]
struct Spec {
    method: &'static str,
    /// Scheme and authority of the URI.
    origin: Option<(&'static str, &'static str)>,
    host: Option<&'static str>,
    path: String,
    query: Option<String>,
    first: Vec<Vec<u8>>,
    second: Vec<Vec<u8>>,
    principal: Option<Vec<u8>>,
    body: Option<SpecBody>,
}

impl Spec {
    fn write(&self) -> Vec<u8> {
        let target =
            format!("/{}{}", self.path, self.query.as_ref().map_or(String::new(), |q| format!("?{q}")));
        let uri = match self.origin {
            Some((scheme, authority)) => format!("{scheme}://{authority}{target}"),
            None => target,
        };
        let mut headers: Vec<(&str, &[u8])> = Vec::new();
        headers.extend(self.host.map(|host| ("host", host.as_bytes())));
        let empty = (Vec::new(), Vec::new(), Vec::new());
        let (types, codings, _) = self.body.as_ref().unwrap_or(&empty);
        for (name, values) in [
            ("x-first", &self.first),
            ("x-second", &self.second),
            ("content-type", types),
            ("content-encoding", codings),
        ] {
            headers.extend(values.iter().map(|value| (name, value.as_slice())));
        }
        let config = PolicyConfig {
            key_headers: vec!["X-Second".to_owned(), "x-first".to_owned()],
            ..PolicyConfig::default()
        };
        let parts = request(self.method, &uri, &headers);
        let body = self.body.as_ref().map(|(_, _, body)| body.as_slice());
        primary::write(&rules(&config), &parts, self.principal.as_deref(), body, Vec::new()).expect("a key")
    }

    /// What of it counts: requests are alike if and only if this is equal.
    fn meaning(&self) -> Self {
        let mut meaning = self.clone();
        meaning.method = if self.method == "HEAD" { "GET" } else { self.method };
        meaning.host = match (self.origin, self.host) {
            (Some((_, authority)), Some(host)) if authority.eq_ignore_ascii_case(host) => None,
            (_, host) => host.map(lower),
        };
        meaning.origin = self.origin.map(|(scheme, authority)| (scheme, lower(authority)));
        meaning
    }
}

fn lower(name: &'static str) -> &'static str {
    if name.eq_ignore_ascii_case("a") { "a" } else { name }
}

/// Short texts of few letters, so that bytes often only move from one part to the next.
fn text() -> impl Strategy<Value = String> {
    "[ab/]{0,2}"
}

/// Short values that look like pieces of frames.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[ab]{0,2}".prop_map(String::into_bytes),
        Just(b"(\t\t".to_vec()),
        Just(vec![b',', 0x80]),
        Just(vec![0xff; 4]),
    ]
}

/// As [`value`], with bytes that no field may have.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        value(),
        Just(vec![]),
        Just(vec![0]),
        Just(vec![44, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        Just(vec![1, 0, 0, 0, b'a']),
    ]
}

fn values() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(value(), 0..3)
}

fn spec() -> impl Strategy<Value = Spec> {
    (
        prop::sample::select(vec!["GET", "HEAD", "POST", "get"]),
        prop::option::of(prop::sample::select(vec![
            ("http", "a"),
            ("https", "a"),
            ("http", "A"),
            ("http", "ab"),
        ])),
        prop::option::of(prop::sample::select(vec!["", "a", "A", "ab"])),
        text(),
        prop::option::of(text()),
        values(),
        values(),
        prop::option::of(bytes()),
        prop::option::of((values(), values(), bytes())),
    )
        .prop_map(|(method, origin, host, path, query, first, second, principal, body)| Spec {
            method,
            origin,
            host,
            path,
            query,
            first,
            second,
            principal,
            body,
        })
}

/// Two requests that differ in few parts, or none.
fn pair() -> impl Strategy<Value = (Spec, Spec)> {
    (spec(), spec(), prop::bits::u16::ANY, any::<bool>()).prop_map(|(a, other, mask, swap)| {
        let mut b = a.clone();
        let differs = |bit: u16| mask & mask.rotate_left(5) & (1 << bit) != 0;
        if differs(0) {
            b.method = other.method;
        }
        if differs(1) {
            b.origin = other.origin;
        }
        if differs(2) {
            b.host = other.host;
        }
        if differs(3) {
            b.path.clone_from(&other.path);
        }
        if differs(4) {
            b.query.clone_from(&other.query);
        }
        if differs(5) {
            b.first.clone_from(&other.first);
        }
        if differs(6) {
            b.second.clone_from(&other.second);
        }
        if differs(7) {
            b.principal.clone_from(&other.principal);
        }
        if differs(8) {
            b.body.clone_from(&other.body);
        }
        if swap {
            std::mem::swap(&mut b.first, &mut b.second);
        }
        (a, b)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn material_is_equal_if_and_only_if_the_parts_are((a, b) in pair()) {
        prop_assert_eq!(a.write() == b.write(), a.meaning() == b.meaning());
    }

    #[test]
    fn bytes_that_move_to_the_next_part_change_the_material(spec in spec(), at in 0_usize..4) {
        let mut moved = spec.clone();
        // Out of the path into the query, out of one header into the other, out of one line into the next.
        let (path, query) = moved.path.split_at(at.min(moved.path.len()));
        let (path, query) = (path.to_owned(), format!("{query}{}", moved.query.as_deref().unwrap_or_default()));
        (moved.path, moved.query) = (path, Some(query));
        if let Some(line) = moved.first.pop() {
            moved.second.insert(0, line);
        }
        if let [one, two, ..] = moved.second.as_mut_slice() {
            two.splice(0..0, one.drain(..));
        }
        prop_assert_eq!(spec.write() == moved.write(), spec.meaning() == moved.meaning());
    }

    #[test]
    fn the_digest_does_not_depend_on_how_its_input_is_cut(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 0..8),
    ) {
        let (mut cut, mut whole) = (Digest::new(), Digest::new());
        pieces.iter().for_each(|piece| cut.put(piece));
        let joined = pieces.concat();
        whole.put(&joined);
        let whole = whole.finish();
        prop_assert_eq!(cut.finish(), whole);
        prop_assert_eq!(whole.as_bytes(), &blake3::derive_key("tower-query-cache v1 key material", &joined));
    }
}

#[test]
fn head_shares_the_key_of_get_and_no_other_method_does() {
    let config = PolicyConfig::default();
    let of = |method| key(&config, &request(method, "/x", &[]));
    assert_eq!(of("GET"), of("HEAD"));
    assert_ne!(of("GET"), of("POST"));
    assert_ne!(of("GET"), of("QUERY"));
}

#[test]
fn query_and_host_are_part_of_the_key() {
    assert_ne!(plain("/x?page=1", &[]), plain("/x?page=2", &[]));
    assert_ne!(plain("/x?", &[]), plain("/x", &[]));
    assert_ne!(plain("/x?a=1&a=2", &[]), plain("/x?a=2&a=1", &[]));
    assert_ne!(plain("/x", &[("host", b"a")]), plain("/x", &[("host", b"b")]));
    assert_ne!(plain("/x", &[("host", b"")]), plain("/x", &[]));
    assert_eq!(plain("/x", &[("host", b"EXAMPLE.org")]), plain("/x", &[("host", b"example.ORG")]));
    assert_ne!(plain("http://a/x", &[]), plain("https://a/x", &[]));
}

#[test]
fn a_host_that_contradicts_the_uri_cannot_poison_its_entries() {
    let honest = plain("http://a/x", &[("host", b"a")]);
    assert_eq!(honest, plain("http://a/x", &[]));
    assert_ne!(honest, plain("http://a/x", &[("host", b"evil")]));
}

#[test]
fn two_host_fields_bypass_unless_the_authority_is_fixed() {
    let two = get("/x", &[("host", b"a"), ("host", b"a")]);
    let config = PolicyConfig::default();
    assert_eq!(primary(&rules(&config), &two, None, None), Err(Bypass::KeyMalformed));
    let config = PolicyConfig { authority: Some("search".to_owned()), ..config };
    assert!(primary(&rules(&config), &two, None, None).is_ok());
    assert_eq!(key(&config, &get("/x", &[("host", b"a:1")])), key(&config, &get("http://b:2/x", &[])));
}

#[test]
fn user_information_in_the_uri_bypasses() {
    let fixed = PolicyConfig { authority: Some("search".to_owned()), ..PolicyConfig::default() };
    for config in [PolicyConfig::default(), fixed] {
        for uri in ["http://user:Secret@a/x", "http://user@a/x", "http://@a/x"] {
            let key = primary(&rules(&config), &get(uri, &[]), None, None);
            assert_eq!(key, Err(Bypass::Credentials), "{uri}");
        }
        assert!(primary(&rules(&config), &get("http://a/@x?y@z", &[]), None, None).is_ok());
    }
}

#[test]
fn chosen_headers_count_with_all_their_lines() {
    let config = PolicyConfig { key_headers: vec!["X-Tenant".to_owned()], ..PolicyConfig::default() };
    let of = |lines: &[&[u8]]| {
        let headers: Vec<_> = lines.iter().map(|line| ("x-tenant", *line)).collect();
        key(&config, &get("/x", &headers))
    };
    let keys = [
        of(&[]),
        of(&[b""]),
        of(&[b"", b""]),
        of(&[b"a"]),
        of(&[b"a", b"b"]),
        of(&[b"b", b"a"]),
        of(&[b"a,b"]),
    ];
    for (place, key) in keys.iter().enumerate() {
        assert!(!keys[..place].contains(key), "{place}");
    }
}

#[test]
fn a_partitioned_policy_needs_a_principal_and_keeps_principals_apart() {
    let rules = KeyRules::new(&PolicyConfig::default(), true, &Identity::default()).expect("a good policy");
    let of = |principal| primary(&rules, &get("/x", &[]), principal, None);
    assert_eq!(of(None), Err(Bypass::NoPrincipal));
    assert_ne!(of(Some(b"")).expect("a key"), of(Some(b"a")).expect("a key"));
    assert_ne!(of(Some(b"b")).expect("a key"), of(Some(b"a")).expect("a key"));
}

#[test]
fn material_over_its_limit_bypasses_and_the_body_does_not_count() {
    let rules = rules(&PolicyConfig::default());
    let room = MAX_MATERIAL
        - primary::write(&rules, &get("/", &[]), None, None, Vec::new()).expect("a key").len()
        + 1 // the domain byte is free
        - 5; // the frame of the principal
    let of = |principal: usize, body: usize| {
        primary(&rules, &get("/", &[]), Some(&vec![b'p'; principal]), Some(&vec![b'b'; body]))
    };
    let field_frames = 2 * 5;
    assert!(of(room - field_frames, 1 << 20).is_ok());
    assert_eq!(of(room - field_frames + 1, 0), Err(Bypass::KeyTooLong));
    let long = format!("/{}", "x".repeat(MAX_MATERIAL));
    assert_eq!(primary(&rules, &get(&long, &[]), None, None), Err(Bypass::KeyTooLong));
    assert_eq!(primary(&rules, &get("/", &[("host", long.as_bytes())]), None, None), Err(Bypass::KeyTooLong));
}

#[test]
fn a_raw_body_never_passes_for_a_canonical_one() {
    let write = |form| {
        let mut to = Material::new(Domain::Primary, Vec::new());
        to.body(form, b"{}");
        to.into_sink()
    };
    assert_ne!(write(Form::Raw), write(Form::CanonicalJson));
}

#[test]
fn keys_print_four_bytes_only() {
    assert_eq!(format!("{:?}", Key::from_bytes([0xab; 32])), "Key(abababab…)");
}
