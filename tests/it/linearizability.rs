//! Two servers on one database, and clients that create, load, commit to, rename and drop a few tables through both at once. Whatever
//! they were told can be put in one order: by name, and by what was done to each table under whatever name. Also while PostgreSQL
//! is killed.
//!
//! Each round is a history of its own, in namespaces of its own, and is checked whole (`checker.rs`, against `model.rs`).

mod breaking;
mod checker;
mod known;
mod model;
mod player;
mod random;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use self::checker::{Event, Verdict, check, minimise};
use self::model::{Action, Catalog, Op, Outcome, forget_unseen, resolve};
use self::player::{Player, Round};
use self::random::Random;
use crate::support::{Client, Process, Server, is_alive, signal};

/// How many clients there are in a round, and how much each of them does: where they want different things, and where all want the same.
const CLIENTS: [(usize, usize); 2] = [(8, 50), (16, 30)];
/// A test goes on until there were so many rounds.
const ROUNDS: usize = 8;
/// And no longer than this where it depends on chance.
const ROUNDS_MAX: usize = 100;
const KILLS: usize = 8;
/// How many loads of each history are made stale, to see that it is noticed.
const STALE_LOADS: usize = 3;
const MASTER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// What all rounds of a test did.
#[derive(Default)]
struct Tally {
    histories: usize,
    operations: usize,
    /// Operations by what they were and what came of them.
    kinds: BTreeMap<(&'static str, &'static str), usize>,
    not_now: BTreeMap<&'static str, usize>,
    /// Pairs of operations at once, and those of them that both changed something of one name.
    overlapping: usize,
    racing: usize,
    /// Operations whose outcome was not known and that an order was found with, and not without.
    unknown_and_done: usize,
    situations: usize,
    situations_max: usize,
    checking: Duration,
    stale_loads: usize,
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var_os(name)?.into_string().ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// How long a test goes on.
fn duration() -> Duration {
    Duration::from_secs(setting("LINEARIZABILITY_SECONDS").unwrap_or(15))
}

/// What the clients do follows from it; what comes of it does not, as they race.
fn seed() -> u64 {
    let now = || u64::from(uuid::Uuid::new_v4().as_fields().0);
    setting("LINEARIZABILITY_SEED").unwrap_or_else(now)
}

/// Plays one round, half of the clients on each server.
async fn play(servers: &[Client; 2], number: usize, seed: u64) -> (Vec<Event<Op>>, BTreeMap<&'static str, usize>) {
    let hot = number % 2 == 1;
    let (clients, operations) = CLIENTS[usize::from(hot)];
    let round = Round::new(format!("round{number}x"), hot);
    for index in 0..2 {
        let body = json!({"namespace": [round.namespace(index)]});
        while ![200, 409].contains(&servers[0].post("/catalog/v1/default/namespaces", &body).await.status) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let mut random = Random::new(seed);
    let players = (0..clients).map(|id| Player::new(&round, &servers[id % 2], id, random.next()));
    let playing: Vec<_> = players.map(|player| tokio::spawn(player.play(operations))).collect();
    let mut events = Vec::new();
    let mut not_now: BTreeMap<&'static str, usize> = BTreeMap::new();
    for player in playing {
        let player = player.await.unwrap_or_else(|error| panic!("round {number} of seed {seed}: {error}"));
        events.extend(player.events);
        for (why, count) in player.not_now {
            *not_now.entry(why).or_default() += count;
        }
    }
    for (id, server) in servers.iter().enumerate() {
        events.extend(Player::new(&round, server, clients + id, random.next()).look_at_all().await.events);
    }
    (events, not_now)
}

impl Tally {
    /// Checks a history, and that it is noticed when something in it is made wrong.
    fn judge(&mut self, mut events: Vec<Event<Op>>, what: &str) {
        self.count(&events);
        if let Err(why) = resolve(&mut events) {
            panic!("{what}: {why}\n{}", lines(&events));
        }
        forget_unseen(&mut events);
        let began = Instant::now();
        let verdict = check(&Catalog::default(), &events);
        self.checking += began.elapsed();
        match &verdict {
            Verdict::Linearizable { order, situations } => {
                self.unknown_and_done += order.iter().filter(|op| events[**op].answered.is_none()).count();
                self.situations += situations;
                self.situations_max = self.situations_max.max(*situations);
            }
            Verdict::Undecided => panic!("{what}: the search gave up\n{}", lines(&events)),
            Verdict::Not { .. } => panic!("{what} is not linearizable:\n{}", explanation(&events)),
        }
        for stale in stale_loads(&events).into_iter().take(STALE_LOADS) {
            assert!(
                !check(&Catalog::default(), &stale).is_linearizable(),
                "{what}: a stale load was not noticed\n{}",
                lines(&stale)
            );
            self.stale_loads += 1;
        }
    }

    fn regret(&mut self, not_now: BTreeMap<&'static str, usize>) {
        for (why, count) in not_now {
            *self.not_now.entry(why).or_default() += count;
        }
    }

    fn count(&mut self, events: &[Event<Op>]) {
        self.histories += 1;
        self.operations += events.len();
        for event in events {
            *self.kinds.entry((kind(&event.op.action), told(&event.op.outcome))).or_default() += 1;
        }
        for (index, one) in events.iter().enumerate() {
            for other in &events[index + 1..] {
                let at_once =
                    one.invoked <= other.answered.unwrap_or(u64::MAX) && other.invoked <= one.answered.unwrap_or(u64::MAX);
                let changed = changes(&one.op);
                self.overlapping += usize::from(at_once);
                self.racing += usize::from(at_once && changes(&other.op).iter().any(|name| changed.contains(name)));
            }
        }
    }

    fn of(&self, kind: &str, told: &str) -> usize {
        let counts = self.kinds.iter().filter(|((k, t), _)| *k == kind && *t == told);
        counts.map(|(_, count)| count).sum()
    }

    fn print(&self, what: &str) {
        println!(
            "{what}: {} histories, {} operations, {} pairs at once, {} of them changes of one name; {} situations searched, at most {} \
             in one history, {:?}; {} stale loads noticed; did not happen: {:?}; unknown, but done: {}",
            self.histories,
            self.operations,
            self.overlapping,
            self.racing,
            self.situations,
            self.situations_max,
            self.checking,
            self.stale_loads,
            self.not_now,
            self.unknown_and_done
        );
        println!("{:?}", self.kinds);
    }

    /// That enough went well, and enough did not, for the verdicts to mean something.
    #[track_caller]
    fn expect(&self, least: usize) {
        let done = ["create", "staged create", "load", "look", "list", "commit", "commit to two", "rename", "drop"];
        for kind in done {
            assert!(self.of(kind, "done") >= least, "only {} times: {kind}", self.of(kind, "done"));
        }
        for kind in ["load", "look", "commit", "commit to two", "rename", "drop"] {
            assert!(self.of(kind, "missing") >= least / 2, "only {} times: {kind} of nothing", self.of(kind, "missing"));
        }
        assert!(self.of("create", "taken") >= least && self.of("rename", "taken") >= least / 2);
        assert!(self.of("commit", "refused") >= least, "lost races");
        assert!(self.overlapping >= 100 * least && self.racing >= 10 * least, "what is not at once shows little");
        assert!(self.stale_loads > 0);
    }
}

fn kind(action: &Action) -> &'static str {
    match action {
        Action::Create { how: model::Creation::AtOnce, .. } => "create",
        Action::Create { how: model::Creation::Staged, .. } => "staged create",
        Action::Load { .. } => "load",
        Action::Exists(_) => "look",
        Action::List(_) => "list",
        Action::Commit(changes) if changes.len() > 1 => "commit to two",
        Action::Commit(_) => "commit",
        Action::Rename(..) => "rename",
        Action::Drop(_) => "drop",
    }
}

fn told(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done | Outcome::Saw(_) | Outcome::Listed(_) => "done",
        Outcome::Missing => "missing",
        Outcome::Taken => "taken",
        Outcome::Refused => "refused",
        Outcome::Unknown => "unknown",
    }
}

