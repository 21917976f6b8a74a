//! Warehouses.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::error::{ApiResult, ErrorBody};
use crate::api::extract::{Caller, JsonOf, Paging, PathOf, QueryOf, page_token, warehouse};
use crate::catalog::warehouses::{NewWarehouse, WarehouseChange, WarehouseConfig};
use crate::model::{Error, Result, Secret, WarehouseId};
use crate::storage::{Profile, ProfileSecret};
use crate::store::warehouse::Warehouse;

/// A storage profile with its secrets, as it is sent here; the secrets never come back.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StorageRequest {
    /// The profile.
    #[serde(flatten)]
    pub profile: Profile,
    /// The id of the access key that the server itself uses (S3).
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// Its secret (S3).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub secret_access_key: Option<Secret>,
}

/// A warehouse to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWarehouseRequest {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub storage: StorageRequest,
    /// What `/config` adds for its clients.
    #[serde(default)]
    pub config: WarehouseConfig,
}

/// What changes about a warehouse; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateWarehouseRequest {
    /// A new name.
    #[serde(default)]
    pub name: Option<String>,
    /// Another way to the same place. Keys that are absent stay.
    #[serde(default)]
    pub storage: Option<StorageRequest>,
    /// What `/config` adds for its clients from now on.
    #[serde(default)]
    pub config: Option<WarehouseConfig>,
}

/// A warehouse.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WarehouseView {
    /// Its id.
    pub id: WarehouseId,
    /// Its name.
    pub name: String,
    /// Where its tables are.
    pub root: String,
    /// The storage profile, without secrets.
    pub storage: Profile,
    /// What `/config` adds for its clients.
    pub config: WarehouseConfig,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A page of warehouses.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ListWarehousesResponse {
    /// The token of the next page, if there is one.
    pub next_page_token: Option<String>,
    /// The warehouses, by name.
    pub warehouses: Vec<WarehouseView>,
}

impl StorageRequest {
    fn split(self) -> Result<(Profile, Option<ProfileSecret>)> {
        let secret = match (self.access_key_id, self.secret_access_key) {
            (Some(access_key_id), Some(secret_access_key)) => Some(ProfileSecret { access_key_id, secret_access_key }),
            (None, None) => None,
            _ => return Err(Error::invalid("Invalid storage profile: access-key-id and secret-access-key come together")),
        };
        Ok((self.profile, secret))
    }
}

impl TryFrom<Warehouse> for WarehouseView {
    type Error = Error;

    fn try_from(warehouse: Warehouse) -> Result<Self> {
        let Warehouse { id, name, root, storage, config, created_at, updated_at, .. } = warehouse;
        let storage = serde_json::from_value(storage).map_err(Error::internal)?;
        let config = serde_json::from_value(config).map_err(Error::internal)?;
        Ok(Self { id, name, root, storage, config, created_at, updated_at })
    }
}

/// List warehouses
#[utoipa::path(get, path = "/api/v1/warehouses", tag = "Warehouses", params(Paging), responses(
    (status = 200, description = "A page of warehouses", body = ListWarehousesResponse),
    (status = 403, description = "Not an administrator", body = ErrorBody),
))]
pub async fn list_warehouses(
    State(api): State<Api>,
    Caller(caller): Caller,
    QueryOf(paging): QueryOf<Paging>,
) -> ApiResult<Json<ListWarehousesResponse>> {
    let page = api.catalog.list_warehouses(&caller, &paging.request()?).await?;
    let warehouses = page.items.into_iter().map(WarehouseView::try_from).collect::<Result<_>>()?;
    Ok(Json(ListWarehousesResponse { next_page_token: page_token(page.next.as_deref()), warehouses }))
}

/// Make a warehouse, once its storage was tried
#[utoipa::path(post, path = "/api/v1/warehouses", tag = "Warehouses", request_body = CreateWarehouseRequest, responses(
    (status = 201, description = "The warehouse", body = WarehouseView),
    (status = 400, description = "The request is wrong, or the storage cannot be used", body = ErrorBody),
    (status = 403, description = "Not an administrator", body = ErrorBody),
    (status = 409, description = "Its name is taken, or its place overlaps with another's", body = ErrorBody),
))]
pub async fn create_warehouse(
    State(api): State<Api>,
    Caller(caller): Caller,
    JsonOf(request): JsonOf<CreateWarehouseRequest>,
) -> ApiResult<(StatusCode, Json<WarehouseView>)> {
    let (storage, secret) = request.storage.split()?;
    let new = NewWarehouse { name: request.name, storage, secret, config: request.config };
    let made = api.catalog.create_warehouse(&caller, new).await?;
    Ok((StatusCode::CREATED, Json(made.try_into()?)))
}

/// Show a warehouse
#[utoipa::path(get, path = "/api/v1/warehouses/{warehouse}", tag = "Warehouses",
    params(("warehouse" = String, Path, description = "The warehouse's name or id")),
    responses(
        (status = 200, description = "The warehouse", body = WarehouseView),
        (status = 403, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such warehouse", body = ErrorBody),
    )
)]
pub async fn get_warehouse(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf(name): PathOf<String>,
) -> ApiResult<Json<WarehouseView>> {
    Ok(Json(api.catalog.warehouse(&caller, &warehouse(&name)).await?.try_into()?))
}

/// Change a warehouse: its name, its configuration, or the way to its place, which is tried first
#[utoipa::path(patch, path = "/api/v1/warehouses/{warehouse}", tag = "Warehouses",
    params(("warehouse" = String, Path, description = "The warehouse's name or id")),
    request_body = UpdateWarehouseRequest,
    responses(
        (status = 200, description = "The warehouse", body = WarehouseView),
        (status = 400, description = "It would be another place, or cannot be used", body = ErrorBody),
        (status = 403, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such warehouse", body = ErrorBody),
        (status = 409, description = "Its new name is taken, or somebody else changed it", body = ErrorBody),
    )
)]
pub async fn update_warehouse(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf(name): PathOf<String>,
    JsonOf(request): JsonOf<UpdateWarehouseRequest>,
) -> ApiResult<Json<WarehouseView>> {
    let (storage, secret) = match request.storage.map(StorageRequest::split).transpose()? {
        Some((storage, secret)) => (Some(storage), secret),
        None => (None, None),
    };
    let change = WarehouseChange { name: request.name, storage, secret, config: request.config };
    Ok(Json(api.catalog.update_warehouse(&caller, &warehouse(&name), change).await?.try_into()?))
}

/// Delete a warehouse in which nothing is
#[utoipa::path(delete, path = "/api/v1/warehouses/{warehouse}", tag = "Warehouses",
    params(("warehouse" = String, Path, description = "The warehouse's name or id")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 403, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such warehouse", body = ErrorBody),
        (status = 409, description = "It is not empty", body = ErrorBody),
    )
)]
pub async fn delete_warehouse(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf(name): PathOf<String>,
) -> ApiResult<StatusCode> {
    api.catalog.delete_warehouse(&caller, &warehouse(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
