//! The rules of RFC 9111 and its kin, case by case, on the wire: the example gateway as a process of its own, a scripted
//! origin behind it and a client in front, both with raw sockets.
//!
//! Each family of rules runs in the gateway's memory, in Redis, in both, and on two gateways with one Redis that take a case's
//! requests by turns. A case's failure doesn't end the others; all are named at the end. `RFC9111_CASE=part` runs only
//! the cases whose names contain the part.

#[path = "../support/mod.rs"]
mod support;

mod template;
mod message;
mod answer;
mod case;
mod client;
mod origin;
mod wire;
mod check;
mod gateway;
mod run;
mod cases;
mod harness;
mod mixed;

/// A test for every tier.
macro_rules! families {
    ($($family:ident)+) => {
        $(mod $family {
            use crate::cases::$family::cases;
            use crate::gateway::Tier;
            use crate::run::run;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_memory() {
                run(stringify!($family), cases(), Tier::Memory).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_redis() {
                run(stringify!($family), cases(), Tier::Redis).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_memory_and_redis() {
                run(stringify!($family), cases(), Tier::Both).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_two_gateways() {
                run(stringify!($family), cases(), Tier::Two).await;
            }
        })+

        /// Every case of every family.
        fn all() -> Vec<case::Case> {
            [$(cases::$family::cases()),+].into_iter().flatten().collect()
        }
    };
}

families! {
    storing
    fields
    vary
    freshness
    dates
    age
    stale
    validation
    second_call
    conditionals
    ranges
    partial
    completion
    untouched
    invalidation
    requests
    targeted
    methods
    bursts
    uris
    messages
    updates
    late
    status
}
