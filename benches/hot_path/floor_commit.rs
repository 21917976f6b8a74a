//! The floor of commits: a new file, synced, and then one durable update of one row. No catalog that writes a metadata file and keeps its
//! pointers in PostgreSQL could do less.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::bail;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor};

use crate::commits::Floor;
use crate::generator::{INTERRUPTED, Span, Window};
use crate::loads::Spread;
use crate::random::Random;
use crate::rounds::Contender;

const DATABASE: &str = "floor";
/// As the catalog compresses it.
const ZSTD_LEVEL: i32 = 1;

/// Workers that do it one after the other.
pub struct FloorCommits {
    options: PgConnectOptions,
    directory: PathBuf,
    file: Vec<u8>,
    packed: Vec<u8>,
    /// How many rows there are to choose from.
    rows: usize,
    workers: usize,
    sync_directory: bool,
    /// Of the measurements so far: each writes to a directory of its own.
    round: usize,
}

impl FloorCommits {
    /// Makes the table that is updated: shaped as the catalog's, with as many rows.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn prepare(floor: &Floor<'_>, rows: usize) -> anyhow::Result<()> {
        floor.database.create(DATABASE)?;
        let packed = zstd::bulk::compress(&floor.file, ZSTD_LEVEL)?;
        println!(
            "\na commit writes a file of {} bytes, and {} bytes of it compressed to its row",
            floor.file.len(),
            packed.len()
        );
        let mut connection = floor.database.connect(DATABASE)?;
        floor.database.run(async {
            let schema = "CREATE TABLE pointer (id bigint PRIMARY KEY, version bigint NOT NULL, location text NOT NULL, \
                          metadata bytea NOT NULL) WITH (fillfactor = 70); \
                          ALTER TABLE pointer ALTER COLUMN metadata SET STORAGE EXTERNAL";
            connection.execute(schema).await?;
            let fill = sqlx::query("INSERT INTO pointer SELECT id, 0, '', $1 FROM generate_series(0, $2::bigint - 1) id");
            fill.bind(&packed).bind(i64::try_from(rows)?).execute(&mut connection).await?;
            connection.execute("VACUUM ANALYZE pointer").await?;
            connection.close().await?;
            Ok(())
        })
    }

    pub fn new(floor: &Floor<'_>, spread: Spread, tables: usize, workers: usize, sync_directory: bool) -> Self {
        Self {
            options: floor.database.options(DATABASE),
            directory: floor.directory.join("floor"),
            file: floor.file.clone(),
            packed: zstd::bulk::compress(&floor.file, ZSTD_LEVEL).unwrap(),
            rows: if spread == Spread::Hot { 1 } else { tables },
            workers,
            sync_directory,
            round: 0,
        }
    }

    /// One worker's commits until the time is over; how long each took.
    fn work(&self, worker: usize, mut connection: Prepared, directory: &Path, span: Span) -> anyhow::Result<Vec<u64>> {
        let mut random = Random::new((self.round * 1_000 + worker) as u64);
        let mut packed = self.packed.clone();
        let mut latencies = Vec::new();
        for number in 0_usize.. {
            let row = random.below(self.rows);
            // Not the same bytes again.
            packed[..8].copy_from_slice(&random.number().to_le_bytes());
            let start = Instant::now();
            let path = directory.join(format!("{number:05}-{worker}.metadata.json"));
            let mut file = File::create_new(&path)?;
            file.write_all(&self.file)?;
            file.sync_all()?;
            drop(file);
            if self.sync_directory {
                File::open(directory)?.sync_all()?;
            }
            connection.update(row, &path, &packed)?;
            let now = Instant::now();
            if span.is_over(now) {
                break;
            }
            if INTERRUPTED.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            if span.counts(now) {
                latencies.push(u64::try_from((now - start).as_nanos())?);
            }
        }
        Ok(latencies)
    }
}

/// A connection with the thread's own runtime.
struct Prepared {
    runtime: tokio::runtime::Runtime,
    connection: PgConnection,
}

impl Prepared {
    fn new(options: &PgConnectOptions) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let connection = runtime.block_on(options.connect())?;
        Ok(Self { runtime, connection })
    }

    fn update(&mut self, row: usize, path: &Path, packed: &[u8]) -> anyhow::Result<()> {
        let update = sqlx::query("UPDATE pointer SET version = version + 1, location = $2, metadata = $3 WHERE id = $1");
        let update = update.bind(i64::try_from(row)?).bind(path.to_str()).bind(packed);
        let done = self.runtime.block_on(update.execute(&mut self.connection))?;
        if done.rows_affected() == 1 { Ok(()) } else { bail!("no row was updated") }
    }
}

impl Contender for FloorCommits {
    fn name(&self) -> &'static str {
        if self.sync_directory { "file + directory + update" } else { "file + update" }
    }

    fn measure(&mut self, time: Duration) -> anyhow::Result<Window> {
        self.round += 1;
        let directory = self.directory.join(self.round.to_string());
        let connections: Vec<Prepared> = (0..self.workers).map(|_| Prepared::new(&self.options)).collect::<Result<_, _>>()?;
        let directories: Vec<PathBuf> = (0..self.workers).map(|worker| directory.join(worker.to_string())).collect();
        for directory in &directories {
            fs::create_dir_all(directory)?;
        }
        let span = Span::new(Some(time));
        let this = &*self;
        let latencies = std::thread::scope(|scope| {
            let workers: Vec<_> = connections
                .into_iter()
                .zip(&directories)
                .enumerate()
                .map(|(worker, (connection, directory))| scope.spawn(move || this.work(worker, connection, directory, span)))
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Result<Vec<_>, _>>()
        })?;
        fs::remove_dir_all(directory)?;
        Ok(Window { latencies: latencies.concat(), seconds: time.as_secs_f64(), ..Window::default() })
    }
}
