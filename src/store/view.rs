//! Views: what is their own of the rows that they share with tables (`tabular`).

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;

use super::error::{OnConstraint, read_error};
use super::tabular::row::{NewTable, TabularKind, delete_row, insert_row, keep_location_of, rename_row};
use super::warehouse::{Warehouse, WarehouseRef};
use crate::access::{CreateView, DropView, Permit, RenameView, ReplaceView};
use crate::model::{Error, NamespaceId, Object, Result, TableIdent, ViewId, WarehouseId};

/// Where a view stands: the pointer, and the metadata it points at.
#[derive(Clone, Debug)]
pub struct ViewPointer {
    /// The view.
    pub id: ViewId,
    /// Its place in the order of commits.
    pub version: i64,
    /// The view's location.
    pub location: String,
    /// The metadata file.
    pub metadata_location: String,
    /// Its bytes, compressed with zstd.
    pub metadata: Vec<u8>,
}

/// What a view's name leads to.
#[derive(Clone, Debug)]
pub struct ResolvedView {
    /// The warehouse.
    pub warehouse: Warehouse,
    /// The namespace, if it exists.
    pub namespace_id: Option<NamespaceId>,
    /// The view, if it exists.
    pub pointer: Option<ViewPointer>,
    /// Whether the name is a table's.
    pub is_table: bool,
}

/// Looks a view up by name, with its pointer and metadata, in one statement.
///
/// # Errors
/// [`crate::model::Kind::NotFound`] when there is no such warehouse.
pub async fn resolve(connection: &mut PgConnection, warehouse: &WarehouseRef, ident: &TableIdent) -> Result<ResolvedView> {
    let row = sqlx::query!(
        r#"SELECT w.id, w.name, w.root, w.storage, w.storage_secret, w.config, w.version, w.created_at, w.updated_at,
                  n.id AS "namespace_id?", t.kind = 'table' AS is_table, v.id AS "view_id?", v.version AS "view_version?",
                  v.location AS "location?", v.metadata_location AS "metadata_location?", v.metadata AS "metadata?"
           FROM warehouse w
           LEFT JOIN namespace n ON n.warehouse_id = w.id AND n.path = $3
           LEFT JOIN tabular t ON t.namespace_id = n.id AND t.name = $4
           LEFT JOIN tabular v ON v.id = t.id AND v.kind = 'view'
           WHERE w.id = $1 OR w.name = $2"#,
        warehouse.id(),
        warehouse.name(),
        ident.namespace.levels(),
        ident.name
    )
    .fetch_optional(connection)
    .await
    .map_err(read_error)?
    .ok_or_else(|| warehouse.missing())?;
    let pointer = match (row.view_id, row.view_version, row.location, row.metadata_location, row.metadata) {
        (Some(id), Some(version), Some(location), Some(metadata_location), Some(metadata)) => {
            Some(ViewPointer { id: ViewId(id), version, location, metadata_location, metadata })
        }
        _ => None,
    };
    let warehouse = Warehouse {
        id: WarehouseId(row.id),
        name: row.name,
        root: row.root,
        storage: row.storage,
        storage_secret: row.storage_secret,
        config: row.config,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    };
    let namespace_id = row.namespace_id.map(NamespaceId);
    Ok(ResolvedView { warehouse, namespace_id, pointer, is_table: row.is_table.unwrap_or(false) })
}

/// Looks a view up by name, for what needs no metadata: the view and its namespace.
///
/// # Errors
/// [`crate::model::Kind::NotFound`] when there is no such warehouse, or no such view.
pub async fn locate(
    connection: &mut PgConnection,
    warehouse: &WarehouseRef,
    ident: &TableIdent,
) -> Result<(ViewId, NamespaceId)> {
    let row = sqlx::query!(
        r#"SELECT n.id AS "namespace_id?", v.id AS "view_id?"
           FROM warehouse w
           LEFT JOIN namespace n ON n.warehouse_id = w.id AND n.path = $3
           LEFT JOIN tabular v ON v.namespace_id = n.id AND v.name = $4 AND v.kind = 'view'
           WHERE w.id = $1 OR w.name = $2"#,
        warehouse.id(),
        warehouse.name(),
        ident.namespace.levels(),
        ident.name
    )
    .fetch_optional(connection)
    .await
    .map_err(read_error)?
    .ok_or_else(|| warehouse.missing())?;
    let found = row.view_id.map(ViewId).zip(row.namespace_id.map(NamespaceId));
    found.ok_or_else(|| Error::not_found(Object::View, ident))
}

