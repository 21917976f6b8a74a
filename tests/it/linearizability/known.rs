//! Histories of which it is known what they are.

use std::cell::Cell;

use uuid::Uuid;

use super::checker::{Event, check};
use super::model::{Action, Catalog, Change, Creation, Number, Op, Outcome, Seen, resolve};

const A: usize = 0;
const B: usize = 1;

/// Makes histories: an operation's number is its place in it.
#[derive(Default)]
struct History {
    events: Vec<Event<Op>>,
    clock: Cell<u64>,
}

impl History {
    /// An operation that was invoked and answered at these moments.
    fn during(mut self, invoked: u64, answered: u64, action: Action, outcome: Outcome) -> Self {
        let number = Number::try_from(self.events.len() + 1).unwrap();
        let answered = (outcome != Outcome::Unknown).then_some(answered);
        self.clock.set(self.clock.get().max(invoked).max(answered.unwrap_or(0)));
        self.events.push(Event { op: Op { number, client: 0, action, outcome }, invoked, answered });
        self
    }

    /// One that follows all others so far.
    fn then(self, action: Action, outcome: Outcome) -> Self {
        let now = self.clock.get();
        self.during(now + 1, now + 2, action, outcome)
    }

    #[track_caller]
    fn is(self, linearizable: bool) {
        let mut events = self.events;
        resolve(&mut events).unwrap();
        assert_eq!(check(&Catalog::default(), &events).is_linearizable(), linearizable);
    }
}

/// A table to which this was done, without snapshots.
fn saw(chain: &[Number]) -> Outcome {
    let file = |number: &Number| format!("{}/{number}.json", chain[0]);
    let (last, before) = chain.split_last().unwrap();
    Outcome::Saw(Seen {
        uuid: Uuid::from_u128(u128::from(chain[0])),
        metadata_location: file(last),
        log: before.iter().map(file).collect(),
        created: chain[0],
        last: *last,
        all: chain.iter().copied().collect(),
        snapshots: Some(Vec::new()),
        ..Seen::default()
    })
}

/// The same with snapshots, made by these.
fn with_snapshots(outcome: Outcome, snapshots: &[Number]) -> Outcome {
    let Outcome::Saw(seen) = outcome else { panic!("no table was seen") };
    let sequence = i64::try_from(snapshots.len()).unwrap();
    Outcome::Saw(Seen { main: snapshots.last().copied(), snapshots: Some(snapshots.to_vec()), sequence, ..seen })
}

fn create(name: usize) -> Action {
    Action::Create { name, how: Creation::AtOnce }
}

fn load(name: usize) -> Action {
    Action::Load { name, refs: false }
}

fn commit(name: usize) -> Action {
    Action::Commit(vec![Change { name, ..Change::default() }])
}

fn commit_to(name: usize, created: Number) -> Action {
    let table = Some((created, Uuid::from_u128(u128::from(created))));
    Action::Commit(vec![Change { name, table, main: None }])
}

fn append(name: usize, main: Option<Number>) -> Action {
    Action::Commit(vec![Change { name, table: None, main: Some((main, 1)) }])
}

fn both() -> Action {
    Action::Commit(vec![Change { name: A, ..Change::default() }, Change { name: B, ..Change::default() }])
}

/// A table A, created by 1.
fn table() -> History {
    History::default().then(create(A), saw(&[1]))
}

#[test]
fn what_happens_one_after_the_other_is_linearizable() {
    let history = table()
        .then(create(A), Outcome::Taken)
        .then(commit(A), saw(&[1, 3]))
        .then(Action::Rename(A, B), Outcome::Done)
        .then(load(A), Outcome::Missing)
        .then(create(A), saw(&[6]))
        .then(load(B), saw(&[1, 3]))
        .then(Action::Rename(A, B), Outcome::Taken)
        .then(Action::List(0), Outcome::Listed(vec![A, B]))
        .then(commit_to(A, 1), Outcome::Refused)
        .then(commit_to(B, 1), saw(&[1, 3, 11]))
        .then(Action::Drop(A), Outcome::Done)
        .then(Action::Exists(A), Outcome::Missing)
        .then(both(), Outcome::Missing);
    history.is(true);
}

#[test]
fn a_load_beside_a_commit_sees_the_table_before_it_or_after_it() {
    table().during(10, 20, commit(A), saw(&[1, 2])).during(11, 12, load(A), saw(&[1])).is(true);
    table().during(10, 20, commit(A), saw(&[1, 2])).during(11, 12, load(A), saw(&[1, 2])).is(true);
}

#[test]
fn a_load_that_goes_back_behind_another_is_not_linearizable() {
    let history = table().during(10, 20, commit(A), saw(&[1, 2])).during(11, 12, load(A), saw(&[1, 2]));
    history.during(13, 14, load(A), saw(&[1])).is(false);
}

#[test]
fn a_stale_load_is_not_linearizable() {
    table().then(commit(A), saw(&[1, 2])).then(load(A), saw(&[1])).is(false);
    table().then(Action::Drop(A), Outcome::Done).then(load(A), saw(&[1])).is(false);
    table().then(load(A), Outcome::Missing).is(false);
    table().then(Action::List(0), Outcome::Listed(vec![])).is(false);
}

#[test]
fn a_lost_commit_is_not_linearizable() {
    // Both were acknowledged, and the second was made on what was there before the first.
    let mut lost = table().during(10, 20, commit(A), saw(&[1, 2])).during(10, 20, commit(A), saw(&[1, 3]));
    assert!(!check(&Catalog::default(), &chained(&lost)).is_linearizable());
    assert!(resolve(&mut lost.events).unwrap_err().contains("another history"));
    table().during(10, 20, commit(A), saw(&[1, 2])).during(10, 20, commit(A), saw(&[1, 2, 3])).is(true);
}

