//! The Iceberg REST API, one file per group of its routes.

pub mod commits;
pub mod config;
pub mod namespaces;
pub mod oauth;
pub mod tables;
pub mod views;
