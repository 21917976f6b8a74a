//! A server in this process, on a database of its own and a free port.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use axum::ServiceExt;
use axum::extract::Request;
use metrics_exporter_prometheus::PrometheusHandle;
use nunatak::api::{Routes, router};
use nunatak::app::App;
use nunatak::config::{Config, Settings};
use nunatak::model::Clock;
use nunatak::store::Store;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tempfile::TempDir;

use super::client::Client;
use super::postgres;

pub const CLIENT_ID: &str = "admin";
pub const CLIENT_SECRET: &str = "correct horse battery staple";
/// 32 zero bytes.
const MASTER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A running server.
pub struct Server {
    pub url: String,
    pub app: App,
    pub database: String,
    pub directory: TempDir,
    /// With the administrator's token.
    pub client: Client,
}

impl Server {
    /// On an empty database.
    pub async fn start() -> Self {
        Self::start_with(Clock::System, "").await
    }

    /// On an empty database, with a clock and settings (TOML) of the test's.
    pub async fn start_with(clock: Clock, settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = postgres::create_database().await;
        Self::start_on(database, directory, clock, settings).await
    }

    /// A second server on the same database and warehouse.
    pub async fn another(&self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::start_on(self.database.clone(), directory, Clock::System, "").await
    }

    /// On a database that is there already.
    pub async fn start_on_database(database: String) -> Self {
        Self::start_on(database, tempfile::tempdir().unwrap(), Clock::System, "").await
    }

    async fn start_on(database: String, directory: TempDir, clock: Clock, settings: &str) -> Self {
        let config = config(&directory, settings);
        let store = Store::new(postgres::options().database(&database), config.database_connections_max);
        let app = App::new(config, store, clock).unwrap();
        app.prepare().await.unwrap();
        let api = app.api(metrics());
        api.ready.store(true, Ordering::Release);
        let url = listen(router(api)).await;
        let client = Client::login(&url, CLIENT_ID, CLIENT_SECRET).await;
        Self { url, app, database, directory, client }
    }

    /// A connection to the server's database, to look behind its back.
    pub async fn sql(&self) -> PgConnection {
        self.options().connect().await.unwrap()
    }

    pub fn options(&self) -> PgConnectOptions {
        postgres::options().database(&self.database)
    }

    /// Creates a namespace and a table in it.
    pub async fn create_table(&self, namespace: &str, table: &str) -> Value {
        let body = json!({"namespace": [namespace]});
        let made = self.client.post("/catalog/v1/default/namespaces", &body).await;
        assert!(made.status == 200 || made.status == 409, "{made:?}");
        let path = format!("/catalog/v1/default/namespaces/{namespace}/tables");
        self.client.post(&path, &table_request(table)).await.expect(200)
    }
}

/// A request that creates a table with two columns.
pub fn table_request(name: &str) -> Value {
    json!({
        "name": name,
        "schema": {
            "type": "struct",
            "fields": [
                {"id": 1, "name": "id", "type": "long", "required": true},
                {"id": 2, "name": "data", "type": "string", "required": false},
            ],
        },
    })
}

/// The configuration of a test's server.
pub fn config(directory: &TempDir, settings: &str) -> Config {
    let path = directory.path().join("nunatak.toml");
    let data_dir = directory.path().join("data");
    std::fs::create_dir_all(&data_dir).unwrap();
    let text = format!(
        "data_dir = '{}'\nmaster_key = {MASTER_KEY:?}\nbootstrap_client_id = {CLIENT_ID:?}\n\
         bootstrap_client_secret = {CLIENT_SECRET:?}\n{settings}\n",
        data_dir.display()
    );
    std::fs::write(&path, text).unwrap();
    Config::load(Settings::default(), Some(&path)).unwrap()
}

/// One recorder for the whole run.
pub fn metrics() -> PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    METRICS.get_or_init(|| nunatak::telemetry::start_metrics().unwrap()).clone()
}

async fn listen(routes: Routes) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(routes);
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    url
}
