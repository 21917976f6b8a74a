//! Table metadata: reading every format's JSON, writing it, and what must hold of it as a whole.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::partition::PARTITION_FIELD_ID_FIRST;
use super::{Extra, FORMAT_VERSION_MAX, MAIN_BRANCH, PartitionSpec, Reference, ReferenceKind, Schema, Snapshot, SortOrder};
use crate::model::{Error, Result};

/// A table's metadata (the table specification, "Table Metadata Fields").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub struct TableMetadata {
    pub format_version: u8,
    pub table_uuid: Uuid,
    pub location: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sequence_number: Option<i64>,
    pub last_updated_ms: i64,
    pub last_column_id: i32,
    #[serde(default)]
    pub schemas: Vec<Schema>,
    #[serde(default)]
    pub current_schema_id: i32,
    #[serde(default)]
    pub partition_specs: Vec<PartitionSpec>,
    #[serde(default)]
    pub default_spec_id: i32,
    #[serde(default)]
    pub last_partition_id: i32,
    #[serde(default)]
    pub sort_orders: Vec<SortOrder>,
    #[serde(default)]
    pub default_sort_order_id: i32,
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_snapshot_id: Option<i64>,
    #[serde(default)]
    pub refs: BTreeMap<String, Reference>,
    #[serde(default)]
    pub snapshots: Vec<Snapshot>,
    #[serde(default)]
    pub snapshot_log: Vec<SnapshotLogEntry>,
    #[serde(default)]
    pub metadata_log: Vec<MetadataLogEntry>,
    #[serde(default)]
    pub statistics: Vec<StatisticsFile>,
    #[serde(default)]
    pub partition_statistics: Vec<StatisticsFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_row_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encryption_keys: Vec<EncryptionKey>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// When a snapshot became the current one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub struct SnapshotLogEntry {
    pub snapshot_id: i64,
    pub timestamp_ms: i64,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// An earlier metadata file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub struct MetadataLogEntry {
    pub metadata_file: String,
    pub timestamp_ms: i64,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// A table or partition statistics file: which snapshot it describes, and the rest as it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub struct StatisticsFile {
    pub snapshot_id: i64,
    pub statistics_path: String,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// An encrypted key (format 3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub struct EncryptionKey {
    pub key_id: String,
    pub encrypted_key_metadata: String,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

