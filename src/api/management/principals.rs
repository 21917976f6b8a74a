//! Principals.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::error::{ApiResult, ErrorBody};
use crate::api::extract::{Caller, JsonOf, Paging, PathOf, QueryOf, page_token};
use crate::catalog::PageRequest;
use crate::identity::{Credentials, NewPrincipal};
use crate::model::PrincipalId;
use crate::store::principal::Principal;

/// A principal to be made.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CreatePrincipalRequest {
    /// Its name.
    pub name: String,
    /// By which it asks for tokens; made up when absent.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Whether it administers the server.
    #[serde(default)]
    pub administrator: bool,
}

/// A principal.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PrincipalView {
    /// Its id.
    pub id: PrincipalId,
    /// Its name.
    pub name: String,
    /// By which it asks for tokens.
    pub client_id: String,
    /// Whether it administers the server.
    pub administrator: bool,
    /// Since when it may not call any more.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A principal and its secret, which is shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CredentialsView {
    /// The principal.
    pub principal: PrincipalView,
    /// Its secret.
    pub client_secret: String,
}

/// A page of principals.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ListPrincipalsResponse {
    /// The token of the next page, if there is one.
    pub next_page_token: Option<String>,
    /// The principals, by name.
    pub principals: Vec<PrincipalView>,
}

impl From<Principal> for PrincipalView {
    fn from(principal: Principal) -> Self {
        let Principal { id, name, client_id, administrator, disabled_at, created_at, .. } = principal;
        Self { id, name, client_id, administrator, disabled_at, created_at }
    }
}

impl From<Credentials> for CredentialsView {
    fn from(credentials: Credentials) -> Self {
        Self { principal: credentials.principal.into(), client_secret: credentials.client_secret.expose().to_owned() }
    }
}

/// List principals
#[utoipa::path(get, path = "/api/v1/principals", tag = "Principals", params(Paging), responses(
    (status = 200, description = "A page of principals", body = ListPrincipalsResponse),
    (status = 403, description = "Not an administrator", body = ErrorBody),
))]
pub async fn list_principals(
    State(api): State<Api>,
    Caller(caller): Caller,
    QueryOf(paging): QueryOf<Paging>,
) -> ApiResult<Json<ListPrincipalsResponse>> {
    let page: PageRequest = paging.request()?;
    let found = api.identity.list_principals(api.catalog.gate(), &caller, page.after.as_deref(), page.limit_sql()).await?;
    let page = page.cut(found, |principal| principal.name.clone());
    let principals = page.items.into_iter().map(PrincipalView::from).collect();
    Ok(Json(ListPrincipalsResponse { next_page_token: page_token(page.next.as_deref()), principals }))
}

/// Make a principal
#[utoipa::path(post, path = "/api/v1/principals", tag = "Principals", request_body = CreatePrincipalRequest, responses(
    (status = 201, description = "The principal and its secret", body = CredentialsView),
    (status = 400, description = "The request is wrong", body = ErrorBody),
    (status = 403, description = "Not an administrator", body = ErrorBody),
    (status = 409, description = "Its name or client id is taken", body = ErrorBody),
))]
pub async fn create_principal(
    State(api): State<Api>,
    Caller(caller): Caller,
    JsonOf(request): JsonOf<CreatePrincipalRequest>,
) -> ApiResult<(StatusCode, Json<CredentialsView>)> {
    let CreatePrincipalRequest { name, client_id, administrator } = request;
    let new = NewPrincipal { name, client_id, administrator };
    let credentials = api.identity.create_principal(api.catalog.gate(), &caller, new).await?;
    Ok((StatusCode::CREATED, Json(credentials.into())))
}

/// Show a principal
#[utoipa::path(get, path = "/api/v1/principals/{principal}", tag = "Principals",
    params(("principal" = PrincipalId, Path, description = "The principal's id")),
    responses(
        (status = 200, description = "The principal", body = PrincipalView),
        (status = 403, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such principal", body = ErrorBody),
    )
)]
pub async fn get_principal(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf(id): PathOf<PrincipalId>,
) -> ApiResult<Json<PrincipalView>> {
    Ok(Json(api.identity.principal(api.catalog.gate(), &caller, id).await?.into()))
}

/// Give a principal a new secret; the old one and all its tokens are refused from now on
#[utoipa::path(post, path = "/api/v1/principals/{principal}/rotate", tag = "Principals",
    params(("principal" = PrincipalId, Path, description = "The principal's id")),
    responses(
        (status = 200, description = "The principal and its new secret", body = CredentialsView),
        (status = 403, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such principal", body = ErrorBody),
    )
)]
pub async fn rotate_secret(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf(id): PathOf<PrincipalId>,
) -> ApiResult<Json<CredentialsView>> {
    Ok(Json(api.identity.rotate_secret(api.catalog.gate(), &caller, id).await?.into()))
}

/// Disable a principal, from its next request on
#[utoipa::path(post, path = "/api/v1/principals/{principal}/disable", tag = "Principals",
    params(("principal" = PrincipalId, Path, description = "The principal's id")),
    responses(
        (status = 200, description = "The principal", body = PrincipalView),
        (status = 403, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such principal", body = ErrorBody),
        (status = 409, description = "It is the last administrator", body = ErrorBody),
    )
)]
pub async fn disable_principal(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf(id): PathOf<PrincipalId>,
) -> ApiResult<Json<PrincipalView>> {
    Ok(Json(api.identity.set_disabled(api.catalog.gate(), &caller, id, true).await?.into()))
}

/// Enable a principal again
#[utoipa::path(post, path = "/api/v1/principals/{principal}/enable", tag = "Principals",
    params(("principal" = PrincipalId, Path, description = "The principal's id")),
    responses(
        (status = 200, description = "The principal", body = PrincipalView),
        (status = 403, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such principal", body = ErrorBody),
    )
)]
pub async fn enable_principal(
    State(api): State<Api>,
    Caller(caller): Caller,
    PathOf(id): PathOf<PrincipalId>,
) -> ApiResult<Json<PrincipalView>> {
    Ok(Json(api.identity.set_disabled(api.catalog.gate(), &caller, id, false).await?.into()))
}
