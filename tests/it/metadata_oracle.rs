//! Commits as the catalog applies them, against an independent implementation of Iceberg's table metadata: random sequences of updates
//! go to both; both must refuse, or both must make the same metadata, and whatever the catalog writes the other must read.
//!
//! Where the two differ on purpose, `known_difference`, `comparable` and the generator's comments say how and why:
//!
//! - `last-updated-ms` of the catalog never goes back and is never before the snapshot log's last entry; the other takes the time of the
//!   last added snapshot, or its own clock.
//! - A log entry for a head of main that was there before the commit has the catalog's time; the other takes its own, or that of another
//!   snapshot of the commit.
//! - Changing how long main keeps its snapshots is no new head of main: the catalog logs none, the other repeats the last entry.
//! - Statistics of a removed snapshot go with it, as in the Java implementation; the other keeps them.
//! - A snapshot that a reference names cannot be removed (the reference may be younger than the decision to remove the snapshot); the
//!   other removes the reference as well.
//! - A snapshot that a commit adds, makes the head of main, passes by and removes again was never seen: the other, like the Java
//!   implementation, forgets the log before it, as for a snapshot that was: the generator removes no snapshot that its commit adds.
//! - A table's uuid never changes; the other lets it.
//! - The other does not read references of a table of format 1, except main, and knows no types, transforms or default values of format
//!   3 beyond timestamps in nanoseconds: the generator does not make them.
//! - A snapshot without a parent may have any sequence number. The other then takes a lower one as the table's last, and its own check
//!   refuses the result: the generator makes none.
//! - A partition field of the transform void may have the name of a column that is gone, and its column need not exist; the other
//!   refuses both: the generator makes none.
//! - One column may be partitioned by year and by day at once, and a field of another name gets another id: the other refuses the first
//!   and gives the same id: the generator partitions by each column once and names fields after their columns and transforms.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use iceberg::spec::TableMetadata as Oracle;
use iceberg::{TableRequirement, TableUpdate};
use nunatak::catalog::apply::{Applied, Base, apply};
use nunatak::model::iceberg::{Primitive, Requirement, Schema, Snapshot, TableMetadata, Type, Update};
use nunatak::model::{Clock, Error, Kind};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use uuid::Uuid;

const CASES: u32 = 500;
const UUID: &str = "8b1e1b53-8a5e-4d0c-9d5c-2f4a8d3b6c11";
const TYPES: [&str; 10] =
    ["int", "long", "string", "date", "timestamptz", "decimal(9, 2)", "uuid", "binary", "double", "timestamp_ns"];

