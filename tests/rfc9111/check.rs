//! Whether a message is as a case claims.

use std::io;

use crate::answer::Answer;
use crate::case::{Check, Source, Step};
use crate::client::{Reply, status};
use crate::message::Head;
use crate::origin::Seen;
use crate::template::Template;

/// The name by which the cache tells of itself.
const CACHE: &str = "tower-query-cache";

/// What a claim on a head's fields says against it; `before` is the head in the step before.
fn refuted(check: &Check, head: &Head, before: &Head, template: &Template) -> Option<String> {
    let all = |name| head.all(name).collect::<Vec<_>>();
    let fault = |name: &str, wanted: &dyn std::fmt::Debug| {
        Some(format!("{name} is {:?}, not {wanted:?}", head.all(name).collect::<Vec<_>>()))
    };
    match check {
        Check::Is(name, value) => {
            let value = template.fill(value);
            (all(name) != [&value]).then(|| fault(name, &value))?
        }
        Check::Lines(name, values) => {
            let values: Vec<_> = values.iter().map(|value| template.fill(value)).collect();
            (all(name) != values).then(|| fault(name, &values))?
        }
        Check::Has(name, part) => {
            let part = template.fill(part);
            (!head.all(name).any(|line| line.contains(&part))).then(|| fault(name, &part))?
        }
        Check::Lacks(name, part) => {
            let part = template.fill(part);
            head.all(name)
                .any(|line| line.contains(&part))
                .then(|| fault(name, &format!("without {part}")))?
        }
        Check::Absent(name) => (!all(name).is_empty()).then(|| fault(name, &"absent"))?,
        Check::Number(name, range) => match all(name)[..] {
            [one] if one.parse().is_ok_and(|number| range.contains(&number)) => None,
            _ => fault(name, range),
        },
        Check::Same(name) => {
            let known: Vec<_> = before.all(name).collect();
            (known.is_empty() || all(name) != known).then(|| fault(name, &known))?
        }
        Check::Status(parameter) => {
            (!told(head, |known| known.starts_with(parameter))).then(|| fault("Cache-Status", parameter))?
        }
        Check::NoStatus(parameter) => told(head, |known| known.starts_with(parameter))
            .then(|| fault("Cache-Status", &format!("without {parameter}")))?,
    }
}

/// Whether a parameter of this cache's last member of `Cache-Status` is so.
fn told(head: &Head, is: impl Fn(&str) -> bool) -> bool {
    let members: Vec<_> = head.all("Cache-Status").flat_map(|line| line.split(',')).collect();
    let mut parts = members.last().copied().unwrap_or_default().split(';').map(str::trim);
    parts.next() == Some(CACHE) && parts.any(is)
}

/// What a step claims against what came of it.
pub(crate) struct Outcome<'a> {
    pub(crate) step: &'a Step,
    pub(crate) template: &'a Template,
    /// Every answer so far, this step's included.
    pub(crate) answers: &'a [Answer],
    /// The head of the step before.
    pub(crate) before: &'a Head,
}

impl Outcome<'_> {
    /// What is wrong with the origin's requests of this step.
    pub(crate) fn of_origin(&self, seen: &[Seen]) -> Vec<String> {
        let mut faults = Vec::new();
        let wanted = self.step.answers.len();
        if seen.len() > wanted || (seen.len() < wanted && !self.step.optional) {
            let heads: Vec<_> = seen.iter().map(|seen| seen.head.summary()).collect();
            faults.push(format!("the origin was asked {} times, not {wanted}: {heads:?}", seen.len()));
        }
        for (number, check) in &self.step.seen {
            let Some(seen) = seen.get(*number) else { continue };
            let fault = refuted(check, &seen.head, &Head::default(), self.template);
            faults.extend(fault.map(|fault| format!("the origin's request {number}: {fault}")));
        }
        faults
    }

    /// What is wrong with an answer.
    pub(crate) fn of_reply(&self, reply: &io::Result<Reply>) -> Vec<String> {
        let step = self.step;
        let reply = match reply {
            Err(_) if step.fails => return Vec::new(),
            Err(error) => return vec![format!("no answer: {error}")],
            Ok(reply) if step.fails && reply.status < 500 => {
                return vec![format!("a whole {} instead of a failure", reply.status)];
            }
            Ok(_) if step.fails => return Vec::new(),
            Ok(reply) => reply,
        };
        let mut faults = self.of_content(reply);
        for check in &step.checks {
            faults.extend(refuted(check, &reply.head, self.before, self.template));
        }
        if let Some(wanted) = &step.interim {
            let interim: Vec<_> = reply.interim.iter().filter_map(|head| status(&head.start).ok()).collect();
            if interim != *wanted {
                faults.push(format!("interim responses {interim:?}, not {wanted:?}"));
            }
        }
        // What is forwarded goes on as it came.
        let is_hit = step.source != Source::Origin;
        for line in ["Age", "Date", "Content-Length"] {
            if (is_hit || line == "Content-Length") && reply.head.all(line).count() > 1 {
                faults.push(format!("more than one {line}"));
            }
        }
        faults
    }

    /// What is wrong with the status and the body.
    fn of_content(&self, reply: &Reply) -> Vec<String> {
        let mut faults = Vec::new();
        let source = self.source();
        let wanted = self.step.status.clone().or_else(|| Some(vec![source?.1.status]));
        if let Some(wanted) = wanted
            && !wanted.contains(&reply.status)
        {
            faults.push(format!("status {}, not {wanted:?}", reply.status));
        }
        let body = match (&self.step.body, source) {
            (Some(body), _) => Some(body.clone()),
            _ if self.step.body_is_open => None,
            _ if self.step.method == "HEAD" || matches!(reply.status, 204 | 304) => Some(String::new()),
            (None, Some((number, answer))) if answer.status == reply.status && self.step.copies == 1 => {
                Some(answer.text(self.template, number))
            }
            _ => None,
        };
        if let Some(body) = body.filter(|body| reply.body != *body) {
            faults.push(format!("body {:?}, not {body:?}", reply.body));
        }
        for part in self.step.body_parts.iter().filter(|part| !reply.body.contains(*part)) {
            faults.push(format!("body {:?} without {part:?}", reply.body));
        }
        if self.step.body_at_most.is_some_and(|limit| reply.body.len() > limit) {
            faults.push(format!("a body of {} bytes", reply.body.len()));
        }
        faults
    }

    /// The answer that the client is to get, and its number from 1.
    fn source(&self) -> Option<(usize, &Answer)> {
        let numbered = |index: usize| Some((index + 1, self.answers.get(index)?));
        match self.step.source {
            Source::Stored(Some(number)) => numbered(number - 1),
            Source::Stored(None) => {
                let earlier = self.answers.len() - self.step.answers.len();
                numbered(self.answers[..earlier].iter().rposition(Answer::is_whole)?)
            }
            Source::Origin => match self.step.answers.last()? {
                last if last.status != 304 && !last.closes => numbered(self.answers.len() - 1),
                _ => numbered(self.answers.iter().rposition(Answer::is_whole)?),
            },
        }
    }
}
