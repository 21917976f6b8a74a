//! HTTP: the Iceberg REST API, the management API, and what stands beside them. A handler reads the request, calls one function of a
//! room above, and renders the answer.

mod documents;
mod error;
mod extract;
mod health;
mod iceberg;
mod management;
mod middleware;
mod observe;

use std::convert::Infallible;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::{Request, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceBuilder};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;
use utoipa_swagger_ui::SwaggerUi;

use crate::catalog::Catalog;
use crate::catalog::answer::ENCODED_BYTES_MIN;
use crate::identity::Identity;
use crate::model::{Error, Result};

pub use documents::{catalog_document, management_document};
pub use observe::RequestMetrics;

/// Shorter answers are sent as they are.
const COMPRESSED_BYTES_MIN: u64 = ENCODED_BYTES_MIN as u64;

/// What the handlers share.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

impl From<Parts> for Api {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The parts of it.
pub struct Parts {
    /// Namespaces, tables, views, warehouses.
    pub catalog: Catalog,
    /// Principals and tokens.
    pub identity: Identity,
    /// Limits.
    pub limits: Limits,
    /// Set once migrations and bootstrap are done.
    pub ready: AtomicBool,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// What requests are counted with.
    pub requests: RequestMetrics,
    /// Changes under way: they run to their end, also when their client went away.
    pub changes: TaskTracker,
}

/// What a request may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest body.
    pub body_bytes_max: usize,
    /// The longest time until the answer.
    pub request_time_max: Duration,
    /// Who may say on whose behalf a request comes.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Whether requests are traced.
    pub traced: bool,
    /// The URL under which clients reach the server, if it is another than the one they call.
    pub public_url: Option<Arc<str>>,
}

impl Parts {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn check_ready(&self) -> Result<()> {
        if self.is_ready() { Ok(()) } else { Err(Error::unavailable("The server is starting", "not ready")) }
    }
}

/// All routes.
pub fn router(api: Api) -> Routes {
    let (catalog_routes, catalog) = documents::catalog_parts();
    let (management_routes, management) = documents::management_parts();
    let pages = SwaggerUi::new("/docs").url("/catalog/openapi.json", catalog).url("/api/v1/openapi.json", management);
    let compression =
        CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(COMPRESSED_BYTES_MIN));
    let routes = Router::new()
        .merge(catalog_routes)
        .merge(management_routes)
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .merge(pages)
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method)
        // As one layer: each costs every request a copy of all that is inside of it.
        .layer(ServiceBuilder::new().layer(compression).layer(from_fn_with_state(api.clone(), middleware::around)))
        .with_state(api);
    Routes(routes)
}

/// The routes, as a service. Java's client writes a space in a path as `+`, others as `%20`; a plus itself comes as `%2B` from both. So
/// this is put right before a route is looked for.
#[derive(Clone)]
pub struct Routes(Router);

impl<B> Service<Request<B>> for Routes
where
    Router: Service<Request<B>, Error = Infallible>,
{
    type Response = <Router as Service<Request<B>>>::Response;
    type Error = Infallible;
    type Future = <Router as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let uri = request.uri();
        if uri.path().starts_with("/catalog/") && uri.path().contains('+') {
            let path = uri.path().replace('+', "%20");
            let text = uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
            if let Ok(rewritten) = text.parse::<Uri>() {
                *request.uri_mut() = rewritten;
            }
        }
        self.0.call(request)
    }
}
