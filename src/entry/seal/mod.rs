//! Values that only those who have a key can make, or read; and names that tell nothing.
//!
//! ```text
//! magic "TQCE", version u8, 0, flags u8, key id [8]
//! flag 1, sealed:    the record, its first 352 bytes masked; MAC [32]
//! flag 2, encrypted: nonce [24], the record encrypted, tag [16]
//! ```
//!
//! The name that a value stands under, and what stands before the record here, count for the MAC and the tag: a value that is
//! moved to another name is as good as a changed one. Both come last, so the end of a value changes with what is in it.
//!
//! The id of a key is a hash of it. So a value under an unknown id is another's, and is left alone; one under a known id that
//! doesn't verify was damaged or forged, and is removed. A handle reads what it would write: nothing unsealed where it
//! seals, nothing sealed where it encrypts.

#[cfg(feature = "encrypt")]
mod cipher;
mod keys;
mod mac;

pub use self::keys::{KeyRing, SecretKey};

use bytes::{Bytes, BytesMut};

#[cfg(feature = "encrypt")]
use self::cipher::Cipher;
use self::mac::Mac;
use super::DecodeError;
use super::codec::{MAGIC, VERSION};
use crate::error::ConfigError;
use crate::key::Key;
use crate::store::StoreError;

/// In the place of a record's kind.
const KIND: u8 = 0;

/// Magic, version, kind, flags, id of the key.
const HEADER: usize = 4 + 1 + 1 + 1 + ID;

/// The id of a key, bytes.
const ID: usize = 8;

/// Makes the id of a key from it.
const ID_CONTEXT: &str = "tower-query-cache v1 key id";

/// Makes the key of the names.
const NAMES_CONTEXT: &str = "tower-query-cache v1 names";

type Header = [u8; HEADER];

/// How the values of a handle are kept from others.
#[derive(Default)]
pub(crate) struct SealConfig {
    /// What values are sealed by, and names hidden.
    pub(crate) seal: Option<(KeyRing, SecretKey)>,
    /// What values are encrypted by.
    #[cfg(feature = "encrypt")]
    pub(crate) encrypt: Option<KeyRing>,
}

/// Seals, and opens what was sealed.
pub(crate) struct Seals {
    names: Option<[u8; 32]>,
    keys: Vec<(Header, Scheme)>,
}

enum Scheme {
    Sealed(Mac),
    #[cfg(feature = "encrypt")]
    Encrypted(Box<Cipher>),
}

impl Seals {
    /// As the settings say; `None`: values and names are plain.
    ///
    /// # Errors
    ///
    /// A ring with too many keys, or one twice.
    pub(crate) fn new(config: &SealConfig) -> Result<Option<Self>, ConfigError> {
        let names = config.seal.as_ref().map(|(_, names)| names.derive(NAMES_CONTEXT));
        if let Some((ring, _)) = &config.seal {
            ring.check("seal")?;
        }
        #[cfg(feature = "encrypt")]
        if let Some(ring) = &config.encrypt {
            ring.check("encrypt")?;
            let key = |key| (header(Cipher::FLAG, key), Scheme::Encrypted(Box::new(Cipher::new(key))));
            return Ok(Some(Self { names, keys: ring.iter().map(key).collect() }));
        }
        Ok(config.seal.as_ref().map(|(ring, _)| Self {
            names,
            keys: ring.iter().map(|key| (header(Mac::FLAG, key), Scheme::Sealed(Mac::new(key)))).collect(),
        }))
    }

    /// What a key is called in the store.
    pub(crate) fn name(&self, key: &Key) -> Key {
        match &self.names {
            Some(secret) => Key::from_bytes(*blake3::keyed_hash(secret, key.as_bytes()).as_bytes()),
            None => *key,
        }
    }

    /// The value that stands for a record under `name`.
    ///
    /// # Errors
    ///
    /// There are no random numbers, or the record is too long for the cipher.
    pub(crate) fn close(&self, name: &Key, record: &[u8]) -> Result<Bytes, StoreError> {
        let closed = self.keys.first().and_then(|(header, scheme)| match scheme {
            Scheme::Sealed(mac) => mac.close(name, header, record),
            #[cfg(feature = "encrypt")]
            Scheme::Encrypted(cipher) => cipher.close(name, header, record),
        });
        closed.ok_or_else(|| StoreError::Unsupported("a value couldn't be encrypted".to_owned()))
    }

    /// The record that a value under `name` stands for. Changed where it lies, if nobody else has it.
    pub(crate) fn open(&self, name: &Key, value: Bytes) -> Result<Bytes, DecodeError> {
        let Some(header) = value.first_chunk::<HEADER>() else { return Err(short(&value)) };
        if !header.starts_with(&MAGIC) {
            return Err(DecodeError::Corrupt);
        }
        let Some((header, scheme)) = self.keys.iter().find(|(known, _)| known == header) else {
            return Err(DecodeError::Foreign);
        };
        let mut value = value.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let content = value.split_off(HEADER);
        let opened = match scheme {
            Scheme::Sealed(mac) => mac.open(name, header, content),
            #[cfg(feature = "encrypt")]
            Scheme::Encrypted(cipher) => cipher.open(name, header, content),
        };
        opened.ok_or(DecodeError::Corrupt)
    }
}

/// What a value is that is too short for a header.
fn short(value: &[u8]) -> DecodeError {
    let versioned = value.strip_prefix(&MAGIC).and_then(<[u8]>::first);
    if versioned.is_some_and(|version| *version != VERSION) {
        DecodeError::Foreign
    } else {
        DecodeError::Corrupt
    }
}

fn header(flag: u8, key: &SecretKey) -> Header {
    let [a, b, c, d] = MAGIC;
    let [i, j, k, l, m, n, o, p, ..] = key.derive(ID_CONTEXT);
    [a, b, c, d, VERSION, KIND, flag, i, j, k, l, m, n, o, p]
}

#[cfg(test)]
mod tests;
