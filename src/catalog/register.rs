//! Registering a table whose metadata file is there already.

use super::answer::loaded;
use super::metadata_file::{METADATA_BYTES_MAX, read_file};
use super::{Catalog, Loaded, locations};
use crate::access::Caller;
use crate::model::iceberg::TableMetadata;
use crate::model::{Error, Kind, Result, TableId, TableIdent};
use crate::store;
use crate::store::tabular::{Choice, NewTable};
use crate::store::warehouse::WarehouseRef;

impl Catalog {
    /// Registers a table by its metadata file, which lies in the warehouse, as the table's own location does.
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] when the name is taken; [`Kind::Conflict`] when the file is being deleted; [`Kind::Invalid`] when another table's location overlaps, or
    /// the file is no table metadata, or somewhere else.
    pub async fn register_table(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        ident: &TableIdent,
        metadata_location: &str,
    ) -> Result<Loaded> {
        let target = self.target(caller, warehouse, ident).await?;
        let warehouse = &target.known.warehouse;
        let file = locations::inside(warehouse, metadata_location)?;
        let bytes = self.files.of(warehouse)?.read(&file, METADATA_BYTES_MAX).await.map_err(|error| match error.kind() {
            Kind::NotFound(_) => Error::invalid(format!("Metadata file does not exist: {file}")),
            _ => error,
        })?;
        let (json, packed) = read_file(bytes)?;
        let metadata = TableMetadata::parse(&json)?;
        let location = locations::inside(warehouse, &metadata.location)?;
        locations::check_paths(&metadata)?;

        let mut tx = self.store.begin().await?;
        let warehouse_id = warehouse.id;
        store::tabular::claim_location(&mut tx, warehouse_id, &location, Choice::Client, None).await?;
        if !location.contains(&file) {
            store::tabular::claim_location(&mut tx, warehouse_id, &file, Choice::Client, None).await?;
        }
        store::deletion::take_back(&mut tx, file.as_str()).await?;
        let table = NewTable {
            id: TableId::generate(),
            warehouse_id,
            ident,
            location: &location,
            table_uuid: metadata.table_uuid,
            metadata_location: file.as_str(),
            metadata: &packed,
        };
        store::tabular::insert(&mut tx, &target.permit, &table, self.clock.now()).await?;
        store::commit(tx).await?;
        loaded(Some(file.as_str()), &json, &target.known)
    }
}
