//! Deletes metadata files that tables let go of (`write.metadata.delete-after-commit.enabled`): the one place where files are deleted
//! that a table has pointed at. A file goes only when its grace period is over and, looked at afresh after it was claimed, no table
//! points at it or names it in its log.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use uuid::Uuid;

use crate::catalog::unpack;
use crate::model::iceberg::TableMetadata;
use crate::model::{Clock, Location, Result, WarehouseId};
use crate::storage::{FileStore, Files};
use crate::store::{Store, deletion};

/// How many files one turn claims.
const BATCH: i64 = 100;
/// A worker that has not come back by then is taken for dead.
const CLAIM_LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// Deletes one batch. Whether more are waiting.
///
/// # Errors
/// [`crate::model::Kind::Unavailable`] when the database or a store does not answer; what was not deleted is tried again.
pub async fn turn(store: &Store, files: &Files, clock: &Clock) -> Result<bool> {
    let mut connection = store.connection().await?;
    let now = clock.now();
    let claimed = deletion::claim_metadata(&mut connection, now, now - CLAIM_LIFETIME, BATCH).await?;
    if claimed.is_empty() {
        return Ok(false);
    }
    let uris: Vec<String> = claimed.iter().map(|entry| entry.uri.clone()).collect();
    let current: HashSet<String> = deletion::current_among(&mut connection, &uris).await?.into_iter().collect();
    let tables: Vec<Uuid> = claimed.iter().map(|entry| entry.table_uuid).collect();
    let mut named = HashSet::new();
    for packed in deletion::metadata_of(&mut connection, &tables).await? {
        let metadata = TableMetadata::parse(&unpack(&packed)?)?;
        named.extend(metadata.metadata_log.into_iter().map(|entry| entry.metadata_file));
    }
    let ids: HashSet<WarehouseId> = claimed.iter().map(|entry| entry.warehouse_id).collect();
    let mut stores = HashMap::new();
    for id in ids {
        stores.insert(id, files.of(&deletion::warehouse(&mut connection, id).await?)?);
    }
    let mut finished = Vec::new();
    for entry in &claimed {
        if named.contains(&entry.uri) || current.contains(&entry.uri) {
            tracing::info!(uri = entry.uri, "a metadata file is reached again, and stays");
            finished.push(entry.id);
            continue;
        }
        let Some(store) = stores.get(&entry.warehouse_id) else { continue };
        match delete(store, &entry.uri).await {
            Ok(()) => finished.push(entry.id),
            Err(error) => tracing::warn!(uri = entry.uri, %error, "a metadata file could not be deleted"),
        }
    }
    deletion::finish(&mut connection, &finished).await?;
    Ok(finished.len() == claimed.len() && i64::try_from(claimed.len()).is_ok_and(|claimed| claimed == BATCH))
}

/// Deletes a file of the warehouse; one that lies elsewhere is somebody else's, and stays.
async fn delete(store: &FileStore, uri: &str) -> Result<()> {
    let inside = Location::parse(uri).ok().filter(|location| store.root().contains(location));
    match inside {
        Some(location) => store.delete(&location).await,
        None => {
            tracing::info!(uri, "a metadata file outside its warehouse stays");
            Ok(())
        }
    }
}
