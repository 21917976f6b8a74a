//! The commit, of one table or of many: the one path by which a table's metadata changes.
//!
//! Where the tables stand, guessed from this server's last commit or looked up; requirements and updates applied (pure); metadata files
//! written, with no transaction open; then one statement that swaps every pointer or none, if all that was found still holds. Where
//! somebody else was faster nothing happened, and the commit is tried again on what is there now, until its own requirements fail.
//! Where the outcome is unknown every file stays.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{self, KnownWarehouse};
use super::apply::{Base, apply};
use super::current::{Current, CurrentTable, Found};
use super::metadata_file::MetadataFile;
use super::{Catalog, Loaded, locations, metadata_file};
use crate::access::{Caller, CommitTable, CreateTable, Permit};
use crate::identity::Presented;
use crate::model::iceberg::{Requirement, TableMetadata, Update};
use crate::model::{Error, Kind, Location, NamespaceId, Object, Result, TableId, TableIdent};
use crate::store;
use crate::store::lookup::Position;
use crate::store::tabular::{Choice, Held, NewTable, Relied, Swap};
use crate::store::warehouse::{Warehouse, WarehouseRef};

/// How often a commit is tried when others are faster and its requirements still hold.
pub(super) const ATTEMPTS_MAX: u32 = 8;
/// How many updates and requirements one commit may have, over all its tables.
const UPDATES_MAX: usize = 10_000;
/// How many metadata files of one transaction are written at a time.
const WRITES_MAX: usize = 8;
/// A try on a guess that failed after so long is not followed by another.
const GUESS_TIME_MAX: Duration = Duration::from_secs(5);
/// How often the pointers are looked at after an unknown outcome.
const SETTLE_ATTEMPTS: u32 = 5;
const SETTLE_PAUSE: Duration = Duration::from_millis(200);

/// One table's part of a commit (the REST specification, `CommitTableRequest`).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TableChange {
    /// The table.
    pub identifier: TableIdent,
    /// What must hold of it.
    pub requirements: Vec<Requirement>,
    /// What changes.
    pub updates: Vec<Update>,
}

/// One table's part of a commit, ready to be written.
struct Prepared<'a> {
    change: &'a TableChange,
    file: MetadataFile,
    /// The answer once it is committed: nothing can fail after that.
    loaded: Loaded,
    location: Location,
    step: Step,
}

enum Step {
    /// The pointer of a table that is there.
    Swap {
        permit: Permit<CommitTable>,
        namespace_id: NamespaceId,
        before: Position,
        expired_files: Vec<String>,
        moved_from: Option<String>,
    },
    /// A new table.
    Create { permit: Permit<CreateTable>, id: TableId, table_uuid: Uuid },
}

/// What became of one table's part before anything was written.
enum Outcome<'a> {
    /// Nothing changes: the table as it is, where it stands.
    Unchanged {
        change: &'a TableChange,
        loaded: Loaded,
        permit: Permit<CommitTable>,
        namespace_id: NamespaceId,
        position: Position,
    },
    Prepared(Box<Prepared<'a>>),
}

impl Catalog {
    /// Commits changes of tables: all, or none. Gives the tables as they are after it, in the order of the changes.
    ///
    /// # Errors
    /// [`Kind::CommitFailed`] when a requirement does not hold, or others were faster too often; [`Kind::Unknown`] when it cannot be told
    /// whether the commit took effect; [`Kind::Unavailable`] when it surely did not, and may later; [`Kind::Invalid`] when an update is
    /// wrong in itself.
    pub async fn commit(&self, presented: &Presented, warehouse: &WarehouseRef, changes: &[TableChange]) -> Result<Vec<Loaded>> {
        let mut idents = HashSet::new();
        if let Some(twice) = changes.iter().find(|change| !idents.insert(&change.identifier)) {
            return Err(Error::invalid(format!("Invalid transaction: {} is changed twice", twice.identifier)));
        }
        if changes.is_empty() {
            return Err(Error::invalid("Invalid transaction: it changes no table"));
        }
        let updates: usize = changes.iter().map(|change| change.updates.len() + change.requirements.len()).sum();
        if updates > UPDATES_MAX {
            return Err(Error::invalid(format!(
                "Invalid commit: {updates} updates and requirements, at most {UPDATES_MAX} are allowed"
            )));
        }
        if let [change] = changes
            && let Some(done) = self.commit_on_guess(presented, warehouse, change).await
        {
            count(&done);
            return done;
        }
        let idents: Vec<&TableIdent> = changes.iter().map(|change| &change.identifier).collect();
        for _ in 0..ATTEMPTS_MAX {
            let result = match self.current(presented, warehouse, &idents).await {
                Ok(found) => self.try_commit(presented, warehouse, changes, found, true).await,
                Err(error) => Err(error),
            };
            if matches!(&result, Ok(None)) {
                metrics::counter!("nunatak_commit_swaps_lost_total").increment(1);
                continue;
            }
            let result = result.map(Option::unwrap_or_default);
            count(&result);
            return result;
        }
        let result = Err(Error::commit_failed("Commit failed: other commits were faster; load the table again and retry"));
        count(&result);
        result
    }