/// The names of which an operation changed something.
fn changes(op: &Op) -> Vec<usize> {
    if !matches!(op.outcome, Outcome::Done | Outcome::Saw(_)) {
        return Vec::new();
    }
    match &op.action {
        Action::Create { name, .. } | Action::Drop(name) => vec![*name],
        Action::Commit(changes) => changes.iter().map(|change| change.name).collect(),
        Action::Rename(from, to) => vec![*from, *to],
        Action::Load { .. } | Action::Exists(_) | Action::List(_) => Vec::new(),
    }
}

/// The history, with one load each that saw the table as it was before a commit that had been answered when the load began.
fn stale_loads(events: &[Event<Op>]) -> Vec<Vec<Event<Op>>> {
    let mut histories = Vec::new();
    for (index, load) in events.iter().enumerate() {
        let (Action::Load { .. }, Outcome::Saw(seen)) = (&load.op.action, &load.op.outcome) else { continue };
        let before = events.iter().filter(|event| event.answered.is_some_and(|answered| answered < load.invoked));
        let committed = before.filter(|event| event.op.number != seen.created && seen.all.contains(&event.op.number));
        let Some(newest) = committed.max_by_key(|event| event.op.number).map(|event| event.op.number) else { continue };
        let older = events.iter().find_map(|event| match &event.op.outcome {
            Outcome::Saw(older) if older.uuid == seen.uuid && !older.all.contains(&newest) => Some(older.clone()),
            _ => None,
        });
        if let Some(older) = older {
            let mut stale = events.to_vec();
            stale[index].op.outcome = Outcome::Saw(older);
            histories.push(stale);
        }
    }
    // Not always the first ones.
    let middle = histories.len() / 2;
    histories.rotate_left(middle);
    histories
}

