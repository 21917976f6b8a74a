//! Views: created, loaded, committed to, renamed, dropped. A commit goes the way of a table's (`commit`), by one name: metadata applied
//! (pure), its file written with no transaction open, then the swap of the pointer.

pub mod apply;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use self::apply::apply;
use super::answer::loaded_view;
use super::commit::{ATTEMPTS_MAX, count};
use super::metadata_file::{MetadataFile, render_view, unpack};
use super::{Catalog, Loaded, Page, PageRequest, locations};
use crate::access::{Caller, CreateView, DropView, ListNamespace, Permit, ReadView, RenameView, ReplaceView};
use crate::model::iceberg::update::LAST_ADDED;
use crate::model::iceberg::{Schema, ViewMetadata, ViewRequirement, ViewUpdate, ViewVersion};
use crate::model::{Error, Location, NamespaceId, NamespaceIdent, Object, Result, TableIdent, ViewId};
use crate::store;
use crate::store::tabular::{Choice, NewTable, TabularKind};
use crate::store::view::{ResolvedView, ViewSwap};
use crate::store::warehouse::{Warehouse, WarehouseRef};

/// How many updates and requirements one commit may have.
const UPDATES_MAX: usize = 1_000;

/// What a client says of a view to be created (the REST specification, `CreateViewRequest`).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CreateViewRequest {
    /// Its name.
    pub name: String,
    /// Its location, inside the warehouse and apart from every table's and other view's; chosen by the catalog when absent.
    #[serde(default)]
    pub location: Option<String>,
    /// Its columns, with their ids.
    pub schema: Schema,
    /// Its definition. It becomes version 1, with this schema.
    pub view_version: ViewVersion,
    /// Its properties.
    pub properties: BTreeMap<String, String>,
}

/// A commit to a view.
#[derive(Clone, Debug)]
pub struct ViewChange {
    /// What must hold of it.
    pub requirements: Vec<ViewRequirement>,
    /// What changes.
    pub updates: Vec<ViewUpdate>,
}

/// A commit, ready to be written.
struct Prepared {
    permit: Permit<ReplaceView>,
    namespace_id: NamespaceId,
    expected: i64,
    file: MetadataFile,
    location: Location,
    moved_from: Option<String>,
}

impl Catalog {
    /// Creates a view.
    ///
    /// # Errors
    /// [`crate::model::Kind::AlreadyExists`] when its name is taken; [`crate::model::Kind::NotFound`] when its namespace does
    /// not exist; [`crate::model::Kind::Invalid`] when what
    /// is said of it is wrong.
    pub async fn create_view(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        namespace: NamespaceIdent,
        request: CreateViewRequest,
    ) -> Result<Loaded> {
        let ident = TableIdent::of_view(namespace, request.name.clone())?;
        let resolved = self.resolve_view(warehouse, &ident).await?;
        let namespace_id = resolved.namespace_id.ok_or_else(|| Error::not_found(Object::Namespace, &ident.namespace))?;
        let permit = self.gate.permit::<CreateView>(caller, namespace_id)?;
        if resolved.pointer.is_some() {
            return Err(Error::already_exists(Object::View, &ident));
        }
        if resolved.is_table {
            return Err(Error::name_taken(Object::Table, &ident));
        }
        let warehouse = resolved.warehouse;
        let id = ViewId::generate();
        let (location, choice) = match &request.location {
            Some(text) => (locations::inside(&warehouse, text)?, Choice::Client),
            None => {
                let namespace = (namespace_id, &ident.namespace);
                (locations::default_of_view(&warehouse, namespace, (id, &ident.name))?, Choice::Catalog)
            }
        };
        let metadata = new_metadata(request, &location, self.clock.now())?;
        locations::check_view_paths(&metadata)?;
        let file = render_view(&metadata, 0)?;
        self.files.of(&warehouse)?.write(&file.location, file.bytes.clone()).await?;
        let view = NewTable {
            id,
            warehouse_id: warehouse.id,
            ident: &ident,
            location: &location,
            table_uuid: metadata.view_uuid,
            metadata_location: file.location.as_str(),
            metadata: &file.packed,
        };
        if let Err(error) = self.add_view(&permit, &view, choice).await {
            self.discard(&warehouse, std::slice::from_ref(&file.location), &error).await;
            return Err(error);
        }
        written(&file)
    }

