//! That what is remembered is bounded, whatever comes.

use super::*;

const ALL: Tag = Tag::from_bits(0);

/// More than are remembered, twice over.
const MANY: u64 = 2 * MAX_PURGED as u64 + 1000;

fn id(number: u64) -> JournalId {
    JournalId::new(number, 0)
}

fn record(number: u64, kind: Kind) -> Record {
    Record { id: id(number), print: number, nonce: Some(number), kind }
}

/// The purge of a tag of its own.
fn purge(number: u64, soft: bool) -> Record {
    record(number, Kind::Purge { tags: vec![Tag::from_bits(number)], soft })
}

/// A state that has read a journal with nothing but its epoch.
fn ready() -> State {
    let mut state = State::new(ALL);
    let epoch = Kind::Epoch { epoch: Epoch::random(), server: "server".to_owned(), begins: true };
    state.begin(&[record(1, epoch)]);
    assert!(state.finish("server"));
    state
}

/// What is said of 200,000 tags, each purged for itself, fits into the map; what doesn't raises the floor, and nothing from before
/// that is served any more, nor anything that is remembered to be gone.
fn holds(mut state: State, mut purge: impl FnMut(&mut State, u64)) {
    let first = state.stamp(1);
    let (mut most, mut floors) = (0, 0);
    for number in 2..MANY {
        let (before, floor) = (state.stamp(1), state.floor);
        purge(&mut state, number);
        most = most.max(state.purged_tags());
        let tag = Tag::from_bits(number);
        assert_ne!(state.validity(&before, &[tag]), Validity::Fresh, "{number}");
        assert_ne!(state.validity(&first, &[tag]), Validity::Fresh, "{number}");
        assert_eq!(state.validity(&state.stamp(1), &[tag]), Validity::Fresh, "{number}");
        assert!(state.floor >= floor, "it never sinks");
        if state.floor > floor {
            floors += 1;
            // The tag may be any: who knows which of them are forgotten?
            assert_eq!(state.validity(&first, &[]), Validity::Gone);
            let below = Stamp { id: JournalId::new(state.floor.ms - 1, 0), ..before };
            let at = Stamp { id: state.floor, ..before };
            assert_eq!(state.validity(&below, &[]), Validity::Gone, "older than the floor");
            assert_eq!(state.validity(&at, &[]), Validity::Fresh);
        }
    }
    assert_eq!(most, MAX_PURGED, "as many as may be are remembered");
    assert!(floors >= 2, "{floors}");
    // Each of them is remembered or under the floor.
    for number in (2..MANY).step_by(97) {
        let before = Stamp { id: id(number - 1), ..first };
        assert_ne!(state.validity(&before, &[Tag::from_bits(number)]), Validity::Fresh, "{number}");
    }
}

#[test]
fn more_tags_than_are_remembered_raise_the_floor() {
    for soft in [false, true] {
        holds(ready(), |state, number| {
            let mark = state.mark().unwrap();
            let own = Record { id: mark.id, print: mark.print, nonce: None, kind: Kind::Junk };
            state.follow(mark, &[own, purge(number, soft)]).unwrap();
        });
    }
}

#[test]
fn so_do_own_purges() {
    holds(ready(), |state, number| {
        let start = state.start().unwrap();
        assert!(state.purged(&start, id(number), &[Tag::from_bits(number)], false));
    });
}

/// Without a journal, ids are counted by the state itself.
#[test]
fn so_do_those_of_a_process_by_itself() {
    let mut state = State::alone(ALL);
    let first = state.stamp(1);
    for number in 2..MANY {
        state.purge_alone(&[Tag::from_bits(number)], false);
        assert!(state.purged_tags() <= MAX_PURGED);
        assert_eq!(state.validity(&first, &[Tag::from_bits(2)]), Validity::Gone, "{number}");
        assert_eq!(state.validity(&state.stamp(1), &[Tag::from_bits(2)]), Validity::Fresh, "{number}");
    }
    assert!(state.floor > first.id);
}

/// A whole journal that is read at once, with as many tags in a record as there may be.
#[test]
fn so_does_a_journal_that_is_read_from_its_start() {
    let mut state = ready();
    let tags = |number: u64| (0..128).map(|at| Tag::from_bits(number * 128 + at)).collect();
    let purges =
        (2..MANY / 128).map(|number| record(number, Kind::Purge { tags: tags(number), soft: false }));
    let records: Vec<_> = purges.collect();
    state.begin(&records);
    assert!(state.purged_tags() <= MAX_PURGED, "{}", state.purged_tags());
    assert!(state.floor > records[0].id);
}

#[test]
fn purges_that_wait_for_the_journal_are_bounded_too() {
    let mut state = ready();
    let first = state.stamp(1);
    for number in 2..MANY {
        let before = state.stamp(1);
        state.purge_offline(&[Tag::from_bits(number)], false);
        assert!(state.offline_tags() <= MAX_OFFLINE);
        assert_eq!(state.validity(&before, &[Tag::from_bits(number)]), Validity::Gone);
        assert_eq!(state.validity(&first, &[Tag::from_bits(2)]), Validity::Gone, "nothing is forgotten");
    }
}

#[test]
fn junk_and_heads_leave_no_more_than_their_count() {
    let mut state = ready();
    let mark = state.mark().unwrap();
    let own = Record { id: mark.id, print: mark.print, nonce: None, kind: Kind::Junk };
    let junk = (2..MANY).map(|number| Record { nonce: None, ..record(number, Kind::Junk) });
    let records: Vec<_> = std::iter::once(own).chain(junk).collect();
    state.follow(mark, &records).unwrap();
    assert_eq!((state.junk(), state.purged_tags()), (MANY - 2, 0));
    for number in MANY..2 * MANY {
        state.apply(&purge(number, false));
        assert!(state.heads.len() <= RECENT);
    }
}
