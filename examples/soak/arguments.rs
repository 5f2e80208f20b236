//! What the program is told on its command line.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// How to use it.
pub(crate) const USAGE: &str = "\
usage: soak [--seconds 60] [--clients 64] [--fault-seconds 3] [--seed N]

REDIS_URL names the server, which is left alone; without it one is started, and then frozen, killed, flushed and
cut off.";

/// The arguments.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    /// How long the traffic lasts. Default: 60 seconds.
    pub(crate) time: Duration,
    /// Requests at once. Default: 64.
    pub(crate) clients: usize,
    /// Time between faults. Default: 3 seconds.
    pub(crate) fault: Duration,
    /// What the traffic and the faults follow from. Default: another one each time.
    pub(crate) seed: u64,
}

impl Arguments {
    /// Reads the command line; the error tells what can't be used.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            time: Duration::from_secs(60),
            clients: 64,
            fault: Duration::from_secs(3),
            seed: RandomState::new().hash_one(()),
        };
        while let Some(name) = words.next() {
            let word = words.next().ok_or_else(|| format!("{name} has no value"))?;
            let number: u64 = word.parse().map_err(|_| format!("{name} {word}: not a whole number"))?;
            match (name.as_str(), number) {
                ("--seconds", 1..=86_400) => arguments.time = Duration::from_secs(number),
                ("--clients", 1..=4096) => arguments.clients = number as usize,
                ("--fault-seconds", 1..=3600) => arguments.fault = Duration::from_secs(number),
                ("--seed", _) => arguments.seed = number,
                ("--seconds" | "--clients" | "--fault-seconds", _) => {
                    return Err(format!("{name} {number} is out of range"));
                }
                _ => return Err(format!("{name} isn't known")),
            }
        }
        Ok(arguments)
    }
}
