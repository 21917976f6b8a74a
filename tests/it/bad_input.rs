//! Bad input: every request that is wrong gets the 4xx of the specification with a message that helps, and changes nothing.

use std::path::{Path, PathBuf};

use futures::{StreamExt, stream};
use nunatak::model::Clock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Server, table_request};

const NAMESPACES: &str = "/catalog/v1/default/namespaces";
const TABLES: &str = "/catalog/v1/default/namespaces/ns/tables";
const TABLE: &str = "/catalog/v1/default/namespaces/ns/tables/t";
const REGISTER: &str = "/catalog/v1/default/namespaces/ns/register";
const METRICS: &str = "/catalog/v1/default/namespaces/ns/tables/t/metrics";
const RENAME: &str = "/catalog/v1/default/tables/rename";
const VIEWS: &str = "/catalog/v1/default/namespaces/ns/views";
const VIEW: &str = "/catalog/v1/default/namespaces/ns/views/v";
const RENAME_VIEW: &str = "/catalog/v1/default/views/rename";
const TRANSACTION: &str = "/catalog/v1/default/transactions/commit";
const BAD: (u16, &str) = (400, "BadRequestException");

/// A server with the tables `ns.t`, which has a snapshot, and `ns.other`.
struct Fixture {
    server: Server,
    /// Where `ns.t` is.
    location: String,
    /// Where `ns.other` is.
    other: String,
}

impl Fixture {
    async fn start() -> Self {
        let server = Server::start().await;
        let location = location(&server.create_table("ns", "t").await);
        let other = location_of_new(&server, "other").await;
        let body = json!({"requirements": [], "updates": [
            {"action": "add-snapshot", "snapshot": snapshot(1, 1)},
            {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 1},
        ]});
        server.client.post(TABLE, &body).await.expect(200);
        Self { server, location, other }
    }

    fn client(&self) -> &Client {
        &self.server.client
    }

    fn warehouse(&self) -> PathBuf {
        self.server.directory.path().join("data/warehouse").canonicalize().unwrap()
    }

    fn root(&self) -> String {
        format!("file://{}", self.warehouse().display())
    }

    /// Everything that a refused request must leave as it is: names, properties, the pointer, and every file.
    async fn state(&self) -> Value {
        let client = self.client();
        let mut files = Vec::new();
        files_below(&self.warehouse(), &mut files);
        files.sort();
        json!({
            "namespaces": client.get(NAMESPACES).await.expect(200),
            "namespace": client.get(&format!("{NAMESPACES}/ns")).await.expect(200),
            "tables": client.get(TABLES).await.expect(200),
            "pointer": client.get(TABLE).await.expect(200)["metadata-location"],
            "files": files,
        })
    }

    /// Sends each body and checks its answer: status, type, and a part of the message; then that nothing has changed.
    async fn refuses(&self, path: &str, expected: (u16, &str), cases: Vec<(Value, &str)>) {
        let before = self.state().await;
        for (body, says) in cases {
            check_refusal(self.client().post(path, &body).await, expected, says, &body.to_string());
        }
        assert_eq!(self.state().await, before);
    }

    /// As [`Fixture::refuses`], for updates of `ns.t`.
    async fn refuses_updates(&self, cases: Vec<(Value, &str)>) {
        let commit = |(updates, says)| (json!({"requirements": [], "updates": updates}), says);
        self.refuses(TABLE, BAD, cases.into_iter().map(commit).collect()).await;
    }
}

fn check_refusal(answer: Answer, (status, kind): (u16, &str), says: &str, sent: &str) {
    assert_eq!(answer.status, status, "{sent}: {}", answer.text);
    let message = answer.expect_error(status, kind);
    assert!(message.to_lowercase().contains(&says.to_lowercase()), "{sent}: '{message}' does not say '{says}'");
}

fn files_below(directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path.display().to_string());
        }
    }
}

fn location(table: &Value) -> String {
    table["metadata"]["location"].as_str().unwrap().to_owned()
}

async fn location_of_new(server: &Server, name: &str) -> String {
    location(&server.client.post(TABLES, &table_request(name)).await.expect(200))
}

fn snapshot(id: i64, sequence_number: i64) -> Value {
    json!({
        "snapshot-id": id, "sequence-number": sequence_number, "timestamp-ms": 1_700_000_000_000_i64,
        "manifest-list": "file:///x/snap.avro", "summary": {"operation": "append"}, "schema-id": 0,
    })
}

