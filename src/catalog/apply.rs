//! From the metadata of a table, the requirements and the updates of a commit to the metadata after it. Pure: no input, no output,
//! no clock. What a commit does to a table is decided here and nowhere else.

mod requirement;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::iceberg::metadata::{EncryptionKey, SnapshotLogEntry, StatisticsFile};
use crate::model::iceberg::partition::{check_new_names, simplify_sources};
use crate::model::iceberg::update::LAST_ADDED;
use crate::model::iceberg::{
    Extra, FORMAT_VERSION_DEFAULT, FORMAT_VERSION_MAX, MAIN_BRANCH, MetadataLogEntry, PartitionSpec, Reference, ReferenceKind,
    Requirement, Schema, Snapshot, SortOrder, TableMetadata, Update,
};
use crate::model::{Error, Result};

/// How many earlier metadata files the metadata names when the table does not say (`write.metadata.previous-versions-max`).
const PREVIOUS_VERSIONS_MAX: usize = 100;
/// How far clocks of writers may be apart, as Iceberg's readers tolerate it.
const CLOCK_SKEW_MAX_MS: i64 = 60_000;
/// Properties that stand for something in the metadata and are no properties.
const RESERVED_PROPERTIES: [&str; 8] = [
    "uuid",
    "snapshot-count",
    "current-snapshot-summary",
    "current-snapshot-id",
    "current-snapshot-timestamp-ms",
    "current-schema",
    "default-partition-spec",
    "default-sort-order",
];
/// The property by which a creator chooses the format.
pub const FORMAT_VERSION: &str = "format-version";

/// The table before a commit: its metadata and the file that it is in.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// The metadata.
    pub metadata: &'a TableMetadata,
    /// Its file.
    pub file: &'a str,
}

/// The table after a commit.
#[derive(Debug)]
pub struct Applied {
    /// The metadata.
    pub metadata: TableMetadata,
    /// Metadata files that it no longer names: they may go, if the table wants that.
    pub expired_files: Vec<String>,
}

/// Applies a commit. `base` is `None` for a table that does not exist yet. Gives `None` where nothing changes.
///
/// # Errors
/// [`crate::model::Kind::CommitFailed`] where a requirement does not hold or the commit was made on older metadata;
/// [`crate::model::Kind::Invalid`] where an update is wrong in itself.
pub fn apply(
    base: Option<Base<'_>>,
    requirements: &[Requirement],
    updates: &[Update],
    now: DateTime<Utc>,
) -> Result<Option<Applied>> {
    for requirement in requirements {
        requirement::check(requirement, base.map(|base| base.metadata))?;
    }
    let mut builder = match base {
        Some(base) => Builder::new(base.metadata.clone(), false),
        None => Builder::new(empty(updates), true),
    };
    for update in updates {
        builder.apply(update, now)?;
    }
    builder.finish(base, now)
}

/// Metadata of a table with nothing in it yet, in the format that the updates ask for.
fn empty(updates: &[Update]) -> TableMetadata {
    let format_version = updates.iter().find_map(|update| match update {
        Update::UpgradeFormatVersion { format_version } => Some(*format_version),
        _ => None,
    });
    let format_version = format_version.unwrap_or(FORMAT_VERSION_DEFAULT).clamp(1, FORMAT_VERSION_MAX);
    TableMetadata {
        format_version,
        table_uuid: Uuid::nil(),
        location: String::new(),
        last_sequence_number: (format_version >= 2).then_some(0),
        last_updated_ms: 0,
        last_column_id: 0,
        schemas: Vec::new(),
        current_schema_id: LAST_ADDED,
        partition_specs: Vec::new(),
        default_spec_id: LAST_ADDED,
        last_partition_id: PartitionSpec::unpartitioned().last_field_id(),
        sort_orders: Vec::new(),
        default_sort_order_id: LAST_ADDED,
        properties: std::collections::BTreeMap::new(),
        current_snapshot_id: None,
        refs: std::collections::BTreeMap::new(),
        snapshots: Vec::new(),
        snapshot_log: Vec::new(),
        metadata_log: Vec::new(),
        statistics: Vec::new(),
        partition_statistics: Vec::new(),
        next_row_id: (format_version >= 3).then_some(0),
        encryption_keys: Vec::new(),
        extra: Extra::new(),
    }
}

