//! Windows, early refreshes, jitter, and settings that contradict each other.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

use crate::config::LimitsConfig;
use crate::entry::{Entry, EntryHead, Windows};
use crate::key::Key;
use crate::policy::testing::{request, response, rules, try_rules};
use crate::policy::{Policy, Verdict};
use crate::purge::{Epoch, JournalId, Stamp};

const KEY: Key = Key::from_bytes([1; 32]);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn stale() -> Policy {
    Policy::ttl(seconds(60)).stale_while_revalidate(seconds(10)).stale_if_error(seconds(20))
}

fn windows(policy: &Policy, fields: &[(&str, &str)]) -> Windows {
    let request = request("GET", &[]);
    let verdict = rules(policy).judge(&request.method, &request.headers, &response(200, fields), 0);
    verdict.map(|Verdict { windows, .. }| windows).unwrap()
}

#[test]
fn a_response_goes_before_the_policy_and_some_directives_forbid_it() {
    for (cache_control, while_revalidate, if_error) in [
        ("public", 10, 20),
        ("max-age=5", 10, 20),
        ("max-age=5, stale-while-revalidate=3", 3, 20),
        ("max-age=5, Stale-If-Error=4", 10, 4),
        ("stale-while-revalidate=0, stale-if-error=0", 0, 0),
        ("stale-while-revalidate=x", 0, 20),
        // RFC 9111 §4.2.4, and §5.2.2.10 for s-maxage.
        ("must-revalidate, stale-if-error=4", 0, 0),
        ("proxy-revalidate", 0, 0),
        ("s-maxage=5, stale-while-revalidate=3", 0, 0),
    ] {
        let found = windows(&stale(), &[("cache-control", cache_control)]);
        let expected =
            Windows { while_revalidate: while_revalidate * 1000, if_error: if_error * 1000, revalidate: 0 };
        assert_eq!(found, expected, "{cache_control}");
    }
    let targeted =
        [("cdn-cache-control", "max-age=5, stale-if-error=7"), ("cache-control", "must-revalidate")];
    assert_eq!(windows(&stale(), &targeted).if_error, 7000);
    let forbidden = [("cdn-cache-control", "max-age=5, must-revalidate")];
    assert_eq!(windows(&stale(), &forbidden), Windows::default());
}

#[test]
fn a_policy_that_goes_first_goes_first_here_too() {
    let policy = stale().override_ttl();
    for cache_control in ["must-revalidate", "no-cache", "s-maxage=5", "stale-if-error=1"] {
        let found = windows(&policy, &[("cache-control", cache_control)]);
        assert_eq!(
            found,
            Windows { while_revalidate: 10_000, if_error: 20_000, revalidate: 0 },
            "{cache_control}"
        );
    }
}

#[test]
fn no_window_is_longer_than_ten_years() {
    let found = windows(&stale(), &[("cache-control", "stale-if-error=99999999999999999999")]);
    assert_eq!(found.if_error, 10 * 365 * 24 * 3600 * 1000);
}

fn entry(lifetime: u64, initial_age: u64) -> Entry {
    let head = EntryHead {
        key: &KEY,
        status: StatusCode::OK,
        headers: &HeaderMap::new(),
        stored_at: 1_000_000,
        initial_age,
        lifetime,
        windows: Windows::default(),
        stamp: Stamp::foreign(Epoch::NONE, JournalId::ZERO),
        tags: &[],
    };
    Entry::seal(head, &[Bytes::new()]).unwrap().0
}

#[test]
fn a_refresh_is_due_after_its_share_of_the_time_that_is_left() {
    let due = |policy: &Policy, initial_age: u64, after: u64| {
        rules(policy).stale.refresh_is_due(&entry(60_000 + initial_age, initial_age), 1_000_000 + after)
    };
    let policy = Policy::ttl(seconds(60)).refresh_ahead(0.8);
    for initial_age in [0, 100_000] {
        assert_eq!((due(&policy, initial_age, 47_999), due(&policy, initial_age, 48_000)), (false, true));
    }
    assert!(!due(&Policy::ttl(seconds(60)), 0, 59_999), "only where it is asked for");
}

