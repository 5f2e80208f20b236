//! Cases as data: requests, what the origin answers to them, and what must come of it.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::answer::{Answer, fresh};
use crate::wire::HOST;

/// Field lines in their order.
pub(crate) type Fields = Vec<(String, String)>;

/// A rule, and the requests that show it. All of a case's requests go to paths of its own.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// Whether it needs one process: it isn't run on two gateways. Each has a memory of its own, and what one learns of an
    /// entry (by HEAD, a 304, or a response that replaces it) reaches the other only when that one's own entry goes. Purges
    /// alone reach it, a moment later.
    pub(crate) alone: bool,
    /// Whether it is about the memory tier, which alone is sure to have a response before its client, and in which alone parts
    /// to be completed are looked for: it isn't run where nothing stays there.
    pub(crate) memory: bool,
}

pub(crate) fn case(name: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Case {
    Case { name: name.into(), steps: steps.into_iter().collect(), alone: false, memory: false }
}

impl Case {
    /// Not on two gateways.
    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Only in a process's memory.
    pub(crate) fn in_memory(mut self) -> Self {
        self.memory = true;
        self
    }
}

/// Stored and reused: the second request doesn't reach the origin.
pub(crate) fn reused(name: impl Into<String>, answer: Answer) -> Case {
    case(name, [get().answer(answer), get().hit()])
}

/// The second request reaches the origin.
pub(crate) fn not_reused(name: impl Into<String>, answer: Answer) -> Case {
    case(name, [get().answer(answer), get().answer(fresh())])
}

/// Where the answer to a step comes from.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Source {
    /// The step's last scripted answer, or the entry that it confirms.
    Origin,
    /// The answer of this number, counted over the case from 1; none: the last whole one.
    Stored(Option<usize>),
}