struct Builder {
    table: TableMetadata,
    creating: bool,
    last_added_schema: Option<i32>,
    last_added_spec: Option<i32>,
    last_added_order: Option<i32>,
    added_snapshots: HashSet<i64>,
    removed_snapshots: HashSet<i64>,
    /// Snapshots of this commit that were the head of main at some point in it.
    new_heads: HashSet<i64>,
    updated_ms: Option<i64>,
}

impl Builder {
    fn new(table: TableMetadata, creating: bool) -> Self {
        Self {
            table,
            creating,
            last_added_schema: None,
            last_added_spec: None,
            last_added_order: None,
            added_snapshots: HashSet::new(),
            removed_snapshots: HashSet::new(),
            new_heads: HashSet::new(),
            updated_ms: None,
        }
    }

    fn apply(&mut self, update: &Update, now: DateTime<Utc>) -> Result<()> {
        match update {
            Update::AssignUuid { uuid } => self.assign_uuid(*uuid)?,
            Update::UpgradeFormatVersion { format_version } => self.upgrade(*format_version)?,
            Update::AddSchema { schema, .. } => self.add_schema(schema.clone())?,
            Update::SetCurrentSchema { schema_id } => self.set_current_schema(*schema_id)?,
            Update::AddSpec { spec } => self.add_spec(spec.clone())?,
            Update::SetDefaultSpec { spec_id } => self.set_default_spec(*spec_id)?,
            Update::AddSortOrder { sort_order } => self.add_sort_order(sort_order.clone())?,
            Update::SetDefaultSortOrder { sort_order_id } => self.set_default_sort_order(*sort_order_id)?,
            Update::AddSnapshot { snapshot } => self.add_snapshot(snapshot.clone())?,
            Update::SetSnapshotRef { ref_name, reference } => self.set_reference(ref_name, reference, now)?,
            Update::RemoveSnapshots { snapshot_ids } => self.remove_snapshots(snapshot_ids),
            Update::RemoveSnapshotRef { ref_name } => self.remove_reference(ref_name),
            Update::SetLocation { location } => location.trim_end_matches('/').clone_into(&mut self.table.location),
            Update::SetProperties { updates } => updates.iter().try_for_each(|(name, value)| self.set_property(name, value))?,
            Update::RemoveProperties { removals } => self.table.properties.retain(|name, _| !removals.contains(name)),
            Update::SetStatistics { statistics } => put_statistics(&mut self.table.statistics, statistics),
            Update::RemoveStatistics { snapshot_id } => self.table.statistics.retain(|file| file.snapshot_id != *snapshot_id),
            Update::SetPartitionStatistics { partition_statistics } => {
                put_statistics(&mut self.table.partition_statistics, partition_statistics);
            }
            Update::RemovePartitionStatistics { snapshot_id } => {
                self.table.partition_statistics.retain(|file| file.snapshot_id != *snapshot_id);
            }
            Update::RemovePartitionSpecs { spec_ids } => self.remove_specs(spec_ids)?,
            Update::RemoveSchemas { schema_ids } => self.remove_schemas(schema_ids)?,
            Update::AddEncryptionKey { encryption_key } => self.add_encryption_key(encryption_key)?,
            Update::RemoveEncryptionKey { key_id } => self.table.encryption_keys.retain(|key| key.key_id != *key_id),
            Update::EnableRowLineage if self.table.format_version < 3 => {
                return Err(Error::invalid("Row lineage needs a table of format v3"));
            }
            Update::EnableRowLineage => {}
        }
        Ok(())
    }

    fn assign_uuid(&mut self, uuid: Uuid) -> Result<()> {
        if !self.creating && uuid != self.table.table_uuid {
            return Err(Error::invalid("Cannot reassign uuid: the table has one"));
        }
        self.table.table_uuid = uuid;
        Ok(())
    }

