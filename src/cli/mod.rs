//! The command line.

mod client;
mod greeting;
mod remote;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};

use crate::api::{catalog_document, management_document};
use crate::app::{App, Database, serve};
use crate::config::{Config, Settings, unknown_variables};
use crate::model::Clock;
use crate::telemetry;

/// How long what still blocks a thread may take when everything else has ended.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(5);

/// The Iceberg REST catalog that governs
#[derive(Debug, Parser)]
#[command(name = "nunatak", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the catalog
    Serve(Configured),
    /// Bring the database's schema up to date, and end
    Migrate(Configured),
    /// Print the effective configuration, secrets hidden
    Config(Configured),
    /// Print an API description
    Openapi {
        /// Which API
        api: ApiName,
    },
    /// Warehouses of a running server
    Warehouse(remote::WarehouseCommand),
    /// Principals of a running server
    Principal(remote::PrincipalCommand),
    /// Tokens and the keys that sign them
    Token(remote::TokenCommand),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ApiName {
    /// The Iceberg REST API
    Catalog,
    /// The management API
    Management,
}

#[derive(Debug, clap::Args)]
struct Configured {
    /// A file with settings (TOML)
    #[arg(long, env = "NUNATAK_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl Configured {
    fn load(self) -> anyhow::Result<Config> {
        Config::load(self.settings, self.config.as_deref())
    }
}

/// Runs what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Two crates bring a cryptography provider each; this says which one TLS takes.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::from(error)),
    };
    let result = runtime.block_on(run(cli.command));
    // A call to a file system that does not answer must not keep the process.
    runtime.shutdown_timeout(SHUTDOWN_TIME_MAX);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[allow(clippy::print_stderr, reason = "what a person at the command line is told")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("nunatak: {error:#}");
    ExitCode::FAILURE
}

#[allow(clippy::print_stdout, reason = "what a person at the command line asked for")]
async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(configured) => {
            let config = configured.load()?;
            let telemetry = telemetry::start(&config)?;
            for name in unknown_variables::<Cli>() {
                tracing::warn!("the environment has {name}, which is no setting of nunatak");
            }
            let result = serve(config, telemetry::start_metrics()?, greeting::print).await;
            telemetry.stop();
            result
        }
        Command::Migrate(configured) => {
            let config = configured.load()?;
            let database = Database::open(&config).await?;
            let app = App::new(config.clone(), database.store(&config), Clock::System)?;
            let migrated = app.catalog.store().migrate().await;
            database.stop().await;
            migrated
        }
        Command::Config(configured) => {
            print!("{}", configured.load()?.to_toml()?);
            Ok(())
        }
        Command::Openapi { api } => {
            let document = match api {
                ApiName::Catalog => catalog_document(),
                ApiName::Management => management_document(),
            };
            println!("{}", document.to_pretty_json().context("the description cannot be written")?);
            Ok(())
        }
        Command::Warehouse(command) => command.run().await,
        Command::Principal(command) => command.run().await,
        Command::Token(command) => command.run().await,
    }
}