/// An update before it is known what there is to update: numbers choose among what the table has then.
#[derive(Clone, Debug)]
enum Op {
    AddSchema { how: u8, pick: u8, kind: u8, then: u8 },
    SetSchema(u8),
    AddSpec { columns: Vec<(u8, u8)>, with_ids: bool, then: u8 },
    SetSpec(u8),
    AddOrder { columns: Vec<(u8, u8)>, then: u8 },
    SetOrder(u8),
    AddSnapshot { stale: u8, gap: u8, rows: u16, early_ms: u16, to: u8 },
    SetRef { name: u8, pick: u8, retention: u8 },
    RemoveRef(u8),
    SetProperties(u8, u8),
    RemoveProperties(u8),
    SetStatistics(u8, bool),
    RemoveStatistics(u8, bool),
    RemoveSnapshots { pick: u8, named: bool },
    RemoveSpecs(u8),
    RemoveSchemas(u8),
    Upgrade(u8),
    SetLocation(u8),
    AssignUuid(bool),
    AddKey(u8),
    RemoveKey(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let columns = || prop::collection::vec(any::<(u8, u8)>(), 0..3);
    prop_oneof![
        4 => any::<(u8, u8, u8, u8)>().prop_map(|(how, pick, kind, then)| Op::AddSchema { how, pick, kind, then }),
        1 => any::<u8>().prop_map(Op::SetSchema),
        3 => (columns(), any::<bool>(), any::<u8>())
            .prop_map(|(columns, with_ids, then)| Op::AddSpec { columns, with_ids, then }),
        1 => any::<u8>().prop_map(Op::SetSpec),
        2 => (columns(), any::<u8>()).prop_map(|(columns, then)| Op::AddOrder { columns, then }),
        1 => any::<u8>().prop_map(Op::SetOrder),
        10 => (any::<u8>(), any::<u8>(), any::<u16>(), 0_u16..20_000, any::<u8>())
            .prop_map(|(stale, gap, rows, early_ms, to)| Op::AddSnapshot { stale, gap, rows, early_ms, to }),
        4 => any::<(u8, u8, u8)>().prop_map(|(name, pick, retention)| Op::SetRef { name, pick, retention }),
        2 => any::<u8>().prop_map(Op::RemoveRef),
        3 => any::<(u8, u8)>().prop_map(|(name, value)| Op::SetProperties(name, value)),
        1 => any::<u8>().prop_map(Op::RemoveProperties),
        2 => any::<(u8, bool)>().prop_map(|(pick, partition)| Op::SetStatistics(pick, partition)),
        1 => any::<(u8, bool)>().prop_map(|(pick, partition)| Op::RemoveStatistics(pick, partition)),
        3 => (any::<u8>(), prop::bool::weighted(0.1)).prop_map(|(pick, named)| Op::RemoveSnapshots { pick, named }),
        1 => any::<u8>().prop_map(Op::RemoveSpecs),
        1 => any::<u8>().prop_map(Op::RemoveSchemas),
        1 => any::<u8>().prop_map(Op::Upgrade),
        1 => any::<u8>().prop_map(Op::SetLocation),
        1 => prop::bool::weighted(0.2).prop_map(Op::AssignUuid),
        1 => any::<u8>().prop_map(Op::AddKey),
        1 => any::<u8>().prop_map(Op::RemoveKey),
    ]
}

fn pick<T>(items: &[T], choice: u8) -> Option<&T> {
    items.get(usize::from(choice) % items.len().max(1))
}

/// Primitive columns at the top of a schema.
fn columns(schema: &Schema) -> Vec<(i32, &Primitive)> {
    let primitive = |field: &'_ nunatak::model::iceberg::Field| match &field.r#type {
        Type::Primitive(_) => Some(field.id),
        Type::Nested(_) => None,
    };
    let ids: Vec<i32> = schema.fields.iter().filter_map(primitive).collect();
    let types = schema.types_by_id();
    ids.into_iter()
        .filter_map(|id| match types[&id] {
            Type::Primitive(primitive) => Some((id, primitive)),
            Type::Nested(_) => None,
        })
        .collect()
}

/// A transform for a column, mostly one that applies to it.
fn transform(primitive: &Primitive, choice: u8) -> &'static str {
    let some: &[&str] = match primitive {
        _ if choice >= 250 => &["hour"],
        Primitive::Date => &["identity", "year", "month", "day", "bucket[4]"],
        _ if primitive.is_timestamp() => &["identity", "year", "month", "day", "hour"],
        Primitive::Int | Primitive::Long | Primitive::String => &["identity", "bucket[16]", "truncate[8]"],
        Primitive::Decimal { .. } | Primitive::Uuid | Primitive::Binary => &["identity", "bucket[3]"],
        _ => &["identity"],
    };
    pick(some, choice).unwrap()
}

/// `choice` of the ids, seldom the last one added, or one that is not there.
fn id_of(ids: &[i32], choice: u8) -> i32 {
    match choice {
        0..=15 => -1,
        16..=23 => 4711,
        _ => *pick(ids, choice).unwrap(),
    }
}

