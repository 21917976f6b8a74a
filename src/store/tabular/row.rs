//! What is one statement for tables and views: each is called by two functions, which ask for the permits. Nothing outside of the
//! store can call them.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::location_taken;
use crate::model::{Error, Kind, Location, NamespaceId, Object, Result, TableId, TableIdent, WarehouseId};
use crate::store::error::{OnConstraint, read_error, write_error};

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TabularKind {
    /// A table.
    Table,
    /// A view.
    View,
}

impl TabularKind {
    /// How the row says it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
        }
    }

    /// How errors call it.
    #[must_use]
    pub fn object(self) -> Object {
        match self {
            Self::Table => Object::Table,
            Self::View => Object::View,
        }
    }
}

/// A table, or a view, to be added.
#[derive(Debug)]
pub struct NewTable<'a, Id = TableId> {
    /// Its id.
    pub id: Id,
    /// Its warehouse.
    pub warehouse_id: WarehouseId,
    /// Its name.
    pub ident: &'a TableIdent,
    /// Its location.
    pub location: &'a Location,
    /// The `table-uuid`, or the `view-uuid`, of its metadata.
    pub table_uuid: Uuid,
    /// Its metadata file.
    pub metadata_location: &'a str,
    /// The file's bytes, compressed.
    pub metadata: &'a [u8],
}

/// Adds a row, for whoever holds the permit to.
pub async fn insert_row<Id>(
    connection: &mut PgConnection,
    kind: TabularKind,
    namespace_id: NamespaceId,
    id: Uuid,
    new: &NewTable<'_, Id>,
    now: DateTime<Utc>,
) -> Result<()> {
    // A name that is taken is no error of the statement: the transaction can still be asked by what.
    let done = sqlx::query!(
        "INSERT INTO tabular (id, warehouse_id, namespace_id, name, location, table_uuid, version, metadata_location, metadata,
                              created_at, updated_at, kind)
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $9, $10)
         ON CONFLICT ON CONSTRAINT tabular_name_unique DO NOTHING",
        id,
        new.warehouse_id.0,
        namespace_id.0,
        new.ident.name,
        new.location.as_str(),
        new.table_uuid,
        new.metadata_location,
        new.metadata,
        now,
        kind.text()
    )
    .execute(&mut *connection)
    .await
    .on_constraint(&[
        ("tabular_location_unique", &|| location_taken(new.location)),
        ("tabular_namespace_fk", &|| Error::not_found(Object::Namespace, &new.ident.namespace)),
        ("tabular_warehouse_fk", &|| Error::not_found(Object::Warehouse, new.warehouse_id)),
    ])?;
    if done.rows_affected() > 0 {
        return Ok(());
    }
    let by = kind_at(connection, namespace_id, &new.ident.name).await?.unwrap_or(kind);
    Err(if by == kind { Error::already_exists(by.object(), new.ident) } else { Error::name_taken(by.object(), new.ident) })
}

/// What has a name, if anything has.
async fn kind_at(connection: &mut PgConnection, namespace_id: NamespaceId, name: &str) -> Result<Option<TabularKind>> {
    let kind = sqlx::query_scalar!("SELECT kind FROM tabular WHERE namespace_id = $1 AND name = $2", namespace_id.0, name)
        .fetch_optional(connection)
        .await
        .map_err(read_error)?;
    let known = [TabularKind::Table, TabularKind::View];
    Ok(kind.and_then(|kind| known.into_iter().find(|known| known.text() == kind)))
}

/// Renames a row, for whoever holds the permits to. Whatever has the new name is locked with it, in the order of their ids: two that
/// take each other's names would otherwise wait for each other in a circle. Not to be called in a transaction: where the name is taken it asks by what.
pub async fn rename_row(
    connection: &mut PgConnection,
    kind: TabularKind,
    id: Uuid,
    (from_id, from): (NamespaceId, &TableIdent),
    (to_id, to): (NamespaceId, &TableIdent),
    now: DateTime<Utc>,
) -> Result<()> {
    let renamed = sqlx::query!(
        "WITH locked AS (
             SELECT id FROM tabular WHERE id = $1 OR (namespace_id = $2 AND name = $3) ORDER BY id FOR UPDATE
         )
         UPDATE tabular t SET namespace_id = n.id, name = $3, updated_at = $4
         FROM namespace n
         WHERE t.id = $1 AND t.kind = $7 AND t.namespace_id = $5 AND t.name = $6
             AND n.id = $2 AND n.warehouse_id = t.warehouse_id AND (SELECT count(*) FROM locked) > 0",
        id,
        to_id.0,
        to.name,
        now,
        from_id.0,
        from.name,
        kind.text()
    )
    .execute(&mut *connection)
    .await
    .on_constraint(&[
        ("tabular_name_unique", &|| Error::already_exists(kind.object(), to)),
        ("tabular_namespace_fk", &|| Error::not_found(Object::Namespace, &to.namespace)),
    ]);
    match renamed {
        Ok(done) if done.rows_affected() > 0 => Ok(()),
        Ok(_) => Err(Error::not_found(kind.object(), from)),
        Err(error) if matches!(error.kind(), Kind::AlreadyExists(_)) => {
            let by = kind_at(connection, to_id, &to.name).await?.unwrap_or(kind).object();
            Err(Error::new(Kind::AlreadyExists(by), format!("Cannot rename {from} to {to}. {by} already exists")))
        }
        Err(error) => Err(error),
    }
}

/// Deletes a row, for whoever holds the permit to.
pub async fn delete_row(
    connection: &mut PgConnection,
    kind: TabularKind,
    id: Uuid,
    (namespace_id, name): (NamespaceId, &str),
) -> Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM tabular WHERE id = $1 AND kind = $4 AND namespace_id = $2 AND name = $3",
        id,
        namespace_id.0,
        name,
        kind.text()
    )
    .execute(connection)
    .await
    .map_err(write_error)?;
    Ok(done.rows_affected() > 0)
}

/// Keeps a location, for whoever holds the permit to.
pub async fn keep_location_of(connection: &mut PgConnection, id: Uuid, warehouse_id: WarehouseId, location: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO former_location (tabular_id, warehouse_id, location) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        id,
        warehouse_id.0,
        location
    )
    .execute(connection)
    .await
    .map_err(write_error)?;
    Ok(())
}
