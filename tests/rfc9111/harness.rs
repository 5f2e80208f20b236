//! The harness itself: what a script says comes to the client byte for byte, and no two cases share a name.

use std::collections::HashSet;

use crate::answer::{Framing, ok};
use crate::case::{case, get, post};
use crate::client::ask;
use crate::message::Head;
use crate::origin::{Origin, Scripted};
use crate::template::Template;
use crate::wire::{request, scripted};

#[test]
fn every_case_has_a_name_of_its_own() {
    let cases = crate::all();
    let names: HashSet<_> = cases.iter().map(|case| case.name.as_str()).collect();
    let shared = cases.iter().filter(|case| !case.alone && !case.memory).count();
    println!("{} cases, {shared} of them on two gateways too", cases.len());
    assert_eq!(names.len(), cases.len());
    assert!(cases.len() >= 150 && shared >= 100, "{} cases, {shared} shared", cases.len());
    for case in &cases {
        assert!(case.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{}", case.name);
        assert!(!case.steps.is_empty(), "{}", case.name);
    }
}

#[tokio::test]
async fn a_script_comes_through_exactly() {
    let origin = Origin::start().await;
    let head = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 299 Odd\r\nB: 2\r\na: 1\r\nB:  3 \r\n";
    let scripts = [
        (format!("{head}Content-Length: 3\r\n\r\n"), "abc", false),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
            "2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n",
            false,
        ),
        (format!("{head}\r\n"), "abc", true),
    ];
    for (head, body, closes) in scripts {
        let script = Scripted { head, body: body.into(), closes, ..Scripted::default() };
        origin.script("exact", vec![script]);
        let reply =
            ask(origin.address, "GET /exact/1?q HTTP/1.1\r\nHost: h\r\nX: 1\r\nx: 2\r\n\r\n").await.unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (299, "abc"));
        let pairs: Vec<_> =
            reply.head.fields[..3].iter().map(|(name, value)| (&name[..], &value[..])).collect();
        assert_eq!(pairs, [("B", "2"), ("a", "1"), ("B", "3")]);
        assert_eq!(reply.interim[0].fields, [("Link".to_owned(), "</a>".to_owned())]);
        assert_eq!(reply.trailers.len(), usize::from(body.contains("T: 1")));
    }
    let seen = origin.seen("exact");
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].head.start, "GET /exact/1?q HTTP/1.1");
    assert_eq!(seen[0].head.all("x").collect::<Vec<_>>(), ["1", "2"]);
}

#[tokio::test]
async fn broken_answers_are_told_from_whole_ones() {
    let origin = Origin::start().await;
    let template = Template::new("broken");
    let text = request(&get(), &template);
    for (framing, is_whole) in [
        (Framing::Length, true),
        (Framing::Chunked, true),
        (Framing::Trailers, true),
        (Framing::Close, true),
        (Framing::Short, false),
        (Framing::Unended, false),
    ] {
        origin.script("broken", vec![scripted(&ok().framed(framing), &template, 1)]);
        assert_eq!(ask(origin.address, &text).await.is_ok(), is_whole);
    }
    let posted = request(&post().at("/x"), &template);
    origin.script("broken", vec![scripted(&crate::answer::closes(), &template, 1)]);
    assert!(ask(origin.address, &posted).await.is_err());
    assert_eq!(origin.seen("broken").pop().unwrap().body, "content");
}

#[tokio::test]
async fn an_answer_waits_for_its_company() {
    let origin = Origin::start().await;
    let template = Template::new("company");
    let text = request(&get(), &template);
    let answer = scripted(&ok().together(2), &template, 1);
    origin.script("company", vec![answer.clone(), answer]);
    let (first, second) = tokio::join!(ask(origin.address, &text), ask(origin.address, &text));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(origin.seen("company").len(), 2);
}

#[test]
fn dates_are_filled_in() {
    let template = Template::new("dates");
    let fixed = template.fill("{+0}");
    assert_eq!(fixed.len(), 29);
    assert_eq!(template.fill("<{path}> {+0|GMT|UTC}"), format!("</dates> {}", fixed.replace("GMT", "UTC")));
    assert_eq!(template.fill("{lower:+0}"), fixed.to_lowercase());
    for form in ["850", "asctime"] {
        let date = template.fill(&format!("{{{form}:+0}}"));
        let [date, fixed] = [&date, &fixed].map(|text| httpdate::parse_http_date(text).unwrap());
        assert_eq!(date, fixed, "{form}");
    }
    assert_eq!(Head::default().all("date").count(), 0);
    assert_eq!(case("x", []).steps.len(), 0);
}