impl Op {
    /// The updates that it stands for, in the REST API's JSON, on a table that was `before` and is `table` by now.
    #[allow(clippy::too_many_lines, reason = "an arm for each op")]
    fn updates(&self, before: &TableMetadata, table: &TableMetadata, counter: &mut i64, now_ms: i64) -> Vec<Value> {
        let snapshots: Vec<i64> = table.snapshots.iter().map(|snapshot| snapshot.snapshot_id).collect();
        let any_snapshot = |choice: u8| if choice > 245 { Some(&4711) } else { pick(&snapshots, choice) };
        let schema_ids = || table.schemas.iter().map(|schema| schema.schema_id).collect::<Vec<_>>();
        let spec_ids = || table.partition_specs.iter().map(|spec| spec.spec_id).collect::<Vec<_>>();
        let order_ids = || table.sort_orders.iter().map(|order| order.order_id).collect::<Vec<_>>();
        let schema = table.current_schema().unwrap();
        // The other does not read them.
        let only_main = table.format_version == 1;
        *counter += 1;
        match self {
            Self::AddSchema { how, pick, kind, then } => {
                let mut updates = vec![json!({"action": "add-schema", "schema": changed_schema(table, *how, *pick, *kind)})];
                if *then > 40 {
                    updates.push(json!({"action": "set-current-schema", "schema-id": -1}));
                }
                updates
            }
            Self::SetSchema(choice) => {
                vec![json!({"action": "set-current-schema", "schema-id": id_of(&schema_ids(), *choice)})]
            }
            Self::AddSpec { columns: chosen, with_ids, then } => {
                let mut updates = vec![json!({"action": "add-spec", "spec": {"fields": spec_fields(table, chosen, *with_ids)}})];
                if *then > 60 {
                    updates.push(json!({"action": "set-default-spec", "spec-id": -1}));
                }
                updates
            }
            Self::SetSpec(choice) => vec![json!({"action": "set-default-spec", "spec-id": id_of(&spec_ids(), *choice)})],
            Self::AddOrder { columns: chosen, then } => {
                let columns = columns(schema);
                let field = |(column, how): &(u8, u8)| {
                    let (id, primitive) = pick(&columns, *column)?;
                    let (direction, nulls) = if how.is_multiple_of(2) { ("asc", "nulls-first") } else { ("desc", "nulls-last") };
                    let transform = transform(primitive, *how);
                    Some(json!({"source-id": id, "transform": transform, "direction": direction, "null-order": nulls}))
                };
                let fields: Vec<Value> = chosen.iter().filter_map(field).collect();
                let mut updates = vec![json!({"action": "add-sort-order", "sort-order": {"order-id": 9, "fields": fields}})];
                if *then > 60 {
                    updates.push(json!({"action": "set-default-sort-order", "sort-order-id": -1}));
                }
                updates
            }
            Self::SetOrder(choice) => {
                vec![json!({"action": "set-default-sort-order", "sort-order-id": id_of(&order_ids(), *choice)})]
            }
            Self::AddSnapshot { stale, gap, rows, early_ms, to } => {
                let id = if *gap == 255 { snapshots.first().copied().unwrap_or(1) } else { *counter };
                let mut snapshot = json!({
                    "snapshot-id": id,
                    "timestamp-ms": now_ms - i64::from(*early_ms),
                    "manifest-list": format!("s3://b/t/metadata/snap-{id}.avro"),
                    "summary": {"operation": "append", "added-data-files": "1"},
                    "schema-id": table.current_schema_id,
                });
                let parent = table.current_snapshot_id.or(snapshots.first().copied());
                if let Some(parent) = parent {
                    snapshot["parent-snapshot-id"] = json!(parent);
                }
                let last = table.last_sequence_number.unwrap_or(0);
                if table.format_version >= 2 {
                    let stale = *stale < 8 && parent.is_some();
                    snapshot["sequence-number"] = json!(if stale { last } else { last + 1 + i64::from(gap % 3) });
                }
                if let Some(next) = table.next_row_id {
                    let stale = (8..16).contains(stale) && next > 0;
                    snapshot["first-row-id"] = json!(if stale { next - 1 } else { next });
                    snapshot["added-rows"] = json!(rows);
                }
                let mut updates = vec![json!({"action": "add-snapshot", "snapshot": snapshot})];
                let branch = if *to < 200 || only_main { "main" } else { "b1" };
                if *to > 30 {
                    updates.push(json!({
                        "action": "set-snapshot-ref", "ref-name": branch, "type": "branch", "snapshot-id": id,
                    }));
                }
                updates
            }
            Self::SetRef { name, pick: choice, retention } => {
                let Some(id) = any_snapshot(*choice) else { return Vec::new() };
                let (name, kind) =
                    *pick(&[("main", "branch"), ("b1", "branch"), ("b2", "branch"), ("t1", "tag")], *name).unwrap();
                let name = if only_main { "main" } else { name };
                let kind = if only_main { "branch" } else { kind };
                let mut update = json!({"action": "set-snapshot-ref", "ref-name": name, "type": kind, "snapshot-id": id});
                if *retention < 60 && !only_main {
                    update["max-ref-age-ms"] = json!(i64::from(*retention) + 1);
                    if kind == "branch" {
                        update["min-snapshots-to-keep"] = json!(2);
                    }
                }
                vec![update]
            }
            Self::RemoveRef(choice) => {
                let name = pick(&["main", "b1", "b2", "t1", "nothing"], *choice).unwrap();
                vec![json!({"action": "remove-snapshot-ref", "ref-name": name})]
            }
            Self::SetProperties(name, value) => {
                let (name, value) = match name % 3 {
                    0 => ("write.metadata.previous-versions-max", *pick(&["1", "2", "3", "0", "-3", "x"], *value).unwrap()),
                    1 => ("owner", *pick(&["a", "b"], *value).unwrap()),
                    _ if *value > 230 => ("current-schema", "3"),
                    _ => ("comment", *pick(&["", "ü"], *value).unwrap()),
                };
                vec![json!({"action": "set-properties", "updates": {name: value}})]
            }
            Self::RemoveProperties(name) => {
                let name = *pick(&["write.metadata.previous-versions-max", "owner", "nothing"], *name).unwrap();
                vec![json!({"action": "remove-properties", "removals": [name, "comment"]})]
            }
            Self::SetStatistics(choice, partition) => {
                let Some(id) = pick(&snapshots, *choice) else { return Vec::new() };
                let mut file = json!({
                    "snapshot-id": id, "statistics-path": format!("s3://b/t/stats-{counter}"), "file-size-in-bytes": 413,
                });
                if *partition {
                    return vec![json!({"action": "set-partition-statistics", "partition-statistics": file})];
                }
                file["file-footer-size-in-bytes"] = json!(42);
                file["blob-metadata"] = json!([{
                    "type": "ndv", "snapshot-id": id, "sequence-number": 1, "fields": [1], "properties": {"ndv": "3"},
                }]);
                vec![json!({"action": "set-statistics", "snapshot-id": id, "statistics": file})]
            }
            Self::RemoveStatistics(choice, partition) => {
                let Some(id) = any_snapshot(*choice) else { return Vec::new() };
                let action = if *partition { "remove-partition-statistics" } else { "remove-statistics" };
                vec![json!({"action": action, "snapshot-id": id})]
            }
            Self::RemoveSnapshots { pick: choice, named } => {
                let heads: HashSet<i64> = table.refs.values().map(|reference| reference.snapshot_id).collect();
                let candidates: Vec<i64> = snapshots
                    .iter()
                    .copied()
                    .filter(|id| heads.contains(id) == *named && before.snapshot(*id).is_some())
                    .collect();
                let mut ids: Vec<i64> = pick(&candidates, *choice).copied().into_iter().collect();
                ids.extend((choice.is_multiple_of(3)).then_some(4711));
                ids.extend(candidates.first().filter(|first| choice.is_multiple_of(2) && !ids.contains(first)));
                vec![json!({"action": "remove-snapshots", "snapshot-ids": ids})]
            }
            Self::RemoveSpecs(choice) => {
                vec![json!({"action": "remove-partition-specs", "spec-ids": [id_of(&spec_ids(), *choice)]})]
            }
            Self::RemoveSchemas(choice) => {
                vec![json!({"action": "remove-schemas", "schema-ids": [id_of(&schema_ids(), *choice)]})]
            }
            Self::Upgrade(choice) => vec![json!({"action": "upgrade-format-version", "format-version": choice % 3 + 1})],
            Self::SetLocation(choice) => vec![json!({
                "action": "set-location",
                "location": format!("s3://b/t{}{}", choice % 4, &"//"[..usize::from(choice % 3)]),
            })],
            Self::AssignUuid(other) => {
                let uuid = if *other { Uuid::from_u128(u128::from(counter.unsigned_abs())).to_string() } else { UUID.to_owned() };
                vec![json!({"action": "assign-uuid", "uuid": uuid})]
            }
            // One id, one key: whether another key may take the place of the first is not the same everywhere.
            Self::AddKey(_) if table.format_version < 3 => Vec::new(),
            Self::AddKey(choice) => vec![json!({
                "action": "add-encryption-key",
                "encryption-key": {"key-id": format!("k{}", choice % 3), "encrypted-key-metadata": "bm90aGluZw=="},
            })],
            Self::RemoveKey(choice) => vec![json!({"action": "remove-encryption-key", "key-id": format!("k{}", choice % 3)})],
        }
    }
}

