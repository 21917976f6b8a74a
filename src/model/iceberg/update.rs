//! What a client asks of a table at a commit: requirements that must hold, and updates (the REST specification, `TableRequirement`
//! and `TableUpdate`). An action or a type that is not in these lists does not parse, so nothing is skipped in silence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::metadata::{EncryptionKey, StatisticsFile};
use super::{PartitionSpec, Reference, Schema, Snapshot, SortOrder};

/// The id that stands for 'the one added last in this commit'.
pub const LAST_ADDED: i32 = -1;

/// One change of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "action", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub enum Update {
    AssignUuid {
        uuid: Uuid,
    },
    UpgradeFormatVersion {
        format_version: u8,
    },
    AddSchema {
        schema: Schema,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_column_id: Option<i32>,
    },
    SetCurrentSchema {
        schema_id: i32,
    },
    AddSpec {
        spec: PartitionSpec,
    },
    SetDefaultSpec {
        spec_id: i32,
    },
    AddSortOrder {
        sort_order: SortOrder,
    },
    SetDefaultSortOrder {
        sort_order_id: i32,
    },
    AddSnapshot {
        snapshot: Snapshot,
    },
    SetSnapshotRef {
        ref_name: String,
        #[serde(flatten)]
        reference: Reference,
    },
    RemoveSnapshots {
        snapshot_ids: Vec<i64>,
    },
    RemoveSnapshotRef {
        ref_name: String,
    },
    SetLocation {
        location: String,
    },
    SetProperties {
        /// Older Java clients spell it `updated`.
        #[serde(alias = "updated")]
        updates: BTreeMap<String, String>,
    },
    RemoveProperties {
        /// Older Java clients spell it `removed`.
        #[serde(alias = "removed")]
        removals: Vec<String>,
    },
    SetStatistics {
        statistics: StatisticsFile,
    },
    RemoveStatistics {
        snapshot_id: i64,
    },
    SetPartitionStatistics {
        partition_statistics: StatisticsFile,
    },
    RemovePartitionStatistics {
        snapshot_id: i64,
    },
    RemovePartitionSpecs {
        spec_ids: Vec<i32>,
    },
    RemoveSchemas {
        schema_ids: Vec<i32>,
    },
    AddEncryptionKey {
        encryption_key: EncryptionKey,
    },
    RemoveEncryptionKey {
        key_id: String,
    },
    /// Sent by clients from before format 3 was final; there it is always on.
    EnableRowLineage,
}

/// What must hold of a table for a commit to be applied to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub enum Requirement {
    AssertCreate,
    AssertTableUuid {
        uuid: Uuid,
    },
    AssertRefSnapshotId {
        r#ref: String,
        /// Null: the reference must not exist.
        snapshot_id: Option<i64>,
    },
    AssertLastAssignedFieldId {
        last_assigned_field_id: i32,
    },
    AssertCurrentSchemaId {
        current_schema_id: i32,
    },
    AssertLastAssignedPartitionId {
        last_assigned_partition_id: i32,
    },
    AssertDefaultSpecId {
        default_spec_id: i32,
    },
    AssertDefaultSortOrderId {
        default_sort_order_id: i32,
    },
}
