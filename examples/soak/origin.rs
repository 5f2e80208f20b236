//! The service behind the cache: right, slow, late, broken, down or panicking, as its random numbers say.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LENGTH, RANGE, SET_COOKIE, VARY};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tower_query_cache::RequestBody;

use super::random::Random;
use super::truth::{BRIEF, Class, FRAME, Truth};

/// The field by which a caller names itself.
pub(crate) const CALLER: &str = "x-caller";

/// What a panic of the handler says.
pub(crate) const PANIC: &str = "the handler panics";

/// The service doesn't answer.
#[derive(Debug)]
pub(crate) struct Down;

/// The body breaks off.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service is down")
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body broke off")
    }
}

impl std::error::Error for Down {}
impl std::error::Error for Broken {}

/// Its body.
pub(crate) type Streamed = UnsyncBoxBody<Bytes, Broken>;

/// How a call goes.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Down,
    Panics,
    Hangs,
    ServerError,
    /// The body is an error after so many of a thousand parts.
    Breaks(u64),
    /// The body ends there, against the declared length.
    EndsEarly(u64),
    /// The body panics there.
    BodyPanics(u64),
}

impl Mood {
    const fn of(class: Class, random: &mut Random) -> Self {
        if !matches!(class, Class::Shaky) {
            return Self::Well;
        }
        let part = random.below(1000);
        match random.below(2000) {
            0 => Self::Hangs,
            1..150 => Self::Down,
            150..200 => Self::Panics,
            200..400 => Self::ServerError,
            400..700 => Self::Breaks(part),
            700..800 => Self::EndsEarly(part),
            800..850 => Self::BodyPanics(part),
            _ => Self::Well,
        }
    }
}

/// What tells answers of one path apart: the language, the caller or the request's body.
fn variant(class: Class, headers: &HeaderMap, body: &[u8]) -> String {
    let field = |name| headers.get(name).map(|value| value.as_bytes()).unwrap_or_default();
    let bytes = match class {
        Class::Varied => field(ACCEPT_LANGUAGE.as_str()),
        Class::Private => field(CALLER),
        Class::Search => body,
        _ => &[],
    };
    String::from_utf8_lossy(bytes).into_owned()
}

/// Answers a request.
pub(crate) async fn answer(
    request: Request<RequestBody<Full<Bytes>>>,
    mut random: Random,
) -> Result<Response<Streamed>, Down> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let class = Class::of(path).ok_or(Down)?;
    let body = body.collect().await.map_err(|never: Infallible| match never {})?.to_bytes();
    let truth = Truth::new(class, path, &variant(class, &parts.headers, &body));

    let mood = match Mood::of(class, &mut random) {
        // Only a fill has a time limit of the cache's; past it, limits are the service's own.
        Mood::Hangs if parts.method == Method::HEAD || parts.headers.contains_key(RANGE) => Mood::Well,
        mood => mood,
    };
    if class == Class::Slow || random.once_in(50) {
        tokio::time::sleep(Duration::from_millis(random.below(20))).await;
    }
    match mood {
        Mood::Down => return Err(Down),
        Mood::Panics => panic!("{PANIC}"),
        Mood::Hangs => pending().await,
        _ => {}
    }

    let mut response = Response::builder().status(truth.status).header(Truth::FIELD, truth.mark());
    response = match class {
        Class::Brief => response.header(CACHE_CONTROL, format!("max-age={}", BRIEF.as_secs())),
        Class::Varied => response.header(VARY, "accept-language"),
        Class::Private if random.once_in(2) => response.header(SET_COOKIE, format!("key={}", truth.mark())),
        Class::Private => response.header(CACHE_CONTROL, "private"),
        _ => response,
    };
    if mood == Mood::ServerError {
        response = response.status(StatusCode::INTERNAL_SERVER_ERROR);
    }
    if matches!(mood, Mood::EndsEarly(_)) || random.once_in(2) {
        response = response.header(CONTENT_LENGTH, truth.length);
    }
    let body = match parts.method {
        // No server sends one, whatever the service gives.
        Method::HEAD => Full::default().map_err(|never| match never {}).boxed_unsync(),
        _ => stream(truth, mood, &mut random),
    };
    response.body(body).map_err(|_| Down)
}

/// How a body keeps its reader waiting before each frame.
#[derive(Clone, Copy)]
enum Pace {
    AtOnce,
    Yields,
    Sleeps,
}

fn stream(truth: Truth, mood: Mood, random: &mut Random) -> Streamed {
    let pace = match truth.class {
        Class::Slow => Pace::Sleeps,
        _ if random.once_in(2) => Pace::Yields,
        _ => Pace::AtOnce,
    };
    let part = |part: u64| truth.length * part as usize / 1000 / 8 * 8;
    let end = match mood {
        Mood::Breaks(at) | Mood::EndsEarly(at) | Mood::BodyPanics(at) => part(at),
        _ => truth.length,
    };
    if mood == Mood::Well && matches!(pace, Pace::AtOnce) && end <= FRAME {
        return Full::new(truth.bytes(0, end)).map_err(|never| match never {}).boxed_unsync();
    }
    let frames = stream::unfold(Some(0), move |position| {
        let truth = truth.clone();
        async move {
            let position = position?;
            match pace {
                Pace::AtOnce => {}
                Pace::Yields => tokio::task::yield_now().await,
                Pace::Sleeps => tokio::time::sleep(Duration::from_millis(1)).await,
            }
            let next = end.min(position + FRAME);
            if position < end {
                return Some((Ok(Frame::data(truth.bytes(position, next))), Some(next)));
            }
            match mood {
                Mood::Breaks(_) => Some((Err(Broken), None)),
                Mood::BodyPanics(_) => panic!("{PANIC}"),
                _ => None,
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}
