//! URLs that ask for TLS, and the files that go with them.

use super::*;

#[cfg(not(feature = "tls"))]
#[test]
fn what_asks_for_tls_names_the_missing_feature() {
    for url in ["rediss://u:s3cret@h", "rediss://", "rediss://h#insecure"] {
        assert_eq!(error(&[("REDIS_URL", url)]), "REDIS_URL needs the crate feature `tls`");
    }
    #[cfg(feature = "redis")]
    for field in ["tls_ca", "tls_cert", "tls_key"] {
        let config: CacheConfig =
            serde_json::from_value(json!({"redis": {"url": "redis://h", field: "x.pem"}})).unwrap();
        let expected = format!("redis.{field} needs the crate feature `tls`");
        assert_eq!(config.validate().unwrap_err().to_string(), expected);
    }
}

#[cfg(feature = "tls")]
#[test]
fn certificates_cannot_be_left_unverified() {
    assert!(from(&[("REDIS_URL", "rediss://u:s3cret@h:6380/1?protocol=resp3")]).is_ok());
    for url in ["rediss://u:s3cret@h#insecure", "rediss://h#", "rediss://h/#x", "rediss://:a#s3cret@h"] {
        let text = error(&[("REDIS_URL", url)]);
        assert!(text.contains("there is no `#insecure`: certificates are always verified"), "{text}");
        assert!(!text.contains("s3cret") && !format!("{:?}", RedisConfig::new(url)).contains("s3cret"));
    }
}

#[cfg(feature = "tls")]
#[test]
fn files_for_tls_belong_together_and_to_a_url_that_asks_for_it() {
    let told = |redis: Value| {
        let config: CacheConfig = serde_json::from_value(json!({ "redis": redis })).unwrap();
        config.validate().map_err(|error| error.to_string())
    };
    let url = "rediss://h";
    assert_eq!(
        told(json!({"url": url, "tls_cert": "c.pem"})).unwrap_err(),
        "redis.tls_cert: `redis.tls_key` is missing; accepted: both or neither"
    );
    assert_eq!(
        told(json!({"url": url, "tls_key": "k.pem"})).unwrap_err(),
        "redis.tls_key: `redis.tls_cert` is missing; accepted: both or neither"
    );
    for field in ["tls_ca", "tls_cert", "tls_key"] {
        let text = told(json!({"url": "redis://h", field: "x.pem"})).unwrap_err();
        assert!(text.starts_with(&format!("redis.{field}: `redis.url` doesn't ask for TLS; ")), "{text}");
    }
    assert_eq!(told(json!({"url": url, "tls_ca": "a.pem", "tls_cert": "c.pem", "tls_key": "k.pem"})), Ok(()));
}

#[test]
fn debug_shows_no_key_that_stands_in_place_of_its_path() {
    let config = RedisConfig { tls_key: Some("-----BEGIN s3cret".into()), ..RedisConfig::default() };
    assert!(!format!("{config:?}").contains("s3cret"));
}
