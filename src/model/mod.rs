//! What the other rooms speak of: typed ids, names, locations, table metadata, the error, the clock. Nothing here does input or
//! output.

pub mod clock;
pub mod error;
pub mod iceberg;
pub mod id;
pub mod location;
pub mod name;
pub mod secret;
pub mod vault;

pub use clock::Clock;
pub use error::{Error, Kind, Object, Result};
pub use id::{NamespaceId, PrincipalId, TableId, ViewId, WarehouseId};
pub use location::Location;
pub use name::{NamespaceIdent, TableIdent};
pub use secret::Secret;
