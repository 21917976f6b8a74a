//! What this server's last commits found: a guess of where the next one will find its table. A guess saves the look before the commit,
//! and is never trusted: the swap changes nothing unless all that was guessed holds.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use crate::model::{PrincipalId, TableIdent};
use crate::store::lookup::{Place, Position, Seen};
use crate::store::warehouse::WarehouseRef;

/// How many tables are remembered.
const TABLES_MAX: u64 = 10_000;
/// For how long nothing is guessed of a table after a guess that did not help: somebody else may commit to it as well, and every wrong
/// guess costs a file.
const SHARED_TIME: Duration = Duration::from_secs(30);

/// Whose commit, to which table.
type Name = (PrincipalId, WarehouseRef, TableIdent);

/// The memory of it.
#[derive(Clone)]
pub struct Recent {
    seen: Cache<Name, Seen>,
    shared: Cache<Name, ()>,
}

impl Default for Recent {
    fn default() -> Self {
        let shared = Cache::builder().max_capacity(TABLES_MAX).time_to_live(SHARED_TIME).build();
        Self { seen: Cache::new(TABLES_MAX), shared }
    }
}

impl Recent {
    pub(super) async fn guess(&self, name: &Name) -> Option<Seen> {
        if self.shared.contains_key(name) { None } else { self.seen.get(name).await }
    }

    /// Remembers where a table stands after a commit.
    pub(super) async fn learn(&self, name: Name, seen: &Seen, position: Position) {
        let place = seen.place.as_ref().map(|place| Arc::new(Place { table: Some(position), ..Place::clone(place) }));
        self.seen.insert(name, Seen { principal: seen.principal.clone(), place }).await;
    }

    /// After a guess that was not confirmed: somebody else may be committing to the table.
    pub(super) async fn forget(&self, name: Name) {
        self.seen.invalidate(&name).await;
        self.shared.insert(name, ()).await;
    }
}