    /// One try on what this server's last commit to the table left, if it remembers that. Only what took effect, or may have, counts:
    /// whatever else comes of it may be because the guess was wrong.
    async fn commit_on_guess(
        &self,
        presented: &Presented,
        warehouse: &WarehouseRef,
        change: &TableChange,
    ) -> Option<Result<Vec<Loaded>>> {
        let found = self.guess(presented, warehouse, &change.identifier).await?;
        let started = Instant::now();
        match self.try_commit(presented, warehouse, std::slice::from_ref(change), found, false).await {
            Ok(Some(loaded)) => Some(Ok(loaded)),
            Err(error) if error.kind() == Kind::Unknown => Some(Err(error)),
            // There is no time to try it again. What stands in the way is not told: the caller is not confirmed.
            Err(error) if error.kind() == Kind::Unavailable && started.elapsed() > GUESS_TIME_MAX => {
                Some(Err(Error::unavailable("The commit could not be made now", error)))
            }
            Ok(None) | Err(_) => {
                self.recent.forget((presented.principal(), warehouse.clone(), change.identifier.clone())).await;
                None
            }
        }
    }

    /// One try; `None` when nothing happened, because somebody else was faster, or nothing was to be done and what was found is a guess.
    async fn try_commit(
        &self,
        presented: &Presented,
        warehouse: &WarehouseRef,
        changes: &[TableChange],
        found: Found,
        confirmed: bool,
    ) -> Result<Option<Vec<Loaded>>> {
        let Found { caller, known, tables, seen } = found;
        let mut outcomes = Vec::with_capacity(changes.len());
        for (change, current) in changes.iter().zip(tables) {
            outcomes.push(self.prepare(&caller, &known, change, current)?);
        }
        let prepared: Vec<&Prepared<'_>> = outcomes
            .iter()
            .filter_map(|outcome| if let Outcome::Prepared(prepared) = outcome { Some(prepared.as_ref()) } else { None })
            .collect();
        // What a change of one table requires of another must hold when it takes effect.
        let held: Vec<Held<'_>> = outcomes
            .iter()
            .filter_map(|outcome| {
                if let Outcome::Unchanged { change, permit, namespace_id, position, .. } = outcome {
                    Some(Held { permit, name: (*namespace_id, change.identifier.name.as_str()), expected: position })
                } else {
                    None
                }
            })
            .collect();
        let relied =
            Relied { principal: (presented.principal(), presented.generation()), warehouse: (known.warehouse.id, known.stamp()) };
        let done =
            if prepared.is_empty() { confirmed } else { self.publish(&known.warehouse, &prepared, &held, &relied).await? };
        if !done {
            return Ok(None);
        }
        let mut tables = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            tables.push(match outcome {
                Outcome::Unchanged { loaded, .. } => loaded,
                Outcome::Prepared(prepared) => {
                    let position = prepared.position();
                    if let Some(seen) = &seen {
                        let name = (presented.principal(), warehouse.clone(), prepared.change.identifier.clone());
                        self.recent.learn(name, seen, position.clone()).await;
                    }
                    self.keep(&known, prepared.before(), position, &prepared.loaded).await;
                    prepared.loaded
                }
            });
        }
        Ok(Some(tables))
    }

    /// From the pointer to the metadata after the commit. Nothing is written.
    fn prepare<'a>(
        &self,
        caller: &Caller,
        known: &KnownWarehouse,
        change: &'a TableChange,
        current: Current,
    ) -> Result<Outcome<'a>> {
        let now = self.clock.now();
        let ident = &change.identifier;
        let warehouse = &known.warehouse;
        let namespace = current.namespace_id.ok_or_else(|| Error::not_found(Object::Namespace, &ident.namespace))?;
        let Some(CurrentTable { position, metadata: json }) = current.table else {
            if !change.requirements.contains(&Requirement::AssertCreate) {
                return Err(Error::not_found(Object::Table, ident));
            }
            if current.is_view {
                return Err(Error::name_taken(Object::View, ident));
            }
            let permit = self.gate.permit::<CreateTable>(caller, namespace)?;
            let applied = apply(None, &change.requirements, &change.updates, now)?;
            let metadata = applied.ok_or_else(|| Error::internal("a new table is no change"))?.metadata;
            let (location, file) = place(warehouse, &metadata, 0, None)?;
            let step = Step::Create { permit, id: TableId::generate(), table_uuid: metadata.table_uuid };
            return Ok(Outcome::Prepared(Box::new(Prepared { change, loaded: written(&file, known)?, file, location, step })));
        };
        let permit = self.gate.permit::<CommitTable>(caller, position.id)?;
        let before = TableMetadata::parse(&json).map_err(Error::internal)?;
        let base = Base { metadata: &before, file: &position.metadata_location };
        let Some(applied) = apply(Some(base), &change.requirements, &change.updates, now)? else {
            let loaded = answer::loaded(Some(&position.metadata_location), &json, known)?;
            return Ok(Outcome::Unchanged { change, loaded, permit, namespace_id: namespace, position });
        };
        let metadata = applied.metadata;
        let (location, file) = place(warehouse, &metadata, position.version + 1, Some(&before))?;
        let expired_files = if metadata.property_flag("write.metadata.delete-after-commit.enabled") {
            own_files(&location, &applied.expired_files)
        } else {
            Vec::new()
        };
        let moved_from = Location::parse(&before.location)?;
        let moved_from = (location != moved_from).then(|| moved_from.to_string());
        let step = Step::Swap { permit, namespace_id: namespace, before: position, expired_files, moved_from };
        Ok(Outcome::Prepared(Box::new(Prepared { change, loaded: written(&file, known)?, file, location, step })))
    }

    /// Writes the files and swaps the pointers. Whether it swapped; files that were not published are deleted again.
    async fn publish(
        &self,
        warehouse: &Warehouse,
        prepared: &[&Prepared<'_>],
        held: &[Held<'_>],
        relied: &Relied,
    ) -> Result<bool> {
        let files = self.files.of(warehouse)?;
        let contents: Vec<_> =
            prepared.iter().map(|prepared| (prepared.file.location.clone(), prepared.file.bytes.clone())).collect();
        let others = contents.len() > 1;
        let writes = stream::iter(contents).map(|(location, bytes)| {
            let files = files.clone();
            async move { files.write_beside(&location, bytes, others).await }
        });
        let result = match writes.buffer_unordered(WRITES_MAX).try_collect::<Vec<()>>().await {
            Ok(_) => self.swap(warehouse, prepared, held, relied).await,
            Err(error) => Err(error),
        };
        let pointers: Vec<_> = prepared.iter().map(|prepared| (prepared.id().0, prepared.file.location.clone())).collect();
        self.settle(result, warehouse, &pointers).await
    }

    /// Makes of what writing files and swapping pointers gave what is known of it: whether it swapped. Files that were not published are
    /// deleted again. Serves tables and views.
    pub(super) async fn settle(
        &self,
        swapped: Result<bool>,
        warehouse: &Warehouse,
        pointers: &[(Uuid, Location)],
    ) -> Result<bool> {
        let lost = match &swapped {
            Ok(true) => return Ok(true),
            Ok(false) => &Error::commit_failed("somebody else was faster"),
            Err(error) if error.kind() == Kind::Unknown && self.happened(pointers).await => return Ok(true),
            Err(error) => error,
        };
        let files: Vec<Location> = pointers.iter().map(|(_, file)| file.clone()).collect();
        self.discard(warehouse, &files, lost).await;
        swapped
    }

    /// One statement where tables only change; a transaction where one is new or moves, because its location must be claimed.
    async fn swap(&self, warehouse: &Warehouse, prepared: &[&Prepared<'_>], held: &[Held<'_>], relied: &Relied) -> Result<bool> {
        let now = self.clock.now();
        let delete_at = now + self.deletion_grace;
        let swaps: Vec<Swap<'_>> = prepared.iter().filter_map(|prepared| prepared.swap()).collect();
        let claims = |prepared: &&&Prepared<'_>| !matches!(prepared.step, Step::Swap { moved_from: None, .. });
        if !prepared.iter().any(|prepared| claims(&prepared)) {
            return store::tabular::swap(&mut *self.store.connection().await?, &swaps, held, relied, now, delete_at).await;
        }
        let mut tx = self.store.begin().await?;
        let only_new = swaps.is_empty() && held.is_empty();
        if !only_new && !store::tabular::swap(&mut tx, &swaps, held, relied, now, delete_at).await? {
            return Ok(false);
        }
        for prepared in prepared.iter().filter(claims) {
            let except = match &prepared.step {
                Step::Swap { permit, .. } => permit.resource(),
                Step::Create { id, .. } => *id,
            };
            let location = &prepared.location;
            store::tabular::claim_location(&mut tx, warehouse.id, location, Choice::Client, Some(except.0)).await?;
            let (permit, id, table_uuid) = match &prepared.step {
                Step::Create { permit, id, table_uuid } => (permit, id, table_uuid),
                Step::Swap { permit, moved_from, .. } => {
                    // Its older files are still there.
                    store::tabular::keep_location(&mut tx, permit, warehouse.id, moved_from.as_deref().unwrap_or_default())
                        .await?;
                    continue;
                }
            };
            let table = NewTable {
                id: *id,
                warehouse_id: warehouse.id,
                ident: &prepared.change.identifier,
                location,
                table_uuid: *table_uuid,
                metadata_location: prepared.file.location.as_str(),
                metadata: &prepared.file.packed,
            };
            store::tabular::insert(&mut tx, permit, &table, now).await.map_err(|error| match error.kind() {
                Kind::AlreadyExists(Object::Table) => {
                    Error::commit_failed("Requirement failed: table already exists").because(error)
                }
                _ => error,
            })?;
        }
        store::commit(tx).await?;
        Ok(true)
    }

    /// After an unknown outcome: whether the pointers are the ones that were to be set. That they are not proves nothing, because the
    /// statement may still be running somewhere.
    async fn happened(&self, pointers: &[(Uuid, Location)]) -> bool {
        let ids: Vec<Uuid> = pointers.iter().map(|(id, _)| *id).collect();
        for attempt in 0..SETTLE_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(SETTLE_PAUSE).await;
            }
            let Ok(mut connection) = self.store.connection().await else { continue };
            let Ok(found) = store::tabular::metadata_locations(&mut connection, &ids).await else { continue };
            return pointers.iter().all(|(id, file)| found.iter().any(|(found, at)| found == id && at == file.as_str()));
        }
        false
    }
}

