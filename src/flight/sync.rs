//! What the flight map is synchronised by. It takes all of it from here, because the model tests compile the map with another
//! module in this one's place, which explores schedules.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic};

pub(crate) use tokio::sync::{Notify, watch};