/// A claim on the fields of a message.
#[derive(Clone)]
pub(crate) enum Check {
    /// One line with this value.
    Is(&'static str, String),
    /// These lines.
    Lines(&'static str, Vec<String>),
    /// A line that contains this.
    Has(&'static str, String),
    /// No line that contains this.
    Lacks(&'static str, String),
    Absent(&'static str),
    /// One line, a number in this range.
    Number(&'static str, RangeInclusive<u64>),
    /// The same lines as in the step before.
    Same(&'static str),
    /// A member of this cache with this parameter.
    Status(&'static str),
    /// No member of this cache with this parameter.
    NoStatus(&'static str),
}

/// A request, what the origin does, and what the client must get.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) method: &'static str,
    pub(crate) host: &'static str,
    /// Follows the case's path.
    pub(crate) at: String,
    pub(crate) fields: Fields,
    pub(crate) content: Option<String>,
    /// What passes before the request.
    pub(crate) wait: Duration,
    /// How often the request is sent, all at once.
    pub(crate) copies: usize,
    pub(crate) answers: Vec<Answer>,
    /// Whether the origin may be spared the request.
    pub(crate) optional: bool,
    /// Whether the answers are for the origin's requests after the client has its own.
    pub(crate) behind: bool,
    /// Whether the claims may come true a little later.
    pub(crate) eventually: bool,
    /// How long the origin's requests are counted after the answer.
    pub(crate) watched: Duration,
    pub(crate) source: Source,
    pub(crate) status: Option<Vec<u16>>,
    pub(crate) body: Option<String>,
    pub(crate) body_is_open: bool,
    pub(crate) body_parts: Vec<String>,
    pub(crate) body_at_most: Option<usize>,
    /// Whether no two answers have the same body.
    pub(crate) apart: bool,
    pub(crate) fails: bool,
    pub(crate) interim: Option<Vec<u16>>,
    pub(crate) checks: Vec<Check>,
    /// Claims on the origin's requests of this step, by their number from 0.
    pub(crate) seen: Vec<(usize, Check)>,
}

pub(crate) fn method(method: &'static str) -> Step {
    Step {
        method,
        host: HOST,
        at: String::new(),
        fields: Vec::new(),
        content: None,
        wait: Duration::ZERO,
        copies: 1,
        answers: Vec::new(),
        optional: false,
        behind: false,
        eventually: false,
        watched: Duration::ZERO,
        source: Source::Origin,
        status: None,
        body: None,
        body_is_open: false,
        body_parts: Vec::new(),
        body_at_most: None,
        apart: false,
        fails: false,
        interim: None,
        checks: Vec::new(),
        seen: Vec::new(),
    }
}

pub(crate) fn get() -> Step {
    method("GET")
}

pub(crate) fn head() -> Step {
    method("HEAD")
}

pub(crate) fn post() -> Step {
    method("POST").content("content")
}

impl Step {
    /// A request field. In its value, as in all others, `{path}` and times are filled in, see [`Template`](crate::template::Template).
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// `Cache-Control` of the request.
    pub(crate) fn cc(self, value: &str) -> Self {
        self.with("Cache-Control", value)
    }

    pub(crate) fn range(self, value: &str) -> Self {
        self.with("Range", value)
    }

    pub(crate) fn at(mut self, rest: impl Into<String>) -> Self {
        self.at = rest.into();
        self
    }

    pub(crate) fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    pub(crate) fn content(mut self, content: &str) -> Self {
        self.content = Some(content.into());
        self
    }

    pub(crate) fn after(mut self, milliseconds: u64) -> Self {
        self.wait = Duration::from_millis(milliseconds);
        self
    }

    /// Sends the request so many times at once. The claims hold for each.
    pub(crate) fn times(mut self, copies: usize) -> Self {
        self.copies = copies;
        self
    }

    /// [`times`](Self::times), and each gets an answer of its own.
    pub(crate) fn apart(mut self, copies: usize) -> Self {
        self.apart = true;
        self.times(copies)
    }

    /// What the origin answers. It must be asked exactly as often as there are answers.
    pub(crate) fn answer(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// The origin may be asked or not.
    pub(crate) fn or_not(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Answered from the cache with the last whole answer; the origin isn't asked.
    pub(crate) fn hit(mut self) -> Self {
        self.source = Source::Stored(None);
        self
    }

    /// Answered from the cache with this answer, counted over the case from 1.
    pub(crate) fn hit_of(mut self, number: usize) -> Self {
        self.source = Source::Stored(Some(number));
        self
    }

    /// Answered from the cache. The origin is asked afterwards, and answers only when the client has its answer.
    pub(crate) fn hit_before(mut self, answer: Answer) -> Self {
        self.source = Source::Stored(None);
        self.behind = true;
        self.answer(answer)
    }

    /// The claims may come true a little later. Such a step isn't forwarded in the end.
    pub(crate) fn eventually(mut self) -> Self {
        self.eventually = true;
        self
    }

    /// The origin isn't asked in the next quarter of a second either.
    pub(crate) fn and_quiet(mut self) -> Self {
        self.watched = Duration::from_millis(250);
        self
    }

    pub(crate) fn status(self, status: u16) -> Self {
        self.status_in(&[status])
    }

    pub(crate) fn status_in(mut self, statuses: &[u16]) -> Self {
        self.status = Some(statuses.to_vec());
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Whatever body.
    pub(crate) fn any_body(mut self) -> Self {
        self.body_is_open = true;
        self
    }

    /// A part of the body, whatever else is in it.
    pub(crate) fn body_has(mut self, part: &str) -> Self {
        self.body_parts.push(part.into());
        self
    }

    pub(crate) fn body_at_most(mut self, length: usize) -> Self {
        self.body_at_most = Some(length);
        self
    }

    /// The client gets a broken answer or an error of the gateway.
    pub(crate) fn fails(mut self) -> Self {
        self.fails = true;
        self
    }

    /// The statuses before the final one.
    pub(crate) fn interim(mut self, statuses: &[u16]) -> Self {
        self.interim = Some(statuses.to_vec());
        self
    }

    pub(crate) fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    pub(crate) fn is(self, name: &'static str, value: &str) -> Self {
        self.check(Check::Is(name, value.into()))
    }

    pub(crate) fn lines(self, name: &'static str, values: &[&str]) -> Self {
        self.check(Check::Lines(name, values.iter().map(|&value| value.into()).collect()))
    }

    pub(crate) fn has(self, name: &'static str, part: &str) -> Self {
        self.check(Check::Has(name, part.into()))
    }

    pub(crate) fn lacks(self, name: &'static str, part: &str) -> Self {
        self.check(Check::Lacks(name, part.into()))
    }

    pub(crate) fn absent(self, name: &'static str) -> Self {
        self.check(Check::Absent(name))
    }

    pub(crate) fn age(self, seconds: RangeInclusive<u64>) -> Self {
        self.check(Check::Number("Age", seconds))
    }

    pub(crate) fn same(self, name: &'static str) -> Self {
        self.check(Check::Same(name))
    }

    /// A parameter of this cache's member of `Cache-Status`, such as `fwd=miss`.
    pub(crate) fn told(self, parameter: &'static str) -> Self {
        self.check(Check::Status(parameter))
    }

    pub(crate) fn untold(self, parameter: &'static str) -> Self {
        self.check(Check::NoStatus(parameter))
    }

    /// The origin's first request of this step has this line.
    pub(crate) fn sees(self, name: &'static str, value: &str) -> Self {
        self.sees_at(0, Check::Is(name, value.into()))
    }

    pub(crate) fn sees_part(self, name: &'static str, part: &str) -> Self {
        self.sees_at(0, Check::Has(name, part.into()))
    }

    pub(crate) fn sees_no(self, name: &'static str) -> Self {
        self.sees_at(0, Check::Absent(name))
    }

    pub(crate) fn sees_at(mut self, number: usize, check: Check) -> Self {
        self.seen.push((number, check));
        self
    }
}
