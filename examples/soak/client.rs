//! Clients that ask at random, leave at random, and check every byte that they get.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{ACCEPT_LANGUAGE, AGE, IF_NONE_MATCH, RANGE, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tokio::time::{sleep, timeout};
use tower::{Service, ServiceExt as _};
use tower_query_cache::CacheBody;

use super::origin::{CALLER, Down, PANIC, Streamed};
use super::random::Random;
use super::setup::{GRACE, KEY_BODY};
use super::tally::Tally;
use super::truth::{Class, Truth};

/// A request without an answer after this time has none.
const PATIENCE: Duration = Duration::from_secs(30);

/// Paths of each class. Those of [`Class::Plain`] alone are more than the memory tier holds.
const PATHS: u64 = 3000;

/// Requests, of all clients, until the herd moves on to another path, which is a cold one of [`Class::Slow`].
const HERD: u64 = 200;

const LANGUAGES: [&str; 6] = ["de", "en", "fr", "it", "pl", "sv"];

type Answer = Response<CacheBody<Streamed>>;

/// How a client takes its answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Reads,
    ReadsSlowly,
    LeavesWithin(Duration),
    LeavesAtTheHead,
    LeavesInMidBody,
}

/// A request, and its right answer.
#[derive(Debug)]
struct Ask {
    request: Request<Full<Bytes>>,
    truth: Truth,
    manner: Manner,
}

/// How a request ended.
enum End {
    Answered,
    Failed,
    Left,
}

/// Sends requests one after the other until it shall stop.
pub(crate) async fn run<S>(service: S, caller: usize, mut random: Random, tally: &Tally, stop: &AtomicBool)
where
    S: Service<Request<Full<Bytes>>, Response = Answer, Error = Down> + Clone,
{
    while !stop.load(Ordering::Relaxed) {
        let herd = tally.requests.load(Ordering::Relaxed) / HERD;
        let ask = ask(caller, herd, &mut random);
        let what = format!("{} {} {:?}", ask.request.method(), ask.request.uri(), ask.manner);
        let shaky = ask.truth.class == Class::Shaky;
        Tally::count(&tally.requests);
        let visited = AssertUnwindSafe(visit(service.clone(), ask)).catch_unwind();
        match timeout(PATIENCE, visited).await {
            Ok(Ok(Ok(End::Answered))) => Tally::count(&tally.answers),
            Ok(Ok(Ok(End::Failed))) => Tally::count(&tally.failures),
            Ok(Ok(Ok(End::Left))) => Tally::count(&tally.disconnects),
            Ok(Ok(Err(problem))) => tally.wrong(&format!("{what}: {problem}")),
            Ok(Err(panic)) if shaky && is_the_handlers(&*panic) => Tally::count(&tally.failures),
            Ok(Err(_)) => tally.wrong(&format!("{what}: a panic")),
            Err(_) => tally.wrong(&format!("{what}: no end in {PATIENCE:?}")),
        }
    }
}

/// Whether a panic is one that the handler is meant to have.
pub(crate) fn is_the_handlers(payload: &(dyn std::any::Any + Send)) -> bool {
    payload.downcast_ref::<String>().is_some_and(|text| text == PANIC)
        || payload.downcast_ref::<&str>().is_some_and(|text| *text == PANIC)
}

fn ask(caller: usize, herd: u64, random: &mut Random) -> Ask {
    let follows = random.once_in(20);
    let class = match random.below(100) {
        _ if follows => Class::Slow,
        0..40 => Class::Plain,
        40..50 => Class::Brief,
        50..65 => Class::Varied,
        65..70 => Class::Absent,
        70..75 => Class::Private,
        75..77 => Class::Large,
        77..82 => Class::Slow,
        82..92 => Class::Shaky,
        _ => Class::Search,
    };
    let number = match follows {
        true => PATHS + herd,
        // Some paths are asked for much more often than others.
        false => random.below(PATHS) * random.below(PATHS) / PATHS * random.below(PATHS) / PATHS,
    };
    let path = format!("/{}/{number}", class.name());
    let mut request = Request::builder().uri(&path);
    let mut method = Method::GET;
    let variant = match class {
        Class::Varied => {
            let language = LANGUAGES[random.below(LANGUAGES.len() as u64) as usize];
            request = request.header(ACCEPT_LANGUAGE, language);
            language.to_owned()
        }
        Class::Private => {
            request = request.header(CALLER, caller);
            caller.to_string()
        }
        Class::Search => {
            method = Method::POST;
            let length = if random.once_in(50) { KEY_BODY + 1 } else { 0 };
            format!("{:length$}", random.below(3))
        }
        _ => String::new(),
    };
    if method == Method::GET {
        match random.below(40) {
            0 => method = Method::HEAD,
            1 => request = request.header(IF_NONE_MATCH, "*"),
            2 => request = request.header(RANGE, "bytes=0-"),
            _ => {}
        }
    }
    let manner = match random.below(40) {
        0 => Manner::LeavesWithin(Duration::from_millis(random.below(5))),
        1 => Manner::LeavesAtTheHead,
        2 => Manner::LeavesInMidBody,
        3 => Manner::ReadsSlowly,
        _ => Manner::Reads,
    };
    let body = if class == Class::Search { Bytes::from(variant.clone()) } else { Bytes::new() };
    let mut built = Request::new(Full::new(body));
    if let Ok(head) = request.method(method).body(()) {
        let (parts, ()) = head.into_parts();
        built = Request::from_parts(parts, built.into_body());
    }
    Ask { request: built, truth: Truth::new(class, &path, &variant), manner }
}

