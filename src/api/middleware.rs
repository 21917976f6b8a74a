//! What happens around every request: it gets an id and is observed, its caller is found out, its time is bounded.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Instrument, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

use super::Api;
use super::error::ApiError;
use crate::access::Caller;
use crate::model::{Error, Kind, Secret};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Who may be reached without a token.
const PUBLIC: [&str; 6] = ["/health/live", "/health/ready", "/metrics", "/api/v1/openapi.json", "/catalog/openapi.json", "/docs"];
const TOKENS: &str = "/catalog/v1/oauth/tokens";

/// Java's client writes a space in a path as `+`, others as `%20`; a plus itself comes as `%2B` from both.
pub fn spaces(mut request: Request) -> Request {
    let uri = request.uri();
    if uri.path().starts_with("/catalog/") && uri.path().contains('+') {
        let path = uri.path().replace('+', "%20");
        let text = uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        if let Ok(rewritten) = text.parse::<Uri>() {
            *request.uri_mut() = rewritten;
        }
    }
    request
}

/// Finds out who calls, before anything else is looked at.
pub async fn authenticate(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if PUBLIC.contains(&path) || path.starts_with("/docs/") || path == TOKENS {
        return next.run(request).await;
    }
    match caller(&api, request.headers()).await {
        Ok(caller) => {
            tracing::Span::current().record("principal", field::display(caller.id));
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => ApiError::from(error).into_response(),
    }
}

async fn caller(api: &Api, headers: &HeaderMap) -> Result<Caller, Error> {
    let missing = || Error::new(Kind::Unauthenticated, "A bearer token is needed");
    api.check_ready()?;
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    api.identity.authenticate(&Secret::from(token.trim())).await
}

/// Bounds the time. A read is dropped when it is over, or when its client went away; a change runs to its end whatever happens, and
/// its client is told that the outcome is not known.
pub async fn deadline(State(api): State<Api>, request: Request, next: Next) -> Response {
    let time_max = api.limits.request_time_max;
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return match tokio::time::timeout(time_max, next.run(request)).await {
            Ok(response) => response,
            Err(elapsed) => ApiError::from(Error::unavailable("The request took too long", elapsed)).into_response(),
        };
    }
    let change = api.changes.spawn(next.run(request).in_current_span());
    let response = match tokio::time::timeout(time_max, change).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => ApiError::from(Error::internal(error)).into_response(),
        Err(_) => ApiError::from(Error::new(Kind::Unknown, "The change took too long; its outcome is not known")).into_response(),
    };
    match response.extensions().get::<ApiError>().cloned() {
        Some(error) if error.error().kind() == Kind::Unavailable => error.of_change(),
        _ => response,
    }
}

/// Turns a panic into an answer.
pub async fn catch_panic(request: Request, next: Next) -> Response {
    match std::panic::AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => ApiError::from(Error::internal("a handler panicked")).into_response(),
    }
}

/// Gives the request an id, and records what became of it: in the log, in the metrics, in a trace.
pub async fn observe(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = known_method(request.method());
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
        client.address = client_address(&api, &request).map(field::display),
        user_agent.original = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()),
        request_id = id.to_str().unwrap_or(""),
        principal = field::Empty,
    );
    adopt_trace(&span, request.headers());
    request.extensions_mut().remove::<ConnectInfo<SocketAddr>>();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    let seconds = started.elapsed().as_secs_f64();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let labels = [("method", method.to_owned()), ("route", route), ("status", status.as_u16().to_string())];
    metrics::counter!("nunatak_http_requests_total", &labels).increment(1);
    metrics::histogram!("nunatak_http_request_seconds", &labels).record(seconds);
    let entered = span.enter();
    match response.extensions().get::<ApiError>().map(ApiError::error) {
        Some(error) if status.is_server_error() => {
            let cause = std::error::Error::source(error).map(field::display);
            tracing::error!(status = status.as_u16(), seconds, error = error.message(), cause, "request failed");
        }
        Some(error) => {
            let cause = std::error::Error::source(error).map(field::display);
            tracing::info!(status = status.as_u16(), seconds, error = error.message(), cause, "request refused");
        }
        None => tracing::debug!(status = status.as_u16(), seconds, "request served"),
    }
    drop(entered);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The method's name, if it is a common one: a label must not have as many values as clients care to make up.
fn known_method(method: &Method) -> &'static str {
    let common = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    common.into_iter().find(|name| *name == method.as_str()).unwrap_or("OTHER")
}

/// The client's own id, where it is plain; else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|value| {
        let bytes = value.as_bytes();
        !bytes.is_empty() && bytes.len() <= REQUEST_ID_BYTES_MAX && bytes.iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&Uuid::now_v7().to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    })
}

/// The address of the client: the peer's, or what a trusted proxy says, read from the nearest on.
fn client_address(api: &Api, request: &Request) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    let trusted = |address: &IpAddr| api.limits.trusted_proxies.iter().any(|network| network.contains(address));
    let mut address = peer.ip();
    let forwarded = request.headers().get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
    for hop in hops.into_iter().rev() {
        let Ok(hop) = hop.trim().parse() else { break };
        if !trusted(&address) {
            break;
        }
        address = hop;
    }
    Some(address)
}

/// Continues the trace that the client says it is in (W3C Trace Context).
fn adopt_trace(span: &tracing::Span, headers: &HeaderMap) {
    struct Headers<'a>(&'a HeaderMap);

    impl opentelemetry::propagation::Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).and_then(|value| value.to_str().ok())
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(HeaderName::as_str).collect()
        }
    }

    if !headers.contains_key("traceparent") {
        return;
    }
    let propagator = TraceContextPropagator::new();
    let context = opentelemetry::propagation::TextMapPropagator::extract(&propagator, &Headers(headers));
    if context.span().span_context().is_valid() {
        let _ = span.set_parent(context);
    }
}
