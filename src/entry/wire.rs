//! Numbers and byte strings in a buffer, little-endian, bounds-checked.

use bytes::{Buf, Bytes};

/// The bytes end too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short;

/// Reads from the front of a shared buffer. What it gives are slices of the buffer.
#[derive(Debug)]
pub(super) struct Reader {
    rest: Bytes,
}

impl Reader {
    /// Reads all of `rest`.
    pub(super) fn new(rest: Bytes) -> Self {
        Self { rest }
    }

    /// Bytes not read yet.
    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    /// The next `length` bytes, shared.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Bytes, Short> {
        if length > self.rest.len() {
            return Err(Short);
        }
        Ok(self.rest.split_to(length))
    }

    /// A fixed number of bytes, copied.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let array = *self.rest.first_chunk::<N>().ok_or(Short)?;
        self.rest.advance(N);
        Ok(array)
    }

    /// One byte.
    pub(super) fn u8(&mut self) -> Result<u8, Short> {
        self.array().map(u8::from_le_bytes)
    }

    /// Two bytes.
    pub(super) fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub(super) fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub(super) fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_le_bytes)
    }
}
