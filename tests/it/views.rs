//! Views: their life, their names, their commits; and what was there before there were any.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, Row};

use crate::support::{Client, Server, create_database, options, table_request};

const NAMESPACES: &str = "/catalog/v1/default/namespaces";
const VIEWS: &str = "/catalog/v1/default/namespaces/ns/views";
const VIEW: &str = "/catalog/v1/default/namespaces/ns/views/v";
const RENAME: &str = "/catalog/v1/default/views/rename";
const RENAME_TABLE: &str = "/catalog/v1/default/tables/rename";

fn version(queries: &[(&str, &str)]) -> Value {
    let representations: Vec<Value> =
        queries.iter().map(|(dialect, sql)| json!({"type": "sql", "dialect": dialect, "sql": sql})).collect();
    json!({
        "version-id": 1, "timestamp-ms": 1_700_000_000_000_i64, "schema-id": 0, "summary": {"engine-name": "test"},
        "default-catalog": "prod", "default-namespace": ["ns"], "representations": representations,
    })
}

/// A request that creates a view with one column.
fn view_request(name: &str) -> Value {
    json!({
        "name": name, "properties": {"comment": "mine"}, "view-version": version(&[("spark", "select 1")]),
        "schema": {"type": "struct", "schema-id": 9, "fields": [{"id": 4, "name": "id", "type": "long", "required": false}]},
    })
}

fn with(mut request: Value, name: &str, value: Value) -> Value {
    request[name] = value;
    request
}

