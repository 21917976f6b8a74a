//! Every request gets an id, and what became of it is recorded: in the log, in the metrics, in a trace.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use metrics::{Counter, Histogram};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Instrument, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

use super::Api;
use super::error::ApiError;
use crate::model::PrincipalId;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What requests are counted with: looked up once for every kind of request, not once a request.
#[derive(Default)]
pub struct RequestMetrics {
    by_kind: RwLock<HashMap<(&'static str, StatusCode), MetersByRoute>>,
}

type MetersByRoute = HashMap<String, Meters>;

#[derive(Clone)]
struct Meters {
    requests: Counter,
    seconds: Histogram,
}

impl RequestMetrics {
    fn record(&self, method: &'static str, route: &str, status: StatusCode, seconds: f64) {
        let kind = (method, status);
        let known = self.by_kind.read().unwrap_or_else(PoisonError::into_inner);
        let meters = known.get(&kind).and_then(|routes| routes.get(route)).cloned();
        drop(known);
        let meters = meters.unwrap_or_else(|| {
            let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.as_u16().to_string())];
            let meters = Meters {
                requests: metrics::counter!("nunatak_http_requests_total", &labels),
                seconds: metrics::histogram!("nunatak_http_request_seconds", &labels),
            };
            let mut known = self.by_kind.write().unwrap_or_else(PoisonError::into_inner);
            known.entry(kind).or_default().insert(route.to_owned(), meters.clone());
            meters
        });
        meters.requests.increment(1);
        meters.seconds.record(seconds);
    }
}

/// Gives the request an id, and records what became of it: in the log, in the metrics, in a trace.
pub async fn observe<F: Future<Output = Response>>(
    api: &Api,
    mut request: Request,
    serve: impl FnOnce(Request) -> F,
) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let method = known_method(request.method());
    let address = client_address(api, &request);
    let agent = request.headers().get(header::USER_AGENT).cloned();
    let agent = agent.as_ref().and_then(|value| value.to_str().ok());
    let span = if api.limits.traced {
        let span = tracing::info_span!(
            "request",
            otel.name = format!("{method} {route}"),
            otel.kind = "server",
            otel.status_code = field::Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = field::Empty,
            client.address = address.map(field::display),
            user_agent.original = agent,
            request_id = id.to_str().unwrap_or(""),
            principal = field::Empty,
        );
        adopt_trace(&span, request.headers());
        span
    } else if matches!(*request.method(), Method::GET | Method::HEAD) {
        // A read is logged at its end, if at all; a span would cost it a tenth of its time.
        tracing::Span::none()
    } else {
        // Every field of a span is written as text when the request begins, whether or not anything is logged. What is logged at its
        // end has the others. It is there whatever the filter lets through.
        tracing::error_span!("request", request_id = id.to_str().unwrap_or(""))
    };
    request.extensions_mut().remove::<ConnectInfo<SocketAddr>>();
    let mut response = serve(request).instrument(span.clone()).await;
    let status = response.status();
    let seconds = started.elapsed().as_secs_f64();
    api.requests.record(method, route, status, seconds);
    let principal = response.extensions().get::<PrincipalId>().copied();
    if api.limits.traced {
        span.record("http.response.status_code", status.as_u16());
        span.record("principal", principal.map(field::display));
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
        }
    }
    let request_id = span.is_none().then(|| id.to_str().unwrap_or(""));
    let entered = span.enter();
    let (principal, address) = (principal.map(field::display), address.map(field::display));
    let code = status.as_u16();
    match response.extensions().get::<ApiError>().map(ApiError::error) {
        Some(error) => {
            let cause = std::error::Error::source(error).map(field::display);
            let error = error.message();
            if status.is_server_error() {
                tracing::error!(
                    method,
                    route,
                    status = code,
                    seconds,
                    request_id,
                    principal,
                    address,
                    agent,
                    error,
                    cause,
                    "request failed"
                );
            } else {
                tracing::info!(
                    method,
                    route,
                    status = code,
                    seconds,
                    request_id,
                    principal,
                    address,
                    agent,
                    error,
                    cause,
                    "request refused"
                );
            }
        }
        None => tracing::debug!(method, route, status = code, seconds, request_id, principal, address, agent, "request served"),
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
