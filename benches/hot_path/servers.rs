//! The servers under measurement: nunatak and the peer, each on a database of its own of the same PostgreSQL.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::child::{Child, free_port};
use crate::database::Database;
use crate::target::Target;

const CLIENT_ID: &str = "hot-path";
const CLIENT_SECRET: &str = "correct horse battery staple";
/// 32 zero bytes.
const MASTER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A server that runs, and how it is asked.
pub struct Server {
    pub child: Child,
    pub target: Target,
}

/// Starts nunatak, the binary that was built with this program. `wrapper` is what its command line is handed to, if anything.
///
/// # Errors
/// When it does not start.
pub fn nunatak(database: &Database, directory: &Path, wrapper: Option<Vec<String>>) -> anyhow::Result<Server> {
    let url = database.create("nunatak")?;
    let data = directory.join("nunatak");
    fs::create_dir_all(&data)?;
    let port = free_port()?;
    let log = directory.join("nunatak.log");
    let words: Vec<String> =
        wrapper.into_iter().flatten().chain([env!("CARGO_BIN_EXE_nunatak").to_owned(), "serve".to_owned()]).collect();
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", &data)
        .env("NUNATAK_BIND", format!("127.0.0.1:{port}"))
        .env("NUNATAK_DATA_DIR", &data)
        .env("NUNATAK_DATABASE_URL", url)
        .env("NUNATAK_MASTER_KEY", MASTER_KEY)
        .env("NUNATAK_BOOTSTRAP_CLIENT_ID", CLIENT_ID)
        .env("NUNATAK_BOOTSTRAP_CLIENT_SECRET", CLIENT_SECRET)
        // A run may take longer than the usual hour.
        .env("NUNATAK_TOKEN_LIFETIME_SECONDS", "86400");
    let mut child = start("nunatak", &mut command, &log)?;
    let url = format!("http://127.0.0.1:{port}");
    child.wait_ready(&Target::new("nunatak", &url)?, "/health/ready", &log)?;
    let target = Target::new("nunatak", &format!("{url}/catalog"))?.log_in(CLIENT_ID, CLIENT_SECRET)?;
    Ok(Server { child, target })
}

/// Starts the peer: without authentication, audit and rate limits, which is as fast as it gets.
///
/// # Errors
/// When it does not start.
pub fn rustberg(binary: &Path, database: &Database, directory: &Path) -> anyhow::Result<Server> {
    let url = database.create("rustberg")?;
    let warehouse = directory.join("rustberg");
    fs::create_dir_all(&warehouse)?;
    let port = free_port()?;
    let settings = directory.join("rustberg.toml");
    let text = format!(
        "[server]\nhost = \"127.0.0.1\"\nport = {port}\n\n[tls]\ninsecure_http = true\n\n[storage]\ncatalog_url = {url:?}\n\
         warehouse_location = \"file://{}\"\n\n[rate_limit]\nenabled = false\n\n[audit]\nsink = \"none\"\n",
        warehouse.display()
    );
    fs::write(&settings, text)?;
    let log = directory.join("rustberg.log");
    let mut command = Command::new(binary);
    command.arg("--config").arg(&settings).args(["--no-auth", "--dev", "--insecure-http"]);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", &warehouse).env("RUST_LOG", "error");
    let mut child = start("rustberg", &mut command, &log)?;
    let target = Target::new("rustberg", &format!("http://127.0.0.1:{port}"))?;
    child.wait_ready(&target, "/ready", &log)?;
    Ok(Server { child, target })
}

fn start(name: &'static str, command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let file = File::create(log).context("cannot write a log")?;
    Child::start(name, command.stdout(Stdio::from(file.try_clone()?)).stderr(file))
}