proptest! {
    #[test]
    fn jitter_shortens_by_no_more_than_its_share(
        left in 1_u64..1 << 40,
        initial_age in 0_u64..1 << 40,
        jitter in 0.0_f64..0.999,
        now: u64,
    ) {
        let rules = rules(&Policy::ttl(seconds(60)).jitter(jitter));
        let lifetime = rules.stale.jittered(left + initial_age, initial_age, &KEY, now);
        prop_assert!(lifetime <= left + initial_age && lifetime > initial_age);
        prop_assert!((lifetime - initial_age) as f64 >= left as f64 * (1.0 - jitter) - 1.0);
    }
}

#[test]
fn jitter_spreads_what_was_stored_together_and_is_off_by_default() {
    let ends = |policy: &Policy| -> Vec<u64> {
        let rules = rules(policy);
        let key = |number: u8| Key::from_bytes([number; 32]);
        (0..100).map(|number| rules.stale.jittered(100_000, 0, &key(number), 5)).collect()
    };
    let spread = ends(&Policy::ttl(seconds(60)).jitter(0.1));
    let (least, most) = (spread.iter().min().unwrap(), spread.iter().max().unwrap());
    assert!(*least < 92_000 && *most > 98_000, "{least} to {most}");
    assert!(ends(&Policy::ttl(seconds(60))).iter().all(|lifetime| *lifetime == 100_000));
}

fn problem(policy: &Policy) -> String {
    try_rules(policy).unwrap_err().to_string()
}

#[test]
fn settings_that_contradict_each_other_are_errors_that_name_both() {
    let policy = || Policy::ttl(seconds(60));
    let text = problem(&policy().soft_timeout(seconds(3)).hard_timeout(seconds(2)));
    assert_eq!(text, "policy field `soft_timeout`: 3s is above `hard_timeout`, 2s");
    assert!(try_rules(&policy().soft_timeout(seconds(2)).hard_timeout(seconds(2))).is_ok());
    let text = problem(&policy().negative_ttl(StatusCode::NOT_FOUND, Duration::ZERO));
    assert!(text.contains("`negative_ttl`: 404 has no TTL") && text.contains("`ttl`"), "{text}");
}

#[test]
fn values_that_cannot_be_meant_are_errors_that_name_the_field() {
    let policy = || Policy::ttl(seconds(60));
    for (policy, field) in [
        (policy().stale_while_revalidate(Duration::ZERO), "stale_while_revalidate"),
        (policy().stale_if_error(Duration::MAX), "stale_if_error"),
        (policy().error_throttle(seconds(3601)), "error_throttle"),
        (policy().soft_timeout(Duration::ZERO), "soft_timeout"),
        (policy().hard_timeout(seconds(3601)), "hard_timeout"),
        (policy().refresh_ahead(0.0), "refresh_ahead"),
        (policy().refresh_ahead(1.0), "refresh_ahead"),
        (policy().refresh_ahead(f64::NAN), "refresh_ahead"),
        (policy().jitter(1.0), "jitter"),
        (policy().jitter(-0.1), "jitter"),
        (policy().jitter(f64::NAN), "jitter"),
    ] {
        assert!(problem(&policy).starts_with(&format!("policy field `{field}`: ")), "{policy:?}");
    }
}

#[test]
fn what_the_handle_makes_meaningless_is_an_error_that_names_both() {
    let problem = |policy: Policy, limits: &LimitsConfig| {
        rules(&policy).stale.check_within(limits).map_err(|error| error.to_string())
    };
    let mut limits = LimitsConfig::default();
    let policy = || Policy::ttl(seconds(60));
    assert_eq!(problem(policy().soft_timeout(seconds(30)).hard_timeout(seconds(30)), &limits), Ok(()));
    for (policy, field) in [
        (policy().soft_timeout(seconds(31)), "soft_timeout"),
        (policy().hard_timeout(seconds(31)), "hard_timeout"),
    ] {
        let expected = format!("policy field `{field}`: 31s is above the handle's `fill_timeout`, 30s");
        assert_eq!(problem(policy, &limits), Err(expected));
    }
    limits.finish_fills = false;
    for (policy, field) in [
        (policy().soft_timeout(seconds(1)), "`soft_timeout`"),
        (policy().hard_timeout(seconds(1)), "`hard_timeout`"),
    ] {
        let text = problem(policy, &limits).unwrap_err();
        assert!(text.contains(field) && text.contains("`finish_fills`"), "{text}");
    }
}
