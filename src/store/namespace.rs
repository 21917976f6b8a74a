//! Namespaces.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::error::{OnConstraint, read_error, write_error};
use super::warehouse::WarehouseRef;
use crate::access::{CreateNamespace, CreateTopNamespace, DropNamespace, ListNamespace, ListWarehouse, Permit, UpdateNamespace};
use crate::model::{Error, Kind, NamespaceId, NamespaceIdent, Object, Result, WarehouseId};

/// A namespace as it is kept.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// Its warehouse.
    pub warehouse_id: WarehouseId,
    /// Its id.
    pub id: NamespaceId,
    /// Its properties.
    pub properties: BTreeMap<String, String>,
}

/// What a path leads to.
#[derive(Debug)]
pub struct Located {
    /// The warehouse.
    pub warehouse_id: WarehouseId,
    /// The namespace, if it exists.
    pub namespace: Option<Namespace>,
}

/// Looks a namespace up.
///
/// # Errors
/// [`Kind::NotFound`] when there is no such warehouse.
pub async fn locate(connection: &mut PgConnection, warehouse: &WarehouseRef, path: &[String]) -> Result<Located> {
    let row = sqlx::query!(
        r#"SELECT w.id AS warehouse_id, n.id AS "id?", n.properties AS "properties?"
           FROM warehouse w LEFT JOIN namespace n ON n.warehouse_id = w.id AND n.path = $3
           WHERE w.id = $1 OR w.name = $2"#,
        warehouse.id(),
        warehouse.name(),
        path
    )
    .fetch_optional(connection)
    .await
    .map_err(read_error)?
    .ok_or_else(|| warehouse.missing())?;
    let warehouse_id = WarehouseId(row.warehouse_id);
    let namespace = match (row.id, row.properties) {
        (Some(id), Some(properties)) => {
            let properties = serde_json::from_value(properties).map_err(Error::internal)?;
            Some(Namespace { warehouse_id, id: NamespaceId(id), properties })
        }
        _ => None,
    };
    Ok(Located { warehouse_id, namespace })
}

/// Where a new namespace goes, with the permit to put it there.
pub enum Place<'a> {
    /// At the top of a warehouse.
    Top(&'a Permit<CreateTopNamespace>),
    /// In another namespace of the warehouse.
    In(WarehouseId, &'a Permit<CreateNamespace>),
}

/// Adds a namespace.
///
/// # Errors
/// [`Kind::AlreadyExists`] when its name is taken; [`Kind::NotFound`] when its parent went meanwhile.
pub async fn insert(
    connection: &mut PgConnection,
    place: Place<'_>,
    ident: &NamespaceIdent,
    properties: &BTreeMap<String, String>,
    now: DateTime<Utc>,
) -> Result<()> {
    let (warehouse_id, parent_id) = match place {
        Place::Top(permit) => (permit.resource(), None),
        Place::In(warehouse_id, permit) => (warehouse_id, Some(permit.resource().0)),
    };
    let parent_gone = || Error::not_found(Object::Namespace, ident.parent().map(|parent| parent.to_string()).unwrap_or_default());
    sqlx::query!(
        "INSERT INTO namespace (id, warehouse_id, parent_id, path, properties, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)",
        NamespaceId::generate().0,
        warehouse_id.0,
        parent_id,
        ident.levels(),
        json(properties)?,
        now
    )
    .execute(connection)
    .await
    .on_constraint(&[
        ("namespace_path_unique", &|| Error::already_exists(Object::Namespace, ident)),
        ("namespace_parent_fk", &parent_gone),
        ("namespace_warehouse_fk", &|| Error::not_found(Object::Warehouse, warehouse_id)),
    ])?;
    Ok(())
}

/// Which children are listed, with the permit to list them.
pub enum Parent<'a> {
    /// Those at the top of a warehouse.
    Top(&'a Permit<ListWarehouse>),
    /// Those of a namespace.
    In(WarehouseId, &'a Permit<ListNamespace>),
}

/// The namespaces directly below a parent that follow `after`, by name, at most `limit`.
///
/// # Errors
/// [`Kind::Unavailable`] when the database does not answer.
pub async fn list(
    connection: &mut PgConnection,
    parent: Parent<'_>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Vec<String>>> {
    let (warehouse_id, parent_id) = match parent {
        Parent::Top(permit) => (permit.resource(), None),
        Parent::In(warehouse_id, permit) => (warehouse_id, Some(permit.resource().0)),
    };
    sqlx::query_scalar!(
        "SELECT path FROM namespace
         WHERE warehouse_id = $1 AND parent_id IS NOT DISTINCT FROM $2 AND ($3::text IS NULL OR path[cardinality(path)] > $3)
         ORDER BY path LIMIT $4",
        warehouse_id.0,
        parent_id,
        after,
        limit
    )
    .fetch_all(connection)
    .await
    .map_err(read_error)
}

/// Sets and removes properties; gives those that were there before.
///
/// # Errors
/// [`Kind::NotFound`] when the namespace went meanwhile.
pub async fn update_properties(
    connection: &mut PgConnection,
    permit: &Permit<UpdateNamespace>,
    ident: &NamespaceIdent,
    updates: &BTreeMap<String, String>,
    removals: &[String],
    now: DateTime<Utc>,
) -> Result<BTreeMap<String, String>> {
    let before = sqlx::query_scalar!(
        "WITH before AS (SELECT id, properties FROM namespace WHERE id = $1 FOR UPDATE)
         UPDATE namespace n SET properties = (b.properties || $2::jsonb) - $3::text[], updated_at = $4
         FROM before b WHERE n.id = b.id RETURNING b.properties",
        permit.resource().0,
        json(updates)?,
        removals,
        now
    )
    .fetch_optional(connection)
    .await
    .map_err(write_error)?
    .ok_or_else(|| Error::not_found(Object::Namespace, ident))?;
    serde_json::from_value(before).map_err(Error::internal)
}

/// Drops a namespace.
///
/// # Errors
/// [`Kind::NotEmpty`] when a table, a view or a namespace is in it; [`Kind::NotFound`] when it went meanwhile.
pub async fn delete(connection: &mut PgConnection, permit: &Permit<DropNamespace>, ident: &NamespaceIdent) -> Result<()> {
    let not_empty = || Error::new(Kind::NotEmpty(Object::Namespace), format!("Namespace {ident} is not empty"));
    let done = sqlx::query!("DELETE FROM namespace WHERE id = $1", permit.resource().0)
        .execute(connection)
        .await
        .on_constraint(&[("tabular_namespace_fk", &not_empty), ("namespace_parent_fk", &not_empty)])?;
    if done.rows_affected() == 0 {
        return Err(Error::not_found(Object::Namespace, ident));
    }
    Ok(())
}

fn json(properties: &BTreeMap<String, String>) -> Result<Value> {
    serde_json::to_value(properties).map_err(Error::internal)
}