impl TableMetadata {
    /// Reads a metadata file of any format.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] when it is not valid table metadata.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let mut metadata: Self =
            serde_json::from_slice(json).map_err(|error| Error::invalid(format!("Invalid table metadata: {error}")))?;
        metadata.modernise()?;
        metadata.check()?;
        Ok(metadata)
    }

    /// The JSON of the metadata file. Format 1 also gets the fields that its oldest readers look for.
    ///
    /// # Errors
    /// [`crate::model::Kind::Internal`] when it cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        if self.format_version > 1 {
            return serde_json::to_vec(self).map_err(Error::internal);
        }
        let mut legacy = self.clone();
        legacy.current_snapshot_id.get_or_insert(-1);
        let mut add = |name: &str, value: Result<Value, serde_json::Error>| -> Result<()> {
            legacy.extra.insert(name.to_owned(), value.map_err(Error::internal)?);
            Ok(())
        };
        add("schema", serde_json::to_value(self.current_schema()?))?;
        add("partition-spec", serde_json::to_value(&self.default_spec()?.fields))?;
        serde_json::to_vec(&legacy).map_err(Error::internal)
    }

    /// Fills in what older writers left out.
    fn modernise(&mut self) -> Result<()> {
        let wrong = |error: serde_json::Error| Error::invalid(format!("Invalid table metadata: {error}"));
        if let Some(schema) = self.extra.remove("schema")
            && self.schemas.is_empty()
        {
            let schema: Schema = serde_json::from_value(schema).map_err(wrong)?;
            self.current_schema_id = schema.schema_id;
            self.schemas.push(schema);
        }
        if let Some(fields) = self.extra.remove("partition-spec")
            && self.partition_specs.is_empty()
        {
            let mut spec =
                PartitionSpec { fields: serde_json::from_value(fields).map_err(wrong)?, ..PartitionSpec::unpartitioned() };
            spec.assign_ids(PARTITION_FIELD_ID_FIRST - 1);
            self.default_spec_id = spec.spec_id;
            self.partition_specs.push(spec);
        }
        for spec in &mut self.partition_specs {
            spec.assign_ids(PARTITION_FIELD_ID_FIRST - 1);
        }
        let last_partition_id = self.partition_specs.iter().map(PartitionSpec::last_field_id).max();
        self.last_partition_id = self.last_partition_id.max(last_partition_id.unwrap_or(PARTITION_FIELD_ID_FIRST - 1));
        if self.sort_orders.is_empty() {
            self.sort_orders.push(SortOrder::unsorted());
        }
        if self.current_snapshot_id == Some(-1) {
            self.current_snapshot_id = None;
        }
        if let Some(current) = self.current_snapshot_id
            && !self.refs.contains_key(MAIN_BRANCH)
        {
            self.refs.insert(MAIN_BRANCH.to_owned(), Reference::branch(current));
        }
        self.fill_in_format_fields();
        Ok(())
    }

    /// Sets what the table's format demands and older ones do not have.
    pub fn fill_in_format_fields(&mut self) {
        if self.format_version >= 2 {
            self.last_sequence_number.get_or_insert(0);
            for snapshot in &mut self.snapshots {
                snapshot.sequence_number.get_or_insert(0);
            }
        }
        if self.format_version >= 3 {
            self.next_row_id.get_or_insert(0);
        }
    }

    /// Checks that everything the metadata names is in it.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] with the first thing that is missing.
    pub fn check(&self) -> Result<()> {
        if self.format_version == 0 || self.format_version > FORMAT_VERSION_MAX {
            return Err(Error::invalid(format!("Unsupported format version: v{}", self.format_version)));
        }
        self.schemas.iter().try_for_each(Schema::check_size)?;
        self.current_schema()?;
        self.default_spec()?;
        if !self.sort_orders.iter().any(|order| order.order_id == self.default_sort_order_id) {
            return Err(Error::invalid(format!("Cannot find sort order {}", self.default_sort_order_id)));
        }
        let snapshots: HashSet<i64> = self.snapshots.iter().map(|snapshot| snapshot.snapshot_id).collect();
        if snapshots.len() < self.snapshots.len() {
            return Err(Error::invalid("Invalid table metadata: two snapshots have one id"));
        }
        for (name, reference) in &self.refs {
            if !snapshots.contains(&reference.snapshot_id) {
                return Err(Error::invalid(format!("Cannot find snapshot {} of reference {name}", reference.snapshot_id)));
            }
        }
        let main = self.refs.get(MAIN_BRANCH);
        if main.is_some_and(|main| main.kind != ReferenceKind::Branch) {
            return Err(Error::invalid("Invalid table metadata: main must be a branch"));
        }
        if main.map(|main| main.snapshot_id) != self.current_snapshot_id {
            return Err(Error::invalid("Invalid table metadata: current-snapshot-id is not the head of the branch main"));
        }
        Ok(())
    }

    /// The current schema.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] when the metadata lacks it.
    pub fn current_schema(&self) -> Result<&Schema> {
        self.schemas
            .iter()
            .find(|schema| schema.schema_id == self.current_schema_id)
            .ok_or_else(|| Error::invalid(format!("Cannot find current schema {}", self.current_schema_id)))
    }

    /// The default partition spec.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] when the metadata lacks it.
    pub fn default_spec(&self) -> Result<&PartitionSpec> {
        self.partition_specs
            .iter()
            .find(|spec| spec.spec_id == self.default_spec_id)
            .ok_or_else(|| Error::invalid(format!("Cannot find default partition spec {}", self.default_spec_id)))
    }

    /// A snapshot by its id.
    #[must_use]
    pub fn snapshot(&self, id: i64) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.snapshot_id == id)
    }

    /// A property as a number; what is no number counts as absent.
    #[must_use]
    pub fn property_number(&self, name: &str) -> Option<usize> {
        self.properties.get(name)?.trim().parse().ok()
    }

    /// A property as a flag, absent is false.
    #[must_use]
    pub fn property_flag(&self, name: &str) -> bool {
        self.properties.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}
