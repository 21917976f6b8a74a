//! How fast the two requests that matter are, and how much memory they take: loads and commits of tables. Everything is measured over HTTP
//! on the real binary, beside the least that any server would have to do (its floor), and beside a peer where one is given, all in the
//! same run and in turns: a figure alone says more about the machine and what else it does. See `--help`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::missing_panics_doc, missing_docs)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "they are figures, and far from the ends of their types"
)]

mod cgroup;
mod child;
mod commits;
mod database;
mod figures;
mod floor_commit;
mod floor_server;
mod generator;
mod large;
mod loads;
mod machine;
mod memory;
mod options;
mod place;
mod random;
mod rounds;
mod servers;
mod tables;
mod target;
mod wire;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Parser;

use commits::Floor;
use database::Database;
use loads::Side;
use options::{Options, Part};
use place::Place;
use rounds::{Rounds, Summary};
use tables::Table;
use target::Target;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let options = Options::parse();
    let done = if options.floor_server.is_some() {
        floor_server::run(&options).map(|()| true)
    } else {
        end_on_signals();
        run(&options)
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hot_path: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// An interrupt ends the run in order: what was started stops, and what was written goes.
fn end_on_signals() {
    use tokio::signal::unix::{SignalKind, signal};
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut interrupt, mut terminate) =
                (signal(SignalKind::interrupt()).unwrap(), signal(SignalKind::terminate()).unwrap());
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            generator::INTERRUPTED.store(true, Ordering::Relaxed);
            std::future::pending::<()>().await;
        });
    });
}

/// Whether every answer was right.
fn run(options: &Options) -> anyhow::Result<bool> {
    let rounds = Rounds { count: options.rounds(), window: options.window() };
    if let Some(url) = &options.server {
        return other_server(options, url, rounds);
    }
    let place = Place::new(&options.directory)?;
    let database = Database::open(options.database_url.as_deref(), place.path())?;
    machine::describe(Some(&database), place.path())?;
    if options.runs(Part::Memory) {
        return memory::measure(options, &database, place.path());
    }
    side_by_side(options, &database, place.path(), rounds)
}

fn side_by_side(options: &Options, database: &Database, directory: &Path, rounds: Rounds) -> anyhow::Result<bool> {
    println!("{} rounds of {:.1} s each", rounds.count, rounds.window.as_secs_f64());
    let server = servers::nunatak(database, directory, None)?;
    memory::print_memory(&server.child, "nunatak, started");
    let tables = create(&server.target, options.tables())?;
    let server_side = Side { target: &server.target, tables: &tables };
    let bodies = loads::bodies(server_side)?;
    println!("the body of a load has {} bytes", bodies[0].1.len());
    let peer = match &options.rustberg {
        Some(binary) => {
            let peer = servers::rustberg(binary, database, directory)?;
            let tables = create(&peer.target, options.peer_tables())?;
            let bodies = loads::bodies(Side { target: &peer.target, tables: &tables[..1] })?;
            println!("the body of a load of rustberg has {} bytes", bodies[0].1.len());
            Some((peer, tables))
        }
        None => None,
    };
    let peer_side = peer.as_ref().map(|(peer, tables)| Side { target: &peer.target, tables });
    let mut summary = Summary::default();
    if options.runs(Part::Loads) {
        let (_floor, address) = floor_server::start(&bodies, directory)?;
        let floor = server.target.at("static bytes", address);
        loads::measure(server_side, Some(&floor), peer_side, rounds, &mut summary)?;
        memory::print_memory(&server.child, "nunatak, after loads");
    }
    if options.runs(Part::Commits) {
        let floor = Floor { database, directory, file: Floor::metadata(&bodies[0].1)? };
        commits::measure(server_side, Some(&floor), peer_side, rounds, &mut summary)?;
        memory::print_memory(&server.child, "nunatak, after commits");
    }
    summary.print();
    machine::print_load();
    Ok(summary.failures == 0)
}

/// Measures a server that runs already, and leaves it as it was.
fn other_server(options: &Options, url: &str, rounds: Rounds) -> anyhow::Result<bool> {
    let target = Target::new("server", url)?.with_token(options.token.clone()).with_prefix(options.prefix.as_deref());
    let tables = create(&target, options.tables())?;
    let side = Side { target: &target, tables: &tables };
    let mut summary = Summary::default();
    let mut measure = || {
        let bodies = loads::bodies(Side { target: &target, tables: &tables[..1] })?;
        println!("the body of a load has {} bytes", bodies[0].1.len());
        if options.runs(Part::Loads) {
            loads::measure(side, None, None, rounds, &mut summary)?;
        }
        if options.runs(Part::Commits) {
            commits::measure(side, None, None, rounds, &mut summary)?;
        }
        anyhow::Ok(())
    };
    let measured = measure();
    // Also after an interrupt.
    generator::INTERRUPTED.store(false, Ordering::Relaxed);
    tables::drop_all(&target, &tables)?;
    measured.map(|()| summary.failures == 0)
}

fn create(target: &Target, count: usize) -> anyhow::Result<Vec<Table>> {
    let (tables, window) = tables::create(target, count)?;
    let per_second = figures::grouped(count as f64 / window.seconds);
    println!("{}: {count} tables created in {:.1} s ({per_second} per second)", target.name, window.seconds);
    Ok(tables)
}
