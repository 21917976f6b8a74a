use serde_json::{Value, json};

use super::*;
use crate::model::Kind;

const NOW_MS: i64 = 1_700_000_000_000;
const UUID: &str = "8b1e1b53-8a5e-4d0c-9d5c-2f4a8d3b6c11";
const FILE: &str = "s3://b/t/metadata/00007.metadata.json";

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap()
}

fn typed(updates: Value) -> Vec<Update> {
    serde_json::from_value(updates).unwrap()
}

/// The table after a commit, which changes something.
fn commit(base: &TableMetadata, updates: Value) -> TableMetadata {
    commit_at(base, updates, NOW_MS)
}

fn commit_at(base: &TableMetadata, updates: Value, now_ms: i64) -> TableMetadata {
    let base = Base { metadata: base, file: FILE };
    apply(Some(base), &[], &typed(updates), at(now_ms)).unwrap().expect("a change").metadata
}

fn refused(base: &TableMetadata, updates: Value) -> (Kind, String) {
    let error = apply(Some(Base { metadata: base, file: FILE }), &[], &typed(updates), at(NOW_MS)).unwrap_err();
    (error.kind(), error.message().to_owned())
}

fn assert_refused(base: &TableMetadata, updates: Value, kind: Kind, part: &str) {
    let (found, message) = refused(base, updates);
    assert!(found == kind && message.contains(part), "{found:?}: {message}");
}

fn create(version: u8, fields: &Value) -> Result<TableMetadata> {
    let updates = typed(json!([
        {"action": "assign-uuid", "uuid": UUID},
        {"action": "upgrade-format-version", "format-version": version},
        {"action": "add-schema", "schema": {"type": "struct", "fields": fields}},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": {"fields": []}},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-location", "location": "s3://b/t/"},
    ]));
    Ok(apply(None, &[Requirement::AssertCreate], &updates, at(NOW_MS))?.expect("a new table").metadata)
}

fn fields() -> Value {
    json!([
        {"id": 1, "name": "id", "required": true, "type": "long"},
        {"id": 2, "name": "at", "required": false, "type": "timestamptz"},
        {"id": 3, "name": "data", "required": false, "type": "string"},
    ])
}

fn table(version: u8) -> TableMetadata {
    create(version, &fields()).unwrap()
}

/// A snapshot with what formats 2 and 3 demand; `id` is also its sequence number and its first row id is `id * 10`.
fn snapshot(id: i64) -> Value {
    json!({
        "snapshot-id": id, "sequence-number": id, "timestamp-ms": NOW_MS + id, "manifest-list": format!("s3://b/t/{id}.avro"),
        "summary": {"operation": "append"}, "schema-id": 0, "first-row-id": id * 10, "added-rows": 10,
    })
}

fn child(id: i64, parent: i64) -> Value {
    let mut snapshot = snapshot(id);
    snapshot["parent-snapshot-id"] = json!(parent);
    snapshot
}

fn add(snapshot: &Value) -> Value {
    json!({"action": "add-snapshot", "snapshot": snapshot})
}

fn point(name: &str, id: i64) -> Value {
    let kind = if name.starts_with("tag") { "tag" } else { "branch" };
    json!({"action": "set-snapshot-ref", "ref-name": name, "type": kind, "snapshot-id": id})
}

/// A table with snapshots 1 to `count`, each of which was the head of main.
fn history(version: u8, count: i64) -> TableMetadata {
    (1..=count).fold(table(version), |table, id| commit(&table, json!([add(&snapshot(id)), point("main", id)])))
}

fn log(table: &TableMetadata) -> Vec<i64> {
    table.snapshot_log.iter().map(|entry| entry.snapshot_id).collect()
}

fn written(table: &TableMetadata) -> Value {
    let json = table.to_json().unwrap();
    assert_eq!(TableMetadata::parse(&json).unwrap(), *table, "what is written must be read again as it was");
    serde_json::from_slice(&json).unwrap()
}

// Requirements

fn requirement(base: Option<&TableMetadata>, requirement: Value) -> Result<()> {
    requirement::check(&serde_json::from_value(requirement).unwrap(), base)
}

