//! A case's requests and answers as bytes.

use crate::answer::{Answer, Framing};
use crate::case::{Fields, Step};
use crate::origin::Scripted;
use crate::template::{Template, now};

/// The host that requests are for.
pub(crate) const HOST: &str = "site.test";

fn lines(text: &mut String, template: &Template, fields: &Fields) {
    for (name, value) in fields {
        *text += &format!("{name}: {}\r\n", template.fill(value));
    }
}

/// The request of a step.
pub(crate) fn request(step: &Step, template: &Template) -> String {
    let mut text = format!(
        "{} /{}{} HTTP/1.1\r\nHost: {}\r\n",
        step.method,
        template.name(),
        template.fill(&step.at),
        step.host
    );
    lines(&mut text, template, &step.fields);
    if let Some(content) = &step.content {
        text += &format!("Content-Length: {}\r\n\r\n{content}", content.len());
    } else {
        text += "\r\n";
    }
    text
}

/// What marks an answer of the origin: the field `X-Answer`.
pub(crate) fn mark(template: &Template, number: usize) -> String {
    format!("<{}/{number}>", template.name())
}

/// The answer of this number, counted over the case.
pub(crate) fn scripted(answer: &Answer, template: &Template, number: usize) -> Scripted {
    let instead =
        answer.instead.iter().map(|(field, other)| (*field, scripted(other, template, number))).collect();
    let scripted =
        Scripted { delay: answer.delay, together: answer.together, instead, ..Scripted::default() };
    if answer.closes {
        return Scripted { head: answer.body.clone().unwrap_or_default(), closes: true, ..scripted };
    }
    let mut head = String::new();
    if let Some((status, fields)) = &answer.interim {
        head += &format!("HTTP/1.1 {status} Interim\r\n");
        lines(&mut head, template, fields);
        head += "\r\n";
    }
    head += &format!("HTTP/1.1 {} Scripted\r\n", answer.status);
    if answer.dated {
        head += &format!("Date: {}\r\n", httpdate::fmt_http_date(now()));
    }
    head += &format!("X-Answer: {}\r\n", mark(template, number));
    lines(&mut head, template, &answer.fields);
    let bodiless = matches!(answer.status, 204 | 304);
    let text = if bodiless { String::new() } else { answer.text(template, number) };
    let chunk = |last: &str| format!("{:x}\r\n{text}\r\n{last}", text.len());
    let (line, body, closes) = match answer.framing {
        _ if bodiless => (String::new(), text, false),
        Framing::Length => (format!("Content-Length: {}\r\n", text.len()), text, false),
        Framing::Short => (format!("Content-Length: {}\r\n", text.len() + 10), text, true),
        Framing::Close => (String::new(), text, true),
        Framing::Chunked => ("Transfer-Encoding: chunked\r\n".into(), chunk("0\r\n\r\n"), false),
        Framing::Trailers => {
            ("Transfer-Encoding: chunked\r\n".into(), chunk("0\r\nX-Trailer: 1\r\n\r\n"), false)
        }
        Framing::Unended => ("Transfer-Encoding: chunked\r\n".into(), chunk(""), true),
    };
    head += &line;
    head += "\r\n";
    Scripted { head, body, closes, ..scripted }
}
