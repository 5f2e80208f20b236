//! The checker by itself: it finds what is wrong, and that alone.

use std::time::Duration;

use crate::support::history::{About, Event, Fill, History, Late, Moment, Purge, Read};

const LATE: Late = Late { calm: Duration::from_nanos(1000), faulty: Duration::from_nanos(4000) };

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

/// A purge that failed is others' too once it was replayed.
#[test]
fn a_purge_that_failed_counts_from_its_replay_on() {
    let failed = Purge { ok: false, ..PURGE };
    let at = |begun| Read { begun: Moment(begun), ..READ };
    let default = |begun| Read { strict: false, ..at(begun) };
    let heard = |of| Some(Event::Heard { node: 1, at: Moment(450), of: Moment(of) });
    for (what, purge, node, replayed, read, heard, wrong) in [
        ("a strict read behind it", failed, 0, 400, at(401), None, 1),
        ("a strict read before it", failed, 0, 400, at(400), None, 0),
        ("late after it", failed, 0, 400, default(1401), None, 1),
        ("late after the purge alone", failed, 0, 400, default(1400), None, 0),
        ("heard of a purge behind it", failed, 0, 400, default(450), heard(401), 1),
        ("heard of one that began before it", failed, 0, 400, default(450), heard(400), 0),
        ("another node's replay", failed, 1, 400, at(5000), None, 0),
        ("when the purge hadn't returned", failed, 0, 200, at(5000), None, 0),
        ("on the node itself before it", failed, 0, 400, Read { node: 0, ..default(300) }, None, 1),
        ("of a purge that was right at once", PURGE, 0, 400, at(300), None, 1),
        ("filled behind the purge", failed, 0, 400, Read { fill: filled(250, 260), ..at(5000) }, None, 0),
    ] {
        let replayed = Event::Replayed { node, at: Moment(replayed) };
        let events = [Event::Purge(purge), replayed, Event::Read(read)];
        assert_eq!(broken(events.into_iter().chain(heard)), wrong, "{what}");
    }
    let replays = [600, 400, 500].map(|at| Event::Replayed { node: 0, at: Moment(at) });
    let events = [Event::Purge(failed), Event::Read(at(401))];
    assert_eq!(broken(events.into_iter().chain(replays)), 1, "the first replay counts");
}

/// With a fault between them a purge may be heard of later, and by others only.
#[test]
fn a_fault_gives_more_time() {
    let default = |begun| Read { strict: false, begun: Moment(begun), ..READ };
    for (what, from, until, read, wrong) in [
        ("all the while", 0, 9000, default(4200), 0),
        ("all the while, and later than that", 0, 9000, default(4201), 1),
        ("over when the purge returned", 0, 200, default(1201), 0),
        ("over before the purge returned", 0, 199, default(1201), 1),
        ("begun with the read", 1201, 9000, default(1201), 0),
        ("begun behind the read", 1202, 9000, default(1201), 1),
        ("between them", 600, 601, default(4200), 0),
        ("a strict read", 0, 9000, READ, 1),
        ("on the node itself", 0, 9000, Read { node: 0, ..default(201) }, 1),
    ] {
        let fault = Event::Fault { from: Moment(from), until: Moment(until) };
        assert_eq!(broken([Event::Purge(PURGE), Event::Read(read), fault]), wrong, "{what}");
    }
    let failed = Purge { ok: false, ..PURGE };
    for (until, wrong) in [(999, 1), (1000, 0)] {
        let replayed = Event::Replayed { node: 0, at: Moment(1000) };
        let fault = Event::Fault { from: Moment(0), until: Moment(until) };
        let events = [Event::Purge(failed), replayed, fault, Event::Read(default(2001))];
        assert_eq!(broken(events), wrong, "over by {until}, and replayed at 1000");
    }
}

#[test]
fn a_fill_is_read_back_from_its_text() {
    let fill = filled(95, 201);
    assert_eq!(Fill::parse(&fill.to_string()), Some(fill));
    for text in ["", "95", "95-", "-201", "95-201 ", "95-x"] {
        assert_eq!(Fill::parse(text), None, "{text:?}");
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
