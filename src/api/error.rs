//! The one mapping from [`Error`] to HTTP, in the shape of the Iceberg specification (`IcebergErrorResponse`).

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{Error, Kind, Object};

/// After how many seconds a client may come back.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// What a handler gives where it fails.
pub type ApiResult<T> = Result<T, ApiError>;

/// An error on its way to a client. The response carries it along, for the log.
#[derive(Clone, Debug)]
pub struct ApiError(Arc<Error>);

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self(Arc::new(error))
    }
}

/// The body of every error.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorModel,
}

/// What went wrong.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorModel {
    /// For a person.
    pub message: String,
    /// For a program: the name of the exception that Iceberg's Java client throws.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub code: u16,
}

impl ApiError {
    /// The error.
    pub fn error(&self) -> &Error {
        &self.0
    }

    /// The answer to a request that was to change something: what surely did not happen may be retried, and must not look like an
    /// unknown outcome, for which clients take 503.
    pub fn of_change(self) -> Response {
        let status = match self.0.kind() {
            Kind::Unavailable => StatusCode::TOO_MANY_REQUESTS,
            kind => status(kind).0,
        };
        self.render(status)
    }

    fn render(self, status: StatusCode) -> Response {
        let body = ErrorBody {
            error: ErrorModel {
                message: self.0.message().to_owned(),
                kind: self::status(self.0.kind()).1.to_owned(),
                code: status.as_u16(),
            },
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        match self.0.kind() {
            Kind::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"nunatak\""));
            }
            Kind::Unavailable => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = status(self.0.kind()).0;
        self.render(status)
    }
}

fn status(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::NotFound(Object::Namespace) => (StatusCode::NOT_FOUND, "NoSuchNamespaceException"),
        Kind::NotFound(Object::Table) => (StatusCode::NOT_FOUND, "NoSuchTableException"),
        Kind::NotFound(Object::View) => (StatusCode::NOT_FOUND, "NoSuchViewException"),
        Kind::NotFound(Object::Warehouse) => (StatusCode::NOT_FOUND, "NoSuchWarehouseException"),
        Kind::NotFound(Object::Principal | Object::Other) => (StatusCode::NOT_FOUND, "NotFoundException"),
        Kind::AlreadyExists(_) => (StatusCode::CONFLICT, "AlreadyExistsException"),
        Kind::NotEmpty(Object::Namespace) => (StatusCode::CONFLICT, "NamespaceNotEmptyException"),
        Kind::NotEmpty(_) => (StatusCode::CONFLICT, "NotEmptyException"),
        Kind::CommitFailed => (StatusCode::CONFLICT, "CommitFailedException"),
        Kind::Conflict => (StatusCode::CONFLICT, "ConflictException"),
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "NotAuthorizedException"),
        Kind::Denied => (StatusCode::FORBIDDEN, "ForbiddenException"),
        Kind::Invalid => (StatusCode::BAD_REQUEST, "BadRequestException"),
        Kind::Unprocessable => (StatusCode::UNPROCESSABLE_ENTITY, "UnprocessableEntityException"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeException"),
        Kind::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaTypeException"),
        Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowedException"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException"),
        Kind::Unknown => (StatusCode::INTERNAL_SERVER_ERROR, "CommitStateUnknownException"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
    }
}

/// The answer where no route is.
pub async fn no_route(method: Method, uri: Uri) -> ApiError {
    Error::new(Kind::NotFound(Object::Other), format!("No such route: {method} {}", uri.path())).into()
}

/// The answer where the route is, but not for this method.
pub async fn no_method(method: Method, uri: Uri) -> ApiError {
    Error::new(Kind::MethodNotAllowed, format!("Method not allowed: {method} {}", uri.path())).into()
}
