//! What happens around every request: its caller is found out, its time is bounded, a panic becomes an answer.

use std::panic::AssertUnwindSafe;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::Instrument;

use super::Api;
use super::error::ApiError;
use super::observe::observe;
use crate::identity::Presented;
use crate::model::{Error, Kind, PrincipalId, Secret};

/// Who may be reached without a token.
const PUBLIC: [&str; 6] = ["/health/live", "/health/ready", "/metrics", "/api/v1/openapi.json", "/catalog/openapi.json", "/docs"];
const TOKENS: &str = "/catalog/v1/oauth/tokens";
/// Requests whose handlers ask for their principal and their tables at once. They take [`Presented`]; a handler that takes a caller
/// would find none there, and refuse.
const CONFIRMED_BY_HANDLER: [(Method, &str); 3] = [
    (Method::GET, "/catalog/v1/{prefix}/namespaces/{namespace}/tables/{table}"),
    (Method::POST, "/catalog/v1/{prefix}/namespaces/{namespace}/tables/{table}"),
    (Method::POST, "/catalog/v1/{prefix}/transactions/commit"),
];

/// What happens around every request: it is observed, its time is bounded, its caller is found out. One function, not a layer for each,
/// because every layer costs every request some memory.
pub async fn around(State(api): State<Api>, request: Request, next: Next) -> Response {
    observe(&api, request, |request| bounded(&api, request, next)).await
}

/// Finds out who calls, before anything else is looked at. A panic further in becomes an answer.
async fn authenticated(api: &Api, mut request: Request, next: Next) -> Response {
    DefaultBodyLimit::max(api.limits.body_bytes_max).apply(&mut request);
    let run = |request| async { AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| panicked()) };
    let path = request.uri().path();
    if PUBLIC.contains(&path) || path.starts_with("/docs/") || path == TOKENS {
        return run(request).await;
    }
    match identify(api, &mut request).await {
        Ok(principal) => {
            let mut response = run(request).await;
            response.extensions_mut().insert(principal);
            response
        }
        Err(error) => ApiError::from(error).into_response(),
    }
}

async fn identify(api: &Api, request: &mut Request) -> Result<PrincipalId, Error> {
    let presented = presented(api, request.headers()).await?;
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if CONFIRMED_BY_HANDLER.iter().any(|(method, path)| method == request.method() && route == Some(*path)) {
        request.extensions_mut().insert(presented);
    } else {
        let caller = api.identity.confirm(&presented).await?;
        request.extensions_mut().insert(caller);
    }
    Ok(presented.principal())
}

async fn presented(api: &Api, headers: &HeaderMap) -> Result<Presented, Error> {
    let missing = || Error::new(Kind::Unauthenticated, "A bearer token is needed");
    api.check_ready()?;
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    api.identity.present(&Secret::from(token.trim())).await
}

/// Bounds the time. A read is dropped when it is over, or when its client went away; a change runs to its end whatever happens, and
/// its client is told that the outcome is not known.
async fn bounded(api: &Api, request: Request, next: Next) -> Response {
    let time_max = api.limits.request_time_max;
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return match tokio::time::timeout(time_max, authenticated(api, request, next)).await {
            Ok(response) => response,
            Err(elapsed) => ApiError::from(Error::unavailable("The request took too long", elapsed)).into_response(),
        };
    }
    let own = api.clone();
    let change = api.changes.spawn(async move { authenticated(&own, request, next).await }.in_current_span());
    let response = match tokio::time::timeout(time_max, change).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => ApiError::from(Error::internal(error)).into_response(),
        Err(_) => ApiError::from(Error::new(Kind::Unknown, "The change took too long; its outcome is not known")).into_response(),
    };
    match response.extensions().get::<ApiError>().cloned() {
        Some(error) if error.error().kind() == Kind::Unavailable => {
            let principal = response.extensions().get::<PrincipalId>().copied();
            let mut refused = error.of_change();
            principal.map(|principal| refused.extensions_mut().insert(principal));
            refused
        }
        _ => response,
    }
}

fn panicked() -> Response {
    ApiError::from(Error::internal("a handler panicked")).into_response()
}
