//! The program: its parts wired together, started, served, stopped.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::ServiceExt;
use axum::extract::Request;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use chrono::TimeDelta;
use futures::future::BoxFuture;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Gate;
use crate::api::{Api, Limits, Parts, RequestMetrics, router};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::identity::Identity;
use crate::jobs::Job;
use crate::maintenance::delete_metadata;
use crate::model::vault::Vault;
use crate::model::{Clock, Result, Secret};
use crate::storage::{Files, Profile};
use crate::store::embedded::Embedded;
use crate::store::{self, Store};

/// What is sealed to prove the master key.
const KEY_CHECK_CONTEXT: &str = "installation";
const KEY_CHECK_PLAIN: &[u8] = b"nunatak";
const MASTER_KEY_FILE: &str = "master.key";
/// How long a request's headers may take to arrive, and a connection to be idle.
const HEADERS_TIME_MAX: Duration = Duration::from_mins(2);
/// How long connections to the database may take to end once nothing needs them.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(10);
/// How often what was measured is added up. Until then every single measurement is kept.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// How many old metrics reports go at a time.
const REPORTS_BATCH: i64 = 1_000;

/// The wired parts.
#[derive(Clone)]
pub struct App {
    /// Its configuration.
    pub config: Arc<Config>,
    /// The catalog.
    pub catalog: Catalog,
    /// Principals and tokens.
    pub identity: Identity,
    clock: Clock,
    vault: Arc<Vault>,
}

/// What the first start made, to be shown once.
#[derive(Debug)]
pub struct Bootstrapped {
    /// The administrator's client id.
    pub client_id: String,
    /// Its secret; `None` where the configuration preset it.
    pub client_secret: Option<Secret>,
}

/// The database: our own, or one that the configuration names.
pub struct Database {
    embedded: Option<Embedded>,
    options: PgConnectOptions,
}