/// The current schema with one thing changed, or one that the table has had before.
fn changed_schema(table: &TableMetadata, how: u8, choice: u8, kind: u8) -> Value {
    let schema = table.current_schema().unwrap();
    let mut json = serde_json::to_value(schema).unwrap();
    let fields = json["fields"].as_array_mut().unwrap();
    let next = table.last_column_id + 1;
    let some = usize::from(choice) % fields.len();
    let types = if table.format_version >= 3 { &TYPES[..] } else { &TYPES[..9] };
    match how % 6 {
        0 | 1 => {
            let name = format!("c{next}");
            fields.push(json!({"id": next, "name": name, "required": false, "type": pick(types, kind).unwrap(), "doc": "new"}));
        }
        2 => {
            let nested = match kind % 3 {
                0 => json!({"type": "list", "element-id": next + 1, "element": "string", "element-required": false}),
                1 => json!({"type": "struct", "fields": [{"id": next + 1, "name": "x", "required": true, "type": "int"}]}),
                _ => json!({
                    "type": "map", "key-id": next + 1, "key": "string", "value-id": next + 2, "value": "long", "value-required": true,
                }),
            };
            fields.push(json!({"id": next, "name": format!("c{next}"), "required": false, "type": nested}));
        }
        // Refused where the default spec or order is made from it.
        3 if fields.len() > 1 => drop(fields.remove(some)),
        4 => fields[some]["name"] = json!(format!("r{next}_{choice}")),
        _ => json = serde_json::to_value(pick(&table.schemas, choice).unwrap()).unwrap(),
    }
    let fields = json["fields"].as_array().unwrap().clone();
    if let Some(identifier) = fields.iter().find(|field| field["id"] == 1 && field["required"] == true) {
        json["identifier-field-ids"] = if choice.is_multiple_of(2) { json!([identifier["id"]]) } else { json!([]) };
    } else {
        json.as_object_mut().unwrap().remove("identifier-field-ids");
    }
    json
}

