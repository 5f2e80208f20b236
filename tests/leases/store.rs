//! Leases of a `RedisStore` by themselves: who has one, who may write, and by which commands.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::time::timeout;
use tower_query_cache::{Key, Lease, Leases, RedisStore, Store};

use crate::held;
use crate::support::store::{
    LIFE, clients, config, connected, documented_user, key, name_of_key_0, open, patient, value,
};
use crate::support::{FakeRedis, RedisServer, eventually, eventually_async};

const KEY: Key = Key::from_bytes([0; 32]);

const MOMENT: Duration = Duration::from_millis(1);

fn leases(store: &RedisStore) -> &dyn Leases {
    store.leases().expect("a Redis store has leases")
}

/// Takes the lease of `KEY`, once whoever had it before has lost it.
async fn take(store: &RedisStore, life: Duration) -> Lease {
    let mut lease = None;
    let taken = async {
        while lease.is_none() {
            lease = leases(store).acquire(&KEY, life).await.unwrap();
        }
    };
    timeout(Duration::from_secs(10), taken).await.expect("the lease is free some time");
    lease.unwrap()
}

/// Waits until a lease of `KEY` has run out.
async fn gone(redis: &RedisServer) {
    eventually("the lease runs out", || held(redis).is_empty()).await;
}

#[tokio::test]
async fn one_holder_at_a_time_and_only_it_gives_back() {
    let redis = RedisServer::start();
    let (one, two) = (connected(&redis).await, connected(&redis).await);
    let mine = leases(&one).acquire(&KEY, LIFE).await.unwrap().expect("nobody has it");
    assert_eq!(leases(&two).acquire(&KEY, LIFE).await.unwrap(), None);
    assert_eq!(leases(&one).acquire(&KEY, LIFE).await.unwrap(), None, "nor twice by one store");
    assert!(leases(&two).acquire(&key(1), LIFE).await.unwrap().is_some(), "another key's");
    let name = format!("{{{}}}:l", name_of_key_0());
    assert!(held(&redis).contains(&name), "{:?}", held(&redis));

    let theirs = Lease::new(Bytes::from_static(&[b'7'; 22]));
    for wrong in [theirs, Lease::new([mine.as_bytes(), b"12345678"].concat()[1..].to_vec().into())] {
        leases(&two).release(&KEY, &wrong).await.unwrap();
        assert!(held(&redis).contains(&name), "a wrong token gave it back");
    }
    assert!(leases(&two).release(&KEY, &Lease::new(Bytes::from_static(b"short"))).await.is_err());
    leases(&two).release(&KEY, &mine).await.unwrap();
    assert!(!held(&redis).contains(&name));
    let next = leases(&two).acquire(&KEY, LIFE).await.unwrap().expect("it is free");
    assert_ne!(next, mine);
}

#[tokio::test]
async fn no_two_tokens_are_alike() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    let mut tokens = std::collections::HashSet::new();
    for number in 0..200 {
        let lease = leases(&store).acquire(&key(number), LIFE).await.unwrap().unwrap();
        assert_eq!(lease.as_bytes().len(), 22, "nothing stood there");
        tokens.insert(lease.as_bytes().to_vec());
    }
    assert_eq!(tokens.len(), 200);
}

#[tokio::test]
async fn a_commit_puts_the_value_and_gives_back_in_one_step() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    for size in [1, 100_000] {
        let lease = take(&store, LIFE).await;
        assert!(leases(&store).commit(&KEY, &lease, value(size), LIFE).await.unwrap());
        assert_eq!(store.get(&KEY).await.unwrap(), Some(value(size)));
        let left: i64 = redis.cli(&["PTTL", &name_of_key_0()]).parse().unwrap();
        assert!(left > 0 && left <= 60_000, "{left}");
        assert_eq!(held(&redis).len(), 0);
    }
}

