//! The checker by itself: it finds what is wrong, and that alone.

use std::time::Duration;

use crate::history::{About, Event, Fill, History, Moment, Purge, Read};

const LATE: Duration = Duration::from_nanos(1000);

/// A purge of page 0 by node 0, from 100 to 200.
const PURGE: Purge =
    Purge { node: 0, about: About::Page(0), begun: Moment(100), returned: Moment(200), ok: true };

/// A strict read of page 0 on node 1 at 300, which got what was filled from 50 to 60.
const READ: Read = Read {
    node: 1,
    strict: true,
    page: 0,
    begun: Moment(300),
    fill: Fill { begun: Moment(50), ended: Moment(60) },
    stored: false,
};

/// What it is that is wrong with these.
fn broken(events: impl IntoIterator<Item = Event>) -> usize {
    let history = History::default();
    events.into_iter().for_each(|event| history.add(event));
    history.broken(LATE).len()
}

fn one(purge: Purge, read: Read) -> usize {
    broken([Event::Purge(purge), Event::Read(read)])
}

const fn filled(begun: u64, ended: u64) -> Fill {
    Fill { begun: Moment(begun), ended: Moment(ended) }
}

#[test]
fn a_wrong_history_is_found() {
    let default = Read { strict: false, ..READ };
    let own = Read { node: 0, ..default };
    for (what, purge, read) in [
        ("a strict read on another node", PURGE, READ),
        ("a read on the node itself", PURGE, own),
        ("of everything", Purge { about: About::All, ..PURGE }, READ),
        ("of a tag of all pages", Purge { about: About::Pages, ..PURGE }, READ),
        ("one moment too old", PURGE, Read { fill: filled(99, 99), ..READ }),
        ("right after it returned", PURGE, Read { begun: Moment(201), ..READ }),
        ("a fill that went on behind the purge", PURGE, Read { fill: filled(99, 250), ..READ }),
        ("a failed purge on the node itself", Purge { ok: false, ..PURGE }, own),
        ("another node, late", PURGE, Read { begun: Moment(1201), ..default }),
        (
            "stored though overtaken",
            PURGE,
            Read { begun: Moment(90), fill: filled(95, 201), stored: true, ..own },
        ),
    ] {
        assert_eq!(one(purge, read), 1, "{what}");
    }
}

#[test]
fn a_right_history_is_not() {
    let default = Read { strict: false, ..READ };
    let own = Read { node: 0, ..default };
    for (what, purge, read) in [
        ("another page", PURGE, Read { page: 1, ..READ }),
        ("filled when the purge began", PURGE, Read { fill: filled(100, 110), ..READ }),
        ("filled behind the purge", PURGE, Read { fill: filled(250, 260), ..READ }),
        ("begun before the purge returned", PURGE, Read { begun: Moment(200), ..READ }),
        ("on the node itself, begun before it returned", PURGE, Read { begun: Moment(150), ..own }),
        ("a failed purge on another node", Purge { ok: false, ..PURGE }, READ),
        ("another node, not late", PURGE, Read { begun: Moment(1200), ..default }),
        ("a failed purge, late", Purge { ok: false, ..PURGE }, Read { begun: Moment(5000), ..default }),
        ("overtaken, not stored", PURGE, Read { begun: Moment(90), fill: filled(95, 201), ..own }),
        (
            "stored when the purge hadn't returned",
            PURGE,
            Read { begun: Moment(90), fill: filled(95, 200), stored: true, ..own },
        ),
        (
            "stored, and another node's purge",
            PURGE,
            Read { begun: Moment(90), fill: filled(95, 201), stored: true, ..default },
        ),
    ] {
        assert_eq!(one(purge, read), 0, "{what}");
    }
}

/// What a node has shown to know it must know in default mode too.
#[test]
fn a_node_answers_for_what_it_has_heard_of() {
    let read = Read { strict: false, begun: Moment(500), ..READ };
    for (what, node, at, of, wrong) in [
        ("a later purge, before the read", 1, 500, 201, 1),
        ("after the read", 1, 501, 201, 0),
        ("on another node", 0, 400, 201, 0),
        ("of one that began before this one returned", 1, 400, 200, 0),
    ] {
        let heard = Event::Heard { node, at: Moment(at), of: Moment(of) };
        assert_eq!(broken([Event::Purge(PURGE), heard, Event::Read(read)]), wrong, "{what}");
    }
}

#[test]
fn each_wrong_read_counts_once() {
    let again = Purge { begun: Moment(110), ..PURGE };
    let right = Read { page: 1, ..READ };
    assert_eq!(
        broken([
            Event::Read(READ),
            Event::Purge(PURGE),
            Event::Purge(again),
            Event::Read(right),
            Event::Read(READ)
        ]),
        2
    );
}
