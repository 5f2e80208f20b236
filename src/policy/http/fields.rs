//! Which fields of a response are stored ([RFC 9111 §3.1]).
//!
//! [RFC 9111 §3.1]: https://www.rfc-editor.org/rfc/rfc9111#section-3.1

use http::HeaderMap;

use super::HttpRules;
use crate::policy::fields::{storable, without};
use crate::policy::targeted;

impl HttpRules {
    /// The response fields that may be part of an entry, in their order: all but those of the connection or of a proxy, `Age`,
    /// and those that `private="…"` or `no-cache="…"` names. `Cache-Status` stays: whoever is nearer to the origin tells there
    /// how it came by this very response, and ours is put behind it (RFC 9211 §2).
    ///
    /// What the fields say has to be read before: `Connection` may name even `Cache-Control`.
    pub(crate) fn stored_fields(&self, headers: &HeaderMap) -> HeaderMap {
        let named = targeted::qualified_fields(headers, &self.targets);
        without(&storable(headers), |name| named.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Policy;
    use crate::policy::testing::{any_headers, headers, rules};

    fn stored(lines: &[(&str, &str)]) -> HeaderMap {
        rules(&Policy::http()).http.unwrap().stored_fields(&headers(lines))
    }

    /// RFC 9111 §3.1, and RFC 9110 §7.6.1.
    #[test]
    fn all_is_stored_but_what_is_of_the_connection() {
        let kept = [
            ("z-unknown", "1"),
            ("set-cookie", "a=1"),
            ("cache-status", "Origin-Side; hit"),
            ("content-type", "text/html"),
            ("set-cookie", "b=2"),
            ("warning", "110 - x"),
            ("date", "x"),
            ("a-unknown", ""),
            // No field of the connection (RFC 9110 §7.6.1).
            ("trailer", "1"),
        ];
        let dropped = [
            ("connection", "close, X-Listed, , Cache-Control"),
            ("connection", "x-too"),
            ("x-listed", "1"),
            ("x-too", "1"),
            ("cache-control", "max-age=9"),
            ("keep-alive", "1"),
            ("proxy-connection", "1"),
            ("proxy-authenticate", "1"),
            ("proxy-authentication-info", "1"),
            ("proxy-authorization", "1"),
            ("te", "1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "1"),
            ("age", "1"),
        ];
        let mixed: Vec<_> = dropped[..8].iter().chain(&kept).chain(&dropped[8..]).copied().collect();
        let stored = stored(&mixed);
        assert_eq!(stored, headers(&kept));
        let names = |headers: &HeaderMap| headers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&stored), names(&headers(&kept)));
    }

    /// RFC 9111 §5.2.2.4 and §5.2.2.7, also where `Connection` names the directive's own field.
    #[test]
    fn what_a_directive_names_is_not_stored() {
        for (field, value) in [
            ("cache-control", "private=\"Set-Cookie, x-user\", max-age=9"),
            ("cache-control", "no-cache=\"set-cookie\", no-cache=X-USER"),
            ("cdn-cache-control", "private=\"set-cookie x-user\""),
        ] {
            let lines = [("set-cookie", "a=1"), ("x-user", "u"), ("set-cookie", "b=1"), ("x-other", "1")];
            let mut with: Vec<_> = lines.to_vec();
            with.push((field, value));
            assert_eq!(stored(&with), headers(&[lines[3], (field, value)]), "{value}");
            with.push(("connection", field));
            assert_eq!(stored(&with), headers(&lines[3..]), "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_was_received(received in any_headers()) {
            let http = rules(&Policy::http()).http.unwrap();
            let stored = http.stored_fields(&received);
            for name in stored.keys() {
                prop_assert!(stored.get_all(name).iter().eq(received.get_all(name)));
            }
            prop_assert_eq!(&http.stored_fields(&stored), &stored);
        }
    }
}
