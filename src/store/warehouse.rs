//! Warehouses.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::error::{OnConstraint, read_error};
use super::lookup::WarehouseStamp;
use crate::access::{ManageWarehouses, Permit};
use crate::model::{Error, Kind, Object, Result, WarehouseId};

/// By what a warehouse is named: the prefix of the Iceberg API may be either.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WarehouseRef {
    /// Its id.
    Id(WarehouseId),
    /// Its name, which is never a UUID.
    Name(String),
}

impl WarehouseRef {
    /// Reads an id or a name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Uuid::try_parse(text).map_or_else(|_| Self::Name(text.to_owned()), |id| Self::Id(WarehouseId(id)))
    }

    /// The id, if it is one.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        if let Self::Id(id) = self { Some(id.0) } else { None }
    }

    /// The name, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        if let Self::Name(name) = self { Some(name) } else { None }
    }

    /// The error for a warehouse that is not there.
    #[must_use]
    pub fn missing(&self) -> Error {
        match self {
            Self::Id(id) => Error::not_found(Object::Warehouse, id),
            Self::Name(name) => Error::not_found(Object::Warehouse, name),
        }
    }
}

/// A warehouse as it is kept.
#[derive(Clone, Debug)]
pub struct Warehouse {
    /// Its id.
    pub id: WarehouseId,
    /// Its name.
    pub name: String,
    /// Where its tables are.
    pub root: String,
    /// The storage profile without its secrets.
    pub storage: Value,
    /// The secrets, sealed.
    pub storage_secret: Option<Vec<u8>>,
    /// What `/config` adds for clients.
    pub config: Value,
    /// Counts the updates.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Warehouse {
    /// Which state it is in.
    #[must_use]
    pub fn stamp(&self) -> WarehouseStamp {
        (self.version, self.updated_at)
    }
}

/// The warehouse.
///
/// # Errors
/// [`Kind::NotFound`] when there is none.
pub async fn find(connection: &mut PgConnection, warehouse: &WarehouseRef) -> Result<Warehouse> {
    sqlx::query_as!(
        Warehouse,
        "SELECT id, name, root, storage, storage_secret, config, version, created_at, updated_at
         FROM warehouse WHERE id = $1 OR name = $2",
        warehouse.id(),
        warehouse.name()
    )
    .fetch_optional(connection)
    .await
    .map_err(read_error)?
    .ok_or_else(|| warehouse.missing())
}

/// All warehouses whose names follow `after`, by name, at most `limit`.
///
/// # Errors
/// [`Kind::Unavailable`] when the database does not answer.
pub async fn list(connection: &mut PgConnection, after: Option<&str>, limit: i64) -> Result<Vec<Warehouse>> {
    sqlx::query_as!(
        Warehouse,
        "SELECT id, name, root, storage, storage_secret, config, version, created_at, updated_at
         FROM warehouse WHERE name > coalesce($1, '') ORDER BY name LIMIT $2",
        after,
        limit
    )
    .fetch_all(connection)
    .await
    .map_err(read_error)
}

/// Adds a warehouse.
///
/// # Errors
/// [`Kind::AlreadyExists`] when its name is taken.
pub async fn insert(connection: &mut PgConnection, _permit: &Permit<ManageWarehouses>, warehouse: &Warehouse) -> Result<()> {
    insert_first(connection, warehouse).await
}

/// Adds the first warehouse, which nobody can have permitted.
///
/// # Errors
/// [`Kind::AlreadyExists`] when its name is taken.
pub async fn insert_first(connection: &mut PgConnection, warehouse: &Warehouse) -> Result<()> {
    sqlx::query!(
        "INSERT INTO warehouse (id, name, root, storage, storage_secret, config, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        warehouse.id.0,
        warehouse.name,
        warehouse.root,
        warehouse.storage,
        warehouse.storage_secret,
        warehouse.config,
        warehouse.version,
        warehouse.created_at,
        warehouse.updated_at
    )
    .execute(connection)
    .await
    .on_constraint(&[("warehouse_name_unique", &|| Error::already_exists(Object::Warehouse, &warehouse.name))])?;
    Ok(())
}

/// Writes a changed warehouse, if nobody changed it since version `expected` was read.
///
/// # Errors
/// [`Kind::AlreadyExists`] when its new name is taken; [`Kind::Conflict`] when somebody was faster.
pub async fn update(
    connection: &mut PgConnection,
    _permit: &Permit<ManageWarehouses>,
    warehouse: &Warehouse,
    expected: i64,
) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE warehouse SET name = $3, root = $4, storage = $5, storage_secret = $6, config = $7, version = $8, updated_at = $9
         WHERE id = $1 AND version = $2",
        warehouse.id.0,
        expected,
        warehouse.name,
        warehouse.root,
        warehouse.storage,
        warehouse.storage_secret,
        warehouse.config,
        warehouse.version,
        warehouse.updated_at
    )
    .execute(connection)
    .await
    .on_constraint(&[("warehouse_name_unique", &|| Error::already_exists(Object::Warehouse, &warehouse.name))])?;
    if done.rows_affected() == 0 {
        return Err(Error::new(Kind::Conflict, format!("Warehouse {} was changed or deleted meanwhile", warehouse.name)));
    }
    Ok(())
}

/// Deletes a warehouse.
///
/// # Errors
/// [`Kind::NotEmpty`] when a namespace is in it.
pub async fn delete(connection: &mut PgConnection, _permit: &Permit<ManageWarehouses>, warehouse: &Warehouse) -> Result<()> {
    let not_empty = || Error::new(Kind::NotEmpty(Object::Warehouse), format!("Warehouse {} is not empty", warehouse.name));
    let done = sqlx::query!("DELETE FROM warehouse WHERE id = $1", warehouse.id.0)
        .execute(connection)
        .await
        .on_constraint(&[("namespace_warehouse_fk", &not_empty), ("tabular_warehouse_fk", &not_empty)])?;
    if done.rows_affected() == 0 {
        return Err(Error::not_found(Object::Warehouse, &warehouse.name));
    }
    Ok(())
}