/// A commit to a view.
#[derive(Debug)]
pub struct ViewSwap<'a> {
    /// Leave to commit to it.
    pub permit: &'a Permit<ReplaceView>,
    /// The namespace and the name that it was found by, which it must still have.
    pub name: (NamespaceId, &'a str),
    /// The version that the commit was made on.
    pub expected: i64,
    /// The new metadata file.
    pub metadata_location: &'a str,
    /// Its bytes, compressed.
    pub metadata: &'a [u8],
    /// The view's location after the commit.
    pub location: &'a str,
}

/// Compares and swaps a view's pointer. Whether it swapped: not where the view has another version, or another name.
///
/// # Errors
/// [`crate::model::Kind::Unknown`] when the connection breaks: the swap may have happened or still happen. All other errors say that it
/// did not.
pub async fn swap(connection: &mut PgConnection, swap: &ViewSwap<'_>, now: DateTime<Utc>) -> Result<bool> {
    let (namespace_id, name) = swap.name;
    let done = sqlx::query!(
        "UPDATE tabular SET version = version + 1, metadata_location = $5, metadata = $6, location = $7, updated_at = $8
         WHERE id = $1 AND kind = 'view' AND version = $2 AND namespace_id = $3 AND name = $4",
        swap.permit.resource().0,
        swap.expected,
        namespace_id.0,
        name,
        swap.metadata_location,
        swap.metadata,
        swap.location,
        now
    )
    .execute(connection)
    .await
    .on_constraint(&[("tabular_location_unique", &|| Error::invalid("Invalid location: another table or view has it"))])?;
    Ok(done.rows_affected() > 0)
}

/// Adds a view. Its location must have been claimed in the same transaction.
///
/// # Errors
/// [`crate::model::Kind::AlreadyExists`] when its name is taken; [`crate::model::Kind::NotFound`] when its namespace went meanwhile.
pub async fn insert(
    connection: &mut PgConnection,
    permit: &Permit<CreateView>,
    view: &NewTable<'_, ViewId>,
    now: DateTime<Utc>,
) -> Result<()> {
    insert_row(connection, TabularKind::View, permit.resource(), view.id.0, view, now).await
}

/// Keeps the location that a view moves away from: its older files are there, for as long as it lives.
///
/// # Errors
/// [`crate::model::Kind::Unknown`] when the connection breaks.
pub async fn keep_location(
    connection: &mut PgConnection,
    permit: &Permit<ReplaceView>,
    warehouse_id: WarehouseId,
    location: &str,
) -> Result<()> {
    keep_location_of(connection, permit.resource().0, warehouse_id, location).await
}

/// Gives a view another name, perhaps in another namespace of its warehouse.
///
/// # Errors
/// [`crate::model::Kind::AlreadyExists`] when the name is taken; [`crate::model::Kind::NotFound`] when the view or the namespace went meanwhile.
pub async fn rename(
    connection: &mut PgConnection,
    permit: &Permit<RenameView>,
    target: &Permit<CreateView>,
    from: (NamespaceId, &TableIdent),
    to: &TableIdent,
    now: DateTime<Utc>,
) -> Result<()> {
    rename_row(connection, TabularKind::View, permit.resource().0, from, (target.resource(), to), now).await
}

/// Drops a view; its files stay. Whether it was still there, under this name.
///
/// # Errors
/// [`crate::model::Kind::Unknown`] when the connection breaks.
pub async fn delete(connection: &mut PgConnection, permit: &Permit<DropView>, name: (NamespaceId, &str)) -> Result<bool> {
    delete_row(connection, TabularKind::View, permit.resource().0, name).await
}
