//! Keys: framed material, hashed to 256 bits.

mod body;
mod digest;
mod few;
mod json;
mod material;
mod number;
pub(crate) mod percent;
mod primary;
mod query;
mod rules;
mod vary;

#[cfg(test)]
mod tests;

pub(crate) use self::primary::{original_uri, original_uri_of, primary};
pub(crate) use self::rules::{Identity, KeyRules};
pub(crate) use self::vary::{MAX_FIELDS, variant, vary_fields};

use std::fmt;
use std::hash::{Hash, Hasher};

/// The 256-bit blake3 digest of a request's key material.
///
/// `Debug` shows the first four bytes only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// The digest itself.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key from a digest, such as one read back from a store.
    #[must_use]
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The key of the part that is stored of a resource with this primary key.
    pub(crate) fn part(&self) -> Self {
        digest::part(self)
    }

    /// The first 64 bits; as good as random, because blake3's output is.
    pub(crate) fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.prefix());
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Key({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}
