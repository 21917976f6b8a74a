//! Deletes metadata files that tables let go of (`write.metadata.delete-after-commit.enabled`): the one place where files are deleted
//! that a table has pointed at. A file goes only when its grace period is over and, looked at afresh after it was claimed, no table
//! points at it or names it in its log.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;

use crate::catalog::unpack;
use crate::model::iceberg::TableMetadata;
use crate::model::{Clock, Kind, Location, Result, TableId, WarehouseId};
use crate::storage::{FileStore, Files};
use crate::store::{Store, deletion};

/// How many files one turn claims.
const BATCH: i64 = 100;
/// A worker that has not come back by then is taken for dead.
const CLAIM_LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// Deletes one batch. Whether more are waiting.
///
/// # Errors
/// [`Kind::Unavailable`] when the database or a store does not answer; what was not deleted is tried again.
pub async fn turn(store: &Store, files: &Files, clock: &Clock) -> Result<bool> {
    let mut connection = store.connection().await?;
    let now = clock.now();
    let claimed = deletion::claim_metadata(&mut connection, now, now - CLAIM_LIFETIME, BATCH).await?;
    if claimed.is_empty() {
        return Ok(false);
    }
    let uris: Vec<String> = claimed.iter().map(|entry| entry.uri.clone()).collect();
    let current: HashSet<String> = deletion::current_among(&mut connection, &uris).await?.into_iter().collect();
    let mut logs: HashMap<TableId, HashSet<String>> = HashMap::new();
    let mut stores: HashMap<WarehouseId, FileStore> = HashMap::new();
    let mut finished = Vec::new();
    for entry in &claimed {
        if !logs.contains_key(&entry.table_id) {
            logs.insert(entry.table_id, log(deletion::metadata_of(&mut connection, entry.table_id).await?)?);
        }
        let named = logs.get(&entry.table_id).is_some_and(|log| log.contains(&entry.uri));
        if named || current.contains(&entry.uri) {
            tracing::info!(uri = entry.uri, "a metadata file is reached again, and stays");
            finished.push(entry.id);
            continue;
        }
        if !stores.contains_key(&entry.warehouse_id) {
            let warehouse = deletion::warehouse(&mut connection, entry.warehouse_id).await?;
            stores.insert(entry.warehouse_id, files.of(&warehouse)?);
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

/// The files that a table's log names.
fn log(packed: Option<Vec<u8>>) -> Result<HashSet<String>> {
    let Some(packed) = packed else { return Ok(HashSet::new()) };
    let metadata = TableMetadata::parse(&unpack(&packed)?)?;
    Ok(metadata.metadata_log.into_iter().map(|entry| entry.metadata_file).collect())
}

/// Deletes a file of the warehouse; one that lies elsewhere is somebody else's, and stays.
async fn delete(store: &FileStore, uri: &str) -> Result<()> {
    let inside = Location::parse(uri).ok().filter(|location| store.root().contains(location));
    match inside {
        Some(location) => store.delete(&location).await,
        None => {
            tracing::info!(uri, kind = ?Kind::Invalid, "a metadata file outside its warehouse stays");
            Ok(())
        }
    }
}
