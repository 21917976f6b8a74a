//! Commits, to one table and to many.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tables::{LoadTableResponse, render_table};
use crate::api::Api;
use crate::api::error::{ApiResult, ErrorBody};
use crate::api::extract::{JsonOf, PathOf, Token, table, warehouse};
use crate::catalog::commit::TableChange;
use crate::model::iceberg::{Requirement, Update};
use crate::model::{Error, TableIdent};

/// A commit to one table.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CommitTableRequest {
    /// The table; where it is given it must be the one in the path.
    #[serde(default)]
    pub identifier: Option<TableIdent>,
    /// What must hold of it.
    pub requirements: Vec<Requirement>,
    /// What changes.
    pub updates: Vec<Update>,
}

/// A commit to many tables.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CommitTransactionRequest {
    /// One for each table.
    pub table_changes: Vec<TableChange>,
}

/// Commit to a table
#[utoipa::path(post, path = "/catalog/v1/{prefix}/namespaces/{namespace}/tables/{table}", tag = "Tables",
    params(
        ("prefix" = String, Path, description = "The warehouse's prefix"),
        ("namespace" = String, Path, description = "The namespace's levels, separated by %1F"),
        ("table" = String, Path, description = "The table's name"),
    ),
    request_body = CommitTableRequest,
    responses(
        (status = 200, description = "The table after the commit", body = LoadTableResponse),
        (status = 400, description = "An update is wrong", body = ErrorBody),
        (status = 404, description = "The table does not exist", body = ErrorBody),
        (status = 409, description = "A requirement does not hold", body = ErrorBody),
        (status = 429, description = "It did not happen; try again later", body = ErrorBody),
        (status = 500, description = "It is not known whether it happened", body = ErrorBody),
    )
)]
pub async fn commit_table(
    State(api): State<Api>,
    Token(presented): Token,
    PathOf((prefix, namespace, name)): PathOf<(String, String, String)>,
    JsonOf(request): JsonOf<CommitTableRequest>,
) -> ApiResult<Response> {
    let identifier = table(&namespace, &name)?;
    if request.identifier.is_some_and(|named| named != identifier) {
        return Err(Error::invalid("Invalid commit: the identifier is another than the path's").into());
    }
    let change = TableChange { identifier, requirements: request.requirements, updates: request.updates };
    let loaded = api.catalog.commit(&presented, &warehouse(&prefix), &[change]).await?;
    let loaded = loaded.into_iter().next().ok_or_else(|| Error::internal("no answer for a commit"))?;
    Ok(render_table(loaded))
}

/// Commit to many tables: all or none
#[utoipa::path(post, path = "/catalog/v1/{prefix}/transactions/commit", tag = "Tables",
    params(("prefix" = String, Path, description = "The warehouse's prefix")),
    request_body = CommitTransactionRequest,
    responses(
        (status = 204, description = "It is committed"),
        (status = 400, description = "An update is wrong", body = ErrorBody),
        (status = 404, description = "A table does not exist", body = ErrorBody),
        (status = 409, description = "A requirement does not hold", body = ErrorBody),
        (status = 429, description = "It did not happen; try again later", body = ErrorBody),
        (status = 500, description = "It is not known whether it happened", body = ErrorBody),
    )
)]
pub async fn commit_transaction(
    State(api): State<Api>,
    Token(presented): Token,
    PathOf(prefix): PathOf<String>,
    JsonOf(request): JsonOf<CommitTransactionRequest>,
) -> ApiResult<StatusCode> {
    api.catalog.commit(&presented, &warehouse(&prefix), &request.table_changes).await?;
    Ok(StatusCode::NO_CONTENT)
}
