//! Logs, metrics and traces.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat};

const LATENCY_SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// What must be told when the process ends, so that nothing is lost.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sends what is still held back.
    pub fn stop(self) {
        if let Some(traces) = self.traces
            && let Err(error) = traces.shutdown_with_timeout(Duration::from_secs(5))
        {
            tracing::warn!(%error, "traces were lost");
        }
    }
}

/// Starts logging to standard error, and tracing where an OTLP endpoint is set.
///
/// # Errors
/// When the filter or the endpoint is wrong.
pub fn start(config: &Config) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(&config.log).with_context(|| format!("the log filter is wrong: {}", config.log))?;
    let traces = match &config.otlp_endpoint {
        Some(endpoint) => Some(tracer_provider(endpoint)?),
        None => None,
    };
    let spans = traces.as_ref().map(|traces| tracing_opentelemetry::layer().with_tracer(traces.tracer("nunatak")));
    let registry = tracing_subscriber::registry().with(filter).with(spans);
    match config.log_format {
        LogFormat::Text => registry
            .with(tracing_subscriber::fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr))
            .try_init()?,
        LogFormat::Json => registry.with(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr)).try_init()?,
    }
    Ok(Telemetry { traces })
}

fn tracer_provider(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(Duration::from_secs(10))
        .build()
        .context("the OTLP endpoint cannot be used")?;
    let resource = Resource::builder().with_service_name("nunatak").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Starts counting. Once a process.
///
/// # Errors
/// When it was started already.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_SECONDS)?
        .install_recorder()?;
    metrics::describe_counter!("nunatak_http_requests_total", "Requests, by method, route and status.");
    metrics::describe_histogram!("nunatak_http_request_seconds", "How long requests took, by method, route and status.");
    metrics::describe_counter!("nunatak_commits_total", "Commits, by outcome.");
    metrics::describe_counter!(
        "nunatak_commit_swaps_lost_total",
        "Times that another commit was faster and a commit was tried again."
    );
    metrics::describe_counter!("nunatak_storage_requests_total", "Files written, read and deleted by the server itself.");
    metrics::describe_gauge!("nunatak_database_connections", "Connections to the database, by state.");
    Ok(recorder)
}
