//! nunatak: the Iceberg REST catalog that governs.
//!
//! One room a line, each importing only rooms of the lines above it (ARCHITECTURE.md has the table; a test holds the code against it).

pub mod model;

pub mod access;

pub mod store;

pub mod identity;
pub mod jobs;
pub mod storage;

pub mod catalog;

pub mod maintenance;

pub mod api;

pub mod app;
pub mod cli;
pub mod config;
pub mod telemetry;
