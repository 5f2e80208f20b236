//! What stands in Redis, and what becomes of what is changed there.

use std::time::Duration;

use tower_query_cache::Policy;

use crate::support::RedisServer;
use crate::support::http::{assert_hit, cache_status, field, ok_with, text};
use crate::support::site::{MINUTE, Site, stats};
use crate::{NOT_FOUND, Way, contains, entries, put, value};

/// A text that goes on behind what sealing masks.
const LONG: &str = concat!(
    "Whoever may write to the shared tier may write entries; whoever may read it may read them. A seal takes the first ",
    "away, and encryption the second. What stands at the beginning of a record tells what it is about, and so it is ",
    "masked even where the rest isn't; behind that, a sealed record is as plain as any, and this is where its text ends."
);

#[tokio::test]
async fn what_one_handle_stored_another_with_the_key_answers_with() {
    for way in Way::KEYED {
        let redis = RedisServer::start();
        let (first, writer) = way.writer(&redis, &[1], LONG).await;
        assert_eq!(cache_status(&writer.get("/a?b=1").await), "tower-query-cache; fwd=miss; stored");
        first.settled().await;
        let (second, reader) = way.reader(&redis, &[1]).await;
        assert_hit(reader.get("/a?b=1").await, LONG).await;
        let figures = stats(&second).await;
        assert_eq!((&figures["hits"]["shared"], &figures["errors"]["foreign"]), (&1.into(), &0.into()));

        let [name] = &entries(&redis)[..] else { panic!("one value an entry") };
        let readable = contains(&value(&redis, name), &LONG.as_bytes()[LONG.len() - 100..]);
        assert_eq!(readable, *way == Way::Sealed, "{way:?}");
    }
}

#[tokio::test]
async fn without_the_secret_a_name_tells_nothing_of_the_key() {
    let mut named = Vec::new();
    for way in Way::KEYED.iter().chain([&Way::Plain]) {
        let redis = RedisServer::start();
        let (cache, writer) = way.writer(&redis, &[1], "page").await;
        writer.get("/guess").await;
        cache.settled().await;
        named.push((*way, entries(&redis).remove(0)));
    }
    let plain = named.last().unwrap().1.clone();
    for (way, name) in &named {
        let hidden = *way != Way::Plain && !format!("{way:?}").starts_with("Encrypted");
        assert_eq!(*name != plain, hidden, "{way:?}");
    }
}

#[tokio::test]
async fn variants_and_leases_are_kept_from_others_too() {
    for way in Way::KEYED {
        let redis = RedisServer::start();
        let policy = || Policy::ttl(MINUTE).lease(Duration::from_secs(5));
        let tongue = |parts: &http::request::Parts| {
            ok_with(&[("vary", "accept-language")], field(&parts.headers, "accept-language"))
        };
        let cache = way.handle(&redis, &[1]).await;
        let writer = Site::new(&cache, policy(), tongue);
        for language in ["de", "fr"] {
            writer.get_with("/", &[("accept-language", language)]).await;
            cache.settled().await;
        }
        assert_eq!(entries(&redis).len(), 3, "two variants and their list");
        for name in entries(&redis) {
            assert!(!contains(&value(&redis, &name), b"accept-language") || *way == Way::Sealed, "{way:?}");
        }
        assert!(redis.keys().iter().all(|key| !key.ends_with(":l")), "{way:?}: leases are given back");
        let other = way.handle(&redis, &[1]).await;
        let reader = Site::new(&other, policy(), tongue);
        for language in ["de", "fr"] {
            assert_hit(reader.get_with("/", &[("accept-language", language)]).await, language).await;
        }
        assert_eq!(stats(&cache).await["leases"]["acquired"], 2, "{way:?}");
    }
}

