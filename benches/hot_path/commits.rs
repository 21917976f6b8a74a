//! Commits: each sets one property of one table, on the condition that it is still the same table.

use std::path::Path;

use serde_json::json;
use serde_json::value::RawValue;

use crate::database::Database;
use crate::figures::{Row, print_head, print_row, ratio};
use crate::floor_commit::FloorCommits;
use crate::generator::Load;
use crate::loads::{Side, Spread};
use crate::random::Random;
use crate::rounds::{Asked, CONNECTIONS, Contender, Rounds, Summary};
use crate::tables::{About, Table};
use crate::target::expect_success;
use crate::wire::Answer;

/// As many digits as the counter has in the tables' definition, so that no table grows.
const COUNTER_DIGITS: usize = 16;
/// What follows the counter in a request.
const TAIL: &str = "\"}}]}";

/// Commits, each with a value that was never there before.
struct Commits<'a> {
    tables: &'a [Table],
    requests: Vec<Vec<u8>>,
    /// Tables that a commit is under way on: another one would be a conflict, which is not what is measured.
    busy: Vec<bool>,
    counter: u64,
    random: Random,
    about: About,
}

impl<'a> Commits<'a> {
    /// `series` keeps the values of one load apart from those of the others.
    fn new(side: Side<'a>, spread: Spread, series: u64) -> Self {
        let asked = if spread == Spread::Hot { &side.tables[..1] } else { side.tables };
        let request = |table: &Table| {
            let body = json!({
                "requirements": [{"type": "assert-table-uuid", "uuid": table.uuid}],
                "updates": [{"action": "set-properties", "updates": {"hot-path.counter": "0".repeat(COUNTER_DIGITS)}}],
            });
            let body = body.to_string();
            assert!(body.ends_with(&format!("{}{TAIL}", "0".repeat(COUNTER_DIGITS))));
            side.target.commit_request(&table.name, body.as_bytes())
        };
        Self {
            tables: side.tables,
            requests: asked.iter().map(request).collect(),
            busy: vec![false; asked.len()],
            counter: series * 1_000_000_000_000,
            random: Random::new(11),
            about: About::default(),
        }
    }
}

impl Load for Commits<'_> {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<usize> {
        if self.busy.iter().all(|busy| *busy) {
            return None;
        }
        let index = std::iter::repeat_with(|| self.random.below(self.requests.len())).find(|index| !self.busy[*index])?;
        self.busy[index] = true;
        self.counter += 1;
        request.extend_from_slice(&self.requests[index]);
        let end = request.len() - TAIL.len();
        request[end - COUNTER_DIGITS..end].copy_from_slice(format!("{:0COUNTER_DIGITS$}", self.counter).as_bytes());
        Some(index)
    }

    fn check(&mut self, index: usize, answer: &Answer<'_>) -> Result<(), String> {
        self.busy[index] = false;
        expect_success(answer)?;
        self.about.check(&self.tables[index], answer.body)
    }
}

/// What commits are compared with, where there is a database to compare on.
pub struct Floor<'a> {
    pub database: &'a Database,
    pub directory: &'a Path,
    /// A metadata file as the server writes it.
    pub file: Vec<u8>,
}

impl Floor<'_> {
    /// The metadata in the body of a load.
    ///
    /// # Errors
    /// When it is no load.
    pub fn metadata(body: &[u8]) -> anyhow::Result<Vec<u8>> {
        #[derive(serde::Deserialize)]
        struct Loaded {
            metadata: Box<RawValue>,
        }
        Ok(serde_json::from_slice::<Loaded>(body)?.metadata.get().as_bytes().to_vec())
    }
}

/// Measures commits: to one table over one connection, and to any over more.
///
/// # Errors
/// When a connection breaks.
pub fn measure(
    server: Side<'_>,
    floor: Option<&Floor<'_>>,
    peer: Option<Side<'_>>,
    rounds: Rounds,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    if let Some(floor) = floor {
        FloorCommits::prepare(floor, server.tables.len())?;
    }
    let mut series = 0;
    for (spread, all_connections) in [(Spread::Hot, &CONNECTIONS[..1]), (Spread::Uniform, &CONNECTIONS[..])] {
        let what = if spread == Spread::Hot { "one hot table" } else { "uniform over all tables" };
        print_head(&format!("Commits, {what}"));
        for &connections in all_connections {
            series += 1;
            let asked = |side: Side<'_>, load| Asked { name: side.target.name, address: side.target.address, connections, load };
            let mut contenders: Vec<Box<dyn Contender>> = vec![Box::new(asked(server, Commits::new(server, spread, series)))];
            if let Some(floor) = floor {
                contenders.push(Box::new(FloorCommits::new(floor, spread, server.tables.len(), connections, false)));
                contenders.push(Box::new(FloorCommits::new(floor, spread, server.tables.len(), connections, true)));
            }
            if let Some(peer) = peer {
                contenders.push(Box::new(asked(peer, Commits::new(peer, spread, series))));
            }
            let rows = rounds.run(&mut contenders)?;
            report(&rows, if floor.is_some() { 2 } else { 0 }, what, connections, summary);
        }
    }
    Ok(())
}

/// `floors` of the rows, after the first, are what any catalog has to do; the ratio is to the first of them.
fn report(rows: &[Row], floors: usize, what: &str, connections: usize, summary: &mut Summary) {
    let server = &rows[0];
    for (index, row) in rows.iter().enumerate() {
        let longer = ratio(server, row, |figures| figures.p50);
        let more = ratio(server, row, |figures| figures.per_second);
        let note = match index {
            0 => String::new(),
            _ => format!("{}: p50 {longer:.2} times, throughput {more:.2} times as much", server.name),
        };
        print_row(connections, row, &note);
        if index == 0 || (index > 1 && index <= floors) {
            continue;
        }
        if connections == 1 {
            summary.keep(&format!("commit p50, {what}, 1 connection"), server, row, |figures| figures.p50);
        }
        let commits = format!("commits/s, {what}, {connections} connection{}", if connections == 1 { "" } else { "s" });
        summary.keep(&commits, server, row, |figures| figures.per_second);
    }
    summary.failures += rows.iter().map(|row| row.failures).sum::<usize>();
}
