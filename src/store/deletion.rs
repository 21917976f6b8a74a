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
    /// That table's location then; it may ask for the deletion of nothing outside it.
    pub location: String,
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
             WHERE kind = 'metadata' AND deleted_at IS NULL AND due_at <= $1 AND (claimed_at IS NULL OR claimed_at < $2)
             ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
         ) RETURNING id, warehouse_id, uri, table_uuid, location",
        now,
        claimed_before,
        limit
    )
    .fetch_all(connection)
    .await
    .map_err(write_error)
}

/// Which of the files are some table's, or view's, current metadata file.
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
pub async fn metadata_of(connection: &mut PgConnection, table_uuids: &[Uuid]) -> Result<Vec<(Uuid, Vec<u8>)>> {
    let rows =
        sqlx::query!("SELECT table_uuid, metadata FROM tabular WHERE table_uuid = ANY($1) AND kind = 'table'", table_uuids)
            .fetch_all(connection)
            .await
            .map_err(read_error)?;
    Ok(rows.into_iter().map(|row| (row.table_uuid, row.metadata)).collect())
}

/// The warehouse of a claimed file.
///
/// # Errors
/// [`Kind::NotFound`] when it is gone.
pub async fn warehouse(connection: &mut PgConnection, id: WarehouseId) -> Result<Warehouse> {
    super::warehouse::find(connection, &super::warehouse::WarehouseRef::Id(id)).await
}

/// Ends a turn: the files of `deleted` are gone, those of `kept` must stay.
///
/// # Errors
/// [`Kind::Unknown`] when the connection breaks.
pub async fn finish(connection: &mut PgConnection, deleted: &[i64], kept: &[i64], now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "WITH kept AS (DELETE FROM deletion WHERE id = ANY($2))
         UPDATE deletion SET deleted_at = $3 WHERE id = ANY($1)",
        deleted,
        kept,
        now
    )
    .execute(connection)
    .await
    .map_err(write_error)?;
    Ok(())
}

/// Forgets the files that were deleted before `before`, when nobody can still hold what was read of them.
///
/// # Errors
/// [`Kind::Unknown`] when the connection breaks.
pub async fn forget(connection: &mut PgConnection, before: DateTime<Utc>) -> Result<()> {
    sqlx::query!("DELETE FROM deletion WHERE deleted_at < $1", before).execute(connection).await.map_err(write_error)?;
    Ok(())
}

/// Takes a metadata file back from the queue, because a table is about to point at it; to be called in the transaction that makes it
/// do so.
///
/// # Errors
/// [`Kind::Conflict`] when the worker has claimed the file, or deleted it already.
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
