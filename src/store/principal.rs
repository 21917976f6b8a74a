//! Principals: who may call.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;

use super::error::{OnConstraint, read_error, write_error};
use crate::access::{ManagePrincipals, Permit};
use crate::model::{Error, Kind, Object, PrincipalId, Result};

/// A principal as it is kept.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Its id.
    pub id: PrincipalId,
    /// Its name.
    pub name: String,
    /// By which it asks for tokens.
    pub client_id: String,
    /// A digest of the secret by which it asks for tokens.
    pub secret_digest: Vec<u8>,
    /// Whether it administers the server.
    pub administrator: bool,
    /// Since when it may not call any more.
    pub disabled_at: Option<DateTime<Utc>>,
    /// Tokens of another generation are refused.
    pub generation: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// By what a principal is looked up.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// Its id.
    Id(PrincipalId),
    /// Its client id.
    ClientId(&'a str),
}

/// The principal, if there is one.
///
/// # Errors
/// [`Kind::Unavailable`] when the database does not answer.
pub async fn find(connection: &mut PgConnection, by: By<'_>) -> Result<Option<Principal>> {
    let (id, client_id) = match by {
        By::Id(id) => (Some(id.0), None),
        By::ClientId(client_id) => (None, Some(client_id)),
    };
    sqlx::query_as!(
        Principal,
        "SELECT id, name, client_id, secret_digest, administrator, disabled_at, generation, created_at
         FROM principal WHERE id = $1 OR client_id = $2",
        id,
        client_id
    )
    .fetch_optional(connection)
    .await
    .map_err(read_error)
}

/// All principals whose names follow `after`, by name, at most `limit`.
///
/// # Errors
/// [`Kind::Unavailable`] when the database does not answer.
pub async fn list(
    connection: &mut PgConnection,
    _permit: &Permit<ManagePrincipals>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Principal>> {
    sqlx::query_as!(
        Principal,
        "SELECT id, name, client_id, secret_digest, administrator, disabled_at, generation, created_at
         FROM principal WHERE name > coalesce($1, '') ORDER BY name LIMIT $2",
        after,
        limit
    )
    .fetch_all(connection)
    .await
    .map_err(read_error)
}

/// Adds a principal.
///
/// # Errors
/// [`Kind::AlreadyExists`] when its name or client id is taken.
pub async fn insert(connection: &mut PgConnection, _permit: &Permit<ManagePrincipals>, principal: &Principal) -> Result<()> {
    insert_first(connection, principal).await
}

/// Adds the first administrator, whom nobody can have permitted.
///
/// # Errors
/// [`Kind::AlreadyExists`] when its name or client id is taken.
pub async fn insert_first(connection: &mut PgConnection, principal: &Principal) -> Result<()> {
    sqlx::query!(
        "INSERT INTO principal (id, name, client_id, secret_digest, administrator, disabled_at, generation, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        principal.id.0,
        principal.name,
        principal.client_id,
        principal.secret_digest,
        principal.administrator,
        principal.disabled_at,
        principal.generation,
        principal.created_at
    )
    .execute(connection)
    .await
    .on_constraint(&[
        ("principal_name_unique", &|| Error::already_exists(Object::Principal, &principal.name)),
        ("principal_client_id_unique", &|| Error::already_exists(Object::Principal, &principal.client_id)),
    ])?;
    Ok(())
}

/// Gives a principal a new secret; the old one and all its tokens are refused from now on.
///
/// # Errors
/// [`Kind::NotFound`] when there is no such principal.
pub async fn set_secret(
    connection: &mut PgConnection,
    _permit: &Permit<ManagePrincipals>,
    id: PrincipalId,
    digest: &[u8],
) -> Result<Principal> {
    sqlx::query_as!(
        Principal,
        "UPDATE principal SET secret_digest = $2, generation = generation + 1 WHERE id = $1
         RETURNING id, name, client_id, secret_digest, administrator, disabled_at, generation, created_at",
        id.0,
        digest
    )
    .fetch_optional(connection)
    .await
    .map_err(write_error)?
    .ok_or_else(|| Error::not_found(Object::Principal, id))
}

/// Disables a principal, which ends its tokens for good, or enables it again. The last administrator that is not
/// disabled stays so.
///
/// # Errors
/// [`Kind::NotFound`] when there is no such principal; [`Kind::Conflict`] for the last administrator.
pub async fn set_disabled(
    connection: &mut PgConnection,
    _permit: &Permit<ManagePrincipals>,
    id: PrincipalId,
    disabled_at: Option<DateTime<Utc>>,
) -> Result<()> {
    let row = sqlx::query!(
        r#"WITH administrators AS (
               SELECT id FROM principal WHERE administrator AND disabled_at IS NULL ORDER BY id FOR UPDATE
           ), changed AS (
               UPDATE principal SET disabled_at = $2, generation = generation + CASE WHEN $2::timestamptz IS NULL THEN 0 ELSE 1 END
               WHERE id = $1 AND ($2::timestamptz IS NULL OR EXISTS (SELECT FROM administrators WHERE id <> $1))
               RETURNING id
           )
           SELECT EXISTS (SELECT FROM principal WHERE id = $1) AS "exists!", EXISTS (SELECT FROM changed) AS "changed!""#,
        id.0,
        disabled_at
    )
    .fetch_one(connection)
    .await
    .map_err(write_error)?;
    match (row.exists, row.changed) {
        (true, true) => Ok(()),
        (true, false) => Err(Error::new(Kind::Conflict, "The last administrator cannot be disabled")),
        (false, _) => Err(Error::not_found(Object::Principal, id)),
    }
}
