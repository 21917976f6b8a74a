//! `GET /v1/config`: what a client is told before anything else.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Api;
use crate::api::error::{ApiResult, ErrorBody};
use crate::api::extract::{Caller, QueryOf, warehouse};
use crate::catalog::warehouses::DEFAULT_WAREHOUSE;

/// What is served, as `/config` lists it. A test holds it against the routes.
pub const ENDPOINTS: [&str; 23] = [
    "GET /v1/{prefix}/namespaces",
    "POST /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "DELETE /v1/{prefix}/namespaces/{namespace}",
    "POST /v1/{prefix}/namespaces/{namespace}/properties",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "POST /v1/{prefix}/namespaces/{namespace}/tables",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/register",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics",
    "POST /v1/{prefix}/tables/rename",
    "POST /v1/{prefix}/transactions/commit",
    "GET /v1/{prefix}/namespaces/{namespace}/views",
    "POST /v1/{prefix}/namespaces/{namespace}/views",
    "GET /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "POST /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "DELETE /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "POST /v1/{prefix}/views/rename",
];

/// Which warehouse.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConfigQuery {
    /// The warehouse's name or id; `default` when absent.
    warehouse: Option<String>,
}

/// What a client is told.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CatalogConfig {
    /// Settings that the client's own replace.
    pub defaults: BTreeMap<String, String>,
    /// Settings that replace the client's own.
    pub overrides: BTreeMap<String, String>,
    /// The routes that are served.
    pub endpoints: Vec<String>,
}

/// Tell a client how to use a warehouse
#[utoipa::path(get, path = "/catalog/v1/config", tag = "Configuration", params(ConfigQuery), responses(
    (status = 200, description = "The configuration", body = CatalogConfig),
    (status = 401, description = "No valid token", body = ErrorBody),
    (status = 404, description = "No such warehouse", body = ErrorBody),
))]
pub async fn get_config(
    State(api): State<Api>,
    Caller(caller): Caller,
    QueryOf(query): QueryOf<ConfigQuery>,
) -> ApiResult<Json<CatalogConfig>> {
    let name = query.warehouse.as_deref().filter(|name| !name.is_empty()).unwrap_or(DEFAULT_WAREHOUSE);
    let told = api.catalog.client_config(&caller, &warehouse(name)).await?;
    let mut overrides = told.config.overrides;
    overrides.insert("prefix".to_owned(), told.prefix.to_string());
    if let Some(url) = &api.limits.public_url {
        overrides.insert("uri".to_owned(), format!("{url}/catalog"));
    }
    let endpoints = ENDPOINTS.map(ToOwned::to_owned).into();
    Ok(Json(CatalogConfig { defaults: told.config.defaults, overrides, endpoints }))
}
