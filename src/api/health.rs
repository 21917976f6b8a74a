//! Whether the server lives and is ready, and its metrics.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use super::Api;

/// How long the database may take for the answer to `/health/ready`.
const READY_TIME_MAX: Duration = Duration::from_secs(2);

/// The process answers.
pub async fn live() -> &'static str {
    "live\n"
}

/// Migrations and bootstrap are done, and the database answers.
pub async fn ready(State(api): State<Api>) -> (StatusCode, &'static str) {
    let not_ready = (StatusCode::SERVICE_UNAVAILABLE, "not ready\n");
    if !api.is_ready() {
        return not_ready;
    }
    match tokio::time::timeout(READY_TIME_MAX, api.catalog.store().ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n"),
        _ => not_ready,
    }
}

/// The metrics, in Prometheus' text format.
pub async fn metrics(State(api): State<Api>) -> String {
    let (open, idle) = api.catalog.store().connections();
    metrics::gauge!("nunatak_database_connections", "state" => "open").set(f64::from(open));
    metrics::gauge!("nunatak_database_connections", "state" => "idle").set(f64::from(u32::try_from(idle).unwrap_or(u32::MAX)));
    api.metrics.run_upkeep();
    api.metrics.render()
}
