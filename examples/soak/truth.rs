//! What every key must give: all of an answer is derived from the request's key, so that no mix-up can hide.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::random::{STEP, mix};
use super::setup::{MAX_BODY, NEGATIVE_TTL, TTL};

/// The largest body that any key gives, bytes.
pub(crate) const LARGEST: usize = 2 << 20;

/// Bytes of a frame of a streamed body.
pub(crate) const FRAME: usize = 16 << 10;

/// Lifetime that answers of [`Class::Brief`] give themselves.
pub(crate) const BRIEF: Duration = Duration::from_secs(1);

/// What kind of resource a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// An answer that is stored.
    Plain,
    /// One with a short lifetime of its own.
    Brief,
    /// One for each language.
    Varied,
    /// A 404.
    Absent,
    /// One for its caller alone.
    Private,
    /// One that is too large to be stored.
    Large,
    /// One that comes slowly.
    Slow,
    /// One whose handler fails, panics, hangs or breaks off every now and then.
    Shaky,
    /// One for each request body.
    Search,
}

impl Class {
    pub(crate) const ALL: [Self; 9] = [
        Self::Plain,
        Self::Brief,
        Self::Varied,
        Self::Absent,
        Self::Private,
        Self::Large,
        Self::Slow,
        Self::Shaky,
        Self::Search,
    ];

    /// The first segment of its paths.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Brief => "brief",
            Self::Varied => "varied",
            Self::Absent => "absent",
            Self::Private => "private",
            Self::Large => "large",
            Self::Slow => "slow",
            Self::Shaky => "shaky",
            Self::Search => "search",
        }
    }

    /// The class that a path names.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let name = path.split('/').nth(1)?;
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// The greatest age that an answer may have, if it may be stored.
    pub(crate) const fn lifetime(self) -> Option<Duration> {
        match self {
            Self::Plain | Self::Varied | Self::Slow | Self::Shaky | Self::Search => Some(TTL),
            Self::Brief => Some(BRIEF),
            Self::Absent => Some(NEGATIVE_TTL),
            Self::Private | Self::Large => None,
        }
    }
}

/// The right answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    pub(crate) class: Class,
    pub(crate) status: StatusCode,
    /// Bytes of the body.
    pub(crate) length: usize,
    /// What the body is derived from, and the field [`Truth::mark`] tells.
    seed: u64,
}

impl Truth {
    /// The answer to a request for `path`. `variant` is what else tells answers apart: the language, the caller or the
    /// request's body, as the class has it.
    pub(crate) fn new(class: Class, path: &str, variant: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (path, variant).hash(&mut hasher);
        let seed = hasher.finish();
        let part = |bound: usize| (mix(seed ^ STEP) % bound as u64) as usize;
        let length = match (class, seed % 100) {
            (Class::Large, _) => MAX_BODY + 1 + part(LARGEST - MAX_BODY),
            (_, 0..5) => 0,
            (Class::Absent, _) => part(200),
            (_, 5..70) => part(2 << 10),
            (_, 70..95) => part(16 << 10),
            _ => part(MAX_BODY + 1),
        };
        let status = if class == Class::Absent { StatusCode::NOT_FOUND } else { StatusCode::OK };
        Self { class, status, length, seed }
    }

    /// The field by which an answer tells its key.
    pub(crate) const FIELD: &str = "x-key";

    /// That field's value.
    pub(crate) fn mark(&self) -> String {
        format!("{:016x}", self.seed)
    }

    /// The eight bytes of the body at `position`, a multiple of 8.
    const fn word(&self, position: usize) -> [u8; 8] {
        mix(self.seed.wrapping_add(STEP.wrapping_mul(1 + position as u64 / 8))).to_le_bytes()
    }

    /// The bytes from `start`, a multiple of 8, to `end`.
    pub(crate) fn bytes(&self, start: usize, end: usize) -> Bytes {
        let mut bytes = Vec::with_capacity((end - start).next_multiple_of(8));
        for position in (start..end).step_by(8) {
            bytes.extend_from_slice(&self.word(position));
        }
        bytes.truncate(end - start);
        bytes.into()
    }

    /// Whether `data` is what stands in the body from `start` on.
    pub(crate) fn holds(&self, mut start: usize, mut data: &[u8]) -> bool {
        if start.saturating_add(data.len()) > self.length {
            return false;
        }
        while !data.is_empty() {
            let within = start % 8;
            let word = &self.word(start - within)[within..];
            let (now, later) = data.split_at(word.len().min(data.len()));
            if *now != word[..now.len()] {
                return false;
            }
            start += now.len();
            data = later;
        }
        true
    }
}
