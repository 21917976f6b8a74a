//! Commits: atomic over many tables, counted, raced, broken off.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use sqlx::{Connection, Executor, Row};

use crate::support::{Client, Server, database_log, table_request};

const TABLES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn path(table: &str) -> String {
    format!("/catalog/v1/default/namespaces/ns/tables/{table}")
}

fn set(name: &str, value: &str) -> Value {
    json!({"requirements": [], "updates": [{"action": "set-properties", "updates": {name: value}}]})
}

/// A transaction that sets one property of each of the five tables.
fn five(value: &str) -> Value {
    let changes: Vec<Value> = TABLES
        .iter()
        .map(|table| {
            json!({
                "identifier": {"namespace": ["ns"], "name": table},
                "requirements": [],
                "updates": [{"action": "set-properties", "updates": {"step": value}}],
            })
        })
        .collect();
    json!({"table-changes": changes})
}

async fn five_tables() -> Server {
    let server = Server::start().await;
    for table in TABLES {
        server.create_table("ns", table).await;
    }
    server
}

/// The five tables' pointers and the property.
async fn state(client: &Client) -> BTreeMap<&'static str, (String, Value)> {
    let mut found = BTreeMap::new();
    for table in TABLES {
        let loaded = client.get(&path(table)).await.expect(200);
        let file = loaded["metadata-location"].as_str().unwrap().to_owned();
        assert!(file_of(&file).exists(), "{file} is missing");
        found.insert(table, (file, loaded["metadata"]["properties"]["step"].clone()));
    }
    found
}

fn file_of(location: &str) -> PathBuf {
    PathBuf::from(location.strip_prefix("file://").unwrap())
}

