//! What this installation is: one row, made at the first start.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::error::{read_error, write_error};
use crate::model::Result;

/// The sealed text that proves the master key, if the installation exists.
///
/// # Errors
/// [`crate::model::Kind::Unavailable`] when the database does not answer.
pub async fn key_check(connection: &mut PgConnection) -> Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("SELECT key_check FROM installation").fetch_optional(connection).await.map_err(read_error)
}

/// Makes the row.
///
/// # Errors
/// When the database refuses it.
pub async fn insert(connection: &mut PgConnection, key_check: &[u8], now: DateTime<Utc>) -> Result<()> {
    sqlx::query!("INSERT INTO installation (id, key_check, bootstrapped_at) VALUES ($1, $2, $3)", Uuid::now_v7(), key_check, now)
        .execute(connection)
        .await
        .map_err(write_error)?;
    Ok(())
}
