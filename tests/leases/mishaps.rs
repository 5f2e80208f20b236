//! Leases over a Redis that is slow, full, or loses its subscribers.

use bytes::Bytes;
use tower_query_cache::{Lease, Policy, Store as _};

use crate::support::http::{ok, text};
use crate::support::site::MINUTE;
use crate::support::store::{config, key, open, patient};
use crate::support::{FakeRedis, RedisServer, eventually, eventually_async};
use crate::{LONG, Node, gets};

#[tokio::test]
async fn a_lease_that_was_granted_after_its_time_goes_back() {
    let redis = RedisServer::start();
    let (one, other) = (open(&config(redis.url())), open(&patient(redis.url())));
    one.ready().await.unwrap();
    other.ready().await.unwrap();
    redis.pause();
    let taken = one.leases().unwrap().acquire(&key(0), MINUTE).await;
    assert!(taken.is_err(), "{taken:?}");
    redis.resume();
    eventually_async("the lease is free", || async {
        other.leases().unwrap().acquire(&key(0), MINUTE).await.unwrap().is_some()
    })
    .await;
}

/// Redis 6.2 reports what goes wrong inside a script as an `ERR`, which newer ones keep for commands they don't know.
#[tokio::test]
async fn a_full_redis_6_2_does_not_end_fencing() {
    const FULL: &str = "-ERR Error running script (call to f_0): @user_script:5: @user_script: 5: -OOM command not allowed when used memory > 'maxmemory'.\r\n";
    let redis = FakeRedis::answering(FULL);
    let store = open(&patient(redis.url()));
    store.ready().await.unwrap();
    let leases = store.leases().unwrap();
    let lease = Lease::new(Bytes::from_static(&[b'A'; 22]));
    assert!(leases.commit(&key(0), &lease, "value".into(), MINUTE).await.is_err());
    redis.answer(Some(":1\r\n"));
    let before = redis.commands().len();
    assert!(leases.commit(&key(0), &lease, "value".into(), MINUTE).await.unwrap());
    let sent: Vec<_> = redis.commands()[before..].iter().map(|command| command[0].clone()).collect();
    assert_eq!(sent, ["EVAL"]);
}

#[tokio::test]
async fn subscriptions_that_break_send_no_waiter_to_the_origin_beside_a_live_holder() {
    let redis = RedisServer::start();
    let holder = Node::new(&redis, |_| ok("the holder's")).await;
    let policy = Policy::ttl(MINUTE).lease(LONG);
    let other = Node::with(patient(redis.url()), policy, |_| ok("own")).await;
    let first = holder.get("/a");
    holder.called(1).await;
    let second = other.get("/a");
    for _ in 0..3 {
        let listens = || redis.cli(&["CLIENT", "LIST", "TYPE", "PUBSUB"]).contains("sub=1");
        eventually("it listens", listens).await;
        redis.cli(&["CLIENT", "KILL", "TYPE", "PUBSUB"]);
    }
    // It goes on looking by itself.
    let before = gets(&redis);
    eventually("further looks", || gets(&redis) >= before + 6).await;
    assert!(!second.is_finished(), "it went on by itself");
    holder.open(1);
    assert_eq!(text(second.await.unwrap()).await, "the holder's");
    assert_eq!(text(first.await.unwrap()).await, "the holder's");
}
