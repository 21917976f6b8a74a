use serde_json::{Value, json};

use super::*;
use crate::model::Kind;

const NOW_MS: i64 = 1_700_000_000_000;
const UUID: &str = "8b1e1b53-8a5e-4d0c-9d5c-2f4a8d3b6c11";

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap()
}

fn typed(updates: Value) -> Vec<ViewUpdate> {
    serde_json::from_value(updates).unwrap()
}

fn apply_to(base: Option<&ViewMetadata>, updates: Value) -> Result<Option<ViewMetadata>> {
    apply(base, &[], &typed(updates), at(NOW_MS))
}

/// The view after a commit, which changes something.
#[track_caller]
fn commit(base: &ViewMetadata, updates: Value) -> ViewMetadata {
    apply_to(Some(base), updates).unwrap().expect("a change")
}

#[track_caller]
fn assert_refused(base: &ViewMetadata, updates: Value, part: &str) {
    let error = apply_to(Some(base), updates).unwrap_err();
    assert!(error.kind() == Kind::Invalid && error.message().contains(part), "{:?}: {}", error.kind(), error.message());
}

fn schema(column: &str) -> Value {
    json!({"type": "struct", "schema-id": 77, "fields": [{"id": 5, "name": column, "required": false, "type": "long"}]})
}

/// A version; its time says which one it was, whatever id it got.
fn version(id: i32, schema_id: i32, queries: &[(&str, &str)]) -> Value {
    let representations: Vec<Value> =
        queries.iter().map(|(dialect, sql)| json!({"type": "sql", "dialect": dialect, "sql": sql})).collect();
    json!({
        "version-id": id, "timestamp-ms": NOW_MS + i64::from(id), "schema-id": schema_id, "summary": {"engine-name": "test"},
        "default-namespace": ["ns"], "representations": representations,
    })
}

fn add(mut version: Value) -> Value {
    json!({"action": "add-view-version", "view-version": version.take()})
}

fn set_current(id: i32) -> Value {
    json!({"action": "set-current-view-version", "view-version-id": id})
}

fn set(name: &str, value: &str) -> Value {
    json!({"action": "set-properties", "updates": {name: value}})
}

fn add_schema(column: &str) -> Value {
    json!({"action": "add-schema", "schema": schema(column), "last-column-id": 5})
}

/// What creates a view, but for its version.
fn creation() -> Vec<Value> {
    vec![
        json!({"action": "assign-uuid", "uuid": UUID}),
        json!({"action": "set-location", "location": "s3://b/v/"}),
        add_schema("id"),
    ]
}

fn view() -> ViewMetadata {
    let mut updates = creation();
    updates.extend([add(version(1, -1, &[("spark", "select 1")])), set_current(-1)]);
    apply_to(None, json!(updates)).unwrap().expect("a new view")
}

/// A view whose version 1 was replaced by `select 2`, `select 3` and so on.
fn history(count: i32) -> ViewMetadata {
    (2..=count).fold(view(), |view, id| commit(&view, replace(id, &format!("select {id}"))))
}

fn replace(id: i32, sql: &str) -> Value {
    json!([add(version(id, 0, &[("spark", sql)])), set_current(-1)])
}

fn version_ids(view: &ViewMetadata) -> Vec<i32> {
    view.versions.iter().map(|version| version.version_id).collect()
}

fn logged(view: &ViewMetadata) -> Vec<i32> {
    view.version_log.iter().map(|entry| entry.version_id).collect()
}

#[test]
fn a_new_view_has_one_version_and_one_schema_which_keeps_its_column_ids() {
    let mut expected = version(1, 0, &[("spark", "select 1")]);
    let mut schema = schema("id");
    schema["schema-id"] = json!(0);
    let metadata = json!({
        "view-uuid": UUID, "format-version": 1, "location": "s3://b/v", "schemas": [schema], "current-version-id": 1,
        "versions": [expected.take()], "version-log": [{"timestamp-ms": NOW_MS + 1, "version-id": 1}], "properties": {},
    });
    assert_eq!(serde_json::to_value(view()).unwrap(), metadata);
    assert_eq!(ViewMetadata::parse(&view().to_json().unwrap()).unwrap(), view());
}

