//! The server's own access to a warehouse's files: whole small files, written once, read, deleted. Every call is bounded in time.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

use super::local;
use super::profile::{Profile, ProfileSecret};
use crate::model::vault::Vault;
use crate::model::{Error, Kind, Location, Object, Result, WarehouseId};
use crate::store::warehouse::Warehouse;

/// How long one call may take, retries included.
const CALL_SECONDS_MAX: u64 = 20;
/// How many files are written at a time on the threads that serve requests; others are written on threads that may block.
const IN_PLACE_MAX: usize = 16;

/// All warehouses' file stores, opened when first used and kept for as long as the warehouse is not changed.
#[derive(Clone)]
pub struct Files {
    vault: Arc<Vault>,
    opened: Arc<Mutex<HashMap<WarehouseId, (i64, FileStore)>>>,
}

impl Files {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(vault: Arc<Vault>) -> Self {
        Self { vault, opened: Arc::default() }
    }

    /// The files of a warehouse.
    ///
    /// # Errors
    /// [`Kind::Internal`] when its profile cannot be read.
    pub fn of(&self, warehouse: &Warehouse) -> Result<FileStore> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, store)) = opened.get(&warehouse.id)
            && *version == warehouse.version
        {
            return Ok(store.clone());
        }
        // The memory of a warehouse outlives its changes.
        let kept = opened.get(&warehouse.id).map(|(_, store)| store.clone()).filter(FileStore::is_memory);
        let store = match kept {
            Some(store) => store,
            None => self.open(warehouse)?,
        };
        opened.insert(warehouse.id, (warehouse.version, store.clone()));
        Ok(store)
    }

    /// Opens a warehouse's files, and keeps nothing of it.
    ///
    /// # Errors
    /// [`Kind::Internal`] when its profile cannot be read.
    pub fn open(&self, warehouse: &Warehouse) -> Result<FileStore> {
        let profile: Profile = serde_json::from_value(warehouse.storage.clone()).map_err(Error::internal)?;
        let secret = match &warehouse.storage_secret {
            Some(sealed) => Some(ProfileSecret::from_plain(&self.vault.open(&context(warehouse.id), sealed)?)?),
            None => None,
        };
        FileStore::open(&profile, secret.as_ref(), Location::parse(&warehouse.root)?)
    }

    /// Lets go of the files of a warehouse that is gone.
    pub fn forget(&self, id: WarehouseId) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Seals a profile's secret for a warehouse.
    ///
    /// # Errors
    /// [`Kind::Internal`] when the machine gives no random bytes.
    pub fn seal(&self, id: WarehouseId, secret: &ProfileSecret) -> Result<Vec<u8>> {
        self.vault.seal(&context(id), secret.to_plain().as_bytes())
    }
}

fn context(id: WarehouseId) -> String {
    format!("warehouse:{id}")
}

/// One warehouse's files.
#[derive(Clone, Debug)]
pub struct FileStore {
    root: Location,
    backend: Backend,
}

#[derive(Clone, Debug)]
enum Backend {
    Local,
    Memory(Arc<InMemory>),
    S3(Arc<AmazonS3>),
}

