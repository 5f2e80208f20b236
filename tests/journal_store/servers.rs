//! Which server it is, and what it lets its users do.

use super::*;

#[tokio::test]
async fn a_server_is_another_one_after_a_restart() {
    let mut redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    let before = tail.server().to_owned();
    assert_eq!(before, identity(&redis));
    assert_eq!(journal(&store).append(&entry("x", EXISTING)).await.unwrap().server, before);
    journal(&store).trust(Some(&before));
    store.set(&key(0), value(1), SOON).await.unwrap();

    redis.restart();
    assert!(tail.head().await.is_err());
    // The lanes lead to it, and nothing goes over them.
    let count = || redis.cli(&["INFO", "commandstats"]);
    eventually_async("lanes are up and not given out", || async {
        let refused = matches!(store.get(&key(0)).await, Err(StoreError::Unavailable));
        refused && store.last_error().is_none() && store.pool().connections_created == 3
    })
    .await;
    assert!(matches!(store.set(&key(0), value(1), SOON).await, Err(StoreError::Unavailable)));
    assert!(matches!(journal(&store).head().await, Err(StoreError::Unavailable)));
    assert!(matches!(journal(&store).range(JournalId::ZERO, 1).await, Err(StoreError::Unavailable)));
    let refused = journal(&store).append(&entry("x", AppendMode::Create)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable)), "{refused:?}");
    let leases = store.leases().unwrap();
    assert!(matches!(leases.acquire(&key(0), SOON).await, Err(StoreError::Unavailable)));
    for command in ["get", "set", "xadd", "xrange"] {
        assert!(!count().contains(&format!("cmdstat_{command}:")), "{}", count());
    }
    // It isn't a failure that opens the circuit breaker, and these go on.
    assert_eq!(store.last_error(), None);
    store.ready().await.unwrap();
    store.probe().await.unwrap();
    assert_eq!(store.status().await.unwrap().keys, Some(0));

    let mut tail = journal(&store).tail().await.unwrap();
    assert_ne!(tail.server(), before);
    assert!(tail.append(&entry("anew", AppendMode::Create)).await.unwrap().id.is_some());
    journal(&store).trust(Some(&identity(&redis)));
    assert_eq!(names(&store, JournalId::ZERO).await, ["anew"]);
    assert_eq!(store.get(&key(0)).await.unwrap(), None);
    assert!(!tail.wait(JournalId::new(u64::MAX, 0), Duration::from_millis(1)).await.unwrap());
}

#[tokio::test]
async fn lanes_to_a_server_that_is_not_trusted_are_not_used_and_end_the_tails() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let proxy = Proxy::start(old.port());
    let store = with_journal(proxy.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    journal(&store).trust(Some(tail.server()));
    eventually("every lane", || store.pool().connections_created == 3).await;
    assert_eq!(names(&store, JournalId::ZERO).await, ["first"]);

    let wait = tokio::spawn(async move {
        let outcome = tail.wait(JournalId::new(u64::MAX, 0), SOON).await;
        (outcome, tail)
    });
    eventually("it waits", || clients(&old, "flags").contains(&"b".to_owned())).await;
    // The lanes alone break, all that aren't waiting. The next request finds out.
    proxy.switch(new.port());
    for (id, flags) in clients(&old, "id").iter().zip(clients(&old, "flags")) {
        if flags != "b" {
            old.cli(&["CLIENT", "KILL", "ID", id]);
        }
    }
    let started = Instant::now();
    assert!(store.get(&key(0)).await.is_err());
    let (outcome, mut tail) = timeout(SOON, wait).await.expect("the tail ends").unwrap();
    println!("a tail ends {:?} after the lanes broke", started.elapsed());
    assert!(matches!(outcome, Err(StoreError::Unavailable)), "{outcome:?}");
    assert!(matches!(tail.head().await, Err(StoreError::Unavailable)), "and stays so");

    eventually("every lane", || store.last_error().is_none() && store.pool().connections_created == 3).await;
    new.cli(&["SET", &support::store::name_of_key_0(), "value"]);
    assert!(matches!(store.get(&key(0)).await, Err(StoreError::Unavailable)));
    // Whoever is trusted next: lanes to others are made anew.
    let mut tail = journal(&store).tail().await.unwrap();
    assert_eq!(tail.server(), identity(&new));
    let looking = Instant::now();
    assert_eq!(tail.head().await.unwrap(), None);
    journal(&store).trust(Some(tail.server()));
    assert_eq!(store.get(&key(0)).await.unwrap().unwrap(), "value");
    println!("and the new server is used {:?} after it was looked at", looking.elapsed());

    journal(&store).trust(Some(&identity(&old)));
    assert!(matches!(store.get(&key(0)).await, Err(StoreError::Unavailable)));
    proxy.switch(old.port());
    journal(&store).trust(Some(&identity(&old)));
    eventually_async("lanes to the old one", || async { store.get(&key(0)).await.is_ok() }).await;
    assert_eq!(names(&store, JournalId::ZERO).await, ["first"]);
    journal(&store).trust(None);
    assert_eq!(store.get(&key(0)).await.unwrap(), None);
}

