//! One table of values, tried through the environment and through serde; and the docs, held against the code.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::ConfigError;

#[cfg(feature = "redis")]
mod servers;
mod tls;

const NAMES: [&str; 11] = [
    "ENABLE_CACHE",
    "REDIS_URL",
    "USE_LRU_CACHE",
    "LRU_CACHE_SIZE",
    "CACHE_TTL",
    "REDIS_MAX_CONNECTIONS",
    "REDIS_CONNECT_TIMEOUT",
    "REDIS_KEEPALIVE",
    "CACHE_NAMESPACE",
    "CACHE_APP",
    "CACHE_GENERATION",
];

fn from(variables: &[(&str, &str)]) -> Result<CacheConfig, ConfigError> {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    CacheConfig::from_lookup(|name| variables.get(name).map(OsString::from))
}

fn error(variables: &[(&str, &str)]) -> String {
    from(variables).unwrap_err().to_string()
}

#[test]
fn exactly_the_documented_variables_are_read() {
    let asked = RefCell::new(BTreeSet::new());
    let config = CacheConfig::from_lookup(|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    assert_eq!(asked.into_inner(), NAMES.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(config.unwrap(), CacheConfig::default());
}

#[cfg(feature = "redis")]
#[test]
fn serde_and_the_environment_give_the_same() {
    let read = from(&[
        ("ENABLE_CACHE", "No"),
        ("REDIS_URL", "redis://cache:6380/2"),
        ("USE_LRU_CACHE", "OFF"),
        ("LRU_CACHE_SIZE", "1000"),
        ("CACHE_TTL", "60"),
        ("REDIS_MAX_CONNECTIONS", "4"),
        ("REDIS_CONNECT_TIMEOUT", "2"),
        ("REDIS_KEEPALIVE", "0"),
        ("CACHE_NAMESPACE", "shop:eu"),
        ("CACHE_APP", "search"),
        ("CACHE_GENERATION", "2f1c"),
    ]);
    let written: CacheConfig = serde_json::from_value(json!({
        "enabled": false, "ttl": 60, "namespace": "shop:eu", "app": "search", "generation": "2f1c",
        "memory": {"max_entries": 1000},
        "redis": {"url": "redis://cache:6380/2", "max_connections": 4, "connect_timeout": 2, "keepalive": false},
    }))
    .unwrap();
    assert_eq!(read.unwrap(), written);
    assert!(written.validate().is_ok());
    let again: CacheConfig = serde_json::from_str(&serde_json::to_string(&written).unwrap()).unwrap();
    assert_eq!(again, written);
}

#[test]
fn serde_names_an_unknown_field() {
    let error = serde_json::from_value::<CacheConfig>(json!({"redis": {"uri": "redis://h"}})).unwrap_err();
    assert!(error.to_string().contains("unknown field `uri`"), "{error}");
}

#[cfg(feature = "redis")]
#[test]
fn memory_only_where_it_is_asked_for() {
    let url = ("REDIS_URL", "redis://h");
    assert!(from(&[url]).unwrap().redis.is_some());
    assert!(from(&[url, ("USE_LRU_CACHE", "true")]).unwrap().redis.is_none());
    assert!(from(&[("REDIS_URL", "")]).unwrap().redis.is_none(), "empty counts as unset");
    assert!(from(&[("REDIS_MAX_CONNECTIONS", "3")]).unwrap().redis.is_none());
}

#[cfg(not(feature = "redis"))]
#[test]
fn a_url_without_the_feature_is_an_error() {
    assert_eq!(error(&[("REDIS_URL", "redis://h")]), "REDIS_URL needs the crate feature `redis`");
    assert!(from(&[("REDIS_URL", "redis://h"), ("USE_LRU_CACHE", "1")]).is_ok());
    let config: CacheConfig = serde_json::from_value(json!({"redis": {"url": "redis://h"}})).unwrap();
    assert_eq!(config.validate().unwrap_err().to_string(), "redis needs the crate feature `redis`");
}

#[test]
fn booleans_have_eight_spellings_in_any_case() {
    for yes in ["true", "1", "yes", "on", "TRUE", "On"] {
        assert!(from(&[("ENABLE_CACHE", yes)]).unwrap().enabled, "{yes}");
    }
    for no in ["false", "0", "no", "off", "False", "NO"] {
        assert!(!from(&[("ENABLE_CACHE", no)]).unwrap().enabled, "{no}");
    }
    for name in ["ENABLE_CACHE", "USE_LRU_CACHE", "REDIS_KEEPALIVE"] {
        for bad in ["", "2", "y", " true", "true ", "truth"] {
            let text = error(&[(name, bad)]);
            assert!(text.starts_with(&format!("{name}: ")) && text.contains("yes, no, on or off"), "{text}");
        }
    }
}

#[test]
fn numbers_are_digits_in_range() {
    assert_eq!(
        error(&[("REDIS_MAX_CONNECTIONS", "abc")]),
        r#"REDIS_MAX_CONNECTIONS: "abc" isn't a whole number; accepted: a whole number from 1 to 1024"#
    );
    assert_eq!(
        error(&[("CACHE_TTL", "0")]),
        "CACHE_TTL: 0 is too small; accepted: whole seconds from 1 to 31536000"
    );
    for name in ["LRU_CACHE_SIZE", "CACHE_TTL", "REDIS_MAX_CONNECTIONS", "REDIS_CONNECT_TIMEOUT"] {
        let huge = "9".repeat(60);
        for bad in ["", "0", "-1", "+1", "1.5", " 1", "1 ", "1e3", "0x10", "1_000", "٣", "99999999999", &huge]
        {
            let text = error(&[(name, bad)]);
            assert!(text.starts_with(&format!("{name}: ")) && text.contains("; accepted: "), "{text}");
            assert!(text.len() < 140 && text.lines().count() == 1, "{text}");
        }
    }
    assert_eq!(from(&[("LRU_CACHE_SIZE", "007")]).unwrap().memory.max_entries, 7);
}

#[test]
fn texts_have_bounds() {
    for bad in ["", "a b", "{a}", "é", "a\n", &"a".repeat(65)] {
        let text = error(&[("CACHE_NAMESPACE", bad)]);
        assert!(text.starts_with("CACHE_NAMESPACE: ") && text.lines().count() == 1, "{text}");
    }
    assert!(from(&[("CACHE_NAMESPACE", &"a".repeat(64))]).is_ok());
    assert!(error(&[("CACHE_APP", "")]).starts_with("CACHE_APP: empty"));
    assert_eq!(from(&[("CACHE_GENERATION", "")]).unwrap().generation, "", "empty means none");
    for name in ["CACHE_APP", "CACHE_GENERATION"] {
        assert!(error(&[(name, &"x".repeat(257))]).starts_with(&format!("{name}: 257 bytes long")));
        assert!(from(&[(name, &"x".repeat(256))]).is_ok());
    }
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_an_error() {
    use std::os::unix::ffi::OsStringExt;

    for name in NAMES {
        let lookup = |asked: &str| (asked == name).then(|| OsString::from_vec(vec![b'1', 0xff]));
        let text = CacheConfig::from_lookup(lookup).unwrap_err().to_string();
        assert!(text.starts_with(&format!("{name}: not UTF-8; accepted: ")), "{text}");
    }
}

#[test]
fn a_bad_url_is_an_error_that_keeps_the_secret() {
    for bad in [
        "s3cret",
        "localhost:6379",
        "http://u:s3cret@h",
        "s3cret@h://x",
        "redis:h",
        "redis://",
        "redis://u:s3cret@h /0",
        "REDIS://u:s3cret@h",
        "RediSS://u:s3cret@h",
        "valkeys://u:s3cret@h",
        "redis://h\n",
    ] {
        let text = error(&[("REDIS_URL", bad)]);
        assert!(text.starts_with("REDIS_URL: ") && text.contains("accepted: redis://"), "{text}");
        assert!(!text.contains("s3cret") && text.lines().count() == 1, "{text}");
    }
    assert!(error(&[("REDIS_URL", "http://u:s3cret@h")]).contains("the scheme `http` isn't one of Redis"));
}

#[cfg(feature = "redis")]
#[test]
fn urls_are_those_that_the_client_takes() {
    for good in [
        "redis://h",
        "redis://u:p@h:1/3",
        "redis://[::1]:6379",
        "redis://h?protocol=resp2",
        "redis://h/1?protocol=resp3",
        "unix:///run/r.sock?protocol=resp3",
        "redis+unix:///run/r.sock",
        "unix:///run/r.sock?db=1",
    ] {
        assert!(from(&[("REDIS_URL", good)]).is_ok(), "{good}");
    }
    for bad in [
        "redis://:s3cret@",
        "redis://:s3cret@h:port",
        "redis://:s3cret@h/s3cret",
        "redis://h?protocol=s3cret",
        "redis://h?protocol=resp4",
        "redis://:s3cret@h/-1",
        "redis://0.0.0.0",
    ] {
        let text = error(&[("REDIS_URL", bad)]);
        assert!(
            text.starts_with("REDIS_URL: ") && !text.contains("s3cret") && !text.contains(": ;"),
            "{text}"
        );
    }
}

#[test]
fn debug_shows_where_but_not_who() {
    let debug = |url: &str| format!("{:?}", RedisConfig { url: url.to_owned(), ..RedisConfig::default() });
    assert!(debug("redis://u:s3cret@h:6380/2").contains(r#"url: "redis://…@h:6380/2""#));
    assert!(debug("redis://h:6380").contains(r#"url: "redis://h:6380""#));
    for url in [
        "redis://:s3cret@h",
        "redis://s3cret@h",
        "redis://:a/s3cret@h",
        "redis://:a@s3cret@h",
        "redis://:s3cret?@h",
        "redis://:s3cret#x@h",
        "redis://:a?s3cret@h",
        "unix:///r.sock?user=u&pass=s3cret",
        "unix:///r.sock?pass=a@s3cret",
        "s3cret",
        "s3cret://h",
    ] {
        assert!(!debug(url).contains("s3cret"), "{}", debug(url));
    }
}

#[test]
fn settings_that_cannot_be_meant_are_named() {
    let cases = [
        ("ttl", json!({"ttl": 0})),
        ("ttl", json!({"ttl": 1e10})),
        ("namespace", json!({"namespace": ""})),
        ("app", json!({"app": "x".repeat(257)})),
        ("generation", json!({"generation": "x".repeat(257)})),
        ("cache_status", json!({"cache_status": "two words"})),
        ("cache_status", json!({"cache_status": ""})),
        ("memory.max_entries", json!({"memory": {"max_entries": 0}})),
        ("memory.max_bytes", json!({"memory": {"max_bytes": 0}})),
        ("limits.max_fills", json!({"limits": {"max_fills": 0}})),
        ("limits.max_orphan_fills", json!({"limits": {"max_orphan_fills": 0}})),
        ("limits.fill_timeout", json!({"limits": {"fill_timeout": 0}})),
        ("limits.coalesce_timeout", json!({"limits": {"coalesce_timeout": 0.0001}})),
        ("limits.recording_bytes", json!({"limits": {"recording_bytes": 0}})),
        ("limits.key_body_bytes", json!({"limits": {"key_body_bytes": 0}})),
        ("limits.key_body_timeout", json!({"limits": {"key_body_timeout": 3601}})),
    ];
    #[cfg(feature = "redis")]
    let cases = cases.into_iter().chain([
        ("redis.url", json!({"redis": {"url": "h:6379"}})),
        ("redis.max_connections", json!({"redis": {"max_connections": 0}})),
        ("redis.connect_timeout", json!({"redis": {"connect_timeout": 601}})),
        ("redis.lookup_timeout", json!({"redis": {"lookup_timeout": 0}})),
        ("redis.write_timeout", json!({"redis": {"write_timeout": 0}})),
        ("redis.queue_entries", json!({"redis": {"queue_entries": 0}})),
        ("redis.queue_bytes", json!({"redis": {"queue_bytes": 0}})),
    ]);
    for (field, value) in cases {
        let config: CacheConfig = serde_json::from_value(value).unwrap();
        let text = config.validate().unwrap_err().to_string();
        assert!(text.starts_with(&format!("{field}: ")) && text.contains("; accepted: "), "{text}");
    }
    assert!(CacheConfig::default().validate().is_ok());
}

proptest! {
    #[test]
    fn no_value_panics_or_leaks_into_two_lines(name in 0..NAMES.len(), value in any::<String>()) {
        if let Err(error) = from(&[(NAMES[name], &value)]) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }

    #[test]
    fn a_password_is_never_shown(user in "[a-z]{0,3}", password in "[a-z/?#:@%&=]{0,8}s3cret[a-z/?#:@%&=]{0,8}") {
        let url = format!("redis://{user}:{password}@h:6379/0");
        let shown = format!("{:?}", RedisConfig { url: url.clone(), ..RedisConfig::default() });
        prop_assert!(!shown.contains("s3cret"), "{}", shown);
        if let Err(error) = from(&[("REDIS_URL", &url)]) {
            prop_assert!(!error.to_string().contains("s3cret"), "{}", error);
        }
    }
}

/// The fields of the structs in this module's source: struct, field, docs.
fn documented_fields() -> Vec<(String, String, String)> {
    let (mut fields, mut owner, mut docs) = (Vec::new(), String::new(), String::new());
    for line in include_str!("mod.rs").lines() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("///") {
            docs.push_str(text);
        } else if let Some(rest) = line.strip_prefix("pub struct ") {
            owner = rest.trim_end_matches(" {").to_owned();
            docs.clear();
        } else if line.starts_with("pub fn ") {
            docs.clear();
        } else if let Some((field, _)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": ")) {
            fields.push((owner.clone(), field.to_owned(), std::mem::take(&mut docs)));
        }
    }
    fields
}

#[test]
fn every_variable_stands_in_the_docs_of_its_field_and_in_the_table() {
    let docs: String = documented_fields().into_iter().map(|(_, _, docs)| docs).collect();
    for name in NAMES {
        assert_eq!(docs.matches(&format!("Environment: `{name}`")).count(), 1, "{name}");
        assert!(include_str!("env.rs").contains(&format!("/// | `{name}` | ")), "{name}");
    }
}

/// A `Default:` of the docs as the value that serde writes.
fn stated(text: &str) -> Value {
    if let Some(number) = text.strip_suffix(" MiB") {
        return json!(number.parse::<u64>().unwrap() << 20);
    }
    match text {
        "none" => Value::Null,
        "empty" => json!(""),
        "the executable's name" => json!(executable()),
        quoted if quoted.starts_with('`') => json!(quoted.trim_matches('`')),
        plain => serde_json::from_str(plain).unwrap(),
    }
}

#[test]
fn stated_defaults_are_the_defaults() {
    let mut checked = 0;
    for (owner, field, docs) in documented_fields() {
        let defaults = match owner.as_str() {
            "CacheConfig" => serde_json::to_value(CacheConfig::default()),
            "MemoryConfig" => serde_json::to_value(MemoryConfig::default()),
            "RedisConfig" => serde_json::to_value(RedisConfig::default()),
            _ => serde_json::to_value(LimitsConfig::default()),
        }
        .unwrap();
        if matches!(field.as_str(), "memory" | "limits") {
            continue;
        }
        let stated_here =
            docs.split_once("Default: ").unwrap_or_else(|| panic!("{owner}.{field} states none")).1;
        let end = stated_here.find(". ").unwrap_or(stated_here.len());
        let text = stated_here[..end].trim_end_matches('.');
        assert_eq!(stated(text), defaults[&field], "{owner}.{field}");
        checked += 1;
    }
    assert_eq!(checked, 30);
}
