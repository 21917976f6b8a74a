//! `POST /v1/oauth/tokens`: tokens for client credentials (RFC 6749, section 4.4), and for an earlier token (RFC 8693), which is how
//! Java clients refresh. Errors have OAuth's shape here.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{check_content_type, small_body};
use crate::identity::Grant;
use crate::model::{Error, Kind, Result, Secret};

/// The longest form: whoever sends it has shown nothing yet.
const FORM_BYTES_MAX: usize = 64 * 1024;
const CLIENT_CREDENTIALS: &str = "client_credentials";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What a client sends, as a form.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code, reason = "it describes the form; the form is read as pairs, because clients send more than this")]
pub struct TokenRequest {
    /// `client_credentials`, or `urn:ietf:params:oauth:grant-type:token-exchange`.
    pub grant_type: String,
    /// The client id; may come in the Authorization header (Basic) instead.
    pub client_id: Option<String>,
    /// The client's secret; may come in the Authorization header (Basic) instead.
    pub client_secret: Option<String>,
    /// Accepted and not used.
    pub scope: Option<String>,
    /// The token to exchange.
    pub subject_token: Option<String>,
    /// Its type: an access token.
    pub subject_token_type: Option<String>,
}

/// A token.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct TokenResponse {
    /// The token.
    pub access_token: String,
    /// `bearer`.
    pub token_type: String,
    /// For how many seconds it is valid.
    pub expires_in: i64,
    /// Its type: an access token.
    pub issued_token_type: String,
}

/// An error in OAuth's shape.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct OAuthError {
    /// OAuth's name of the error.
    pub error: String,
    /// For a person.
    pub error_description: String,
}

/// Get a token
#[utoipa::path(post, path = "/catalog/v1/oauth/tokens", tag = "OAuth2",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    security(()),
    responses(
        (status = 200, description = "A token", body = TokenResponse),
        (status = 400, description = "The request is wrong", body = OAuthError),
        (status = 401, description = "Wrong credentials", body = OAuthError),
    )
)]
pub async fn get_token(State(api): State<Api>, request: Request) -> Response {
    match issue(&api, request).await {
        Ok(response) => response,
        Err(error) => refuse(error),
    }
}

async fn issue(api: &Api, request: Request) -> Result<Response, ApiError> {
    api.check_ready()?;
    let headers = request.headers().clone();
    check_content_type(&headers, "application/x-www-form-urlencoded")?;
    let bytes = small_body(request, FORM_BYTES_MAX).await?;
    let form: HashMap<String, String> = url::form_urlencoded::parse(&bytes).into_owned().collect();
    let issued = api.identity.issue(grant(&headers, form)?).await?;
    let response = TokenResponse {
        access_token: issued.token.expose().to_owned(),
        token_type: "bearer".to_owned(),
        expires_in: issued.expires_in,
        issued_token_type: ACCESS_TOKEN.to_owned(),
    };
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(response)).into_response())
}

fn grant(headers: &HeaderMap, mut form: HashMap<String, String>) -> Result<Grant> {
    let basic = basic_credentials(headers);
    let missing = |name: &str| Error::invalid(format!("{name} is missing"));
    match form.get("grant_type").map(String::as_str) {
        Some(CLIENT_CREDENTIALS) => {
            let in_form = form.remove("client_id").zip(form.remove("client_secret").map(Secret::from));
            let (client_id, client_secret) = basic.or(in_form).ok_or_else(|| missing("client_id or client_secret"))?;
            Ok(Grant::ClientCredentials { client_id, client_secret })
        }
        Some(TOKEN_EXCHANGE) => {
            if form.contains_key("actor_token") {
                return Err(Error::invalid("Acting on behalf of somebody else is not supported"));
            }
            let subject = form.remove("subject_token").ok_or_else(|| missing("subject_token"))?;
            if !form.get("subject_token_type").is_some_and(|kind| kind == ACCESS_TOKEN || kind == JWT) {
                return Err(Error::invalid("subject_token_type must be that of an access token"));
            }
            Ok(Grant::Exchange { subject: subject.into(), credentials: basic })
        }
        Some(_) => Err(Error::new(Kind::Unprocessable, "grant_type is neither client_credentials nor token-exchange")),
        None => Err(missing("grant_type")),
    }
}

/// Client id and secret from the header, as Iceberg's clients send them: plain, not form-encoded as RFC 6749, section 2.3.1 has it.
fn basic_credentials(headers: &HeaderMap) -> Option<(String, Secret)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client_id, secret) = decoded.split_once(':')?;
    Some((client_id.to_owned(), secret.into()))
}

fn refuse(error: ApiError) -> Response {
    let (status, name) = match error.error().kind() {
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "invalid_client"),
        Kind::Invalid | Kind::UnsupportedMediaType => (StatusCode::BAD_REQUEST, "invalid_request"),
        Kind::Unprocessable => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        _ => return error.into_response(),
    };
    let body = OAuthError { error: name.to_owned(), error_description: error.error().message().to_owned() };
    let mut response = (status, Json(body)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"nunatak\""));
    }
    response.extensions_mut().insert(error);
    response
}
