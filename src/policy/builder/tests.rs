use std::collections::BTreeMap;

use super::*;

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn full() -> Policy<BodyKey> {
    Policy::ttl(Duration::from_millis(1500))
        .methods([Method::POST])
        .max_body(10)
        .key_headers(["Accept"])
        .authority("search")
        .route("r")
        .label("l")
        .sort_query()
        .allow_query(["q"])
        .deny_query(["utm_*"])
        .negative_ttl(StatusCode::NOT_FOUND, Duration::from_secs(5))
        .override_ttl()
        .strip_credentials()
        .session_cookies(["sid"])
        .credential_fields(["x-a"])
        .per_request_fields(["x-b"])
        .honor_request_directives()
        .etag(Etag::Strong)
        .stale_while_revalidate(Duration::from_secs(1))
        .stale_if_error(Duration::from_secs(2))
        .keep_stale(Duration::from_secs(6))
        .targeted_fields(["x-c"])
        .refuse_set_cookie()
        .purge_on_unsafe()
        .error_throttle(Duration::from_secs(3))
        .soft_timeout(Duration::from_secs(4))
        .hard_timeout(Duration::from_secs(5))
        .refresh_ahead(0.5)
        .jitter(0.25)
        .lease(Duration::from_secs(4))
        .min_uses(3)
        .tags(["items", "item:{id}"])
        .tag_fields(["Cache-Tag"])
        .strict()
        .key_body(20)
        .canonical_json()
}

#[test]
fn every_method_writes_its_field() {
    let expected = PolicyConfig {
        preset: Preset::Ttl,
        ttl: Some(Duration::from_millis(1500)),
        override_ttl: true,
        negative_ttl: BTreeMap::from([(404, Duration::from_secs(5))]),
        methods: strings(&["POST"]),
        max_body: 10,
        key_body: Some(20),
        canonical_json: true,
        key_headers: strings(&["Accept"]),
        authority: Some("search".to_owned()),
        route: Some("r".to_owned()),
        label: Some("l".to_owned()),
        sort_query: true,
        allow_query: Some(strings(&["q"])),
        deny_query: strings(&["utm_*"]),
        credential_fields: Some(strings(&["x-a"])),
        strip_credentials: true,
        session_cookies: Some(strings(&["sid"])),
        per_request_fields: Some(strings(&["x-b"])),
        honor_request_directives: true,
        etag: Some(Etag::Strong),
        stale_while_revalidate: Some(Duration::from_secs(1)),
        stale_if_error: Some(Duration::from_secs(2)),
        keep_stale: Some(Duration::from_secs(6)),
        targeted_fields: strings(&["x-c"]),
        refuse_set_cookie: true,
        purge_on_unsafe: true,
        error_throttle: Some(Duration::from_secs(3)),
        soft_timeout: Some(Duration::from_secs(4)),
        hard_timeout: Some(Duration::from_secs(5)),
        refresh_ahead: Some(0.5),
        jitter: 0.25,
        lease: Some(Duration::from_secs(4)),
        min_uses: Some(3),
        tags: vec!["items".to_owned(), "item:{id}".to_owned()],
        tag_fields: vec!["Cache-Tag".to_owned()],
        strict: true,
    };
    assert_eq!(*full().config(), expected);
}

#[test]
fn data_comes_back_from_json_as_it_went() {
    for config in [PolicyConfig::default(), full().config().clone()] {
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<PolicyConfig>(&json).unwrap(), config, "{json}");
    }
    assert_eq!(serde_json::from_str::<PolicyConfig>("{}").unwrap(), PolicyConfig::default());
}

#[test]
fn a_preset_in_json_is_the_whole_preset() {
    let http = serde_json::from_str::<PolicyConfig>(r#"{"preset": "http"}"#).unwrap();
    assert_eq!(http, *Policy::http().config());
    assert_eq!((http.etag(), http.error_throttle()), (Etag::Off, Duration::ZERO));
    assert!(http.credential_fields().is_empty() && http.per_request_fields().is_empty());
    let ttl = PolicyConfig::default();
    assert_eq!((ttl.etag(), ttl.error_throttle()), (Etag::Weak, Duration::from_secs(1)));
    assert!(ttl.credential_fields().contains(&"authorization".to_owned()));
    assert!(ttl.per_request_fields().contains(&"server-timing".to_owned()));
}

#[test]
fn an_error_in_json_names_the_field() {
    for (json, named) in [
        (r#"{"tttl": 1}"#, "tttl"),
        (r#"{"ttl": -1}"#, "-1"),
        (r#"{"etag": "none"}"#, "none"),
        (r#"{"negative_ttl": {"x": 1}}"#, "x"),
    ] {
        let error = serde_json::from_str::<PolicyConfig>(json).unwrap_err().to_string();
        assert!(error.contains(named), "{json}: {error}");
    }
}

#[test]
fn a_keyed_body_needs_the_type_that_says_so() {
    let config = full().config().clone();
    let error = Policy::<HeadKey>::from_config(config.clone()).unwrap_err().to_string();
    assert!(error.contains("`key_body`"), "{error}");
    assert_eq!(*Policy::<BodyKey>::from_config(config.clone()).unwrap().config(), config);
    assert!(Policy::<HeadKey>::from_config(PolicyConfig::default()).is_ok());
}

#[test]
fn closures_outlive_clones_and_a_change_of_type() {
    let policy = Policy::default().cache_if(|_, _| true).store_if(|_, _| true).partition_by(|_| None);
    let hooks = policy.clone().key_body(1).hooks().clone();
    assert!(hooks.cache_if.is_some() && hooks.store_if.is_some() && hooks.partition_by.is_some());
}
