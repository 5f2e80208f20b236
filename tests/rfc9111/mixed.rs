//! A burst of requests that each ask for something else.

use futures_util::future::join_all;

use crate::answer::{fresh, not_modified, ok, status};
use crate::client::ask;
use crate::gateway::{Gateways, Tier};
use crate::origin::Origin;
use crate::template::Template;
use crate::wire::{HOST, scripted};

/// What one client has asked for, or what stands in the cache by then, decides no other's answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_all_kinds_gives_each_its_own() {
    const KINDS: [&str; 5] = [
        "",
        "Range: bytes=0-1\r\n",
        "If-None-Match: \"z\"\r\n",
        "Authorization: Basic YTpi\r\n",
        "Cache-Control: no-store\r\n",
    ];
    let origin = Origin::start().await;
    let gateways = Gateways::start(Tier::Memory, origin.address).await;
    let template = Template::new("mixed");
    let part = status(206).cc("max-age=60").tag("\"a\"").with("Content-Range", "bytes 0-1/5").body("pl");
    let answer = fresh()
        .tag("\"a\"")
        .body("plain")
        .delayed(400)
        .or_with("Range", part)
        .or_with("If-None-Match", not_modified().tag("\"z\""))
        .or_with("Authorization", ok().cc("private").body("mine"))
        .or_with("Cache-Control", fresh().tag("\"a\"").body("plain"));
    origin.script("mixed", (1..=100).map(|number| scripted(&answer, &template, number)).collect());
    let requests: Vec<_> = (0..100)
        .map(|number| format!("GET /mixed HTTP/1.1\r\nHost: {HOST}\r\n{}\r\n", KINDS[number % KINDS.len()]))
        .collect();
    let replies = join_all(requests.iter().map(|request| ask(gateways.address(0), request))).await;
    for (number, reply) in replies.iter().enumerate() {
        let reply = reply.as_ref().unwrap();
        let got = (reply.status, reply.body.as_str());
        let plain = (200, "plain");
        let is_right = match number % KINDS.len() {
            1 => got == (206, "pl"),
            2 => got == plain || (got == (304, "") && reply.head.all("ETag").eq(["\"z\""])),
            3 => got == plain || got == (200, "mine"),
            _ => got == plain,
        };
        assert!(is_right, "{:?} got {got:?}", KINDS[number % KINDS.len()]);
    }
    let is_plain = |head: &crate::message::Head| {
        ["Range", "If-None-Match", "Authorization", "Cache-Control"]
            .iter()
            .all(|field| head.all(field).next().is_none())
    };
    let seen = origin.seen("mixed");
    let plain = seen.iter().filter(|seen| is_plain(&seen.head)).count();
    println!("{} of 100 requests reached the origin, {plain} of them plain", seen.len());
    assert_eq!(plain, 1);
}
