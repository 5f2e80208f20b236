//! Files that can't be used are errors when the handle is built, which name the field and nothing of the content.

use std::path::{Path, PathBuf};
use std::process::Command;

use tower_query_cache::{QueryCache, RedisConfig};

use crate::support::certificates::Authority;
use crate::{HOST, showing, trusting};

const URL: &str = "rediss://127.0.0.1:1";

fn refusal(config: RedisConfig) -> String {
    let text = QueryCache::builder().redis(config).build().unwrap_err().to_string();
    assert!(!text.contains("s3cret") && !text.contains("BEGIN") && text.lines().count() == 1, "{text}");
    assert!(text.contains("; accepted: "), "{text}");
    println!("{text}");
    text
}

fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn each_file_is_named_and_none_is_quoted() {
    let authority = Authority::new();
    let directory = authority.directory();
    let good = showing(&authority.issue("client"), trusting(&authority, URL.to_owned()));
    assert!(QueryCache::builder().redis(good.clone()).build().is_ok());

    let pipe = directory.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let broken = "-----BEGIN CERTIFICATE-----\ns3cret!\n-----END CERTIFICATE-----\n";
    let junk = "-----BEGIN CERTIFICATE-----\nczNjcmV0\n-----END CERTIFICATE-----\n";
    let junk_key = "-----BEGIN PRIVATE KEY-----\nczNjcmV0\n-----END PRIVATE KEY-----\n";
    let cases = [
        (directory.join("missing"), "can't be read: entity not found"),
        (directory.to_owned(), "isn't a file"),
        (pipe, "isn't a file"),
        ("/dev/zero".into(), "isn't a file"),
        (broken.into(), "can't be read: "),
        (write(directory, "long", vec![b'\n'; (1 << 20) + 1]), "over 1 MiB long"),
        (write(directory, "empty", ""), "isn't PEM with a"),
        (write(directory, "text", "s3cret"), "isn't PEM with a"),
        (write(directory, "bytes", [0xff; 99]), "isn't PEM with a"),
        (write(directory, "broken", broken), "isn't PEM with a"),
    ];
    for (path, problem) in cases {
        for field in ["tls_ca", "tls_cert", "tls_key"] {
            let mut config = good.clone();
            match field {
                "tls_ca" => config.tls_ca = Some(path.clone()),
                "tls_cert" => config.tls_cert = Some(path.clone()),
                _ => config.tls_key = Some(path.clone()),
            }
            let text = refusal(config);
            assert!(text.starts_with(&format!("redis.{field}: {problem}")), "{text}");
        }
    }

    let mut config = good.clone();
    config.tls_ca = Some(write(directory, "junk", junk));
    assert!(refusal(config).starts_with("redis.tls_ca: holds a certificate that can't be read"));
    let mut config = good.clone();
    config.tls_cert = Some(write(directory, "junk", junk));
    assert!(refusal(config).starts_with("redis.tls_cert: holds a certificate that can't be read"));
    let mut config = good.clone();
    config.tls_key = Some(write(directory, "junk-key", junk_key));
    assert!(refusal(config).starts_with("redis.tls_key: is of a kind that can't be used"));
    let mut config = good;
    config.tls_key = Some(authority.issue(HOST).key);
    assert!(
        refusal(config).starts_with("redis.tls_key: isn't the key of the certificate in `redis.tls_cert`")
    );
}