impl FileStore {
    /// Opens a profile's store; nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the profile is wrong in itself.
    pub fn open(profile: &Profile, secret: Option<&ProfileSecret>, root: Location) -> Result<Self> {
        let backend = match (profile, secret) {
            (Profile::Local { .. }, _) => Backend::Local,
            (Profile::Memory {}, _) => Backend::Memory(Arc::default()),
            (Profile::S3(_), None) => {
                return Err(Error::invalid("Invalid storage profile: access-key-id and secret-access-key are needed"));
            }
            (Profile::S3(s3), Some(secret)) => {
                let retry = RetryConfig {
                    backoff: BackoffConfig {
                        init_backoff: Duration::from_millis(100),
                        max_backoff: Duration::from_secs(2),
                        base: 2.0,
                    },
                    max_retries: 5,
                    retry_timeout: Duration::from_secs(CALL_SECONDS_MAX),
                };
                let client = ClientOptions::new()
                    .with_connect_timeout(Duration::from_secs(5))
                    .with_timeout(Duration::from_secs(CALL_SECONDS_MAX))
                    .with_allow_http(true);
                let mut builder = AmazonS3Builder::new()
                    .with_bucket_name(&s3.bucket)
                    .with_region(&s3.region)
                    .with_access_key_id(&secret.access_key_id)
                    .with_secret_access_key(secret.secret_access_key.expose())
                    .with_virtual_hosted_style_request(!s3.path_style)
                    .with_retry(retry)
                    .with_client_options(client);
                if let Some(endpoint) = s3.request_endpoint()? {
                    builder = builder.with_endpoint(endpoint);
                }
                let store = builder.build().map_err(|error| Error::invalid(format!("Invalid storage profile: {error}")))?;
                Backend::S3(Arc::new(store))
            }
        };
        Ok(Self { root, backend })
    }

    /// The warehouse's root.
    #[must_use]
    pub fn root(&self) -> &Location {
        &self.root
    }

    /// Writes a new file. After `Ok` it is durable.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store does not take it: then nothing points at it, whether or not it is there; [`Kind::Invalid`] when
    /// its name is one that no file can have.
    pub async fn write(&self, location: &Location, bytes: Bytes) -> Result<()> {
        self.write_beside(location, bytes, false).await
    }

    /// As [`FileStore::write`]; `others` says that the caller writes other files at the same time.
    ///
    /// # Errors
    /// As those of [`FileStore::write`].
    pub async fn write_beside(&self, location: &Location, bytes: Bytes, others: bool) -> Result<()> {
        count("put");
        let done = match self.remote() {
            None => {
                let path = local::path(self.inside(location)?);
                let write = move || local::write(&path, &bytes);
                if others { blocking(write).await } else { in_place(write).await }
            }
            Some(store) => bounded(store.put(&key(self.inside(location)?)?, bytes.into())).await.map(drop),
        };
        done.map_err(|error| match error {
            Failure::Name(error) => {
                Error::invalid(format!("Invalid location: it has a name that the storage cannot hold: {location}")).because(error)
            }
            error => Error::unavailable(format!("The warehouse's storage did not take the file {location}"), error),
        })
    }

