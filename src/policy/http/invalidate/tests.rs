use proptest::prelude::*;

use super::*;
use crate::policy::testing::headers;

fn resolved(target: &str, host: Option<&str>, reference: &str) -> Option<String> {
    let target: Uri = target.parse().unwrap();
    resolve(&target, host.map(str::as_bytes), reference.as_bytes()).map(|uri| uri.to_string())
}

/// The table of RFC 3986 §5.4, on a base without `;`, as far as it stays on the origin.
#[test]
fn references_resolve_against_the_target() {
    for (reference, expected) in [
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("?y", "/b/c/d?y"),
        ("g?y", "/b/c/g?y"),
        ("#s", "/b/c/d?q"),
        ("g#s", "/b/c/g"),
        ("g?y#s", "/b/c/g?y"),
        (";x", "/b/c/;x"),
        ("g;x?y#s", "/b/c/g;x?y"),
        ("", "/b/c/d?q"),
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../", "/"),
        ("../../g", "/g"),
        ("../../../g", "/g"),
        ("../../../../g", "/g"),
        ("/./g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        (".g", "/b/c/.g"),
        ("g..", "/b/c/g.."),
        ("..g", "/b/c/..g"),
        ("./../g", "/b/g"),
        ("./g/.", "/b/c/g/"),
        ("g/./h", "/b/c/g/h"),
        ("g/../h", "/b/c/h"),
        ("g;x=1/./y", "/b/c/g;x=1/y"),
        ("g;x=1/../y", "/b/c/y"),
        ("g?y/./x", "/b/c/g?y/./x"),
        ("g?y/../x", "/b/c/g?y/../x"),
        ("g#s/../x", "/b/c/g"),
        // Not in the table: what stays as it is.
        ("/a//b", "/a//b"),
        ("/%2e%2e/%7Ea", "/%2e%2e/%7Ea"),
        (" /g\t", "/g"),
        ("?", "/b/c/d?"),
        ("//a", "/"),
        ("//a/g", "/g"),
        ("//a?y", "/?y"),
        ("http://a", "/"),
        ("http://a/./g?y#s", "/g?y"),
    ] {
        let expected = Some(format!("http://a{expected}"));
        assert_eq!(resolved("http://a/b/c/d?q", None, reference), expected, "RFC 3986 5.4: {reference}");
    }
    assert_eq!(resolved("http://a", None, "g").as_deref(), Some("http://a/g"), "RFC 3986 5.2.3");
    assert_eq!(resolved("/b/c", Some("a"), "g").as_deref(), Some("/b/g"), "the form stays the target's");
    assert_eq!(resolved("/b/c", None, "g").as_deref(), Some("/b/g"), "no origin is needed for that");
}

#[test]
fn an_origin_is_scheme_host_and_port() {
    for (section, target, host, reference, same) in [
        ("4.3.1", "http://a/", None, "http://a/x", true),
        ("4.2.3, case", "http://a/", None, "HTTP://A/x", true),
        ("4.2.3, default port", "http://a/", None, "http://a:80/x", true),
        ("4.2.3, default port", "https://a:443/", None, "https://a/x", true),
        ("4.2.3, empty port", "http://a/", None, "http://a:/x", true),
        ("4.2.3, zeros", "http://a:080/", None, "http://a/x", true),
        ("4.3.1, port", "http://a/", None, "http://a:81/x", false),
        ("4.3.1, port", "http://a:81/", None, "http://a/x", false),
        ("4.3.1, port", "http://a/", None, "http://a:443/x", false),
        ("4.3.1, scheme", "http://a/", None, "https://a/x", false),
        ("4.3.1, scheme and port", "http://a:443/", None, "https://a:443/x", false),
        ("4.3.1, host", "http://a/", None, "http://b/x", false),
        ("4.3.1, host", "http://a/", None, "//b/x", false),
        ("4.3.1, no subdomains", "http://a.b/", None, "http://x.a.b/x", false),
        ("4.3.1, no prefixes", "http://a.b/", None, "http://a.bc/x", false),
        ("IPv6", "http://[::1]:81/", None, "http://[::1]:81/x", true),
        ("IPv6", "http://[::1]/", None, "http://[::1]:80/x", true),
        ("IPv6", "http://[::1]:81/", None, "http://[::1]/x", false),
        ("4.2.4, user information", "http://a/", None, "http://a@b/x", false),
        ("4.2.4, user information", "http://a/", None, "http://u@a/x", false),
        ("7.2, Host", "/", Some("a"), "http://a/x", true),
        ("7.2, Host, either scheme", "/", Some("a"), "https://a/x", true),
        ("7.2, Host", "/", Some("A:81"), "http://a:81/x", true),
        ("7.2, Host", "/", Some("a:443"), "https://a/x", true),
        ("7.2, Host", "/", Some("a:443"), "http://a/x", false),
        ("7.2, Host", "/", Some("a"), "https://a:80/x", false),
        ("7.2, Host", "/", Some("a"), "http://b/x", false),
        ("7.2, Host", "/", Some("a"), "//a/x", true),
        ("7.2, Host", "/", Some("a"), "//a:80/x", false),
        ("7.2, Host", "/", Some(""), "http:///x", false),
        ("7.2, no Host", "/", None, "http://a/x", false),
        ("3.2.2, the target goes first", "http://a/", Some("b"), "http://b/x", false),
        ("4.2, other schemes", "/", Some("a"), "ftp://a/x", false),
        ("4.2, other schemes", "/", Some("a"), "urn:x", false),
        ("4.2, no authority", "http://a/", None, "http:/x", false),
        ("4.2, no authority", "http://a/", None, "http:x", false),
        ("4.2, no host", "http://a/", None, "http://:80/x", false),
        ("no port", "http://a/", None, "http://a:8x/x", false),
        ("no port", "http://a/", None, "http://a:99999/x", false),
        ("a backslash is no slash", "http://a/", None, "http://a\\@b/x", false),
        ("spaces", "http://a/", None, "http://a/x y", false),
    ] {
        let found = resolved(target, host, reference).is_some();
        assert_eq!(found, same, "RFC 9110 {section}: {target} {host:?} {reference}");
    }
}

#[test]
fn the_target_and_what_its_answer_names_are_invalid() {
    let of = |lines: &[(&str, &str)]| {
        let target: Uri = "/b/c?q".parse().unwrap();
        let uris = targets(&target, Some(b"a"), &headers(lines));
        uris.iter().map(Uri::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of(&[]), ["/b/c?q"]);
    assert_eq!(
        of(&[("content-location", "d"), ("location", "http://a/e"), ("location", "/f")]),
        ["/b/c?q", "/e", "/f", "/b/d"],
        "RFC 9111 4.4"
    );
    let elsewhere = [("location", "http://b/e"), ("content-location", "//b/e"), ("location", "\u{e9} x")];
    assert_eq!(of(&elsewhere), ["/b/c?q"], "RFC 9111 4.4: the same origin only");
    assert_eq!(of(&[("location", "/b/c?q"), ("content-location", "")]), ["/b/c?q"], "each once");
    let many: Vec<String> = (0..100).map(|number| format!("/{number}")).collect();
    let lines: Vec<_> = many.iter().map(|line| ("location", line.as_str())).collect();
    assert_eq!(of(&lines).len(), 1 + MAX_LINES, "bounded");
}

#[test]
fn a_content_location_names_the_same_resource_or_another() {
    let target: Uri = "/b/c?q".parse().unwrap();
    for (value, same) in [
        ("/b/c?q", true),
        ("c?q", true),
        ("http://a/b/c?q", true),
        ("https://A:443/b/./c?q#f", true),
        ("", true),
        ("?q", true),
        ("/b/c", false),
        ("/b/c?Q", false),
        ("/b/%63?q", false),
        ("http://b/b/c?q", false),
        ("/b/c /?q", false),
    ] {
        let response = headers(&[("content-location", value)]);
        assert_eq!(is_same_resource(&target, Some(b"a"), &response), same, "RFC 9110 9.3.3: {value}");
    }
    assert!(!is_same_resource(&target, Some(b"a"), &headers(&[("location", "/b/c?q")])));
    let twice = headers(&[("content-location", "/b/c?q"), ("content-location", "/d")]);
    assert!(!is_same_resource(&target, Some(b"a"), &twice), "which of the two?");
}

#[test]
fn what_is_not_known_to_be_safe_is_not() {
    for (method, safe) in [
        ("GET", true),
        ("HEAD", true),
        ("OPTIONS", true),
        ("TRACE", true),
        ("QUERY", true),
        ("POST", false),
        ("PUT", false),
        ("DELETE", false),
        ("PATCH", false),
        ("CONNECT", false),
        ("get", false),
        ("FOO", false),
    ] {
        assert_eq!(is_safe(&method.parse().unwrap()), safe, "RFC 9111 4.4: {method}");
    }
}

/// A reader that looks back once per segment would need hours for these.
#[test]
fn long_references_are_read_once() {
    for unit in ["../", "a/", "a/../", "/", ":", "?", "#", "//a", "a/b/../"] {
        let long = unit.repeat((1 << 20) / unit.len());
        let found = resolved("http://a/b", None, &long);
        assert!(found.is_none_or(|uri| uri.starts_with("http://a/")), "{unit:?}");
        assert!(without_dots(long.as_bytes()).len() <= long.len() + 1);
    }
}

proptest! {
    #[test]
    fn resolved_uris_stay_on_the_origin(
        text in "(https?:)?/{0,3}[ab]?(:[0-9]{0,3})?(/|\\.\\.?/|[ab@%?#:\\\\]){0,8}",
        bytes in prop::collection::vec(any::<u8>(), 0..24),
        target in prop::sample::select(vec!["http://a/b/c", "https://a:81", "/b/../c?q", "a:80", "*"]),
    ) {
        let target: Uri = target.parse().unwrap();
        for reference in [text.as_bytes(), &bytes] {
            if let Some(uri) = resolve(&target, Some(b"a"), reference) {
                prop_assert_eq!(uri.scheme(), target.scheme());
                prop_assert_eq!(uri.authority(), target.authority());
                let path = uri.path();
                let own = path == target.path();
                prop_assert!(path.starts_with('/') || own, "{}", path);
                prop_assert!(own || !path.split('/').any(|segment| segment == "." || segment == ".."));
            }
        }
    }
}