fn spec_fields(table: &TableMetadata, chosen: &[(u8, u8)], with_ids: bool) -> Vec<Value> {
    let columns = columns(table.current_schema().unwrap());
    let known: HashMap<&str, Option<i32>> =
        table.partition_specs.iter().flat_map(|spec| &spec.fields).map(|field| (field.name.as_str(), field.field_id)).collect();
    let mut last = table.last_partition_id;
    let mut used = HashSet::new();
    let mut fields = Vec::new();
    for (column, how) in chosen {
        let Some((id, primitive)) = pick(&columns, *column) else { continue };
        if !used.insert(*id) {
            continue;
        }
        let transform = transform(primitive, *how);
        let name = format!("p_{id}_{transform}");
        let mut field = json!({"source-id": id, "transform": transform, "name": name});
        if with_ids {
            last += 1;
            field["field-id"] = json!(known.get(name.as_str()).copied().flatten().unwrap_or(last));
        }
        fields.push(field);
    }
    fields
}

/// The other's arrays come out of hash maps.
fn sorted(mut json: Value) -> Value {
    for (array, key) in [
        ("schemas", "schema-id"),
        ("partition-specs", "spec-id"),
        ("sort-orders", "order-id"),
        ("snapshots", "snapshot-id"),
        ("statistics", "snapshot-id"),
        ("partition-statistics", "snapshot-id"),
        ("encryption-keys", "key-id"),
    ] {
        if let Some(array) = json.get_mut(array).and_then(Value::as_array_mut) {
            array.sort_by_key(|item| (item[key].as_i64(), item[key].as_str().map(str::to_owned)));
        }
    }
    json
}