#[tokio::test]
async fn a_value_that_is_changed_or_moved_is_a_miss_and_removed() {
    for way in Way::KEYED {
        let redis = RedisServer::start();
        let (first, writer) = way.writer(&redis, &[1], "page").await;
        writer.get("/one").await;
        first.settled().await;
        let one = entries(&redis).remove(0);
        let good = value(&redis, &one);
        writer.get("/two").await;
        first.settled().await;
        let two = entries(&redis).into_iter().find(|name| *name != one).unwrap();

        let (second, reader) = way.reader(&redis, &[1]).await;
        let mut damaged = vec![("moved", value(&redis, &two))];
        for place in [0, 15, 40, good.len() / 2, good.len() - 1] {
            let mut changed = good.clone();
            changed[place] ^= 1;
            damaged.push(("changed", changed));
        }
        damaged.push(("cut", good[..good.len() - 1].to_vec()));
        damaged.push(("empty", Vec::new()));
        for (number, (what, bytes)) in (1..).zip(damaged) {
            put(&redis, &one, &bytes);
            assert_eq!(cache_status(&reader.get("/one").await), NOT_FOUND, "{way:?}, {what}");
            second.settled().await;
            assert!(!entries(&redis).contains(&one), "{way:?}, {what}");
            assert_eq!(stats(&second).await["errors"]["corrupt"], number, "{way:?}, {what}");
        }
        put(&redis, &one, &good);
        assert_hit(reader.get("/one").await, "page").await;
    }
}

#[tokio::test]
async fn what_is_kept_otherwise_is_a_miss_and_left_alone() {
    let ways: Vec<Way> = Way::KEYED.iter().copied().chain([Way::Plain]).collect();
    for wrote in &ways {
        let redis = RedisServer::start();
        let (first, writer) = wrote.writer(&redis, &[1], "page").await;
        writer.get("/").await;
        first.settled().await;
        let before = entries(&redis);
        for (reads, keys) in ways.iter().map(|way| (way, 1)).chain([(wrote, 2)]) {
            if (reads, keys) == (wrote, 1) || (*reads == Way::Plain && *wrote == Way::Plain) {
                continue;
            }
            let (second, reader) = reads.reader(&redis, &[keys]).await;
            assert_eq!(cache_status(&reader.get("/").await), NOT_FOUND, "{wrote:?} for {reads:?}");
            second.settled().await;
            let figures = stats(&second).await;
            assert_eq!(figures["errors"]["corrupt"], 0, "{wrote:?} for {reads:?}");
            assert_eq!(entries(&redis), before, "{wrote:?} for {reads:?}");
            // Under other names it isn't even found.
            let found = figures["errors"]["foreign"].as_u64().unwrap();
            let same_names = |way: &Way| matches!(format!("{way:?}").as_str(), "Sealed" | "Both");
            assert_eq!(found, u64::from(same_names(wrote) == same_names(reads)), "{wrote:?} for {reads:?}");
        }
    }
}

#[tokio::test]
async fn secrets_are_in_no_debug_output() {
    let redis = RedisServer::start();
    for way in Way::KEYED {
        let builder = way.on(&redis, &[77, 78]);
        let mut shown = format!("{builder:?}");
        shown += &format!("{:?}", builder.build().unwrap());
        // As bytes, or in hexadecimal digits; a port may have two sevens.
        assert!(!shown.contains("77, 77") && !shown.contains("4d4d"), "{shown}");
    }
}

/// What sealing costs on the way of a hit from Redis, and in bytes. Prints; the bound only tells it from a mistake.
#[tokio::test]
async fn figures_of_what_keys_cost() {
    let body: &'static str = Box::leak("x".repeat(1 << 10).into_boxed_str());
    for way in [&Way::Plain].into_iter().chain(Way::KEYED) {
        let redis = RedisServer::start();
        let (first, writer) = way.writer(&redis, &[1], body).await;
        writer.get("/").await;
        first.settled().await;
        let bytes = value(&redis, &entries(&redis)[0]).len();
        let mut times = Vec::new();
        for _ in 0..5 {
            let (_second, reader) = way.reader(&redis, &[1]).await;
            let started = tokio::time::Instant::now();
            assert_eq!(text(reader.get("/").await).await.len(), 1 << 10);
            times.push(started.elapsed());
        }
        times.sort();
        println!(
            "{way:?}: {bytes} bytes in Redis for 1 KiB, a hit from there in {:?} (debug build)",
            times[2]
        );
        assert!(bytes < (1 << 10) + 512 && times[2] < Duration::from_secs(1));
    }
}
