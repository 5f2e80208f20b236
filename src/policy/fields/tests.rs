use proptest::prelude::*;

use super::*;
use crate::policy::Policy;
use crate::policy::testing::{any_headers, headers, rules};

#[test]
fn hop_by_hop_listed_and_per_request_fields_are_left_out() {
    let received = headers(&[
        ("content-type", "text/html"),
        ("link", "<a>"),
        ("link", "<b>"),
        ("connection", "close, X-Listed"),
        ("connection", "x-too, not a name"),
        ("x-listed", "1"),
        ("x-too", "1"),
        ("keep-alive", "1"),
        ("proxy-connection", "1"),
        ("proxy-authenticate", "1"),
        ("proxy-authorization", "1"),
        ("proxy-authentication-info", "1"),
        ("te", "1"),
        ("transfer-encoding", "1"),
        ("upgrade", "1"),
        ("age", "1"),
        ("cache-status", "1"),
        ("x-request-id", "1"),
        ("x-correlation-id", "1"),
        ("traceparent", "1"),
        ("tracestate", "1"),
        ("server-timing", "1"),
        ("ratelimit-limit", "1"),
        ("x-ratelimit-remaining", "1"),
        ("etag", "\"e\""),
        ("link", "<c>"),
    ]);
    let expected = headers(&[
        ("content-type", "text/html"),
        ("link", "<a>"),
        ("link", "<b>"),
        ("link", "<c>"),
        ("etag", "\"e\""),
    ]);
    assert_eq!(rules(&Policy::default()).stored_headers(&received), expected);
}

#[test]
fn an_own_list_takes_the_place_of_the_default_one() {
    let received = headers(&[("x-request-id", "1"), ("x-mine", "1"), ("x-minor", "1"), ("x-m", "1")]);
    let stored = rules(&Policy::default().per_request_fields(["X-Min*"])).stored_headers(&received);
    assert_eq!(stored, headers(&[("x-request-id", "1"), ("x-m", "1")]));
}

proptest! {
    #[test]
    fn what_is_stored_was_received(received in any_headers()) {
        let stored = rules(&Policy::default()).stored_headers(&received);
        for name in stored.keys() {
            prop_assert!(!NEVER_STORED.contains(name));
            prop_assert!(stored.get_all(name).iter().eq(received.get_all(name)));
        }
        prop_assert_eq!(&rules(&Policy::default()).stored_headers(&stored), &stored);
    }
}