/// Metadata as both have it, without what differs on purpose.
fn comparable(metadata: &Oracle, removed: &HashSet<i64>, added: &HashSet<i64>) -> Value {
    let mut json = sorted(serde_json::to_value(metadata).unwrap());
    json.as_object_mut().unwrap().remove("last-updated-ms");
    for statistics in ["statistics", "partition-statistics"] {
        if let Some(files) = json.get_mut(statistics).and_then(Value::as_array_mut) {
            files.retain(|file| !removed.contains(&file["snapshot-id"].as_i64().unwrap()));
            if files.is_empty() {
                json.as_object_mut().unwrap().remove(statistics);
            }
        }
    }
    if let Some(log) = json.get_mut("snapshot-log").and_then(Value::as_array_mut) {
        log.dedup_by(|later, earlier| later["snapshot-id"] == earlier["snapshot-id"]);
        for entry in log {
            if !added.contains(&entry["snapshot-id"].as_i64().unwrap()) {
                entry.as_object_mut().unwrap().remove("timestamp-ms");
            }
        }
    }
    json
}

fn read(metadata: &TableMetadata) -> Oracle {
    let json = metadata.to_json().unwrap();
    let read: Oracle = serde_json::from_slice(&json)
        .unwrap_or_else(|error| panic!("what the catalog writes must be readable: {error}\n{}", String::from_utf8_lossy(&json)));
    let again = TableMetadata::parse(&json).unwrap();
    assert_eq!(again, *metadata, "the catalog must read what it writes");
    read
}

struct OracleResult {
    metadata: Oracle,
    expired: Vec<String>,
}

fn oracle(base: &Oracle, file: &str, requirements: &[Value], updates: &[Value]) -> iceberg::Result<OracleResult> {
    for requirement in requirements {
        serde_json::from_value::<TableRequirement>(requirement.clone()).unwrap().check(Some(base))?;
    }
    let mut builder = base.clone().into_builder(Some(file.to_owned()));
    for update in updates {
        builder = serde_json::from_value::<TableUpdate>(update.clone()).unwrap().apply(builder)?;
    }
    let built = builder.build()?;
    let expired = built.expired_metadata_logs.into_iter().map(|entry| entry.metadata_file).collect();
    Ok(OracleResult { metadata: built.metadata, expired })
}

fn typed(updates: &[Value]) -> Vec<Update> {
    updates.iter().map(|update| serde_json::from_value(update.clone()).unwrap()).collect()
}

