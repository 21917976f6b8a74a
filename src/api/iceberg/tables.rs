//! Tables: all but commits.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::api::Api;
use crate::api::error::{ApiResult, ErrorBody};
use crate::api::extract::{
    Accepted, Caller, JsonBytes, JsonOf, Paging, PathOf, QueryOf, Token, namespace, page_token, parse_json, table, warehouse,
};
use crate::catalog::answer::{Answer, Encoding};
use crate::catalog::create::CreateTableRequest;
use crate::catalog::{Loaded, Snapshots};
use crate::model::iceberg::TableMetadata;
use crate::model::{Error, Kind, NamespaceIdent, TableIdent};

/// The longest metrics report that is kept.
const REPORT_BYTES_MAX: usize = 1024 * 1024;

/// A page of tables.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ListTablesResponse {
    /// The token of the next page, if there is one.
    pub next_page_token: Option<String>,
    /// The tables.
    pub identifiers: Vec<TableIdent>,
}

/// A table.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes what render_table writes")]
pub struct LoadTableResponse {
    /// The metadata file; null for a table that is staged only.
    #[schema(rename = "metadata-location")]
    pub metadata_location: Option<String>,
    /// The metadata.
    pub metadata: TableMetadata,
    /// Settings for this table.
    pub config: BTreeMap<String, String>,
}

/// A table to be registered.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RegisterTableRequest {
    /// Its name.
    pub name: String,
    /// Its metadata file, inside the warehouse.
    pub metadata_location: String,
    /// Not supported: must be false.
    #[serde(default)]
    pub overwrite: bool,
}

/// A table, and its new name.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct RenameTableRequest {
    /// What it is called.
    pub source: TableIdent,
    /// What it shall be called.
    pub destination: TableIdent,
}

/// How a table is dropped.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct DropQuery {
    /// `true`: its files are deleted after a grace period.
    purge_requested: Option<String>,
}

/// Which snapshots a table is loaded with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LoadQuery {
    /// `all`, or `refs`: only those that a branch or tag points at.
    snapshots: Option<String>,
}

const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A table for a client.
pub fn render_table(loaded: Loaded) -> Response {
    ([(header::CONTENT_TYPE, JSON)], loaded.body).into_response()
}

/// A table as it is kept ready to send.
fn render_answer(answer: Answer) -> Response {
    let mut response = ([(header::CONTENT_TYPE, JSON), (header::VARY, ACCEPT_ENCODING)], answer.body).into_response();
    let encoding = match answer.encoding {
        Encoding::Identity => return response,
        Encoding::Gzip => HeaderValue::from_static("gzip"),
        Encoding::Zstd => HeaderValue::from_static("zstd"),
    };
    response.headers_mut().insert(header::CONTENT_ENCODING, encoding);
    response
}

/// List tables
#[utoipa::path(get, path = "/catalog/v1/{prefix}/namespaces/{namespace}/tables", tag = "Tables",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
        Paging,
    ),
    responses(
        (status = 200, description = "A page of tables", body = ListTablesResponse),
        (status = 404, description = "The namespace does not exist", body = ErrorBody),
    )
)]
pub async fn list_tables(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, name)): PathOf<(String, String)>,
    QueryOf(paging): QueryOf<Paging>,
) -> ApiResult<Json<ListTablesResponse>> {
    let namespace: NamespaceIdent = namespace(&name)?;
    let page = api.catalog.list_tables(&caller, &warehouse(&prefix), &namespace, &paging.request()?).await?;
    let identifiers = page.items.into_iter().map(|name| TableIdent { namespace: namespace.clone(), name }).collect();
    Ok(Json(ListTablesResponse { next_page_token: page_token(page.next.as_deref()), identifiers }))
}

/// Create a table, or stage its creation
#[utoipa::path(post, path = "/catalog/v1/{prefix}/namespaces/{namespace}/tables", tag = "Tables",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
    ),
    request_body = CreateTableRequest,
    responses(
        (status = 200, description = "The table", body = LoadTableResponse),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "The namespace does not exist", body = ErrorBody),
        (status = 409, description = "The table exists", body = ErrorBody),
    )
)]
pub async fn create_table(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, name)): PathOf<(String, String)>,
    JsonOf(request): JsonOf<CreateTableRequest>,
) -> ApiResult<Response> {
    Ok(render_table(api.catalog.create_table(&caller, &warehouse(&prefix), namespace(&name)?, request).await?))
}

/// Load a table
#[utoipa::path(get, path = "/catalog/v1/{prefix}/namespaces/{namespace}/tables/{table}", tag = "Tables",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
        ("table" = String, Path, description = "The table's name"),
        LoadQuery,
    ),
    responses(
        (status = 200, description = "The table", body = LoadTableResponse),
        (status = 404, description = "It does not exist", body = ErrorBody),
    )
)]
pub async fn load_table(
    State(api): State<Api>,
    Token(presented): Token,
    Accepted(encoding): Accepted,
    PathOf((prefix, namespace, name)): PathOf<(String, String, String)>,
    QueryOf(query): QueryOf<LoadQuery>,
) -> ApiResult<Response> {
    let snapshots = match query.snapshots.as_deref() {
        None | Some("all") => Snapshots::All,
        Some("refs") => Snapshots::Refs,
        Some(_) => return Err(Error::invalid("Invalid snapshots: all or refs expected").into()),
    };
    let (warehouse, table) = (warehouse(&prefix), table(&namespace, &name)?);
    Ok(render_answer(api.catalog.load_table(&presented, &warehouse, &table, snapshots, encoding).await?))
}

