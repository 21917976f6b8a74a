//! Tables as clients get them: the body of a `LoadTableResult`, assembled here and nowhere else, and kept ready to send.
//!
//! What is kept is kept by what it was made from: the metadata file, which no two states of a table share, and the state of the warehouse.
//! A kept answer is sent only after the database has confirmed both for the request at hand, so nothing here ever needs to be told of a
//! change, by this server or another; what is out of date is not asked for again and makes room for the rest.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tokio::sync::Semaphore;

use super::Loaded;
use super::load::Snapshots;
use super::metadata_file::unpack_into;
use super::warehouses::WarehouseConfig;
use crate::model::{Error, Result, TableId, WarehouseId};
use crate::storage::Profile;
use crate::store::lookup::WarehouseStamp;
use crate::store::warehouse::Warehouse;

/// What an entry takes beside its bytes, about.
const ENTRY_BYTES: usize = 512;
/// Shorter answers are sent as they are: compressing them takes longer than sending them.
pub const ENCODED_BYTES_MIN: usize = 4_096;
/// Longer ones are made on a thread that may block.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// How a body is encoded (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// An answer ready to send.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The body.
    pub body: Bytes,
    /// How it is encoded: as it was asked for, or not at all.
    pub encoding: Encoding,
}

/// Why an answer was not made.
#[derive(Clone, Debug)]
pub(super) enum Miss {
    /// What it was to be made from has changed meanwhile: look again.
    Changed,
    /// It cannot be made.
    Failed(Error),
}

impl From<Error> for Miss {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What an answer was made from, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) table: TableId,
    pub(super) metadata_location: Arc<str>,
    pub(super) warehouse: WarehouseStamp,
    pub(super) snapshots: Snapshots,
    pub(super) encoding: Encoding,
}

/// A warehouse with what is derived from it.
#[derive(Debug)]
pub struct KnownWarehouse {
    /// The warehouse.
    pub(super) warehouse: Warehouse,
    /// What clients are told about the files of its tables, as JSON.
    config: String,
}

impl KnownWarehouse {
    pub(super) fn new(warehouse: Warehouse) -> Result<Self> {
        let config = serde_json::to_string(&table_config(&warehouse)?).map_err(Error::internal)?;
        Ok(Self { warehouse, config })
    }

    pub(super) fn stamp(&self) -> WarehouseStamp {
        self.warehouse.stamp()
    }
}

/// Answers and warehouses in memory.
#[derive(Clone)]
pub struct Answers {
    kept: Cache<Key, Answer>,
    warehouses: Cache<WarehouseId, Arc<KnownWarehouse>>,
    /// How many answers are made at a time, each of which takes several times its size.
    making: Arc<Semaphore>,
}

impl Answers {
    /// Keeps at most `bytes_max` of answers.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let weigh = |_: &Key, answer: &Answer| u32::try_from(answer.body.len() + ENTRY_BYTES).unwrap_or(u32::MAX);
        let kept = Cache::builder().max_capacity(bytes_max).weigher(weigh).eviction_policy(EvictionPolicy::lru()).build();
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self { kept, warehouses: Cache::new(10_000), making: Arc::new(Semaphore::new(threads.max(2))) }
    }

    pub(super) async fn get(&self, key: &Key) -> Option<Answer> {
        self.kept.get(key).await
    }

    pub(super) async fn insert(&self, key: Key, answer: Answer) {
        self.kept.insert(key, answer).await;
    }

    pub(super) async fn remove(&self, key: &Key) {
        self.kept.invalidate(key).await;
    }

    /// The answer, kept or made; requests for the same one wait for whoever makes it.
    pub(super) async fn get_or_make(&self, key: Key, make: impl Future<Output = Result<Answer, Miss>>) -> Result<Answer, Miss> {
        self.kept.try_get_with(key, make).await.map_err(Arc::unwrap_or_clone)
    }

    /// Runs what makes an answer of about `size` bytes, in its turn.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        size: usize,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if size <= INLINE_BYTES_MAX {
            return work();
        }
        let turn = Arc::clone(&self.making).acquire_owned().await.map_err(Error::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(Error::internal)?
    }

    /// The warehouse in this state, if it is at hand.
    pub(super) async fn warehouse(&self, id: WarehouseId, stamp: WarehouseStamp) -> Option<Arc<KnownWarehouse>> {
        self.warehouses.get(&id).await.filter(|known| known.stamp() == stamp)
    }

    pub(super) async fn know(&self, warehouse: Warehouse) -> Result<Arc<KnownWarehouse>> {
        if let Some(known) = self.warehouse(warehouse.id, warehouse.stamp()).await {
            return Ok(known);
        }
        let known = Arc::new(KnownWarehouse::new(warehouse)?);
        self.warehouses.insert(known.warehouse.id, Arc::clone(&known)).await;
        Ok(known)
    }
}

