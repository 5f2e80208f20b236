//! Flights: one fill a key, whoever asks and whoever hangs up.
//!
//! The fill is a detached task. Its [`Lead`] announces the end; every request that waits for it holds a [`Waiter`].
//! The map isn't generic: what can't be cloned (the response, the error, a panic) goes to the first caller alone.

mod context;
mod fill;
mod head;
mod lease;
mod map;
mod part;
mod recent;
mod record;
mod recorded;
mod settle;
mod sync;
mod uses;

use std::sync::Arc;

use http::HeaderName;

pub(crate) use self::context::{Context, throttle};
pub(crate) use self::fill::{Failure, Fill, First};
pub(crate) use self::head::is_error;
pub(crate) use self::map::{Flights, Joined, Lead, Waiter};
pub(crate) use self::recent::Recent;
pub(crate) use self::uses::Uses;

use crate::entry::Entry;
use crate::policy::Refusal;

/// How a fill ended, as its followers see it.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The response is an entry.
    Stored(Filled),
    /// The response can't be stored.
    Refused(Refusal),
    /// The inner service failed, or its body did.
    Failed,
    /// The inner service panicked, or its body did.
    Panicked,
    /// The fill was dropped before its end.
    Aborted,
}

/// An entry and the request fields that chose it among the resource's variants.
#[derive(Clone, Debug)]
pub(crate) struct Filled {
    pub(crate) entry: Arc<Entry>,
    pub(crate) fields: Arc<[HeaderName]>,
}
