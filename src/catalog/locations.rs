//! Which locations a table or a view may have, and the one it gets when its creator names none.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::model::iceberg::{TableMetadata, ViewMetadata};
use crate::model::{Error, Location, NamespaceId, NamespaceIdent, Result, TableId, ViewId};
use crate::store::warehouse::Warehouse;

/// How much of a name goes into a directory's name.
const NAME_CHARACTERS_MAX: usize = 40;
/// The property that sends metadata files elsewhere.
const METADATA_PATH_PROPERTY: &str = "write.metadata.path";
/// Properties that send a table's files elsewhere.
const PATH_PROPERTIES: [&str; 4] =
    ["write.data.path", METADATA_PATH_PROPERTY, "write.object-storage.path", "write.folder-storage.path"];

/// `<warehouse>/<namespace>-<id>/<table>-<id>`: readable, and by the ids never used twice.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when the result would be too long.
pub fn default(warehouse: &Warehouse, namespace: (NamespaceId, &NamespaceIdent), table: (TableId, &str)) -> Result<Location> {
    named(warehouse, namespace, (table.0.0, table.1))
}

/// The same of a view.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when the result would be too long.
pub fn default_of_view(
    warehouse: &Warehouse,
    namespace: (NamespaceId, &NamespaceIdent),
    view: (ViewId, &str),
) -> Result<Location> {
    named(warehouse, namespace, (view.0.0, view.1))
}

fn named(warehouse: &Warehouse, namespace: (NamespaceId, &NamespaceIdent), (id, name): (Uuid, &str)) -> Result<Location> {
    let namespace_directory = format!("{}-{}", safe(namespace.1.name()), namespace.0.0.simple());
    root(warehouse)?.join(&format!("{namespace_directory}/{}-{}", safe(name), id.simple()))
}

/// Letters that mean nothing to any file system, store or URL; others become `_`.
fn safe(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    name.chars().take(NAME_CHARACTERS_MAX).map(plain).collect()
}

/// A location that a client names: inside the warehouse, and not all of it.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when it is not.
pub fn inside(warehouse: &Warehouse, text: &str) -> Result<Location> {
    let location = Location::parse(text)?;
    let root = root(warehouse)?;
    if root.contains(&location) && root != location {
        return Ok(location);
    }
    Err(Error::invalid(format!("Invalid location: {location} does not lie inside the warehouse {}", warehouse.name)))
}

fn root(warehouse: &Warehouse) -> Result<Location> {
    Location::parse(&warehouse.root).map_err(Error::internal)
}

/// Where the metadata files of a table or a view go, by its location and properties.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when the location is none.
pub fn metadata_directory(location: &str, properties: &BTreeMap<String, String>) -> Result<Location> {
    match properties.get(METADATA_PATH_PROPERTY) {
        Some(path) => Location::parse(path),
        None => Location::parse(location)?.join("metadata"),
    }
}

/// Checks that the paths that a table's properties name lie inside the table's own location; nothing else is this table's.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when one does not.
pub fn check_paths(metadata: &TableMetadata) -> Result<()> {
    check_inside("table", &metadata.location, &metadata.properties, &PATH_PROPERTIES)
}

/// The same of a view, which has metadata files only.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when they are sent elsewhere.
pub fn check_view_paths(metadata: &ViewMetadata) -> Result<()> {
    check_inside("view", &metadata.location, &metadata.properties, &[METADATA_PATH_PROPERTY])
}

fn check_inside(what: &str, location: &str, properties: &BTreeMap<String, String>, names: &[&str]) -> Result<()> {
    let location = Location::parse(location)?;
    for name in names {
        let Some(path) = properties.get(*name) else { continue };
        if !location.contains(&Location::parse(path)?) {
            return Err(Error::invalid(format!("Invalid {name}: {path} does not lie inside the {what}'s location {location}")));
        }
    }
    Ok(())
}
