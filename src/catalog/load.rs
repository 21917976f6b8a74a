//! Loading a table: one statement, shared with all that wait, that says who calls and where the name leads; then what is kept of the
//! table as it is there. No read from object storage.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::answer::{self, Answer, Encoding, Key, KnownWarehouse, Miss};
use super::metadata_file::unpacked_size;
use super::{Catalog, Loaded};
use crate::access::{Caller, RawAccess, ReadTable};
use crate::identity::Presented;
use crate::model::iceberg::TableMetadata;
use crate::model::{Error, Object, Result, TableId, TableIdent};
use crate::store;
use crate::store::lookup::{Place, Position, WarehouseStamp};
use crate::store::tabular::Content;
use crate::store::warehouse::WarehouseRef;

/// How often a load looks again when the table changed between the look and the reading of its metadata.
const LOOKS_MAX: u32 = 3;
/// How long the reading of a table's metadata may take.
const READ_TIME_MAX: Duration = Duration::from_secs(15);

/// Which snapshots a table is loaded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Snapshots {
    /// All that it has.
    All,
    /// Those that a branch or tag points at; clients ask for the others when they need them.
    Refs,
}

impl Catalog {
    /// Loads a table, for whoever shows the token.
    ///
    /// # Errors
    /// [`crate::model::Kind::Unauthenticated`] when the token's principal may not call any more; [`crate::model::Kind::NotFound`] when
    /// there is no such table.
    pub async fn load_table(
        &self,
        presented: &Presented,
        warehouse: &WarehouseRef,
        ident: &TableIdent,
        snapshots: Snapshots,
        encoding: Encoding,
    ) -> Result<Answer> {
        for _ in 0..LOOKS_MAX {
            let seen = self.store.lookups().table(presented.principal(), warehouse, ident).await?;
            let caller = presented.confirm(seen.principal.as_ref())?;
            let place = seen.place.ok_or_else(|| warehouse.missing())?;
            let position = place.table.as_ref().ok_or_else(|| Error::not_found(Object::Table, ident))?;
            self.may_read(&caller, position.id)?;
            let key = key(place.warehouse_stamp, position, snapshots, encoding);
            if let Some(answer) = self.answers.get(&key).await {
                return Ok(answer);
            }
            // Seldom, and large: in a box every other load's future is small.
            match Box::pin(self.answers.get_or_make(key.clone(), self.make(key, &place, position))).await {
                Ok(answer) => return Ok(answer),
                Err(Miss::Failed(error)) => return Err(error),
                // The name may lead elsewhere by now.
                Err(Miss::Changed) => {}
            }
        }
        Box::pin(self.load_at_once(presented, warehouse, ident, snapshots, encoding)).await
    }

    fn may_read(&self, caller: &Caller, table: TableId) -> Result<RawAccess> {
        // Nobody is restricted yet; who is gets the governed answer here.
        let permit = self.gate.permit::<ReadTable>(caller, table)?;
        permit.into_raw_access().map_err(|_| Error::internal("a restricted caller has no answer yet"))
    }

    /// A table that somebody commits to all the time: its name and its metadata in one statement.
    async fn load_at_once(
        &self,
        presented: &Presented,
        warehouse: &WarehouseRef,
        ident: &TableIdent,
        snapshots: Snapshots,
        encoding: Encoding,
    ) -> Result<Answer> {
        let (warehouse, mut resolved) =
            store::tabular::resolve(&mut *self.store.connection().await?, warehouse, &[ident]).await?;
        let pointer = resolved.pop().ok_or_else(|| Error::internal("no answer for a table"))?.found(ident)?;
        // The name may lead to another table by now, and the caller have another standing.
        let standing = self.store.lookups().principal(presented.principal()).await?;
        self.may_read(&presented.confirm(standing.as_ref())?, pointer.id)?;
        let known = self.answers.know(warehouse).await?;
        let content = Content { metadata_location: pointer.metadata_location, metadata: pointer.metadata };
        self.render(content, known, snapshots, encoding).await
    }

    /// The warehouse in the state that was seen.
    async fn known(&self, place: &Place) -> Result<Arc<KnownWarehouse>, Miss> {
        if let Some(known) = self.answers.warehouse(place.warehouse_id, place.warehouse_stamp).await {
            return Ok(known);
        }
        let warehouse = WarehouseRef::Id(place.warehouse_id);
        let found = store::warehouse::find(&mut *self.store.connection().await?, &warehouse).await?;
        if found.stamp() != place.warehouse_stamp {
            return Err(Miss::Changed);
        }
        Ok(self.answers.know(found).await?)
    }

    /// Makes an answer of the state that was seen.
    async fn make(&self, key: Key, place: &Place, position: &Position) -> Result<Answer, Miss> {
        let plain = Key { encoding: Encoding::Identity, ..key.clone() };
        if key.encoding != Encoding::Identity
            && let Some(answer) = self.answers.get(&plain).await
        {
            return Ok(self.answers.work(answer.body.len(), move || answer::encoded(answer.body, key.encoding)).await?);
        }
        let read = async { store::tabular::content(&mut *self.store.connection().await?, position.id).await };
        // Whoever waits for this answer must not wait for the time of one request after another.
        let silent = |elapsed| Error::unavailable("The database does not answer", elapsed);
        let content = tokio::time::timeout(READ_TIME_MAX, read).await.map_err(silent)??;
        let same = content.filter(|content| content.metadata_location == *position.metadata_location);
        let content = same.ok_or(Miss::Changed)?;
        Ok(self.render(content, self.known(place).await?, key.snapshots, key.encoding).await?)
    }

    async fn render(
        &self,
        content: Content,
        known: Arc<KnownWarehouse>,
        snapshots: Snapshots,
        encoding: Encoding,
    ) -> Result<Answer> {
        let size = unpacked_size(&content.metadata);
        let render = move || {
            let loaded = answer::unpacked(&content.metadata_location, &content.metadata, &known)?;
            let loaded = match snapshots {
                Snapshots::All => loaded,
                Snapshots::Refs => {
                    let json = referenced_only(loaded.metadata())?;
                    answer::loaded(Some(&content.metadata_location), &json, &known)?
                }
            };
            answer::encoded(loaded.body, encoding)
        };
        self.answers.work(size, render).await
    }

    /// Keeps a table's new state, which its next readers will ask for, in the place of the one before, for which nobody will.
    pub(super) async fn keep(&self, known: &KnownWarehouse, before: Option<&Position>, position: Position, loaded: &Loaded) {
        let key = |position: &Position| key(known.stamp(), position, Snapshots::All, Encoding::Identity);
        if let Some(before) = before {
            self.answers.remove(&key(before)).await;
        }
        self.answers.insert(key(&position), Answer { body: loaded.body.clone(), encoding: Encoding::Identity }).await;
    }
}

pub(super) fn key(warehouse: WarehouseStamp, position: &Position, snapshots: Snapshots, encoding: Encoding) -> Key {
    Key { table: position.id, metadata_location: Arc::clone(&position.metadata_location), warehouse, snapshots, encoding }
}

/// The metadata without the snapshots that nothing refers to. The log of them stays: it is what a client finds the others by.
fn referenced_only(json: &[u8]) -> Result<Bytes> {
    let mut metadata = TableMetadata::parse(json).map_err(Error::internal)?;
    let referenced: HashSet<i64> = metadata.refs.values().map(|reference| reference.snapshot_id).collect();
    metadata.snapshots.retain(|snapshot| referenced.contains(&snapshot.snapshot_id));
    Ok(Bytes::from(metadata.to_json()?))
}
