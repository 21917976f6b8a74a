//! The management API, under `/api/v1`.

pub mod principals;
pub mod server;
pub mod warehouses;
