//! The journal's entries on the wire: fields of a stream entry.
//!
//! ```text
//! v 1, n <nonce>, e <epoch>, t <tags> | s <tags>     a hard or a soft purge
//! v 1, n <nonce>, e <epoch>, i <server>              an epoch record, which begins one
//! v 1, n <nonce>, e <epoch>, r <server>              the same again, before the first is trimmed away
//! ```
//!
//! A nonce is 16 hexadecimal digits, an epoch 32, tags 16 each, one behind the other. The head key holds the newest entry's
//! nonce. A later version begins with its own `v` and has an `n` too: it counts as a purge of everything. All else is junk: somebody
//! else wrote it, and it is counted and ignored.

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::stamp::{Epoch, JournalId};
use super::tag::Tag;
use crate::store::JournalEntry;

/// Version of the format.
const VERSION: &[u8] = b"1";

/// Longest name of a server; Redis's have 81 bytes.
const LONGEST_SERVER: usize = 160;

/// Tags that one record has at most; a purge of more takes several.
pub(crate) const TAGS_PER_RECORD: usize = 128;

/// An entry as it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: JournalId,
    /// Tells the entry from another one with the same id.
    pub(crate) print: u64,
    /// What the head key holds while this is the newest; junk has none.
    pub(crate) nonce: Option<u64>,
    pub(crate) kind: Kind,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// These tags were purged.
    Purge { tags: Vec<Tag>, soft: bool },
    /// This is the epoch, and this server has the journal. It begins here, or the writer takes it to be the journal's.
    Epoch { epoch: Epoch, server: String, begins: bool },
    /// Of a later version.
    Later,
    /// Not ours.
    Junk,
}

impl Record {
    /// What a store's entry says.
    pub(crate) fn read(entry: &JournalEntry) -> Self {
        let field =
            |name: &[u8]| entry.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let nonce = field(b"n").and_then(|nonce| hex(nonce));
        let kind = match entry.fields.first() {
            Some((name, version)) if name == "v" && nonce.is_some() => {
                if version == VERSION {
                    let servers = [field(b"i"), field(b"r")];
                    known(field(b"e"), servers, [field(b"t"), field(b"s")]).unwrap_or(Kind::Junk)
                } else if is_later(version) {
                    Kind::Later
                } else {
                    Kind::Junk
                }
            }
            _ => Kind::Junk,
        };
        let nonce = nonce.filter(|_| kind != Kind::Junk);
        Self { id: entry.id, print: print(entry), nonce, kind }
    }
}

/// The fields of a purge.
pub(crate) fn purge(epoch: Epoch, nonce: u64, tags: &[Tag], soft: bool) -> Vec<(Bytes, Bytes)> {
    let tags: String = tags.iter().map(|tag| format!("{:016x}", tag.bits())).collect();
    fields(nonce, epoch, if soft { "s" } else { "t" }, tags.into())
}

/// The fields of a record that begins an epoch, or renews one.
pub(crate) fn epoch(epoch: Epoch, nonce: u64, server: &str, begins: bool) -> Vec<(Bytes, Bytes)> {
    fields(nonce, epoch, if begins { "i" } else { "r" }, Bytes::copy_from_slice(server.as_bytes()))
}

/// What the head key holds for a nonce.
pub(crate) fn head(nonce: u64) -> Bytes {
    format!("{nonce:016x}").into()
}

/// The nonce that the head key holds, if it is one.
pub(crate) fn read_head(head: &[u8]) -> Option<u64> {
    hex(head)
}

fn fields(nonce: u64, epoch: Epoch, last: &'static str, value: Bytes) -> Vec<(Bytes, Bytes)> {
    let token = format!("{:032x}", u128::from_be_bytes(*epoch.as_bytes()));
    let name = |name: &'static str| Bytes::from_static(name.as_bytes());
    vec![
        (name("v"), Bytes::from_static(VERSION)),
        (name("n"), head(nonce)),
        (name("e"), token.into()),
        (name(last), value),
    ]
}

fn known(epoch: Option<&Bytes>, servers: [Option<&Bytes>; 2], purged: [Option<&Bytes>; 2]) -> Option<Kind> {
    let epoch = epoch.filter(|epoch| epoch.len() == 32)?;
    let epoch = u128::from_str_radix(std::str::from_utf8(epoch).ok()?, 16).ok()?;
    let epoch = Epoch::from_bytes(epoch.to_be_bytes());
    match (servers, purged) {
        ([Some(server), None] | [None, Some(server)], [None, None]) if server.len() <= LONGEST_SERVER => {
            let server = String::from_utf8(server.to_vec()).ok()?;
            Some(Kind::Epoch { epoch, server, begins: servers[0].is_some() })
        }
        ([None, None], [Some(hard), None]) => Some(Kind::Purge { tags: tags(hard)?, soft: false }),
        ([None, None], [None, Some(soft)]) => Some(Kind::Purge { tags: tags(soft)?, soft: true }),
        _ => None,
    }
}

