//! What keeps the catalog small: one job body per file.

pub mod delete_metadata;
