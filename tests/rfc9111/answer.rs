//! What the origin sends.

use std::time::Duration;

use crate::case::Fields;
use crate::template::Template;

/// How a body is delimited.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Framing {
    Length,
    /// By the connection's end.
    Close,
    Chunked,
    /// Chunked, with the trailer `X-Trailer: 1`.
    Trailers,
    /// A length of ten more bytes than follow before the connection ends.
    Short,
    /// Chunked, without the last chunk.
    Unended,
}

/// What the origin sends.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) dated: bool,
    /// None: a text that names the case and the answer's number.
    pub(crate) body: Option<String>,
    pub(crate) framing: Framing,
    pub(crate) interim: Option<(u16, Fields)>,
    pub(crate) delay: Duration,
    /// How many requests of the case the origin must have before it answers.
    pub(crate) together: usize,
    /// The connection ends after no more than the body, which stands for the start of a message.
    pub(crate) closes: bool,
    /// What is sent instead to a request that has this field; of several the first counts.
    pub(crate) instead: Vec<(&'static str, Answer)>,
}

/// A status with a body, dated now.
pub(crate) fn status(status: u16) -> Answer {
    Answer {
        status,
        fields: Vec::new(),
        dated: true,
        body: None,
        framing: Framing::Length,
        interim: None,
        delay: Duration::ZERO,
        together: 0,
        closes: false,
        instead: Vec::new(),
    }
}

pub(crate) fn ok() -> Answer {
    status(200)
}

/// 200 with `max-age=60`.
pub(crate) fn fresh() -> Answer {
    ok().cc("max-age=60")
}

/// 200 with the entity tag `"a"` that was used up 40 seconds ago: `max-age=60` and further directives.
pub(crate) fn stale(directives: &str) -> Answer {
    let comma = if directives.is_empty() { "" } else { ", " };
    ok().cc(&format!("max-age=60{comma}{directives}")).with("Age", "100").tag("\"a\"")
}

pub(crate) fn not_modified() -> Answer {
    status(304)
}

/// The connection's end without an answer.
pub(crate) fn closes() -> Answer {
    Answer { closes: true, ..status(0) }
}

impl Answer {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    pub(crate) fn cc(self, value: &str) -> Self {
        self.with("Cache-Control", value)
    }

    pub(crate) fn tag(self, value: &str) -> Self {
        self.with("ETag", value)
    }

    /// `Last-Modified`, so many seconds before the case began.
    pub(crate) fn modified(self, seconds_ago: u64) -> Self {
        self.with("Last-Modified", &format!("{{-{seconds_ago}}}"))
    }

    /// Another `Date` than now.
    pub(crate) fn date(mut self, value: &str) -> Self {
        self.dated = false;
        self.with("Date", value)
    }

    pub(crate) fn undated(mut self) -> Self {
        self.dated = false;
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    pub(crate) fn after_interim(mut self, status: u16, name: &str, value: &str) -> Self {
        self.interim = Some((status, vec![(name.into(), value.into())]));
        self
    }

    pub(crate) fn delayed(mut self, milliseconds: u64) -> Self {
        self.delay = Duration::from_millis(milliseconds);
        self
    }

    /// Waits until the origin has so many requests of the case.
    pub(crate) fn together(mut self, requests: usize) -> Self {
        self.together = requests;
        self
    }

    /// This to a request that has the field.
    pub(crate) fn or_with(mut self, field: &'static str, answer: Self) -> Self {
        self.instead.push((field, answer));
        self
    }

    /// The body of the answer of this number.
    pub(crate) fn text(&self, template: &Template, number: usize) -> String {
        self.body.clone().unwrap_or_else(|| format!("{} answer {number}", template.name()))
    }

    /// Whether it can be an entry's content.
    pub(crate) fn is_whole(&self) -> bool {
        !self.closes && self.status != 304 && !matches!(self.framing, Framing::Short | Framing::Unended)
    }
}
