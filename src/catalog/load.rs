//! Loading a table: one statement by name, no read from object storage.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::warehouses::WarehouseConfig;
use super::{Catalog, Loaded, metadata_file};
use crate::access::{Caller, ReadTable};
use crate::model::iceberg::TableMetadata;
use crate::model::{Error, Result, TableIdent};
use crate::storage::Profile;
use crate::store;
use crate::store::warehouse::{Warehouse, WarehouseRef};

/// Which snapshots a table is loaded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshots {
    /// All that it has.
    All,
    /// Those that a branch or tag points at; clients ask for the others when they need them.
    Refs,
}

impl Catalog {
    /// Loads a table.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when there is none.
    pub async fn load_table(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        ident: &TableIdent,
        snapshots: Snapshots,
    ) -> Result<Loaded> {
        let (warehouse, mut resolved) =
            store::tabular::resolve(&mut *self.store.connection().await?, warehouse, &[ident]).await?;
        let pointer = resolved.pop().ok_or_else(|| Error::internal("no answer for a table"))?.found(ident)?;
        let permit = self.gate.permit::<ReadTable>(caller, pointer.id)?;
        // Nobody is restricted yet; who is gets the governed answer here.
        let _raw = permit.into_raw_access().map_err(|_| Error::internal("a restricted caller has no answer yet"))?;
        let metadata = metadata_file::unpack(&pointer.metadata)?;
        let metadata = match snapshots {
            Snapshots::All => metadata,
            Snapshots::Refs => referenced_only(&metadata)?,
        };
        Ok(Loaded { metadata_location: Some(pointer.metadata_location), metadata, config: table_config(&warehouse)? })
    }
}

/// What a client is told about a table's files: how to reach the store, as the warehouse's own configuration has it where that says
/// otherwise than its profile.
pub(super) fn table_config(warehouse: &Warehouse) -> Result<Arc<BTreeMap<String, String>>> {
    let profile: Profile = serde_json::from_value(warehouse.storage.clone()).map_err(Error::internal)?;
    let said: WarehouseConfig = serde_json::from_value(warehouse.config.clone()).map_err(Error::internal)?;
    let mut config = profile.client_config();
    for (name, value) in &mut config {
        if let Some(other) = said.overrides.get(name).or_else(|| said.defaults.get(name)) {
            value.clone_from(other);
        }
    }
    Ok(Arc::new(config))
}

/// The metadata without the snapshots that nothing refers to. The log of them stays: it is what a client finds the others by.
fn referenced_only(json: &[u8]) -> Result<Bytes> {
    let mut metadata = TableMetadata::parse(json).map_err(Error::internal)?;
    let referenced: HashSet<i64> = metadata.refs.values().map(|reference| reference.snapshot_id).collect();
    metadata.snapshots.retain(|snapshot| referenced.contains(&snapshot.snapshot_id));
    Ok(Bytes::from(metadata.to_json()?))
}