/// All metadata files of a table that are on disk.
fn metadata_files(location: &str) -> Vec<String> {
    let directory = file_of(location).parent().unwrap().to_owned();
    let mut names: Vec<String> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Makes PostgreSQL run `statement` for each row of `tabular` that an UPDATE reaches, as part of it.
async fn on_update(server: &Server, when: &str, statement: &str) {
    let mut sql = server.sql().await;
    let text = format!(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statement} RETURN NEW; END $$;
         CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON tabular {when} FOR EACH ROW EXECUTE FUNCTION fail();"
    );
    sql.execute(sqlx::AssertSqlSafe(text)).await.unwrap();
    sql.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_over_five_tables_changes_all() {
    let server = five_tables().await;
    server.client.post("/catalog/v1/default/transactions/commit", &five("1")).await.expect(204);
    assert!(state(&server.client).await.values().all(|(_, step)| step == "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_nth_metadata_file_cannot_be_written_changes_nothing() {
    let server = five_tables().await;
    let before = state(&server.client).await;
    for table in TABLES {
        // A file where the directory was: nothing can be written there, whoever tries.
        let directory = file_of(&before[table].0).parent().unwrap().to_owned();
        let aside = directory.with_extension("aside");
        std::fs::rename(&directory, &aside).unwrap();
        std::fs::write(&directory, "").unwrap();
        let answer = server.client.post("/catalog/v1/default/transactions/commit", &five(table)).await;
        answer.expect_error(429, "ServiceUnavailableException");
        std::fs::remove_file(&directory).unwrap();
        std::fs::rename(&aside, &directory).unwrap();
        assert_eq!(state(&server.client).await, before, "failure at table {table}");
        for other in TABLES {
            assert_eq!(metadata_files(&before[other].0).len(), 1, "an unpublished file of {other} stayed behind");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_fails_at_its_nth_swap_changes_nothing() {
    let server = five_tables().await;
    let before = state(&server.client).await;
    on_update(&server, "", "IF NEW.name = NEW.metadata_location THEN NULL; ELSIF current_setting('test.at', true) = NEW.name THEN RAISE EXCEPTION 'injected'; END IF;").await;
    for table in TABLES {
        let setting = format!("ALTER DATABASE {} SET test.at = '{table}'", server.database);
        server.sql().await.execute(sqlx::AssertSqlSafe(setting)).await.unwrap();
        // A new server: its connections have the setting.
        let other = server.another().await;
        other.client.post("/catalog/v1/default/transactions/commit", &five(table)).await.expect_error(500, "InternalServerError");
        assert_eq!(state(&server.client).await, before, "failure at table {table}");
        assert!(TABLES.iter().all(|table| metadata_files(&before[table].0).len() == 1), "an unpublished file stayed behind");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_fails_as_it_commits_changes_nothing() {
    let server = five_tables().await;
    let before = state(&server.client).await;
    on_update(&server, "DEFERRABLE INITIALLY DEFERRED", "RAISE EXCEPTION 'injected';").await;
    server.client.post("/catalog/v1/default/transactions/commit", &five("x")).await.expect_error(500, "InternalServerError");
    assert_eq!(state(&server.client).await, before);
    assert!(TABLES.iter().all(|table| metadata_files(&before[table].0).len() == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_connection_breaks_is_unknown_and_keeps_its_files() {
    let server = five_tables().await;
    let before = state(&server.client).await;
    on_update(&server, "", "IF NEW.name = 'c' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;").await;
    let answer = server.client.post("/catalog/v1/default/transactions/commit", &five("x")).await;
    answer.expect_error(500, "CommitStateUnknownException");
    assert_eq!(state(&server.client).await, before);
    for table in TABLES {
        assert_eq!(metadata_files(&before[table].0).len(), 2, "after an unknown outcome every file stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_which_one_requirement_fails_changes_nothing() {
    let server = five_tables().await;
    let before = state(&server.client).await;
    let mut body = five("x");
    body["table-changes"][3]["requirements"] = json!([{"type": "assert-table-uuid", "uuid": uuid::Uuid::new_v4()}]);
    let answer = server.client.post("/catalog/v1/default/transactions/commit", &body).await;
    let message = answer.expect_error(409, "CommitFailedException");
    assert!(message.starts_with("Requirement failed: UUID does not match"), "{message}");
    assert_eq!(state(&server.client).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_creates_a_table_beside_a_change_is_atomic_too() {
    let server = five_tables().await;
    let staged_request = {
        let mut request = table_request("new");
        request["stage-create"] = json!(true);
        request
    };
    let staged = server.client.post("/catalog/v1/default/namespaces/ns/tables", &staged_request).await.expect(200);
    assert_eq!(staged["metadata-location"], Value::Null);
    let metadata = &staged["metadata"];
    let create = json!({
        "identifier": {"namespace": ["ns"], "name": "new"},
        "requirements": [{"type": "assert-create"}],
        "updates": [
            {"action": "assign-uuid", "uuid": metadata["table-uuid"]},
            {"action": "upgrade-format-version", "format-version": 2},
            {"action": "add-schema", "schema": metadata["schemas"][0], "last-column-id": 2},
            {"action": "set-current-schema", "schema-id": -1},
            {"action": "add-spec", "spec": metadata["partition-specs"][0]},
            {"action": "set-default-spec", "spec-id": -1},
            {"action": "add-sort-order", "sort-order": metadata["sort-orders"][0]},
            {"action": "set-default-sort-order", "sort-order-id": -1},
            {"action": "set-location", "location": metadata["location"]},
        ],
    });
    let mut body = five("with-new");
    body["table-changes"].as_array_mut().unwrap().push(create.clone());
    body["table-changes"][0]["requirements"] = json!([{"type": "assert-current-schema-id", "current-schema-id": 7}]);
    let commit = "/catalog/v1/default/transactions/commit";
    server.client.post(commit, &body).await.expect_error(409, "CommitFailedException");
    assert_eq!(server.client.head(&path("new")).await.status, 404);
    body["table-changes"][0]["requirements"] = json!([]);
    server.client.post(commit, &body).await.expect(204);
    assert_eq!(server.client.head(&path("new")).await.status, 204);
    assert!(state(&server.client).await.values().all(|(_, step)| step == "with-new"));
    // The same again: the table exists now.
    server.client.post(commit, &body).await.expect_error(409, "CommitFailedException");
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_over_the_same_tables_in_any_order_never_deadlock_and_never_mix() {
    let server = five_tables().await;
    let mut tasks = Vec::new();
    for writer in 0..8 {
        let client = server.client.clone();
        tasks.push(tokio::spawn(async move {
            for round in 0..15 {
                let mut body = five(&format!("{writer}-{round}"));
                let changes = body["table-changes"].as_array_mut().unwrap();
                changes.rotate_left(writer % 5);
                if writer % 2 == 1 {
                    changes.reverse();
                }
                let answer = client.post("/catalog/v1/default/transactions/commit", &body).await;
                if answer.status != 204 {
                    answer.expect_error(409, "CommitFailedException");
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let steps: Vec<Value> = state(&server.client).await.into_values().map(|(_, step)| step).collect();
    assert!(steps.iter().all(|step| *step == steps[0]), "{steps:?}");
    assert!(!database_log().contains("deadlock detected"));
}

#[tokio::test(flavor = "multi_thread")]
async fn renames_that_take_each_others_names_are_refused_at_once_and_never_deadlock() {
    let server = Server::start().await;
    for table in ["a", "b"] {
        server.create_table("ns", table).await;
    }
    let rename = |from: &'static str, to: &'static str| {
        let client = server.client.clone();
        async move {
            let ident = |name| json!({"namespace": ["ns"], "name": name});
            let body = json!({"source": ident(from), "destination": ident(to)});
            client.post("/catalog/v1/default/tables/rename", &body).await.expect_error(409, "AlreadyExistsException")
        }
    };
    for _ in 0..100 {
        tokio::join!(rename("a", "b"), rename("b", "a"));
    }
    assert!(!database_log().contains("deadlock detected"));
}

/// The statements that PostgreSQL ran for a request, as its own log has them: between two marks on another connection.
async fn statements(server: &Server, request: impl Future<Output = ()>) -> Vec<String> {
    let mark = |edge: &str| format!("SELECT '{edge} {}'", uuid::Uuid::new_v4());
    let (begin, end) = (mark("begin"), mark("end"));
    let mut sql = server.sql().await;
    sql.execute(sqlx::AssertSqlSafe(begin.clone())).await.unwrap();
    request.await;
    sql.execute(sqlx::AssertSqlSafe(end.clone())).await.unwrap();
    sql.close().await.unwrap();
    let log = database_log();
    let between = log.lines().skip_while(|line| !line.contains(&begin)).skip(1).take_while(|line| !line.contains(&end));
    between.filter(|line| line.contains("LOG:  execute ") || line.contains("LOG:  statement: ")).map(ToOwned::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_takes_one_statement_and_a_commit_two_and_one_put_authentication_included() {
    let server = Server::start().await;
    server.create_table("ns", "a").await;
    let setting = format!("ALTER DATABASE {} SET log_statement = 'all'", server.database);
    server.sql().await.execute(sqlx::AssertSqlSafe(setting)).await.unwrap();
    // A new server: its connections have the setting.
    let counted = server.another().await;
    let client = &counted.client;
    let location = client.get(&path("a")).await.expect(200)["metadata-location"].as_str().unwrap().to_owned();
    let files = metadata_files(&location).len();

    let load = statements(&counted, async { drop(client.get(&path("a")).await.expect(200)) }).await;
    assert_eq!(load.len(), 1, "who calls and where the name leads: {load:#?}");

    let commit = statements(&counted, async { drop(client.post(&path("a"), &set("x", "y")).await.expect(200)) }).await;
    assert_eq!(commit.len(), 2, "the same, and a swap: {commit:#?}");
    assert_eq!(metadata_files(&location).len(), files + 1, "one file written, none left over");

    let load = statements(&counted, async { drop(client.get(&path("a")).await.expect(200)) }).await;
    assert_eq!(load.len(), 1, "a server knows what it committed: {load:#?}");
    let commit = statements(&counted, async { drop(client.post(&path("a"), &set("x", "w")).await.expect(200)) }).await;
    assert_eq!(commit.len(), 1, "and commits to it again without a look: {commit:#?}");
    server.client.post(&path("a"), &set("x", "z")).await.expect(200);
    let load = statements(&counted, async { drop(client.get(&path("a")).await.expect(200)) }).await;
    assert_eq!(load.len(), 2, "what another server committed is read once: {load:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_whose_requirements_hold_all_succeed_however_many_race() {
    let server = Server::start().await;
    server.create_table("ns", "a").await;
    let tasks: Vec<_> = (0..6)
        .map(|writer| {
            let client = server.client.clone();
            tokio::spawn(async move {
                let mut done = 0;
                for round in 0..10 {
                    let answer = client.post(&path("a"), &set(&format!("w{writer}-{round}"), "1")).await;
                    if answer.status == 200 {
                        done += 1;
                    } else {
                        answer.expect_error(409, "CommitFailedException");
                    }
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    let loaded = server.client.get(&path("a")).await.expect(200);
    assert_eq!(loaded["metadata"]["properties"].as_object().unwrap().len(), done, "each acknowledged commit is there once");
    let version: i64 = sqlx::query("SELECT version FROM tabular").fetch_one(&mut server.sql().await).await.unwrap().get(0);
    assert_eq!(usize::try_from(version).unwrap(), done);
    let location = loaded["metadata-location"].as_str().unwrap();
    assert_eq!(metadata_files(location).len(), done + 1, "files of lost swaps are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_requires_of_a_table_it_does_not_change_holds_when_it_takes_effect() {
    let server = five_tables().await;
    let held = server.client.get(&path("a")).await.expect(200);
    // The swap of b waits for a commit to a that comes in between: then the version that was looked at is another.
    on_update(&server, "", "IF NEW.name = 'a' THEN PERFORM pg_sleep(1); END IF;").await;
    let mut body = five("x");
    let changes = body["table-changes"].as_array_mut().unwrap();
    changes.truncate(2);
    changes[0]["updates"] = json!([]);
    changes[0]["requirements"] = json!([{"type": "assert-current-schema-id", "current-schema-id": 0}]);
    let slow = {
        let client = server.client.clone();
        let schema = json!({"type": "struct", "fields": [{"id": 9, "name": "other", "type": "int", "required": false}]});
        let update = json!({"requirements": [], "updates": [
            {"action": "add-schema", "schema": schema}, {"action": "set-current-schema", "schema-id": -1},
        ]});
        tokio::spawn(async move { client.post(&path("a"), &update).await.expect(200) })
    };
    let mut sql = server.sql().await;
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    while sqlx::query(sleeping).fetch_one(&mut sql).await.unwrap().get::<i64, _>(0) == 0 && !slow.is_finished() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let answer = server.client.post("/catalog/v1/default/transactions/commit", &body).await;
    slow.await.unwrap();
    let message = answer.expect_error(409, "CommitFailedException");
    assert!(message.contains("current schema changed"), "{message}");
    assert_eq!(held["metadata"]["current-schema-id"], 0);
    assert_eq!(state(&server.client).await["b"].1, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_location_that_a_table_moved_away_from_stays_its_own_for_as_long_as_it_lives() {
    let server = Server::start().await;
    let made = server.create_table("ns", "a").await;
    let old = made["metadata"]["location"].as_str().unwrap();
    let moved = json!({"requirements": [], "updates": [{"action": "set-location", "location": format!("{old}-moved")}]});
    server.client.post(&path("a"), &moved).await.expect(200);
    let tables = "/catalog/v1/default/namespaces/ns/tables";
    let mut request = table_request("b");
    request["location"] = json!(format!("{old}/inside"));
    server.client.post(tables, &request).await.expect_error(400, "BadRequestException");
    assert_eq!(server.client.delete(&path("a")).await.status, 204);
    server.client.post(tables, &request).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_one_connection_does_everything() {
    let server = Server::start_with(nunatak::model::Clock::System, "database_connections_max = 1").await;
    let client = &server.client;
    let made = server.create_table("ns", "a").await;
    server.create_table("ns", "b").await;
    let location = json!(format!("{}-own", made["metadata"]["location"].as_str().unwrap()));
    let mut request = table_request("c");
    request["location"] = location;
    client.post("/catalog/v1/default/namespaces/ns/tables", &request).await.expect(200);
    let mut transaction = five("1");
    transaction["table-changes"].as_array_mut().unwrap().truncate(3);
    client.post("/catalog/v1/default/transactions/commit", &transaction).await.expect(204);
    let moved = json!({"requirements": [], "updates": [
        {"action": "set-location", "location": format!("{}-moved", made["metadata"]["location"].as_str().unwrap())},
    ]});
    let file = client.post(&path("a"), &moved).await.expect(200)["metadata-location"].clone();
    let names = json!({"source": {"namespace": ["ns"], "name": "a"}, "destination": {"namespace": ["ns"], "name": "z"}});
    assert_eq!(client.post("/catalog/v1/default/tables/rename", &names).await.status, 204);
    assert_eq!(client.delete(&path("z")).await.status, 204);
    let body = json!({"name": "a", "metadata-location": file});
    client.post("/catalog/v1/default/namespaces/ns/register", &body).await.expect(200);
    client.get("/catalog/v1/default/namespaces/ns/tables").await.expect(200);
    server.app.delete_metadata().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_locations_that_race_are_given_to_one() {
    let server = Server::start().await;
    server.create_table("ns", "first").await;
    let root = server.client.get("/api/v1/warehouses/default").await.expect(200)["root"].as_str().unwrap().to_owned();
    for round in 0..5 {
        let tasks: Vec<_> = (0..6)
            .map(|depth| {
                let client = server.client.clone();
                let mut request = table_request(&format!("t{round}-{depth}"));
                request["location"] = json!(format!("{root}/r{round}{}", "/x".repeat(depth)));
                tokio::spawn(async move { client.post("/catalog/v1/default/namespaces/ns/tables", &request).await.status })
            })
            .collect();
        let mut made = 0;
        for task in tasks {
            match task.await.unwrap() {
                200 => made += 1,
                status => assert_eq!(status, 400),
            }
        }
        assert_eq!(made, 1, "one of the nested locations");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_table_comes_back_by_its_metadata_file() {
    let server = Server::start().await;
    let made = server.create_table("ns", "a").await;
    server.client.post(&path("a"), &set("kept", "yes")).await.expect(200);
    let file = server.client.get(&path("a")).await.expect(200)["metadata-location"].clone();
    assert_eq!(server.client.delete(&path("a")).await.status, 204);
    assert!(file_of(file.as_str().unwrap()).exists(), "a drop deletes no file");
    server.client.get(&path("a")).await.expect_error(404, "NoSuchTableException");
    let register = "/catalog/v1/default/namespaces/ns/register";
    let back = server.client.post(register, &json!({"name": "b", "metadata-location": file})).await.expect(200);
    assert_eq!(back["metadata"]["properties"]["kept"], "yes");
    assert_eq!(back["metadata"]["table-uuid"], made["metadata"]["table-uuid"]);
    server.client.post(&path("b"), &set("more", "yes")).await.expect(200);
    // Its location is taken again.
    let again = server.client.post(register, &json!({"name": "c", "metadata-location": file})).await;
    again.expect_error(400, "BadRequestException");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_queues_the_files_and_frees_name_and_location() {
    let server = Server::start().await;
    let made = server.create_table("ns", "a").await;
    let file = made["metadata-location"].as_str().unwrap();
    assert_eq!(server.client.delete(&format!("{}?purgeRequested=True", path("a"))).await.status, 204);
    assert!(file_of(file).exists(), "nothing is deleted before the grace period is over");
    let mut request = table_request("a");
    request["location"] = made["metadata"]["location"].clone();
    server.client.post("/catalog/v1/default/namespaces/ns/tables", &request).await.expect(200);
    let queued = sqlx::query("SELECT kind, uri FROM deletion").fetch_one(&mut server.sql().await).await.unwrap();
    assert_eq!((queued.get::<String, _>(0).as_str(), queued.get::<String, _>(1).as_str()), ("purge", file));
}

mod metadata_files {
    use chrono::{TimeDelta, Utc};
    use nunatak::model::Clock;

    use super::*;

    async fn server(clock: &Clock) -> Server {
        let server = Server::start_with(clock.clone(), "deletion_grace_seconds = 3600\ntoken_lifetime_seconds = 86400").await;
        server.create_table("ns", "a").await;
        server
    }

    #[allow(clippy::disallowed_methods, reason = "a test's clock starts somewhere")]
    fn clock() -> Clock {
        Clock::manual(Utc::now())
    }

    fn limits(delete: bool) -> Value {
        json!({"requirements": [], "updates": [{"action": "set-properties", "updates": {
            "write.metadata.previous-versions-max": "2",
            "write.metadata.delete-after-commit.enabled": delete.to_string(),
        }}]})
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn that_fall_off_the_log_are_deleted_after_the_grace_period_if_the_table_wants_it() {
        let clock = clock();
        let server = server(&clock).await;
        server.client.post(&path("a"), &limits(true)).await.expect(200);
        for round in 0..4 {
            server.client.post(&path("a"), &set("round", &round.to_string())).await.expect(200);
        }
        let loaded = server.client.get(&path("a")).await.expect(200);
        let location = loaded["metadata-location"].as_str().unwrap();
        assert_eq!(loaded["metadata"]["metadata-log"].as_array().unwrap().len(), 2);
        assert_eq!(metadata_files(location).len(), 6);
        server.app.delete_metadata().await.unwrap();
        assert_eq!(metadata_files(location).len(), 6, "the grace period is not over");
        clock.advance(TimeDelta::hours(2));
        server.app.delete_metadata().await.unwrap();
        assert_eq!(metadata_files(location).len(), 3, "the current one and the two of the log");
        for entry in loaded["metadata"]["metadata-log"].as_array().unwrap() {
            assert!(file_of(entry["metadata-file"].as_str().unwrap()).exists());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn stay_where_the_table_does_not_want_their_deletion() {
        let clock = clock();
        let server = server(&clock).await;
        server.client.post(&path("a"), &limits(false)).await.expect(200);
        for round in 0..4 {
            server.client.post(&path("a"), &set("round", &round.to_string())).await.expect(200);
        }
        clock.advance(TimeDelta::hours(2));
        server.app.delete_metadata().await.unwrap();
        let loaded = server.client.get(&path("a")).await.expect(200);
        assert_eq!(metadata_files(loaded["metadata-location"].as_str().unwrap()).len(), 6);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn that_a_table_reaches_again_are_taken_off_the_queue() {
        let clock = clock();
        let server = server(&clock).await;
        let first = server.client.get(&path("a")).await.expect(200)["metadata-location"].clone();
        server.client.post(&path("a"), &limits(true)).await.expect(200);
        let middle = server.client.get(&path("a")).await.expect(200)["metadata-location"].clone();
        for round in 0..4 {
            server.client.post(&path("a"), &set("round", &round.to_string())).await.expect(200);
        }
        assert_eq!(server.client.delete(&path("a")).await.status, 204);
        // From the middle of its history: the log of the new table names files that the old one has let go of.
        let body = json!({"name": "old", "metadata-location": middle});
        server.client.post("/catalog/v1/default/namespaces/ns/register", &body).await.expect(200);
        clock.advance(TimeDelta::hours(2));
        server.app.delete_metadata().await.unwrap();
        for file in [&first, &middle] {
            assert!(file_of(file.as_str().unwrap()).exists(), "{file} is reached");
        }
        server.client.post(&path("old"), &set("still", "alive")).await.expect(200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn that_were_deleted_cannot_be_registered_by_whoever_read_them_before() {
        let clock = clock();
        let server = server(&clock).await;
        let first = server.client.get(&path("a")).await.expect(200)["metadata-location"].clone();
        let kept = std::fs::read(file_of(first.as_str().unwrap())).unwrap();
        server.client.post(&path("a"), &limits(true)).await.expect(200);
        for round in 0..4 {
            server.client.post(&path("a"), &set("round", &round.to_string())).await.expect(200);
        }
        assert_eq!(server.client.delete(&path("a")).await.status, 204);
        clock.advance(TimeDelta::hours(2));
        server.app.delete_metadata().await.unwrap();
        assert!(!file_of(first.as_str().unwrap()).exists());
        // As for one that read the file just before it went.
        std::fs::write(file_of(first.as_str().unwrap()), kept).unwrap();
        let body = json!({"name": "old", "metadata-location": first});
        let register = "/catalog/v1/default/namespaces/ns/register";
        server.client.post(register, &body).await.expect_error(409, "ConflictException");
        clock.advance(TimeDelta::hours(25));
        let client = Client::login(&server.url, crate::support::CLIENT_ID, crate::support::CLIENT_SECRET).await;
        server.app.delete_metadata().await.unwrap();
        client.post(register, &body).await.expect(200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_others_that_a_forged_log_names_are_never_deleted() {
        let clock = clock();
        let server = server(&clock).await;
        let victim = server.create_table("ns", "victim").await;
        let precious = victim["metadata-location"].as_str().unwrap().replace("/metadata/", "/data/");
        std::fs::create_dir_all(file_of(&precious).parent().unwrap()).unwrap();
        std::fs::write(file_of(&precious), "rows").unwrap();
        // A table whose metadata says that the victim's file was one of its own, in two spellings.
        let mut forged = victim["metadata"].clone();
        let root = server.client.get("/api/v1/warehouses/default").await.expect(200)["root"].as_str().unwrap().to_owned();
        forged["location"] = json!(format!("{root}/forged"));
        forged["table-uuid"] = json!(uuid::Uuid::new_v4());
        let spelled = precious.replace("file:///", "file:/");
        forged["metadata-log"] = json!([precious.clone(), spelled].map(|file| json!({"metadata-file": file, "timestamp-ms": 1})));
        let file = format!("{root}/forged/metadata/00000-x.metadata.json");
        std::fs::create_dir_all(file_of(&file).parent().unwrap()).unwrap();
        std::fs::write(file_of(&file), forged.to_string()).unwrap();
        let body = json!({"name": "forged", "metadata-location": file});
        server.client.post("/catalog/v1/default/namespaces/ns/register", &body).await.expect(200);
        server.client.post(&path("forged"), &limits(true)).await.expect(200);
        for round in 0..4 {
            server.client.post(&path("forged"), &set("round", &round.to_string())).await.expect(200);
        }
        clock.advance(TimeDelta::hours(2));
        server.app.delete_metadata().await.unwrap();
        assert!(file_of(&precious).exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn are_compressed_where_the_table_asks_for_it_and_can_be_registered() {
        let server = Server::start().await;
        let mut request = table_request("a");
        request["properties"] = json!({"write.metadata.compression-codec": "gzip"});
        server.client.post("/catalog/v1/default/namespaces", &json!({"namespace": ["ns"]})).await.expect(200);
        let made = server.client.post("/catalog/v1/default/namespaces/ns/tables", &request).await.expect(200);
        let location = made["metadata-location"].as_str().unwrap();
        assert!(location.ends_with(".gz.metadata.json"), "{location}");
        assert_eq!(std::fs::read(file_of(location)).unwrap()[..2], [0x1f, 0x8b]);
        assert_eq!(server.client.delete(&path("a")).await.status, 204);
        let body = json!({"name": "b", "metadata-location": location});
        let back = server.client.post("/catalog/v1/default/namespaces/ns/register", &body).await.expect(200);
        assert_eq!(back["metadata"], made["metadata"]);
    }
}
