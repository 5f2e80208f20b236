//! Connections of their own, which wait.

use super::*;

#[tokio::test]
async fn a_wait_ends_with_the_next_entry_or_its_time() {
    let redis = RedisServer::start();
    for protocol in ["", "?protocol=resp3"] {
        redis.cli(&["FLUSHALL"]);
        let store = with_journal(format!("{}{protocol}", redis.url())).await;
        let mut tail = journal(&store).tail().await.unwrap();
        assert!(tail.wait(JournalId::ZERO, SECOND).await.unwrap(), "there is one");
        let mut last = journal(&store).range(JournalId::ZERO, 10).await.unwrap()[0].id;
        let mut waits = Vec::new();
        for round in 0..20 {
            let (sent, heard) = {
                let appended = async {
                    eventually("a client waits", || clients(&redis, "flags").contains(&"b".to_owned())).await;
                    let sent = Instant::now();
                    (append(&store, &round.to_string(), EXISTING).await.unwrap(), sent)
                };
                let heard = async {
                    let came = tail.wait(last, SOON).await.unwrap();
                    (came, Instant::now())
                };
                let ((id, sent), (came, heard)) = tokio::join!(appended, heard);
                assert!(came);
                last = id;
                (sent, heard)
            };
            waits.push(heard - sent);
        }
        waits.sort();
        println!("woken by an entry in {:?} (median), {:?} (longest)", waits[10], waits[19]);
        assert!(waits[10] < Duration::from_millis(100));
        let start = Instant::now();
        assert!(!tail.wait(last, Duration::from_millis(50)).await.unwrap());
        assert!(start.elapsed() >= Duration::from_millis(45) && start.elapsed() < SECOND);
        // A time of nothing isn't for ever.
        assert!(!timeout(SOON, tail.wait(last, Duration::ZERO)).await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn a_wait_that_was_dropped_holds_nothing_up_for_longer_than_itself() {
    let redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    let last = journal(&store).range(JournalId::ZERO, 1).await.unwrap()[0].id;
    let wait = Duration::from_millis(1500);
    assert!(timeout(Duration::from_millis(50), tail.wait(last, wait)).await.is_err());
    let start = Instant::now();
    assert_eq!(tail.head().await.unwrap().unwrap(), "first");
    assert!(start.elapsed() > SECOND, "{:?}: beyond the limit of a reply by itself", start.elapsed());
}

#[tokio::test]
async fn a_silent_server_ends_a_wait_by_its_time() {
    let redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    let last = journal(&store).range(JournalId::ZERO, 1).await.unwrap()[0].id;
    redis.pause();
    let start = Instant::now();
    let outcome = tail.wait(last, Duration::from_millis(100)).await;
    assert!(matches!(outcome, Err(StoreError::Timeout)), "{outcome:?}");
    let took = start.elapsed();
    assert!(took >= SECOND && took < SECOND * 4, "{took:?}");
    assert!(matches!(tail.head().await, Err(StoreError::Timeout)));
    assert!(journal(&store).head().await.is_err());
    redis.resume();
}

#[tokio::test]
async fn a_suspended_store_has_no_tail() {
    let redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    let waiting = tokio::spawn(async move { tail.wait(JournalId::new(u64::MAX, 0), SOON).await });
    eventually("it waits", || clients(&redis, "flags").contains(&"b".to_owned())).await;
    store.suspend(true);
    let outcome = timeout(SECOND * 2, waiting).await.expect("at once").unwrap();
    assert!(matches!(outcome, Err(StoreError::Unavailable)), "{outcome:?}");
    let mut opening = std::pin::pin!(journal(&store).tail());
    assert!(timeout(Duration::from_millis(50), &mut opening).await.is_err(), "it pends");
    store.suspend(false);
    assert!(opening.await.unwrap().head().await.is_ok());
}

#[tokio::test]
async fn a_wait_ends_when_its_server_becomes_a_replica() {
    let redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    let waiting = tokio::spawn(async move { tail.wait(JournalId::new(u64::MAX, 0), SOON).await });
    eventually("it waits", || clients(&redis, "flags").contains(&"b".to_owned())).await;
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let outcome = timeout(SOON / 2, waiting).await.expect("before its time").unwrap();
    assert_eq!(text(outcome), "server: UNBLOCKED: the server became a replica");
}

#[tokio::test]
async fn a_tail_without_a_server_or_a_password_is_an_error_in_time() {
    let redis = RedisServer::with_args(&["--requirepass", "hunter2"]);
    let no_password = open(&config(format!("redis://127.0.0.1:{}", redis.port())));
    let error = text(journal(&no_password).tail().await.map(|tail| tail.server().to_owned()));
    assert_eq!(error, "server: NOAUTH: the server asks for a password");
    let wrong = open(&config(format!("redis://:hunter3@127.0.0.1:{}", redis.port())));
    let error = text(journal(&wrong).tail().await.map(drop));
    assert!(error.starts_with("server: WRONGPASS") && !error.contains("hunter"), "{error}");

    let silent = FakeRedis::silent();
    let mut settings = config(silent.url());
    settings.connect_timeout = SECOND;
    let store = open(&settings);
    let outcome = timeout(SOON, journal(&store).tail()).await.expect("in time").map(drop);
    assert!(matches!(outcome, Err(StoreError::Timeout)), "{outcome:?}");
}

#[tokio::test]
async fn a_tail_is_one_connection_beside_the_pool() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    eventually("every lane", || store.pool().connections_created == 3).await;
    let lanes = clients(&redis, "id").len();
    let tail = journal(&store).tail().await.unwrap();
    assert_eq!((clients(&redis, "id").len(), store.pool().connections_created), (lanes + 1, 3));
    drop(tail);
    eventually("it is closed", || clients(&redis, "id").len() == lanes).await;
}

#[tokio::test]
async fn the_documented_acl_rule_is_enough_for_the_journal() {
    let redis = RedisServer::start();
    let store = RedisStore::new(&config(documented_user(&redis)), "tqc").unwrap();
    store.ready().await.unwrap();
    let mut tail = journal(&store).tail().await.unwrap();
    assert_eq!(tail.server(), identity(&redis));
    journal(&store).trust(Some(tail.server()));
    for mode in [AppendMode::Create, EXISTING, AppendMode::Replace] {
        assert!(append(&store, "x", mode).await.is_some());
        assert!(tail.append(&entry("y", mode)).await.unwrap().id.is_some());
    }
    assert!(tail.wait(JournalId::ZERO, SECOND).await.unwrap());
    assert_eq!(names(&store, JournalId::ZERO).await, ["y"]);
    assert_eq!(journal(&store).head().await.unwrap().unwrap(), "y");
    assert_eq!(redis.cli(&["ACL", "LOG"]), "", "nothing was refused");
}