    async fn add_view(&self, permit: &Permit<CreateView>, view: &NewTable<'_, ViewId>, choice: Choice) -> Result<()> {
        let mut tx = self.store.begin().await?;
        store::tabular::claim_location(&mut tx, view.warehouse_id, view.location, choice, None).await?;
        store::view::insert(&mut tx, permit, view, self.clock.now()).await?;
        store::commit(tx).await
    }

    async fn resolve_view(&self, warehouse: &WarehouseRef, ident: &TableIdent) -> Result<ResolvedView> {
        store::view::resolve(&mut *self.store.connection().await?, warehouse, ident).await
    }

    /// Loads a view.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when there is none.
    pub async fn load_view(&self, caller: &Caller, warehouse: &WarehouseRef, ident: &TableIdent) -> Result<Loaded> {
        let pointer = self.resolve_view(warehouse, ident).await?.pointer;
        let pointer = pointer.ok_or_else(|| Error::not_found(Object::View, ident))?;
        self.gate.permit::<ReadView>(caller, pointer.id)?;
        loaded_view(&pointer.metadata_location, &unpack(&pointer.metadata)?)
    }

    /// Checks that a view exists.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when it does not.
    pub async fn view_exists(&self, caller: &Caller, warehouse: &WarehouseRef, ident: &TableIdent) -> Result<()> {
        let (id, _) = store::view::locate(&mut *self.store.connection().await?, warehouse, ident).await?;
        self.gate.permit::<ReadView>(caller, id)?;
        Ok(())
    }

    /// The views of a namespace, by name.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when the namespace does not exist.
    pub async fn list_views(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        namespace: &NamespaceIdent,
        page: &PageRequest,
    ) -> Result<Page<String>> {
        let mut connection = self.store.connection().await?;
        let id = self.namespace(&mut connection, warehouse, namespace).await?.id;
        let permit = self.gate.permit::<ListNamespace>(caller, id)?;
        let (kind, after) = (TabularKind::View, page.after.as_deref());
        let names = store::tabular::list(&mut connection, &permit, kind, after, page.limit_sql()).await?;
        Ok(page.cut(names, Clone::clone))
    }

    /// Gives a view another name; its files stay where they are.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when the view or the namespace it shall go to does not exist;
    /// [`crate::model::Kind::AlreadyExists`] when the name is taken.
    pub async fn rename_view(&self, caller: &Caller, warehouse: &WarehouseRef, from: &TableIdent, to: &TableIdent) -> Result<()> {
        let mut connection = self.store.connection().await?;
        let (id, source) = store::view::locate(&mut connection, warehouse, from).await?;
        let permit = self.gate.permit::<RenameView>(caller, id)?;
        let namespace = self.namespace(&mut connection, warehouse, &to.namespace).await?;
        let target = self.gate.permit::<CreateView>(caller, namespace.id)?;
        store::view::rename(&mut connection, &permit, &target, (source, from), to, self.clock.now()).await
    }

    /// Drops a view and frees its name and location. Its files stay.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when it does not exist.
    pub async fn drop_view(&self, caller: &Caller, warehouse: &WarehouseRef, ident: &TableIdent) -> Result<()> {
        let mut connection = self.store.connection().await?;
        let (id, namespace_id) = store::view::locate(&mut connection, warehouse, ident).await?;
        let permit = self.gate.permit::<DropView>(caller, id)?;
        let gone = store::view::delete(&mut connection, &permit, (namespace_id, &ident.name)).await?;
        if gone { Ok(()) } else { Err(Error::not_found(Object::View, ident)) }
    }

    /// Commits a change of a view. Gives the view as it is after it.
    ///
    /// # Errors
    /// As those of a commit to tables ([`Catalog::commit`]).
    pub async fn replace_view(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        ident: &TableIdent,
        change: &ViewChange,
    ) -> Result<Loaded> {
        let updates = change.updates.len() + change.requirements.len();
        if updates > UPDATES_MAX {
            return Err(Error::invalid(format!(
                "Invalid commit: {updates} updates and requirements, at most {UPDATES_MAX} are allowed"
            )));
        }
        for _ in 0..ATTEMPTS_MAX {
            let result = self.try_replace(caller, warehouse, ident, change).await;
            let Some(result) = result.transpose() else {
                metrics::counter!("nunatak_commit_swaps_lost_total").increment(1);
                continue;
            };
            count(&result);
            return result;
        }
        let result = Err(Error::commit_failed("Commit failed: other commits were faster; load the view again and retry"));
        count(&result);
        result
    }

