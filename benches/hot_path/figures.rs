//! Figures: percentiles, medians of rounds, and how they are printed.

use crate::generator::Window;

/// One server's figures of one round, or the medians of all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub per_second: f64,
    pub p50: f64,
    pub p99: f64,
}

impl Figures {
    pub fn of(window: &Window) -> Self {
        let mut latencies = window.latencies.clone();
        latencies.sort_unstable();
        Self {
            per_second: latencies.len() as f64 / window.seconds,
            p50: percentile(&latencies, 50),
            p99: percentile(&latencies, 99),
        }
    }

    fn median(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        Self { per_second: of(|round| round.per_second), p50: of(|round| round.p50), p99: of(|round| round.p99) }
    }
}

/// Of sorted latencies in nanoseconds, in milliseconds.
pub fn percentile(sorted: &[u64], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default() as f64 / 1e6
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[length / 2],
        length => f64::midpoint(values[length / 2 - 1], values[length / 2]),
    }
}

/// One contestant's rounds in one comparison.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    pub rounds: Vec<Figures>,
    answers: usize,
    generator_time: u64,
    pub failures: usize,
    pub failure: Option<String>,
}

impl Row {
    pub fn new(name: &'static str) -> Self {
        Self { name, rounds: Vec::new(), answers: 0, generator_time: 0, failures: 0, failure: None }
    }

    pub fn add(&mut self, window: Window) {
        self.rounds.push(Figures::of(&window));
        self.answers += window.answers;
        self.generator_time += window.generator_time;
        self.failures += window.failures;
        if self.failure.is_none() {
            self.failure = window.failure;
        }
    }

    pub fn median(&self) -> Figures {
        Figures::median(&self.rounds)
    }

    /// What an answer cost the load generator, in microseconds of the processor's time.
    pub fn generator_cost(&self) -> f64 {
        self.generator_time as f64 / 1e3 / self.answers as f64
    }

    /// How far the rounds lie apart, in per cent of their median: how much the figures are worth.
    fn spread(&self) -> f64 {
        let rates = || self.rounds.iter().map(|round| round.per_second);
        let (least, most) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
        100.0 * (most - least) / median(rates().collect())
    }
}

/// The median over the rounds of what one is to the other: each round compares what ran side by side.
pub fn ratio(one: &Row, other: &Row, figure: fn(&Figures) -> f64) -> f64 {
    median(one.rounds.iter().zip(&other.rounds).map(|(one, other)| figure(one) / figure(other)).collect())
}

pub fn print_head(title: &str) {
    println!("\n{title}");
    println!("  {:>11}  {:<26} {:>11} {:>7} {:>10} {:>10}", "connections", "", "per second", "spread", "p50 ms", "p99 ms");
}

/// The medians of a row's rounds.
pub fn print_row(connections: usize, row: &Row, note: &str) {
    let Figures { per_second, p50, p99 } = row.median();
    let (name, rate, spread) = (row.name, grouped(per_second), row.spread());
    println!("  {connections:>11}  {name:<26} {rate:>11} {spread:>5.0} % {p50:>10.3} {p99:>10.3}   {note}");
    if let Some(failure) = &row.failure {
        println!("  {:>11}  !! {} answers were wrong, the first: {failure}", "", row.failures);
    }
}

/// `12,345`.
pub fn grouped(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
