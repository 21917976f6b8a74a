//! Creating and staging tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{KnownWarehouse, loaded};
use super::apply::{FORMAT_VERSION, apply, check_property};
use super::{Catalog, Loaded, locations, metadata_file};
use crate::access::{Caller, CreateTable, Permit};
use crate::model::iceberg::update::LAST_ADDED;
use crate::model::iceberg::{FORMAT_VERSION_DEFAULT, PartitionSpec, Schema, SortOrder, TableMetadata, Update};
use crate::model::{Error, Kind, Location, NamespaceId, NamespaceIdent, Object, Result, TableId, TableIdent};
use crate::store;
use crate::store::lookup::Position;
use crate::store::tabular::{Choice, NewTable, Resolved};
use crate::store::warehouse::{Warehouse, WarehouseRef};

/// What a client says of a table to be created (the REST specification, `CreateTableRequest`).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CreateTableRequest {
    /// Its name.
    pub name: String,
    /// Its location, inside the warehouse and apart from every other table's; chosen by the catalog when absent.
    #[serde(default)]
    pub location: Option<String>,
    /// Its columns. They get new ids.
    pub schema: Schema,
    /// How it is partitioned.
    #[serde(default)]
    pub partition_spec: Option<PartitionSpec>,
    /// How writers sort.
    #[serde(default)]
    pub write_order: Option<SortOrder>,
    /// Whether to make the metadata only, to be committed later.
    #[serde(default)]
    pub stage_create: bool,
    /// Its properties; `format-version` chooses the format.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// Where a new table goes.
pub(super) struct Target {
    pub(super) known: Arc<KnownWarehouse>,
    pub(super) permit: Permit<CreateTable>,
}

impl Catalog {
    /// Creates a table, or stages it.
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] when its name is taken; [`Kind::NotFound`] when its namespace does not exist; [`Kind::Invalid`] when what
    /// is said of it is wrong.
    pub async fn create_table(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        namespace: NamespaceIdent,
        request: CreateTableRequest,
    ) -> Result<Loaded> {
        let ident = TableIdent::new(namespace, request.name.clone())?;
        let target = self.target(caller, warehouse, &ident).await?;
        let warehouse = &target.known.warehouse;
        let id = TableId::generate();
        let (location, choice) = match &request.location {
            Some(text) => (locations::inside(warehouse, text)?, Choice::Client),
            None => {
                let namespace = (target.permit.resource(), &ident.namespace);
                (locations::default(warehouse, namespace, (id, &ident.name))?, Choice::Catalog)
            }
        };
        let stage = request.stage_create;
        let metadata = new_metadata(request, &location, self.clock.now())?;
        locations::check_paths(&metadata)?;
        if stage {
            return loaded(None, metadata.to_json()?.as_ref(), &target.known);
        }
        let file = metadata_file::render(&metadata, 0)?;
        self.files.of(warehouse)?.write(&file.location, file.bytes.clone()).await?;
        let table = NewTable {
            id,
            warehouse_id: warehouse.id,
            ident: &ident,
            location: &location,
            table_uuid: metadata.table_uuid,
            metadata_location: file.location.as_str(),
            metadata: &file.packed,
        };
        let added = self.add(&target, &table, choice).await;
        if let Err(error) = added {
            self.discard(warehouse, std::slice::from_ref(&file.location), &error).await;
            return Err(error);
        }
        let position = Position { id, version: 0, metadata_location: file.location.as_str().into() };
        let loaded = loaded(Some(&position.metadata_location), &file.json, &target.known)?;
        self.keep(&target.known, None, position, &loaded).await;
        Ok(loaded)
    }

    /// Where a table of this name would go, if it can be made.
    pub(super) async fn target(&self, caller: &Caller, warehouse: &WarehouseRef, ident: &TableIdent) -> Result<Target> {
        let (warehouse, mut resolved) =
            store::tabular::resolve(&mut *self.store.connection().await?, warehouse, &[ident]).await?;
        let resolved = resolved.pop().ok_or_else(|| Error::internal("no answer for a table"))?;
        let permit = self.gate.permit::<CreateTable>(caller, namespace_of(&resolved, ident)?)?;
        if resolved.pointer.is_some() {
            return Err(Error::already_exists(Object::Table, ident));
        }
        if resolved.is_view {
            return Err(Error::name_taken(Object::View, ident));
        }
        Ok(Target { known: self.answers.know(warehouse).await?, permit })
    }

    async fn add(&self, target: &Target, table: &NewTable<'_>, choice: Choice) -> Result<()> {
        let mut tx = self.store.begin().await?;
        store::tabular::claim_location(&mut tx, table.warehouse_id, table.location, choice, None).await?;
        store::tabular::insert(&mut tx, &target.permit, table, self.clock.now()).await?;
        store::commit(tx).await
    }

    /// Deletes metadata files that were written and never published. Only where `because` says that nothing happened: after an unknown
    /// outcome a table may point at them.
    pub(super) async fn discard(&self, warehouse: &Warehouse, files: &[Location], because: &Error) {
        if because.kind() == Kind::Unknown {
            return;
        }
        let Ok(store) = self.files.of(warehouse) else { return };
        for file in files {
            if let Err(error) = store.delete(file).await {
                tracing::warn!(%file, %error, "a metadata file that was never published stays behind");
            }
        }
    }
}

