//! Blake3 over key material.

use std::sync::LazyLock;

use blake3::Hasher;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

use super::Key;
use super::material::{Domain, Sink};

/// Separates these digests from every other use of blake3. The version is that of the framing.
const CONTEXT: &str = "tower-query-cache v1 key material";

/// Hashed once: in derive-key mode the context costs a whole hash of its own.
static CONTEXT_KEY: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context(CONTEXT));

/// Bytes collected before the hasher gets them. Frames are small, and the hasher is faster on few large
/// pieces; the material of most requests fits.
const BUFFER: usize = 256;

/// A sink that hashes, without heap. It has no `Debug`: what it holds may be a credential.
pub(crate) struct Digest {
    hasher: Hasher,
    buffer: [u8; BUFFER],
    used: usize,
}

impl Digest {
    /// A hasher that has taken nothing.
    pub(crate) fn new() -> Self {
        Self { hasher: Hasher::new_from_context_key(&CONTEXT_KEY), buffer: [0; BUFFER], used: 0 }
    }

    /// The digest of all that was put.
    pub(crate) fn finish(&mut self) -> Key {
        self.flush();
        Key::from_bytes(*self.hasher.finalize().as_bytes())
    }

    fn flush(&mut self) {
        self.hasher.update(self.buffer.get(..self.used).unwrap_or_default());
        self.used = 0;
    }
}

/// The key of the part that is stored of a resource.
pub(super) fn part(primary: &Key) -> Key {
    let mut digest = Digest::new();
    digest.put(&[Domain::Part as u8]);
    digest.put(primary.as_bytes());
    digest.finish()
}

impl Sink for Digest {
    fn put(&mut self, bytes: &[u8]) {
        if bytes.len() > BUFFER - self.used {
            self.flush();
        }
        match self.buffer.get_mut(self.used..self.used + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.used += bytes.len();
            }
            // Longer than the whole buffer, which is empty now.
            None => {
                self.hasher.update(bytes);
            }
        }
    }
}