#[tokio::test]
async fn whoever_lost_a_lease_overwrites_nothing_that_came_meanwhile() {
    let redis = RedisServer::start();
    let (slow, quick) = (connected(&redis).await, connected(&redis).await);
    let (old, new) = (Bytes::from_static(b"old value"), Bytes::from_static(b"new value"));

    // Another has the lease now.
    let lost = take(&slow, MOMENT).await;
    let current = take(&quick, LIFE).await;
    assert!(!leases(&slow).commit(&KEY, &lost, old.clone(), LIFE).await.unwrap());
    assert_eq!(slow.get(&KEY).await.unwrap(), None);
    leases(&slow).release(&KEY, &lost).await.unwrap();
    assert_eq!(held(&redis).len(), 1, "nor does it give back what is the other's");

    // Another had it, and has put its value.
    assert!(leases(&quick).commit(&KEY, &current, new.clone(), LIFE).await.unwrap());
    assert!(!leases(&slow).commit(&KEY, &lost, old.clone(), LIFE).await.unwrap());
    assert_eq!(slow.get(&KEY).await.unwrap(), Some(new));

    // Nobody had it, and all is as it was: over a value, and over none.
    for before in ["a value", ""] {
        if before.is_empty() {
            slow.remove(&KEY).await.unwrap();
        }
        let lost = take(&slow, MOMENT).await;
        gone(&redis).await;
        assert!(leases(&slow).commit(&KEY, &lost, old.clone(), LIFE).await.unwrap(), "{before:?}");
        assert_eq!(slow.get(&KEY).await.unwrap(), Some(old.clone()));
    }

    // What stood there is gone: that was somebody's doing too.
    let lost = take(&slow, MOMENT).await;
    gone(&redis).await;
    slow.remove(&KEY).await.unwrap();
    assert!(!leases(&slow).commit(&KEY, &lost, old, LIFE).await.unwrap());
}

#[tokio::test]
async fn a_commit_wakes_who_waits_for_its_key_and_nobody_else() {
    let redis = RedisServer::start();
    let (holder, waiter) = (connected(&redis).await, connected(&redis).await);
    let soon = Duration::from_secs(10);
    timeout(soon, leases(&waiter).given_back(&KEY)).await.expect("the subscription's connect wakes");
    let other = key(1);
    for round in 1..=3 {
        let lease = take(&holder, LIFE).await;
        let mut given_back = leases(&waiter).given_back(&KEY);
        let theirs = leases(&holder).acquire(&other, LIFE).await.unwrap().unwrap();
        let woken = leases(&waiter).given_back(&other);
        assert!(leases(&holder).commit(&other, &theirs, value(round), LIFE).await.unwrap());
        timeout(soon, woken).await.expect("a wake-up by the other key's commit");
        assert!((&mut given_back).now_or_never().is_none(), "which is nothing to this one");
        assert!(leases(&holder).commit(&KEY, &lease, value(round), LIFE).await.unwrap());
        timeout(soon, given_back).await.expect("a wake-up by the commit");
    }
}

#[tokio::test]
async fn the_way_to_give_back_is_found_out_once() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    redis.cli(&["CONFIG", "RESETSTAT"]);
    for _ in 0..5 {
        let lease = take(&store, LIFE).await;
        leases(&store).release(&KEY, &lease).await.unwrap();
        assert_eq!(held(&redis).len(), 0);
    }
    let errors = redis.cli(&["INFO", "errorstats"]);
    let unknown = errors.split("errorstat_ERR:count=").nth(1).map_or("0", str::trim);
    let unknown: usize = unknown.lines().next().unwrap().parse().unwrap();
    println!("5 leases given back: {unknown} commands that the server doesn't know");
    assert!(unknown <= 2, "{errors}");
}

#[tokio::test]
async fn a_native_command_is_used_where_the_server_has_it() {
    let server = FakeRedis::answering(":1\r\n");
    let store = open(&patient(server.url()));
    store.ready().await.unwrap();
    let lease = Lease::new(Bytes::from_static(b"twenty-two bytes and .12345678"));
    leases(&store).release(&KEY, &lease).await.unwrap();
    let name = format!("{{{}}}:l", name_of_key_0());
    let commands = server.commands();
    let sent =
        |first: &str| commands.iter().filter(|command| command[0] == first).cloned().collect::<Vec<_>>();
    assert_eq!(sent("DELEX"), [vec!["DELEX", &name, "IFEQ", "twenty-two bytes and ."]]);
    assert_eq!(sent("PUBLISH").len(), 1);
    assert_eq!(sent("PUBLISH")[0][1], "test:v1:w");
    assert_eq!((sent("EVAL").len(), sent("GET").len()), (0, 0));
}

