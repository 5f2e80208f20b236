//! URLs of sentinels and of Clusters.

use deadpool_redis::redis::{ConnectionAddr, ConnectionInfo};

use super::*;
use crate::config::Servers;

fn servers(url: &str) -> Result<Servers, String> {
    RedisConfig::new(url).servers().map_err(|error| error.to_string())
}

/// Host and port, user, password, and database.
fn parts(info: &ConnectionInfo) -> (String, String, String, i64) {
    let settings = info.redis_settings();
    let place = match info.addr() {
        ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
        ConnectionAddr::TcpTls { host, port, insecure, .. } => format!("tls {host}:{port} {insecure}"),
        _ => "elsewhere".to_owned(),
    };
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    (place, text(settings.username()), text(settings.password()), settings.db())
}

fn of(place: &str, user: &str, password: &str, db: i64) -> (String, String, String, i64) {
    (place.to_owned(), user.to_owned(), password.to_owned(), db)
}

#[test]
fn a_cluster_is_named_by_any_number_of_its_nodes() {
    let nodes = |url: &str| match servers(url) {
        Ok(Servers::Cluster(nodes)) => nodes.iter().map(parts).collect::<Vec<_>>(),
        Ok(_) => panic!("{url}: no Cluster"),
        Err(error) => panic!("{url}: {error}"),
    };
    assert_eq!(nodes("redis-cluster://h"), [of("h:6379", "", "", 0)]);
    assert_eq!(
        nodes("redis-cluster://u:p%40ss@a:7000,[::1],b:7001/?protocol=resp3"),
        [of("a:7000", "u", "p@ss", 0), of("::1:6379", "u", "p@ss", 0), of("b:7001", "u", "p@ss", 0)]
    );
    assert_eq!(nodes("redis-cluster://a/0"), [of("a:6379", "", "", 0)]);
    for list in ["redis-cluster://:p@a,b,redis-cluster://:p@c", "redis://:p@a,redis://:p@b,redis://:p@c"] {
        assert_eq!(
            nodes(list),
            ["a", "b", "c"].map(|host| of(&format!("{host}:6379"), "", "p", 0)),
            "{list}"
        );
    }
    // A comma alone makes no list: passwords have had them.
    assert!(matches!(servers("redis://:a,b@h"), Ok(Servers::One(_))));
    #[cfg(feature = "tls")]
    assert_eq!(
        nodes("rediss-cluster://u:p@a,b:1"),
        [of("tls a:6379 false", "u", "p", 0), of("tls b:1 false", "u", "p", 0)]
    );
}

#[test]
fn sentinels_are_listed_with_the_name_of_their_master() {
    let read = |url: &str| match servers(url) {
        Ok(Servers::Sentinels { sentinels, master, server }) => {
            (sentinels.iter().map(parts).collect::<Vec<_>>(), master, parts(&server))
        }
        Ok(_) => panic!("{url}: no sentinels"),
        Err(error) => panic!("{url}: {error}"),
    };
    assert_eq!(
        read("redis-sentinel://a,b:1/mymaster"),
        (
            vec![of("a:26379", "", "", 0), of("b:1", "", "", 0)],
            "mymaster".to_owned(),
            of("a:6379", "", "", 0)
        )
    );
    let (sentinels, _, server) = read(
        "redis-sentinel://u:p@[::1],[::2]:5/m.-_9/3?sentinel_user=s&protocol=resp3&sentinel_password=a/b%40+c",
    );
    assert_eq!(sentinels, [of("::1:26379", "s", "a/b@+c", 0), of("::2:5", "s", "a/b@+c", 0)]);
    assert_eq!((server.1.as_str(), server.2.as_str(), server.3), ("u", "p", 3));
    #[cfg(feature = "tls")]
    {
        let place = |url: &str| read(url).0.remove(0).0;
        assert_eq!(place("rediss-sentinel://a/m"), "tls a:26379 false");
        assert_eq!(place("rediss-sentinel://a/m?sentinel_tls=false"), "a:26379");
        assert_eq!(read("rediss-sentinel://a/m?sentinel_tls=false").2.0, "tls a:6379 false");
    }
}

