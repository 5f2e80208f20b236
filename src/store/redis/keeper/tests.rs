use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, RedisConnectionInfo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::config::RedisConfig;
use crate::store::redis::identity::Identity;
use crate::store::redis::settings::Settings;

/// A lane over an in-memory connection; its server answers when the second value is true.
async fn scripted() -> (Lane, Arc<AtomicBool>) {
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let answers = Arc::new(AtomicBool::new(true));
    let answering = Arc::clone(&answers);
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = theirs.read(&mut buffer).await {
            while !answering.load(Ordering::SeqCst) {
                sleep(Duration::from_millis(10)).await;
            }
            let commands = buffer[..length].iter().filter(|byte| **byte == b'*').count();
            theirs.write_all("+PONG\r\n".repeat(commands).as_bytes()).await.unwrap();
        }
    });
    let info = RedisConnectionInfo::default().set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let (connection, driver) = MultiplexedConnection::new_with_config(&info, ours, config).await.unwrap();
    tokio::spawn(driver);
    (Lane::new(connection, Identity::unknown()), answers)
}

#[tokio::test(start_paused = true)]
async fn a_lane_opened_on_demand_is_closed_when_idle_and_no_other() {
    let (_awake, suspension) = watch::channel(false);
    let (lane, _) = scripted().await;
    let start = Instant::now();
    assert!(matches!(watch(&lane, true, suspension.clone()).await, End::Idle));
    assert!(start.elapsed() >= IDLE_CLOSE && start.elapsed() < IDLE_CLOSE + TICK * 2);
    assert!(timeout(IDLE_CLOSE * 100, watch(&lane, false, suspension)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_idle_lane_that_died_silently_is_noticed() {
    let (_awake, suspension) = watch::channel(false);
    let (lane, answers) = scripted().await;
    answers.store(false, Ordering::SeqCst);
    let start = Instant::now();
    assert!(matches!(watch(&lane, false, suspension).await, End::Broken));
    assert!(start.elapsed() < IDLE_PROBE + PATIENCE * 2);
    assert!(lane.is_broken());
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_owes_a_reply_for_a_second_is_retired() {
    let (_awake, suspension) = watch::channel(false);
    let (lane, answers) = scripted().await;
    answers.store(false, Ordering::SeqCst);
    let command = deadpool_redis::redis::cmd("GET");
    let start = Instant::now();
    // One request waits without a limit, and none is abandoned.
    let waiting = std::pin::pin!(lane.run(&command));
    let watching = std::pin::pin!(watch(&lane, false, suspension));
    let Either::Right((end, _)) = select(waiting, watching).await else { panic!("no reply was sent") };
    assert!(matches!(end, End::Broken));
    assert!(start.elapsed() >= PATIENCE && start.elapsed() < PATIENCE * 2, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn requests_that_gave_up_are_not_held_against_a_lane_that_answers_again() {
    let (_awake, suspension) = watch::channel(false);
    let (lane, answers) = scripted().await;
    answers.store(false, Ordering::SeqCst);
    let stall = async {
        let command = deadpool_redis::redis::cmd("GET");
        assert!(timeout(Duration::from_millis(50), lane.run(&command)).await.is_err());
        assert_eq!((lane.abandoned(), lane.outstanding()), (1, 0));
        // The keeper's probe is under way by then.
        sleep(Duration::from_millis(700)).await;
        answers.store(true, Ordering::SeqCst);
        sleep(Duration::from_secs(20)).await;
    };
    let watching = std::pin::pin!(watch(&lane, false, suspension));
    assert!(matches!(select(watching, std::pin::pin!(stall)).await, Either::Right(_)), "it was retired");
    assert!(!lane.is_broken());
}

#[tokio::test(start_paused = true)]
async fn while_suspended_a_lane_is_not_probed_and_afterwards_at_once() {
    let (suspend, suspension) = watch::channel(false);
    let (lane, answers) = scripted().await;
    answers.store(false, Ordering::SeqCst);
    let changes = async {
        // The keeper's PING is under way when the store is suspended.
        lane.suspect();
        sleep(PATIENCE / 2).await;
        suspend.send_replace(true);
        lane.suspect();
        sleep(IDLE_PROBE * 3).await;
        assert!(!lane.is_broken());
        suspend.send_replace(false);
        lane.suspect();
        Instant::now()
    };
    let watching = async {
        assert!(matches!(watch(&lane, false, suspension).await, End::Broken));
        Instant::now()
    };
    let (resumed, retired) = futures_util::future::join(changes, watching).await;
    let after = retired - resumed;
    assert!(after >= PATIENCE && after < PATIENCE + TICK, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_lanes_on_demand_are_asked_for_again_in_time_and_others_at_once() {
    let (settings, _) = Settings::new(&RedisConfig::default()).unwrap();
    let (_open, closed) = watch::channel(());
    let lanes = Arc::new(Lanes::new(&settings, closed).unwrap());
    let kept = |index: usize| {
        keep(&lanes, index);
        lanes.slots()[index].is_kept()
    };
    lanes.refused();
    assert_eq!((kept(3), kept(4), kept(0)), (false, false, true));
    tokio::time::advance(BACKOFF.1).await;
    assert!(kept(3));
}

#[tokio::test]
async fn while_suspended_a_slot_gets_a_keeper_for_a_probe_alone() {
    let (settings, _) = Settings::new(&RedisConfig::default()).unwrap();
    let (_open, closed) = watch::channel(());
    let lanes = Arc::new(Lanes::new(&settings, closed).unwrap());
    lanes.suspend(true);
    keep(&lanes, 0);
    assert!(!lanes.slots()[0].is_kept());
    try_once(&lanes, 0);
    assert!(lanes.slots()[0].is_kept());
}

#[test]
fn waits_double_up_to_a_limit_and_vary() {
    let mut backoff = Backoff::default();
    let waits: Vec<Duration> = (0..40).map(|_| backoff.next()).collect();
    assert!(waits[0] >= Duration::from_millis(50) && waits[0] <= Duration::from_millis(100));
    assert!(waits[3] >= Duration::from_millis(400) && waits[3] <= Duration::from_millis(800));
    assert!(waits[10..].iter().all(|wait| *wait >= BACKOFF.1 / 2 && *wait <= BACKOFF.1));
    assert!(waits[10..].iter().any(|wait| *wait != waits[10]), "without jitter");
}