#[tokio::test]
async fn nothing_is_published_for_a_lease_that_was_lost() {
    let server = FakeRedis::answering(":0\r\n");
    let store = open(&patient(server.url()));
    store.ready().await.unwrap();
    leases(&store).release(&KEY, &Lease::new(Bytes::from_static(&[b'1'; 22]))).await.unwrap();
    assert!(server.commands().iter().all(|command| command[0] != "PUBLISH"));
}

#[tokio::test]
async fn a_server_that_refuses_scripts_stores_all_the_same() {
    let redis = RedisServer::start();
    let rights = ["~*", "&*", "+get", "+set", "+unlink", "+ping", "+getrange", "+publish", "+subscribe"];
    let user: Vec<_> = ["ACL", "SETUSER", "cache", "on", ">secret"].into_iter().chain(rights).collect();
    assert_eq!(redis.cli(&user), "OK");
    let store = open(&patient(redis.url().replace("redis://", "redis://cache:secret@")));
    store.ready().await.unwrap();
    let waiter = connected(&redis).await;
    for round in 0..2 {
        let lease = take(&store, LIFE).await;
        let given_back = leases(&waiter).given_back(&KEY);
        assert!(leases(&store).commit(&KEY, &lease, value(round + 1), LIFE).await.unwrap());
        assert_eq!(store.get(&KEY).await.unwrap(), Some(value(round + 1)));
        assert_eq!(held(&redis).len(), 0);
        timeout(Duration::from_secs(10), given_back).await.expect("a wake-up");
    }
    let lease = take(&store, LIFE).await;
    leases(&store).release(&KEY, &Lease::new(Bytes::from_static(&[b'7'; 22]))).await.unwrap();
    assert_eq!(held(&redis).len(), 1);
    leases(&store).release(&KEY, &lease).await.unwrap();
    assert_eq!(held(&redis).len(), 0);
}

#[tokio::test]
async fn the_documented_acl_rule_is_enough_for_leases() {
    let redis = RedisServer::start();
    let store = RedisStore::new(&config(documented_user(&redis)), "tqc").unwrap();
    store.ready().await.unwrap();

    let given_back = leases(&store).given_back(&KEY);
    eventually("a subscription", || redis.cli(&["PUBSUB", "NUMSUB", "tqc:v1:w"]).ends_with('1')).await;
    timeout(LIFE, given_back).await.expect("a wake-up by the connect");
    let lease = take(&store, LIFE).await;
    let given_back = leases(&store).given_back(&KEY);
    assert!(leases(&store).commit(&KEY, &lease, value(1), LIFE).await.unwrap());
    timeout(LIFE, given_back).await.expect("a wake-up by the commit");
    let lease = take(&store, LIFE).await;
    assert_eq!(lease.as_bytes().len(), 23, "it has seen what stood there");
    let given_back = leases(&store).given_back(&KEY);
    leases(&store).release(&KEY, &lease).await.unwrap();
    timeout(LIFE, given_back).await.expect("a wake-up by the release");
    assert_eq!(held(&redis).len(), 0);
    let log = redis.cli(&["ACL", "LOG"]);
    assert_eq!(log, "", "nothing was refused");
}

#[tokio::test]
async fn the_subscription_is_one_connection_beside_the_pool_and_ends_with_the_store() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    eventually("every lane", || store.pool().connections_created == 3).await;
    let lanes = clients(&redis, "id").len();
    for number in 0..100 {
        drop(leases(&store).given_back(&key(number)));
    }
    eventually("a subscription", || clients(&redis, "sub").iter().any(|count| count == "1")).await;
    assert_eq!((clients(&redis, "id").len(), store.pool().connections_created), (lanes + 1, 3));
    drop(store);
    eventually_async("only the asking client is left", || async { clients(&redis, "id").len() == 1 }).await;
}
