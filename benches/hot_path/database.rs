//! PostgreSQL: one of its own, as nunatak starts it, with the settings that come with it; or one that is given. Either is durable, or the
//! figures would be of no use.

use std::path::Path;
use std::str::FromStr;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use anyhow::{Context, bail};
use nunatak::store::embedded::Embedded;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use tokio::runtime::{Builder, Runtime};

/// A PostgreSQL, and the databases that were made in it.
pub struct Database {
    options: PgConnectOptions,
    /// What all URLs have, up to the database's name, and what follows it.
    url: (String, String),
    runtime: Runtime,
    made: std::cell::RefCell<Vec<String>>,
    own: Option<(tokio::sync::oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Database {
    /// Uses the one that the URL names, or starts one.
    ///
    /// # Errors
    /// When it does not start or answer, or is not durable.
    pub fn open(url: Option<&str>, directory: &Path) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let made = std::cell::RefCell::default();
        let database = match url {
            Some(url) => {
                let options = PgConnectOptions::from_str(url).context("the database URL is wrong")?;
                let mut base = url::Url::parse(url)?;
                base.set_path("");
                let (before, after) = base
                    .as_str()
                    .split_once('?')
                    .map_or((base.as_str(), String::new()), |(before, after)| (before, format!("?{after}")));
                let url = (before.trim_end_matches('/').to_owned(), after);
                Self { options, url, runtime, made, own: None }
            }
            None => {
                let (options, stop, thread) = start(directory)?;
                let sockets = options.get_socket().context("no socket")?.display().to_string();
                let url = ("postgres://nunatak@localhost".to_owned(), format!("?host={sockets}&port=5432"));
                Self { options, url, runtime, made, own: Some((stop, thread)) }
            }
        };
        database.check_durable()?;
        Ok(database)
    }

    fn check_durable(&self) -> anyhow::Result<()> {
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            if self.setting(setting)? != "on" {
                bail!("PostgreSQL's {setting} is {}: nothing would be durable", self.setting(setting)?);
            }
        }
        Ok(())
    }

    /// # Errors
    /// When it does not answer.
    pub fn setting(&self, name: &str) -> anyhow::Result<String> {
        let options = self.options.clone();
        let statement = format!("SHOW {name}");
        self.run(async move {
            let mut connection = options.connect().await?;
            let row = sqlx::query(AssertSqlSafe(statement)).fetch_one(&mut connection).await?;
            connection.close().await?;
            Ok(row.try_get(0)?)
        })
    }

    /// Makes an empty database, to vanish with this value; its URL.
    ///
    /// # Errors
    /// When it may not.
    pub fn create(&self, purpose: &str) -> anyhow::Result<String> {
        let name = Self::name(purpose);
        self.execute(format!("CREATE DATABASE {name}"))?;
        self.made.borrow_mut().push(name.clone());
        Ok(format!("{}/{name}{}", self.url.0, self.url.1))
    }

    fn name(purpose: &str) -> String {
        format!("hot_path_{purpose}_{}", std::process::id())
    }

    fn execute(&self, statement: String) -> anyhow::Result<()> {
        let options = self.options.clone();
        self.run(async move {
            let mut connection = options.connect().await?;
            connection.execute(AssertSqlSafe(statement)).await?;
            connection.close().await?;
            Ok(())
        })
    }

    /// How to connect to a database that was made.
    pub fn options(&self, purpose: &str) -> PgConnectOptions {
        self.options.clone().database(&Self::name(purpose))
    }

    /// # Errors
    /// When it does not answer.
    pub fn connect(&self, purpose: &str) -> anyhow::Result<PgConnection> {
        let options = self.options(purpose);
        self.run(async move { Ok(options.connect().await?) })
    }

    /// Runs what needs a runtime.
    pub fn run<T>(&self, future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        self.runtime.block_on(future)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        match self.own.take() {
            Some((stop, thread)) => {
                let _ = stop.send(());
                let _ = thread.join();
            }
            None => {
                for name in self.made.take() {
                    if let Err(error) = self.execute(format!("DROP DATABASE {name} WITH (FORCE)")) {
                        eprintln!("the database {name} stays: {error:#}");
                    }
                }
            }
        }
    }
}

type Started = (PgConnectOptions, tokio::sync::oneshot::Sender<()>, JoinHandle<()>);

/// PostgreSQL on a thread that watches it, until it is told to stop.
fn start(directory: &Path) -> anyhow::Result<Started> {
    let (send, receive) = channel();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let directory = directory.join("database");
    let thread = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let embedded = match Embedded::start(&directory).await {
                Ok(embedded) => embedded,
                Err(error) => return drop(send.send(Err(error))),
            };
            let _ = send.send(Ok(embedded.options()));
            let _ = stopped.await;
            embedded.stop().await;
        });
    });
    let options = receive.recv().context("PostgreSQL does not start")??;
    Ok((options, stop, thread))
}
