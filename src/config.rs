//! The configuration: read once from a file, the environment and the command line, in that order of increasing weight, then passed on.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, CommandFactory, ValueEnum};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::Secret;

/// The prefix of every variable in the environment.
const ENVIRONMENT: &str = "NUNATAK_";

/// A hundred years.
const DAYS_MAX: u32 = 36_525;

/// Every setting, from any of the three sources. The names in the file are those of the flags, with underscores.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// The address to listen on [default: 127.0.0.1:8181]
    #[arg(long, env = "NUNATAK_BIND")]
    bind: Option<SocketAddr>,
    /// Where the embedded database, the master key and the first warehouse are
    #[arg(long, env = "NUNATAK_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// A PostgreSQL (14 or later) to use instead of the embedded one: `postgres://user:password@host/database`
    #[arg(long, env = "NUNATAK_DATABASE_URL", hide_env_values = true)]
    database_url: Option<Secret>,
    /// How many connections to the database to open at most, besides one for the lookups that requests share [default: 16]
    #[arg(long, env = "NUNATAK_DATABASE_CONNECTIONS_MAX")]
    database_connections_max: Option<u32>,
    /// How many bytes of answers to keep in memory, ready to send [default: 134217728]
    #[arg(long, env = "NUNATAK_CACHE_BYTES_MAX")]
    cache_bytes_max: Option<u64>,
    /// What secrets at rest are encrypted with: 32 bytes in base64; needed with a database URL, else made in the data directory
    #[arg(long, env = "NUNATAK_MASTER_KEY", hide_env_values = true)]
    master_key: Option<Secret>,
    /// The first administrator's client id [default: made up and printed]
    #[arg(long, env = "NUNATAK_BOOTSTRAP_CLIENT_ID")]
    bootstrap_client_id: Option<String>,
    /// The first administrator's secret [default: made up and printed]
    #[arg(long, env = "NUNATAK_BOOTSTRAP_CLIENT_SECRET", hide_env_values = true)]
    bootstrap_client_secret: Option<Secret>,
    /// The URL under which clients reach the server, where it is another than the address to listen on
    #[arg(long, env = "NUNATAK_PUBLIC_URL")]
    public_url: Option<String>,
    /// Networks whose proxies may say on whose behalf a request comes (X-Forwarded-For), as 10.0.0.0/8,...
    #[arg(long, env = "NUNATAK_TRUSTED_PROXIES", value_delimiter = ',')]
    trusted_proxies: Option<Vec<IpNet>>,
    /// The certificate chain to serve HTTPS with (PEM)
    #[arg(long, env = "NUNATAK_TLS_CERTIFICATE")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, env = "NUNATAK_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// How long a token is valid [default: 3600]
    #[arg(long, env = "NUNATAK_TOKEN_LIFETIME_SECONDS")]
    token_lifetime_seconds: Option<u32>,
    /// After how many days a new key signs the tokens [default: 30]
    #[arg(long, env = "NUNATAK_SIGNING_KEY_DAYS")]
    signing_key_days: Option<u32>,
    /// The longest body of a request [default: 33554432]
    #[arg(long, env = "NUNATAK_REQUEST_BYTES_MAX")]
    request_bytes_max: Option<usize>,
    /// The longest time until the answer to a request [default: 60]
    #[arg(long, env = "NUNATAK_REQUEST_SECONDS_MAX")]
    request_seconds_max: Option<u32>,
    /// How long requests under way may take to end when the server stops [default: 30]
    #[arg(long, env = "NUNATAK_SHUTDOWN_SECONDS_MAX")]
    shutdown_seconds_max: Option<u32>,
    /// For how many days metrics reports are kept [default: 30]
    #[arg(long, env = "NUNATAK_METRICS_RETENTION_DAYS")]
    metrics_retention_days: Option<u32>,
    /// How long files whose deletion was asked for stay [default: 86400]
    #[arg(long, env = "NUNATAK_DELETION_GRACE_SECONDS")]
    deletion_grace_seconds: Option<u32>,
    /// What is logged, as a filter: info, debug, nunatak=debug,sqlx=warn, ... [default: info,sqlx=warn]
    #[arg(long, env = "NUNATAK_LOG")]
    log: Option<String>,
    /// How it is logged [default: text]
    #[arg(long, env = "NUNATAK_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// Where traces go (OTLP over HTTP): `http://host:4318`
    #[arg(long, env = "NUNATAK_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The effective configuration.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "each is described where it is set, in Settings")]
pub struct Config {
    pub bind: SocketAddr,
    pub data_dir: PathBuf,
    pub database_url: Option<Secret>,
    pub database_connections_max: u32,
    pub cache_bytes_max: u64,
    pub master_key: Option<Secret>,
    pub bootstrap_client_id: Option<String>,
    pub bootstrap_client_secret: Option<Secret>,
    pub public_url: Option<String>,
    pub trusted_proxies: Vec<IpNet>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub token_lifetime_seconds: u32,
    pub signing_key_days: u32,
    pub request_bytes_max: usize,
    pub request_seconds_max: u32,
    pub shutdown_seconds_max: u32,
    pub metrics_retention_days: u32,
    pub deletion_grace_seconds: u32,
    pub log: String,
    pub log_format: LogFormat,
    pub otlp_endpoint: Option<String>,
}

