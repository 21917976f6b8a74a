//! A catalog of three names, as it would be if one request came after the other.
//!
//! A table is the list of everything that was ever done to it: its creation, then its commits. The list goes along when the table gets
//! another name, so what is seen of a table under one name must continue what was seen of it under another.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use uuid::Uuid;

use super::checker::{Event, Model};

/// The names: a namespace, counted from 0, and a table in it. Renames go from namespace to namespace too.
pub const NAMES: [(usize, &str); 3] = [(0, "a"), (0, "b"), (1, "a")];

/// Which operation: each writes its own number into the tables that it creates or commits to.
pub type Number = u32;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Create {
        name: usize,
        how: Creation,
    },
    /// With all snapshots, or with those only that something refers to.
    Load {
        name: usize,
        refs: bool,
    },
    Exists(usize),
    List(usize),
    Commit(Vec<Change>),
    Rename(usize, usize),
    Drop(usize),
}

/// How a table is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    AtOnce,
    /// Staged, and then committed with the requirement that there be none.
    Staged,
}

/// One table's part of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub name: usize,
    /// It requires that this be the table: by its uuid, which is the one of the table that this operation created.
    pub table: Option<(Number, Uuid)>,
    /// It requires that main be at this snapshot, or not be there, and puts it on a new one with this sequence number.
    pub main: Option<(Option<Number>, i64)>,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, or there is such a table.
    Done,
    /// It is done, and this is the table.
    Saw(Seen),
    /// These names are there.
    Listed(Vec<usize>),
    /// There is no such table.
    Missing,
    /// The name is taken.
    Taken,
    /// A requirement does not hold.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// A table as a client saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub uuid: Uuid,
    pub metadata_location: String,
    /// The metadata files before it.
    pub log: Vec<String>,
    /// What created it, and what committed to it last.
    pub created: Number,
    pub last: Number,
    /// All of it, in no order.
    pub all: BTreeSet<Number>,
    /// The same in order, with gaps where nobody saw the table in that state; [`resolve`] finds it out by the metadata files.
    pub chain: Vec<Option<Number>>,
    /// The head of main, all snapshots where they were asked for (else only that head came), and the last sequence number.
    pub main: Option<Number>,
    pub snapshots: Option<Vec<Number>>,
    pub sequence: i64,
}

/// An operation.
#[derive(Clone, Debug)]
pub struct Op {
    pub number: Number,
    pub client: usize,
    pub action: Action,
    pub outcome: Outcome,
}

/// What was done to a table: a place in a tree, from which the way to the root is the list.
#[derive(Clone, Copy, Debug)]
struct Content {
    before: usize,
    number: Number,
    depth: usize,
    created: Number,
    main: Option<Number>,
    snapshots: usize,
}

/// The lists that were come across; their places stand for them in the states. The first stands for no table.
#[derive(Debug, Default)]
struct Contents {
    all: Vec<Content>,
    places: HashMap<(usize, Number, bool), usize>,
}

/// The model.
#[derive(Debug, Default)]
pub struct Catalog {
    contents: RefCell<Contents>,
}

type State = [usize; NAMES.len()];

const NO_TABLE: usize = 0;

impl Catalog {
    fn content(&self, place: usize) -> Content {
        self.contents.borrow().all[place - 1]
    }

    fn after(&self, before: usize, number: Number, adds_snapshot: bool) -> usize {
        let parent = (before != NO_TABLE).then(|| self.content(before));
        let contents = &mut *self.contents.borrow_mut();
        *contents.places.entry((before, number, adds_snapshot)).or_insert_with(|| {
            contents.all.push(Content {
                before,
                number,
                depth: parent.map_or(1, |parent| parent.depth + 1),
                created: parent.map_or(number, |parent| parent.created),
                main: if adds_snapshot { Some(number) } else { parent.and_then(|parent| parent.main) },
                snapshots: parent.map_or(0, |parent| parent.snapshots) + usize::from(adds_snapshot),
            });
            contents.all.len()
        })
    }