/// With the chains that were meant, whatever [`resolve`] would say.
fn chained(history: &History) -> Vec<Event<Op>> {
    let mut events = history.events.clone();
    for event in &mut events {
        if let Outcome::Saw(seen) = &mut event.op.outcome {
            seen.chain = seen.all.iter().map(|number| Some(*number)).collect();
        }
    }
    events
}

#[test]
fn the_old_table_under_the_name_of_a_new_one_is_not_linearizable() {
    let again = || table().then(Action::Rename(A, B), Outcome::Done).then(create(A), saw(&[3]));
    again().then(load(A), saw(&[3])).then(load(B), saw(&[1])).is(true);
    again().then(load(A), saw(&[1])).is(false);
    // Also when the load began before the rename ended, but after the new table was there.
    let history = table().during(10, 30, Action::Rename(A, B), Outcome::Done).during(11, 12, create(A), saw(&[3]));
    history.during(13, 14, load(A), saw(&[1])).is(false);
}

#[test]
fn a_commit_that_lands_on_a_table_that_was_renamed_away_is_not_linearizable() {
    let away = || table().then(Action::Rename(A, B), Outcome::Done);
    away().then(commit(A), Outcome::Missing).is(true);
    away().then(commit(A), saw(&[1, 3])).is(false);
    // Beside the rename it may have come before it. Then it is there under the new name, and the name was free only after both.
    let beside = || table().during(10, 20, Action::Rename(A, B), Outcome::Done).during(10, 20, commit(A), saw(&[1, 3]));
    beside().then(load(B), saw(&[1, 3])).is(true);
    beside().then(load(B), saw(&[1])).is(false);
    let history = table().during(10, 12, Action::Rename(A, B), Outcome::Done).during(10, 20, commit(A), saw(&[1, 3]));
    history.during(13, 14, load(B), saw(&[1])).then(load(B), saw(&[1, 3])).is(false);
}

#[test]
fn a_refusal_needs_a_reason_at_some_moment() {
    let appended = || table().then(append(A, None), with_snapshots(saw(&[1, 2]), &[2]));
    appended().then(append(A, None), Outcome::Refused).is(true);
    appended().then(append(A, Some(2)), with_snapshots(saw(&[1, 2, 3]), &[2, 3])).is(true);
    appended().then(append(A, Some(2)), Outcome::Refused).is(false);
    appended().then(commit(A), Outcome::Refused).is(false);
    appended().then(commit_to(A, 1), Outcome::Refused).is(false);
    // Two that require the same cannot both succeed.
    let first = || table().during(10, 20, append(A, None), with_snapshots(saw(&[1, 2]), &[2]));
    first().during(10, 20, append(A, None), Outcome::Refused).is(true);
    first().during(10, 20, append(A, None), with_snapshots(saw(&[1, 2, 3]), &[2, 3])).is(false);
}

#[test]
fn a_commit_to_two_tables_is_one_moment() {
    let two = || table().then(create(B), saw(&[2]));
    two().then(both(), Outcome::Done).then(load(A), saw(&[1, 3])).then(load(B), saw(&[2, 3])).is(true);
    let beside = || two().during(10, 20, both(), Outcome::Done);
    beside().during(11, 12, load(A), saw(&[1, 3])).during(13, 14, load(B), saw(&[2, 3])).is(true);
    beside().during(11, 12, load(A), saw(&[1, 3])).during(13, 14, load(B), saw(&[2])).is(false);
}

#[test]
fn what_is_unknown_happened_at_any_time_after_it_was_asked_for_or_never() {
    let unknown = || table().then(commit(A), Outcome::Unknown);
    unknown().then(load(A), saw(&[1])).is(true);
    unknown().then(load(A), saw(&[1, 2])).is(true);
    unknown().then(load(A), saw(&[1])).then(load(A), saw(&[1, 2])).is(true);
    unknown().then(load(A), saw(&[1, 2])).then(load(A), saw(&[1])).is(false);
    table().then(load(A), saw(&[1, 3])).then(commit(A), Outcome::Unknown).is(false);
    let created = || History::default().then(create(A), Outcome::Unknown);
    created().then(load(A), Outcome::Missing).then(create(A), Outcome::Taken).then(load(A), saw(&[1])).is(true);
    created().then(load(A), saw(&[1])).then(load(A), Outcome::Missing).is(false);
    let dropped = || table().then(Action::Drop(A), Outcome::Unknown);
    dropped().then(load(A), saw(&[1])).then(create(A), saw(&[4])).is(true);
    dropped().then(create(A), saw(&[3])).then(load(A), saw(&[1])).is(false);
}

#[test]
fn what_is_unknown_does_not_happen_twice() {
    // A drop took the first table, and would have to take the second as well.
    let dropped = || table().then(Action::Drop(A), Outcome::Unknown).then(create(A), saw(&[3]));
    dropped().then(load(A), saw(&[3])).is(true);
    dropped().then(load(A), saw(&[3])).then(load(A), Outcome::Missing).is(false);
    // A commit that was there, was overtaken, and came again.
    let history = table().then(commit(A), Outcome::Unknown).then(load(A), saw(&[1, 2])).then(commit(A), saw(&[1, 2, 4]));
    let mut twice = history.then(load(A), saw(&[1, 2, 4, 2]));
    assert!(!check(&Catalog::default(), &chained(&twice)).is_linearizable());
    assert!(resolve(&mut twice.events).is_err());
}