    /// One try; `None` when somebody else was faster and nothing happened.
    async fn try_replace(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        ident: &TableIdent,
        change: &ViewChange,
    ) -> Result<Option<Loaded>> {
        let resolved = self.resolve_view(warehouse, ident).await?;
        let warehouse = resolved.warehouse;
        let (pointer, namespace_id) =
            resolved.pointer.zip(resolved.namespace_id).ok_or_else(|| Error::not_found(Object::View, ident))?;
        let permit = self.gate.permit::<ReplaceView>(caller, pointer.id)?;
        let json = unpack(&pointer.metadata)?;
        let before = ViewMetadata::parse(&json).map_err(Error::internal)?;
        let Some(metadata) = apply(Some(&before), &change.requirements, &change.updates, self.clock.now())? else {
            return loaded_view(&pointer.metadata_location, &json).map(Some);
        };
        let location = locations::inside(&warehouse, &metadata.location)?;
        locations::check_view_paths(&metadata)?;
        let file = render_view(&metadata, pointer.version + 1)?;
        let moved_from = (location.as_str() != pointer.location).then_some(pointer.location);
        let prepared = Prepared { permit, namespace_id, expected: pointer.version, file, location, moved_from };
        let swapped = self.publish_view(&warehouse, ident, &prepared).await?;
        swapped.then(|| written(&prepared.file)).transpose()
    }

    /// Writes the file and swaps the pointer. Whether it swapped; a file that was not published is deleted again.
    async fn publish_view(&self, warehouse: &Warehouse, ident: &TableIdent, prepared: &Prepared) -> Result<bool> {
        let file = &prepared.file;
        let result = match self.files.of(warehouse)?.write(&file.location, file.bytes.clone()).await {
            Ok(()) => self.swap_view(warehouse, ident, prepared).await,
            Err(error) => Err(error),
        };
        self.settle(result, warehouse, &[(prepared.permit.resource().0, file.location.clone())]).await
    }

    /// One statement; a transaction where the view moves, because its location must be claimed.
    async fn swap_view(&self, warehouse: &Warehouse, ident: &TableIdent, prepared: &Prepared) -> Result<bool> {
        let now = self.clock.now();
        let swap = ViewSwap {
            permit: &prepared.permit,
            name: (prepared.namespace_id, &ident.name),
            expected: prepared.expected,
            metadata_location: prepared.file.location.as_str(),
            metadata: &prepared.file.packed,
            location: prepared.location.as_str(),
        };
        let Some(moved_from) = &prepared.moved_from else {
            return store::view::swap(&mut *self.store.connection().await?, &swap, now).await;
        };
        let mut tx = self.store.begin().await?;
        if !store::view::swap(&mut tx, &swap, now).await? {
            return Ok(false);
        }
        let except = Some(prepared.permit.resource().0);
        store::tabular::claim_location(&mut tx, warehouse.id, &prepared.location, Choice::Client, except).await?;
        store::view::keep_location(&mut tx, &prepared.permit, warehouse.id, moved_from).await?;
        store::commit(tx).await?;
        Ok(true)
    }
}

fn written(file: &MetadataFile) -> Result<Loaded> {
    loaded_view(file.location.as_str(), &file.json)
}

/// The metadata of a new view: what its creator says, in updates on an empty one.
fn new_metadata(request: CreateViewRequest, location: &Location, now: DateTime<Utc>) -> Result<ViewMetadata> {
    let updates = [
        ViewUpdate::AssignUuid { uuid: Uuid::new_v4() },
        ViewUpdate::SetLocation { location: location.to_string() },
        ViewUpdate::SetProperties { updates: request.properties },
        ViewUpdate::AddSchema { schema: request.schema },
        ViewUpdate::AddViewVersion { view_version: ViewVersion { schema_id: LAST_ADDED, ..request.view_version } },
        ViewUpdate::SetCurrentViewVersion { view_version_id: LAST_ADDED },
    ];
    apply(None, &[], &updates, now)?.ok_or_else(|| Error::internal("a new view is no change"))
}
