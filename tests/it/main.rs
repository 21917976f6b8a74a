//! All integration tests, in one binary: each against a PostgreSQL database of its own and a server on a free port, or the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::missing_panics_doc, missing_docs)]

mod bad_input;
mod chaos;
mod commits;
mod documents;
mod identity;
mod jobs;
mod linearizability;
mod management;
mod metadata_oracle;
mod namespaces;
mod rooms;
mod start;
mod support;
mod telemetry;
mod views;
