//! What of the identity and the policy is part of every key.

use super::{PolicyConfig, get};
use crate::key::{Identity, Key, KeyRules, primary};

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn key(config: &PolicyConfig, partitioned: bool, identity: &Identity) -> Key {
    let rules = KeyRules::new(config, partitioned, identity).expect("a good policy");
    primary(&rules, &get("/x", &[]), partitioned.then_some(b""), None).expect("a key")
}

fn changed(change: impl Fn(&mut PolicyConfig)) -> PolicyConfig {
    let mut config = PolicyConfig::default();
    change(&mut config);
    config
}

#[test]
fn namespaces_applications_and_generations_never_meet() {
    let identity = |namespace: &str, app: &str, generation: &str| Identity {
        namespace: namespace.to_owned(),
        app: app.to_owned(),
        generation: generation.to_owned(),
    };
    let config = PolicyConfig::default();
    let keys = [
        identity("", "", ""),
        identity("a", "", ""),
        identity("", "a", ""),
        identity("", "", "a"),
        identity("a", "b", ""),
        identity("ab", "", ""),
        identity("", "ab", ""),
    ]
    .map(|identity| key(&config, false, &identity));
    for (place, key) in keys.iter().enumerate() {
        assert!(!keys[..place].contains(key), "{place}");
    }
}

#[test]
fn each_field_that_decides_who_may_see_an_entry_changes_the_key() {
    let mut keys = vec![key(&PolicyConfig::default(), true, &Identity::default())];
    let changes: [(&str, PolicyConfig); 16] = [
        ("key_headers", changed(|config| config.key_headers = owned(&["a"]))),
        ("credential_fields", changed(|config| config.credential_fields = Some(Vec::new()))),
        ("strip_credentials", changed(|config| config.strip_credentials = true)),
        ("no session_cookies", changed(|config| config.session_cookies = Some(Vec::new()))),
        ("session_cookies", changed(|config| config.session_cookies = Some(owned(&["a"])))),
        ("sort_query", changed(|config| config.sort_query = true)),
        ("no allow_query", changed(|config| config.allow_query = Some(Vec::new()))),
        ("allow_query", changed(|config| config.allow_query = Some(owned(&["a"])))),
        ("deny_query", changed(|config| config.deny_query = owned(&["a"]))),
        ("canonical_json", changed(|config| config.canonical_json = true)),
        ("key_body", changed(|config| config.key_body = Some(1))),
        ("authority", changed(|config| config.authority = Some("a".to_owned()))),
        ("route", changed(|config| config.route = Some("a".to_owned()))),
        ("no per_request_fields", changed(|config| config.per_request_fields = Some(Vec::new()))),
        ("per_request_fields", changed(|config| config.per_request_fields = Some(owned(&["a"])))),
        ("not partitioned", PolicyConfig::default()),
    ];
    for (field, config) in changes {
        let key = key(&config, field != "not partitioned", &Identity::default());
        assert!(!keys.contains(&key), "{field}");
        keys.push(key);
    }
}

#[test]
fn limits_times_labels_order_and_case_leave_the_key_alone() {
    let same = |a: &PolicyConfig, b: &PolicyConfig| {
        assert_eq!(key(a, false, &Identity::default()), key(b, false, &Identity::default()));
    };
    let limits = changed(|config| {
        config.ttl = Some(std::time::Duration::from_secs(1));
        config.max_body = 1;
        config.label = Some("search".to_owned());
    });
    same(&PolicyConfig::default(), &limits);
    let body = |limit| changed(|config| config.key_body = Some(limit));
    same(&body(1), &body(2));
    let lists = |headers: &[&str], fields: &[&str], deny: &[&str], authority: &str| {
        changed(|config| {
            config.key_headers = owned(headers);
            config.credential_fields = Some(owned(fields));
            config.per_request_fields = Some(owned(fields));
            config.deny_query = owned(deny);
            config.authority = Some(authority.to_owned());
        })
    };
    same(
        &lists(&["a", "B"], &["x", "Y"], &["p", "q*"], "Search"),
        &lists(&["b", "A", "a"], &["y", "X"], &["q*", "p", "p"], "search"),
    );
}

#[test]
fn a_fixed_authority_is_the_only_host_that_a_handler_sees() {
    let hosts = |authority: Option<&str>, headers: &[(&str, &[u8])]| {
        let config = changed(|config| config.authority = authority.map(str::to_owned));
        let mut parts = get("/x", headers);
        KeyRules::new(&config, false, &Identity::default()).expect("a good policy").disguise(&mut parts);
        let hosts = parts.headers.get_all("host").iter();
        hosts.map(|host| host.to_str().expect("ASCII").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(hosts(Some("Search:80"), &[("host", b"evil")]), ["search:80"]);
    assert_eq!(hosts(Some("search"), &[("host", b"evil"), ("host", b"worse")]), ["search"]);
    assert_eq!(hosts(Some("search"), &[]), [""; 0]);
    assert_eq!(hosts(None, &[("host", b"a")]), ["a"]);
}

#[test]
fn fields_that_cannot_be_used_are_named() {
    for (field, config) in [
        ("key_headers", changed(|config| config.key_headers = owned(&["a b"]))),
        ("key_headers", changed(|config| config.key_headers = owned(&[&"x".repeat(70_000)]))),
        ("authority", changed(|config| config.authority = Some(String::new()))),
        ("authority", changed(|config| config.authority = Some("a/b".to_owned()))),
        ("authority", changed(|config| config.authority = Some("user:secret@host".to_owned()))),
        ("route", changed(|config| config.route = Some(String::new()))),
        ("allow_query", changed(|config| config.allow_query = Some(owned(&["a*b"])))),
        ("deny_query", changed(|config| config.deny_query = owned(&[""]))),
    ] {
        let error = KeyRules::new(&config, false, &Identity::default()).expect_err(field).to_string();
        assert!(error.contains(&format!("`{field}`")), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