/// The object with one member replaced.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn field(id: i64, name: &str, r#type: &Value) -> Value {
    json!({"id": id, "name": name, "type": r#type, "required": false})
}

fn schema(fields: &[Value]) -> Value {
    json!({"type": "struct", "fields": fields})
}

/// Schemas that no table can have, with what is said of each.
fn bad_schemas() -> Vec<(Value, &'static str)> {
    let of_type = |r#type: Value| schema(&[field(1, "a", &r#type)]);
    let list = json!({"type": "list", "element-id": 1, "element": "int", "element-required": true});
    let twins = json!({"type": "struct", "fields": [field(2, "b", &json!("int")), field(3, "b", &json!("int"))]});
    vec![
        (schema(&[field(1, "a", &json!("int")), field(1, "b", &json!("int"))]), "same id|have the id"),
        (of_type(list), "same id|have the id"),
        (schema(&[field(1, "a", &json!("int")), field(2, "a", &json!("int"))]), "multiple fields have the name a"),
        (of_type(twins), "multiple fields have the name"),
        (of_type(json!("integer")), "'integer' is not a type"),
        (of_type(json!("decimal(39,0)")), "a decimal has 1 to 38 digits"),
        (of_type(json!("decimal(2,3)")), "a decimal has 1 to 38 digits"),
        (of_type(json!("decimal(-1,3)")), "is not a type"),
        (of_type(json!("decimal")), "is not a type"),
        (of_type(json!("fixed[-1]")), "is not a type"),
        (of_type(json!(7)), "a type"),
        (of_type(json!(null)), "a type"),
        (of_type(json!({"type": "set"})), "unknown variant"),
        (of_type(json!({"type": "list"})), "missing field"),
        (of_type(json!("timestamp_ns")), "needs v3"),
        (of_type(json!("variant")), "needs v3"),
        (of_type(json!("unknown")), "needs v3"),
        (of_type(json!("geometry(srid:4326)")), "needs v3"),
        (schema(&[field(2_147_483_648, "a", &json!("int"))]), "invalid value"),
        (json!({"type": "map", "fields": []}), "unknown variant"),
        (json!({"type": "struct"}), "missing field `fields`"),
        (json!({"fields": null}), "invalid type"),
        (with(of_type(json!("int")), "identifier-field-ids", json!([1])), "not a required field"),
        (with(of_type(json!("int")), "identifier-field-ids", json!([9])), "not in the schema"),
        (with(of_type(json!("int")), "identifier-field-ids", json!(["a"])), "invalid type"),
        (nested(200), "recursion limit"),
    ]
}

/// A schema whose structs lie in one another.
fn nested(depth: i64) -> Value {
    let inside = (2..=depth).rev().fold(json!("int"), |inner, id| schema(&[field(id, "x", &inner)]));
    schema(&[field(1, "x", &inside)])
}

/// What is said of a schema differs where it is new (fresh ids first) and where it is added.
fn either(says: &'static str, position: usize) -> &'static str {
    says.split('|').nth(position).unwrap_or(says)
}

/// Locations that `ns.t` cannot have.
fn bad_locations(fixture: &Fixture) -> Vec<(Value, &'static str)> {
    let (root, other) = (fixture.root(), &fixture.other);
    let parent = other.rsplit_once('/').unwrap().0;
    vec![
        (json!("file:///etc"), "does not lie inside the warehouse default"),
        (json!(format!("{root}-sibling/t")), "does not lie inside the warehouse"),
        (json!(format!("{root}/../x")), "it has a step . or .."),
        (json!(format!("{root}/a/./x")), "it has a step . or .."),
        (json!(format!("{root}/%2e%2e/x")), "it has a step . or .."),
        (json!(format!("{root}/%2E./x")), "it has a step . or .."),
        (json!(format!("{root}/a%2fb")), "encoded separator"),
        (json!(format!("{root}//a")), "empty step"),
        (json!(format!("{root}/a?b")), "not allowed"),
        (json!(format!("{root}/a\u{0}b")), "control characters"),
        (json!("s3://bucket/t"), "does not lie inside the warehouse"),
        (json!("memory:///t"), "does not lie inside the warehouse"),
        (json!("gopher://x/t"), "its scheme is not one of"),
        (json!("relative/t"), "it has no scheme"),
        (json!(root), "does not lie inside the warehouse"),
        (json!(format!("{root}/")), "does not lie inside the warehouse"),
        (json!(other), "another table"),
        (json!(format!("{other}/data")), "overlaps with another table's or view's"),
        (json!(parent), "overlaps with another table's or view's"),
        (json!(format!("{root}/{}", "x".repeat(2_000))), "more than 1024 bytes"),
    ]
}

fn bad_specs() -> Vec<(Value, &'static str)> {
    let part = |source: i64, transform: &str, name: &str| json!({"source-id": source, "transform": transform, "name": name});
    let one = |field: Value| json!({"spec-id": 0, "fields": [field]});
    vec![
        (one(part(1, "explode", "p")), "unknown transform: explode"),
        (one(part(1, "bucket", "p")), "unknown transform"),
        (one(part(1, "bucket[0]", "p")), "unknown transform"),
        (one(part(1, "bucket[-3]", "p")), "unknown transform"),
        (one(part(1, "truncate[99999999999]", "p")), "unknown transform"),
        (one(part(1, "hour", "p")), "hour does not apply to source column 1"),
        (one(part(99, "identity", "p")), "cannot find source column"),
        (one(part(1, "bucket[4]", "")), "empty partition name"),
        (one(part(1, "bucket[4]", "data")), "name that exists in schema: data"),
        (json!({"fields": [part(1, "bucket[4]", "p"), part(2, "bucket[4]", "p")]}), "name more than once: p"),
        (one(json!({"source-ids": [1, 2], "transform": "bucket[4]", "name": "p"})), "takes one source column in v2"),
        (one(json!({"transform": "bucket[4]", "name": "p"})), "names no source column"),
        (one(json!({"source-id": 1, "transform": 4, "name": "p"})), "invalid type"),
        (json!({"fields": {}}), "invalid type"),
    ]
}

fn bad_orders() -> Vec<(Value, &'static str)> {
    let by = |source: i64, transform: &str, direction: &str, nulls: &str| {
        let field = json!({"source-id": source, "transform": transform, "direction": direction, "null-order": nulls});
        json!({"order-id": 1, "fields": [field]})
    };
    vec![
        (by(99, "identity", "asc", "nulls-first"), "cannot find source column"),
        (by(1, "hour", "asc", "nulls-first"), "does not apply"),
        (by(1, "random", "asc", "nulls-first"), "unknown transform"),
        (by(1, "identity", "up", "nulls-first"), "unknown variant `up`"),
        (by(1, "identity", "asc", "nulls-maybe"), "unknown variant `nulls-maybe`"),
        (json!({"fields": 1}), "invalid type"),
    ]
}

#[tokio::test]
async fn tables_that_cannot_be_are_not_created() {
    let fixture = Fixture::start().await;
    let new = |name: &str, value: Value| with(table_request("new"), name, value);
    let mut cases = vec![
        (json!({}), "missing field `name`"),
        (json!([]), "invalid length"),
        (json!({"name": "new"}), "missing field `schema`"),
        (new("name", json!("")), "must not be empty"),
        (new("name", json!("..")), "is not a name"),
        (new("name", json!("a\u{0}b")), "control characters"),
        (new("name", json!("x".repeat(256))), "at most 255"),
        (new("name", json!(1)), "invalid type"),
        (new("location", json!(1)), "invalid type"),
        (new("stage-create", json!("yes")), "invalid type"),
        (new("properties", json!({"a": 1})), "invalid type"),
        (new("properties", json!({"format-version": "9"})), "unsupported format version"),
        (new("properties", json!({"format-version": "0"})), "unsupported format version"),
        (new("properties", json!({"format-version": "two"})), "invalid format-version"),
        (new("properties", json!({"write.metadata.path": "file:///etc"})), "invalid write.metadata.path"),
        (new("properties", json!({"write.data.path": fixture.other})), "invalid write.data.path"),
        (new("properties", json!({"write.metadata.compression-codec": "lzma"})), "unknown metadata compression codec"),
    ];
    cases.extend(bad_schemas().into_iter().map(|(schema, says)| (new("schema", schema), either(says, 0))));
    cases.extend(bad_locations(&fixture).into_iter().map(|(location, says)| (new("location", location), says)));
    cases.extend(bad_specs().into_iter().map(|(spec, says)| (new("partition-spec", spec), says)));
    cases.extend(bad_orders().into_iter().map(|(order, says)| (new("write-order", order), says)));
    fixture.refuses(TABLES, BAD, cases).await;
    fixture.refuses(TABLES, (409, "AlreadyExistsException"), vec![(table_request("t"), "already exists")]).await;
    let missing = format!("{NAMESPACES}/missing/tables");
    fixture.refuses(&missing, (404, "NoSuchNamespaceException"), vec![(table_request("t"), "missing")]).await;
}

#[tokio::test]
async fn updates_that_are_wrong_are_refused_and_change_nothing() {
    let fixture = Fixture::start().await;
    let reference = |name: &str, kind: &str, more: Value| {
        let mut update = json!({"action": "set-snapshot-ref", "ref-name": name, "type": kind, "snapshot-id": 1});
        update.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([update])
    };
    let property = |name: &str, value: &str| json!([{"action": "set-properties", "updates": {name: value}}]);
    let add = |snapshot: Value| json!([{"action": "add-snapshot", "snapshot": snapshot}]);
    fixture
        .refuses_updates(vec![
            (json!([{"action": "explode"}]), "unknown variant `explode`"),
            (json!([{}]), "missing field `action`"),
            (json!([{"action": 7}]), "invalid"),
            (json!([null]), "invalid type"),
            (json!({}), "invalid type"),
            (json!([{"action": "upgrade-format-version", "format-version": 1}]), "cannot downgrade v2 table to v1"),
            (json!([{"action": "upgrade-format-version", "format-version": 0}]), "unsupported format version"),
            (json!([{"action": "upgrade-format-version", "format-version": 4}]), "unsupported format version: v4"),
            (json!([{"action": "upgrade-format-version", "format-version": 999}]), "invalid value"),
            (json!([{"action": "upgrade-format-version", "format-version": -1}]), "invalid value"),
            (json!([{"action": "upgrade-format-version"}]), "missing field `format-version`"),
            (json!([{"action": "assign-uuid", "uuid": "f79c3e09-677c-4bbd-a479-3f349cb785e7"}]), "cannot reassign uuid"),
            (json!([{"action": "assign-uuid", "uuid": "x"}]), "uuid"),
            (json!([{"action": "set-current-schema", "schema-id": 9}]), "unknown schema: 9"),
            (json!([{"action": "set-current-schema", "schema-id": -1}]), "no schema has been added"),
            (json!([{"action": "set-default-spec", "spec-id": 9}]), "unknown spec: 9"),
            (json!([{"action": "set-default-spec", "spec-id": -1}]), "no spec has been added"),
            (json!([{"action": "set-default-sort-order", "sort-order-id": 9}]), "unknown sort order: 9"),
            (json!([{"action": "set-default-sort-order", "sort-order-id": -1}]), "no sort order has been added"),
            (json!([{"action": "remove-schemas", "schema-ids": [0]}]), "cannot remove the current schema"),
            (json!([{"action": "remove-partition-specs", "spec-ids": [0]}]), "cannot remove the default partition spec"),
            (reference("main", "tag", json!({})), "main to a tag"),
            (reference("x", "branch", json!({"snapshot-id": 404})), "unknown snapshot: 404"),
            (reference("", "branch", json!({})), "must not be empty"),
            (reference("x", "twig", json!({})), "unknown variant `twig`"),
            (reference("x", "tag", json!({"min-snapshots-to-keep": 1})), "tags do not support"),
            (reference("x", "branch", json!({"max-snapshot-age-ms": -1})), "greater than 0"),
            (reference("x", "branch", json!({"max-ref-age-ms": 0})), "greater than 0"),
            (add(snapshot(1, 2)), "already exists for id: 1"),
            (add(with(snapshot(2, 2), "manifest-list", Value::Null)), "has no manifest list"),
            (add(with(snapshot(2, 2), "sequence-number", Value::Null)), "has no sequence number"),
            (add(with(snapshot(2, 2), "snapshot-id", json!(18_446_744_073_709_551_615_u64))), "invalid value"),
            (add(with(snapshot(2, 2), "timestamp-ms", json!(1.5))), "invalid type"),
            (property("uuid", "x"), "reserved table property: uuid"),
            (property("current-snapshot-id", "1"), "reserved table property"),
            (property("format-version", "1"), "cannot downgrade"),
            (property("format-version", "x"), "invalid format-version"),
            (property("write.metadata.path", "file:///etc"), "does not lie inside the table's location"),
            (property("write.data.path", &fixture.other), "does not lie inside the table's location"),
            (property("write.metadata.compression-codec", "lzma"), "unknown metadata compression codec"),
            (json!([{"action": "enable-row-lineage"}]), "format v3"),
            (
                json!([{"action": "add-encryption-key", "encryption-key": {"key-id": "k", "encrypted-key-metadata": "x"}}]),
                "need v3",
            ),
        ])
        .await;
    let update = |action: &str, member: &str, value: Value| json!([{"action": action, member: value}]);
    let schemas = bad_schemas().into_iter().map(|(schema, says)| (update("add-schema", "schema", schema), either(says, 1)));
    let negative = schema(&[field(-5, "a", &json!("int"))]);
    fixture.refuses_updates(schemas.chain([(update("add-schema", "schema", negative), "negative id -5")]).collect()).await;
    let locations = bad_locations(&fixture).into_iter();
    fixture.refuses_updates(locations.map(|(text, says)| (update("set-location", "location", text), says)).collect()).await;
    fixture.refuses_updates(bad_specs().into_iter().map(|(spec, says)| (update("add-spec", "spec", spec), says)).collect()).await;
    let orders = bad_orders().into_iter();
    fixture.refuses_updates(orders.map(|(order, says)| (update("add-sort-order", "sort-order", order), says)).collect()).await;
}

#[tokio::test]
async fn a_wrong_update_takes_the_right_ones_before_it_along() {
    let fixture = Fixture::start().await;
    let good = json!({"action": "set-properties", "updates": {"owner": "me"}});
    fixture.refuses_updates(vec![(json!([good, {"action": "set-current-schema", "schema-id": 9}]), "unknown schema")]).await;
}

#[tokio::test]
async fn commits_that_are_no_commits_are_refused() {
    let fixture = Fixture::start().await;
    let requirement = |requirement: Value| json!({"requirements": [requirement], "updates": []});
    let named = |namespace: Value, name: &str| json!({"identifier": {"namespace": namespace, "name": name}, "requirements": [], "updates": []});
    fixture
        .refuses(
            TABLE,
            BAD,
            vec![
                (json!({}), "missing field"),
                (json!(null), "invalid type"),
                (json!("commit"), "invalid type"),
                (json!({"updates": []}), "missing field `requirements`"),
                (json!({"requirements": []}), "missing field `updates`"),
                (requirement(json!({"type": "assert-luck"})), "unknown variant `assert-luck`"),
                (requirement(json!({})), "missing field `type`"),
                (requirement(json!({"type": "assert-table-uuid"})), "missing field `uuid`"),
                (requirement(json!({"type": "assert-table-uuid", "uuid": "x"})), "uuid"),
                (requirement(json!({"type": "assert-current-schema-id", "current-schema-id": 1e300})), "invalid type"),
                (named(json!(["ns"]), "other"), "another than the path's"),
                (named(json!([]), "t"), "at least one level"),
                (named(json!("ns"), "t"), "invalid type"),
            ],
        )
        .await;
    let missing = format!("{TABLES}/missing");
    let nothing = json!({"requirements": [], "updates": []});
    fixture.refuses(&missing, (404, "NoSuchTableException"), vec![(nothing, "ns.missing")]).await;
}

#[tokio::test]
async fn transactions_that_are_wrong_change_no_table() {
    let fixture = Fixture::start().await;
    let change = |name: &str, updates: Value| json!({"identifier": {"namespace": ["ns"], "name": name}, "requirements": [], "updates": updates});
    let good = json!([{"action": "set-properties", "updates": {"a": "b"}}]);
    let bad = json!([{"action": "remove-schemas", "schema-ids": [0]}]);
    let transaction = |changes: &[Value]| json!({"table-changes": changes});
    fixture
        .refuses(
            TRANSACTION,
            BAD,
            vec![
                (json!({}), "missing field `table-changes`"),
                (transaction(&[]), "changes no table"),
                (transaction(&[change("t", good.clone()), change("t", good.clone())]), "ns.t is changed twice"),
                (transaction(&[change("t", good.clone()), change("other", bad)]), "cannot remove the current schema"),
                (transaction(&[json!({"requirements": [], "updates": []})]), "missing field `identifier`"),
            ],
        )
        .await;
    let unknown = transaction(&[change("t", good.clone()), change("missing", good.clone())]);
    fixture.refuses(TRANSACTION, (404, "NoSuchTableException"), vec![(unknown, "ns.missing")]).await;
    let elsewhere = json!({"identifier": {"namespace": ["no"], "name": "t"}, "requirements": [], "updates": good});
    let unknown = transaction(&[elsewhere]);
    fixture.refuses(TRANSACTION, (404, "NoSuchNamespaceException"), vec![(unknown, "does not exist: no")]).await;
}

#[tokio::test]
async fn namespaces_that_cannot_be_are_not_created() {
    let fixture = Fixture::start().await;
    let named = |levels: Value| json!({"namespace": levels});
    fixture
        .refuses(
            NAMESPACES,
            BAD,
            vec![
                (json!({}), "missing field `namespace`"),
                (named(json!([])), "at least one level"),
                (named(json!([""])), "must not be empty"),
                (named(json!(["."])), "is not a name"),
                (named(json!(["a\u{0}"])), "control characters"),
                (named(json!(["a\u{1f}b"])), "control characters"),
                (named(json!([1])), "invalid type"),
                (named(json!("ns")), "invalid type"),
                (named(json!(vec!["a"; 33])), "more than 32 levels"),
                (named(json!(["x".repeat(256)])), "at most 255"),
                (named(json!(vec!["x".repeat(255); 8])), "more than 2000 bytes"),
                (json!({"namespace": ["n"], "properties": {"a": 1}}), "invalid type"),
                (json!({"namespace": ["n"], "properties": {"a": "x\u{0}y"}}), "null"),
                (json!({"namespace": ["n"], "properties": {"a\u{0}": "x"}}), "null"),
            ],
        )
        .await;
    let inside = named(json!(["missing", "n"]));
    fixture.refuses(NAMESPACES, (404, "NoSuchNamespaceException"), vec![(inside, "does not exist: missing")]).await;
    fixture.refuses(NAMESPACES, (409, "AlreadyExistsException"), vec![(named(json!(["ns"])), "already exists: ns")]).await;
    let properties = format!("{NAMESPACES}/ns/properties");
    let bad = vec![
        (json!({"updates": {"a": 1}}), "invalid type"),
        (json!({"updates": {"a": "x\u{0}y"}}), "null"),
        (json!({"removals": ["a\u{0}"]}), "null"),
        (json!({"removals": "a"}), "invalid type"),
    ];
    fixture.refuses(&properties, BAD, bad).await;
}

#[tokio::test]
async fn renames_to_where_nothing_can_go_are_refused() {
    let fixture = Fixture::start().await;
    let rename = |from: &str, namespace: &str, name: &str| {
        let (source, destination) = (json!({"namespace": ["ns"], "name": from}), json!({"namespace": [namespace], "name": name}));
        json!({"source": source, "destination": destination})
    };
    let refused = [
        (rename("t", "ns", "other"), (409, "AlreadyExistsException"), "rename ns.t to ns.other. Table already exists"),
        (rename("t", "missing", "t"), (404, "NoSuchNamespaceException"), "does not exist: missing"),
        (rename("missing", "ns", "x"), (404, "NoSuchTableException"), "does not exist: ns.missing"),
        (rename("t", "ns", ".."), BAD, "is not a name"),
        (rename("t", "ns", ""), BAD, "must not be empty"),
        (json!({"source": {"namespace": ["ns"], "name": "t"}}), BAD, "missing field `destination`"),
    ];
    for (body, expected, says) in refused {
        fixture.refuses(RENAME, expected, vec![(body, says)]).await;
    }
}

#[tokio::test]
async fn only_metadata_inside_the_warehouse_is_registered() {
    let fixture = Fixture::start().await;
    let (warehouse, root) = (fixture.warehouse(), fixture.root());
    std::fs::write(warehouse.join("note.txt"), "no metadata").unwrap();
    std::fs::write(warehouse.join("bad.gz"), [0x1f, 0x8b, 1, 2, 3]).unwrap();
    let moved = json!({"format-version": 2, "table-uuid": "f79c3e09-677c-4bbd-a479-3f349cb785e7", "location": "file:///etc/t",
        "last-updated-ms": 1, "last-column-id": 0, "schemas": [{"type": "struct", "fields": []}], "partition-specs": [{"fields": []}]});
    std::fs::write(warehouse.join("moved.metadata.json"), moved.to_string()).unwrap();
    let register = |file: String| json!({"name": "new", "metadata-location": file});
    fixture
        .refuses(
            REGISTER,
            BAD,
            vec![
                (register(format!("{root}/missing.metadata.json")), "metadata file does not exist"),
                (register(format!("{root}/note.txt/x.metadata.json")), "metadata file does not exist"),
                (register(format!("{root}/{}.metadata.json", "x".repeat(300))), "metadata file does not exist"),
                (register(fixture.location.clone()), "metadata file does not exist"),
                (register(format!("{root}/note.txt")), "invalid table metadata"),
                (register(format!("{root}/bad.gz")), "invalid metadata file"),
                (register(format!("{root}/moved.metadata.json")), "does not lie inside the warehouse"),
                (register("file:///etc/passwd".to_owned()), "does not lie inside the warehouse"),
                (register(format!("{root}/../x.metadata.json")), "it has a step"),
                (register("s3://b/x.metadata.json".to_owned()), "does not lie inside the warehouse"),
                (register(root.clone()), "does not lie inside the warehouse"),
                (with(register(format!("{root}/note.txt")), "name", json!("..")), "is not a name"),
                (with(register(format!("{root}/note.txt")), "overwrite", json!(true)), "not supported"),
                (json!({"name": "new"}), "missing field `metadata-location`"),
            ],
        )
        .await;
    let pointer = fixture.client().get(TABLE).await.expect(200)["metadata-location"].as_str().unwrap().to_owned();
    fixture.refuses(REGISTER, BAD, vec![(register(pointer), "overlaps with another table's or view's")]).await;
}

#[tokio::test]
async fn metrics_reports_that_are_none_are_refused() {
    let fixture = Fixture::start().await;
    fixture
        .refuses(
            METRICS,
            BAD,
            vec![
                (json!({}), "report-type is missing"),
                (json!([]), "report-type is missing"),
                (json!({"report-type": 1}), "report-type is missing"),
                (json!({"report-type": "scan-report", "note": "x\u{0}y"}), "null"),
            ],
        )
        .await;
    let long = json!({"report-type": "scan-report", "note": "x".repeat(1024 * 1024)});
    let answer = fixture.server.client.post(METRICS, &long).await;
    check_refusal(answer, (413, "PayloadTooLargeException"), "report", "a long report");
    // A kind that is not known is taken, and not kept.
    assert_eq!(fixture.server.client.post(METRICS, &json!({"report-type": "weather-report"})).await.status, 204);
    let missing = format!("{TABLES}/missing/metrics");
    let report = json!({"report-type": "scan-report"});
    fixture.refuses(&missing, (404, "NoSuchTableException"), vec![(report, "ns.missing")]).await;
}

#[tokio::test]
async fn names_that_the_file_system_cannot_hold_are_the_clients_mistake() {
    let fixture = Fixture::start().await;
    let location = json!(format!("{}/{}", fixture.root(), "x".repeat(300)));
    let new = with(table_request("new"), "location", location.clone());
    fixture.refuses(TABLES, BAD, vec![(new, "a name that the storage cannot hold")]).await;
    let moved = json!([{"action": "set-location", "location": location}]);
    fixture.refuses_updates(vec![(moved, "a name that the storage cannot hold")]).await;
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let fixture = Fixture::start().await;
    let before = fixture.state().await;
    let deep = format!("{{\"name\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let bodies: [&[u8]; 10] = [
        b"",
        b"{",
        b"{\"name\": \"new\"",
        b"not json",
        b"{\"name\": NaN}",
        b"{\"name\": Infinity}",
        b"{\"name\": 1e999999}",
        b"{\"name\": \"\xff\xfe\"}",
        b"{\"name\": \"\\ud800\"}",
        deep.as_bytes(),
    ];
    for path in [NAMESPACES, TABLES, TABLE, REGISTER, RENAME, TRANSACTION, METRICS, "/api/v1/warehouses", "/api/v1/principals"] {
        for body in bodies {
            let request = fixture.client().request(Method::POST, path).header("content-type", "application/json");
            let answer = fixture.client().send(request.body(body.to_vec())).await;
            let sent = String::from_utf8_lossy(body).chars().take(40).collect::<String>();
            check_refusal(answer, BAD, "", &format!("{path} {sent}"));
        }
    }
    assert_eq!(fixture.state().await, before);
}

#[tokio::test]
async fn bodies_of_another_type_or_encoding_are_415() {
    let server = Server::start().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", "json"] {
        let request = server.client.request(Method::POST, NAMESPACES).header("content-type", content_type);
        let answer = server.client.send(request.body("{\"namespace\": [\"n\"]}")).await;
        check_refusal(answer, (415, "UnsupportedMediaTypeException"), "application/json expected", content_type);
    }
    for encoding in ["gzip", "zstd", "br"] {
        let request = server.client.request(Method::POST, NAMESPACES).header("content-encoding", encoding);
        let answer = server.client.send(request.json(&json!({"namespace": ["n"]}))).await;
        check_refusal(answer, (415, "UnsupportedMediaTypeException"), "encoded", encoding);
    }
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        let request = server.client.request(Method::POST, NAMESPACES).header("content-type", content_type);
        let name = content_type.replace(['/', ';', '=', ' '], "-");
        server.client.send(request.body(json!({"namespace": [name]}).to_string())).await.expect(200);
    }
}

