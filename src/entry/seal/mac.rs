//! Sealed values: a keyed blake3 over name, header and record.
//!
//! What a record is about (its key's digest and its tags, which are hashes that anybody can make) is masked by blake3's output
//! under a second key and the MAC, so that whoever reads the store can't test guesses of URLs by it. Together with the MAC
//! this is SIV, a deterministic authenticated encryption (Rogaway and Shrimpton, EUROCRYPT 2006); the rest of the record
//! stays readable.

use blake3::Hasher;
use bytes::{Bytes, BytesMut};

use super::{HEADER, Header, SecretKey};
use crate::entry::codec::{MAX_TAGS, PREAMBLE};
use crate::key::Key;

/// Bytes of a record that are masked: its preamble and tags, and where those are fewer, some of what follows.
const MASKED: usize = PREAMBLE + 8 * MAX_TAGS;

/// Length of a MAC.
const MAC: usize = 32;

pub(super) struct Mac {
    mac: [u8; 32],
    mask: [u8; 32],
}

impl Mac {
    pub(super) const FLAG: u8 = 1;

    pub(super) fn new(key: &SecretKey) -> Self {
        Self {
            mac: key.derive("tower-query-cache v1 seal"),
            mask: key.derive("tower-query-cache v1 seal mask"),
        }
    }

    pub(super) fn close(&self, name: &Key, header: &Header, record: &[u8]) -> Option<Bytes> {
        let mut value = Vec::with_capacity(HEADER + record.len() + MAC);
        value.extend_from_slice(header);
        value.extend_from_slice(record);
        let mac = self.mac(name, header, record);
        self.mask(mac.as_bytes(), value.get_mut(HEADER..)?);
        value.extend_from_slice(mac.as_bytes());
        Some(value.into())
    }

    pub(super) fn open(&self, name: &Key, header: &Header, mut content: BytesMut) -> Option<Bytes> {
        let mac: [u8; MAC] = *content.last_chunk()?;
        content.truncate(content.len() - MAC);
        self.mask(&mac, &mut content);
        // In constant time.
        (self.mac(name, header, &content) == mac).then(|| content.freeze())
    }

    fn mac(&self, name: &Key, header: &Header, record: &[u8]) -> blake3::Hash {
        Hasher::new_keyed(&self.mac).update(name.as_bytes()).update(header).update(record).finalize()
    }

    /// Masks, and takes the mask away again.
    fn mask(&self, mac: &[u8], record: &mut [u8]) {
        let mut stream = [0; MASKED];
        Hasher::new_keyed(&self.mask).update(mac).finalize_xof().fill(&mut stream);
        record.iter_mut().zip(stream).for_each(|(byte, mask)| *byte ^= mask);
    }
}
