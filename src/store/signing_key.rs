//! Keys that sign tokens: the private halves sealed, the newest one signs.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::error::{read_error, write_error};
use crate::model::Result;

/// A signing key as it is kept.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// Its id, the tokens' `kid`.
    pub id: Uuid,
    /// PKCS#8, sealed.
    pub private_key: Vec<u8>,
    /// The raw Ed25519 public key.
    pub public_key: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The keys whose tokens are accepted at `now`, newest first.
///
/// # Errors
/// [`crate::model::Kind::Unavailable`] when the database does not answer.
pub async fn list(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<SigningKey>> {
    sqlx::query_as!(
        SigningKey,
        "SELECT id, private_key, public_key, created_at FROM signing_key
         WHERE retired_at IS NULL OR retired_at > $1 ORDER BY created_at DESC, id DESC",
        now
    )
    .fetch_all(connection)
    .await
    .map_err(read_error)
}

/// Adds a key; the others retire at `others_retire_at`, when no token of theirs can be valid any more, and those that retired long ago
/// go.
///
/// # Errors
/// When the database refuses it.
pub async fn insert(connection: &mut PgConnection, key: &SigningKey, others_retire_at: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "WITH retired AS (UPDATE signing_key SET retired_at = $5 WHERE retired_at IS NULL),
              gone AS (DELETE FROM signing_key WHERE retired_at < $4)
         INSERT INTO signing_key (id, private_key, public_key, created_at) VALUES ($1, $2, $3, $4)",
        key.id,
        key.private_key,
        key.public_key,
        key.created_at,
        others_retire_at
    )
    .execute(connection)
    .await
    .map_err(write_error)?;
    Ok(())
}