impl Config {
    /// Merges the file's settings below those of the environment and the command line.
    ///
    /// # Errors
    /// A line that says which setting is wrong.
    pub fn load(given: Settings, file: Option<&Path>) -> anyhow::Result<Self> {
        let file = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                toml::from_str(&text).map_err(|error: toml::de::Error| {
                    // The error's own text would show the line, which may hold a secret.
                    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
                    let line = before.matches('\n').count() + 1;
                    anyhow::anyhow!("{} is wrong in line {line}: {}", path.display(), error.message())
                })?
            }
            None => Settings::default(),
        };
        let data_dir = match given.data_dir.or(file.data_dir) {
            Some(directory) => directory,
            None => default_data_dir()?,
        };
        let config = Self {
            bind: given.bind.or(file.bind).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8181))),
            data_dir,
            database_url: given.database_url.or(file.database_url),
            database_connections_max: given.database_connections_max.or(file.database_connections_max).unwrap_or(16),
            cache_bytes_max: given.cache_bytes_max.or(file.cache_bytes_max).unwrap_or(128 * 1024 * 1024),
            master_key: given.master_key.or(file.master_key),
            bootstrap_client_id: given.bootstrap_client_id.or(file.bootstrap_client_id),
            bootstrap_client_secret: given.bootstrap_client_secret.or(file.bootstrap_client_secret),
            public_url: given.public_url.or(file.public_url).map(|url| url.trim_end_matches('/').to_owned()),
            trusted_proxies: given.trusted_proxies.or(file.trusted_proxies).unwrap_or_default(),
            tls_certificate: given.tls_certificate.or(file.tls_certificate),
            tls_key: given.tls_key.or(file.tls_key),
            token_lifetime_seconds: given.token_lifetime_seconds.or(file.token_lifetime_seconds).unwrap_or(3_600),
            signing_key_days: given.signing_key_days.or(file.signing_key_days).unwrap_or(30),
            request_bytes_max: given.request_bytes_max.or(file.request_bytes_max).unwrap_or(32 * 1024 * 1024),
            request_seconds_max: given.request_seconds_max.or(file.request_seconds_max).unwrap_or(60),
            shutdown_seconds_max: given.shutdown_seconds_max.or(file.shutdown_seconds_max).unwrap_or(30),
            metrics_retention_days: given.metrics_retention_days.or(file.metrics_retention_days).unwrap_or(30),
            deletion_grace_seconds: given.deletion_grace_seconds.or(file.deletion_grace_seconds).unwrap_or(86_400),
            log: given.log.or(file.log).unwrap_or_else(|| "info,sqlx=warn".to_owned()),
            log_format: given.log_format.or(file.log_format).unwrap_or_default(),
            otlp_endpoint: given.otlp_endpoint.or(file.otlp_endpoint),
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            bail!("tls_certificate and tls_key come together");
        }
        if self.database_url.is_some() && self.master_key.is_none() {
            bail!(
                "a master key is needed with a database URL: set NUNATAK_MASTER_KEY to 32 bytes in base64 (openssl rand -base64 32)"
            );
        }
        if self.database_connections_max == 0 || self.request_seconds_max == 0 || self.token_lifetime_seconds == 0 {
            bail!("database_connections_max, request_seconds_max and token_lifetime_seconds must be at least 1");
        }
        if self.signing_key_days > DAYS_MAX || self.metrics_retention_days > DAYS_MAX {
            bail!("signing_key_days and metrics_retention_days must be at most {DAYS_MAX}");
        }
        if i64::from(self.token_lifetime_seconds) > crate::identity::TOKEN_LIFETIME_MAX.num_seconds() {
            bail!("token_lifetime_seconds must be at most {}", crate::identity::TOKEN_LIFETIME_MAX.num_seconds());
        }
        for url in [&self.public_url, &self.otlp_endpoint].into_iter().flatten() {
            let parsed = url::Url::parse(url).with_context(|| format!("{url} is no URL"))?;
            if !matches!(parsed.scheme(), "http" | "https") {
                bail!("{url} is no http or https URL");
            }
        }
        Ok(())
    }

    /// The URL under which clients reach the server.
    #[must_use]
    pub fn url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| {
            let scheme = if self.tls_certificate.is_some() { "https" } else { "http" };
            format!("{scheme}://{}", self.bind)
        })
    }

    /// The configuration as a file would have it, with secrets hidden.
    ///
    /// # Errors
    /// When a path is not valid Unicode.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(self)?)
    }
}

/// Where data goes when nobody says: `/var/lib/nunatak` for root, a directory in the user's home for others.
fn default_data_dir() -> anyhow::Result<PathBuf> {
    if let Some(directory) = std::env::var_os("XDG_DATA_HOME").filter(|directory| !directory.is_empty()) {
        return Ok(Path::new(&directory).join("nunatak"));
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    match home {
        Some(home) if home != "/root" => Ok(Path::new(&home).join(".local/share/nunatak")),
        Some(_) => Ok(PathBuf::from("/var/lib/nunatak")),
        None => bail!("there is no home directory: set NUNATAK_DATA_DIR"),
    }
}

/// Variables of the environment that look like settings and are none. Platforms inject some, so they are no error.
#[must_use]
pub fn unknown_variables<C: CommandFactory>() -> Vec<String> {
    fn known(command: &clap::Command, names: &mut Vec<String>) {
        names.extend(command.get_arguments().filter_map(|arg| arg.get_env()).map(|name| name.to_string_lossy().into_owned()));
        command.get_subcommands().for_each(|command| known(command, names));
    }
    let mut names = Vec::new();
    known(&C::command(), &mut names);
    let given = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    given.filter(|name| name.starts_with(ENVIRONMENT) && !names.contains(name)).collect()
}