/// Sends the request and checks its answer; the error tells what is wrong.
async fn visit<S>(service: S, ask: Ask) -> Result<End, String>
where
    S: Service<Request<Full<Bytes>>, Response = Answer, Error = Down>,
{
    let Ask { request, truth, manner } = ask;
    let (method, conditional) = (request.method().clone(), request.headers().contains_key(IF_NONE_MATCH));
    let answered = service.oneshot(request);
    let answered = match manner {
        Manner::LeavesWithin(time) => match timeout(time, answered).await {
            Ok(answered) => answered,
            Err(_) => return Ok(End::Left),
        },
        _ => answered.await,
    };
    let answer = match answered {
        Ok(answer) => answer,
        Err(Down) if truth.class == Class::Shaky => return Ok(End::Failed),
        Err(Down) => return Err("an error that the service never gave".to_owned()),
    };

    let cached = head(&truth, &answer, conditional)?;
    let status = answer.status();
    if manner == Manner::LeavesAtTheHead {
        return Ok(End::Left);
    }
    let may_fail = truth.class == Class::Shaky && !cached;
    if may_fail && status.is_server_error() {
        return Ok(End::Failed);
    }
    let length = if method == Method::HEAD || status == StatusCode::NOT_MODIFIED { 0 } else { truth.length };
    let mut body = pin!(answer.into_body());
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let data = match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) => data,
            Ok(Err(_)) => return Err("trailers".to_owned()),
            Err(_) if may_fail => return Ok(End::Failed),
            Err(_) => return Err(format!("the body breaks off after {read} bytes")),
        };
        if read + data.len() > length || !truth.holds(read, &data) {
            return Err(format!("other bytes after {read} of {length}, {status}"));
        }
        read += data.len();
        match manner {
            Manner::LeavesInMidBody => return Ok(End::Left),
            Manner::ReadsSlowly => sleep(Duration::from_millis(1)).await,
            _ => {}
        }
    }
    match read == length {
        true => Ok(End::Answered),
        false if may_fail => Ok(End::Failed),
        false => Err(format!("{read} bytes of {length}")),
    }
}

/// Checks the head of an answer. True: it is a stored one.
fn head(truth: &Truth, answer: &Answer, conditional: bool) -> Result<bool, String> {
    let field =
        |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, told) = (answer.status(), field("cache-status"));
    let cached = told.contains("; hit") || told.contains("; collapsed");
    let shaky = truth.class == Class::Shaky && !cached;
    let timed_out =
        ["detail=fill-timeout", "detail=hard-timeout"].iter().any(|detail| told.ends_with(detail));
    if shaky && status == StatusCode::GATEWAY_TIMEOUT && timed_out {
        return Ok(false);
    }
    if field(Truth::FIELD) != truth.mark() {
        return Err(format!("another key's answer: {status} {:?}", answer.headers()));
    }
    let right = status == truth.status
        || (conditional && status == StatusCode::NOT_MODIFIED)
        || (shaky && status == StatusCode::INTERNAL_SERVER_ERROR);
    if !right {
        return Err(format!("{status}, {told}"));
    }
    if answer.headers().contains_key(SET_COOKIE) && truth.class != Class::Private {
        return Err("a cookie".to_owned());
    }
    if cached {
        let lifetime = truth.class.lifetime().ok_or_else(|| format!("it was stored: {told}"))?;
        let age = field(AGE.as_str()).parse::<u64>().unwrap_or_default();
        if age > (lifetime + GRACE).as_secs() {
            return Err(format!("{age} s old, {told}"));
        }
    }
    Ok(cached)
}