    /// Whether a table with this content looks like this.
    fn looks_like(&self, place: usize, seen: &Seen) -> bool {
        if place == NO_TABLE {
            return false;
        }
        let content = self.content(place);
        let same = content.depth == seen.chain.len()
            && content.number == seen.last
            && content.created == seen.created
            && content.main == seen.main
            && i64::try_from(content.snapshots) == Ok(seen.sequence);
        if !same {
            return false;
        }
        let mut snapshots = Vec::new();
        let mut place = place;
        for position in seen.chain.iter().rev() {
            let content = self.content(place);
            if position.map_or(!seen.all.contains(&content.number), |number| number != content.number) {
                return false;
            }
            if content.main == Some(content.number) {
                snapshots.push(content.number);
            }
            place = content.before;
        }
        snapshots.reverse();
        seen.snapshots.as_ref().is_none_or(|seen| *seen == snapshots)
    }

    /// What the action does, or why it does nothing.
    #[allow(clippy::result_large_err, reason = "it is compared on the spot")]
    fn effect(&self, state: &State, number: Number, action: &Action) -> Result<State, Outcome> {
        let mut after = *state;
        match action {
            Action::Create { name, how } => {
                if state[*name] != NO_TABLE {
                    return Err(if *how == Creation::Staged { Outcome::Refused } else { Outcome::Taken });
                }
                after[*name] = self.after(NO_TABLE, number, false);
            }
            Action::Load { name, .. } | Action::Exists(name) => {
                if state[*name] == NO_TABLE {
                    return Err(Outcome::Missing);
                }
            }
            Action::List(_) => {}
            Action::Commit(changes) => {
                for change in changes {
                    if state[change.name] == NO_TABLE {
                        return Err(Outcome::Missing);
                    }
                    let content = self.content(state[change.name]);
                    let another = change.table.is_some_and(|(created, _)| created != content.created);
                    if another || change.main.is_some_and(|(main, _)| main != content.main) {
                        return Err(Outcome::Refused);
                    }
                    after[change.name] = self.after(state[change.name], number, change.main.is_some());
                }
            }
            Action::Rename(from, to) => {
                if state[*from] == NO_TABLE {
                    return Err(Outcome::Missing);
                }
                if state[*to] != NO_TABLE {
                    return Err(Outcome::Taken);
                }
                after.swap(*from, *to);
            }
            Action::Drop(name) => {
                if state[*name] == NO_TABLE {
                    return Err(Outcome::Missing);
                }
                after[*name] = NO_TABLE;
            }
        }
        Ok(after)
    }
}

impl Model for Catalog {
    type State = State;
    type Op = Op;

    fn start(&self) -> State {
        [NO_TABLE; NAMES.len()]
    }

    fn step(&self, state: &State, op: &Op) -> Option<State> {
        match (self.effect(state, op.number, &op.action), &op.outcome) {
            (Ok(after), Outcome::Done | Outcome::Unknown) => Some(after),
            (Ok(after), Outcome::Saw(seen)) => {
                let name = match &op.action {
                    Action::Create { name, .. } | Action::Load { name, .. } => *name,
                    Action::Commit(changes) => changes.first()?.name,
                    _ => return None,
                };
                self.looks_like(after[name], seen).then_some(after)
            }
            (Ok(after), Outcome::Listed(names)) => {
                let Action::List(namespace) = op.action else { return None };
                let there = (0..NAMES.len()).filter(|name| NAMES[*name].0 == namespace && after[*name] != NO_TABLE);
                there.eq(names.iter().copied()).then_some(after)
            }
            (Err(why), outcome) => (why == *outcome).then_some(*state),
            (Ok(_), _) => None,
        }
    }

    fn unanswered(&self, op: &Op) -> Option<Op> {
        let reads = matches!(op.action, Action::Load { .. } | Action::Exists(_) | Action::List(_));
        let did_nothing = matches!(op.outcome, Outcome::Missing | Outcome::Taken | Outcome::Refused);
        (!reads && !did_nothing).then(|| Op { outcome: Outcome::Unknown, ..op.clone() })
    }
}