#[test]
fn a_requirement_that_fails_says_so_in_the_words_that_clients_know() {
    let table = commit(&history(2, 1), json!([point("tag1", 1)]));
    for (asked, message) in [
        (json!({"type": "assert-create"}), "table already exists"),
        (
            json!({"type": "assert-table-uuid", "uuid": "00000000-0000-0000-0000-000000000001"}),
            "UUID does not match: expected 8b1e1b53-8a5e-4d0c-9d5c-2f4a8d3b6c11 != 00000000-0000-0000-0000-000000000001",
        ),
        (
            json!({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 7}),
            "branch main has changed: expected id 7 != 1",
        ),
        (json!({"type": "assert-ref-snapshot-id", "ref": "tag1", "snapshot-id": 7}), "tag tag1 has changed: expected id 7 != 1"),
        (json!({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": null}), "branch main was created concurrently"),
        (json!({"type": "assert-ref-snapshot-id", "ref": "tag1"}), "tag tag1 was created concurrently"),
        (json!({"type": "assert-ref-snapshot-id", "ref": "dev", "snapshot-id": 7}), "branch or tag dev is missing, expected 7"),
        (
            json!({"type": "assert-last-assigned-field-id", "last-assigned-field-id": 9}),
            "last assigned field id changed: expected id 9 != 3",
        ),
        (json!({"type": "assert-current-schema-id", "current-schema-id": 9}), "current schema changed: expected id 9 != 0"),
        (
            json!({"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 9}),
            "last assigned partition id changed: expected id 9 != 999",
        ),
        (json!({"type": "assert-default-spec-id", "default-spec-id": 9}), "default partition spec changed: expected id 9 != 0"),
        (
            json!({"type": "assert-default-sort-order-id", "default-sort-order-id": 9}),
            "default sort order changed: expected id 9 != 0",
        ),
    ] {
        let error = requirement(Some(&table), asked).unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::CommitFailed, format!("Requirement failed: {message}").as_str()));
    }
}

#[test]
fn requirements_that_hold_are_passed_over() {
    let table = history(2, 1);
    for asked in [
        json!({"type": "assert-table-uuid", "uuid": UUID.to_uppercase()}),
        json!({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 1}),
        json!({"type": "assert-ref-snapshot-id", "ref": "dev", "snapshot-id": null}),
        json!({"type": "assert-last-assigned-field-id", "last-assigned-field-id": 3}),
        json!({"type": "assert-current-schema-id", "current-schema-id": 0}),
        json!({"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 999}),
        json!({"type": "assert-default-spec-id", "default-spec-id": 0}),
        json!({"type": "assert-default-sort-order-id", "default-sort-order-id": 0}),
    ] {
        requirement(Some(&table), asked).unwrap();
    }
    requirement(None, json!({"type": "assert-create"})).unwrap();
    let error = requirement(None, json!({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 7})).unwrap_err();
    assert_eq!(error.message(), "Requirement failed: branch or tag main is missing, expected 7");
}

#[test]
fn what_is_no_requirement_or_update_is_not_skipped_in_silence() {
    assert!(serde_json::from_value::<Requirement>(json!({"type": "assert-luck"})).is_err());
    assert!(serde_json::from_value::<Update>(json!({"action": "set-luck", "luck": 3})).is_err());
}

// Schemas, specs, orders

#[test]
fn the_last_added_one_is_what_minus_one_stands_for() {
    let table = commit(
        &table(2),
        json!([
            {"action": "add-schema", "schema": {"type": "struct", "fields": [{"id": 4, "name": "x", "required": false, "type": "int"}]}},
            {"action": "set-current-schema", "schema-id": -1},
            {"action": "add-spec", "spec": {"fields": [{"source-id": 4, "transform": "identity", "name": "x"}]}},
            {"action": "set-default-spec", "spec-id": -1},
            {"action": "add-sort-order", "sort-order": {"order-id": 7, "fields": [
                {"source-id": 4, "transform": "identity", "direction": "asc", "null-order": "nulls-first"},
            ]}},
            {"action": "set-default-sort-order", "sort-order-id": -1},
        ]),
    );
    assert_eq!((table.current_schema_id, table.default_spec_id, table.default_sort_order_id), (1, 1, 1));
    assert_eq!((table.last_column_id, table.last_partition_id), (4, 1000));
    assert_refused(&table, json!([{"action": "set-current-schema", "schema-id": -1}]), Kind::Invalid, "no schema has been added");
    assert_refused(&table, json!([{"action": "set-default-spec", "spec-id": -1}]), Kind::Invalid, "no spec has been added");
    assert_refused(
        &table,
        json!([{"action": "set-default-sort-order", "sort-order-id": -1}]),
        Kind::Invalid,
        "no sort order has been added",
    );
}

#[test]
fn equal_schemas_specs_and_orders_are_used_again() {
    let spec = json!({"action": "add-spec", "spec": {"spec-id": 9, "fields": [
        {"source-id": 2, "transform": "day", "name": "at_day"},
    ]}});
    let order = json!({"action": "add-sort-order", "sort-order": {"order-id": 9, "fields": [
        {"source-id": 3, "transform": "identity", "direction": "desc", "null-order": "nulls-last"},
    ]}});
    let schema = json!({"action": "add-schema", "schema": {"type": "struct", "schema-id": 9, "fields": fields()}});
    let before = commit(&table(2), json!([spec, order]));
    let set = json!([
        schema, {"action": "set-current-schema", "schema-id": -1},
        spec, {"action": "set-default-spec", "spec-id": -1},
        order, {"action": "set-default-sort-order", "sort-order-id": -1},
    ]);
    let after = commit(&before, set);
    assert_eq!((after.schemas.len(), after.partition_specs.len(), after.sort_orders.len()), (1, 2, 2));
    assert_eq!((after.current_schema_id, after.default_spec_id, after.default_sort_order_id), (0, 1, 1));
    // Identifier fields make another schema, in whatever order they are.
    let identified = json!({"action": "add-schema", "schema": {
        "type": "struct", "identifier-field-ids": [1], "fields": fields(),
    }});
    assert_eq!(commit(&after, json!([identified])).schemas.len(), 2);
}

#[test]
fn a_partition_field_that_comes_back_has_its_old_id() {
    let day = json!({"source-id": 2, "transform": "day", "name": "at_day"});
    let bucket = json!({"source-id": 1, "transform": "bucket[4]", "name": "id_bucket"});
    let spec = |fields: Value| json!([{"action": "add-spec", "spec": {"fields": fields}}]);
    let one = commit(&table(2), spec(json!([day])));
    let two = commit(&one, spec(json!([bucket, day])));
    let ids: Vec<_> = two.partition_specs[2].fields.iter().map(|field| field.field_id).collect();
    assert_eq!((ids, two.last_partition_id), (vec![Some(1001), Some(1000)], 1001));
    // In format 1 ids are places.
    let one = commit(&table(1), spec(json!([day])));
    assert_refused(&one, spec(json!([bucket, day])), Kind::Invalid, "sequential IDs");
}

#[test]
fn a_spec_that_cannot_be_is_refused() {
    let nested = json!([
        {"id": 1, "name": "id", "required": true, "type": "long"},
        {"id": 2, "name": "s", "required": false, "type": {"type": "struct", "fields": [
            {"id": 3, "name": "x", "required": false, "type": "int"},
        ]}},
        {"id": 4, "name": "l", "required": false, "type": {
            "type": "list", "element-id": 5, "element": "string", "element-required": true,
        }},
    ]);
    let table = create(2, &nested).unwrap();
    let spec = |source: i32, transform: &str, name: &str| json!([{"action": "add-spec", "spec": {"fields": [{"source-id": source, "transform": transform, "name": name}]}}]);
    for (updates, part) in [
        (spec(9, "identity", "p"), "Cannot find source column"),
        (spec(2, "identity", "p"), "does not apply"),
        (spec(1, "hour", "p"), "does not apply"),
        (spec(1, "sieve", "p"), "Unknown transform"),
        (spec(1, "bucket[0]", "p"), "Unknown transform"),
        (spec(1, "identity", ""), "empty partition name"),
        (spec(1, "bucket[4]", "id"), "exists in schema"),
        (spec(1, "identity", "s.x"), "exists in schema"),
        (spec(5, "identity", "p"), "inside a list or map"),
    ] {
        assert_refused(&table, updates, Kind::Invalid, part);
    }
    commit(&table, spec(3, "identity", "s.x"));
    commit(&table, spec(9, "void", "gone"));
    let twice = json!({"source-id": 1, "transform": "identity", "name": "p", "field-id": 1000});
    let again = json!({"source-id": 3, "transform": "identity", "name": "q", "field-id": 1000});
    let spec = |fields: Value| json!([{"action": "add-spec", "spec": {"fields": fields}}]);
    assert_refused(&table, spec(json!([twice, twice])), Kind::Invalid, "name more than once");
    assert_refused(&table, spec(json!([twice, again])), Kind::Invalid, "field id more than once");
}

#[test]
fn a_schema_that_leaves_the_default_spec_or_order_without_a_column_is_refused() {
    let less = json!({"action": "add-schema", "schema": {"type": "struct", "fields": [fields()[0]]}});
    let switch = json!({"action": "set-current-schema", "schema-id": -1});
    let by_day = json!([
        {"action": "add-spec", "spec": {"fields": [{"source-id": 2, "transform": "day", "name": "at_day"}]}},
        {"action": "set-default-spec", "spec-id": -1},
    ]);
    let partitioned = commit(&table(2), by_day);
    assert_refused(&partitioned, json!([less, switch]), Kind::Invalid, "Cannot find source column for partition field: 2");
    // Whatever the order: only what holds in the end counts.
    commit(&partitioned, json!([less, switch, {"action": "set-default-spec", "spec-id": 0}]));
    let ordered = commit(
        &table(2),
        json!([
            {"action": "add-sort-order", "sort-order": {"order-id": 1, "fields": [
                {"source-id": 3, "transform": "identity", "direction": "asc", "null-order": "nulls-first"},
            ]}},
            {"action": "set-default-sort-order", "sort-order-id": -1},
        ]),
    );
    assert_refused(&ordered, json!([less, switch]), Kind::Invalid, "Cannot find source column for sort field: 3");
}

#[test]
fn what_is_in_use_or_unknown_cannot_be_removed_or_set() {
    let table = history(2, 1);
    for (update, part) in [
        (json!({"action": "remove-schemas", "schema-ids": [0]}), "Cannot remove the current schema"),
        (json!({"action": "remove-partition-specs", "spec-ids": [0]}), "Cannot remove the default partition spec"),
        (json!({"action": "set-current-schema", "schema-id": 5}), "unknown schema: 5"),
        (json!({"action": "set-default-spec", "spec-id": 5}), "unknown spec: 5"),
        (json!({"action": "set-default-sort-order", "sort-order-id": 5}), "unknown sort order: 5"),
        (point("dev", 5), "Cannot set dev to unknown snapshot: 5"),
        (json!({"action": "assign-uuid", "uuid": "00000000-0000-0000-0000-000000000001"}), "Cannot reassign uuid"),
        (json!({"action": "set-properties", "updates": {"current-schema": "x"}}), "reserved table property"),
    ] {
        assert_refused(&table, json!([update]), Kind::Invalid, part);
    }
}

#[test]
fn a_schema_that_cannot_be_is_refused() {
    let field = |id: i32, name: &str, r#type: Value| json!({"id": id, "name": name, "required": false, "type": r#type});
    let inner = json!({"type": "struct", "fields": [field(2, "b", json!("int"))]});
    for (fields, part) in [
        (json!([field(1, "a", json!("int")), field(1, "b", json!("int"))]), "the id 1"),
        (json!([field(1, "a", json!("int")), field(2, "a", json!("int"))]), "the name a"),
        (json!([field(1, "a", inner), field(3, "a.b", json!("int"))]), "the name a.b"),
        (json!([field(-5, "a", json!("int"))]), "negative id"),
        (json!([field(1, "a", json!("variant"))]), "needs v3"),
        (json!([field(1, "a", json!("timestamp_ns"))]), "needs v3"),
        (
            json!([field(1, "a", json!({"type": "list", "element-id": 2, "element": "unknown", "element-required": false}))]),
            "needs v3",
        ),
    ] {
        let error = create(2, &fields).unwrap_err();
        assert!(error.kind() == Kind::Invalid && error.message().contains(part), "{error}");
    }
}

#[test]
fn identifier_fields_are_required_primitive_columns() {
    let fields = json!([
        {"id": 1, "name": "opt", "required": false, "type": "int"},
        {"id": 2, "name": "real", "required": true, "type": "double"},
        {"id": 3, "name": "any", "required": true, "type": "variant"},
        {"id": 4, "name": "s", "required": false, "type": {"type": "struct", "fields": [
            {"id": 5, "name": "x", "required": true, "type": "int"},
        ]}},
        {"id": 6, "name": "l", "required": true, "type": {
            "type": "list", "element-id": 7, "element": "int", "element-required": true,
        }},
        {"id": 8, "name": "ok", "required": true, "type": "int"},
    ]);
    let table = create(3, &fields).unwrap();
    let identified =
        |id: i32| json!([{"action": "add-schema", "schema": {"type": "struct", "identifier-field-ids": [id], "fields": fields}}]);
    for (id, part) in [
        (1, "not a required field"),
        (2, "float or double"),
        (3, "not a primitive"),
        (4, "not a primitive"),
        (5, "not a required field"),
        (7, "inside a list or map"),
        (9, "not in the schema"),
    ] {
        assert_refused(&table, identified(id), Kind::Invalid, part);
    }
    commit(&table, identified(8));
}

// Default values

#[test]
fn an_initial_default_needs_a_format_whose_readers_know_it() {
    let with = |name: &str, value: Value| {
        let mut field = json!({"id": 1, "name": "a", "required": false, "type": "int"});
        field[name] = value;
        json!([field])
    };
    for version in [1, 2] {
        let error = create(version, &with("initial-default", json!(3))).unwrap_err();
        assert!(error.message().contains("non-null default (3) is not supported until v3"), "{error}");
        // Rows that are there are not read otherwise because of it.
        create(version, &with("write-default", json!(3))).unwrap();
        create(version, &with("initial-default", Value::Null)).unwrap();
    }
    let table = create(3, &with("initial-default", json!(3))).unwrap();
    assert_eq!(written(&table)["schemas"][0]["fields"][0]["initial-default"], json!(3));
    for r#type in ["unknown", "variant", "geometry", "geography(OGC:CRS84)"] {
        let mut fields = with("write-default", json!(3));
        fields[0]["type"] = json!(r#type);
        let error = create(3, &fields).unwrap_err();
        assert!(error.message().contains("must default to null"), "{error}");
    }
}

#[test]
fn a_column_of_type_unknown_is_optional_whatever_is_around_it() {
    let inside = |required: bool| {
        json!([{"id": 1, "name": "s", "required": false, "type": {"type": "struct", "fields": [
            {"id": 2, "name": "x", "required": required, "type": "unknown"},
        ]}}])
    };
    assert!(create(3, &inside(true)).unwrap_err().message().contains("must be optional"));
    create(3, &inside(false)).unwrap();
    let key = json!([{"id": 1, "name": "m", "required": false, "type": {
        "type": "map", "key-id": 2, "key": "unknown", "value-id": 3, "value": "int", "value-required": false,
    }}]);
    assert!(create(3, &key).unwrap_err().message().contains("must be optional"));
}

// Formats

#[test]
fn a_table_moves_up_from_format_1_to_3_and_never_down() {
    let mut first = snapshot(1);
    first.as_object_mut().unwrap().remove("sequence-number");
    let v1 = commit(&table(1), json!([add(&first), point("main", 1)]));
    assert_eq!((v1.last_sequence_number, v1.next_row_id), (None, None));
    let v2 = commit(&v1, json!([{"action": "upgrade-format-version", "format-version": 2}]));
    let json = written(&v2);
    assert_eq!((&json["format-version"], &json["last-sequence-number"]), (&json!(2), &json!(0)));
    assert_eq!(json["snapshots"][0]["sequence-number"], json!(0), "the older format has none, this one demands one");
    assert!(json.get("schema").is_none() && json.get("partition-spec").is_none() && json.get("next-row-id").is_none());
    let v3 = commit(&v2, json!([{"action": "set-properties", "updates": {"format-version": "3"}}]));
    assert_eq!((v3.format_version, v3.next_row_id), (3, Some(0)));
    assert!(!v3.properties.contains_key("format-version"));
    assert_refused(
        &v3,
        json!([{"action": "upgrade-format-version", "format-version": 2}]),
        Kind::Invalid,
        "Cannot downgrade v3 table to v2",
    );
    assert_refused(
        &v3,
        json!([{"action": "upgrade-format-version", "format-version": 4}]),
        Kind::Invalid,
        "Cannot upgrade table to unsupported format version: v4 (supported: v3)",
    );
    let straight = commit(&v1, json!([{"action": "upgrade-format-version", "format-version": 3}]));
    assert_eq!((straight.last_sequence_number, straight.next_row_id), (Some(0), Some(0)));
}

#[test]
fn a_snapshot_has_what_the_format_demands() {
    let without = |name: &str| {
        let mut snapshot = snapshot(1);
        snapshot.as_object_mut().unwrap().remove(name);
        json!([add(&snapshot)])
    };
    assert_refused(&table(2), without("sequence-number"), Kind::Invalid, "no sequence number");
    assert_refused(&table(2), without("manifest-list"), Kind::Invalid, "no manifest list");
    assert_refused(&table(3), without("first-row-id"), Kind::Invalid, "first-row-id is null");
    assert_refused(&table(3), without("added-rows"), Kind::Invalid, "added-rows is null");
    // A table of format 1 with a sequence number could not be read any more, nor moved up.
    assert_refused(&table(1), json!([add(&snapshot(1))]), Kind::Invalid, "Sequence number must be 0 in v1: 1");
    let mut listed = snapshot(1);
    listed["sequence-number"] = json!(0);
    listed.as_object_mut().unwrap().remove("manifest-list");
    listed["manifests"] = json!(["s3://b/t/m1.avro"]);
    commit(&table(1), json!([add(&listed)]));
    let mut negative = snapshot(1);
    negative["added-rows"] = json!(-1);
    assert_refused(&table(3), json!([add(&negative)]), Kind::Invalid, "Invalid added-rows: -1");
}

#[test]
fn encryption_keys_need_format_3_and_are_never_exchanged() {
    let key = |text: &str| {
        json!([{"action": "add-encryption-key", "encryption-key": {
            "key-id": "k", "encrypted-key-metadata": text, "encrypted-by-id": "kek", "properties": {"a": "b"},
        }}])
    };
    assert_refused(&table(2), key("eA=="), Kind::Invalid, "need v3");
    let table = commit(&table(3), key("eA=="));
    assert_eq!(written(&table)["encryption-keys"][0]["encrypted-by-id"], json!("kek"));
    assert!(apply(Some(Base { metadata: &table, file: FILE }), &[], &typed(key("eA==")), at(NOW_MS)).unwrap().is_none());
    assert_refused(&table, key("eQ=="), Kind::Invalid, "Encryption key already exists: k");
    let removed = commit(&table, json!([{"action": "remove-encryption-key", "key-id": "k"}]));
    assert!(removed.encryption_keys.is_empty());
}

// Snapshots, references, logs

#[test]
fn a_snapshot_made_on_older_metadata_can_be_made_again() {
    let table = history(2, 3);
    let mut stale = child(4, 3);
    stale["sequence-number"] = json!(3);
    assert_refused(
        &table,
        json!([add(&stale)]),
        Kind::CommitFailed,
        "Cannot add snapshot with sequence number 3 older than last sequence number 3",
    );
    assert_refused(&table, json!([add(&snapshot(3))]), Kind::Invalid, "Snapshot already exists for id: 3");
    // One without a parent starts anew; what is counted goes on.
    stale.as_object_mut().unwrap().remove("parent-snapshot-id");
    assert_eq!(commit(&table, json!([add(&stale)])).last_sequence_number, Some(3));
}

#[test]
fn row_ids_are_never_given_twice() {
    let table = history(3, 2);
    assert_eq!(table.next_row_id, Some(30));
    let mut stale = child(3, 2);
    stale["first-row-id"] = json!(29);
    assert_refused(
        &table,
        json!([add(&stale)]),
        Kind::CommitFailed,
        "Cannot add a snapshot, first-row-id is behind table next-row-id: 29 < 30",
    );
    let mut gap = child(3, 2);
    gap["first-row-id"] = json!(100);
    assert_eq!(commit(&table, json!([add(&gap)])).next_row_id, Some(110), "behind the rows of the snapshot, not in the gap");
}

#[test]
fn heads_of_main_that_nobody_saw_are_not_in_the_log() {
    let table = history(2, 1);
    let updates = json!([add(&snapshot(2)), point("main", 2), add(&child(3, 2)), point("main", 3)]);
    let after = commit(&table, updates);
    assert_eq!((log(&after), after.current_snapshot_id, after.snapshots.len()), (vec![1, 3], Some(3), 3));
    // Back to a head that was there before, past one that was not.
    let back = commit(&table, json!([add(&snapshot(2)), point("main", 2), point("main", 1), point("dev", 2)]));
    assert_eq!((log(&back).last(), back.current_snapshot_id), (Some(&1), Some(1)));
    assert!(!log(&back).contains(&2));
    // There and back again: the last entry is the current snapshot in any case.
    let again = commit(&table, json!([add(&snapshot(2)), point("main", 2), point("main", 1), point("main", 2)]));
    assert_eq!((log(&again), again.current_snapshot_id), (vec![1, 2, 1, 2], Some(2)));
    let gone = commit(
        &table,
        json!([
            add(&snapshot(2)), point("main", 2), {"action": "remove-snapshot-ref", "ref-name": "main"},
        ]),
    );
    assert_eq!((log(&gone), gone.current_snapshot_id), (vec![1], None));
}

#[test]
fn replacing_a_table_keeps_its_history() {
    let table = history(2, 2);
    let removed = commit(&table, json!([{"action": "remove-snapshot-ref", "ref-name": "main"}]));
    assert_eq!((log(&removed), removed.current_snapshot_id, removed.refs.len()), (vec![1, 2], None, 0));
    let replaced = commit(
        &table,
        json!([
            {"action": "remove-snapshot-ref", "ref-name": "main"}, add(&snapshot(3)), point("main", 3),
        ]),
    );
    assert_eq!((log(&replaced), replaced.current_snapshot_id), (vec![1, 2, 3], Some(3)));
}

#[test]
fn what_lies_before_a_removed_snapshot_leaves_the_log() {
    let table = history(2, 4);
    let remove = |ids: Value| json!([{"action": "remove-snapshots", "snapshot-ids": ids}]);
    assert_eq!(log(&commit(&table, remove(json!([1])))), vec![2, 3, 4]);
    let holed = commit(&table, remove(json!([2])));
    assert_eq!(log(&holed), vec![3, 4], "or 1 would seem to have been current while 2 was");
    assert_eq!(holed.snapshots.len(), 3);
    let statistics = json!([
        {"action": "set-statistics", "snapshot-id": 1, "statistics": {"snapshot-id": 1, "statistics-path": "s3://b/t/1"}},
        {"action": "set-partition-statistics", "partition-statistics": {"snapshot-id": 1, "statistics-path": "s3://b/t/p1"}},
    ]);
    let counted = commit(&table, statistics);
    let removed = commit(&counted, remove(json!([1, 4711])));
    assert_eq!((removed.statistics.len(), removed.partition_statistics.len()), (0, 0));
}

#[test]
fn a_snapshot_that_a_reference_names_stays() {
    let table = commit(&history(2, 2), json!([point("tag1", 1)]));
    let remove = json!({"action": "remove-snapshots", "snapshot-ids": [1]});
    assert_refused(&table, json!([remove]), Kind::CommitFailed, "Cannot remove snapshot 1: tag1 refers to it");
    assert_refused(
        &table,
        json!([{"action": "remove-snapshots", "snapshot-ids": [2]}]),
        Kind::CommitFailed,
        "Cannot remove snapshot 2: main refers to it",
    );
    // With its reference it may go, in either order.
    let unname = json!({"action": "remove-snapshot-ref", "ref-name": "tag1"});
    assert_eq!(commit(&table, json!([unname, remove])).snapshots.len(), 1);
    assert_eq!(commit(&table, json!([remove, unname])).snapshots.len(), 1);
}

#[test]
fn references_have_limits_that_fit_them() {
    let table = history(2, 1);
    let with = |name: &str, limit: &str, value: i64| {
        let mut update = point(name, 1);
        update[limit] = json!(value);
        json!([update])
    };
    assert_refused(&table, with("tag1", "min-snapshots-to-keep", 1), Kind::Invalid, "Tags do not support");
    assert_refused(&table, with("tag1", "max-snapshot-age-ms", 1), Kind::Invalid, "Tags do not support");
    assert_refused(&table, with("dev", "max-ref-age-ms", 0), Kind::Invalid, "greater than 0");
    assert_refused(&table, json!([point("", 1)]), Kind::Invalid, "must not be empty");
    let tag = json!({"action": "set-snapshot-ref", "ref-name": "main", "type": "tag", "snapshot-id": 1});
    assert_refused(&table, json!([tag]), Kind::Invalid, "Cannot set main to a tag");
    let kept = commit(&table, with("main", "min-snapshots-to-keep", 5));
    assert_eq!((kept.refs["main"].min_snapshots_to_keep, log(&kept)), (Some(5), vec![1]), "no new head");
    assert_eq!(kept.last_updated_ms, NOW_MS + 1);
    commit(&table, with("tag1", "max-ref-age-ms", 1));
}

#[test]
fn a_commit_that_changes_nothing_is_none() {
    let table = commit(&history(2, 2), json!([{"action": "set-properties", "updates": {"a": "b"}}]));
    for updates in [
        json!([]),
        json!([{"action": "assign-uuid", "uuid": UUID}]),
        json!([{"action": "upgrade-format-version", "format-version": 2}]),
        json!([{"action": "set-location", "location": "s3://b/t//"}]),
        json!([{"action": "set-properties", "updates": {"a": "b"}}, {"action": "remove-properties", "removals": ["c"]}]),
        json!([{"action": "set-properties", "updates": {"a": "c"}}, {"action": "set-properties", "updates": {"a": "b"}}]),
        json!([point("main", 2)]),
        json!([{"action": "remove-snapshot-ref", "ref-name": "none"}]),
        json!([{"action": "remove-snapshots", "snapshot-ids": [4711]}]),
        json!([{"action": "remove-schemas", "schema-ids": [4711]}, {"action": "remove-partition-specs", "spec-ids": [4711]}]),
        json!([{"action": "add-schema", "schema": {"type": "struct", "fields": fields()}}]),
        json!([{"action": "remove-statistics", "snapshot-id": 1}]),
    ] {
        let base = Base { metadata: &table, file: FILE };
        assert!(apply(Some(base), &[], &typed(updates.clone()), at(NOW_MS + 5)).unwrap().is_none(), "{updates}");
    }
}

#[test]
fn earlier_metadata_files_are_named_up_to_a_limit() {
    let mut table = commit(
        &table(2),
        json!([{"action": "set-properties", "updates": {
            "write.metadata.previous-versions-max": "2",
        }}]),
    );
    let change = |table: &TableMetadata, number: i64| {
        let file = format!("s3://b/t/metadata/{number}.json");
        let updates = typed(json!([{"action": "set-properties", "updates": {"n": number.to_string()}}]));
        apply(Some(Base { metadata: table, file: &file }), &[], &updates, at(NOW_MS + number)).unwrap().unwrap()
    };
    assert_eq!((table.metadata_log[0].metadata_file.as_str(), table.metadata_log[0].timestamp_ms), (FILE, NOW_MS));
    for (number, expired) in [(1, None), (2, Some(FILE)), (3, Some("s3://b/t/metadata/1.json"))] {
        let applied = change(&table, number);
        assert_eq!(applied.expired_files, Vec::from_iter(expired.map(str::to_owned)));
        table = applied.metadata;
    }
    let files: Vec<_> = table.metadata_log.iter().map(|entry| entry.metadata_file.as_str()).collect();
    assert_eq!(files, ["s3://b/t/metadata/2.json", "s3://b/t/metadata/3.json"]);
    // A limit in the same commit counts; none is kept less than one file.
    for limit in ["0", "1"] {
        let updates = json!([{"action": "set-properties", "updates": {"write.metadata.previous-versions-max": limit}}]);
        let applied = apply(Some(Base { metadata: &table, file: FILE }), &[], &typed(updates), at(NOW_MS)).unwrap().unwrap();
        assert_eq!((applied.metadata.metadata_log.len(), applied.expired_files.len()), (1, 2), "{limit}");
    }
    let unlimited = commit(
        &table,
        json!([{"action": "set-properties", "updates": {
            "write.metadata.previous-versions-max": "many",
        }}]),
    );
    let long = (0..150).fold(unlimited, |table, number| change(&table, number).metadata);
    assert_eq!(long.metadata_log.len(), 100);
}

// Clocks

#[test]
fn time_never_runs_backwards_in_the_metadata() {
    let table = history(2, 2);
    let base_ms = table.last_updated_ms;
    let early = commit_at(&table, json!([{"action": "set-properties", "updates": {"a": "b"}}]), base_ms - 3_600_000);
    assert_eq!(early.last_updated_ms, base_ms);
    // A writer whose clock is slow, but not slower than readers tolerate.
    let mut slow = child(3, 2);
    slow["timestamp-ms"] = json!(base_ms - 59_000);
    let tolerated = commit(&table, json!([add(&slow), point("main", 3)]));
    assert_eq!((tolerated.last_updated_ms, tolerated.snapshot_log[2].timestamp_ms), (base_ms, base_ms - 59_000));
    slow["timestamp-ms"] = json!(base_ms - 61_000);
    assert_refused(&table, json!([add(&slow), point("main", 3)]), Kind::Invalid, "before last snapshot log entry");
    // On another branch nobody minds.
    commit(&table, json!([add(&slow), point("dev", 3)]));
}

#[test]
fn the_last_update_is_never_before_the_last_entry_of_the_snapshot_log() {
    let mut late = snapshot(1);
    late["timestamp-ms"] = json!(NOW_MS + 7_200_000);
    let after = commit(&table(2), json!([add(&late), point("main", 1), add(&child(2, 1)), point("dev", 2)]));
    assert_eq!(after.last_updated_ms, NOW_MS + 7_200_000);
}

#[test]
fn going_back_to_an_earlier_snapshot_needs_no_clock_that_is_right() {
    let table = history(2, 2);
    let last = table.snapshot_log[1].timestamp_ms;
    let behind = commit_at(&table, json!([point("main", 1)]), last - 3_600_000);
    assert_eq!((log(&behind), behind.snapshot_log[2].timestamp_ms), (vec![1, 2, 1], last));
    let ahead = commit_at(&table, json!([point("main", 1)]), last + 5);
    assert_eq!((ahead.snapshot_log[2].timestamp_ms, ahead.last_updated_ms), (last + 5, last + 5));
}

// What is not known

#[test]
fn unknown_fields_survive_a_commit_at_every_level() {
    let json = json!({
        "format-version": 2, "table-uuid": UUID, "location": "s3://b/t", "last-sequence-number": 1, "last-updated-ms": NOW_MS,
        "last-column-id": 9, "current-schema-id": 0, "default-spec-id": 0, "last-partition-id": 1000, "default-sort-order-id": 1,
        "properties": {}, "current-snapshot-id": 1, "next-row-id": null, "new": {"deep": [1, 2.5, "x", null]},
        "schemas": [{"type": "struct", "schema-id": 0, "new": 1, "fields": [
            {"id": 1, "name": "id", "required": true, "type": "long", "new": 2},
            {"id": 2, "name": "l", "required": false, "type": {
                "type": "list", "element-id": 3, "element": "string", "element-required": false, "new": 3,
            }},
            {"id": 4, "name": "m", "required": false, "type": {
                "type": "map", "key-id": 5, "key": "string", "value-id": 6, "value": "long", "value-required": true, "new": 4,
            }},
            {"id": 7, "name": "s", "required": false, "type": {"type": "struct", "new": 5, "fields": [
                {"id": 8, "name": "x", "required": false, "type": "int", "new": 6},
            ]}},
        ]}],
        "partition-specs": [{"spec-id": 0, "new": 7, "fields": [
            {"source-id": 1, "field-id": 1000, "name": "id", "transform": "identity", "new": 8},
        ]}],
        "sort-orders": [{"order-id": 1, "new": 9, "fields": [
            {"source-id": 1, "transform": "identity", "direction": "asc", "null-order": "nulls-first", "new": 10},
        ]}],
        "refs": {"main": {"snapshot-id": 1, "type": "branch", "new": 11}},
        "snapshots": [{
            "snapshot-id": 1, "sequence-number": 1, "timestamp-ms": NOW_MS, "manifest-list": "s3://b/t/1.avro", "key-id": "k",
            "summary": {"operation": "append", "new": "12"}, "new": 13,
        }],
        "snapshot-log": [{"snapshot-id": 1, "timestamp-ms": NOW_MS, "new": 14}],
        "metadata-log": [{"metadata-file": "s3://b/t/0.json", "timestamp-ms": NOW_MS, "new": 15}],
        "statistics": [{
            "snapshot-id": 1, "statistics-path": "s3://b/t/s", "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1, "new": 16,
            "blob-metadata": [{"type": "new", "snapshot-id": 1, "sequence-number": 1, "fields": [1], "new": 17}],
        }],
        "partition-statistics": [{"snapshot-id": 1, "statistics-path": "s3://b/t/p", "file-size-in-bytes": 1, "new": 18}],
    });
    let before = TableMetadata::parse(json.to_string().as_bytes()).unwrap();
    let mut after = written(&commit(
        &before,
        json!([
            {"action": "set-properties", "updates": {"a": "b"}},
            {"action": "set-snapshot-ref", "ref-name": "dev", "type": "branch", "snapshot-id": 1, "new": 19},
        ]),
    ));
    assert_eq!(after["refs"]["dev"], json!({"type": "branch", "snapshot-id": 1, "new": 19}));
    after["refs"].as_object_mut().unwrap().remove("dev");
    assert_eq!(after["metadata-log"].as_array_mut().unwrap().pop().unwrap()["metadata-file"], json!(FILE));
    assert_eq!(after["properties"], json!({"a": "b"}));
    after["properties"] = json!({});
    let mut expected = json;
    expected.as_object_mut().unwrap().remove("next-row-id");
    assert_eq!(after, expected);
}

#[test]
fn types_of_format_3_survive_a_commit() {
    let types =
        ["variant", "geometry", "geometry(srid:4326)", "geography", "geography(OGC:CRS84, karney)", "unknown", "timestamptz_ns"];
    let field = |(id, r#type): (usize, &str)| json!({"id": id + 1, "name": format!("c{id}"), "required": false, "type": r#type});
    let fields: Vec<Value> = types.into_iter().enumerate().map(field).collect();
    let table = create(3, &json!(fields)).unwrap();
    let after = commit(&table, json!([{"action": "set-properties", "updates": {"a": "b"}}]));
    let read = TableMetadata::parse(&after.to_json().unwrap()).unwrap();
    assert_eq!(written(&read)["schemas"][0]["fields"], json!(fields));
    // They are no partition sources, but for the transform that ignores its source.
    for (id, transform) in [(1, "identity"), (2, "bucket[4]"), (4, "truncate[4]")] {
        let spec = json!([{"action": "add-spec", "spec": {"fields": [{"source-id": id, "transform": transform, "name": "p"}]}}]);
        assert_refused(&table, spec, Kind::Invalid, "does not apply");
    }
    commit(&table, json!([{"action": "add-spec", "spec": {"fields": [{"source-id": 1, "transform": "void", "name": "p"}]}}]));
}

#[test]
fn transforms_of_several_columns_need_format_3() {
    let spec = |sources: Value| json!([{"action": "add-spec", "spec": {"fields": [{"source-ids": sources, "transform": "bucket[8]", "name": "p"}]}}]);
    assert_refused(&table(2), spec(json!([1, 3])), Kind::Invalid, "takes one source column in v2");
    assert_refused(&table(3), spec(json!([])), Kind::Invalid, "names no source column");
    assert_refused(&table(3), spec(json!([1, 9])), Kind::Invalid, "Cannot find source column");
    let several = commit(&table(3), spec(json!([1, 3])));
    assert_eq!(
        written(&several)["partition-specs"][1]["fields"],
        json!([{"source-ids": [1, 3], "field-id": 1000, "name": "p", "transform": "bucket[8]"}])
    );
    assert_eq!(commit(&several, spec(json!([3, 1]))).partition_specs.len(), 3, "the order of the sources matters");
    // A list of one is written as every reader knows it.
    let one = commit(&table(2), spec(json!([3])));
    assert_eq!(
        written(&one)["partition-specs"][1]["fields"],
        json!([{"source-id": 3, "field-id": 1000, "name": "p", "transform": "bucket[8]"}])
    );
    let order = json!([{"action": "add-sort-order", "sort-order": {"order-id": 1, "fields": [
        {"source-ids": [1], "transform": "identity", "direction": "asc", "null-order": "nulls-last"},
    ]}}]);
    assert_eq!(written(&commit(&table(2), order))["sort-orders"][1]["fields"][0]["source-id"], json!(1));
}

// Format 1 of old

fn legacy() -> Value {
    json!({
        "format-version": 1, "table-uuid": UUID, "location": "s3://b/t", "last-updated-ms": NOW_MS, "last-column-id": 3,
        "schema": {"type": "struct", "fields": fields()},
        "partition-spec": [{"source-id": 2, "name": "at_day", "transform": "day"}],
        "properties": {}, "current-snapshot-id": -1, "snapshots": [], "snapshot-log": [],
    })
}

fn parse(json: &Value) -> Result<TableMetadata> {
    TableMetadata::parse(json.to_string().as_bytes())
}

#[test]
fn a_file_of_the_first_days_is_read() {
    let table = parse(&legacy()).unwrap();
    assert_eq!((table.current_schema_id, table.schemas.len(), table.current_snapshot_id), (0, 1, None));
    assert_eq!((table.partition_specs[0].fields[0].field_id, table.last_partition_id), (Some(1000), 1000));
    assert_eq!((table.sort_orders.len(), table.default_sort_order_id), (1, 0));
    let mut current = legacy();
    current["snapshots"] = json!([{"snapshot-id": 5, "timestamp-ms": NOW_MS, "manifests": ["s3://b/t/m.avro"]}]);
    current["current-snapshot-id"] = json!(5);
    let table = parse(&current).unwrap();
    assert_eq!(table.refs["main"], Reference::branch(5));
    assert_eq!(written(&table)["snapshots"][0]["manifests"], json!(["s3://b/t/m.avro"]));
    current["current-snapshot-id"] = json!(6);
    assert!(parse(&current).unwrap_err().message().contains("Cannot find snapshot 6"));
}

#[test]
fn a_table_of_format_1_is_written_so_that_old_readers_read_it() {
    let table = parse(&legacy()).unwrap();
    let spec = json!([
        {"action": "add-spec", "spec": {"fields": [{"source-id": 1, "transform": "bucket[4]", "name": "b", "field-id": 1000}]}},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-schema", "schema": {"type": "struct", "fields": [fields()[0], fields()[1]]}},
        {"action": "set-current-schema", "schema-id": -1},
    ]);
    let json = written(&commit(&table, spec));
    assert_eq!(json["schema"], json["schemas"][1]);
    assert_eq!(json["partition-spec"], json["partition-specs"][1]["fields"]);
    assert_eq!(json["current-snapshot-id"], json!(-1));
    assert!(json.get("last-sequence-number").is_none() && json.get("next-row-id").is_none());
    let parsed = parse(&json).unwrap();
    assert!(!parsed.extra.contains_key("schema") && !parsed.extra.contains_key("partition-spec"));
}

#[test]
fn metadata_that_does_not_hold_together_is_not_read() {
    let good = written(&history(2, 2));
    for (name, value, part) in [
        ("format-version", json!(4), "Unsupported format version: v4"),
        ("format-version", json!(0), "Unsupported format version: v0"),
        ("current-schema-id", json!(9), "Cannot find current schema 9"),
        ("default-spec-id", json!(9), "Cannot find default partition spec 9"),
        ("default-sort-order-id", json!(9), "Cannot find sort order 9"),
        ("current-snapshot-id", json!(1), "not the head of the branch main"),
        ("current-snapshot-id", json!(null), "not the head of the branch main"),
        ("refs", json!({"dev": {"snapshot-id": 9, "type": "branch"}}), "Cannot find snapshot 9 of reference dev"),
        ("refs", json!({"main": {"snapshot-id": 2, "type": "tag"}}), "main must be a branch"),
        ("snapshots", json!([good["snapshots"][0], good["snapshots"][0]]), "two snapshots have one id"),
        ("location", json!(7), "Invalid table metadata"),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        let error = parse(&bad).unwrap_err();
        assert!(error.kind() == Kind::Invalid && error.message().contains(part), "{name}: {error}");
    }
}

#[test]
fn a_new_table_has_a_uuid_and_a_location() {
    let schema = json!({"type": "struct", "fields": fields()});
    let whole = json!([
        {"action": "assign-uuid", "uuid": UUID},
        {"action": "set-location", "location": "s3://b/t"},
        {"action": "add-schema", "schema": schema}, {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": {"fields": []}}, {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
    ]);
    let create = |updates: &Value| apply(None, &[Requirement::AssertCreate], &typed(updates.clone()), at(NOW_MS));
    assert_eq!(create(&whole).unwrap().unwrap().metadata.format_version, FORMAT_VERSION_DEFAULT);
    for (left_out, part) in [(0, "no uuid"), (1, "no location"), (3, "Cannot find current schema"), (5, "default partition spec")]
    {
        let mut updates = whole.clone();
        updates.as_array_mut().unwrap().remove(left_out);
        let error = create(&updates).unwrap_err();
        assert!(error.kind() == Kind::Invalid && error.message().contains(part), "{error}");
    }
    // A snapshot in the same commit, as `CREATE TABLE AS SELECT` makes it.
    let mut filled = whole;
    filled.as_array_mut().unwrap().extend([add(&snapshot(1)), point("main", 1)]);
    let table = create(&filled).unwrap().unwrap().metadata;
    assert_eq!((table.current_snapshot_id, log(&table), table.last_updated_ms), (Some(1), vec![1], NOW_MS + 1));
    assert!(table.metadata_log.is_empty());
}
