//! TLS: the files that the configuration names, and its errors in our words.
//!
//! redis-rs makes rustls's configuration anew for each connect. What can be wrong with the files is found when the store
//! is made, so that a connect fails for what the server does alone, and no connect reads a file on the runtime's threads:
//! the system's authorities are handed to redis-rs like one's own.

use std::error;
use std::fs::{File, metadata};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deadpool_redis::redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, RedisError, TlsCertificates,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};

use crate::config::{RedisConfig, invalid};
use crate::error::ConfigError;

/// The longest file that is read, bytes; a system's whole list of authorities has a quarter of it.
const MAX_FILE: u64 = 1 << 20;

const CERTIFICATES: &str = "the path of a PEM file of certificates, at most 1 MiB";
const KEY: &str = "the path of a PEM file with the private key of `redis.tls_cert`, not encrypted";
const URL: &str = "a rediss:// URL, and a crypto provider of rustls with TLS 1.2 or 1.3";

/// `server` with what the files of `config` hold, if it is one to be spoken to over TLS.
///
/// # Errors
///
/// The field whose file can't be read or used. No text has anything of what is in a file.
pub(super) fn prepare(server: ConnectionInfo, config: &RedisConfig) -> Result<ConnectionInfo, ConfigError> {
    if !matches!(server.addr(), ConnectionAddr::TcpTls { .. }) {
        return Ok(server);
    }
    // NOTE: redis-rs takes the default, and rustls panics where it can't choose one itself.
    if CryptoProvider::get_default().is_none() {
        // Who was faster has chosen one.
        ring::default_provider().install_default().ok();
    }
    let own = config.tls_ca.as_deref().map(|path| read("redis.tls_ca", path, CERTIFICATES)).transpose()?;
    let client_tls = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig {
            client_cert: read("redis.tls_cert", cert, CERTIFICATES)?,
            client_key: read("redis.tls_key", key, KEY)?,
        }),
        _ => None,
    };
    check(own.as_deref(), client_tls.as_ref())?;
    let root_cert = own.or_else(system);
    let client = Client::build_with_tls(server, TlsCertificates { client_tls, root_cert })
        .map_err(|error| invalid("redis.url", error.category().to_owned(), URL))?;
    Ok(client.get_connection_info().clone())
}

/// The system's authorities in PEM. Where it has none redis-rs takes those that Mozilla trusts, as of its build.
fn system() -> Option<Vec<u8>> {
    let mut pem = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // redis-rs takes all or none.
        if RootCertStore::empty().add(certificate.clone()).is_ok() {
            pem.push_str("-----BEGIN CERTIFICATE-----\n");
            STANDARD.encode_string(&certificate, &mut pem);
            pem.push_str("\n-----END CERTIFICATE-----\n");
        }
    }
    (!pem.is_empty()).then(|| pem.into_bytes())
}

/// The bytes of a file. Pipes and devices may never end, and aren't read.
fn read(name: &'static str, path: &Path, accepted: &'static str) -> Result<Vec<u8>, ConfigError> {
    let problem = |problem: &str| invalid(name, problem.to_owned(), accepted);
    let unreadable = |error: io::Error| problem(&format!("can't be read: {}", error.kind()));
    if !metadata(path).map_err(unreadable)?.is_file() {
        return Err(problem("isn't a file"));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    match u64::try_from(bytes.len()) {
        Ok(0..=MAX_FILE) => Ok(bytes),
        _ => Err(problem("over 1 MiB long")),
    }
}

/// Makes of the files what redis-rs will make of them.
fn check(root_cert: Option<&[u8]>, client: Option<&ClientTlsConfig>) -> Result<(), ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in root_cert.map(|pem| certificates("redis.tls_ca", pem)).transpose()?.unwrap_or_default()
    {
        roots.add(certificate).map_err(|_| {
            invalid("redis.tls_ca", "holds a certificate that can't be read".to_owned(), CERTIFICATES)
        })?;
    }
    let provider = CryptoProvider::get_default().cloned();
    let config =
        ClientConfig::builder_with_provider(provider.unwrap_or_else(|| Arc::new(ring::default_provider())))
            .with_safe_default_protocol_versions()
            .map_err(|_| invalid("redis.url", "the crypto provider lacks TLS".to_owned(), URL))?
            .with_root_certificates(roots);
    let Some(client) = client else { return Ok(()) };
    let chain = certificates("redis.tls_cert", &client.client_cert)?;
    let unusable = |problem: &str| invalid("redis.tls_key", problem.to_owned(), KEY);
    let key = PrivateKeyDer::from_pem_slice(&client.client_key)
        .map_err(|_| unusable("isn't PEM with a private key"))?;
    match config.with_client_auth_cert(chain, key) {
        Ok(_) => Ok(()),
        Err(Error::InconsistentKeys(_)) => {
            Err(unusable("isn't the key of the certificate in `redis.tls_cert`"))
        }
        Err(Error::InvalidCertificate(_)) => {
            Err(invalid("redis.tls_cert", "holds a certificate that can't be read".to_owned(), CERTIFICATES))
        }
        Err(_) => Err(unusable("is of a kind that can't be used")),
    }
}

/// The certificates of a PEM file, of which there must be one.
fn certificates(name: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(invalid(name, "isn't PEM with a certificate".to_owned(), CERTIFICATES)),
    }
}

/// What went wrong, if `error` is one of TLS: a fixed text, so that a failure is told once for as long as it lasts.
/// rustls's own have the time in them, and names from certificates.
pub(super) fn explain(error: &RedisError) -> Option<&'static str> {
    use AlertDescription as Alert;
    use CertificateError as Certificate;

    let shared: &Arc<dyn error::Error + Send + Sync> = error::Error::source(error)?.downcast_ref()?;
    let error: &io::Error = shared.downcast_ref()?;
    Some(match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(problem) => match problem {
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                "TLS: the server's certificate has expired"
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                "TLS: the server's certificate isn't valid yet"
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "TLS: the server's certificate is for another name"
            }
            Certificate::UnknownIssuer | Certificate::BadSignature => {
                "TLS: the server's certificate is from an authority that isn't trusted"
            }
            _ => "TLS: the server's certificate can't be verified",
        },
        Error::AlertReceived(Alert::CertificateRequired) => "TLS: the server asks for a client certificate",
        Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => "TLS: the server refuses the client certificate",
        Error::InvalidMessage(_) => "TLS: the server doesn't speak TLS",
        _ => "TLS: the handshake failed",
    })
}
