//! The keys that values are sealed and encrypted by.

use std::fmt;

use crate::error::ConfigError;

/// Keys that a ring has at most. A rotation needs two.
const MAX_KEYS: usize = 8;

const ACCEPTED: &str = "1 to 8 different keys of 64 hexadecimal digits, one a line, the one that writes first; lines with `#` are \
                        comments";

/// A secret of 256 bits, such as 32 bytes of `/dev/urandom`. `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// These bytes. They must be random: a password isn't.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key that 64 hexadecimal digits spell, as `openssl rand -hex 32` prints one.
    ///
    /// # Errors
    ///
    /// The text is anything else. It isn't part of the error.
    pub fn from_hex(text: &str) -> Result<Self, ConfigError> {
        Self::read(text).ok_or_else(|| error("a secret key", "isn't 64 hexadecimal digits".to_owned()))
    }

    fn read(text: &str) -> Option<Self> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if !rest.is_empty() || pairs.len() != bytes.len() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }

    /// A key for one use. What becomes known of one says nothing of the others.
    pub(super) fn derive(&self, context: &str) -> [u8; 32] {
        blake3::derive_key(context, &self.0)
    }
}

/// Without the secret.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").finish_non_exhaustive()
    }
}

/// Keys in their order: the first writes, all read. `Debug` shows how many there are.
///
/// A value names the key that wrote it by 64 bits of a hash, so keys need no names of their own. To change a key without
/// a cold start, let every process read the new one before any writes it:
///
/// 1. deploy `[old, new]`,
/// 2. then `[new, old]`,
/// 3. and, once the longest life of an entry has gone by, `[new]`.
///
/// ```
/// use tower_query_cache::KeyRing;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let file = std::env::temp_dir().join(format!("seal-keys-{}", std::process::id()));
/// # std::fs::write(&file, "# 2026-11\n".to_owned() + &"5a".repeat(32) + "\n" + &"c3".repeat(32) + "\n")?;
/// let keys = KeyRing::parse(&std::fs::read_to_string(&file)?)?;
/// # std::fs::remove_file(&file)?;
/// assert_eq!(format!("{keys:?}"), "KeyRing { keys: 2, .. }");
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRing(Vec<SecretKey>);

impl KeyRing {
    /// A ring of one key, which writes and reads.
    #[must_use]
    pub fn new(writes: SecretKey) -> Self {
        Self(vec![writes])
    }

    /// One more key that is read.
    #[must_use]
    pub fn reads(mut self, key: SecretKey) -> Self {
        self.0.push(key);
        self
    }

    /// The keys that a text has, such as that of a file: one a line, as [`SecretKey::from_hex`] reads them, the one that
    /// writes first. Empty lines and those that begin with `#` don't count.
    ///
    /// # Errors
    ///
    /// The number of the first line that isn't a key, or how many keys there are, if none or over eight; or that two are
    /// the same. No line is part of the error.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut keys = Vec::new();
        for (number, line) in (1_usize..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = SecretKey::read(line)
                .ok_or_else(|| error("a key ring", format!("line {number} isn't 64 hexadecimal digits")))?;
            keys.push(key);
        }
        let ring = Self(keys);
        ring.check("a key ring")?;
        Ok(ring)
    }

    /// Whether it can be used.
    pub(super) fn check(&self, name: &'static str) -> Result<(), ConfigError> {
        let count = self.0.len();
        if !(1..=MAX_KEYS).contains(&count) {
            return Err(error(name, format!("{count} keys")));
        }
        let twice =
            self.0.iter().enumerate().any(|(at, key)| self.0.iter().skip(at + 1).any(|other| other == key));
        if twice { Err(error(name, "a key is there twice".to_owned())) } else { Ok(()) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SecretKey> {
        self.0.iter()
    }
}

/// Without the secrets.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.0.len()).finish_non_exhaustive()
    }
}

fn error(name: &'static str, problem: String) -> ConfigError {
    ConfigError::Value { name: name.into(), problem, accepted: ACCEPTED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_never_shown() {
        let hex = "000102030405060708090a0B0C0D0E0F101112131415161718191a1b1c1d1e1f";
        let key = SecretKey::new(std::array::from_fn(|place| place as u8));
        assert_eq!(SecretKey::from_hex(hex).unwrap(), key);
        let other = "ff".repeat(32);
        let ring = KeyRing::parse(&format!("# a comment\n\n  {hex} \n{other}\r\n")).unwrap();
        assert_eq!(ring, KeyRing::new(key.clone()).reads(SecretKey::new([0xff; 32])));
        let shown = format!("{key:?} {ring:?}");
        assert_eq!(shown, "SecretKey { .. } KeyRing { keys: 2, .. }");
    }

    #[test]
    fn what_is_no_ring_is_told_without_the_secret() {
        let good = "ab".repeat(32);
        for (text, problem) in [
            (String::new(), "0 keys"),
            ("# none".to_owned(), "0 keys"),
            (format!("{good}\nsecret"), "line 2 isn't 64 hexadecimal digits"),
            (good[1..].to_owned(), "line 1 isn't"),
            (format!("{good}00"), "line 1 isn't"),
            (good.replace('a', "g"), "line 1 isn't"),
            (good.replace('a', "+"), "line 1 isn't"),
            (format!("{good}\n{good}"), "a key is there twice"),
            ((0..9).map(|number| format!("{number:064x}\n")).collect(), "9 keys"),
        ] {
            let told = KeyRing::parse(&text).unwrap_err().to_string();
            assert!(told.starts_with("a key ring: ") && told.contains(problem), "{told}");
            assert!(!told.contains("secret") && !told.contains(&good[1..]), "{told}");
        }
        let told = SecretKey::from_hex("hunter2").unwrap_err().to_string();
        assert!(!told.contains("hunter2"), "{told}");
        assert!(KeyRing::new(SecretKey([1; 32])).reads(SecretKey([1; 32])).check("seal").is_err());
    }
}