/// What a client is told about a table's files: how to reach the store, as the warehouse's own configuration has it where that says
/// otherwise than its profile.
pub(super) fn table_config(warehouse: &Warehouse) -> Result<BTreeMap<String, String>> {
    let profile: Profile = serde_json::from_value(warehouse.storage.clone()).map_err(Error::internal)?;
    let said: WarehouseConfig = serde_json::from_value(warehouse.config.clone()).map_err(Error::internal)?;
    let mut config = profile.client_config();
    for (name, value) in &mut config {
        if let Some(other) = said.overrides.get(name).or_else(|| said.defaults.get(name)) {
            value.clone_from(other);
        }
    }
    Ok(config)
}

/// The parts of the body around the metadata.
fn frame(metadata_location: Option<&str>, config: &str) -> Result<(String, String)> {
    let location = serde_json::to_string(&metadata_location).map_err(Error::internal)?;
    Ok((format!("{{\"metadata-location\":{location},\"metadata\":"), format!(",\"config\":{config}}}")))
}

/// The table, with its metadata byte for byte as the metadata file has it.
pub(super) fn loaded(metadata_location: Option<&str>, json: &[u8], known: &KnownWarehouse) -> Result<Loaded> {
    Ok(framed(json, frame(metadata_location, &known.config)?))
}

/// A view, likewise (`LoadViewResult`). It has no files but its metadata, which is in the answer: nothing is to be said of how to reach them.
pub(super) fn loaded_view(metadata_location: &str, json: &[u8]) -> Result<Loaded> {
    Ok(framed(json, frame(Some(metadata_location), "{}")?))
}

fn framed(json: &[u8], (head, tail): (String, String)) -> Loaded {
    let mut body = Vec::with_capacity(head.len() + json.len() + tail.len());
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(json);
    body.extend_from_slice(tail.as_bytes());
    Loaded { body: Bytes::from(body), metadata: head.len()..head.len() + json.len() }
}

/// The same from the metadata as the database keeps it, decompressed in place.
pub(super) fn unpacked(metadata_location: &str, packed: &[u8], known: &KnownWarehouse) -> Result<Loaded> {
    let (head, tail) = frame(Some(metadata_location), &known.config)?;
    let mut body = Vec::new();
    let metadata = unpack_into(&mut body, &head, packed, &tail)?;
    Ok(Loaded { body: Bytes::from(body), metadata })
}

/// The metadata in a body that is kept.
pub(super) fn metadata_of(body: &Bytes, metadata_location: &str, known: &KnownWarehouse) -> Result<Bytes> {
    let (head, tail) = frame(Some(metadata_location), &known.config)?;
    let end = body.len().checked_sub(tail.len()).filter(|end| head.len() <= *end);
    let end = end.ok_or_else(|| Error::internal("an answer is shorter than what is around its metadata"))?;
    Ok(body.slice(head.len()..end))
}

/// Encodes an answer, if that is worth it.
pub(super) fn encoded(body: Bytes, encoding: Encoding) -> Result<Answer> {
    if body.len() < ENCODED_BYTES_MIN {
        return Ok(Answer { body, encoding: Encoding::Identity });
    }
    let body = match encoding {
        Encoding::Identity => body,
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
            encoder.write_all(&body).map_err(Error::internal)?;
            Bytes::from(encoder.finish().map_err(Error::internal)?)
        }
        Encoding::Zstd => Bytes::from(zstd::bulk::compress(&body, 1).map_err(Error::internal)?),
    };
    Ok(Answer { body, encoding })
}
