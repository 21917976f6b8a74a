//! The server itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{RotateSigningKey, Server};
use crate::api::Api;
use crate::api::error::{ApiResult, ErrorBody};
use crate::api::extract::Caller;

/// Which nunatak this is.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Its version.
    pub version: String,
}

/// A signing key.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct SigningKeyView {
    /// Its id, the `kid` of the tokens that it signs.
    pub id: Uuid,
}

/// Tell the version
#[utoipa::path(get, path = "/api/v1/version", tag = "Server", responses(
    (status = 200, description = "The version", body = Version),
    (status = 401, description = "No valid token", body = ErrorBody),
))]
pub async fn get_version(_caller: Caller) -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION").to_owned() })
}

/// Make a new key that signs tokens; tokens of the old one stay valid until they expire
#[utoipa::path(post, path = "/api/v1/signing-keys/rotate", tag = "Server", responses(
    (status = 201, description = "The new key", body = SigningKeyView),
    (status = 403, description = "Not an administrator", body = ErrorBody),
))]
pub async fn rotate_signing_key(State(api): State<Api>, Caller(caller): Caller) -> ApiResult<(StatusCode, Json<SigningKeyView>)> {
    let permit = api.catalog.gate().permit::<RotateSigningKey>(&caller, Server)?;
    let id = api.identity.rotate_signing_key(&permit).await?;
    Ok((StatusCode::CREATED, Json(SigningKeyView { id })))
}
