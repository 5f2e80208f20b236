//! Purges over HTTP: who may make them, what they say, and what is answered.
//!
//! ```text
//! authorize  who asks
//! order      what the request's body says
//! problem    answers that say what is wrong
//! audit      what the log keeps of it
//! handler    the service
//! ```

mod audit;
mod authorize;
mod handler;
mod order;
mod problem;

pub use self::authorize::{Authorize, BearerToken, Denied, TokenError};
pub use self::handler::{PurgeAnswer, PurgeHandler};
