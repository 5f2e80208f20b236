//! What the log keeps of purge requests: one event each, of the target `tower_query_cache::audit`.
//!
//! Tags, labels and paths are in it, since that is what an audit is asked about: without unprintable characters, and cut to a length. Queries aren't:
//! they may hold what a user searched for.

use super::order::{Order, SHOWN, Target};
use crate::purge::{PurgeError, Purged};

/// The target of the events.
const AUDIT: &str = "tower_query_cache::audit";

/// Somebody was turned away.
pub(super) fn denied(outcome: &'static str) {
    tracing::warn!(target: AUDIT, outcome, "a purge was denied");
}

/// Somebody's purge came to an end.
pub(super) fn purged(principal: &str, order: &Order, result: &Result<Purged, PurgeError>) {
    let (kind, about) = describe(&order.target);
    let (principal, soft) = (shown(principal), order.soft);
    match result {
        Ok(Purged { id, everything }) => {
            tracing::info!(target: AUDIT, principal, kind, about, soft, outcome = "purged", %id, everything, "a purge was made");
        }
        Err(error) => {
            tracing::warn!(target: AUDIT, principal, kind, about, soft, outcome = "failed", %error, "a purge failed");
        }
    }
}

fn describe(target: &Target) -> (&'static str, String) {
    match target {
        Target::Tags(tags) => {
            let first = tags.first().map(|tag| shown(tag)).unwrap_or_default();
            ("tag", if tags.len() > 1 { format!("{first} and {} more", tags.len() - 1) } else { first })
        }
        Target::Url(uri) if uri.query().is_some() => ("url", format!("{}?…", shown(uri.path()))),
        Target::Url(uri) => ("url", shown(uri.path())),
        Target::Route(label) => ("route", shown(label)),
        Target::All => ("all", String::new()),
    }
}

/// A text that can't end a line of the log, pass for another or fill it.
fn shown(text: &str) -> String {
    let printable = |c: char| matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1;
    let mut chars = text.chars();
    let mut shown: String = chars
        .by_ref()
        .take(SHOWN)
        .map(|c| if printable(c) { c } else { char::REPLACEMENT_CHARACTER })
        .collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_a_line_or_fills_it_and_queries_stay_out() {
        assert_eq!(shown("a\nb\u{1b}[2J\u{202e}\"\\"), "a\u{fffd}b\u{fffd}[2J\u{fffd}\"\\");
        assert_eq!(shown(&"é".repeat(129)), format!("{}…", "é".repeat(128)));
        assert_eq!(shown(&"x".repeat(128)), "x".repeat(128));
        let tags = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(describe(&Target::Tags(tags)), ("tag", "a and 2 more".to_owned()));
        assert_eq!(
            describe(&Target::Url("https://h/x?q=secret".parse().unwrap())),
            ("url", "/x?…".to_owned())
        );
    }
}
