//! Loads of tables: of one that everybody wants, and of any.

use crate::figures::{Row, print_head, print_row, ratio};
use crate::floor_server::{Bodies, STATIC_PATH};
use crate::generator::{Load, drive};
use crate::random::Random;
use crate::rounds::{Asked, CONNECTIONS, Contender, Rounds, Summary};
use crate::tables::{About, Table};
use crate::target::{Target, expect_success};
use crate::wire::Answer;

const FETCH_CONNECTIONS: usize = 16;

/// A server and its tables.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub target: &'a Target,
    pub tables: &'a [Table],
}

/// Which tables are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Always the first.
    Hot,
    /// Any, each as likely.
    Uniform,
}

/// Asks for tables, again and again.
struct Loads<'a> {
    tables: &'a [Table],
    requests: Vec<Vec<u8>>,
    random: Random,
    about: About,
}

impl<'a> Loads<'a> {
    fn new(side: Side<'a>, spread: Spread) -> Self {
        let asked = if spread == Spread::Hot { &side.tables[..1] } else { side.tables };
        let requests = asked.iter().map(|table| side.target.load_request(&table.name, "")).collect();
        Self { tables: side.tables, requests, random: Random::new(7), about: About::default() }
    }

    /// The floor of the hot table has nothing to look up.
    fn of_floor(floor: Side<'a>, spread: Spread) -> Self {
        let loads = Self::new(floor, spread);
        if spread == Spread::Hot { Self { requests: vec![floor.target.get_request(STATIC_PATH)], ..loads } } else { loads }
    }
}

impl Load for Loads<'_> {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<usize> {
        let index = if self.requests.len() == 1 { 0 } else { self.random.below(self.requests.len()) };
        request.extend_from_slice(&self.requests[index]);
        Some(index)
    }

    fn check(&mut self, index: usize, answer: &Answer<'_>) -> Result<(), String> {
        expect_success(answer)?;
        self.about.check(&self.tables[index], answer.body)
    }
}

/// Loads every table once, for its body.
///
/// # Errors
/// When an answer is wrong.
pub fn bodies(side: Side<'_>) -> anyhow::Result<Bodies> {
    struct Fetch<'a>(Loads<'a>, Bodies);
    impl Load for Fetch<'_> {
        fn next(&mut self, request: &mut Vec<u8>) -> Option<usize> {
            let index = self.1.len();
            request.extend_from_slice(self.0.requests.get(index)?);
            self.1.push((self.0.tables[index].name.clone(), Vec::new()));
            Some(index)
        }
        fn check(&mut self, index: usize, answer: &Answer<'_>) -> Result<(), String> {
            answer.body.clone_into(&mut self.1[index].1);
            self.0.check(index, answer)
        }
    }
    let mut fetch = Fetch(Loads::new(side, Spread::Uniform), Bodies::new());
    drive(side.target.address, FETCH_CONNECTIONS, None, &mut fetch)?.all_right()?;
    Ok(fetch.1)
}

/// Measures loads of one hot table and of all of them.
///
/// # Errors
/// When a connection breaks.
pub fn measure(
    server: Side<'_>,
    floor: Option<&Target>,
    peer: Option<Side<'_>>,
    rounds: Rounds,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    for spread in [Spread::Hot, Spread::Uniform] {
        let what = if spread == Spread::Hot { "one hot table" } else { "uniform over all tables" };
        print_head(&format!("Loads, {what}"));
        for connections in CONNECTIONS {
            let last = connections == CONNECTIONS[2];
            let asked = |side: Side<'_>, load| Asked { name: side.target.name, address: side.target.address, connections, load };
            let mut contenders: Vec<Box<dyn Contender>> = vec![Box::new(asked(server, Loads::new(server, spread)))];
            if let Some(target) = floor {
                let side = Side { target, tables: server.tables };
                contenders.push(Box::new(asked(side, Loads::of_floor(side, spread))));
            }
            if let Some(peer) = peer.filter(|_| last) {
                contenders.push(Box::new(asked(peer, Loads::new(peer, spread))));
            }
            let rows = rounds.run(&mut contenders)?;
            report(&rows, connections, floor.is_some(), summary);
            for other in rows.iter().skip(1).filter(|_| last) {
                let loads = format!("loads/s, {what}, {connections} connections");
                summary.keep(&loads, &rows[0], other, |figures| figures.per_second);
            }
        }
    }
    Ok(())
}

fn report(rows: &[Row], connections: usize, has_floor: bool, summary: &mut Summary) {
    for (index, row) in rows.iter().enumerate() {
        let note = match index {
            0 if has_floor => format!("{:.1} % of the floor", 100.0 * ratio(row, &rows[1], |figures| figures.per_second)),
            0 => String::new(),
            1 if has_floor => format!("the floor (the generator used {:.1} us an answer)", row.generator_cost()),
            _ => format!("{} does {:.2} times as many", rows[0].name, ratio(&rows[0], row, |figures| figures.per_second)),
        };
        print_row(connections, row, &note);
    }
    summary.failures += rows.iter().map(|row| row.failures).sum::<usize>();
}
