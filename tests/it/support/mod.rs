//! What the tests share: one PostgreSQL for all, a database and a server for each, and a client.

mod client;
mod postgres;
mod process;
mod s3;
mod server;

pub use client::{Answer, Client};
pub use postgres::{create_database, database_log, options};
pub use process::{Process, is_alive, signal};
pub use s3::{ACCESS_KEY_ID, S3, SECRET_ACCESS_KEY, profile};
pub use server::{CLIENT_ID, CLIENT_SECRET, Server, table_request};
