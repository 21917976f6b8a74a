//! Requirements: what must hold of a table for a commit to be applied to it.

use crate::model::iceberg::{Reference, ReferenceKind, Requirement, TableMetadata};
use crate::model::{Error, Result};

/// Checks one requirement; the messages are those that Iceberg's clients know.
pub(super) fn check(requirement: &Requirement, base: Option<&TableMetadata>) -> Result<()> {
    let Some(table) = base else {
        return match requirement {
            Requirement::AssertRefSnapshotId { r#ref, snapshot_id: Some(id) } => {
                Err(Error::commit_failed(format!("Requirement failed: branch or tag {ref} is missing, expected {id}")))
            }
            _ => Ok(()),
        };
    };
    let same = |what: &str, expected: i32, found: i32| {
        if expected == found {
            Ok(())
        } else {
            Err(Error::commit_failed(format!("Requirement failed: {what} changed: expected id {expected} != {found}")))
        }
    };
    match requirement {
        Requirement::AssertCreate => Err(Error::commit_failed("Requirement failed: table already exists")),
        Requirement::AssertTableUuid { uuid } if *uuid != table.table_uuid => {
            Err(Error::commit_failed(format!("Requirement failed: UUID does not match: expected {} != {uuid}", table.table_uuid)))
        }
        Requirement::AssertTableUuid { .. } => Ok(()),
        Requirement::AssertRefSnapshotId { r#ref, snapshot_id } => check_reference(table, r#ref, *snapshot_id),
        Requirement::AssertLastAssignedFieldId { last_assigned_field_id } => {
            same("last assigned field id", *last_assigned_field_id, table.last_column_id)
        }
        Requirement::AssertCurrentSchemaId { current_schema_id } => {
            same("current schema", *current_schema_id, table.current_schema_id)
        }
        Requirement::AssertLastAssignedPartitionId { last_assigned_partition_id } => {
            same("last assigned partition id", *last_assigned_partition_id, table.last_partition_id)
        }
        Requirement::AssertDefaultSpecId { default_spec_id } => {
            same("default partition spec", *default_spec_id, table.default_spec_id)
        }
        Requirement::AssertDefaultSortOrderId { default_sort_order_id } => {
            same("default sort order", *default_sort_order_id, table.default_sort_order_id)
        }
    }
}

fn check_reference(table: &TableMetadata, name: &str, expected: Option<i64>) -> Result<()> {
    let kind = |reference: &Reference| match reference.kind {
        ReferenceKind::Branch => "branch",
        ReferenceKind::Tag => "tag",
    };
    match (table.refs.get(name), expected) {
        (None, None) => Ok(()),
        (Some(found), Some(expected)) if found.snapshot_id == expected => Ok(()),
        (Some(found), Some(expected)) => Err(Error::commit_failed(format!(
            "Requirement failed: {} {name} has changed: expected id {expected} != {}",
            kind(found),
            found.snapshot_id
        ))),
        (Some(found), None) => {
            Err(Error::commit_failed(format!("Requirement failed: {} {name} was created concurrently", kind(found))))
        }
        (None, Some(expected)) => {
            Err(Error::commit_failed(format!("Requirement failed: branch or tag {name} is missing, expected {expected}")))
        }
    }
}
