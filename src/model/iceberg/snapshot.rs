//! Snapshots and the references to them (the table specification, "Snapshots" and "Snapshot Retention Policy").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Extra;

/// The branch that a table's current snapshot is the head of.
pub const MAIN_BRANCH: &str = "main";

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Snapshot {
    /// Its id.
    pub snapshot_id: i64,
    /// The snapshot it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_snapshot_id: Option<i64>,
    /// Its place in the order of changes (format 2 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence_number: Option<i64>,
    /// When it was made, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Where its manifest list is. Format 1 may list the manifests themselves instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_list: Option<String>,
    /// What it did: `operation`, and counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub summary: BTreeMap<String, String>,
    /// The schema that was current when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<i32>,
    /// The first row id assigned to its rows (format 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_row_id: Option<i64>,
    /// How many row ids it takes (format 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_rows: Option<i64>,
    /// Whatever else it came with.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// A branch or a tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Reference {
    /// The snapshot it points at.
    pub snapshot_id: i64,
    /// Branch or tag.
    #[serde(rename = "type")]
    pub kind: ReferenceKind,
    /// How many snapshots of the branch expiry keeps at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_snapshots_to_keep: Option<i32>,
    /// For how long expiry keeps the branch's snapshots, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_snapshot_age_ms: Option<i64>,
    /// For how long expiry keeps the reference itself, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ref_age_ms: Option<i64>,
    /// Whatever else it came with.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// What kind a reference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReferenceKind {
    /// Moves with each commit to it.
    Branch,
    /// Stays.
    Tag,
}

impl Reference {
    /// A plain branch at a snapshot.
    #[must_use]
    pub fn branch(snapshot_id: i64) -> Self {
        Self {
            snapshot_id,
            kind: ReferenceKind::Branch,
            min_snapshots_to_keep: None,
            max_snapshot_age_ms: None,
            max_ref_age_ms: None,
            extra: Extra::new(),
        }
    }
}
