//! One PostgreSQL for all tests of a run, started by the code under test. It stops when the run ends, however it ends.

use std::path::PathBuf;
use std::sync::OnceLock;

use nunatak::store::embedded::Embedded;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};

const DIRECTORY_PREFIX: &str = "nunatak-tests-";

fn directory() -> PathBuf {
    // Below the temporary directory: PostgreSQL's user must be able to enter it, which it may not do to a home directory.
    std::env::temp_dir().join(format!("{DIRECTORY_PREFIX}{}", std::process::id()))
}

/// Removes what earlier runs left: directories that no running server owns.
fn remove_leftovers() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(DIRECTORY_PREFIX);
        let lock = std::fs::File::open(entry.path().join("lock"));
        if is_ours && lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// How to connect as the owner of everything.
pub fn options() -> PgConnectOptions {
    static OPTIONS: OnceLock<PgConnectOptions> = OnceLock::new();
    OPTIONS
        .get_or_init(|| {
            let (send, receive) = std::sync::mpsc::channel();
            remove_leftovers();
            std::thread::spawn(move || {
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                    let embedded = Embedded::start(&directory()).await.expect("PostgreSQL starts");
                    send.send(embedded.options()).unwrap();
                    std::future::pending::<()>().await;
                });
            });
            receive.recv().expect("PostgreSQL starts")
        })
        .clone()
}

/// Makes an empty database; its name.
pub async fn create_database() -> String {
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    let mut connection = options().connect().await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    connection.close().await.unwrap();
    name
}

/// PostgreSQL's log so far.
pub fn database_log() -> String {
    String::from_utf8_lossy(&std::fs::read(directory().join("postgres.log")).unwrap_or_default()).into_owned()
}
