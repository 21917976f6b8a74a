//! What the figures were taken on.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use crate::database::Database;
use crate::figures::percentile;

const SYNCS: usize = 300;
const SYNCED_BYTES: usize = 6_600;

/// # Errors
/// When the database does not answer, or the directory cannot be written to.
pub fn describe(database: Option<&Database>, directory: &Path) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?;
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("machine: {cores} cores of {model}, {memory} of memory, Linux {}", kernel.trim());
    if let Some(database) = database {
        let settings = ["server_version", "shared_buffers", "fsync", "synchronous_commit", "wal_sync_method"];
        let values = settings.iter().map(|name| database.setting(name)).collect::<Result<Vec<_>, _>>()?;
        println!(
            "PostgreSQL {}: shared_buffers {}, fsync {}, synchronous_commit {}, {}",
            values[0], values[1], values[2], values[3], values[4]
        );
    }
    let kind = file_system(directory);
    let (p50, p99) = sync_times(directory)?;
    println!("disk: {kind}; a new file of {SYNCED_BYTES} bytes and its fsync: p50 {p50:.3} ms, p99 {p99:.3} ms");
    if kind.contains("tmpfs") || kind.contains("overlay") {
        println!("!!! {} is on {kind}: choose a real disk with --directory", directory.display());
    }
    print_load();
    Ok(())
}

/// What else the machine does.
pub fn print_load() {
    println!("load average: {}", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The kind of the file system with the longest mount point above the directory.
fn file_system(directory: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = fields.filter(|(point, _)| directory.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map_or("unknown", |(_, kind)| kind).to_owned()
}

fn sync_times(directory: &Path) -> anyhow::Result<(f64, f64)> {
    let directory = directory.join("sync");
    fs::create_dir(&directory)?;
    let bytes = vec![b'x'; SYNCED_BYTES];
    let mut times = Vec::with_capacity(SYNCS);
    for index in 0..SYNCS {
        let start = Instant::now();
        let mut file = File::create_new(directory.join(index.to_string()))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        times.push(u64::try_from(start.elapsed().as_nanos())?);
    }
    fs::remove_dir_all(directory)?;
    times.sort_unstable();
    Ok((percentile(&times, 50), percentile(&times, 99)))
}