#[test]
fn the_first_version_is_1_whatever_its_creator_calls_it() {
    for asked in [-5, 0, 2, i32::MAX] {
        let mut updates = creation();
        let mut first = version(1, -1, &[("spark", "select 1")]);
        first["version-id"] = json!(asked);
        updates.extend([add(first), set_current(-1)]);
        assert_eq!(apply_to(None, json!(updates)).unwrap().unwrap(), view());
    }
}

#[test]
fn a_new_view_lacks_nothing() {
    let complete = {
        let mut updates = creation();
        updates.extend([add(version(1, 0, &[("spark", "select 1")])), set_current(1)]);
        updates
    };
    assert_eq!(apply_to(None, json!(complete)).unwrap().unwrap(), view());
    let missing = ["no uuid", "no location", "unknown schema", "no current version id", "Cannot find current version"];
    for (left_out, says) in missing.into_iter().enumerate() {
        let mut updates = complete.clone();
        updates.remove(left_out);
        if left_out == 3 {
            updates[3] = set_current(-1);
        }
        let error = apply_to(None, json!(updates)).unwrap_err();
        assert!(error.kind() == Kind::Invalid && error.message().contains(says), "{}", error.message());
    }
}

#[test]
fn a_version_keeps_its_id_where_it_is_free_and_gets_the_next_where_it_is_taken() {
    let replaced = commit(&view(), replace(7, "select 2"));
    assert_eq!((version_ids(&replaced), replaced.current_version_id), (vec![1, 7], 7));
    // Made on the first version, like the one before: the ids of both were meant to be 7.
    let again = commit(&replaced, replace(7, "select 3"));
    assert_eq!((version_ids(&again), again.current_version_id, logged(&again)), (vec![1, 7, 8], 8, vec![1, 7, 8]));
    for lower in [-1, 0, 1, 3] {
        let again = commit(&replaced, replace(lower, "select 3"));
        assert_eq!((version_ids(&again), again.current_version_id), (vec![1, 7, 8], 8), "{lower}");
    }
    let last = commit(&replaced, replace(i32::MAX, "select 3"));
    assert_refused(&last, replace(9, "select 4"), "no higher id is left");
}

#[test]
fn a_version_that_says_the_same_is_not_added_twice() {
    let view = history(3);
    let same = commit(&view, json!([add(version(9, 0, &[("spark", "select 2")])), set_current(-1)]));
    assert_eq!((version_ids(&same), same.current_version_id), (vec![1, 2, 3], 2));
    // It is current again from now on, not since it was made.
    let expected = VersionLogEntry { timestamp_ms: NOW_MS, version_id: 2, extra: Extra::new() };
    assert_eq!((logged(&same), same.version_log.last()), (vec![1, 2, 3, 2], Some(&expected)));
    // The current one over again is no change at all.
    assert_eq!(apply_to(Some(&view), replace(4, "select 3")).unwrap(), None);
    let differs = |name: &str, value: Value| {
        let mut other = version(4, 0, &[("spark", "select 3")]);
        other[name] = value;
        version_ids(&commit(&view, json!([add(other)]))).len()
    };
    let cases = [
        ("summary", json!({})),
        ("default-namespace", json!([])),
        ("default-catalog", json!("c")),
        ("newer", json!({"field": 1})),
        ("representations", json!([{"type": "sql", "dialect": "spark", "sql": "select 3", "newer": true}])),
    ];
    for (name, value) in cases {
        assert_eq!(differs(name, value), 4, "{name}");
    }
}