#[tokio::test]
async fn users_without_rights_are_told_so_and_may_lack_the_wait() {
    let redis = RedisServer::start();
    let user = |rules: &[&str]| {
        let command = [&["ACL", "SETUSER", "cache", "reset", "on", ">secret", "~*"], rules].concat();
        assert_eq!(redis.cli(&command), "OK");
        open(&patient(redis.url().replace("redis://", "redis://cache:secret@")))
    };
    let no_right = "server: NOPERM: the user may not do this";
    let commands = ["+@all", "-xadd"];
    let store = user(&commands);
    store.ready().await.unwrap();
    assert_eq!(text(journal(&store).append(&entry("x", AppendMode::Create)).await), no_right);
    assert_eq!(redis.cli(&["EXISTS", STREAM, HEAD]), "0", "nothing of the transaction was done");
    let store = user(&["+@all", "-xrange", "-get"]);
    store.ready().await.unwrap();
    assert_eq!(text(journal(&store).range(JournalId::ZERO, 1).await), no_right);
    assert_eq!(text(journal(&store).head().await), no_right);
    let store = user(&["+@all", "-multi", "-exec"]);
    store.ready().await.unwrap();
    assert_eq!(text(journal(&store).append(&entry("x", AppendMode::Create)).await), no_right);

    let store = user(&["+@all", "-@blocking"]);
    let mut tail = journal(&store).tail().await.unwrap();
    let refused = tail.wait(JournalId::ZERO, SECOND).await;
    assert!(matches!(refused, Err(StoreError::Unsupported(_))), "{refused:?}");
    tail.append(&entry("x", AppendMode::Create)).await.unwrap().id.expect("the tail goes on");

    let store = user(&["+@all", "-info"]);
    store.ready().await.unwrap();
    let tail = journal(&store).tail().await.unwrap();
    assert_eq!(tail.server(), "");
    journal(&store).trust(Some(""));
    append(&store, "y", EXISTING).await.expect("all servers are alike");
}

#[tokio::test]
async fn servers_without_streams_are_told_from_others() {
    for (reply, unsupported) in [
        ("-ERR unknown command 'XADD', with args beginning with: 'secret'\r\n", true),
        ("-ERR Unknown or disabled command 'secret'\r\n", true),
        ("-ERR something else about a secret\r\n", false),
    ] {
        let server = FakeRedis::answering(reply);
        let store = open(&patient(server.url()));
        store.ready().await.unwrap();
        let mut tail = journal(&store).tail().await.unwrap();
        let outcomes = [
            journal(&store).append(&entry("x", EXISTING)).await.map(drop),
            journal(&store).range(JournalId::ZERO, 1).await.map(drop),
            tail.range(JournalId::ZERO, 1).await.map(drop),
            tail.append(&entry("x", EXISTING)).await.map(drop),
        ];
        for outcome in outcomes {
            assert_eq!(matches!(outcome, Err(StoreError::Unsupported(_))), unsupported, "{outcome:?}");
            assert!(!text(outcome).contains("secret"));
        }
    }
}