#[tokio::test]
async fn bodies_over_the_limit_are_413() {
    let server = Server::start_with(Clock::System, "request_bytes_max = 2000").await;
    let long = json!({"namespace": ["n"], "properties": {"a": "x".repeat(4_000)}});
    for path in [NAMESPACES, TABLES, TABLE, "/api/v1/warehouses"] {
        let answer = server.client.post(path, &long).await;
        check_refusal(answer, (413, "PayloadTooLargeException"), "too large", path);
    }
    let chunks = stream::iter((0..8).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1_000])));
    let body = axum::body::Body::from_stream(chunks);
    let request = server.client.request(Method::POST, NAMESPACES).header("content-type", "application/json");
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    check_refusal(server.client.send(request.body(bytes)).await, (413, "PayloadTooLargeException"), "too large", "spaces");
    let token = server.client.request(Method::POST, "/catalog/v1/oauth/tokens").form(&[("grant_type", "x".repeat(100_000))]);
    assert_eq!(server.client.send(token).await.status, 413);
    server.client.post(NAMESPACES, &json!({"namespace": ["n"]})).await.expect(200);
}

#[tokio::test]
async fn paths_and_queries_that_are_wrong_are_refused() {
    let server = Server::start().await;
    server.create_table("ns", "t").await;
    let cases = [
        ("/catalog/v1/default/namespaces/%ff", BAD, "path"),
        ("/catalog/v1/%ff/namespaces", BAD, "path"),
        ("/catalog/v1/default/namespaces/a%00b", BAD, "control characters"),
        ("/catalog/v1/default/namespaces/a%1F", BAD, "must not be empty"),
        ("/catalog/v1/default/namespaces/ns/tables/a%00b", BAD, "control characters"),
        ("/catalog/v1/default/namespaces/ns/tables/a%0Ab", BAD, "control characters"),
        ("/catalog/v1/default/namespaces?parent=a%00", BAD, "control characters"),
        ("/catalog/v1/default/namespaces?parent=%1F", BAD, "must not be empty"),
        ("/catalog/v1/default/namespaces?parent=missing", (404, "NoSuchNamespaceException"), "missing"),
        ("/catalog/v1/default/namespaces?pageToken=!", BAD, "invalid pagetoken"),
        ("/catalog/v1/default/namespaces?pageToken=AAAA", BAD, "invalid pagetoken"),
        ("/catalog/v1/default/namespaces?pageToken=_w", BAD, "invalid pagetoken"),
        ("/catalog/v1/default/namespaces?pageToken=&pageSize=0", BAD, "at least 1"),
        ("/catalog/v1/default/namespaces?pageSize=-1", BAD, "invalid query"),
        ("/catalog/v1/default/namespaces?pageSize=ten", BAD, "invalid query"),
        ("/catalog/v1/default/namespaces?pageSize=99999999999", BAD, "invalid query"),
        ("/catalog/v1/default/namespaces/ns/tables?pageToken=!", BAD, "invalid pagetoken"),
        ("/catalog/v1/default/namespaces/ns/tables/t?snapshots=some", BAD, "all or refs expected"),
        ("/catalog/v1/missing/namespaces", (404, "NoSuchWarehouseException"), "missing"),
        ("/catalog/v1/a%00b/namespaces", BAD, "null"),
        ("/catalog/v1/config?warehouse=missing", (404, "NoSuchWarehouseException"), "missing"),
        ("/catalog/v1/config?warehouse=a%00b", BAD, "null"),
        ("/api/v1/warehouses/a%00b", BAD, "null"),
        ("/api/v1/warehouses?pageToken=AAAA", BAD, "invalid pagetoken"),
        ("/api/v1/principals?pageSize=0", BAD, "at least 1"),
        ("/api/v1/principals/no-uuid", BAD, "path"),
        ("/api/v1/principals/00000000-0000-0000-0000-000000000000", (404, "NotFoundException"), "does not exist"),
    ];
    for (path, expected, says) in cases {
        check_refusal(server.client.get(path).await, expected, says, path);
    }
    let purge = server.client.delete(&format!("{TABLE}?purgeRequested=maybe")).await;
    check_refusal(purge, BAD, "true or false expected", "purgeRequested");
    assert_eq!(server.client.head(TABLE).await.status, 204);
    // Past the end, there is an empty page.
    let past = server.client.get(&format!("{NAMESPACES}?pageToken=enp6")).await.expect(200);
    assert_eq!(past["namespaces"], json!([]));
}