/// Whether the catalog may refuse what the other accepts.
fn known_difference(error: &Error) -> bool {
    let message = error.message();
    (error.kind() == Kind::CommitFailed && message.starts_with("Cannot remove snapshot"))
        || message.starts_with("Cannot reassign uuid")
}

/// A requirement that holds, or now and then one that does not.
fn requirement(table: &TableMetadata, choice: u8) -> Value {
    let off = i32::from(choice > 240);
    match choice % 8 {
        0 if off == 1 => json!({"type": "assert-create"}),
        0 => json!({"type": "assert-table-uuid", "uuid": table.table_uuid}),
        1 => json!({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": match table.current_snapshot_id {
            Some(id) => json!(id + i64::from(off)),
            None if off == 1 => json!(4711),
            None => Value::Null,
        }}),
        2 => json!({"type": "assert-ref-snapshot-id", "ref": if off == 1 { "main" } else { "none" }, "snapshot-id": null}),
        3 => json!({"type": "assert-last-assigned-field-id", "last-assigned-field-id": table.last_column_id + off}),
        4 => json!({"type": "assert-current-schema-id", "current-schema-id": table.current_schema_id + off}),
        5 => json!({"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": table.last_partition_id + off}),
        6 => json!({"type": "assert-default-spec-id", "default-spec-id": table.default_spec_id + off}),
        _ => json!({"type": "assert-default-sort-order-id", "default-sort-order-id": table.default_sort_order_id + off}),
    }
}

fn create(version: u8, clock: &Clock) -> TableMetadata {
    let updates = typed(&[
        json!({"action": "assign-uuid", "uuid": UUID}),
        json!({"action": "upgrade-format-version", "format-version": version}),
        json!({"action": "add-schema", "schema": {"type": "struct", "fields": [
            {"id": 1, "name": "id", "required": true, "type": "long"},
            {"id": 2, "name": "at", "required": false, "type": "timestamptz"},
            {"id": 3, "name": "data", "required": false, "type": "string"},
        ]}}),
        json!({"action": "set-current-schema", "schema-id": -1}),
        json!({"action": "add-spec", "spec": {"fields": []}}),
        json!({"action": "set-default-spec", "spec-id": -1}),
        json!({"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}}),
        json!({"action": "set-default-sort-order", "sort-order-id": -1}),
        json!({"action": "set-location", "location": "s3://b/t"}),
        json!({"action": "set-properties", "updates": {}}),
    ]);
    apply(None, &[Requirement::AssertCreate], &updates, clock.now()).unwrap().unwrap().metadata
}

/// What became of the commits, so that the test can tell that it tested something.
type Tally = RefCell<BTreeMap<String, u32>>;

fn run(version: u8, commits: &[(u8, Vec<Op>)], tally: &Tally) -> Result<(), TestCaseError> {
    let clock = Clock::System;
    let mut table = create(version, &clock);
    let mut counter = 0;
    for (number, (check, ops)) in commits.iter().enumerate() {
        let file = format!("s3://b/t/metadata/{number:05}.metadata.json");
        let base = Base { metadata: &table, file: &file };
        let theirs_before = read(&table);
        let requirements = [requirement(&table, *check)];
        let wanted: Vec<Requirement> =
            requirements.iter().map(|requirement| serde_json::from_value(requirement.clone()).unwrap()).collect();
        // Each op is made for what the table is after those before it; the first one that is refused is the last.
        let mut updates = Vec::new();
        let mut state = table.clone();
        for op in ops {
            updates.extend(op.updates(&table, &state, &mut counter, clock.now().timestamp_millis()));
            match apply(Some(base), &[], &typed(&updates), clock.now()) {
                Ok(Some(applied)) => state = applied.metadata,
                Ok(None) => state = table.clone(),
                Err(_) => break,
            }
        }
        let ours = apply(Some(base), &wanted, &typed(&updates), clock.now());
        let theirs = oracle(&theirs_before, &file, &requirements, &updates);
        let context = || format!("{updates:#?}\n{requirements:?}\non {}", String::from_utf8_lossy(&table.to_json().unwrap()));
        let count = |what: String| *tally.borrow_mut().entry(what).or_default() += 1;
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                for update in &updates {
                    count(format!("accepted {}", update["action"].as_str().unwrap()));
                }
                count(if ours.is_some() { "changed".to_owned() } else { "unchanged".to_owned() });
                compare(&table, ours.as_ref(), &theirs, &context)?;
                if let Some(ours) = ours {
                    table = ours.metadata;
                }
            }
            (Err(ours), Err(_)) => count(format!("refused as {:?}", ours.kind())),
            (Err(ours), Ok(_)) => {
                prop_assert!(known_difference(&ours), "only the catalog refuses: {}\n{}", ours, context());
                count("refused on purpose".to_owned());
            }
            (Ok(_), Err(theirs)) => prop_assert!(false, "only the other refuses: {theirs}\n{}", context()),
        }
    }
    Ok(())
}

