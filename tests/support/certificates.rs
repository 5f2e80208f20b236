//! Certificates, made for a test and gone with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::RedisServer;

/// Counts authorities, so that each has a directory of its own.
static AUTHORITIES: AtomicU32 = AtomicU32::new(0);

/// An authority, whose own certificate is in `ca.pem` of its directory. Dropped, it takes its directory away.
pub struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// An authority that nobody trusts yet.
    pub fn new() -> Self {
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("tower-query-cache-ca-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for certificates");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(directory.join("ca.pem"), certificate.pem()).unwrap();
        Self { directory, issuer: Issuer::new(params, key) }
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A server that shows this certificate, and takes those of this authority.
    pub fn server(&self, shown: &Files, args: &[&str]) -> RedisServer {
        RedisServer::with_tls([&shown.cert, &shown.key, &self.ca()], args)
    }

    /// The file with its own certificate.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// A certificate for a host, which clients may show too, good for centuries.
    pub fn issue(&self, host: &str) -> Files {
        self.issue_until(host, 4096)
    }

    /// A certificate that is good until the first of January of `year`.
    pub fn issue_until(&self, host: &str, year: i32) -> Files {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |kind: &str| self.directory.join(format!("{host}-{year}.{kind}.pem"));
        let files = Files { cert: file("cert"), key: file("key") };
        std::fs::write(&files.cert, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