#[test]
fn a_list_that_cannot_be_meant_is_named_and_keeps_its_secrets() {
    let many = |scheme: &str, end: &str| format!("{scheme}://:s3cret@{}{end}", vec!["h"; 101].join(","));
    for (url, told) in [
        ("redis-cluster://:s3cret@h/1", "a Cluster has no database numbers"),
        ("redis-cluster://:s3cret@h/s3cret", "a Cluster has no database numbers"),
        ("redis://:s3cret@a/1,redis://:s3cret@b/1", "a Cluster has no database numbers"),
        ("redis-cluster://:s3cret@a,,b", "an empty host"),
        ("redis-cluster://:s3cret@", "an empty host"),
        ("redis-cluster://a,u:s3cret@b", "an `@` or `,` too many"),
        ("redis-cluster://u:s3cret@a,u:s3cret@b", "an `@` or `,` too many"),
        ("redis://:s3cret@a,redis://b", "users, passwords or protocols that differ"),
        ("redis-cluster://:s3cret@a#x", "a `#`, which must be written `%23`"),
        ("redis-cluster://:s3cret@a:port", "; accepted: "),
        ("redis-cluster://:s3cret@a?protocol=s3cret", "; accepted: "),
        (&many("redis-cluster", ""), "more than 100 hosts"),
        (&many("redis-sentinel", "/m"), "more than 100 hosts"),
        ("unix:///r.sock?pass=s3cret,unix:///s.sock", "a list of Unix sockets"),
        ("redis-sentinel://:s3cret@a", "no master's name"),
        ("redis-sentinel://:s3cret@a/", "no master's name"),
        ("redis-sentinel://:s3cret@a/s3cret%20x", "a master's name is of"),
        ("redis-sentinel://:s3cret@a/m,redis-sentinel://:s3cret@b/m", "several URLs of sentinels"),
        ("redis-sentinel://:s3cret@a/m/x", "; accepted: "),
        ("redis-sentinel://:s3cret@a/m/1/2", "; accepted: "),
        ("redis-sentinel://a/m?sentinel_user=s3cret", "`sentinel_user` without `sentinel_password`"),
        ("redis-sentinel://a/m?sentinel_pass=s3cret", "a parameter of sentinels other than"),
        ("redis-sentinel://a/m?sentinel_tls=true&sentinel_password=s3cret", "is for `rediss-sentinel` URLs"),
        ("redis-sentinel://a/m?sentinel_tls=s3cret", "neither `true` nor `false`"),
    ] {
        let text = error(&[("REDIS_URL", url)]);
        assert!(text.starts_with("REDIS_URL: ") && text.contains(told), "{url}: {text}");
        assert!(!text.contains("s3cret") && !text.contains(": ;") && text.lines().count() == 1, "{text}");
        let shown = format!("{:?}", RedisConfig::new(url));
        let path = url.contains("/s3cret");
        assert!(path || !shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn debug_shows_hosts_but_not_who() {
    let debug = |url: &str| format!("{:?}", RedisConfig::new(url));
    assert!(debug("redis-cluster://u:s3cret@a:1,b").contains(r#"url: "redis-cluster://…@a:1,b""#));
    let sentinels = debug("rediss-sentinel://u:s3cret@a,b/m/1?sentinel_password=s3cret");
    assert!(sentinels.contains(r#"url: "rediss-sentinel://…@a,b/m/1""#), "{sentinels}");
    for url in [
        "redis://u:s3cret@a,redis://u:s3cret@b",
        "redis-cluster://a,u:s3cret@b",
        "redis-cluster://u:s3/cret@b,c",
        "redis-sentinel://a,b/m?sentinel_password=s3cret",
    ] {
        assert!(!debug(url).contains("s3") && !debug(url).contains("cret@"), "{}", debug(url));
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn lists_over_tls_name_the_missing_feature() {
    for url in ["rediss-cluster://a,b", "rediss-sentinel://a/m"] {
        assert_eq!(error(&[("REDIS_URL", url)]), "REDIS_URL needs the crate feature `tls`");
    }
}

#[cfg(feature = "tls")]
#[test]
fn lists_over_tls_take_files_and_no_insecurity() {
    for url in ["rediss-cluster://a,b", "rediss-sentinel://a/m"] {
        let mut config = RedisConfig::new(url);
        config.tls_ca = Some("a.pem".into());
        assert_eq!(config.validate().map_err(|error| error.to_string()), Ok(()));
        let text = error(&[("REDIS_URL", &format!("{url}#insecure"))]);
        assert!(text.contains("there is no `#insecure`"), "{text}");
    }
    let mut config = RedisConfig::new("redis-cluster://a,b");
    config.tls_ca = Some("a.pem".into());
    assert!(config.validate().unwrap_err().to_string().contains("doesn't ask for TLS"));
}

proptest! {
    #[test]
    fn no_list_panics_or_shows_its_password(rest in "[a-z0-9:,@/?#=&%.-]{0,40}", which in 0..4_usize) {
        let scheme = ["redis", "redis-cluster", "redis-sentinel", "rediss-sentinel"][which];
        for url in [format!("{scheme}://{rest}"), format!("{scheme}://u:s3cret@{rest}"), format!("{scheme}://u:s3cret@{rest},{scheme}://{rest}")] {
            if let Err(error) = from(&[("REDIS_URL", &url)]) {
                prop_assert!(!error.to_string().contains("s3cret"), "{}", error);
                prop_assert_eq!(error.to_string().lines().count(), 1);
            }
            let shown = format!("{:?}", RedisConfig::new(url));
            prop_assert!(!shown.contains("s3cret"), "{}", shown);
        }
    }
}
