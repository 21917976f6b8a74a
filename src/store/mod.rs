//! The only room that speaks SQL: free functions, one file per aggregate, over a connection or a transaction that the caller holds.
//! A function that changes the catalog takes the permit for it.

pub mod deletion;
pub mod embedded;
pub mod error;
pub mod installation;
pub mod lookup;
pub mod metrics_report;
pub mod namespace;
pub mod principal;
pub mod signing_key;
pub mod tabular;
pub mod view;
pub mod warehouse;

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgPool, Postgres};

use crate::model::{Error, Result};
use error::{read_error, write_error};
use lookup::Lookups;

/// A transaction; who begins it commits it, and dropping it rolls it back.
pub type Tx = sqlx::Transaction<'static, Postgres>;
pub use sqlx::postgres::PgConnection;

/// A connection outside any transaction.
pub type Connection = PoolConnection<Postgres>;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// What every connection has, whatever the database's defaults are: the isolation that the statements are written for, an end to
/// waiting for a lock whose holder has vanished, no compilation of statements that take microseconds, and no new plan each time for those
/// that have one good plan: they are written so that every one has, which looks rows up by an index. (A plan made while a table is small
/// would rather read all of it, and be kept while it grows.)
const SESSION: &str = "SET default_transaction_isolation = 'read committed'; SET lock_timeout = '30s';
     SET idle_in_transaction_session_timeout = '60s'; SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10;
     SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
     SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off";
/// How long a request waits for a connection.
const ACQUIRE_SECONDS_MAX: u64 = 10;
/// A connection that was idle for longer is asked whether it still lives before it is used.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    lookups: Lookups,
}

impl Store {
    /// A pool of at most `connections_max` connections, and one more for lookups; opens none yet.
    #[must_use]
    pub fn new(options: PgConnectOptions, connections_max: u32) -> Self {
        let options = options.application_name("nunatak");
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(Duration::from_secs(ACQUIRE_SECONDS_MAX))
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(set_up(connection)))
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > IDLE_TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options.clone());
        Self { pool, lookups: Lookups::start(options) }
    }

    /// Applies the migrations that are missing. Any number of servers may do so at once: they take turns.
    ///
    /// # Errors
    /// What stands against it, for the log of a start that failed.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        let encoding =
            sqlx::query_scalar!(r#"SELECT current_setting('server_encoding') AS "encoding!""#).fetch_one(&self.pool).await?;
        anyhow::ensure!(encoding == "UTF8", "the database's encoding is {encoding}; names need UTF8");
        MIGRATIONS.run(&self.pool).await?;
        Ok(())
    }

    /// What requests ask in a statement that they share.
    #[must_use]
    pub fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    /// A connection for single statements.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unavailable`] when there is none in time.
    pub async fn connection(&self) -> Result<Connection> {
        self.pool.acquire().await.map_err(|error| Error::unavailable("The database does not answer", error))
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unavailable`] when there is no connection in time.
    pub async fn begin(&self) -> Result<Tx> {
        self.pool.begin().await.map_err(|error| Error::unavailable("The database does not answer", error))
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        let mut connection = self.connection().await?;
        sqlx::query!("SELECT 1 AS one").fetch_one(&mut *connection).await.map_err(read_error)?;
        Ok(())
    }

    /// How many connections are open, and how many of them idle.
    #[must_use]
    pub fn connections(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }

    /// Closes all connections once they are idle.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A connection outside the pool.
async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let mut connection = options.connect().await?;
    set_up(&mut connection).await?;
    Ok(connection)
}

async fn set_up(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(SESSION).execute(connection).await.map(drop)
}

/// Commits a transaction.
///
/// # Errors
/// [`crate::model::Kind::Unknown`] when the connection breaks before the answer.
pub async fn commit(tx: Tx) -> Result<()> {
    tx.commit().await.map_err(write_error)
}

/// Takes the lock named `name` until the transaction ends; all servers on the database take turns.
///
/// # Errors
/// [`crate::model::Kind::Unavailable`] when the database does not answer.
pub async fn lock(connection: &mut PgConnection, name: &str) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name).execute(connection).await.map_err(read_error)?;
    Ok(())
}

/// As [`lock`], but together with others that take it in this way.
///
/// # Errors
/// [`crate::model::Kind::Unavailable`] when the database does not answer.
pub async fn lock_shared(connection: &mut PgConnection, name: &str) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 0))", name)
        .execute(connection)
        .await
        .map_err(read_error)?;
    Ok(())
}