impl Database {
    /// Starts our own, unless the configuration names one.
    ///
    /// # Errors
    /// A line that says what to install, to set or to change.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        if let Some(url) = &config.database_url {
            // The parser's error is left out: it could show a part of the URL, which holds a password.
            let Ok(options) = url.expose().parse::<PgConnectOptions>() else { bail!("the database URL is wrong") };
            return Ok(Self { embedded: None, options });
        }
        let embedded = Embedded::start(&config.data_dir).await?;
        Ok(Self { options: embedded.options(), embedded: Some(embedded) })
    }

    /// A pool of connections to it.
    #[must_use]
    pub fn store(&self, config: &Config) -> Store {
        Store::new(self.options.clone(), config.database_connections_max)
    }

    /// Stops it, if it is ours.
    pub async fn stop(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

impl App {
    /// Wires the parts to a database; nothing is read or written yet.
    ///
    /// # Errors
    /// When there is no master key, or it is none.
    pub fn new(config: Config, store: Store, clock: Clock) -> anyhow::Result<Self> {
        let vault = Arc::new(Vault::new(&master_key(&config)?).map_err(|error| anyhow::anyhow!("{error}"))?);
        let identity = Identity::new(
            store.clone(),
            Arc::clone(&vault),
            clock.clone(),
            TimeDelta::seconds(i64::from(config.token_lifetime_seconds)),
        );
        let grace = TimeDelta::seconds(i64::from(config.deletion_grace_seconds));
        let files = Files::new(Arc::clone(&vault));
        let catalog = Catalog::new(store, Gate::default(), files, clock.clone(), grace, config.cache_bytes_max);
        Ok(Self { config: Arc::new(config), catalog, identity, clock, vault })
    }

    /// Migrates the database and, the first time, makes what every installation has: a signing key, an administrator, a warehouse. Any
    /// number of servers may do so at once; one of them makes it.
    ///
    /// # Errors
    /// When the database does not answer, or was set up with another master key.
    pub async fn prepare(&self) -> anyhow::Result<Option<Bootstrapped>> {
        let store = self.catalog.store();
        store.migrate().await?;
        let mut tx = store.begin().await.map_err(explain)?;
        store::lock(&mut tx, "nunatak bootstrap").await.map_err(explain)?;
        if let Some(sealed) = store::installation::key_check(&mut tx).await.map_err(explain)? {
            if self.vault.open(KEY_CHECK_CONTEXT, &sealed).is_err() {
                bail!("the master key is not the one that this database was set up with");
            }
            return Ok(None);
        }
        let sealed = self.vault.seal(KEY_CHECK_CONTEXT, KEY_CHECK_PLAIN).map_err(explain)?;
        store::installation::insert(&mut tx, &sealed, self.clock.now()).await.map_err(explain)?;
        self.identity.add_signing_key(&mut tx).await.map_err(explain)?;
        let preset = self.config.bootstrap_client_secret.clone();
        let is_preset = preset.is_some();
        let client_id = self.config.bootstrap_client_id.clone();
        let made = self.identity.create_first_administrator(&mut tx, client_id, preset).await.map_err(explain)?;
        let root = first_warehouse_root(&self.config.data_dir)?;
        self.catalog.create_first_warehouse(&mut tx, Profile::Local { root }).await.map_err(explain)?;
        store::commit(tx).await.map_err(explain)?;
        let client_secret = (!is_preset).then_some(made.client_secret);
        Ok(Some(Bootstrapped { client_id: made.principal.client_id, client_secret }))
    }

    /// What the HTTP handlers share.
    #[must_use]
    pub fn api(&self, metrics: PrometheusHandle) -> Api {
        let config = &self.config;
        let limits = Limits {
            body_bytes_max: config.request_bytes_max,
            request_time_max: Duration::from_secs(u64::from(config.request_seconds_max)),
            trusted_proxies: config.trusted_proxies.clone().into(),
            traced: config.otlp_endpoint.is_some(),
            public_url: config.public_url.as_deref().map(Into::into),
        };
        Api::from(Parts {
            catalog: self.catalog.clone(),
            identity: self.identity.clone(),
            limits,
            ready: AtomicBool::new(false),
            metrics,
            requests: RequestMetrics::default(),
            changes: TaskTracker::new(),
        })
    }

    /// The jobs that every server offers to run.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        let minute = Duration::from_mins(1);
        let job = |name, every, turn: fn(Self) -> BoxFuture<'static, Result<bool>>| {
            let app = self.clone();
            Job::new(name, every, move || turn(app.clone()))
        };
        vec![
            job("rotate-signing-key", minute, |app| Box::pin(async move { app.rotate_signing_key().await })),
            job("expire-metrics-reports", 10 * minute, |app| Box::pin(async move { app.expire_reports().await })),
            job("delete-metadata-files", minute / 2, |app| Box::pin(async move { app.delete_metadata().await })),
        ]
    }

    async fn rotate_signing_key(&self) -> Result<bool> {
        self.identity.rotate_old_signing_key(TimeDelta::days(i64::from(self.config.signing_key_days))).await
    }

    /// One turn of the expiry of metrics reports. Whether there may be more.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unavailable`] when the database does not answer.
    pub async fn expire_reports(&self) -> Result<bool> {
        let mut connection = self.catalog.store().connection().await?;
        let before = self.clock.now() - TimeDelta::days(i64::from(self.config.metrics_retention_days));
        Ok(store::metrics_report::delete_before(&mut connection, before, REPORTS_BATCH).await? > 0)
    }

    /// One turn of the deletion of metadata files. Whether there may be more.
    ///
    /// # Errors
    /// As [`delete_metadata::turn`].
    pub async fn delete_metadata(&self) -> Result<bool> {
        delete_metadata::turn(self.catalog.store(), self.catalog.files(), &self.clock).await
    }
}

/// Serves until it is told to stop; then no new request is taken, and those under way are given time to end.
///
/// # Errors
/// When the address is taken, the certificate is wrong, or the database cannot be used.
pub async fn serve(
    config: Config,
    metrics: PrometheusHandle,
    started: impl FnOnce(&Config, Option<Bootstrapped>),
) -> anyhow::Result<()> {
    // The address first: where it is taken nothing else has begun.
    let listener = TcpListener::bind(config.bind).with_context(|| format!("cannot listen on {}", config.bind))?;
    listener.set_nonblocking(true)?;
    let tls = match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(RustlsConfig::from_pem_file(certificate, key).await.context("the TLS certificate or key cannot be used")?)
        }
        _ => None,
    };
    let stop = stop_signal()?;
    let database = tokio::select! {
        database = Database::open(&config) => database?,
        () = stop.cancelled() => return Ok(()),
    };
    let result = serve_on(config, metrics, started, &database, (listener, tls), stop).await;
    database.stop().await;
    result
}

