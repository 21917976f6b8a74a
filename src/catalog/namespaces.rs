//! Namespaces.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::PgConnection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Catalog, Page, PageRequest};
use crate::access::{
    Caller, CreateNamespace, CreateTopNamespace, DropNamespace, ListNamespace, ListWarehouse, ReadNamespace, UpdateNamespace,
};
use crate::model::{Error, Kind, NamespaceIdent, Object, Result};
use crate::store;
use crate::store::namespace::{Namespace, Parent, Place};
use crate::store::warehouse::WarehouseRef;

/// What became of the properties that a client named (the REST specification, `UpdateNamespacePropertiesResponse`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PropertiesChange {
    /// Those that were set.
    pub updated: Vec<String>,
    /// Those that were removed.
    pub removed: Vec<String>,
    /// Those that were to be removed and were not there.
    pub missing: Vec<String>,
}

impl Catalog {
    /// Creates a namespace; the one around it must exist.
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] when its name is taken; [`Kind::NotFound`] when the one around it does not exist.
    pub async fn create_namespace(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        ident: &NamespaceIdent,
        properties: &BTreeMap<String, String>,
    ) -> Result<()> {
        let mut connection = self.store.connection().await?;
        let now = self.clock.now();
        if let Some(parent) = ident.parent() {
            let parent = self.namespace(&mut connection, warehouse, &parent).await?;
            let permit = self.gate.permit::<CreateNamespace>(caller, parent.id)?;
            let place = Place::In(parent.warehouse_id, &permit);
            return store::namespace::insert(&mut connection, place, ident, properties, now).await;
        }
        let warehouse = store::warehouse::find(&mut connection, warehouse).await?;
        let permit = self.gate.permit::<CreateTopNamespace>(caller, warehouse.id)?;
        store::namespace::insert(&mut connection, Place::Top(&permit), ident, properties, now).await
    }

    /// The namespaces directly below `parent`, or at the top.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when `parent` does not exist.
    pub async fn list_namespaces(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        parent: Option<&NamespaceIdent>,
        page: &PageRequest,
    ) -> Result<Page<Vec<String>>> {
        let mut connection = self.store.connection().await?;
        let (after, limit) = (page.after.as_deref(), page.limit_sql());
        let paths = if let Some(parent) = parent {
            let parent = self.namespace(&mut connection, warehouse, parent).await?;
            let permit = self.gate.permit::<ListNamespace>(caller, parent.id)?;
            store::namespace::list(&mut connection, Parent::In(parent.warehouse_id, &permit), after, limit).await?
        } else {
            let warehouse = store::warehouse::find(&mut connection, warehouse).await?;
            let permit = self.gate.permit::<ListWarehouse>(caller, warehouse.id)?;
            store::namespace::list(&mut connection, Parent::Top(&permit), after, limit).await?
        };
        Ok(page.cut(paths, |path| path.last().cloned().unwrap_or_default()))
    }

    /// A namespace's properties.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when it does not exist.
    pub async fn load_namespace(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        ident: &NamespaceIdent,
    ) -> Result<BTreeMap<String, String>> {
        let namespace = self.namespace(&mut *self.store.connection().await?, warehouse, ident).await?;
        self.gate.permit::<ReadNamespace>(caller, namespace.id)?;
        Ok(namespace.properties)
    }

    /// Sets and removes properties of a namespace.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when it does not exist; [`Kind::Unprocessable`] when a property is both set and removed.
    pub async fn update_namespace(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        ident: &NamespaceIdent,
        updates: &BTreeMap<String, String>,
        removals: &[String],
    ) -> Result<PropertiesChange> {
        if let Some(both) = removals.iter().find(|name| updates.contains_key(*name)) {
            let message = format!("Invalid properties update: cannot simultaneously set and remove {both}");
            return Err(Error::new(Kind::Unprocessable, message));
        }
        let mut connection = self.store.connection().await?;
        let namespace = self.namespace(&mut connection, warehouse, ident).await?;
        let permit = self.gate.permit::<UpdateNamespace>(caller, namespace.id)?;
        let now = self.clock.now();
        let before = store::namespace::update_properties(&mut connection, &permit, ident, updates, removals, now).await?;
        let removals: BTreeSet<String> = removals.iter().cloned().collect();
        let (removed, missing) = removals.into_iter().partition(|name| before.contains_key(name));
        Ok(PropertiesChange { updated: updates.keys().cloned().collect(), removed, missing })
    }

    /// Drops a namespace.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when it does not exist; [`Kind::NotEmpty`] when something is in it.
    pub async fn drop_namespace(&self, caller: &Caller, warehouse: &WarehouseRef, ident: &NamespaceIdent) -> Result<()> {
        let mut connection = self.store.connection().await?;
        let namespace = self.namespace(&mut connection, warehouse, ident).await?;
        let permit = self.gate.permit::<DropNamespace>(caller, namespace.id)?;
        store::namespace::delete(&mut connection, &permit, ident).await
    }

    pub(super) async fn namespace(
        &self,
        connection: &mut PgConnection,
        warehouse: &WarehouseRef,
        ident: &NamespaceIdent,
    ) -> Result<Namespace> {
        let located = store::namespace::locate(connection, warehouse, ident.levels()).await?;
        located.namespace.ok_or_else(|| Error::not_found(Object::Namespace, ident))
    }
}