    fn upgrade(&mut self, to: u8) -> Result<()> {
        let from = self.table.format_version;
        if to == 0 || to > FORMAT_VERSION_MAX {
            return Err(Error::invalid(format!(
                "Cannot upgrade table to unsupported format version: v{to} (supported: v{FORMAT_VERSION_MAX})"
            )));
        }
        if to < from {
            return Err(Error::invalid(format!("Cannot downgrade v{from} table to v{to}")));
        }
        self.table.format_version = to;
        self.table.fill_in_format_fields();
        Ok(())
    }

    fn add_schema(&mut self, mut schema: Schema) -> Result<()> {
        schema.check(self.table.format_version)?;
        self.table.last_column_id = self.table.last_column_id.max(schema.highest_field_id());
        let id = match self.table.schemas.iter().find(|known| known.same_as(&schema)) {
            Some(known) => known.schema_id,
            None => {
                schema.schema_id = next_id(self.table.schemas.iter().map(|known| known.schema_id), 0);
                let id = schema.schema_id;
                self.table.schemas.push(schema);
                id
            }
        };
        self.last_added_schema = Some(id);
        Ok(())
    }

    fn set_current_schema(&mut self, id: i32) -> Result<()> {
        let id = last_added(id, self.last_added_schema, "schema")?;
        if !self.table.schemas.iter().any(|schema| schema.schema_id == id) {
            return Err(Error::invalid(format!("Cannot set current schema to unknown schema: {id}")));
        }
        self.table.current_schema_id = id;
        Ok(())
    }

    fn add_spec(&mut self, mut spec: PartitionSpec) -> Result<()> {
        for field in &mut spec.fields {
            simplify_sources(&mut field.source_id, &mut field.source_ids);
        }
        // A partition field that the table has had before keeps its id, so that old and new partitions can be compared.
        let known_fields: Vec<_> = self.table.partition_specs.iter().flat_map(|known| known.fields.clone()).collect();
        for field in spec.fields.iter_mut().filter(|field| field.field_id.is_none()) {
            let twin = known_fields.iter().find(|known| {
                known.sources() == field.sources() && known.transform == field.transform && known.name == field.name
            });
            field.field_id = twin.and_then(|known| known.field_id);
        }
        spec.assign_ids(self.table.last_partition_id);
        spec.check(self.table.current_schema()?, self.table.format_version)?;
        check_new_names(&spec, self.table.current_schema()?)?;
        self.table.last_partition_id = self.table.last_partition_id.max(spec.last_field_id());
        let id = match self.table.partition_specs.iter().find(|known| known.compatible_with(&spec)) {
            Some(known) => known.spec_id,
            None => {
                spec.spec_id = next_id(self.table.partition_specs.iter().map(|known| known.spec_id), 0);
                let id = spec.spec_id;
                self.table.partition_specs.push(spec);
                id
            }
        };
        self.last_added_spec = Some(id);
        Ok(())
    }

    fn set_default_spec(&mut self, id: i32) -> Result<()> {
        let id = last_added(id, self.last_added_spec, "spec")?;
        if !self.table.partition_specs.iter().any(|spec| spec.spec_id == id) {
            return Err(Error::invalid(format!("Cannot set default partition spec to unknown spec: {id}")));
        }
        self.table.default_spec_id = id;
        Ok(())
    }

    fn add_sort_order(&mut self, mut order: SortOrder) -> Result<()> {
        for field in &mut order.fields {
            simplify_sources(&mut field.source_id, &mut field.source_ids);
        }
        order.check(self.table.current_schema()?, self.table.format_version)?;
        let known = self.table.sort_orders.iter().find(|known| known.fields == order.fields).map(|known| known.order_id);
        let id = match known {
            Some(id) => id,
            None => {
                // 0 is kept for the unsorted order.
                let id = next_id(self.table.sort_orders.iter().map(|known| known.order_id), 1);
                order.order_id = if order.fields.is_empty() { 0 } else { id };
                let id = order.order_id;
                self.table.sort_orders.push(order);
                id
            }
        };
        self.last_added_order = Some(id);
        Ok(())
    }

