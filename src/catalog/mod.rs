//! The catalog: warehouses, namespaces, tables, views. Each operation asks the gate first, then the store. What a commit does to a table's
//! metadata is in [`apply`]; how it comes about is in [`commit`].

pub mod answer;
pub mod apply;
pub mod commit;
pub mod create;
mod current;
mod load;
mod locations;
mod metadata_file;
pub mod namespaces;
mod recent;
mod register;
mod tables;
pub mod views;
pub mod warehouses;

pub use load::Snapshots;
pub use metadata_file::unpack;

use std::ops::Range;

use bytes::Bytes;
use chrono::TimeDelta;

use answer::Answers;
use recent::Recent;

use crate::access::Gate;
use crate::model::Clock;
use crate::storage::Files;
use crate::store::Store;

/// The catalog's parts.
#[derive(Clone)]
pub struct Catalog {
    pub(crate) store: Store,
    pub(crate) gate: Gate,
    pub(crate) files: Files,
    pub(crate) clock: Clock,
    pub(crate) deletion_grace: TimeDelta,
    pub(crate) answers: Answers,
    pub(crate) recent: Recent,
}

impl Catalog {
    /// Wires it up. Files whose deletion is asked for wait for `deletion_grace`; at most `cache_bytes_max` of answers are kept.
    #[must_use]
    pub fn new(store: Store, gate: Gate, files: Files, clock: Clock, deletion_grace: TimeDelta, cache_bytes_max: u64) -> Self {
        Self { store, gate, files, clock, deletion_grace, answers: Answers::new(cache_bytes_max), recent: Recent::default() }
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The files of all warehouses.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Who decides.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }
}

/// A table as a client gets it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The body of a `LoadTableResult`.
    pub body: Bytes,
    metadata: Range<usize>,
}

impl Loaded {
    /// The metadata's JSON, byte for byte what the metadata file holds.
    #[must_use]
    pub fn metadata(&self) -> &[u8] {
        self.body.get(self.metadata.clone()).unwrap_or_default()
    }
}

/// One page of names, and where the next one starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The page.
    pub items: Vec<T>,
    /// The last name of the page, where another page follows.
    pub next: Option<String>,
}

/// Which page is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Only what follows this name.
    pub after: Option<String>,
    /// At most so many; everything when absent.
    pub limit: Option<u32>,
}

impl PageRequest {
    /// One more than asked for, to see whether another page follows.
    pub(crate) fn limit_sql(&self) -> i64 {
        self.limit.map_or(i64::MAX, |limit| i64::from(limit) + 1)
    }

    /// Cuts what was read to the page. `name` gives the name that a page is continued by.
    pub(crate) fn cut<T>(&self, mut items: Vec<T>, name: impl Fn(&T) -> String) -> Page<T> {
        let limit = self.limit.map_or(usize::MAX, |limit| limit as usize);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(name);
        Page { items, next }
    }
}