fn tags(text: &[u8]) -> Option<Vec<Tag>> {
    let (tags, rest) = text.as_chunks::<16>();
    if tags.is_empty() || tags.len() > TAGS_PER_RECORD || !rest.is_empty() {
        return None;
    }
    tags.iter().map(|tag| hex(tag).map(Tag::from_bits)).collect()
}

/// 16 hexadecimal digits.
fn hex(text: &[u8]) -> Option<u64> {
    if text.len() != 16 || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// Whether this is a version's number that isn't ours. Version 1 is the first.
fn is_later(version: &[u8]) -> bool {
    (1..=9).contains(&version.len())
        && version.iter().all(u8::is_ascii_digit)
        && !version.starts_with(b"0")
        && version != VERSION
}

fn print(entry: &JournalEntry) -> u64 {
    let mut hash = Xxh3::new();
    for (name, value) in &entry.fields {
        for part in [name, value] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: Vec<(Bytes, Bytes)>) -> Record {
        Record::read(&JournalEntry { id: JournalId::new(5, 1), fields })
    }

    fn pairs(fields: &[(&str, &str)]) -> Vec<(Bytes, Bytes)> {
        fields
            .iter()
            .map(|(name, value)| {
                (Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
            })
            .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let token = Epoch::random();
        let tags = vec![Tag::from_bits(1), Tag::from_bits(u64::MAX)];
        for soft in [false, true] {
            let record = read(purge(token, 7, &tags, soft));
            assert_eq!((record.nonce, record.kind), (Some(7), Kind::Purge { tags: tags.clone(), soft }));
        }
        for begins in [false, true] {
            let record = read(epoch(token, 8, "run:repl", begins));
            assert_eq!(record.kind, Kind::Epoch { epoch: token, server: "run:repl".to_owned(), begins });
        }
        let record = read(epoch(token, 8, "run:repl", true));
        assert_eq!(read_head(&head(8)), Some(8));
        assert_ne!(record.print, read(epoch(token, 9, "run:repl", true)).print);
    }

    #[test]
    fn a_later_version_is_told_from_junk() {
        let nonce = "00000000000000ff";
        assert_eq!(read(pairs(&[("v", "2"), ("n", nonce), ("new", "x")])).kind, Kind::Later);
        assert_eq!(read(pairs(&[("v", "2"), ("n", nonce), ("new", "x")])).nonce, Some(255));
        let token = "0".repeat(32);
        let tag = "0123456789abcdef";
        let long = tag.repeat(TAGS_PER_RECORD + 1);
        let name = "s".repeat(LONGEST_SERVER + 1);
        for junk in [
            &[("a", "b")][..],
            &[("v", "2")],
            &[("n", nonce), ("v", "2")],
            &[("v", "0"), ("n", nonce)],
            &[("v", "02"), ("n", nonce)],
            &[("v", ""), ("n", nonce)],
            &[("v", "x"), ("n", nonce)],
            &[("v", "1"), ("n", nonce)],
            &[("v", "1"), ("n", nonce), ("e", &token)],
            &[("v", "1"), ("n", "xyz"), ("e", &token), ("t", tag)],
            &[("v", "1"), ("n", nonce), ("e", "12"), ("t", tag)],
            &[("v", "1"), ("n", nonce), ("e", &token), ("t", "")],
            &[("v", "1"), ("n", nonce), ("e", &token), ("t", "0123")],
            &[("v", "1"), ("n", nonce), ("e", &token), ("t", "0123456789abcdeg")],
            &[("v", "1"), ("n", nonce), ("e", &token), ("t", "+123456789abcdef")],
            &[("v", "1"), ("n", nonce), ("e", &token), ("t", &long)],
            &[("v", "1"), ("n", nonce), ("e", &token), ("t", tag), ("s", tag)],
            &[("v", "1"), ("n", nonce), ("e", &token), ("i", &name)],
        ] {
            let record = read(pairs(junk));
            assert_eq!((record.kind, record.nonce), (Kind::Junk, None), "{junk:?}");
        }
        assert!(read(Vec::new()).kind == Kind::Junk);
    }
}