    fn set_default_sort_order(&mut self, id: i32) -> Result<()> {
        let id = last_added(id, self.last_added_order, "sort order")?;
        if !self.table.sort_orders.iter().any(|order| order.order_id == id) {
            return Err(Error::invalid(format!("Cannot set default sort order to unknown sort order: {id}")));
        }
        self.table.default_sort_order_id = id;
        Ok(())
    }

    fn add_snapshot(&mut self, snapshot: Snapshot) -> Result<()> {
        let table = &mut self.table;
        if table.schemas.is_empty() || table.partition_specs.is_empty() || table.sort_orders.is_empty() {
            return Err(Error::invalid(
                "Attempting to add a snapshot before a schema, a partition spec and a sort order are added",
            ));
        }
        let id = snapshot.snapshot_id;
        if table.snapshot(id).is_some() {
            return Err(Error::invalid(format!("Snapshot already exists for id: {id}")));
        }
        if snapshot.manifest_list.is_none() && (table.format_version > 1 || !snapshot.extra.contains_key("manifests")) {
            return Err(Error::invalid(format!("Snapshot {id} has no manifest list")));
        }
        if let Some(number) = snapshot.sequence_number
            && table.format_version == 1
            && number != 0
        {
            return Err(Error::invalid(format!("Sequence number must be 0 in v1: {number}")));
        }
        if table.format_version >= 2 && !snapshot.summary.contains_key("operation") {
            return Err(Error::invalid(format!("Snapshot {id} has no operation in its summary")));
        }
        if table.format_version >= 2 {
            let last = table.last_sequence_number.unwrap_or(0);
            let number =
                snapshot.sequence_number.ok_or_else(|| Error::invalid(format!("Snapshot {id} has no sequence number")))?;
            // Made on older metadata (another branch moved on meanwhile): the client may make it again.
            if number <= last && snapshot.parent_snapshot_id.is_some() {
                return Err(Error::commit_failed(format!(
                    "Cannot add snapshot with sequence number {number} older than last sequence number {last}"
                )));
            }
            table.last_sequence_number = Some(number.max(last));
        }
        if table.format_version >= 3 {
            let next = table.next_row_id.unwrap_or(0);
            let first = snapshot.first_row_id.ok_or_else(|| Error::invalid("Cannot add a snapshot: first-row-id is null"))?;
            let added = snapshot.added_rows.ok_or_else(|| Error::invalid("Cannot add a snapshot: added-rows is null"))?;
            if first < next {
                return Err(Error::commit_failed(format!(
                    "Cannot add a snapshot, first-row-id is behind table next-row-id: {first} < {next}"
                )));
            }
            let after = first.checked_add(added).filter(|_| added >= 0);
            table.next_row_id = Some(after.ok_or_else(|| Error::invalid(format!("Invalid added-rows: {added}")))?);
        }
        self.updated_ms = Some(snapshot.timestamp_ms);
        self.added_snapshots.insert(id);
        table.snapshots.push(snapshot);
        Ok(())
    }

    fn set_reference(&mut self, name: &str, reference: &Reference, now: DateTime<Utc>) -> Result<()> {
        check_reference_fields(name, reference)?;
        if self.table.refs.get(name) == Some(reference) {
            return Ok(());
        }
        let id = reference.snapshot_id;
        let snapshot =
            self.table.snapshot(id).ok_or_else(|| Error::invalid(format!("Cannot set {name} to unknown snapshot: {id}")))?;
        if name == MAIN_BRANCH && self.table.current_snapshot_id != Some(id) {
            let last = self.table.snapshot_log.last().map_or(i64::MIN, |entry| entry.timestamp_ms);
            let at = if self.added_snapshots.contains(&id) {
                self.new_heads.insert(id);
                snapshot.timestamp_ms
            } else {
                // The time is ours to say: a clock that runs behind a writer's must not stand in the way of going back.
                now.timestamp_millis().max(last)
            };
            if at.saturating_add(CLOCK_SKEW_MAX_MS) < last {
                return Err(Error::invalid(format!("Invalid snapshot timestamp {at}: before last snapshot log entry at {last}")));
            }
            self.updated_ms.get_or_insert(at);
            self.table.current_snapshot_id = Some(id);
            self.table.snapshot_log.push(SnapshotLogEntry { snapshot_id: id, timestamp_ms: at, extra: Extra::new() });
        }
        self.table.refs.insert(name.to_owned(), reference.clone());
        Ok(())
    }

