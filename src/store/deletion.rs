//! The deletion queue. Files are deleted by its worker alone, after a grace period and a fresh look for what reaches them.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::error::{read_error, write_error};
use super::warehouse::Warehouse;
use crate::model::{Error, Kind, Result, WarehouseId};

/// A metadata file that may go.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the queue.
    pub id: i64,
    /// Its warehouse.
    pub warehouse_id: WarehouseId,
    /// The file.
    pub uri: String,
    /// The `table-uuid` of the table that named it.
    pub table_uuid: Uuid,
}

/// Claims at most `limit` metadata files that are due, also those whose worker did not come back before `claimed_before`. From then on
/// nobody can take them back.
///
/// # Errors
/// [`Kind::Unavailable`] when the database does not answer.
pub async fn claim_metadata(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    claimed_before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Entry>> {
    sqlx::query_as!(
        Entry,
        "UPDATE deletion SET claimed_at = $1 WHERE id IN (
             SELECT id FROM deletion
             WHERE kind = 'metadata' AND due_at <= $1 AND (claimed_at IS NULL OR claimed_at < $2)
             ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
         ) RETURNING id, warehouse_id, uri, table_uuid",
        now,
        claimed_before,
        limit
    )
    .fetch_all(connection)
    .await
    .map_err(write_error)
}

/// Which of the files are some table's current metadata file.
///
/// # Errors
/// [`Kind::Unavailable`] when the database does not answer.
pub async fn current_among(connection: &mut PgConnection, uris: &[String]) -> Result<Vec<String>> {
    sqlx::query_scalar!("SELECT metadata_location FROM tabular WHERE metadata_location = ANY($1)", uris)
        .fetch_all(connection)
        .await
        .map_err(read_error)
}

/// The compressed metadata of all tables with one of these UUIDs: what their logs name is still reached. There may be several for one,
/// or one that is not the table that queued a file, because a table can be registered from any of its old metadata files.
///
/// # Errors
/// [`Kind::Unavailable`] when the database does not answer.
pub async fn metadata_of(connection: &mut PgConnection, table_uuids: &[Uuid]) -> Result<Vec<Vec<u8>>> {
    sqlx::query_scalar!("SELECT metadata FROM tabular WHERE table_uuid = ANY($1)", table_uuids)
        .fetch_all(connection)
        .await
        .map_err(read_error)
}

/// The warehouse of a claimed file.
///
/// # Errors
/// [`Kind::NotFound`] when it is gone.
pub async fn warehouse(connection: &mut PgConnection, id: WarehouseId) -> Result<Warehouse> {
    super::warehouse::find(connection, &super::warehouse::WarehouseRef::Id(id)).await
}

/// Takes an entry off the queue: its file is gone, or must stay.
///
/// # Errors
/// [`Kind::Unknown`] when the connection breaks.
pub async fn finish(connection: &mut PgConnection, ids: &[i64]) -> Result<()> {
    sqlx::query!("DELETE FROM deletion WHERE id = ANY($1)", ids).execute(connection).await.map_err(write_error)?;
    Ok(())
}

/// Takes a metadata file back from the queue, because a table is about to point at it; to be called in the transaction that makes it
/// do so.
///
/// # Errors
/// [`Kind::Conflict`] when the worker has claimed the file.
pub async fn take_back(connection: &mut PgConnection, uri: &str) -> Result<()> {
    sqlx::query!("DELETE FROM deletion WHERE uri = $1 AND claimed_at IS NULL", uri)
        .execute(&mut *connection)
        .await
        .map_err(write_error)?;
    // A statement of its own: it must see a claim that the one before had to wait for.
    let claimed = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM deletion WHERE uri = $1) AS "claimed!""#, uri)
        .fetch_one(connection)
        .await
        .map_err(read_error)?;
    if claimed {
        return Err(Error::new(Kind::Conflict, format!("The metadata file is being deleted: {uri}")));
    }
    Ok(())
}
