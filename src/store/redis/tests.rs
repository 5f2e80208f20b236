use super::*;

fn config(url: &str) -> RedisConfig {
    RedisConfig { url: url.to_owned(), ..RedisConfig::default() }
}

fn refusal(config: &RedisConfig) -> String {
    RedisStore::new(config, "tqc").unwrap_err().to_string()
}

#[test]
fn a_key_is_named_by_namespace_version_and_digest() {
    let store = RedisStore::new(&config("redis://127.0.0.1:1"), "tqc").unwrap();
    let name = store.name(&Key::from_bytes([0xff; 32]));
    assert_eq!(name, "tqc:v1:e:__________________________________________8");
}

#[test]
fn urls_that_cannot_be_used_are_refused_by_name_and_without_their_password() {
    for url in [
        "",
        "nonsense",
        "http://u:hunter2@host",
        "redis://u:hunter2@",
        "redis://u:hunter2@host:99999",
        "redis://u:hunter2@host/db",
        "redis://u:hunter2@host/-1",
        "redis://u:hunter2@host?protocol=9",
        "redis-sentinel://u:hunter2@host",
    ] {
        let text = refusal(&config(url));
        assert!(text.starts_with("redis.url: ") && text.contains("accepted: redis://"), "{url}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn urls_of_every_accepted_kind_pass() {
    for url in [
        "redis://host",
        "redis://:hunter2@host:7000/3",
        "redis://user:p%40ss@[::1]:7000",
        "redis+unix:///run/redis.sock?db=2&user=u&pass=hunter2",
        "unix:///run/redis.sock",
    ] {
        let store = RedisStore::new(&config(url), "tqc").unwrap();
        let text = format!("{store:?}");
        assert!(!text.contains("hunter2") && !text.contains("p@ss") && !text.contains("p%40ss"), "{text}");
    }
}

#[test]
fn every_setting_is_held_to_the_bounds_of_the_configuration() {
    let base = config("redis://host");
    for config in [
        RedisConfig { max_connections: 0, ..base.clone() },
        RedisConfig { max_connections: 1025, ..base.clone() },
        RedisConfig { connect_timeout: Duration::ZERO, ..base.clone() },
        RedisConfig { lookup_timeout: Duration::MAX, ..base.clone() },
        RedisConfig { write_timeout: Duration::ZERO, ..base.clone() },
        RedisConfig { queue_entries: 0, ..base.clone() },
        RedisConfig { queue_bytes: 0, ..base.clone() },
    ] {
        assert_eq!(refusal(&config), config.validate().unwrap_err().to_string());
    }
}

#[test]
fn a_namespace_is_held_to_the_bounds_of_the_configuration() {
    let config = config("redis://host");
    for namespace in ["", "with space", &"n".repeat(65)] {
        let expected = check_namespace("namespace", namespace).unwrap_err().to_string();
        assert_eq!(RedisStore::new(&config, namespace).unwrap_err().to_string(), expected);
    }
    assert!(RedisStore::new(&config, "Team-1:search_v2.x").is_ok());
}

#[test]
fn outside_a_runtime_every_call_is_unavailable_at_once() {
    use futures_util::FutureExt as _;

    let store = RedisStore::new(&config("redis://127.0.0.1:1"), "tqc").unwrap();
    let key = Key::from_bytes([1; 32]);
    let set = store.set(&key, Bytes::new(), Duration::from_secs(1)).now_or_never();
    assert!(matches!(store.get(&key).now_or_never(), Some(Err(StoreError::Unavailable))));
    assert!(matches!(set, Some(Err(StoreError::Unavailable))));
    assert!(matches!(store.ready().now_or_never(), Some(Err(StoreError::Unavailable))));
    assert!(matches!(store.status().now_or_never(), Some(Err(StoreError::Unavailable))));
}

#[test]
fn a_server_error_is_told_by_its_code_alone() {
    assert_eq!(failure::server("OOM").to_string(), "server: OOM: the server's memory is full");
    for code in ["", "hunter2", "'hunter2',", "AVERYLONGCODETHATMAYBEASECRET"] {
        assert_eq!(failure::server(code).to_string(), "server: ERR: the server refuses the command");
    }
}
