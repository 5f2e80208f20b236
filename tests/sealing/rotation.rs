//! A key is changed in three steps, and at each of them two handles share what they store.

use crate::support::RedisServer;
use crate::support::http::{assert_hit, cache_status};
use crate::support::site::stats;
use crate::{NOT_FOUND, Way, entries};

const STEPS: [&[u8]; 4] = [&[1], &[1, 2], &[2, 1], &[2]];

#[tokio::test]
async fn each_step_of_a_rotation_finds_what_the_one_before_stored_and_the_other_way_round() {
    for way in Way::KEYED {
        for step in STEPS.windows(2) {
            for (wrote, reads) in [(step[0], step[1]), (step[1], step[0])] {
                let redis = RedisServer::start();
                let (first, writer) = way.writer(&redis, wrote, "page").await;
                writer.get("/").await;
                first.settled().await;
                let (second, reader) = way.reader(&redis, reads).await;
                assert_hit(reader.get("/").await, "page").await;
                assert_eq!(stats(&second).await["errors"]["foreign"], 0, "{way:?}, {wrote:?} for {reads:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_step_left_out_is_a_miss_on_both_sides_and_nobody_removes_the_others() {
    for way in Way::KEYED {
        for (wrote, reads) in [(STEPS[0], STEPS[3]), (STEPS[2], STEPS[0]), (STEPS[1], STEPS[3])] {
            let redis = RedisServer::start();
            let (first, writer) = way.writer(&redis, wrote, "page").await;
            writer.get("/").await;
            first.settled().await;
            let (second, reader) = way.reader(&redis, reads).await;
            assert_eq!(cache_status(&reader.get("/").await), NOT_FOUND, "{way:?}, {wrote:?} for {reads:?}");
            second.settled().await;
            let figures = stats(&second).await;
            assert_eq!(
                (&figures["errors"]["foreign"], &figures["errors"]["corrupt"]),
                (&1.into(), &0.into())
            );
            assert_eq!(entries(&redis).len(), 1);
        }
    }
}
