//! Which locations a table may have, and the one it gets when its creator names none.

use crate::model::iceberg::TableMetadata;
use crate::model::{Error, Location, NamespaceId, NamespaceIdent, Result, TableId};
use crate::store::warehouse::Warehouse;

/// How much of a name goes into a directory's name.
const NAME_CHARACTERS_MAX: usize = 40;
/// Properties that send a table's files elsewhere.
const PATH_PROPERTIES: [&str; 4] =
    ["write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path"];

/// `<warehouse>/<namespace>-<id>/<table>-<id>`: readable, and by the ids never used twice.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when the result would be too long.
pub fn default(warehouse: &Warehouse, namespace: (NamespaceId, &NamespaceIdent), table: (TableId, &str)) -> Result<Location> {
    let namespace_directory = format!("{}-{}", safe(namespace.1.name()), namespace.0.0.simple());
    root(warehouse)?.join(&format!("{namespace_directory}/{}-{}", safe(table.1), table.0.0.simple()))
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

/// Where a table's metadata files go.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when the table's location is none.
pub fn metadata_directory(metadata: &TableMetadata) -> Result<Location> {
    match metadata.properties.get("write.metadata.path") {
        Some(path) => Location::parse(path),
        None => Location::parse(&metadata.location)?.join("metadata"),
    }
}

/// Checks that the paths that a table's properties name lie inside the table's own location; nothing else is this table's.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when one does not.
pub fn check_paths(metadata: &TableMetadata) -> Result<()> {
    let location = Location::parse(&metadata.location)?;
    for name in PATH_PROPERTIES {
        let Some(path) = metadata.properties.get(name) else { continue };
        if !location.contains(&Location::parse(path)?) {
            return Err(Error::invalid(format!("Invalid {name}: {path} does not lie inside the table's location {location}")));
        }
    }
    Ok(())
}
