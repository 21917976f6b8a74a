//! Rounds: every contender in turn, again and again, so that whatever else the machine does falls on all of them.

use std::net::SocketAddr;
use std::time::Duration;

use crate::figures::{Figures, Row, ratio};
use crate::generator::{Load, Window, drive};

/// The connections at which everything is measured.
pub const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// Something that can be measured.
pub trait Contender {
    fn name(&self) -> &'static str;

    /// # Errors
    /// When it breaks off.
    fn measure(&mut self, time: Duration) -> anyhow::Result<Window>;
}

/// A server under a load.
pub struct Asked<L> {
    pub name: &'static str,
    pub address: SocketAddr,
    pub connections: usize,
    pub load: L,
}

impl<L: Load> Contender for Asked<L> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn measure(&mut self, time: Duration) -> anyhow::Result<Window> {
        drive(self.address, self.connections, Some(time), &mut self.load)
    }
}

/// How often, and how long each time.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    pub count: usize,
    pub window: Duration,
}

impl Rounds {
    /// Warms all of them up, and then measures each in turn.
    ///
    /// # Errors
    /// When one breaks off.
    pub fn run(self, contenders: &mut [Box<dyn Contender + '_>]) -> anyhow::Result<Vec<Row>> {
        for contender in contenders.iter_mut() {
            contender.measure(self.window / 4)?;
        }
        let mut rows: Vec<Row> = contenders.iter().map(|contender| Row::new(contender.name())).collect();
        for _ in 0..self.count {
            for (contender, row) in contenders.iter_mut().zip(&mut rows) {
                row.add(contender.measure(self.window)?);
            }
        }
        Ok(rows)
    }
}

/// What the end of the report needs.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    lines: Vec<String>,
    /// Answers that were wrong.
    pub failures: usize,
}

impl Summary {
    /// Keeps a ratio of the first row to another for the end.
    pub fn keep(&mut self, what: &str, one: &Row, other: &Row, figure: fn(&Figures) -> f64) {
        let shown = format!("{:.2}", ratio(one, other, figure));
        self.lines.push(format!("  {what:<52} {:>10} / {:<26} {shown:>8}", one.name, other.name));
    }

    pub fn print(&self) {
        println!("\nRatios (medians over the rounds)");
        for line in &self.lines {
            println!("{line}");
        }
    }
}
