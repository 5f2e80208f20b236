//! Figures of the shared tier's server, asked for at most once a second.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout};

use crate::store::{Breaker, Store, StoreError, StoreStatus};

/// How long an answer is good for, also a failure.
const PERIOD: Duration = Duration::from_secs(1);

/// How long a question may take: who asks for the stats of a frozen server shall have them soon all the same.
const LIMIT: Duration = Duration::from_millis(250);

/// The longest error text that is shown, bytes.
const MAX_ERROR: usize = 200;

/// What the server said, or why it didn't.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figures {
    /// The figures; the error is fit to be shown.
    pub(super) status: Result<StoreStatus, String>,
    /// When the answer came.
    at: Instant,
}

/// A question that is being asked, or was answered.
struct Question {
    answer: Shared<BoxFuture<'static, Figures>>,
    asked: Instant,
}

impl Question {
    /// Whether those who come now may share it. One that all callers left isn't polled any more, and must end too.
    fn holds(&self, now: Instant) -> bool {
        let end = match self.answer.peek() {
            Some(figures) => figures.at + PERIOD,
            None => self.asked + LIMIT + PERIOD,
        };
        now < end
    }
}

/// The figures of a store's server.
pub(crate) struct ServerFigures {
    store: Arc<dyn Store>,
    breaker: Arc<Breaker>,
    question: Mutex<Option<Question>>,
}

impl ServerFigures {
    /// Figures of `store`, which isn't asked while `breaker` is open. Nothing is asked yet.
    pub(crate) fn new(store: Arc<dyn Store>, breaker: Arc<Breaker>) -> Self {
        Self { store, breaker, question: Mutex::new(None) }
    }

    /// The figures, seldom more than a second old. Waits a quarter of a second at most.
    ///
    /// All who come while a question is open share it, and a caller who hangs up leaves it to the others: whatever the
    /// request rate, the server is asked at most once a second.
    pub(crate) async fn latest(&self) -> Figures {
        match self.breaker.cause() {
            Some(cause) => {
                let error = format!("the circuit breaker is open: {}", fit(cause));
                Figures { status: Err(error), at: Instant::now() }
            }
            None => self.question().await,
        }
    }

    fn question(&self) -> Shared<BoxFuture<'static, Figures>> {
        let now = Instant::now();
        let mut slot = self.question.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(question) = slot.as_ref().filter(|question| question.holds(now)) {
            return question.answer.clone();
        }
        let answer = ask(Arc::clone(&self.store)).boxed().shared();
        *slot = Some(Question { answer: answer.clone(), asked: now });
        answer
    }
}

impl fmt::Debug for ServerFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerFigures").finish_non_exhaustive()
    }
}

async fn ask(store: Arc<dyn Store>) -> Figures {
    let status = match timeout(LIMIT, store.status()).await {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(StoreError::Unavailable)) => {
            Err(store.last_error().map_or_else(|| shown(&StoreError::Unavailable), fit))
        }
        Ok(Err(error)) => Err(shown(&error)),
        Err(_) => Err(shown(&StoreError::Timeout)),
    };
    Figures { status, at: Instant::now() }
}

/// An error's text, fit for anybody who may see the stats.
fn shown(error: &StoreError) -> String {
    fit(error.to_string())
}

/// A text with a URL in it may hold credentials, whoever wrote the store; of such a one only the kind is left.
pub(super) fn fit(mut text: String) -> String {
    if text.contains('@') || text.contains("://") {
        text.truncate(text.find(':').unwrap_or(0));
    }
    if text.len() > MAX_ERROR {
        let end = (0..=MAX_ERROR).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::advance;

    use super::*;
    use crate::stats::testing::{Answer, Scripted};

    fn figures(store: &Arc<Scripted>) -> ServerFigures {
        let store = Arc::clone(store) as Arc<dyn Store>;
        ServerFigures::new(Arc::clone(&store), Breaker::new(store, LIMIT))
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_requests_in_a_second_are_one_question() {
        let store = Scripted::new(Answer::Keys(7));
        let server = figures(&store);
        for _ in 0..10_000 {
            assert_eq!(server.latest().await.status.unwrap().keys, Some(7));
            advance(Duration::from_micros(99)).await;
        }
        assert_eq!(store.asked(), 1);
        advance(Duration::from_millis(10)).await;
        server.latest().await;
        assert_eq!(store.asked(), 2, "a second later it is asked again");
    }

    #[tokio::test(start_paused = true)]
    async fn callers_at_once_share_a_question() {
        let store = Scripted::new(Answer::KeysAfter(7, LIMIT / 2));
        let server = figures(&store);
        let answers = join_all((0..100).map(|_| server.latest())).await;
        assert!(answers.iter().all(|figures| figures.status.as_ref().is_ok_and(|s| s.keys == Some(7))));
        assert_eq!(store.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_hangs_up_does_not_cost_another_question() {
        let store = Scripted::new(Answer::KeysAfter(7, LIMIT / 2));
        let server = figures(&store);
        for _ in 0..10 {
            let left = timeout(Duration::from_millis(1), server.latest()).await;
            assert!(left.is_err());
        }
        assert_eq!(server.latest().await.status.unwrap().keys, Some(7));
        assert_eq!(store.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_everybody_left_is_asked_anew() {
        let store = Scripted::new(Answer::KeysAfter(7, LIMIT / 2));
        let server = figures(&store);
        assert!(timeout(Duration::from_millis(1), server.latest()).await.is_err());
        advance(LIMIT + PERIOD).await;
        assert_eq!(server.latest().await.status.unwrap().keys, Some(7));
        assert_eq!(store.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_costs_a_quarter_of_a_second_and_is_left_alone_for_one() {
        let store = Scripted::new(Answer::Never);
        let server = figures(&store);
        let started = Instant::now();
        assert_eq!(server.latest().await.status, Err("timed out".to_owned()));
        assert!(started.elapsed() <= Duration::from_millis(252), "{:?}", started.elapsed());
        let started = Instant::now();
        for _ in 0..100 {
            server.latest().await;
        }
        assert_eq!((started.elapsed(), store.asked()), (Duration::ZERO, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_server_is_asked_once_a_second_too() {
        let store = Scripted::new(Answer::Fails(StoreError::Unavailable));
        let server = figures(&store);
        for _ in 0..100 {
            assert_eq!(server.latest().await.status, Err("not connected".to_owned()));
        }
        assert_eq!(store.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_breaker_is_open_the_server_is_not_asked() {
        let store = Scripted::new(Answer::Keys(7));
        let server = figures(&store);
        for _ in 0..5 {
            let leave = server.breaker.admit().unwrap();
            let error = StoreError::Connection("redis://u:s3cret@h failed".to_owned());
            server.breaker.report(leave, Err(&error));
        }
        let told = Err("the circuit breaker is open: connection".to_owned());
        for _ in 0..10 {
            assert_eq!(server.latest().await.status, told);
            advance(PERIOD).await;
        }
        assert_eq!(store.asked(), 0);
    }

    #[test]
    fn error_texts_keep_no_url_and_stay_short() {
        let text = |detail: &str| shown(&StoreError::Connection(detail.to_owned()));
        assert_eq!(
            text("Connection refused (os error 111)"),
            "connection: Connection refused (os error 111)"
        );
        assert_eq!(text("redis://u:s3cret@h failed"), "connection");
        assert_eq!(text("u:s3cret@h failed"), "connection");
        assert!(text(&"é".repeat(500)).len() <= MAX_ERROR);
    }
}