#[tokio::test]
async fn unknown_routes_are_404_and_wrong_methods_405() {
    let server = Server::start().await;
    for path in
        ["/", "/catalog", "/catalog/v1", "/catalog/v2/config", "/catalog/v1/default/tables", "/api/v1", "/x/../y", "/docsx"]
    {
        check_refusal(server.client.get(path).await, (404, "NotFoundException"), "no such route", path);
    }
    let wrong = [
        (Method::PUT, NAMESPACES),
        (Method::DELETE, NAMESPACES),
        (Method::PATCH, TABLE),
        (Method::GET, REGISTER),
        (Method::GET, RENAME),
        (Method::GET, RENAME_VIEW),
        (Method::PUT, VIEW),
        (Method::GET, "/catalog/v1/oauth/tokens"),
        (Method::POST, "/catalog/v1/config"),
        (Method::PUT, "/api/v1/warehouses/default"),
        (Method::POST, "/health/live"),
    ];
    for (method, path) in wrong {
        let answer = server.client.send(server.client.request(method.clone(), path)).await;
        check_refusal(answer, (405, "MethodNotAllowedException"), "not allowed", &format!("{method} {path}"));
    }
}

/// Knuth's generator: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn value(&mut self) -> Value {
        match self.below(22) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(0),
            3 => json!(-1),
            4 => json!(i64::MAX),
            5 => json!(i64::MIN),
            6 => json!(u64::MAX),
            7 => json!(1e308),
            8 => json!(-0.5),
            9 => json!(i32::MAX),
            10 => json!(""),
            11 => json!("a\u{0}b"),
            12 => json!(".."),
            13 => json!("main"),
            14 => json!("x".repeat(3_000)),
            15 => json!("file:///etc/passwd"),
            16 => json!("\u{1f}%2e%2e'\"\\ ; drop table tabular; --"),
            17 => json!([]),
            18 => json!({}),
            19 => json!([[[[[[1]]]]]]),
            20 => json!({"type": "struct", "fields": [], "action": "x"}),
            _ => json!("\u{1F9CA}é表"),
        }
    }

    /// Changes one value somewhere inside.
    fn mutate(&mut self, value: &mut Value) {
        let deeper = self.below(4) > 0;
        match value {
            Value::Object(members) if deeper && !members.is_empty() => {
                let name = members.keys().nth(self.below(members.len())).unwrap().clone();
                match self.below(6) {
                    0 => drop(members.remove(&name)),
                    1 => {
                        let (other, copy) = (self.value(), members[&name].clone());
                        members.insert(other.as_str().unwrap_or("other").to_owned(), copy);
                    }
                    _ => self.mutate(&mut members[&name]),
                }
            }
            Value::Array(items) if deeper && !items.is_empty() => {
                let at = self.below(items.len());
                match self.below(6) {
                    0 => drop(items.remove(at)),
                    1 => items.push(items[at].clone()),
                    2 => items.reverse(),
                    _ => self.mutate(&mut items[at]),
                }
            }
            other => *other = self.changed(other),
        }
    }

    fn changed(&mut self, value: &Value) -> Value {
        match (self.below(4), value) {
            (0, Value::String(text)) => json!(text.chars().rev().collect::<String>()),
            (0, Value::Number(number)) => json!(number.to_string()),
            (0, _) => json!(value.to_string()),
            (1, _) => json!([value]),
            _ => self.value(),
        }
    }
}

