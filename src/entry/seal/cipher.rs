//! Encrypted values: XChaCha20-Poly1305 under a random nonce, with name and header as associated data.
//!
//! A nonce has 192 bits: 2^80 values under one key have less than one chance in 2^32 that two share one.

use bytes::{Bytes, BytesMut};
use chacha20poly1305::aead::Generate as _;
use chacha20poly1305::{AeadInOut as _, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};

use super::{HEADER, Header, SecretKey};
use crate::key::Key;

const NONCE: usize = 24;
const TAG: usize = 16;

/// Name and header.
const ASSOCIATED: usize = 32 + HEADER;

pub(super) struct Cipher(XChaCha20Poly1305);

impl Cipher {
    pub(super) const FLAG: u8 = 2;

    pub(super) fn new(key: &SecretKey) -> Self {
        Self(XChaCha20Poly1305::new(&key.derive("tower-query-cache v1 encrypt").into()))
    }

    pub(super) fn close(&self, name: &Key, header: &Header, record: &[u8]) -> Option<Bytes> {
        let nonce = XNonce::try_generate().ok()?;
        let mut value = Vec::with_capacity(HEADER + NONCE + record.len() + TAG);
        value.extend_from_slice(header);
        value.extend_from_slice(&nonce);
        value.extend_from_slice(record);
        let content = value.get_mut(HEADER + NONCE..)?;
        let tag = self.0.encrypt_inout_detached(&nonce, &associated(name, header), content.into()).ok()?;
        value.extend_from_slice(&tag);
        Some(value.into())
    }

    pub(super) fn open(&self, name: &Key, header: &Header, mut content: BytesMut) -> Option<Bytes> {
        let nonce: XNonce = content.first_chunk::<NONCE>().copied()?.into();
        let tag: Tag = content.last_chunk::<TAG>().copied()?.into();
        let length = content.len().checked_sub(NONCE + TAG)?;
        let mut record = content.split_off(NONCE);
        record.truncate(length);
        let associated = associated(name, header);
        self.0.decrypt_inout_detached(&nonce, &associated, record.as_mut().into(), &tag).ok()?;
        Some(record.freeze())
    }
}

fn associated(name: &Key, header: &Header) -> [u8; ASSOCIATED] {
    let mut both = [0; ASSOCIATED];
    both.iter_mut().zip(name.as_bytes().iter().chain(header)).for_each(|(to, from)| *to = *from);
    both
}