    fn remove_reference(&mut self, name: &str) {
        // What was current before stays in the log: replacing a table removes its branch main first.
        if name == MAIN_BRANCH {
            self.table.current_snapshot_id = None;
        }
        self.table.refs.remove(name);
    }

    fn remove_snapshots(&mut self, ids: &[i64]) {
        let known: HashSet<i64> = self.table.snapshots.iter().map(|snapshot| snapshot.snapshot_id).collect();
        let ids: HashSet<i64> = ids.iter().copied().filter(|id| known.contains(id)).collect();
        self.table.snapshots.retain(|snapshot| !ids.contains(&snapshot.snapshot_id));
        self.table.statistics.retain(|file| !ids.contains(&file.snapshot_id));
        self.table.partition_statistics.retain(|file| !ids.contains(&file.snapshot_id));
        self.removed_snapshots.extend(ids);
    }

    fn remove_specs(&mut self, ids: &[i32]) -> Result<()> {
        if ids.contains(&self.table.default_spec_id) {
            return Err(Error::invalid("Cannot remove the default partition spec"));
        }
        self.table.partition_specs.retain(|spec| !ids.contains(&spec.spec_id));
        Ok(())
    }

    fn remove_schemas(&mut self, ids: &[i32]) -> Result<()> {
        if ids.contains(&self.table.current_schema_id) {
            return Err(Error::invalid("Cannot remove the current schema"));
        }
        self.table.schemas.retain(|schema| !ids.contains(&schema.schema_id));
        Ok(())
    }