#[test]
fn schemas_are_numbered_and_one_that_says_the_same_is_used_again() {
    let view = commit(&view(), json!([add_schema("other"), add(version(2, -1, &[("spark", "select 2")])), set_current(-1)]));
    assert_eq!(view.schemas.iter().map(|schema| schema.schema_id).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(view.current_version().unwrap().schema_id, 1);
    let back = commit(&view, json!([add_schema("id"), add(version(3, -1, &[("spark", "select 3")])), set_current(-1)]));
    assert_eq!((back.schemas.len(), back.current_version().unwrap().schema_id), (2, 0));
    assert_refused(&view, json!([add(version(3, -1, &[("spark", "x")]))]), "no schema has been added");
    assert_refused(&view, json!([add(version(3, 9, &[("spark", "x")]))]), "unknown schema: 9");
    let mut twice = schema("a");
    twice["fields"] = json!([twice["fields"][0], twice["fields"][0]]);
    assert_refused(&view, json!([{"action": "add-schema", "schema": twice}]), "multiple fields");
}

#[test]
fn the_current_version_is_one_that_is_there() {
    let view = history(3);
    let back = commit(&view, json!([set_current(1)]));
    assert_eq!((back.current_version_id, logged(&back)), (1, vec![1, 2, 3, 1]));
    assert_eq!(back.version_log[3].timestamp_ms, NOW_MS);
    assert_refused(&view, json!([set_current(4)]), "unknown version: 4");
    assert_refused(&view, json!([set_current(-1)]), "no current version id has been set");
    assert_eq!(apply_to(Some(&view), json!([set_current(3)])).unwrap(), None);
    // Only the last of several was ever seen.
    let both =
        json!([add(version(4, 0, &[("spark", "a")])), set_current(-1), add(version(5, 0, &[("spark", "b")])), set_current(-1)]);
    let both = commit(&view, both);
    assert_eq!((version_ids(&both), logged(&both)), (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 5]));
}

#[test]
fn ten_versions_are_kept_unless_the_view_says_otherwise() {
    let view = history(12);
    assert_eq!((version_ids(&view), logged(&view)), ((3..=12).collect(), (3..=12).collect()));
    let view = commit(&view, json!([set("version.history.num-entries", "3")]));
    assert_eq!((version_ids(&view), logged(&view)), (vec![10, 11, 12], vec![10, 11, 12]));
    let view = commit(&view, replace(1, "select 13"));
    assert_eq!((version_ids(&view), logged(&view)), (vec![11, 12, 13], vec![11, 12, 13]));
    for wrong in ["0", "-1", "many", "", "1.5", "99999999999999999999999"] {
        assert_refused(&view, json!([set("version.history.num-entries", wrong)]), "must be positive but was");
    }
}

#[test]
fn the_current_version_and_those_just_added_never_expire() {
    let one = json!([set("version.history.num-entries", "1")]);
    let back = commit(&history(3), json!([set_current(1)]));
    let view = commit(&back, one.clone());
    assert_eq!((version_ids(&view), view.current_version_id), (vec![1], 1));
    // The log lost what lies before the version that it cannot name any more.
    assert_eq!(logged(&view), [1]);
    let added: Vec<Value> = (2..5).map(|id| add(version(id, 0, &[("spark", &format!("select {id}"))]))).collect();
    let view = commit(&view, json!(added));
    assert_eq!((version_ids(&view), view.current_version_id, logged(&view)), (vec![1, 2, 3, 4], 1, vec![1]));
}

#[test]
fn no_dialect_is_lost_unless_the_view_allows_it() {
    let both = json!([add(version(2, 0, &[("Spark", "select 2"), ("trino", "select 2")])), set_current(-1)]);
    let view = commit(&view(), both);
    let only_one = json!([add(version(3, 0, &[("TRINO", "select 3")])), set_current(-1)]);
    assert_refused(&view, only_one.clone(), "loss of view dialects (replace.drop-dialect.allowed=false)");
    assert_refused(&view, only_one.clone(), "Previous dialects: [spark, trino]\nNew dialects: [trino]");
    assert_refused(&view, json!([set_current(1)]), "loss of view dialects");
    let allowed = commit(&view, json!([set("replace.drop-dialect.allowed", "TRUE")]));
    assert_eq!(commit(&allowed, only_one.clone()).current_version_id, 3);
    // It may be allowed by the commit itself.
    let at_once = json!([only_one[0], only_one[1], set("replace.drop-dialect.allowed", "true")]);
    assert_eq!(commit(&view, at_once).current_version_id, 3);
    // A version that is not current takes nothing away.
    assert_eq!(commit(&view, json!([only_one[0]])).current_version_id, 2);
}

