//! What is appended and read.

use super::*;

#[tokio::test]
async fn entries_are_appended_with_the_head_and_read_in_order() {
    let redis = RedisServer::start();
    for protocol in ["", "?protocol=resp3"] {
        redis.cli(&["FLUSHALL"]);
        let store = open(&patient(format!("{}{protocol}", redis.url())));
        store.ready().await.unwrap();
        let mut tail = journal(&store).tail().await.unwrap();
        assert_eq!(journal(&store).head().await.unwrap(), None);
        assert_eq!(tail.head().await.unwrap(), None);
        assert_eq!(journal(&store).range(JournalId::ZERO, 10).await.unwrap(), []);

        // No journal, and none is made; the head changes all the same.
        let none = journal(&store).append(&entry("none", EXISTING)).await.unwrap();
        assert_eq!((none.id, none.server), (None, identity(&redis)));
        assert_eq!(redis.cli(&["EXISTS", STREAM]), "0");
        assert_eq!(tail.append(&entry("none", EXISTING)).await.unwrap().id, None);

        let first = append(&store, "first", AppendMode::Create).await.unwrap();
        let second = tail.append(&entry("second", EXISTING)).await.unwrap();
        assert!(second.id > Some(first));
        assert_eq!(second.server, tail.server());
        assert_eq!(journal(&store).head().await.unwrap().unwrap(), "second");
        assert_eq!(tail.head().await.unwrap().unwrap(), "second");
        assert_eq!(redis.cli(&["GET", HEAD]), "second");
        assert_eq!(names(&store, JournalId::ZERO).await, ["first", "second"]);
        assert_eq!(names(&store, second.id.unwrap()).await, ["second"]);
        assert_eq!(journal(&store).range(JournalId::ZERO, 1).await.unwrap()[0].id, first);

        // Any bytes, and names that repeat.
        let fields: Vec<(Bytes, Bytes)> = [&b"\0\xff\r\n"[..], b"", b"n"]
            .map(|text| (Bytes::from_static(b"n"), Bytes::copy_from_slice(text)))
            .into();
        let odd = Append::new(fields.clone(), Bytes::from_static(b"\xff\0"), EXISTING);
        let id = journal(&store).append(&odd).await.unwrap().id.unwrap();
        let read = [JournalEntry { id, fields }];
        assert_eq!(journal(&store).range(id, 10).await.unwrap(), read);
        assert_eq!(tail.range(id, 10).await.unwrap(), read);
        assert_eq!(journal(&store).head().await.unwrap().unwrap(), &b"\xff\0"[..]);
    }
}

#[tokio::test]
async fn a_place_of_ones_own_must_be_above_the_newest() {
    let redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let top = JournalId::new(u64::MAX, u64::MAX - 1);
    assert_eq!(journal(&store).append(&placed("top", top)).await.unwrap().id, Some(top));
    assert_eq!(names(&store, top).await, ["top"]);
    for below in [JournalId::new(1, 0), top] {
        let error = text(journal(&store).append(&placed("below", below)).await);
        assert_eq!(error, "server: ERR: the server refuses the command");
    }
    // Redis does the rest of a transaction: the head names an entry that isn't there.
    assert_eq!(journal(&store).head().await.unwrap().unwrap(), "below");
    assert_eq!(names(&store, top).await, ["top"]);

    let last = JournalId::new(u64::MAX, u64::MAX);
    assert_eq!(journal(&store).append(&placed("last", last)).await.unwrap().id, Some(last));
    assert!(journal(&store).append(&entry("more", EXISTING)).await.is_err(), "ids are used up");
    let mut tail = journal(&store).tail().await.unwrap();
    let only = tail.append(&entry("only", AppendMode::Replace)).await.unwrap().id.unwrap();
    assert!(only < top);
    assert_eq!(names(&store, JournalId::ZERO).await, ["only"]);
    assert_eq!(journal(&store).head().await.unwrap().unwrap(), "only");
}

#[tokio::test]
async fn an_append_lets_go_of_what_is_below_its_limit() {
    let redis = RedisServer::with_args(&["--stream-node-max-entries", "1"]);
    let store = with_journal(redis.url()).await;
    append(&store, "second", EXISTING).await;
    let third = append(&store, "third", EXISTING).await.unwrap();
    append(&store, "fourth", AppendMode::Existing { trim: third }).await;
    assert_eq!(names(&store, JournalId::ZERO).await, ["third", "fourth"]);
}

#[tokio::test]
async fn what_the_server_refuses_is_told_by_its_code() {
    let redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    let append = entry("x", EXISTING);

    redis.cli(&["DEL", STREAM]);
    redis.cli(&["SET", STREAM, "a string"]);
    let wrong = "server: WRONGTYPE: the key holds another type";
    assert_eq!(text(journal(&store).range(JournalId::ZERO, 1).await), wrong);
    assert_eq!(text(journal(&store).append(&append).await), wrong);
    assert_eq!(text(tail.range(JournalId::ZERO, 1).await), wrong);
    assert_eq!(text(tail.wait(JournalId::ZERO, SECOND).await), wrong);
    assert!(
        tail.append(&entry("x", AppendMode::Replace)).await.unwrap().id.is_some(),
        "it replaces that too"
    );

    redis.cli(&["DEL", HEAD]);
    redis.cli(&["LPUSH", HEAD, "a list"]);
    assert_eq!(text(journal(&store).head().await), wrong);
    assert!(journal(&store).append(&append).await.unwrap().id.is_some());
    assert_eq!(journal(&store).head().await.unwrap().unwrap(), "x");

    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = names(&store, JournalId::ZERO).await;
    assert_eq!(text(journal(&store).append(&append).await), "server: OOM: the server's memory is full");
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let read_only = "server: READONLY: the server is a read-only replica";
    assert_eq!(text(journal(&store).append(&append).await), read_only);
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(names(&store, JournalId::ZERO).await, before);
}
