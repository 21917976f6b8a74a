//! What the command line says.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures loads and commits of tables: nunatak beside the least that any server would have to do, and beside a peer.
#[derive(Parser, Clone, Debug)]
#[command(name = "hot_path", bin_name = "cargo bench --bench hot_path --")]
pub struct Options {
    /// How many tables [default: 10000, or 500 with --quick]
    #[arg(long)]
    tables: Option<usize>,
    /// Few tables and short windows: whether it works, rather than how fast it is
    #[arg(long)]
    pub quick: bool,
    /// One part alone
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Tables with metadata of 1 MB each, by a server that may use 512 MB; the same as --only memory
    #[arg(long)]
    memory: bool,
    /// How often each figure is taken; what is reported is the median [default: 5, or 3 with --quick]
    #[arg(long)]
    rounds: Option<usize>,
    /// How long each time [default: 2, or 0.5 with --quick]
    #[arg(long)]
    window_seconds: Option<f64>,
    /// Where the database and the files go, and vanish again: on a real disk, and open to PostgreSQL's user
    #[arg(long, default_value = "/var/tmp")]
    pub directory: PathBuf,
    /// A PostgreSQL to use instead of one of its own; its role must be allowed to create databases
    #[arg(long, env = "NUNATAK_BENCH_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// A `rustberg` (0.3, with its feature `catalog-postgres`) to measure beside nunatak
    #[arg(long)]
    pub rustberg: Option<PathBuf>,
    /// How many tables the peer gets [default: as many]
    #[arg(long)]
    peer_tables: Option<usize>,
    /// Another Iceberg REST server, measured alone: the URL before `/v1`
    #[arg(long)]
    pub server: Option<String>,
    /// The other server's bearer token
    #[arg(long, requires = "server")]
    pub token: Option<String>,
    /// The other server's prefix, as its `/v1/config` gives it
    #[arg(long, requires = "server")]
    pub prefix: Option<String>,
    /// What the server of --memory may use, in MiB
    #[arg(long, default_value_t = 512)]
    pub memory_limit: u64,
    /// This process is the floor of loads: it serves the bodies in that file
    #[arg(long, hide = true)]
    pub floor_server: Option<PathBuf>,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Loads,
    Commits,
    Memory,
}

impl Options {
    /// Whether a part is to run. Memory is a run of its own.
    pub fn runs(&self, part: Part) -> bool {
        let only = if self.memory { Some(Part::Memory) } else { self.only };
        only.map_or(part != Part::Memory, |only| only == part)
    }

    pub fn tables(&self) -> usize {
        self.tables.unwrap_or(if self.quick { 500 } else { 10_000 }).max(1)
    }

    pub fn peer_tables(&self) -> usize {
        self.peer_tables.unwrap_or(self.tables()).max(1)
    }

    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 }).max(1)
    }

    pub fn window(&self) -> Duration {
        Duration::from_secs_f64(self.window_seconds.unwrap_or(if self.quick { 0.5 } else { 2.0 }).max(0.1))
    }
}