/// Check that a table exists
#[utoipa::path(head, path = "/catalog/v1/{prefix}/namespaces/{namespace}/tables/{table}", tag = "Tables",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
        ("table" = String, Path, description = "The table's name"),
    ),
    responses((status = 204, description = "It exists"), (status = 404, description = "It does not exist"))
)]
pub async fn table_exists(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, namespace, name)): PathOf<(String, String, String)>,
) -> ApiResult<StatusCode> {
    api.catalog.table_exists(&caller, &warehouse(&prefix), &table(&namespace, &name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Drop a table
#[utoipa::path(delete, path = "/catalog/v1/{prefix}/namespaces/{namespace}/tables/{table}", tag = "Tables",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
        ("table" = String, Path, description = "The table's name"),
        DropQuery,
    ),
    responses(
        (status = 204, description = "It is dropped"),
        (status = 404, description = "It does not exist", body = ErrorBody),
    )
)]
pub async fn drop_table(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, namespace, name)): PathOf<(String, String, String)>,
    QueryOf(query): QueryOf<DropQuery>,
) -> ApiResult<StatusCode> {
    // PyIceberg writes True and False.
    let purge = match query.purge_requested.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("true") => true,
        Some("false" | "") | None => false,
        Some(_) => return Err(Error::invalid("Invalid purgeRequested: true or false expected").into()),
    };
    api.catalog.drop_table(&caller, &warehouse(&prefix), &table(&namespace, &name)?, purge).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Register a table by its metadata file
#[utoipa::path(post, path = "/catalog/v1/{prefix}/namespaces/{namespace}/register", tag = "Tables",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
    ),
    request_body = RegisterTableRequest,
    responses(
        (status = 200, description = "The table", body = LoadTableResponse),
        (status = 400, description = "The file is no table metadata, or somewhere else", body = ErrorBody),
        (status = 404, description = "The namespace does not exist", body = ErrorBody),
        (status = 409, description = "The table exists", body = ErrorBody),
    )
)]
pub async fn register_table(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, name)): PathOf<(String, String)>,
    JsonOf(request): JsonOf<RegisterTableRequest>,
) -> ApiResult<Response> {
    if request.overwrite {
        return Err(Error::invalid("Registering over an existing table is not supported").into());
    }
    let ident = TableIdent::new(namespace(&name)?, request.name)?;
    Ok(render_table(api.catalog.register_table(&caller, &warehouse(&prefix), &ident, &request.metadata_location).await?))
}

/// Rename a table
#[utoipa::path(post, path = "/catalog/v1/{prefix}/tables/rename", tag = "Tables",
    params(("prefix" = String, Path, description = "The warehouse's prefix")),
    request_body = RenameTableRequest,
    responses(
        (status = 204, description = "It is renamed"),
        (status = 404, description = "The table, or the namespace it shall go to, does not exist", body = ErrorBody),
        (status = 409, description = "The new name is taken", body = ErrorBody),
    )
)]
pub async fn rename_table(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf(prefix): PathOf<String>,
    JsonOf(request): JsonOf<RenameTableRequest>,
) -> ApiResult<StatusCode> {
    api.catalog.rename_table(&caller, &warehouse(&prefix), &request.source, &request.destination).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send a metrics report
#[utoipa::path(post, path = "/catalog/v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics", tag = "Tables",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
        ("table" = String, Path, description = "The table's name"),
    ),
    request_body = Value,
    responses(
        (status = 204, description = "It is kept"),
        (status = 400, description = "It is no report", body = ErrorBody),
        (status = 404, description = "The table does not exist", body = ErrorBody),
    )
)]
pub async fn report_metrics(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf((prefix, namespace, name)): PathOf<(String, String, String)>,
    JsonBytes(bytes): JsonBytes,
) -> ApiResult<StatusCode> {
    if bytes.len() > REPORT_BYTES_MAX {
        return Err(Error::new(Kind::TooLarge, format!("A metrics report may have {REPORT_BYTES_MAX} bytes")).into());
    }
    let report: Value = parse_json(&bytes)?;
    match report.get("report-type").and_then(Value::as_str) {
        Some("scan-report" | "commit-report") => {}
        // The list is open: what is not known is taken, and not kept.
        Some(_) => return Ok(StatusCode::NO_CONTENT),
        None => return Err(Error::invalid("Invalid metrics report: report-type is missing").into()),
    }
    api.catalog.report_metrics(&caller, &warehouse(&prefix), &table(&namespace, &name)?, &report).await?;
    Ok(StatusCode::NO_CONTENT)
}
