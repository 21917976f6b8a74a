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
use crate::store::deletion::{self, Entry};
use crate::store::{PgConnection, Store};

/// How many files one turn claims.
const BATCH: i64 = 100;
/// A worker that has not come back by then is taken for dead.
const CLAIM_LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// For how long it is remembered that a file was deleted: longer than any request.
const REMEMBERED: TimeDelta = TimeDelta::days(1);

/// Deletes one batch. Whether more are waiting.
///
/// # Errors
/// [`crate::model::Kind::Unavailable`] when the database does not answer; what was not deleted is tried again.
pub async fn turn(store: &Store, files: &Files, clock: &Clock) -> Result<bool> {
    let mut connection = store.connection().await?;
    let now = clock.now();
    deletion::forget(&mut connection, now - REMEMBERED).await?;
    let claimed = deletion::claim_metadata(&mut connection, now, now - CLAIM_LIFETIME, BATCH).await?;
    if claimed.is_empty() {
        return Ok(false);
    }
    let reached = Reached::look(&mut connection, &claimed).await?;
    let stores = open(&mut connection, files, &claimed).await?;
    let (mut deleted, mut kept) = (Vec::new(), Vec::new());
    for entry in &claimed {
        let Some(store) = stores.get(&entry.warehouse_id) else { continue };
        match reached.may_go(entry, store) {
            Fate::Stays => kept.push(entry.id),
            Fate::Unclear => {
                tracing::warn!(uri = entry.uri, "whether a metadata file is reached cannot be told; it stays for now");
            }
            Fate::Goes(location) => match store.delete(&location).await {
                Ok(()) => deleted.push(entry.id),
                Err(error) => tracing::warn!(uri = entry.uri, %error, "a metadata file could not be deleted"),
            },
        }
    }
    deletion::finish(&mut connection, &deleted, &kept, now).await?;
    let done = deleted.len() + kept.len();
    Ok(done == claimed.len() && i64::try_from(done).is_ok_and(|done| done == BATCH))
}

/// The warehouses' files; one that cannot be opened is left out, and its entries wait.
async fn open(connection: &mut PgConnection, files: &Files, claimed: &[Entry]) -> Result<HashMap<WarehouseId, FileStore>> {
    let ids: HashSet<WarehouseId> = claimed.iter().map(|entry| entry.warehouse_id).collect();
    let mut stores = HashMap::new();
    for id in ids {
        match deletion::warehouse(connection, id).await.and_then(|warehouse| files.of(&warehouse)) {
            Ok(store) => drop(stores.insert(id, store)),
            Err(error) => tracing::warn!(warehouse = %id, %error, "a warehouse's files cannot be opened"),
        }
    }
    Ok(stores)
}

/// What tables reach, looked at after the claim.
struct Reached {
    /// Files that some table points at, or names in its log.
    files: HashSet<Location>,
    /// Tables whose metadata cannot be read.
    unreadable: HashSet<Uuid>,
}

enum Fate {
    Goes(Location),
    Stays,
    Unclear,
}

impl Reached {
    async fn look(connection: &mut PgConnection, claimed: &[Entry]) -> Result<Self> {
        let uris: Vec<String> = claimed.iter().map(|entry| entry.uri.clone()).collect();
        let current = deletion::current_among(connection, &uris).await?;
        let mut reached =
            Self { files: current.iter().filter_map(|uri| Location::parse(uri).ok()).collect(), unreadable: HashSet::new() };
        let tables: Vec<Uuid> = claimed.iter().map(|entry| entry.table_uuid).collect();
        for (uuid, packed) in deletion::metadata_of(connection, &tables).await? {
            match unpack(&packed).and_then(|json| TableMetadata::parse(&json)) {
                Ok(metadata) => {
                    let named = metadata.metadata_log.iter().filter_map(|entry| Location::parse(&entry.metadata_file).ok());
                    reached.files.extend(named);
                }
                Err(_) => drop(reached.unreadable.insert(uuid)),
            }
        }
        Ok(reached)
    }

    /// A file goes if nothing reaches it, and if it lies inside the table that asked and inside the warehouse.
    fn may_go(&self, entry: &Entry, store: &FileStore) -> Fate {
        let (Ok(file), Ok(table)) = (Location::parse(&entry.uri), Location::parse(&entry.location)) else { return Fate::Stays };
        if self.files.contains(&file) || !table.contains(&file) || !store.root().contains(&file) {
            return Fate::Stays;
        }
        if self.unreadable.contains(&entry.table_uuid) { Fate::Unclear } else { Fate::Goes(file) }
    }
}
