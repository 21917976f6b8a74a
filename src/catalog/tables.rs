//! What is done to tables by name alone: list, look for, rename, drop, report on.

use serde_json::Value;

use super::{Catalog, Page, PageRequest};
use crate::access::{Caller, CreateTable, DropTable, ListNamespace, PurgeTable, ReadTable, RenameTable, ReportMetrics};
use crate::model::{Error, NamespaceId, NamespaceIdent, Object, Result, TableId, TableIdent};
use crate::store;
use crate::store::tabular::{Located, TabularKind};
use crate::store::warehouse::WarehouseRef;

impl Catalog {
    /// The tables of a namespace, by name.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when the namespace does not exist.
    pub async fn list_tables(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        namespace: &NamespaceIdent,
        page: &PageRequest,
    ) -> Result<Page<String>> {
        let mut connection = self.store.connection().await?;
        let id = self.namespace(&mut connection, warehouse, namespace).await?.id;
        let permit = self.gate.permit::<ListNamespace>(caller, id)?;
        let names =
            store::tabular::list(&mut connection, &permit, TabularKind::Table, page.after.as_deref(), page.limit_sql()).await?;
        Ok(page.cut(names, Clone::clone))
    }

    /// Checks that a table exists.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when it does not.
    pub async fn table_exists(&self, caller: &Caller, warehouse: &WarehouseRef, ident: &TableIdent) -> Result<()> {
        let (id, _) = self.table(warehouse, ident).await?;
        self.gate.permit::<ReadTable>(caller, id)?;
        Ok(())
    }

    /// Gives a table another name; its files stay where they are.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when the table or the namespace it shall go to does not exist;
    /// [`crate::model::Kind::AlreadyExists`] when the name is taken.
    pub async fn rename_table(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        from: &TableIdent,
        to: &TableIdent,
    ) -> Result<()> {
        let mut connection = self.store.connection().await?;
        let source = store::tabular::locate(&mut connection, warehouse, from).await?;
        let (id, source) = found(source, from)?;
        let permit = self.gate.permit::<RenameTable>(caller, id)?;
        let namespace = self.namespace(&mut connection, warehouse, &to.namespace).await?;
        let target = self.gate.permit::<CreateTable>(caller, namespace.id)?;
        store::tabular::rename(&mut connection, &permit, &target, (source, from), to, self.clock.now()).await
    }

    /// Drops a table and frees its name and location. Its files stay, unless `purge` asks for their deletion, which comes after the
    /// grace period.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when it does not exist.
    pub async fn drop_table(&self, caller: &Caller, warehouse: &WarehouseRef, ident: &TableIdent, purge: bool) -> Result<()> {
        let (id, namespace_id) = self.table(warehouse, ident).await?;
        let name = (namespace_id, ident.name.as_str());
        let mut connection = self.store.connection().await?;
        let gone = if purge {
            let permit = self.gate.permit::<PurgeTable>(caller, id)?;
            let now = self.clock.now();
            store::tabular::purge(&mut connection, &permit, name, now, now + self.deletion_grace).await?
        } else {
            let permit = self.gate.permit::<DropTable>(caller, id)?;
            store::tabular::delete(&mut connection, &permit, name).await?
        };
        if gone { Ok(()) } else { Err(Error::not_found(Object::Table, ident)) }
    }

    /// Keeps a metrics report of an engine.
    ///
    /// # Errors
    /// [`crate::model::Kind::NotFound`] when the table does not exist.
    pub async fn report_metrics(
        &self,
        caller: &Caller,
        warehouse: &WarehouseRef,
        ident: &TableIdent,
        report: &Value,
    ) -> Result<()> {
        let (id, _) = self.table(warehouse, ident).await?;
        let permit = self.gate.permit::<ReportMetrics>(caller, id)?;
        store::metrics_report::insert(&mut *self.store.connection().await?, &permit, report, self.clock.now()).await
    }

    async fn table(&self, warehouse: &WarehouseRef, ident: &TableIdent) -> Result<(TableId, NamespaceId)> {
        found(store::tabular::locate(&mut *self.store.connection().await?, warehouse, ident).await?, ident)
    }
}

/// The table and its namespace.
fn found(located: Located, ident: &TableIdent) -> Result<(TableId, NamespaceId)> {
    located.table_id.zip(located.namespace_id).ok_or_else(|| Error::not_found(Object::Table, ident))
}