async fn serve_on(
    config: Config,
    metrics: PrometheusHandle,
    started: impl FnOnce(&Config, Option<Bootstrapped>),
    database: &Database,
    (listener, tls): (TcpListener, Option<RustlsConfig>),
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let store = database.store(&config);
    let drain = Duration::from_secs(u64::from(config.shutdown_seconds_max));
    let app = App::new(config, store.clone(), Clock::System)?;
    let api = app.api(metrics);
    let handle = Handle::new();
    let server = tokio::spawn(listen(listener, tls, api.clone(), handle.clone()));
    let bootstrapped = tokio::select! {
        prepared = app.prepare() => prepared?,
        () = stop.cancelled() => return Ok(()),
    };
    api.ready.store(true, Ordering::Release);
    started(&app.config, bootstrapped);
    let background = TaskTracker::new();
    background.spawn(keep_metrics(api.clone(), stop.clone()));
    for job in app.jobs() {
        background.spawn(job.run(stop.clone()));
    }
    tokio::pin!(server);
    let result = tokio::select! {
        ended = &mut server => ended?,
        () = stop.cancelled() => {
            tracing::info!("stopping");
            handle.graceful_shutdown(Some(drain));
            server.await?
        }
    };
    api.changes.close();
    background.close();
    let ended = async { tokio::join!(api.changes.wait(), background.wait()) };
    if tokio::time::timeout(drain, ended).await.is_err() {
        tracing::warn!("some work did not end in time");
    }
    if tokio::time::timeout(CLOSE_TIME_MAX, store.close()).await.is_err() {
        tracing::warn!("some connections to the database did not end in time");
    }
    result.context("serving failed")
}

/// Adds up what was measured, also where nobody ever asks for it.
async fn keep_metrics(api: Api, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(METRICS_UPKEEP)).await.is_some() {
        api.metrics.run_upkeep();
    }
}

async fn listen(listener: TcpListener, tls: Option<RustlsConfig>, api: Api, handle: Handle<SocketAddr>) -> std::io::Result<()> {
    let service = ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(router(api));
    match tls {
        Some(tls) => {
            let mut server = axum_server::from_tcp_rustls(listener, tls)?.handle(handle);
            bound_headers(server.http_builder());
            server.serve(service).await
        }
        None => {
            let mut server = axum_server::from_tcp(listener)?.handle(handle);
            bound_headers(server.http_builder());
            server.serve(service).await
        }
    }
}

/// A client that opens connections and says nothing does not keep them.
fn bound_headers(builder: &mut Builder<TokioExecutor>) {
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_TIME_MAX);
}

/// Cancelled at SIGINT or SIGTERM.
fn stop_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        token.cancel();
    });
    Ok(stop)
}

/// The master key: from the configuration, or, for our own database, from the data directory, where it is made the first time.
fn master_key(config: &Config) -> anyhow::Result<Secret> {
    if let Some(key) = &config.master_key {
        return Ok(key.clone());
    }
    let path = config.data_dir.join(MASTER_KEY_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => return Ok(Secret::from(text.trim())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        // It is there: another one in its place would lose all that it sealed.
        Err(error) => return Err(error).with_context(|| format!("cannot read the master key {}", path.display())),
    }
    let key = Vault::generate_master_key().map_err(explain)?;
    // Written whole under another name first, so that a crash leaves no half of a key.
    let draft = path.with_extension("new");
    let _ = fs::remove_file(&draft);
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
        file.write_all(key.expose().as_bytes())?;
        file.sync_all()?;
        // Never over one that is there.
        fs::hard_link(&draft, &path)?;
        fs::remove_file(&draft)?;
        fs::File::open(&config.data_dir)?.sync_all()
    };
    write().with_context(|| format!("cannot write the master key to {}", path.display()))?;
    Ok(key)
}

/// The first warehouse's directory, where every engine on the machine can read it.
fn first_warehouse_root(data_dir: &Path) -> anyhow::Result<String> {
    let root = data_dir.join("warehouse");
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
    let root = fs::canonicalize(&root)?;
    root.to_str().map(ToOwned::to_owned).with_context(|| format!("{} is not valid Unicode", root.display()))
}

fn explain(error: crate::model::Error) -> anyhow::Error {
    let message = error.to_string();
    anyhow::Error::from(error).context(message)
}
