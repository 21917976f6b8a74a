//! What a commit is made on: where its tables' names lead, and their metadata as it is there.

use std::sync::Arc;

use bytes::Bytes;

use super::answer::{self, Encoding, KnownWarehouse};
use super::load::{Snapshots, key};
use super::{Catalog, metadata_file};
use crate::access::Caller;
use crate::identity::Presented;
use crate::model::{NamespaceId, Result, TableIdent};
use crate::store;
use crate::store::lookup::{Place, Position, Seen};
use crate::store::warehouse::WarehouseRef;

/// Where one table's name leads.
pub(super) struct Current {
    /// The namespace, if it exists.
    pub(super) namespace_id: Option<NamespaceId>,
    /// The table, if it exists.
    pub(super) table: Option<CurrentTable>,
    /// Whether the name is a view's.
    pub(super) is_view: bool,
}

/// A table as a commit finds it.
pub(super) struct CurrentTable {
    /// Where it stands.
    pub(super) position: Position,
    /// The metadata's JSON.
    pub(super) metadata: Bytes,
}

/// What a commit is made on.
pub(super) struct Found {
    /// Who commits.
    pub(super) caller: Caller,
    /// The warehouse.
    pub(super) known: Arc<KnownWarehouse>,
    /// The tables, in the order of their names.
    pub(super) tables: Vec<Current>,
    /// For one table: what the look, or the guess, gave.
    pub(super) seen: Option<Seen>,
}

impl Catalog {
    /// Where the names lead. One name is looked up together with the caller, in the statement that concurrent requests share, and its
    /// metadata is taken from memory where that has it; else all come in a statement of their own. What was found may be out of date as
    /// soon as it is: the swap decides.
    pub(super) async fn current(&self, presented: &Presented, warehouse: &WarehouseRef, idents: &[&TableIdent]) -> Result<Found> {
        let lookups = self.store.lookups();
        let (caller, seen) = if let [ident] = idents {
            let seen = lookups.table(presented.principal(), warehouse, ident).await?;
            let caller = presented.confirm(seen.principal.as_ref())?;
            let place = seen.place.as_ref().ok_or_else(|| warehouse.missing())?;
            if let Some((known, table)) = self.kept(place).await? {
                return Ok(Found { caller, known, tables: vec![table], seen: Some(seen) });
            }
            (caller, Some(seen))
        } else {
            (presented.confirm(lookups.principal(presented.principal()).await?.as_ref())?, None)
        };
        let (warehouse, resolved) = store::tabular::resolve(&mut *self.store.connection().await?, warehouse, idents).await?;
        let mut tables = Vec::with_capacity(resolved.len());
        for resolved in resolved {
            let table = match resolved.pointer {
                Some(pointer) => Some(CurrentTable {
                    metadata: metadata_file::unpack(&pointer.metadata)?,
                    position: Position {
                        id: pointer.id,
                        version: pointer.version,
                        metadata_location: pointer.metadata_location.into(),
                    },
                }),
                None => None,
            };
            tables.push(Current { namespace_id: resolved.namespace_id, table, is_view: resolved.is_view });
        }
        Ok(Found { caller, known: self.answers.know(warehouse).await?, tables, seen })
    }

    /// What a commit to a table would find if nothing had happened since this server's last commit to it.
    pub(super) async fn guess(&self, presented: &Presented, warehouse: &WarehouseRef, ident: &TableIdent) -> Option<Found> {
        let name = (presented.principal(), warehouse.clone(), ident.clone());
        let seen = self.recent.guess(&name).await?;
        let caller = presented.confirm(seen.principal.as_ref()).ok()?;
        let (known, table) = self.kept(seen.place.as_ref()?).await.ok()??;
        Some(Found { caller, known, tables: vec![table], seen: Some(seen) })
    }

    /// A table from memory, if the state that was seen is there.
    async fn kept(&self, place: &Place) -> Result<Option<(Arc<KnownWarehouse>, Current)>> {
        let Some(position) = &place.table else { return Ok(None) };
        let Some(known) = self.answers.warehouse(place.warehouse_id, place.warehouse_stamp).await else { return Ok(None) };
        let key = key(place.warehouse_stamp, position, Snapshots::All, Encoding::Identity);
        let Some(kept) = self.answers.get(&key).await else { return Ok(None) };
        let metadata = answer::metadata_of(&kept.body, &position.metadata_location, &known)?;
        let table = CurrentTable { position: position.clone(), metadata };
        Ok(Some((known, Current { namespace_id: place.namespace_id, table: Some(table), is_view: false })))
    }
}