fn view_version(dialect: &str, sql: &str) -> Value {
    json!({
        "version-id": 1, "timestamp-ms": 1_700_000_000_000_i64, "schema-id": -1, "summary": {"engine-name": "test"},
        "default-catalog": "c", "default-namespace": ["ns"], "representations": [{"type": "sql", "dialect": dialect, "sql": sql}],
    })
}

/// Requests that are right, for the mutations to start from.
fn valid_requests(fixture: &Fixture) -> Vec<(&'static str, Value)> {
    let update = |update: Value| {
        (TABLE, json!({"requirements": [{"type": "assert-current-schema-id", "current-schema-id": 0}], "updates": [update]}))
    };
    let v3 = json!({
        "name": "v3", "location": format!("{}/v3", fixture.root()),
        "schema": {"type": "struct", "schema-id": 0, "identifier-field-ids": [1], "fields": [
            {"id": 1, "name": "id", "type": "long", "required": true, "doc": "key"},
            {"id": 2, "name": "at", "type": "timestamp_ns", "required": false},
            {"id": 3, "name": "l", "type": {"type": "list", "element-id": 4, "element": "string", "element-required": false}, "required": false},
            {"id": 5, "name": "m", "required": false, "type": {"type": "map", "key-id": 6, "key": "int", "value-id": 7,
                "value": {"type": "struct", "fields": [{"id": 8, "name": "d", "type": "decimal(9, 2)", "required": true}]}, "value-required": true}},
        ]},
        "partition-spec": {"spec-id": 0, "fields": [{"source-id": 1, "field-id": 1000, "name": "b", "transform": "bucket[16]"}]},
        "write-order": {"order-id": 1, "fields": [{"source-id": 2, "transform": "hour", "direction": "desc", "null-order": "nulls-last"}]},
        "stage-create": false, "properties": {"format-version": "3", "owner": "me"},
    });
    let change = json!({"identifier": {"namespace": ["ns"], "name": "other"},
        "requirements": [{"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": null}],
        "updates": [{"action": "set-properties", "updates": {"a": "b"}}]});
    let file = json!({"snapshot-id": 1, "statistics-path": "file:///x.puffin", "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1, "blob-metadata": []});
    let view = json!({"name": "w", "location": format!("{}/w", fixture.root()), "properties": {"version.history.num-entries": "3"},
        "schema": schema(&[field(1, "id", &json!("long"))]), "view-version": view_version("spark", "select 1")});
    vec![
        (VIEWS, view),
        (
            VIEW,
            json!({"requirements": [], "updates": [
            {"action": "add-schema", "schema": schema(&[field(1, "other", &json!("string"))])},
            {"action": "add-view-version", "view-version": view_version("spark", "select 2")},
            {"action": "set-current-view-version", "view-version-id": -1}]}),
        ),
        (
            VIEW,
            json!({"updates": [
            {"action": "set-properties", "updates": {"a": "b", "replace.drop-dialect.allowed": "true"}},
            {"action": "remove-properties", "removals": ["c"]}, {"action": "upgrade-format-version", "format-version": 1},
            {"action": "set-location", "location": format!("{}/x", fixture.location)}]}),
        ),
        (
            RENAME_VIEW,
            json!({"source": {"namespace": ["ns"], "name": "none"}, "destination": {"namespace": ["ns"], "name": "some"}}),
        ),
        (NAMESPACES, json!({"namespace": ["ns", "inner"], "properties": {"owner": "me"}})),
        ("/catalog/v1/default/namespaces/ns/properties", json!({"removals": ["a"], "updates": {"b": "c"}})),
        (TABLES, v3),
        (TABLES, with(table_request("staged"), "stage-create", json!(true))),
        (RENAME, json!({"source": {"namespace": ["ns"], "name": "none"}, "destination": {"namespace": ["ns"], "name": "some"}})),
        (
            REGISTER,
            json!({"name": "new", "metadata-location": format!("{}/metadata/x.json", fixture.location), "overwrite": false}),
        ),
        (METRICS, json!({"report-type": "scan-report", "table-name": "ns.t", "snapshot-id": 1, "metrics": {"x": {"value": 1}}})),
        (TRANSACTION, json!({"table-changes": [change]})),
        (
            "/api/v1/warehouses",
            json!({"name": "w", "storage": {"type": "memory"}, "config": {"defaults": {"a": "b"}, "overrides": {}}}),
        ),
        ("/api/v1/principals", json!({"name": "p", "client-id": "p", "administrator": false})),
        update(json!({"action": "add-schema", "schema": schema(&[field(1, "id", &json!("long"))]), "last-column-id": 2})),
        update(json!({"action": "add-spec", "spec": {"fields": [{"source-id": 1, "name": "p", "transform": "truncate[4]"}]}})),
        update(json!({"action": "add-sort-order", "sort-order": {"order-id": 1, "fields": [
            {"source-id": 1, "transform": "identity", "direction": "asc", "null-order": "nulls-first"}]}})),
        update(json!({"action": "add-snapshot", "snapshot": with(snapshot(2, 2), "parent-snapshot-id", json!(1))})),
        update(json!({"action": "set-snapshot-ref", "ref-name": "b", "type": "branch", "snapshot-id": 1, "max-ref-age-ms": 5})),
        update(json!({"action": "set-properties", "updates": {"write.metadata.previous-versions-max": "5", "c": "d"}})),
        update(json!({"action": "set-location", "location": format!("{}/x", fixture.location)})),
        update(json!({"action": "set-statistics", "snapshot-id": 1, "statistics": file})),
        update(json!({"action": "remove-snapshots", "snapshot-ids": [7, 8]})),
        update(json!({"action": "upgrade-format-version", "format-version": 2})),
    ]
}

#[tokio::test]
async fn mutated_requests_are_never_answered_with_a_server_error() {
    let fixture = Fixture::start().await;
    let valid = valid_requests(&fixture);
    let view = json!({"name": "v", "schema": schema(&[field(1, "id", &json!("long"))]), "properties": {},
        "view-version": view_version("spark", "select 1")});
    fixture.client().post(VIEWS, &view).await.expect(200);
    let mut random = Random(42);
    let mutated = (0..3_000).map(|turn| {
        let (path, mut body) = valid[turn % valid.len()].clone();
        for _ in 0..=random.below(3) {
            random.mutate(&mut body);
        }
        (path, body)
    });
    let requests: Vec<(&str, Value)> = mutated.collect();
    let client = fixture.client();
    let failed: Vec<String> = stream::iter(requests)
        .map(|(path, body)| async move {
            let answer = client.post(path, &body).await;
            let fine = answer.status < 300
                || (answer.status < 500 && answer.status != 429 && answer.body["error"]["message"].is_string());
            (!fine).then(|| format!("{} {path} {body}: {}", answer.status, answer.text))
        })
        .buffer_unordered(8)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed[..failed.len().min(20)].join("\n"));
    // Whatever was accepted can be read, and what is there can still be changed.
    assert_eq!(client.get("/health/ready").await.status, 200);
    for list in [TABLES, VIEWS] {
        let names = client.get(list).await.expect(200)["identifiers"].take();
        for ident in names.as_array().unwrap() {
            let name = percent_encoding::utf8_percent_encode(ident["name"].as_str().unwrap(), percent_encoding::NON_ALPHANUMERIC);
            let path = format!("{list}/{name}");
            client.get(&path).await.expect(200);
            client.get(&format!("{path}?snapshots=refs")).await.expect(200);
            let update = json!({"requirements": [], "updates": [{"action": "set-properties", "updates": {"last": "one"}}]});
            client.post(&path, &update).await.expect(200);
        }
    }
}