/// Finds out the order of what was done to each table, by its metadata files, and checks on the way that there is one: a file is of one
/// state of one table, whoever saw it and under whatever name; the files of a table are one chain; and each commit added one.
pub fn resolve(events: &mut [Event<Op>]) -> Result<(), String> {
    let mut files: BTreeMap<String, (Uuid, Number)> = BTreeMap::new();
    let mut states: BTreeMap<(Uuid, Number), String> = BTreeMap::new();
    let mut creators: BTreeMap<Uuid, Number> = BTreeMap::new();
    let mut chains: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
    for event in events.iter() {
        let Outcome::Saw(seen) = &event.op.outcome else { continue };
        let state = (seen.uuid, seen.last);
        let same = *files.entry(seen.metadata_location.clone()).or_insert(state) == state
            && *states.entry(state).or_insert_with(|| seen.metadata_location.clone()) == seen.metadata_location
            && *creators.entry(seen.uuid).or_insert(seen.created) == seen.created;
        if !same {
            return Err(format!("another state, or another file of this state, was seen too: {event}"));
        }
        let chain: Vec<String> = seen.log.iter().chain([&seen.metadata_location]).cloned().collect();
        if chain.len() != seen.all.len() {
            return Err(format!("a commit is missing, or there twice ({} files): {event}", chain.len()));
        }
        let longest = chains.entry(seen.uuid).or_default();
        if longest.iter().zip(&chain).any(|(one, other)| one != other) {
            return Err(format!("the table had another history too, {longest:?}: {event}\n{chain:?}"));
        }
        if chain.len() > longest.len() {
            *longest = chain;
        }
    }
    for event in events.iter_mut() {
        let Outcome::Saw(seen) = &mut event.op.outcome else { continue };
        let before = seen.log.iter().map(|file| files.get(file).map(|(_, number)| *number));
        seen.chain = before.chain([Some(seen.last)]).collect();
    }
    Ok(())
}

/// Leaves out the commits of which nobody knows whether they happened, nobody saw anything, and nobody else's answer could tell: they put
/// no snapshot on main. If there is an order with such a commit, there is one without it.
pub fn forget_unseen(events: &mut Vec<Event<Op>>) {
    let mut seen: BTreeSet<Number> = BTreeSet::new();
    for event in events.iter() {
        if let Outcome::Saw(table) = &event.op.outcome {
            seen.extend(&table.all);
        }
    }
    events.retain(|event| {
        let tells = |changes: &[Change]| changes.iter().any(|change| change.main.is_some());
        !matches!(&event.op, Op { number, action: Action::Commit(changes), outcome: Outcome::Unknown, .. }
            if !tells(changes) && !seen.contains(number))
    });
}

impl fmt::Display for Event<Op> {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        let Op { number, client, action, outcome } = &self.op;
        let answered = self.answered.map_or_else(|| "     ...".to_owned(), |time| format!("{:8.3}", ms(time)));
        write!(f, "{:8.3} to {answered} ms  client {client}  #{number:<4} {action} -> {outcome}", ms(self.invoked))
    }
}

fn name(name: usize) -> String {
    let (namespace, table) = NAMES[name];
    format!("n{namespace}.{table}")
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { name: table, how } => write!(f, "create {} {how:?}", name(*table)),
            Self::Load { name: table, refs: false } => write!(f, "load {}", name(*table)),
            Self::Load { name: table, refs: true } => write!(f, "load {} without old snapshots", name(*table)),
            Self::Exists(table) => write!(f, "look for {}", name(*table)),
            Self::List(namespace) => write!(f, "list n{namespace}"),
            Self::Rename(from, to) => write!(f, "rename {} to {}", name(*from), name(*to)),
            Self::Drop(table) => write!(f, "drop {}", name(*table)),
            Self::Commit(changes) => {
                write!(f, "commit to")?;
                for change in changes {
                    write!(f, " {}", name(change.name))?;
                    if let Some((created, _)) = change.table {
                        write!(f, " if it is the table of #{created}")?;
                    }
                    if let Some((main, _)) = change.main {
                        let main = main.map_or("nowhere".to_owned(), |number| format!("at #{number}"));
                        write!(f, " if main is {main}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Saw(seen) => {
                let chain: Vec<String> =
                    seen.chain.iter().map(|number| number.map_or("?".to_owned(), |number| number.to_string())).collect();
                let file = seen.metadata_location.rsplit('/').next().unwrap_or_default();
                write!(f, "{} last #{} main {:?} {file}", chain.join(" "), seen.last, seen.main)
            }
            Self::Listed(names) => write!(f, "{}", names.iter().map(|table| name(*table)).collect::<Vec<_>>().join(" ")),
            other => write!(f, "{other:?}"),
        }
    }
}
