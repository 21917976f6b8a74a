//! Iceberg's table metadata, formats 1 to 3 (the table specification, "Table Metadata"), and its view metadata, as typed models that
//! carry what they do not know: a field that a newer writer adds survives every commit here. Types of format 3 that no reader of ours understands
//! (variant, geometry, geography) are types like any other.

pub mod metadata;
pub mod partition;
pub mod schema;
pub mod snapshot;
pub mod sort;
pub mod types;
pub mod update;
pub mod view;

pub use metadata::{MetadataLogEntry, TableMetadata};
pub use partition::{PartitionField, PartitionSpec, Transform};
pub use schema::Schema;
pub use snapshot::{MAIN_BRANCH, Reference, ReferenceKind, Snapshot};
pub use sort::{SortField, SortOrder};
pub use types::{Field, Primitive, Type};
pub use update::{Requirement, Update};
pub use view::{ViewMetadata, ViewRequirement, ViewUpdate, ViewVersion};

/// What a typed struct does not know, kept as it came.
pub type Extra = serde_json::Map<String, serde_json::Value>;

/// The newest format that can be written.
pub const FORMAT_VERSION_MAX: u8 = 3;
/// The format of a table whose creator names none.
pub const FORMAT_VERSION_DEFAULT: u8 = 2;
