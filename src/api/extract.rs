//! Extractors whose refusals have the shape of every other error.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::error::{ApiError, ApiResult};
use crate::access::Caller as AccessCaller;
use crate::catalog::PageRequest;
use crate::catalog::answer::Encoding;
use crate::identity::Presented;
use crate::model::name::LEVEL_SEPARATOR;
use crate::model::{Error, Kind, NamespaceIdent, Result, TableIdent};
use crate::store::warehouse::WarehouseRef;

/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// The largest page; a client that asks for more gets this.
const PAGE_ITEMS_MAX: u32 = 10_000;

/// Who calls; the middleware has put it there.
pub struct Caller(pub AccessCaller);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> ApiResult<Self> {
        let caller = parts.extensions.get::<AccessCaller>().cloned();
        caller.map(Self).ok_or_else(|| Error::new(Kind::Unauthenticated, "A token is needed").into())
    }
}

/// The token of a request whose handler finds out itself whether its principal may still call; the middleware has put it there.
pub struct Token(pub Presented);

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> ApiResult<Self> {
        let presented = parts.extensions.get::<Presented>().copied();
        presented.map(Self).ok_or_else(|| Error::new(Kind::Unauthenticated, "A token is needed").into())
    }
}

/// The encoding that the client likes best of those we have (RFC 9110, section 12.5.3).
pub struct Accepted(pub Encoding);

impl<S: Send + Sync> FromRequestParts<S> for Accepted {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let values = parts.headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let mut best = (0.0, Encoding::Identity);
        for item in values.flat_map(|value| value.split(',')) {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let encoding = match name.trim() {
                name if name.eq_ignore_ascii_case("zstd") => Encoding::Zstd,
                name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => Encoding::Gzip,
                _ => continue,
            };
            let quality = parameters.trim().strip_prefix("q=").map_or(1.0, |quality| quality.trim().parse().unwrap_or(0.0_f32));
            if quality > best.0 || (quality > 0.0 && encoding == Encoding::Zstd && quality >= best.0) {
                best = (quality, encoding);
            }
        }
        Ok(Self(best.1))
    }
}

/// The parts of the path that a route names.
pub struct PathOf<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let Path(path) = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Error::invalid(format!("Invalid path: {}", rejection.body_text())))?;
        Ok(Self(path))
    }
}

/// The query's parameters; unknown ones are ignored.
pub struct QueryOf<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for QueryOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let Query(query) = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Error::invalid(format!("Invalid query: {}", rejection.body_text())))?;
        Ok(Self(query))
    }
}

/// The bytes of a body that is, or says nothing against being, JSON.
pub struct JsonBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        check_content_type(request.headers(), "application/json")?;
        Ok(Self(body(request, state).await?))
    }
}

/// A JSON body.
pub struct JsonOf<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonOf<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let JsonBytes(bytes) = JsonBytes::from_request(request, state).await?;
        Ok(Self(parse_json(&bytes)?))
    }
}

/// Reads JSON; what is wrong is said with its line and column.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::invalid(format!("Malformed request: {error}")))
}

/// The whole body, within the limit.
pub async fn body<S: Send + Sync>(request: Request, state: &S) -> ApiResult<Bytes> {
    let read = tokio::time::timeout(BODY_TIME_MAX, Bytes::from_request(request, state)).await;
    let read = read.map_err(|elapsed| Error::unavailable("The request's body did not come in time", elapsed))?;
    read.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(rejection) if rejection.status() == 413 => {
            Error::new(Kind::TooLarge, "The request's body is too large").into()
        }
        rejection => Error::invalid(format!("The request's body cannot be read: {}", rejection.body_text())).into(),
    })
}

/// The whole body, of at most `bytes_max`.
pub async fn small_body(mut request: Request, bytes_max: usize) -> ApiResult<Bytes> {
    DefaultBodyLimit::max(bytes_max).apply(&mut request);
    body(request, &()).await
}

/// Refuses a body that says it is something else; one that says nothing is taken at its word.
pub fn check_content_type(headers: &HeaderMap, expected: &str) -> Result<()> {
    let wrong = |what: &str| Error::new(Kind::UnsupportedMediaType, format!("{what}; {expected} expected"));
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(wrong("The request's body is encoded"));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence == expected
        || (expected == "application/json" && essence.starts_with("application/") && essence.ends_with("+json"))
    {
        return Ok(());
    }
    Err(wrong("The request's content type is another"))
}

/// `{prefix}`.
pub fn warehouse(prefix: &str) -> WarehouseRef {
    WarehouseRef::parse(prefix)
}

/// `{namespace}`, or the `parent` of a list.
pub fn namespace(text: &str) -> Result<NamespaceIdent> {
    NamespaceIdent::new(text.split(LEVEL_SEPARATOR).map(ToOwned::to_owned).collect())
}

/// `{namespace}` and `{table}`.
pub fn table(namespace_text: &str, name: &str) -> Result<TableIdent> {
    TableIdent::new(namespace(namespace_text)?, name.to_owned())
}

/// Which page of a list is asked for (the REST specification, `PageToken`).
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// The token that came with the page before. Empty for the first page; everything is given when absent.
    page_token: Option<String>,
    /// How long a page may be.
    page_size: Option<u32>,
}

impl Paging {
    /// The page. Without a token there is one page, with everything.
    pub fn request(&self) -> Result<PageRequest> {
        let limit = match self.page_size {
            Some(0) => return Err(Error::invalid("Invalid pageSize: must be at least 1")),
            Some(size) => size.min(PAGE_ITEMS_MAX),
            None => PAGE_ITEMS_MAX,
        };
        let Some(token) = &self.page_token else { return Ok(PageRequest::default()) };
        if token.is_empty() {
            return Ok(PageRequest { after: None, limit: Some(limit) });
        }
        let name = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let name = name.filter(|name| !name.contains('\0')).ok_or_else(|| Error::invalid("Invalid pageToken"))?;
        Ok(PageRequest { after: Some(name), limit: Some(limit) })
    }
}

/// The token of the page after `last`.
pub fn page_token(last: Option<&str>) -> Option<String> {
    last.map(|name| URL_SAFE_NO_PAD.encode(name))
}