/// The namespace that a table's name leads to.
pub(super) fn namespace_of(resolved: &Resolved, ident: &TableIdent) -> Result<NamespaceId> {
    resolved.namespace_id.ok_or_else(|| Error::not_found(Object::Namespace, &ident.namespace))
}

/// The metadata of a new table: what its creator says, in updates on an empty one, with new field ids.
fn new_metadata(request: CreateTableRequest, location: &Location, now: chrono::DateTime<chrono::Utc>) -> Result<TableMetadata> {
    let mut properties = request.properties;
    let format_version = match properties.remove(FORMAT_VERSION) {
        Some(text) => text.trim().parse().map_err(|_| Error::invalid(format!("Invalid format-version: {text}")))?,
        None => FORMAT_VERSION_DEFAULT,
    };
    properties.retain(|name, _| check_property(name).is_ok());
    let mut schema = request.schema;
    let fresh = schema.assign_fresh_ids()?;
    let renumber = |id: &mut i32| -> Result<()> {
        *id = *fresh.get(id).ok_or_else(|| Error::invalid(format!("Cannot find source column: {id}")))?;
        Ok(())
    };
    let mut spec = request.partition_spec.unwrap_or_else(PartitionSpec::unpartitioned);
    for field in &mut spec.fields {
        field.field_id = None;
        field.source_id.iter_mut().chain(field.source_ids.iter_mut().flatten()).try_for_each(renumber)?;
    }
    let mut sort_order = request.write_order.unwrap_or_else(SortOrder::unsorted);
    for field in &mut sort_order.fields {
        field.source_id.iter_mut().chain(field.source_ids.iter_mut().flatten()).try_for_each(renumber)?;
    }
    let updates = [
        Update::AssignUuid { uuid: Uuid::new_v4() },
        Update::UpgradeFormatVersion { format_version },
        Update::AddSchema { schema, last_column_id: None },
        Update::SetCurrentSchema { schema_id: LAST_ADDED },
        Update::AddSpec { spec },
        Update::SetDefaultSpec { spec_id: LAST_ADDED },
        Update::AddSortOrder { sort_order },
        Update::SetDefaultSortOrder { sort_order_id: LAST_ADDED },
        Update::SetLocation { location: location.to_string() },
        Update::SetProperties { updates: properties },
    ];
    let applied = apply(None, &[], &updates, now)?.ok_or_else(|| Error::internal("a new table is no change"))?;
    Ok(applied.metadata)
}
