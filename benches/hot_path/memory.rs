//! The bound on memory: tables with metadata of 1 MB each, every one of them loaded, by a server that may not use more than so much.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use flate2::read::GzDecoder;

use crate::cgroup::Cgroup;
use crate::child::Child;
use crate::database::Database;
use crate::figures::{Row, grouped, print_head, print_row};
use crate::generator::{Load, drive};
use crate::large::Template;
use crate::options::Options;
use crate::random::Random;
use crate::servers::{self, Server};
use crate::tables::{About, Table};
use crate::target::{Target, expect_success};
use crate::wire::Answer;

const CONNECTIONS: usize = 64;
const ENDING_TIME: Duration = Duration::from_millis(500);
const MIB: u64 = 1024 * 1024;
/// How much of a compressed answer is decompressed to see which table it is about. One answer in [`WHOLE_EVERY`] is read to its end.
const BEGINNING_BYTES: u64 = 4 * 1024;
const WHOLE_EVERY: usize = 20;

/// Loads every table once, in any order.
struct EachOnce<'a> {
    target: &'a Target,
    tables: &'a [Table],
    order: Vec<usize>,
    compressed: bool,
    /// What an answer has at least.
    bytes_min: usize,
    about: About,
    answered: usize,
}

impl Load for EachOnce<'_> {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<usize> {
        let index = self.order.pop()?;
        let headers = if self.compressed { "Accept-Encoding: gzip\r\n" } else { "" };
        request.extend_from_slice(&self.target.load_request(&self.tables[index].name, headers));
        Some(index)
    }

    fn check(&mut self, index: usize, answer: &Answer<'_>) -> Result<(), String> {
        expect_success(answer)?;
        self.answered += 1;
        let mut text = Vec::new();
        let whole = if self.compressed {
            let is_whole = self.answered.is_multiple_of(WHOLE_EVERY);
            let bytes = if is_whole { u64::MAX } else { BEGINNING_BYTES };
            GzDecoder::new(answer.body).take(bytes).read_to_end(&mut text).map_err(|error| format!("no gzip: {error}"))?;
            is_whole
        } else {
            true
        };
        let text = if self.compressed { &text[..] } else { answer.body };
        if whole && (text.len() < self.bytes_min || !text.ends_with(b"}")) {
            return Err(format!("an answer of {} bytes is not whole", text.len()));
        }
        self.about.check(&self.tables[index], text)
    }
}

/// Runs it; whether the bound held and every answer was right.
///
/// # Errors
/// When something that is needed does not start.
pub fn measure(options: &Options, database: &Database, directory: &Path) -> anyhow::Result<bool> {
    let limit = options.memory_limit * MIB;
    let group = Cgroup::new(limit);
    match &group {
        Ok(_) => println!("\nmemory: the server runs in a control group of {} MiB", options.memory_limit),
        Err(error) => println!(
            "\n!!! NO CONTROL GROUP ({error:#}): NOTHING BOUNDS THE SERVER. Its peak is held against {} MiB afterwards.",
            options.memory_limit
        ),
    }
    let mut server = servers::nunatak(database, directory, group.as_ref().ok().map(Cgroup::wrapper))?;
    let outcome = serve_all(options, database, &server);
    if let Err(error) = &outcome {
        println!("!!! {error:#}");
        // It may be on its way out.
        std::thread::sleep(ENDING_TIME);
    }
    let mut right = outcome.unwrap_or(false);
    let (_, peak) = server.child.memory();
    match server.child.ended() {
        Some(status) => println!("!!! the server ended: {status}"),
        None => println!("\npeak of the server's memory (VmHWM): {} MiB of {}", peak / MIB, options.memory_limit),
    }
    if let Ok(group) = &group {
        let (most, kills) = group.seen();
        println!("the control group counted {} MiB at most, cached files included, and killed {kills} times", most / MIB);
        right &= kills == 0;
    }
    right &= peak > 0 && peak <= limit;
    println!("{}", if right { "the bound held" } else { "!!! THE BOUND DID NOT HOLD, OR ANSWERS WERE WRONG" });
    drop(server);
    Ok(right)
}

/// Makes the tables and loads them; whether all answers were right.
fn serve_all(options: &Options, database: &Database, server: &Server) -> anyhow::Result<bool> {
    let template = Template::create(&server.target)?;
    print_memory(&server.child, "one large table made");
    let start = Instant::now();
    let (tables, packed) = template.multiply(database, options.tables())?;
    println!(
        "{} tables of {} bytes of metadata each, {} compressed ({:.1} times less), made in {:.0} s",
        grouped(tables.len() as f64),
        grouped(template.bytes() as f64),
        grouped(packed as f64 / tables.len() as f64),
        (template.bytes() * tables.len()) as f64 / packed as f64,
        start.elapsed().as_secs_f64()
    );
    print_head("Loads of every large table once");
    let identity = pass(server, &tables, template.bytes(), false)?;
    let gzip = pass(server, &tables, template.bytes(), true)?;
    Ok(identity && gzip)
}

/// Loads every table once; whether all answers were right.
fn pass(server: &Server, tables: &[Table], bytes_min: usize, compressed: bool) -> anyhow::Result<bool> {
    let mut order: Vec<usize> = (0..tables.len()).collect();
    Random::new(5).shuffle(&mut order);
    let target = &server.target;
    let mut load = EachOnce { target, tables, order, compressed, bytes_min, about: About::default(), answered: 0 };
    let driven = drive(target.address, CONNECTIONS, None, &mut load);
    let window = driven.with_context(|| format!("after {} answers", load.answered))?;
    let megabytes = window.body_bytes as f64 / 1e6;
    let note = format!("{:.0} MB/s, {} kB each", megabytes / window.seconds, grouped(megabytes * 1e3 / tables.len() as f64));
    let mut row = Row::new(if compressed { "nunatak, gzip" } else { "nunatak, identity" });
    row.add(window);
    print_row(CONNECTIONS, &row, &note);
    print_memory(&server.child, "after it");
    Ok(row.failures == 0 && load.answered == tables.len())
}

/// What a process has in memory.
pub fn print_memory(child: &Child, when: &str) {
    let (now, peak) = child.memory();
    println!("  memory, {when}: {} MiB resident, {} MiB at most", now / MIB, peak / MIB);
}
