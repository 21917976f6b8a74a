//! Namespaces.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Api;
use crate::api::error::{ApiResult, ErrorBody};
use crate::api::extract::{Caller, JsonOf, Paging, PathOf, QueryOf, namespace, page_token, warehouse};
use crate::catalog::namespaces::PropertiesChange;
use crate::model::NamespaceIdent;

/// Of which namespaces the children are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ParentQuery {
    /// The namespace around them, its levels separated by `%1F`; those at the top when absent.
    parent: Option<String>,
}

/// A page of namespaces.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ListNamespacesResponse {
    /// The token of the next page, if there is one.
    pub next_page_token: Option<String>,
    /// The namespaces, each with all its levels.
    pub namespaces: Vec<Vec<String>>,
}

/// A namespace to be created.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CreateNamespaceRequest {
    /// Its levels.
    pub namespace: NamespaceIdent,
    /// Its properties.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// A namespace.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct NamespaceResponse {
    /// Its levels.
    pub namespace: NamespaceIdent,
    /// Its properties.
    pub properties: BTreeMap<String, String>,
}

/// Properties to set and to remove.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct UpdatePropertiesRequest {
    /// Names of those to remove.
    #[serde(default)]
    pub removals: Vec<String>,
    /// Those to set.
    #[serde(default)]
    pub updates: BTreeMap<String, String>,
}

/// List namespaces
#[utoipa::path(get, path = "/catalog/v1/{prefix}/namespaces", tag = "Namespaces",
    params(("prefix" = String, Path, description = "The warehouse's prefix"), ParentQuery, Paging),
    responses(
        (status = 200, description = "A page of namespaces", body = ListNamespacesResponse),
        (status = 404, description = "No such parent", body = ErrorBody),
    )
)]
pub async fn list_namespaces(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf(prefix): PathOf<String>,
    QueryOf(query): QueryOf<ParentQuery>,
    QueryOf(paging): QueryOf<Paging>,
) -> ApiResult<Json<ListNamespacesResponse>> {
    let parent = query.parent.filter(|parent| !parent.is_empty()).map(|parent| namespace(&parent)).transpose()?;
    let page = api.catalog.list_namespaces(&caller, &warehouse(&prefix), parent.as_ref(), &paging.request()?).await?;
    Ok(Json(ListNamespacesResponse { next_page_token: page_token(page.next.as_deref()), namespaces: page.items }))
}

/// Create a namespace
#[utoipa::path(post, path = "/catalog/v1/{prefix}/namespaces", tag = "Namespaces",
    params(("prefix" = String, Path, description = "The warehouse's prefix")),
    request_body = CreateNamespaceRequest,
    responses(
        (status = 200, description = "The namespace", body = NamespaceResponse),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "The namespace around it does not exist", body = ErrorBody),
        (status = 409, description = "It exists", body = ErrorBody),
    )
)]
pub async fn create_namespace(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf(prefix): PathOf<String>,
    JsonOf(request): JsonOf<CreateNamespaceRequest>,
) -> ApiResult<Json<NamespaceResponse>> {
    api.catalog.create_namespace(&caller, &warehouse(&prefix), &request.namespace, &request.properties).await?;
    Ok(Json(NamespaceResponse { namespace: request.namespace, properties: request.properties }))
}

/// Load a namespace
#[utoipa::path(get, path = "/catalog/v1/{prefix}/namespaces/{namespace}", tag = "Namespaces",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
    ),
    responses(
        (status = 200, description = "The namespace", body = NamespaceResponse),
        (status = 404, description = "It does not exist", body = ErrorBody),
    )
)]
pub async fn load_namespace(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, name)): PathOf<(String, String)>,
) -> ApiResult<Json<NamespaceResponse>> {
    let namespace = namespace(&name)?;
    let properties = api.catalog.load_namespace(&caller, &warehouse(&prefix), &namespace).await?;
    Ok(Json(NamespaceResponse { namespace, properties }))
}

/// Check that a namespace exists
#[utoipa::path(head, path = "/catalog/v1/{prefix}/namespaces/{namespace}", tag = "Namespaces",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
    ),
    responses((status = 204, description = "It exists"), (status = 404, description = "It does not exist"))
)]
pub async fn namespace_exists(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, name)): PathOf<(String, String)>,
) -> ApiResult<StatusCode> {
    api.catalog.load_namespace(&caller, &warehouse(&prefix), &namespace(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Drop an empty namespace
#[utoipa::path(delete, path = "/catalog/v1/{prefix}/namespaces/{namespace}", tag = "Namespaces",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
    ),
    responses(
        (status = 204, description = "It is dropped"),
        (status = 404, description = "It does not exist", body = ErrorBody),
        (status = 409, description = "It is not empty", body = ErrorBody),
    )
)]
pub async fn drop_namespace(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, name)): PathOf<(String, String)>,
) -> ApiResult<StatusCode> {
    api.catalog.drop_namespace(&caller, &warehouse(&prefix), &namespace(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Set and remove properties of a namespace
#[utoipa::path(post, path = "/catalog/v1/{prefix}/namespaces/{namespace}/properties", tag = "Namespaces",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
    ),
    request_body = UpdatePropertiesRequest,
    responses(
        (status = 200, description = "What became of them", body = PropertiesChange),
        (status = 404, description = "The namespace does not exist", body = ErrorBody),
        (status = 422, description = "A property is both set and removed", body = ErrorBody),
    )
)]
pub async fn update_properties(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, name)): PathOf<(String, String)>,
    JsonOf(request): JsonOf<UpdatePropertiesRequest>,
) -> ApiResult<Json<PropertiesChange>> {
    let namespace = namespace(&name)?;
    let (updates, removals) = (&request.updates, &request.removals);
    Ok(Json(api.catalog.update_namespace(&caller, &warehouse(&prefix), &namespace, updates, removals).await?))
}
