use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::policy::testing::{HANDLE_TTL, try_rules};
use crate::policy::{Policy, PolicyConfig};

/// The error that a change of the default data gives.
fn wrong(change: impl FnOnce(&mut PolicyConfig)) -> String {
    let mut config = PolicyConfig::default();
    change(&mut config);
    Rules::new(&config, &Hooks::default(), HANDLE_TTL)
        .map(|_| String::new())
        .unwrap_or_else(|error| error.to_string())
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_bad_value_is_an_error_that_names_its_field() {
    let status = |code| move |c: &mut PolicyConfig| c.negative_ttl = BTreeMap::from([(code, HANDLE_TTL)]);
    let too_long = Duration::from_millis(MAX_LIFETIME + 1);
    for (error, field) in [
        (wrong(|c| c.ttl = Some(Duration::ZERO)), "ttl"),
        (wrong(|c| c.ttl = Some(Duration::from_nanos(1))), "ttl"),
        (wrong(|c| c.ttl = Some(too_long)), "ttl"),
        (wrong(|c| c.max_body = 0), "max_body"),
        (wrong(|c| c.min_uses = Some(1)), "min_uses"),
        (wrong(|c| c.min_uses = Some(256)), "min_uses"),
        (wrong(|c| c.lease = Some(Duration::ZERO)), "lease"),
        (wrong(|c| c.lease = Some(Duration::from_micros(999))), "lease"),
        (wrong(|c| c.lease = Some(MAX_LEASE + Duration::from_nanos(1))), "lease"),
        (wrong(|c| c.key_body = Some(0)), "key_body"),
        (wrong(status(99)), "negative_ttl"),
        (wrong(status(100)), "negative_ttl"),
        (wrong(status(199)), "negative_ttl"),
        (wrong(status(200)), "negative_ttl"),
        (wrong(status(206)), "negative_ttl"),
        (wrong(status(304)), "negative_ttl"),
        (wrong(status(600)), "negative_ttl"),
        (wrong(status(1000)), "negative_ttl"),
        (wrong(|c| c.negative_ttl = BTreeMap::from([(404, Duration::ZERO)])), "negative_ttl"),
        (wrong(|c| c.negative_ttl = BTreeMap::from([(404, too_long)])), "negative_ttl"),
        (wrong(|c| c.methods.clear()), "methods"),
        (wrong(|c| c.methods = strings(&["G T"])), "methods"),
        (wrong(|c| c.methods = strings(&["get"])), "methods"),
        (wrong(|c| c.methods = strings(&["GET", "POST"])), "methods"),
        (wrong(|c| c.methods = strings(&["QUERY"])), "methods"),
        (wrong(|c| (c.methods, c.key_body) = (strings(&["CONNECT"]), Some(1))), "methods"),
        (wrong(|c| (c.methods, c.key_body) = (strings(&["TRACE"]), Some(1))), "methods"),
        (wrong(|c| c.key_headers = strings(&["a b"])), "key_headers"),
        (wrong(|c| c.credential_fields = Some(strings(&[""]))), "credential_fields"),
        (wrong(|c| c.credential_fields = Some(strings(&["*"]))), "credential_fields"),
        (wrong(|c| c.credential_fields = Some(strings(&["a*b", "a b*"]))), "credential_fields"),
        (wrong(|c| c.per_request_fields = Some(strings(&["x:y"]))), "per_request_fields"),
        (wrong(|c| c.session_cookies = Some(strings(&["a=b"]))), "session_cookies"),
        (wrong(|c| c.session_cookies = Some(strings(&[""]))), "session_cookies"),
        (wrong(|c| c.allow_query = Some(strings(&[""]))), "allow_query"),
        (wrong(|c| c.deny_query = strings(&["*"])), "deny_query"),
        (wrong(|c| c.authority = Some(String::new())), "authority"),
        (wrong(|c| c.route = Some(String::new())), "route"),
        (wrong(|c| c.label = Some(String::new())), "label"),
        (wrong(|c| c.label = Some("x".repeat(65))), "label"),
        (wrong(|c| c.label = Some("a\nb".to_owned())), "label"),
        (wrong(|c| c.label = Some("\u{7f}".to_owned())), "label"),
        (wrong(|c| c.label = Some("\u{e9}".to_owned())), "label"),
        (wrong(|c| c.canonical_json = true), "canonical_json"),
        (wrong(|c| c.tag_fields = strings(&["x-tags"])), "tag_fields"),
    ] {
        assert!(error.starts_with(&format!("policy field `{field}`: ")), "{field}: {error:?}");
    }
}

#[test]
fn good_values_are_accepted() {
    assert_eq!(wrong(|_| {}), "");
    assert_eq!(wrong(|c| c.ttl = Some(Duration::from_millis(MAX_LIFETIME))), "");
    assert_eq!(wrong(|c| (c.methods, c.key_body) = (strings(&["GET", "HEAD"]), Some(1))), "");
    assert_eq!(wrong(|c| (c.methods, c.key_body) = (strings(&["QUERY", "POST"]), Some(1))), "");
    assert_eq!(wrong(|c| c.label = Some("~".repeat(64))), "");
    assert_eq!(wrong(|c| c.label = Some("full text, /v1".to_owned())), "");
    assert_eq!(wrong(|c| (c.allow_query, c.session_cookies) = (Some(Vec::new()), Some(Vec::new()))), "");
}

#[test]
fn the_handles_ttl_is_checked_too() {
    let rules = Rules::new(&PolicyConfig::default(), &Hooks::default(), Duration::ZERO);
    assert!(rules.unwrap_err().to_string().contains("`ttl`"));
}

#[test]
fn a_post_policy_without_a_keyed_body_is_told_what_it_lacks() {
    let policy = Policy::default().methods([Method::POST]);
    let error = try_rules(&policy).unwrap_err().to_string();
    assert!(error.contains("`POST` needs `key_body`"), "{error}");
    assert!(try_rules(&policy.key_body(1024)).is_ok());
}

#[test]
fn partition_and_stripping_exclude_each_other() {
    let error =
        try_rules(&Policy::default().partition_by(|_| None).strip_credentials()).unwrap_err().to_string();
    assert!(error.contains("`partition_by`") && error.contains("`strip_credentials`"), "{error}");
}