    /// Reads a file of at most `bytes_max`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when it is not there; [`Kind::Invalid`] when it is longer; [`Kind::Unavailable`] when the store does not give it.
    pub async fn read(&self, location: &Location, bytes_max: u64) -> Result<Bytes> {
        count("get");
        let read = match self.remote() {
            None => {
                let path = local::path(self.inside(location)?);
                blocking(move || local::read(&path, bytes_max)).await.map(|bytes| bytes.map(Bytes::from))
            }
            Some(store) => {
                let key = key(self.inside(location)?)?;
                bounded(async {
                    let found = store.get(&key).await?;
                    if found.meta.size > bytes_max {
                        return Ok(None);
                    }
                    found.bytes().await.map(Some)
                })
                .await
            }
        };
        match read {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Error::invalid(format!("The file is longer than {bytes_max} bytes: {location}"))),
            Err(Failure::NotFound | Failure::Name(_)) => {
                Err(Error::new(Kind::NotFound(Object::Other), format!("File does not exist: {location}")))
            }
            Err(error) => Err(Error::unavailable(format!("The warehouse's storage did not give the file {location}"), error)),
        }
    }

    /// Deletes a file; one that is gone already is deleted.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store does not answer.
    pub async fn delete(&self, location: &Location) -> Result<()> {
        count("delete");
        let done = match self.remote() {
            None => {
                let path = local::path(self.inside(location)?);
                blocking(move || local::delete(&path)).await
            }
            Some(store) => match bounded(store.delete(&key(self.inside(location)?)?)).await {
                Err(Failure::NotFound) => Ok(()),
                done => done,
            },
        };
        done.map_err(|error| Error::unavailable(format!("The warehouse's storage did not delete the file {location}"), error))
    }

    /// Checks that files can be written, read and deleted below the root.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with what failed.
    pub async fn probe(&self, name: &str) -> Result<()> {
        let file = self.root.join(&format!(".nunatak-probe-{name}"))?;
        let failed = |what: &str, error: &Error| {
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            Error::invalid(format!("The storage cannot be used: {what} below {} failed: {cause}", self.root))
        };
        let content = Bytes::from_static(b"nunatak");
        self.write(&file, content.clone()).await.map_err(|error| failed("writing", &error))?;
        let read = self.read(&file, 64).await;
        let deleted = self.delete(&file).await;
        let read = read.map_err(|error| failed("reading", &error))?;
        deleted.map_err(|error| failed("deleting", &error))?;
        if read != content {
            return Err(Error::invalid(format!("The storage cannot be used: {file} does not hold what was written to it")));
        }
        Ok(())
    }

    /// The location, if it lies inside the warehouse: nothing else is ever touched.
    fn inside<'a>(&self, location: &'a Location) -> Result<&'a Location> {
        if self.root.contains(location) && self.root != *location {
            return Ok(location);
        }
        Err(Error::internal(format!("{location} lies outside {}", self.root)))
    }

    fn is_memory(&self) -> bool {
        matches!(self.backend, Backend::Memory(_))
    }

    fn remote(&self) -> Option<&dyn ObjectStore> {
        match &self.backend {
            Backend::Local => None,
            Backend::Memory(store) => Some(store.as_ref()),
            Backend::S3(store) => Some(store.as_ref()),
        }
    }
}

/// The key as it is: nothing is encoded or collapsed on the way from the location to the store.
fn key(location: &Location) -> Result<Path> {
    Path::parse(location.path().trim_start_matches('/')).map_err(Error::internal)
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("not found")]
    NotFound,
    /// A name on the way is too long for any file to have it.
    #[error(transparent)]
    Name(std::io::Error),
    #[error("no answer within {CALL_SECONDS_MAX} s")]
    TooSlow,
    #[error(transparent)]
    Store(object_store::Error),
    #[error(transparent)]
    File(std::io::Error),
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}

impl Failure {
    fn from_io(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::InvalidFilename => Self::Name(error),
            _ => Self::File(error),
        }
    }
}

async fn bounded<T>(call: impl Future<Output = object_store::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(Duration::from_secs(CALL_SECONDS_MAX), call).await {
        Err(_) => Err(Failure::TooSlow),
        Ok(Err(object_store::Error::NotFound { .. })) => Err(Failure::NotFound),
        Ok(done) => done.map_err(Failure::Store),
    }
}

/// Runs a short call on this thread, where others can go on with what else it has to do: whoever waits for it is spared two changes of
/// threads, which take longer than writing a small file. Of a file system that hangs only a few calls can hold a thread in this way, and
/// nothing but the request's own time bounds how long their callers wait.
async fn in_place<T: Send + 'static>(call: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Failure> {
    static TURNS: Semaphore = Semaphore::const_new(IN_PLACE_MAX);
    let several_threads = matches!(Handle::current().runtime_flavor(), RuntimeFlavor::MultiThread);
    match TURNS.try_acquire() {
        Ok(_turn) if several_threads => tokio::task::block_in_place(call).map_err(Failure::from_io),
        _ => blocking(call).await,
    }
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Failure> {
    match tokio::time::timeout(Duration::from_secs(CALL_SECONDS_MAX), tokio::task::spawn_blocking(call)).await {
        Err(_) => Err(Failure::TooSlow),
        Ok(Err(error)) => Err(Failure::Task(error)),
        Ok(Ok(done)) => done.map_err(Failure::from_io),
    }
}

fn count(operation: &'static str) {
    metrics::counter!("nunatak_storage_requests_total", "operation" => operation).increment(1);
}
