use std::time::Duration;

use http::Method;

use super::*;
use crate::policy::{BodyKey, Bypass};

const FILE: &str = r#"{"routes": [
    {"path": "/v1/items/{id}", "policy": {"ttl": 300, "negative_ttl": {"404": 0.5}}},
    {"path": "/v1/search", "policy": {"ttl": 60, "methods": ["POST"], "key_body": 1024}},
    {"path": "/v1/plain"}
]}"#;

/// The pattern and the TTL of a policy.
type Found = (Option<String>, Option<Duration>);

fn resolve<K>(routes: &Routes<K>) -> Result<Table<Found>, PolicyError> {
    routes.resolve(|pattern, config, _| Ok((pattern.map(str::to_owned), config.ttl)))
}

#[test]
fn a_file_becomes_a_table() {
    let config: RoutesConfig = serde_json::from_str(FILE).unwrap();
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<RoutesConfig>(&json).unwrap(), config);

    let table = resolve(&Routes::<BodyKey>::from_config(config).unwrap()).unwrap();
    let ttl = |path, method| table.find(path, &method).map(|(_, ttl)| ttl.map(|ttl| ttl.as_secs()));
    assert_eq!(ttl("/v1/items/7", Method::GET), Ok(Some(300)));
    assert_eq!(ttl("/v1/search", Method::POST), Ok(Some(60)));
    assert_eq!(ttl("/v1/search", Method::GET), Err(Bypass::Method));
    assert_eq!(ttl("/v1/plain", Method::HEAD), Ok(None));
    assert_eq!(ttl("/v1", Method::GET), Err(Bypass::NoRoute));
}

#[test]
fn a_table_of_head_keys_refuses_a_keyed_body() {
    let error = Routes::<HeadKey>::from_config(serde_json::from_str(FILE).unwrap()).unwrap_err().to_string();
    assert!(error.contains("`/v1/search`") && error.contains("`key_body`"), "{error}");
}

#[test]
fn unknown_fields_of_a_file_are_named() {
    for (json, named) in [
        (r#"{"routes": [], "version": 1}"#, "version"),
        (r#"{"routes": [{"path": "/", "ttl": 1}]}"#, "ttl"),
        (r#"{"routes": [{"path": "/", "policy": {"tttl": 1}}]}"#, "tttl"),
        (r#"{"routes": [{"policy": {}}]}"#, "path"),
        ("{}", "routes"),
    ] {
        let error = serde_json::from_str::<RoutesConfig>(json).unwrap_err().to_string();
        assert!(error.contains(named), "{json}: {error}");
    }
}

#[test]
fn a_single_policy_is_for_everything_that_has_no_other() {
    let single = Routes::from(Policy::ttl(Duration::from_secs(1)));
    let table = resolve(&single).unwrap();
    assert_eq!(table.find("*", &Method::PUT), Ok(&(None, Some(Duration::from_secs(1)))));

    let table = resolve(&single.route("/a", Policy::ttl(Duration::from_secs(2)))).unwrap();
    assert_eq!(table.find("/a", &Method::GET), Ok(&(Some("/a".to_owned()), Some(Duration::from_secs(2)))));
    assert_eq!(table.find("/a", &Method::PUT), Err(Bypass::Method));
    assert_eq!(table.find("/b", &Method::GET), Ok(&(None, Some(Duration::from_secs(1)))));
}

#[test]
fn an_error_says_which_route_it_is_about() {
    let routes = Routes::new().route("/a", Policy::ttl(Duration::ZERO));
    let made =
        routes.resolve(|_, config, hooks| crate::policy::Rules::new(config, hooks, Duration::from_secs(1)));
    let error = made.map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("route `/a`: policy field `ttl`: "), "{error}");
    assert!(resolve(&Routes::<HeadKey>::new()).is_err(), "an empty table caches nothing");
}