    fn set_property(&mut self, name: &str, value: &str) -> Result<()> {
        if name == FORMAT_VERSION {
            let version = value.trim().parse().map_err(|_| Error::invalid(format!("Invalid format-version: {value}")))?;
            return self.upgrade(version);
        }
        check_property(name)?;
        self.table.properties.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    fn add_encryption_key(&mut self, key: &EncryptionKey) -> Result<()> {
        if self.table.format_version < 3 {
            return Err(Error::invalid(format!("Encryption keys need v3, the table is v{}", self.table.format_version)));
        }
        match self.table.encryption_keys.iter().find(|known| known.key_id == key.key_id) {
            // Snapshots may be encrypted with the one that is there; those of this commit would be with the other.
            Some(known) if known != key => return Err(Error::invalid(format!("Encryption key already exists: {}", key.key_id))),
            Some(_) => {}
            None => self.table.encryption_keys.push(key.clone()),
        }
        Ok(())
    }

    fn finish(mut self, base: Option<Base<'_>>, now: DateTime<Utc>) -> Result<Option<Applied>> {
        if base.is_some_and(|base| *base.metadata == self.table) {
            return Ok(None);
        }
        self.check_whole(base.map(|base| base.metadata))?;
        self.clean_snapshot_log();
        let mut table = self.table;
        let mut updated_ms = self.updated_ms.unwrap_or_else(|| now.timestamp_millis());
        let mut expired_files = Vec::new();
        // Readers refuse a history that runs backwards; clocks do not always agree.
        updated_ms = updated_ms.max(table.snapshot_log.last().map_or(i64::MIN, |entry| entry.timestamp_ms));
        if let Some(base) = base {
            let base_ms = base.metadata.last_updated_ms;
            updated_ms = updated_ms.max(base_ms);
            let before = MetadataLogEntry { metadata_file: base.file.to_owned(), timestamp_ms: base_ms, extra: Extra::new() };
            table.metadata_log.push(before);
            let keep = table.property_number("write.metadata.previous-versions-max").unwrap_or(PREVIOUS_VERSIONS_MAX).max(1);
            let excess = table.metadata_log.len().saturating_sub(keep);
            expired_files = table.metadata_log.drain(..excess).map(|entry| entry.metadata_file).collect();
        }
        table.last_updated_ms = updated_ms;
        Ok(Some(Applied { metadata: table, expired_files }))
    }

    /// What must hold once all updates are applied, whatever their order was.
    fn check_whole(&self, base: Option<&TableMetadata>) -> Result<()> {
        let table = &self.table;
        if let Some((name, reference)) = table.refs.iter().find(|(_, to)| self.removed_snapshots.contains(&to.snapshot_id)) {
            // The reference was made while this removal was prepared: the snapshot must stay.
            return Err(Error::commit_failed(format!("Cannot remove snapshot {}: {name} refers to it", reference.snapshot_id)));
        }
        if table.location.is_empty() {
            return Err(Error::invalid("Invalid table: no location is set"));
        }
        if table.table_uuid.is_nil() {
            return Err(Error::invalid("Invalid table: no uuid is assigned"));
        }
        table.check()?;
        let defaults = |table: &TableMetadata| (table.current_schema_id, table.default_spec_id, table.default_sort_order_id);
        if base.is_some_and(|base| defaults(base) == defaults(table)) {
            return Ok(());
        }
        let schema = table.current_schema()?;
        table.default_spec()?.check(schema, table.format_version)?;
        if let Some(order) = table.sort_orders.iter().find(|order| order.order_id == table.default_sort_order_id) {
            order.check(schema, table.format_version)?;
        }
        Ok(())
    }

    /// Heads that were never seen outside the commit leave the log; what lies before a removed snapshot cannot be told any more.
    fn clean_snapshot_log(&mut self) {
        let (heads, current) = (&self.new_heads, self.table.current_snapshot_id);
        self.table.snapshot_log.retain(|entry| current == Some(entry.snapshot_id) || !heads.contains(&entry.snapshot_id));
        if self.removed_snapshots.is_empty() {
            return;
        }
        let known: HashSet<i64> = self.table.snapshots.iter().map(|snapshot| snapshot.snapshot_id).collect();
        if let Some(last_gone) = self.table.snapshot_log.iter().rposition(|entry| !known.contains(&entry.snapshot_id)) {
            self.table.snapshot_log.drain(..=last_gone);
        }
    }
}

fn check_reference_fields(name: &str, reference: &Reference) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid("Invalid reference: its name must not be empty"));
    }
    let is_tag = reference.kind == ReferenceKind::Tag;
    if name == MAIN_BRANCH && is_tag {
        return Err(Error::invalid("Cannot set main to a tag: it must be a branch"));
    }
    if is_tag && (reference.min_snapshots_to_keep.is_some() || reference.max_snapshot_age_ms.is_some()) {
        return Err(Error::invalid("Tags do not support setting minSnapshotsToKeep or maxSnapshotAgeMs"));
    }
    let limits = [reference.min_snapshots_to_keep.map(i64::from), reference.max_snapshot_age_ms, reference.max_ref_age_ms];
    if limits.into_iter().flatten().any(|limit| limit <= 0) {
        return Err(Error::invalid(format!("Invalid reference {name}: its limits must be greater than 0")));
    }
    Ok(())
}

/// Refuses the properties that stand for something else.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] for one of them.
pub fn check_property(name: &str) -> Result<()> {
    if RESERVED_PROPERTIES.contains(&name) {
        return Err(Error::invalid(format!("Cannot set reserved table property: {name}")));
    }
    Ok(())
}

fn put_statistics(files: &mut Vec<StatisticsFile>, file: &StatisticsFile) {
    match files.iter_mut().find(|known| known.snapshot_id == file.snapshot_id) {
        Some(known) => known.clone_from(file),
        None => files.push(file.clone()),
    }
}

fn last_added(id: i32, added: Option<i32>, what: &str) -> Result<i32> {
    if id == LAST_ADDED {
        return added.ok_or_else(|| Error::invalid(format!("Cannot set last added {what}: no {what} has been added")));
    }
    Ok(id)
}

fn next_id(taken: impl Iterator<Item = i32>, first: i32) -> i32 {
    taken.max().map_or(first, |highest| highest.saturating_add(1)).max(first)
}