fn compare(
    before: &TableMetadata,
    ours: Option<&Applied>,
    theirs: &OracleResult,
    context: &dyn Fn() -> String,
) -> Result<(), TestCaseError> {
    let ids = |table: &TableMetadata| table.snapshots.iter().map(|snapshot| snapshot.snapshot_id).collect::<HashSet<i64>>();
    let after = ours.map_or(before, |applied| &applied.metadata);
    let removed = &ids(before) - &ids(after);
    let added = &ids(after) - &ids(before);
    let mut we = comparable(&read(after), &removed, &added);
    let mut they = comparable(&theirs.metadata, &removed, &added);
    match ours {
        // The other makes a new version of a table in any case.
        None => [&mut we, &mut they].map(|json| drop(json.as_object_mut().unwrap().remove("metadata-log"))).into_iter().collect(),
        Some(ours) => prop_assert_eq!(&ours.expired_files, &theirs.expired, "{}", context()),
    }
    prop_assert_eq!(we, they, "{}", context());
    prop_assert!(after.last_updated_ms >= before.last_updated_ms);
    prop_assert!(after.snapshot_log.last().is_none_or(|entry| entry.timestamp_ms <= after.last_updated_ms));
    let numbered = |new: &&Snapshot| !added.contains(&new.snapshot_id) || new.sequence_number <= after.last_sequence_number;
    prop_assert!(after.format_version == 1 || after.snapshots.iter().filter(numbered).count() == after.snapshots.len());
    Ok(())
}

#[test]
fn random_commits_make_the_same_metadata_as_the_iceberg_crate_does() {
    let tally = Tally::default();
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let commits = prop::collection::vec((any::<u8>(), prop::collection::vec(op(), 1..5)), 1..14);
    let result = TestRunner::new(config).run(&(1_u8..=3, commits), |(version, commits)| run(version, &commits, &tally));
    if let Err(error) = result {
        panic!("{error}");
    }
    let tally = tally.into_inner();
    for action in [
        "add-schema",
        "set-current-schema",
        "add-spec",
        "set-default-spec",
        "add-sort-order",
        "set-default-sort-order",
        "add-snapshot",
        "set-snapshot-ref",
        "remove-snapshot-ref",
        "remove-snapshots",
        "set-statistics",
        "upgrade-format-version",
        "remove-schemas",
        "remove-partition-specs",
        "add-encryption-key",
    ] {
        assert!(
            tally.get(&format!("accepted {action}")).is_some_and(|count| *count > 3),
            "{action} is hardly tested: {tally:#?}"
        );
    }
    for outcome in ["changed", "unchanged", "refused as Invalid", "refused as CommitFailed", "refused on purpose"] {
        assert!(tally.contains_key(outcome), "no commit was {outcome}: {tally:#?}");
    }
}