fn lines(events: &[Event<Op>]) -> String {
    let mut sorted: Vec<&Event<Op>> = events.iter().collect();
    sorted.sort_by_key(|event| event.invoked);
    sorted.into_iter().fold(String::new(), |mut text, event| {
        let _ = writeln!(text, "{event}");
        text
    })
}

/// A history that is not linearizable, as short as it gets, and how far an order of it goes.
fn explanation(events: &[Event<Op>]) -> String {
    let rest = minimise(&Catalog::default(), events);
    let mut text = format!("{} of {} operations are left of it:\n{}", rest.len(), events.len(), lines(&rest));
    if let Verdict::Not { order, stuck, .. } = check(&Catalog::default(), &rest) {
        let numbers: Vec<String> = order.iter().map(|op| format!("#{}", rest[*op].op.number)).collect();
        let _ = writeln!(text, "an order of them can begin so: {}\nand then none of these can follow:", numbers.join(" "));
        for op in stuck {
            let _ = writeln!(text, "{}", rest[op]);
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_of_two_servers_are_told_is_linearizable() {
    let one = Server::start().await;
    let other = one.another().await;
    let servers = [one.client.clone(), other.client.clone()];
    let (began, seed) = (Instant::now(), seed());
    let mut tally = Tally::default();
    while began.elapsed() < duration() || tally.histories < ROUNDS {
        let round = tally.histories;
        let (events, not_now) = play(&servers, round, seed.wrapping_add(round as u64)).await;
        tally.regret(not_now);
        assert!(events.iter().all(|event| event.op.outcome != Outcome::Unknown), "nothing broke:\n{}", lines(&events));
        tally.judge(events, &format!("round {round} of LINEARIZABILITY_SEED={seed}"));
    }
    tally.print("two servers");
    tally.expect(6);
}

/// Kills PostgreSQL in one way after the other until it is told to stop, and waits until it is back.
async fn kill_postgres(owner: Arc<Process>, mut random: Random, kills: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(300 + random.below(1_200))).await;
        let process = owner.postgres().expect("PostgreSQL runs");
        let kill = kills.fetch_add(1, Ordering::SeqCst);
        // At once; as the system would in an emergency; as an administrator would.
        signal(["-KILL", "-QUIT", "-INT"][kill % 3], process);
        let deadline = Instant::now() + Duration::from_mins(1);
        while is_alive(process) {
            assert!(Instant::now() < deadline, "PostgreSQL does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        owner.wait_ready().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_of_two_servers_are_told_is_linearizable_while_postgres_is_killed_again_and_again() {
    let mut owner = Process::new();
    owner.set("NUNATAK_MASTER_KEY", MASTER_KEY);
    owner.start().await;
    // The second server is a guest in the first one's database, and its connections break off beside that.
    let seed = seed();
    let sockets = owner.data().join("breaking");
    let breaks = breaking::open(&sockets, &owner.data().join("run"), seed);
    let mut guest = Process::new();
    guest.set("NUNATAK_MASTER_KEY", MASTER_KEY);
    guest.set("NUNATAK_DATABASE_URL", &format!("postgres://nunatak@localhost/nunatak?host={}&port=5432", sockets.display()));
    guest.start().await;
    let servers = [owner.login().await, guest.login().await];
    breaks.store(true, Ordering::SeqCst);
    let owner = Arc::new(owner);
    let began = Instant::now();
    let kills = Arc::new(AtomicUsize::new(0));
    let mut tally = Tally::default();
    let enough = |tally: &Tally| {
        let lucky = tally.unknown_and_done > 0 || tally.histories >= ROUNDS_MAX;
        began.elapsed() >= duration() && tally.histories >= ROUNDS / 2 && kills.load(Ordering::SeqCst) >= KILLS && lucky
    };
    while !enough(&tally) {
        let round = tally.histories;
        let round_seed = seed.wrapping_add(round as u64);
        let stop = Arc::new(AtomicBool::new(false));
        let killer = kill_postgres(Arc::clone(&owner), Random::new(round_seed), Arc::clone(&kills), Arc::clone(&stop));
        let killer = tokio::spawn(killer);
        let (events, not_now) = play(&servers, round, round_seed).await;
        stop.store(true, Ordering::SeqCst);
        killer.await.unwrap();
        tally.regret(not_now);
        tally.judge(events, &format!("round {round} of LINEARIZABILITY_SEED={seed}"));
    }
    tally.print(&format!("two servers and {} restarts of PostgreSQL", kills.load(Ordering::SeqCst)));
    tally.expect(2);
    let unknown: usize = tally.kinds.iter().filter(|((_, told), _)| *told == "unknown").map(|(_, count)| count).sum();
    assert!(unknown > 0 && tally.unknown_and_done > 0, "{unknown} outcomes were not known");
    assert!(tally.not_now.contains_key("unavailable"), "PostgreSQL was missed by nobody");
    drop(guest);
}