fn commit(updates: &[Value]) -> Value {
    json!({"requirements": [], "updates": updates})
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

fn replace(sql: &str) -> Value {
    commit(&[add(version(&[("spark", sql)])), set_current(-1)])
}

fn rename(from: (&str, &str), to: (&str, &str)) -> Value {
    json!({"source": {"namespace": [from.0], "name": from.1}, "destination": {"namespace": [to.0], "name": to.1}})
}

fn path(namespace: &str, name: &str) -> String {
    format!("{NAMESPACES}/{namespace}/views/{name}")
}

/// A server with the namespaces `ns` and `other`.
async fn start() -> Server {
    let server = Server::start().await;
    for namespace in ["ns", "other"] {
        server.client.post(NAMESPACES, &json!({"namespace": [namespace]})).await.expect(200);
    }
    server
}

/// The same, with the view `ns.v`.
async fn start_with_view() -> (Server, Value) {
    let server = start().await;
    let made = server.client.post(VIEWS, &view_request("v")).await.expect(200);
    (server, made)
}

fn file_of(location: &Value) -> PathBuf {
    PathBuf::from(location.as_str().unwrap().strip_prefix("file://").unwrap())
}

/// The metadata files beside the one that a view points at.
fn metadata_files(loaded: &Value) -> Vec<String> {
    let directory = file_of(&loaded["metadata-location"]).parent().unwrap().to_owned();
    let mut names: Vec<String> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn names(client: &Client, path: &str) -> Vec<String> {
    let list = client.get(path).await.expect(200);
    list["identifiers"].as_array().unwrap().iter().map(|ident| ident["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_view_is_created_loaded_listed_replaced_renamed_and_dropped() {
    let (server, made) = start_with_view().await;
    let client = &server.client;
    let metadata = &made["metadata"];
    assert_eq!(metadata["current-version-id"], 1);
    assert_eq!(metadata["versions"], json!([version(&[("spark", "select 1")])]));
    assert_eq!(metadata["version-log"], json!([{"version-id": 1, "timestamp-ms": 1_700_000_000_000_i64}]));
    assert_eq!(metadata["schemas"], json!([with(view_request("v")["schema"].clone(), "schema-id", json!(0))]));
    assert_eq!((&metadata["properties"], &metadata["format-version"]), (&json!({"comment": "mine"}), &json!(1)));
    assert_eq!(made["config"], json!({}));
    let written = std::fs::read(file_of(&made["metadata-location"])).unwrap();
    assert_eq!(&serde_json::from_slice::<Value>(&written).unwrap(), metadata);
    assert_eq!(client.get(VIEW).await.expect(200), made);
    assert_eq!(client.head(VIEW).await.status, 204);
    assert_eq!(names(client, VIEWS).await, ["v"]);

    let replaced = client.post(VIEW, &replace("select 2")).await.expect(200);
    assert_eq!(
        (&replaced["metadata"]["current-version-id"], &replaced["metadata"]["view-uuid"]),
        (&json!(2), &metadata["view-uuid"])
    );
    assert_eq!(client.get(VIEW).await.expect(200), replaced);
    let files = metadata_files(&replaced);
    assert!(files.len() == 2 && files[0].starts_with("00000-") && files[1].starts_with("00001-"), "{files:?}");

    client.post(RENAME, &rename(("ns", "v"), ("ns", "w"))).await.expect(204);
    assert_eq!(client.head(VIEW).await.status, 404);
    assert_eq!(client.get(&path("ns", "w")).await.expect(200), replaced);

    let dropped = client.delete(&path("ns", "w")).await;
    assert_eq!((dropped.status, dropped.text.as_str()), (204, ""));
    assert!(file_of(&replaced["metadata-location"]).exists(), "a dropped view's files stay");
    assert_eq!(names(client, VIEWS).await, [""; 0]);
    let again = client.post(VIEWS, &view_request("v")).await.expect(200);
    assert_ne!(again["metadata"]["view-uuid"], metadata["view-uuid"]);
    assert_ne!(again["metadata"]["location"], metadata["location"]);
}

#[tokio::test]
async fn what_does_not_exist_is_404_and_says_so() {
    let server = start().await;
    let client = &server.client;
    for (namespace, answers) in [("ns", "View does not exist: ns.v"), ("none", "View does not exist: none.v")] {
        let view = path(namespace, "v");
        for answer in [client.get(&view).await, client.delete(&view).await, client.post(&view, &replace("x")).await] {
            assert_eq!(answer.expect_error(404, "NoSuchViewException"), answers);
        }
        assert_eq!(client.head(&view).await.status, 404);
        let renamed = client.post(RENAME, &rename((namespace, "v"), ("ns", "w"))).await;
        assert_eq!(renamed.expect_error(404, "NoSuchViewException"), answers);
    }
    let nowhere = format!("{NAMESPACES}/none/views");
    for answer in [client.get(&nowhere).await, client.post(&nowhere, &view_request("v")).await] {
        assert_eq!(answer.expect_error(404, "NoSuchNamespaceException"), "Namespace does not exist: none");
    }
    client.post(VIEWS, &view_request("v")).await.expect(200);
    let moved = client.post(RENAME, &rename(("ns", "v"), ("none", "v"))).await;
    assert_eq!(moved.expect_error(404, "NoSuchNamespaceException"), "Namespace does not exist: none");
}

#[tokio::test]
async fn tables_and_views_are_not_each_other() {
    let (server, made) = start_with_view().await;
    let client = &server.client;
    server.create_table("ns", "t").await;
    let (tables, table) = (format!("{NAMESPACES}/ns/tables"), format!("{NAMESPACES}/ns/tables/v"));
    assert_eq!((names(client, VIEWS).await, names(client, &tables).await), (vec!["v".to_owned()], vec!["t".to_owned()]));

    let empty = json!({"requirements": [], "updates": []});
    let report = json!({"report-type": "scan-report"});
    let transaction =
        json!({"table-changes": [{"identifier": {"namespace": ["ns"], "name": "v"}, "requirements": [], "updates": []}]});
    let as_table = [
        client.get(&table).await,
        client.delete(&table).await,
        client.delete(&format!("{table}?purgeRequested=true")).await,
        client.post(&table, &empty).await,
        client.post(&format!("{table}/metrics"), &report).await,
        client.post(RENAME_TABLE, &rename(("ns", "v"), ("ns", "x"))).await,
        client.post("/catalog/v1/default/transactions/commit", &transaction).await,
    ];
    for answer in as_table {
        assert_eq!(answer.expect_error(404, "NoSuchTableException"), "Table does not exist: ns.v");
    }
    let view = path("ns", "t");
    let as_view = [
        client.get(&view).await,
        client.delete(&view).await,
        client.post(&view, &replace("x")).await,
        client.post(RENAME, &rename(("ns", "t"), ("ns", "x"))).await,
    ];
    for answer in as_view {
        assert_eq!(answer.expect_error(404, "NoSuchViewException"), "View does not exist: ns.t");
    }
    assert_eq!((client.head(&table).await.status, client.head(&view).await.status), (404, 404));
    assert_eq!(client.get(VIEW).await.expect(200), made);
    assert_eq!(client.head(&format!("{tables}/t")).await.status, 204);
}

#[tokio::test]
async fn a_name_is_a_tables_or_a_views_and_never_both() {
    let (server, made) = start_with_view().await;
    let client = &server.client;
    let table = server.create_table("ns", "t").await;
    let tables = format!("{NAMESPACES}/ns/tables");
    let taken = |answer: crate::support::Answer, says: &str| {
        assert_eq!(answer.expect_error(409, "AlreadyExistsException"), says);
    };
    taken(client.post(VIEWS, &view_request("v")).await, "View already exists: ns.v");
    taken(client.post(VIEWS, &view_request("t")).await, "Table with same name already exists: ns.t");
    let view_there = "View with same name already exists: ns.v";
    taken(client.post(&tables, &table_request("v")).await, view_there);
    taken(client.post(&tables, &with(table_request("v"), "stage-create", json!(true))).await, view_there);
    let register = json!({"name": "v", "metadata-location": table["metadata-location"]});
    taken(client.post(&format!("{NAMESPACES}/ns/register"), &register).await, view_there);
    let create = json!({"requirements": [{"type": "assert-create"}], "updates": [
        {"action": "assign-uuid", "uuid": "00000000-0000-0000-0000-000000000001"}]});
    taken(client.post(&format!("{tables}/v"), &create).await, view_there);
    let there = |kind: &str, from: &str, to: &str| format!("Cannot rename ns.{from} to ns.{to}. {kind} already exists");
    taken(client.post(RENAME_TABLE, &rename(("ns", "t"), ("ns", "v"))).await, &there("View", "t", "v"));
    taken(client.post(RENAME, &rename(("ns", "v"), ("ns", "t"))).await, &there("Table", "v", "t"));
    client.post(VIEWS, &view_request("w")).await.expect(200);
    taken(client.post(RENAME, &rename(("ns", "v"), ("ns", "w"))).await, &there("View", "v", "w"));
    assert_eq!(client.get(VIEW).await.expect(200), made);
    assert_eq!((names(client, &tables).await, names(client, VIEWS).await), (vec!["t".to_owned()], vec!["v".into(), "w".into()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_views_and_tables_that_race_for_a_name_one_gets_it() {
    let server = start().await;
    for round in 0..8 {
        let name = format!("n{round}");
        let (view, table) = (view_request(&name), table_request(&name));
        let tables = format!("{NAMESPACES}/ns/tables");
        let requests = (0..6).map(|turn| {
            let (client, path, body) =
                (&server.client, if turn % 2 == 0 { VIEWS } else { &tables }, if turn % 2 == 0 { &view } else { &table });
            client.post(path, body)
        });
        let answers = join_all(requests).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        let view_made = answers.iter().position(|answer| answer.status == 200).unwrap() % 2 == 0;
        for (turn, answer) in answers.into_iter().enumerate().filter(|(_, answer)| answer.status != 200) {
            let says = match (view_made, turn % 2 == 0) {
                (true, true) => "View already exists: ns.",
                (false, false) => "Table already exists: ns.",
                (true, false) => "View with same name already exists: ns.",
                (false, true) => "Table with same name already exists: ns.",
            };
            assert_eq!(answer.expect_error(409, "AlreadyExistsException"), format!("{says}{name}"));
        }
    }
}

#[tokio::test]
async fn a_namespace_with_a_view_is_not_empty_and_a_renamed_view_is_in_the_other() {
    let (server, made) = start_with_view().await;
    let client = &server.client;
    let (ns, other) = (format!("{NAMESPACES}/ns"), format!("{NAMESPACES}/other"));
    client.delete(&ns).await.expect_error(409, "NamespaceNotEmptyException");
    client.post(RENAME, &rename(("ns", "v"), ("other", "w"))).await.expect(204);
    assert_eq!(client.get(&path("other", "w")).await.expect(200), made);
    assert_eq!((names(client, VIEWS).await.len(), names(client, &format!("{other}/views")).await), (0, vec!["w".to_owned()]));
    client.delete(&other).await.expect_error(409, "NamespaceNotEmptyException");
    client.delete(&ns).await.expect(204);
    // It goes on living there, with its files where they were.
    let replaced = client.post(&path("other", "w"), &replace("select 2")).await.expect(200);
    assert_eq!(replaced["metadata"]["location"], made["metadata"]["location"]);
    client.delete(&path("other", "w")).await.expect(204);
    client.delete(&other).await.expect(204);
}

#[tokio::test]
async fn pages_of_views_go_by_name() {
    let server = start().await;
    for name in ["v3", "V1", "v 2", "é"] {
        server.client.post(VIEWS, &view_request(name)).await.expect(200);
        server.create_table("ns", &format!("{name}-table")).await;
    }
    let client = &server.client;
    assert_eq!(names(client, VIEWS).await, ["V1", "v 2", "v3", "é"]);
    let page = client.get(&format!("{VIEWS}?pageToken=&pageSize=3")).await.expect(200);
    let token = page["next-page-token"].as_str().unwrap();
    assert_eq!(page["identifiers"][2], json!({"namespace": ["ns"], "name": "v3"}));
    let page = client.get(&format!("{VIEWS}?pageToken={token}&pageSize=3")).await.expect(200);
    assert_eq!((&page["identifiers"], page["next-page-token"].is_null()), (&json!([{"namespace": ["ns"], "name": "é"}]), true));
}

#[tokio::test]
async fn a_view_has_a_query_for_each_dialect_and_loses_none_unless_it_allows_it() {
    let (server, _) = start_with_view().await;
    let client = &server.client;
    let both = version(&[("spark", "select 2"), ("trino", "select 2")]);
    client.post(VIEW, &commit(&[add(both), set_current(-1)])).await.expect(200);
    let only_trino = [add(version(&[("Trino", "select 3")])), set_current(-1)];
    let message = client.post(VIEW, &commit(&only_trino)).await.expect_error(400, "BadRequestException");
    assert!(message.starts_with("Cannot replace view due to loss of view dialects"), "{message}");
    assert_eq!(client.get(VIEW).await.expect(200)["metadata"]["current-version-id"], 2);
    client.post(VIEW, &commit(&[set("replace.drop-dialect.allowed", "true")])).await.expect(200);
    let replaced = client.post(VIEW, &commit(&only_trino)).await.expect(200);
    assert_eq!(replaced["metadata"]["versions"][2]["representations"], version(&[("Trino", "select 3")])["representations"]);
}

#[tokio::test]
async fn the_log_has_the_last_ten_versions_or_as_many_as_the_view_wants() {
    let (server, _) = start_with_view().await;
    let client = &server.client;
    let ids = |loaded: &Value, list: &str| -> Vec<i64> {
        loaded["metadata"][list].as_array().unwrap().iter().map(|item| item["version-id"].as_i64().unwrap()).collect()
    };
    for number in 2..=12 {
        client.post(VIEW, &replace(&format!("select {number}"))).await.expect(200);
    }
    let loaded = client.get(VIEW).await.expect(200);
    let expected: Vec<i64> = (3..=12).collect();
    assert_eq!((ids(&loaded, "versions"), ids(&loaded, "version-log")), (expected.clone(), expected));
    let back = client.post(VIEW, &commit(&[set_current(5)])).await.expect(200);
    assert_eq!(ids(&back, "version-log").last(), Some(&5));
    let few = client.post(VIEW, &commit(&[set("version.history.num-entries", "2")])).await.expect(200);
    assert_eq!((ids(&few, "versions"), ids(&few, "version-log")), (vec![5, 12], vec![12, 5]));
    assert_eq!(client.get(VIEW).await.expect(200), few);
}

#[tokio::test]
async fn a_commit_on_another_view_than_was_read_fails() {
    let (server, made) = start_with_view().await;
    let client = &server.client;
    let require = |uuid: &Value| with(replace("select 2"), "requirements", json!([{"type": "assert-view-uuid", "uuid": uuid}]));
    client.delete(VIEW).await.expect(204);
    let new = client.post(VIEWS, &view_request("v")).await.expect(200);
    let message = client.post(VIEW, &require(&made["metadata"]["view-uuid"])).await.expect_error(409, "CommitFailedException");
    assert!(message.starts_with("Requirement failed: view UUID does not match: expected "), "{message}");
    assert_eq!(client.get(VIEW).await.expect(200), new);
    client.post(VIEW, &require(&new["metadata"]["view-uuid"])).await.expect(200);
    let named = |name: &str| with(replace("select 3"), "identifier", json!({"namespace": ["ns"], "name": name}));
    client.post(VIEW, &named("w")).await.expect_error(400, "BadRequestException");
    client.post(VIEW, &named("v")).await.expect(200);
    // Requirements may be left out; no change is no commit.
    let before = client.post(VIEW, &json!({"updates": [set("a", "b")]})).await.expect(200);
    assert_eq!(client.post(VIEW, &json!({"updates": [set("a", "b")]})).await.expect(200), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn replaces_that_race_all_take_effect_once_and_are_all_in_the_log() {
    const WRITERS: usize = 6;
    const REPLACES: usize = 8;
    let (server, made) = start_with_view().await;
    server.client.post(VIEW, &commit(&[set("version.history.num-entries", "1000")])).await.expect(200);
    let other = server.another().await;
    let writers = (0..WRITERS).map(|writer| {
        let client = if writer % 2 == 0 { server.client.clone() } else { other.client.clone() };
        let uuid = made["metadata"]["view-uuid"].clone();
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for number in 0..REPLACES {
                let sql = format!("select '{writer}-{number}'");
                let body = with(replace(&sql), "requirements", json!([{"type": "assert-view-uuid", "uuid": uuid}]));
                loop {
                    let answer = client.post(VIEW, &body).await;
                    if answer.status == 409 {
                        answer.expect_error(409, "CommitFailedException");
                        continue;
                    }
                    let metadata = answer.expect(200)["metadata"].take();
                    let current = metadata["current-version-id"].as_i64().unwrap();
                    let mut versions = metadata["versions"].as_array().unwrap().iter();
                    let own = versions.find(|version| version["version-id"] == current).unwrap();
                    assert_eq!(own["representations"][0]["sql"], sql);
                    ids.push(current);
                    break;
                }
            }
            ids
        })
    });
    let acknowledged: Vec<i64> = join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();
    let expected: BTreeSet<i64> = (2..).take(WRITERS * REPLACES).collect();
    assert_eq!(acknowledged.iter().copied().collect::<BTreeSet<_>>(), expected);
    let loaded = server.client.get(VIEW).await.expect(200);
    let metadata = &loaded["metadata"];
    let log: Vec<i64> =
        metadata["version-log"].as_array().unwrap().iter().map(|entry| entry["version-id"].as_i64().unwrap()).collect();
    assert_eq!(log, (1..).take(WRITERS * REPLACES + 1).collect::<Vec<_>>());
    let queries: BTreeSet<&str> = metadata["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["representations"][0]["sql"].as_str().unwrap())
        .collect();
    assert_eq!(queries.len(), WRITERS * REPLACES + 1);
    // The first file, that of the property, one for each replace, and none of those that lost.
    assert_eq!(metadata_files(&loaded).len(), WRITERS * REPLACES + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replace_does_not_land_on_a_view_that_was_renamed_meanwhile() {
    let (server, made) = start_with_view().await;
    let mut sql = server.sql().await;
    let mut tx = sql.begin().await.unwrap();
    tx.execute("UPDATE tabular SET name = 'w' WHERE name = 'v'").await.unwrap();
    let client = server.client.clone();
    let replaced = tokio::spawn(async move { client.post(VIEW, &replace("select 2")).await });
    let mut watch = server.sql().await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while watch.fetch_one(waiting).await.unwrap().get::<i64, _>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tx.commit().await.unwrap();
    assert_eq!(replaced.await.unwrap().expect_error(404, "NoSuchViewException"), "View does not exist: ns.v");
    assert_eq!(server.client.get(&path("ns", "w")).await.expect(200), made);
    assert_eq!(metadata_files(&made).len(), 1, "an unpublished file stayed behind");
}

/// Makes PostgreSQL run `statement` for each row of `tabular` that an UPDATE reaches, as part of it.
async fn on_update(server: &Server, statement: &str) {
    let text = format!(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statement} RETURN NEW; END $$;
         CREATE TRIGGER fail AFTER UPDATE ON tabular FOR EACH ROW EXECUTE FUNCTION fail();"
    );
    server.sql().await.execute(sqlx::AssertSqlSafe(text)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replace_that_fails_changes_nothing_and_one_whose_connection_breaks_is_unknown_and_keeps_its_file() {
    let (server, made) = start_with_view().await;
    let directory = file_of(&made["metadata-location"]).parent().unwrap().to_owned();
    let aside = directory.with_extension("aside");
    std::fs::rename(&directory, &aside).unwrap();
    std::fs::write(&directory, "").unwrap();
    server.client.post(VIEW, &replace("select 2")).await.expect_error(429, "ServiceUnavailableException");
    std::fs::remove_file(&directory).unwrap();
    std::fs::rename(&aside, &directory).unwrap();

    on_update(&server, "RAISE EXCEPTION 'injected';").await;
    server.client.post(VIEW, &replace("select 2")).await.expect_error(500, "InternalServerError");
    assert_eq!(metadata_files(&made).len(), 1);
    server.sql().await.execute("DROP FUNCTION fail() CASCADE").await.unwrap();

    on_update(&server, "PERFORM pg_terminate_backend(pg_backend_pid());").await;
    server.client.post(VIEW, &replace("select 2")).await.expect_error(500, "CommitStateUnknownException");
    assert_eq!(metadata_files(&made).len(), 2);
    assert_eq!(server.client.get(VIEW).await.expect(200), made);
}

#[tokio::test]
async fn a_views_location_is_its_own_like_a_tables() {
    let (server, made) = start_with_view().await;
    let client = &server.client;
    let table = server.create_table("ns", "t").await["metadata"]["location"].as_str().unwrap().to_owned();
    let location = made["metadata"]["location"].as_str().unwrap().to_owned();
    let root = location.rsplit_once("/ns-").unwrap().0.to_owned();
    let tables = format!("{NAMESPACES}/ns/tables");
    let at = |request: Value, location: &str| with(request, "location", json!(location));
    let overlaps = |message: String| assert!(message.contains("overlaps with another table's or view's"), "{message}");
    for taken in [&location, &format!("{location}/inner"), &table, &format!("{table}/data")] {
        overlaps(client.post(VIEWS, &at(view_request("w"), taken)).await.expect_error(400, "BadRequestException"));
    }
    overlaps(client.post(&tables, &at(table_request("w"), &location)).await.expect_error(400, "BadRequestException"));
    for outside in ["file:///elsewhere/v", root.as_str(), "s3://bucket/v", "no location", ""] {
        client.post(VIEWS, &at(view_request("w"), outside)).await.expect_error(400, "BadRequestException");
    }
    assert_eq!(names(client, VIEWS).await, ["v"]);

    // It moves, and where it was nobody else comes to be.
    let moved_to = format!("{root}/elsewhere/v");
    let set_location = |to: &str| commit(&[json!({"action": "set-location", "location": to})]);
    let moved = client.post(VIEW, &set_location(&format!("{moved_to}/"))).await.expect(200);
    assert_eq!(moved["metadata"]["location"], moved_to);
    assert!(file_of(&moved["metadata-location"]).starts_with(Path::new(moved_to.strip_prefix("file://").unwrap())));
    for taken in [&location, &moved_to] {
        overlaps(client.post(VIEWS, &at(view_request("w"), taken)).await.expect_error(400, "BadRequestException"));
    }
    overlaps(client.post(VIEW, &set_location(&format!("{table}/x"))).await.expect_error(400, "BadRequestException"));
    let message = client.post(VIEW, &set_location(&table)).await.expect_error(400, "BadRequestException");
    assert!(message.contains("another table or view has it"), "{message}");
    let inner = format!("{moved_to}/inner");
    client
        .post(VIEW, &commit(&[set("write.metadata.path", &format!("{table}/x"))]))
        .await
        .expect_error(400, "BadRequestException");
    let sent = client.post(VIEW, &commit(&[set("write.metadata.path", &inner)])).await.expect(200);
    assert!(sent["metadata-location"].as_str().unwrap().starts_with(&inner));
    assert_eq!(client.get(VIEW).await.expect(200), sent);
    client.delete(VIEW).await.expect(204);
    client.post(VIEWS, &at(view_request("w"), &location)).await.expect(200);
}

#[tokio::test]
async fn a_views_metadata_file_is_compressed_where_the_view_wants_it() {
    let server = start().await;
    let request = with(view_request("v"), "properties", json!({"write.metadata.compression-codec": "gzip"}));
    let made = server.client.post(VIEWS, &request).await.expect(200);
    let file = file_of(&made["metadata-location"]);
    assert!(file.to_str().unwrap().ends_with(".gz.metadata.json"));
    assert_eq!(std::fs::read(&file).unwrap()[..2], [0x1f, 0x8b]);
    assert_eq!(server.client.get(VIEW).await.expect(200), made);
    let wrong = commit(&[set("write.metadata.compression-codec", "lzma")]);
    server.client.post(VIEW, &wrong).await.expect_error(400, "BadRequestException");
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_changes_nothing() {
    let (server, made) = start_with_view().await;
    let client = &server.client;
    let without = |name: &str| {
        let mut request = view_request("w");
        request.as_object_mut().unwrap().remove(name);
        request
    };
    let of_version = |name: &str, value: Option<Value>| {
        let mut request = view_request("w");
        let version = request["view-version"].as_object_mut().unwrap();
        version.remove(name);
        version.extend(value.map(|value| (name.to_owned(), value)));
        request
    };
    let representation = |representation: Value| of_version("representations", Some(json!([representation])));
    let creations = [
        (without("name"), "name"),
        (without("schema"), "schema"),
        (without("view-version"), "view-version"),
        (without("properties"), "properties"),
        (of_version("default-namespace", None), "default-namespace"),
        (of_version("default-namespace", Some(Value::Null)), "null"),
        (of_version("timestamp-ms", None), "timestamp-ms"),
        (of_version("summary", None), "summary"),
        (of_version("summary", Some(json!({"a": 1}))), "string"),
        (of_version("representations", None), "representations"),
        (of_version("representations", Some(json!([]))), "no representation"),
        (of_version("version-id", Some(json!("1"))), "i32"),
        (of_version("version-id", Some(json!(1_u64 << 40))), "i32"),
        (representation(json!({"type": "substrait", "sql": "x", "dialect": "spark"})), "substrait"),
        (representation(json!({"type": "sql", "dialect": "spark"})), "sql"),
        (representation(json!({"type": "sql", "sql": "x"})), "dialect"),
        (
            with(view_request("w"), "view-version", version(&[("spark", "a"), ("Spark", "b")])),
            "multiple queries for dialect spark",
        ),
        (with(view_request("w"), "schema", json!({"type": "list"})), "unknown variant"),
        (
            with(
                view_request("w"),
                "schema",
                json!({"type": "struct", "fields": [
            {"id": 1, "name": "a", "type": "long", "required": true}, {"id": 1, "name": "b", "type": "long", "required": true}]}),
            ),
            "id 1",
        ),
        (with(view_request("w"), "properties", json!({"a": 1})), "string"),
        (with(view_request("w"), "properties", json!({"version.history.num-entries": "0"})), "must be positive but was 0"),
        (with(view_request("w"), "properties", json!({"write.metadata.path": "file:///x"})), "does not lie inside the view's"),
        (view_request(""), "Invalid view name"),
        (view_request(".."), "Invalid view name"),
        (view_request("a\u{0}b"), "Invalid view name"),
        (json!([]), "expected"),
    ];
    for (body, says) in creations {
        let message = client.post(VIEWS, &body).await.expect_error(400, "BadRequestException");
        assert!(message.contains(says), "{body}: {message}");
    }
    let second = version(&[("spark", "select 2")]);
    let updates = [
        (json!({"action": "add-snapshot"}), "unknown variant"),
        (json!({"action": "add-view-version"}), "view-version"),
        (add(with(second.clone(), "schema-id", json!(5))), "unknown schema: 5"),
        (add(with(second.clone(), "schema-id", json!(-1))), "no schema has been added"),
        (add(version(&[])), "no representation"),
        (set_current(9), "unknown version: 9"),
        (set_current(-1), "no current version id"),
        (json!({"action": "upgrade-format-version", "format-version": 2}), "Unsupported format version: 2"),
        (json!({"action": "assign-uuid", "uuid": "00000000-0000-0000-0000-000000000001"}), "Cannot reassign uuid"),
        (json!({"action": "set-location", "location": "file:///elsewhere"}), "does not lie inside the warehouse"),
        (set("version.history.num-entries", "many"), "must be positive but was many"),
    ];
    for (update, says) in updates {
        let message = client.post(VIEW, &commit(&[set("a", "b"), update.clone()])).await.expect_error(400, "BadRequestException");
        assert!(message.contains(says), "{update}: {message}");
    }
    let requirement = json!({"requirements": [{"type": "assert-table-uuid", "uuid": "x"}], "updates": []});
    client.post(VIEW, &requirement).await.expect_error(400, "BadRequestException");
    client.post(VIEW, &commit(&vec![set("a", "b"); 1_001])).await.expect_error(400, "BadRequestException");
    for name in ["a%00b", "..%0A", &"x".repeat(256)] {
        client.get(&path("ns", name)).await.expect_error(400, "BadRequestException");
    }
    assert_eq!(client.get(VIEW).await.expect(200), made);
    assert_eq!((names(client, VIEWS).await, metadata_files(&made).len()), (vec!["v".to_owned()], 1));
}

#[tokio::test]
async fn what_was_there_before_there_were_views_are_tables() {
    let old = Server::start().await;
    let table = old.create_table("ns", "t").await;
    // A database as the first migration leaves it, with what a server of that time would have written.
    let database = create_database().await;
    let directory = tempfile::tempdir().unwrap();
    let first = "0001_catalog.sql";
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    std::fs::copy(migrations.join(first), directory.path().join(first)).unwrap();
    let pool = sqlx::PgPool::connect_with(options().database(&database)).await.unwrap();
    sqlx::migrate::Migrator::new(directory.path()).await.unwrap().run(&pool).await.unwrap();
    let mut source = old.sql().await;
    for name in ["installation", "principal", "signing_key", "warehouse", "namespace", "tabular"] {
        let read = format!("SELECT coalesce(json_agg(t), '[]')::text FROM {name} t");
        let rows: String = source.fetch_one(sqlx::AssertSqlSafe(read)).await.unwrap().get(0);
        let write = format!("INSERT INTO {name} SELECT * FROM json_populate_recordset(NULL::{name}, $1::json)");
        sqlx::query(sqlx::AssertSqlSafe(write)).bind(rows).execute(&pool).await.unwrap();
    }
    pool.close().await;

    let new = Server::start_on_database(database).await;
    let tables = format!("{NAMESPACES}/ns/tables");
    assert_eq!(new.client.get(&format!("{tables}/t")).await.expect(200), table);
    assert_eq!((names(&new.client, &tables).await, names(&new.client, VIEWS).await.len()), (vec!["t".to_owned()], 0));
    let changed = new.client.post(&format!("{tables}/t"), &commit(&[set("a", "b")])).await.expect(200);
    assert_eq!(changed["metadata"]["properties"]["a"], "b");
    new.client.post(VIEWS, &view_request("t")).await.expect_error(409, "AlreadyExistsException");
    new.client.post(VIEWS, &view_request("v")).await.expect(200);
    // What a row is must be said from now on.
    let unsaid =
        "INSERT INTO tabular SELECT gen_random_uuid(), warehouse_id, namespace_id, 'x', 'x', table_uuid, 0, 'x', metadata,
                      created_at, updated_at, NULL FROM tabular LIMIT 1";
    let refused = new.sql().await.execute(unsaid).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "23502");
}