impl Prepared<'_> {
    fn id(&self) -> TableId {
        match &self.step {
            Step::Swap { permit, .. } => permit.resource(),
            Step::Create { id, .. } => *id,
        }
    }

    /// Where the table stood, if it was there.
    fn before(&self) -> Option<&Position> {
        if let Step::Swap { before, .. } = &self.step { Some(before) } else { None }
    }

    /// Where the table stands once this is committed.
    fn position(&self) -> Position {
        let version = match &self.step {
            Step::Swap { before, .. } => before.version + 1,
            Step::Create { .. } => 0,
        };
        Position { id: self.id(), version, metadata_location: self.file.location.as_str().into() }
    }

    fn swap(&self) -> Option<Swap<'_>> {
        let Step::Swap { permit, namespace_id, before, expired_files, .. } = &self.step else { return None };
        Some(Swap {
            permit,
            name: (*namespace_id, &self.change.identifier.name),
            expected: before,
            metadata_location: self.file.location.as_str(),
            metadata: &self.file.packed,
            location: self.location.as_str(),
            expired_files,
        })
    }
}

/// Checks where the table and its files go, and makes the metadata file.
fn place(
    warehouse: &Warehouse,
    metadata: &TableMetadata,
    version: i64,
    before: Option<&TableMetadata>,
) -> Result<(Location, MetadataFile)> {
    let location = locations::inside(warehouse, &metadata.location)?;
    if before.is_none_or(|before| before.location != metadata.location || before.properties != metadata.properties) {
        locations::check_paths(metadata)?;
    }
    Ok((location, metadata_file::render(metadata, version)?))
}

/// The answer after a commit.
fn written(file: &MetadataFile, known: &KnownWarehouse) -> Result<Loaded> {
    answer::loaded(Some(file.location.as_str()), &file.json, known)
}

/// Those of the files that lie inside the table's own location: the others are not this table's to delete, whatever its log says.
fn own_files(location: &Location, files: &[String]) -> Vec<String> {
    let own = files.iter().filter_map(|file| Location::parse(file).ok()).filter(|file| location.contains(file));
    own.map(|file| file.to_string()).collect()
}

pub(super) fn count<T>(result: &Result<T>) {
    let outcome = match result.as_ref().map_err(Error::kind) {
        Ok(_) => "committed",
        Err(Kind::CommitFailed) => "conflict",
        Err(Kind::Unknown) => "unknown",
        Err(_) => "failed",
    };
    metrics::counter!("nunatak_commits_total", "outcome" => outcome).increment(1);
}
