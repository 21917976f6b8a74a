//! Views.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tables::{ListTablesResponse, RenameTableRequest, render_table};
use crate::api::Api;
use crate::api::error::{ApiResult, ErrorBody};
use crate::api::extract::{Caller, JsonOf, Paging, PathOf, QueryOf, namespace, page_token, warehouse};
use crate::catalog::views::{CreateViewRequest, ViewChange};
use crate::model::iceberg::{ViewMetadata, ViewRequirement, ViewUpdate};
use crate::model::{Error, NamespaceIdent, Result, TableIdent};

/// A view.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes what render_table writes")]
pub struct LoadViewResponse {
    /// The metadata file.
    #[schema(rename = "metadata-location")]
    pub metadata_location: String,
    /// The metadata.
    pub metadata: ViewMetadata,
    /// Settings for this view: there are none.
    pub config: BTreeMap<String, String>,
}

/// A commit to a view.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CommitViewRequest {
    /// The view; where it is given it must be the one in the path.
    #[serde(default)]
    pub identifier: Option<TableIdent>,
    /// What must hold of it.
    #[serde(default)]
    pub requirements: Vec<ViewRequirement>,
    /// What changes.
    pub updates: Vec<ViewUpdate>,
}

/// `{namespace}` and `{view}`.
fn view(namespace_text: &str, name: String) -> Result<TableIdent> {
    TableIdent::of_view(namespace(namespace_text)?, name)
}

/// List views
#[utoipa::path(get, path = "/catalog/v1/{prefix}/namespaces/{namespace}/views", tag = "Views",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
        Paging,
    ),
    responses(
        (status = 200, description = "A page of views", body = ListTablesResponse),
        (status = 404, description = "The namespace does not exist", body = ErrorBody),
    )
)]
pub async fn list_views(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, name)): PathOf<(String, String)>,
    QueryOf(paging): QueryOf<Paging>,
) -> ApiResult<Json<ListTablesResponse>> {
    let namespace: NamespaceIdent = namespace(&name)?;
    let page = api.catalog.list_views(&caller, &warehouse(&prefix), &namespace, &paging.request()?).await?;
    let identifiers = page.items.into_iter().map(|name| TableIdent { namespace: namespace.clone(), name }).collect();
    Ok(Json(ListTablesResponse { next_page_token: page_token(page.next.as_deref()), identifiers }))
}

/// Create a view
#[utoipa::path(post, path = "/catalog/v1/{prefix}/namespaces/{namespace}/views", tag = "Views",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
    ),
    request_body = CreateViewRequest,
    responses(
        (status = 200, description = "The view", body = LoadViewResponse),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "The namespace does not exist", body = ErrorBody),
        (status = 409, description = "A view or a table of this name exists", body = ErrorBody),
    )
)]
pub async fn create_view(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, name)): PathOf<(String, String)>,
    JsonOf(request): JsonOf<CreateViewRequest>,
) -> ApiResult<Response> {
    Ok(render_table(api.catalog.create_view(&caller, &warehouse(&prefix), namespace(&name)?, request).await?))
}

/// Load a view
#[utoipa::path(get, path = "/catalog/v1/{prefix}/namespaces/{namespace}/views/{view}", tag = "Views",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
        ("view" = String, Path, description = "The view's name"),
    ),
    responses(
        (status = 200, description = "The view", body = LoadViewResponse),
        (status = 404, description = "It does not exist", body = ErrorBody),
    )
)]
pub async fn load_view(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, namespace, name)): PathOf<(String, String, String)>,
) -> ApiResult<Response> {
    Ok(render_table(api.catalog.load_view(&caller, &warehouse(&prefix), &view(&namespace, name)?).await?))
}

/// Check that a view exists
#[utoipa::path(head, path = "/catalog/v1/{prefix}/namespaces/{namespace}/views/{view}", tag = "Views",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
        ("view" = String, Path, description = "The view's name"),
    ),
    responses((status = 204, description = "It exists"), (status = 404, description = "It does not exist"))
)]
pub async fn view_exists(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, namespace, name)): PathOf<(String, String, String)>,
) -> ApiResult<StatusCode> {
    api.catalog.view_exists(&caller, &warehouse(&prefix), &view(&namespace, name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Commit to a view
#[utoipa::path(post, path = "/catalog/v1/{prefix}/namespaces/{namespace}/views/{view}", tag = "Views",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
        ("view" = String, Path, description = "The view's name"),
    ),
    request_body = CommitViewRequest,
    responses(
        (status = 200, description = "The view after the commit", body = LoadViewResponse),
        (status = 400, description = "An update is wrong", body = ErrorBody),
        (status = 404, description = "The view does not exist", body = ErrorBody),
        (status = 409, description = "A requirement does not hold", body = ErrorBody),
        (status = 429, description = "It did not happen; try again later", body = ErrorBody),
        (status = 500, description = "It is not known whether it happened", body = ErrorBody),
    )
)]
pub async fn replace_view(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, namespace, name)): PathOf<(String, String, String)>,
    JsonOf(request): JsonOf<CommitViewRequest>,
) -> ApiResult<Response> {
    let identifier = view(&namespace, name)?;
    if request.identifier.is_some_and(|named| named != identifier) {
        return Err(Error::invalid("Invalid commit: the identifier is another than the path's").into());
    }
    let change = ViewChange { requirements: request.requirements, updates: request.updates };
    Ok(render_table(api.catalog.replace_view(&caller, &warehouse(&prefix), &identifier, &change).await?))
}

/// Drop a view
#[utoipa::path(delete, path = "/catalog/v1/{prefix}/namespaces/{namespace}/views/{view}", tag = "Views",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
        ("view" = String, Path, description = "The view's name"),
    ),
    responses(
        (status = 204, description = "It is dropped"),
        (status = 404, description = "It does not exist", body = ErrorBody),
    )
)]
pub async fn drop_view(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, namespace, name)): PathOf<(String, String, String)>,
) -> ApiResult<StatusCode> {
    api.catalog.drop_view(&caller, &warehouse(&prefix), &view(&namespace, name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rename a view
#[utoipa::path(post, path = "/catalog/v1/{prefix}/views/rename", tag = "Views",
    params(("prefix" = String, Path, description = "The warehouse's prefix")),
    request_body = RenameTableRequest,
    responses(
        (status = 204, description = "It is renamed"),
        (status = 404, description = "The view, or the namespace it shall go to, does not exist", body = ErrorBody),
        (status = 409, description = "The new name is taken", body = ErrorBody),
    )
)]
pub async fn rename_view(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf(prefix): PathOf<String>,
    JsonOf(request): JsonOf<RenameTableRequest>,
) -> ApiResult<StatusCode> {
    api.catalog.rename_view(&caller, &warehouse(&prefix), &request.source, &request.destination).await?;
    Ok(StatusCode::NO_CONTENT)
}