#[test]
fn a_version_has_each_dialect_once_and_sql_only() {
    let mut other = version(2, 0, &[("spark", "x")]);
    other["representations"][0]["type"] = json!("substrait");
    let cases = [
        (version(2, 0, &[]), "it has no representation"),
        (version(2, 0, &[("spark", "x"), ("SPARK", "x")]), "Cannot add multiple queries for dialect spark"),
        (version(2, 0, &[("", "x")]), "dialect is empty"),
        (other, "unsupported view representations: [substrait]"),
    ];
    for (version, says) in cases {
        assert_refused(&view(), json!([add(version)]), says);
    }
}

#[test]
fn the_uuid_stays_and_may_be_required() {
    let view = view();
    let other = "00000000-0000-0000-0000-000000000001";
    assert_eq!(apply_to(Some(&view), json!([{"action": "assign-uuid", "uuid": UUID}])).unwrap(), None);
    assert_refused(&view, json!([{"action": "assign-uuid", "uuid": other}]), "Cannot reassign uuid");
    let require = |uuid: &str| {
        let requirements = serde_json::from_value::<Vec<_>>(json!([{"type": "assert-view-uuid", "uuid": uuid}])).unwrap();
        apply(Some(&view), &requirements, &typed(json!([set("a", "b")])), at(NOW_MS))
    };
    assert_eq!(require(UUID).unwrap().unwrap().properties["a"], "b");
    let error = require(other).unwrap_err();
    let message = format!("Requirement failed: view UUID does not match: expected {UUID} != {other}");
    assert_eq!((error.kind(), error.message()), (Kind::CommitFailed, message.as_str()));
}

#[test]
fn the_format_is_1() {
    let to = |version: u8| json!([{"action": "upgrade-format-version", "format-version": version}]);
    assert_eq!(apply_to(Some(&view()), to(1)).unwrap(), None);
    assert_refused(&view(), to(0), "Cannot downgrade v1 view to v0");
    assert_refused(&view(), to(2), "Unsupported format version: 2");
}

#[test]
fn properties_and_the_location_change_without_a_new_version() {
    let changed = commit(
        &view(),
        json!([
            {"action": "set-properties", "updates": {"a": "1", "b": "2"}}, {"action": "remove-properties", "removals": ["a", "c"]},
            {"action": "set-location", "location": "s3://b/w/"},
        ]),
    );
    assert_eq!(serde_json::to_value(&changed.properties).unwrap(), json!({"b": "2"}));
    assert_eq!((changed.location.as_str(), changed.version_log), ("s3://b/w", view().version_log));
    assert_eq!(apply_to(Some(&view()), json!([{"action": "remove-properties", "removals": ["c"]}])).unwrap(), None);
    assert_refused(&view(), json!([{"action": "set-location", "location": "/"}]), "no location");
}

#[test]
fn what_is_not_known_is_carried_along() {
    let mut json = serde_json::to_value(view()).unwrap();
    json["newer"] = json!({"a": [1]});
    json["versions"][0]["newer"] = json!(2);
    json["versions"][0]["representations"][0]["newer"] = json!(3);
    json["version-log"][0]["newer"] = json!(4);
    json["schemas"][0]["newer"] = json!(5);
    let view = ViewMetadata::parse(json.to_string().as_bytes()).unwrap();
    let changed = serde_json::to_value(commit(&view, json!([set("a", "b")]))).unwrap();
    json["properties"] = json!({"a": "b"});
    assert_eq!(changed, json);
}
