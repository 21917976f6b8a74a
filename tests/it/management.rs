//! The management API: warehouses, principals, who may use it, and what `/config` makes of it.

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{ACCESS_KEY_ID, S3, SECRET_ACCESS_KEY, profile};
use crate::support::{Answer, CLIENT_ID, CLIENT_SECRET, Client, Server, table_request};

const WAREHOUSES: &str = "/api/v1/warehouses";
const PRINCIPALS: &str = "/api/v1/principals";

fn local(root: &str) -> Value {
    json!({"type": "local", "root": root})
}

fn memory() -> Value {
    json!({"type": "memory"})
}

fn path(directory: &TempDir) -> String {
    directory.path().canonicalize().unwrap().to_str().unwrap().to_owned()
}

async fn create(server: &Server, name: &str, storage: &Value) -> Answer {
    server.client.post(WAREHOUSES, &json!({"name": name, "storage": storage})).await
}

async fn update(server: &Server, warehouse: &str, change: &Value) -> Answer {
    server.client.send(server.client.request(Method::PATCH, &format!("{WAREHOUSES}/{warehouse}")).json(change)).await
}

/// Whether a warehouse works: a table can be made in it and loaded.
async fn use_warehouse(server: &Server, prefix: &str) -> Value {
    let namespaces = format!("/catalog/v1/{prefix}/namespaces");
    server.client.post(&namespaces, &json!({"namespace": ["ns"]})).await.expect(200);
    server.client.post(&format!("{namespaces}/ns/tables"), &table_request("t")).await.expect(200);
    server.client.get(&format!("{namespaces}/ns/tables/t")).await.expect(200)
}

fn names<'a>(list: &'a Value, of: &str) -> Vec<&'a str> {
    list[of].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_warehouse_is_created_found_used_and_deleted() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    for (name, storage) in [("a lake", local(&path(&directory))), ("memory", memory())] {
        let made = create(&server, name, &storage).await.expect(201);
        assert_eq!((&made["name"], &made["storage"]), (&json!(name), &storage));
        assert!(made["created-at"].is_string() && made["config"] == json!({"defaults": {}, "overrides": {}}));
        let id = made["id"].as_str().unwrap();
        let by_name = server.client.get(&format!("{WAREHOUSES}/{}", name.replace(' ', "%20"))).await.expect(200);
        assert_eq!((&by_name, &server.client.get(&format!("{WAREHOUSES}/{id}")).await.expect(200)), (&made, &made));
        let table = use_warehouse(&server, id).await;
        assert!(table["metadata-location"].as_str().unwrap().starts_with(made["root"].as_str().unwrap()));

        let delete = format!("{WAREHOUSES}/{id}");
        server.client.delete(&delete).await.expect_error(409, "NotEmptyException");
        let namespace = format!("/catalog/v1/{id}/namespaces/ns");
        server.client.delete(&format!("{namespace}/tables/t")).await.expect(204);
        server.client.delete(&delete).await.expect_error(409, "NotEmptyException");
        server.client.delete(&namespace).await.expect(204);
        server.client.delete(&delete).await.expect(204);
        server.client.delete(&delete).await.expect_error(404, "NoSuchWarehouseException");
        server.client.get(&delete).await.expect_error(404, "NoSuchWarehouseException");
    }
    create(&server, "again", &local(&path(&directory))).await.expect(201);
}

#[tokio::test]
async fn lists_come_whole_or_in_pages() {
    let server = Server::start().await;
    for name in ["w3", "w1", "w2"] {
        create(&server, name, &memory()).await.expect(201);
        server.client.post(PRINCIPALS, &json!({"name": name})).await.expect(201);
    }
    let expected = [(WAREHOUSES, "warehouses", "default"), (PRINCIPALS, "principals", "admin")];
    for (path, of, first) in expected {
        let all = server.client.get(path).await.expect(200);
        assert_eq!(names(&all, of), [first, "w1", "w2", "w3"]);
        assert!(all["next-page-token"].is_null());
        let mut token = String::new();
        let mut found = Vec::new();
        loop {
            let page = server.client.get(&format!("{path}?pageToken={token}&pageSize=3")).await.expect(200);
            found.extend(names(&page, of).into_iter().map(ToOwned::to_owned));
            let Some(next) = page["next-page-token"].as_str() else { break };
            token = next.to_owned();
        }
        assert_eq!(found, [first, "w1", "w2", "w3"]);
    }
}

#[tokio::test]
async fn a_warehouse_changes_its_name_and_configuration_but_not_its_place() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let root = path(&directory);
    let made = create(&server, "lake", &local(&root)).await.expect(201);
    let id = made["id"].as_str().unwrap();
    let table = use_warehouse(&server, "lake").await;

    let config = json!({"defaults": {"a": "1"}, "overrides": {"b": "2"}});
    let changed = update(&server, "lake", &json!({"name": "sea", "config": config})).await.expect(200);
    assert_eq!((&changed["id"], &changed["name"], &changed["config"]), (&made["id"], &json!("sea"), &config));
    assert_eq!((&changed["root"], &changed["created-at"]), (&made["root"], &made["created-at"]));
    let told = server.client.get("/catalog/v1/config?warehouse=sea").await.expect(200);
    assert_eq!((&told["defaults"]["a"], &told["overrides"]["b"]), (&json!("1"), &json!("2")));
    server.client.get("/catalog/v1/config?warehouse=lake").await.expect_error(404, "NoSuchWarehouseException");
    assert_eq!(server.client.get(&format!("/catalog/v1/{id}/namespaces/ns/tables/t")).await.expect(200), table);

    let unchanged = update(&server, id, &json!({})).await.expect(200);
    assert_eq!((&unchanged["name"], &unchanged["config"]), (&changed["name"], &changed["config"]));
    update(&server, id, &json!({"storage": local(&root)})).await.expect(200);
    let moved = update(&server, id, &json!({"storage": local(&format!("{root}/x"))})).await;
    assert!(moved.expect_error(400, "BadRequestException").contains("cannot move"));
    update(&server, id, &json!({"storage": memory()})).await.expect_error(400, "BadRequestException");
    update(&server, id, &json!({"name": "default"})).await.expect_error(409, "AlreadyExistsException");
    update(&server, id, &json!({"place": "x"})).await.expect_error(400, "BadRequestException");
    update(&server, "missing", &json!({"name": "x"})).await.expect_error(404, "NoSuchWarehouseException");
    let last = server.client.get(&format!("{WAREHOUSES}/{id}")).await.expect(200);
    assert_eq!((&last["name"], &last["root"]), (&json!("sea"), &made["root"]));
}

#[tokio::test]
async fn names_and_places_are_taken_once() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let root = path(&directory);
    create(&server, "lake", &local(&format!("{root}/lake"))).await.expect(201);
    create(&server, "lake", &memory()).await.expect_error(409, "AlreadyExistsException");
    for (name, place) in [("same", "lake"), ("slash", "lake/"), ("inside", "lake/x/y"), ("around", "")] {
        let refused = create(&server, name, &local(&format!("{root}/{place}"))).await;
        assert!(refused.expect_error(409, "ConflictException").contains("lake"), "{name}");
    }
    create(&server, "sibling", &local(&format!("{root}/lake2"))).await.expect(201);
    let default = server.client.get(&format!("{WAREHOUSES}/default")).await.expect(200);
    create(&server, "other", &default["storage"]).await.expect_error(409, "ConflictException");
    assert_eq!(names(&server.client.get(WAREHOUSES).await.expect(200), "warehouses"), ["default", "lake", "sibling"]);
}

#[tokio::test]
async fn of_two_warehouses_in_one_place_at_the_same_moment_one_is_made() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let storage = local(&path(&directory));
    let both = futures::future::join(create(&server, "one", &storage), create(&server, "two", &storage)).await;
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

#[tokio::test]
async fn storage_that_cannot_be_used_is_refused_with_what_failed() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().canonicalize().unwrap().join("file");
    std::fs::write(&file, "x").unwrap();
    let below = format!("{}/warehouse", file.display());
    let message = create(&server, "below", &local(&below)).await.expect_error(400, "BadRequestException");
    assert!(message.contains("writing") && message.contains("Not a directory"), "{message}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let message = create(&server, "closed", &profile(&endpoint, "w")).await.expect_error(400, "BadRequestException");
    assert!(message.contains("writing below s3://bucket/w failed"), "{message}");
    assert!(!message.contains(SECRET_ACCESS_KEY), "{message}");

    let store = S3::start().await;
    let mut stranger = store.profile("w");
    stranger["access-key-id"] = json!("SOMEBODYELSE");
    let message = create(&server, "stranger", &stranger).await.expect_error(400, "BadRequestException");
    assert!(message.contains("writing"), "{message}");
    assert_eq!(names(&server.client.get(WAREHOUSES).await.expect(200), "warehouses"), ["default"]);
    assert!(store.keys().is_empty());
}

#[tokio::test]
async fn requests_for_warehouses_that_are_wrong_are_refused() {
    let server = Server::start().await;
    let s3 = |name: &str, value: Value| {
        let mut storage = profile("http://127.0.0.1:1", "w");
        storage[name] = value;
        json!({"name": "w", "storage": storage})
    };
    let config = |config: Value| json!({"name": "w", "storage": memory(), "config": config});
    let bad = [
        (json!({"name": "w"}), "missing field `storage`"),
        (json!({"storage": memory()}), "missing field `name`"),
        (json!({"name": "w", "storage": memory(), "colour": "blue"}), "unknown field `colour`"),
        (json!({"name": "w", "storage": {"type": "local", "root": "/x", "colour": "blue"}}), "unknown field `colour`"),
        (json!({"name": "w", "storage": {"type": "memory", "root": "/x"}}), "unknown field `root`"),
        (json!({"name": "w", "storage": {"type": "tape"}}), "unknown variant `tape`"),
        (json!({"name": "w", "storage": {"type": "local", "root": "relative"}}), "absolute path"),
        (json!({"name": "w", "storage": {"type": "local", "root": "/"}}), "below /"),
        (json!({"name": "w", "storage": {"type": "local", "root": "/x/../y"}}), "step"),
        (
            json!({"name": "w", "storage": {"type": "local", "root": "/x", "access-key-id": "a", "secret-access-key": "b"}}),
            "S3 alone",
        ),
        (s3("secret-access-key", Value::Null), "come together"),
        (s3("access-key-id", json!("a\nb")), "plain text"),
        (s3("region", json!("")), "region"),
        (s3("bucket", json!("a/b")), "bucket must be"),
        (s3("bucket", json!("")), "bucket must be"),
        (s3("path-style", json!(false)), "set path-style to true"),
        (s3("endpoint", json!("ftp://x")), "endpoint"),
        (s3("endpoint", json!("http://user:password@x")), "endpoint"),
        (s3("colour", json!("blue")), "unknown field `colour`"),
        (json!({"name": "", "storage": memory()}), "must not be empty"),
        (json!({"name": "..", "storage": memory()}), "is not a name"),
        (json!({"name": "01890a5d-ac96-774b-bcce-b302099a8057", "storage": memory()}), "UUID"),
        (config(json!({"extra": {}})), "unknown field `extra`"),
        (config(json!({"defaults": {"a": 1}})), "invalid type"),
        (config(json!({"defaults": {"a": "x\u{0}"}})), "null"),
        (config(json!({"overrides": {"uri": "http://evil"}})), "uri is the server's to set"),
        (config(json!({"overrides": {"prefix": "x"}})), "prefix is the server's to set"),
        (config(json!({"defaults": {"token": "x"}})), "token is the server's to set"),
        (config(json!({"defaults": {"credential": "x"}})), "credential is the server's to set"),
        (config(json!({"defaults": {"oauth2-server-uri": "http://evil"}})), "is the server's to set"),
        (config(json!({"overrides": {"s3.secret-access-key": "x"}})), "is the server's to set"),
    ];
    for (body, says) in bad {
        let answer = server.client.post(WAREHOUSES, &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        let message = answer.expect_error(400, "BadRequestException");
        assert!(message.contains(says), "{body}: '{message}' does not say '{says}'");
        assert!(!message.contains(SECRET_ACCESS_KEY) && !message.contains("password"), "{message}");
    }
    assert_eq!(names(&server.client.get(WAREHOUSES).await.expect(200), "warehouses"), ["default"]);
    let reserved = update(&server, "default", &json!({"config": {"overrides": {"uri": "http://evil"}}})).await;
    reserved.expect_error(400, "BadRequestException");
}

#[tokio::test]
async fn a_warehouse_in_s3_works_and_never_shows_its_secret() {
    let server = Server::start().await;
    let store = S3::start().await;
    let made = create(&server, "lake", &store.profile("w")).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(store.keys().is_empty(), "the probe leaves nothing behind");
    let table = use_warehouse(&server, "lake").await;
    assert!(store.keys()[0].starts_with("bucket/w/ns-"));
    assert_eq!(table["config"]["s3.endpoint"], store.endpoint.as_str());
    let told = server.client.get("/catalog/v1/config?warehouse=lake").await.expect(200);
    assert_eq!(
        (&told["defaults"]["s3.region"], &told["defaults"]["s3.path-style-access"]),
        (&json!("us-east-1"), &json!("true"))
    );

    // Another way to the same place, without and with keys.
    let mut storage = store.profile("w");
    let keys: Vec<Value> =
        ["access-key-id", "secret-access-key"].iter().filter_map(|name| storage.as_object_mut().unwrap().remove(*name)).collect();
    let kept = update(&server, "lake", &json!({"storage": storage})).await;
    storage["access-key-id"] = keys[0].clone();
    storage["secret-access-key"] = keys[1].clone();
    let renewed = update(&server, "lake", &json!({"storage": storage})).await;
    storage["access-key-id"] = json!("SOMEBODYELSE");
    update(&server, "lake", &json!({"storage": storage})).await.expect_error(400, "BadRequestException");
    server.client.get("/catalog/v1/lake/namespaces/ns/tables/t").await.expect(200);
    server.client.post("/catalog/v1/lake/namespaces/ns/tables", &table_request("u")).await.expect(200);

    let shown = server.client.get(&format!("{WAREHOUSES}/lake")).await;
    let list = server.client.get(WAREHOUSES).await;
    let told = server.client.get("/catalog/v1/config?warehouse=lake").await;
    let loaded = server.client.get("/catalog/v1/lake/namespaces/ns/tables/t").await;
    for answer in [made, kept, renewed, shown, list, told, loaded] {
        assert!(answer.status < 300, "{}", answer.text);
        assert!(!answer.text.contains(SECRET_ACCESS_KEY) && !answer.text.contains(ACCESS_KEY_ID), "{}", answer.text);
    }
}

#[tokio::test]
async fn config_names_the_warehouse_by_id_and_says_what_it_was_told() {
    let server = Server::start().await;
    let body = json!({"name": "lake", "storage": memory(), "config": {"defaults": {"a": "1"}, "overrides": {"b": "2"}}});
    let made = server.client.post(WAREHOUSES, &body).await.expect(201);
    let id = made["id"].as_str().unwrap();
    for name in ["lake", id] {
        let told = server.client.get(&format!("/catalog/v1/config?warehouse={name}")).await.expect(200);
        assert_eq!(told["defaults"], json!({"a": "1"}));
        assert_eq!(told["overrides"], json!({"b": "2", "prefix": id}));
        server.client.get(&format!("/catalog/v1/{name}/namespaces")).await.expect(200);
    }
    let default = server.client.get(&format!("{WAREHOUSES}/default")).await.expect(200)["id"].clone();
    for query in ["", "?warehouse=", "?warehouse=default"] {
        let told = server.client.get(&format!("/catalog/v1/config{query}")).await.expect(200);
        assert_eq!(told["overrides"]["prefix"], default, "{query}");
    }
    server.client.get("/catalog/v1/config?warehouse=no").await.expect_error(404, "NoSuchWarehouseException");
    server.client.get("/catalog/v1/no/namespaces").await.expect_error(404, "NoSuchWarehouseException");
    let unknown = "/catalog/v1/01890a5d-ac96-774b-bcce-b302099a8057/namespaces";
    server.client.get(unknown).await.expect_error(404, "NoSuchWarehouseException");
}

#[tokio::test]
async fn config_names_the_public_url_where_there_is_one() {
    let clock = nunatak::model::Clock::System;
    let server = Server::start_with(clock, "public_url = \"https://catalog.example/\"").await;
    let told = server.client.get("/catalog/v1/config").await.expect(200);
    assert_eq!(told["overrides"]["uri"], "https://catalog.example/catalog");
}

async fn create_principal(server: &Server, name: &str, administrator: bool) -> (String, Client, String) {
    let body = json!({"name": name, "client-id": name, "administrator": administrator});
    let made = server.client.post(PRINCIPALS, &body).await.expect(201);
    assert_eq!(made["principal"]["administrator"], administrator);
    let secret = made["client-secret"].as_str().unwrap().to_owned();
    (made["principal"]["id"].as_str().unwrap().to_owned(), Client::login(&server.url, name, &secret).await, secret)
}

async fn change(client: &Client, id: &str, action: &str) -> Answer {
    client.post(&format!("{PRINCIPALS}/{id}/{action}"), &json!({})).await
}

async fn administrator_id(server: &Server) -> String {
    let list = server.client.get(PRINCIPALS).await.expect(200);
    let administrator = list["principals"].as_array().unwrap().iter().find(|principal| principal["client-id"] == CLIENT_ID);
    administrator.unwrap()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_principal_is_made_rotated_disabled_and_enabled() {
    let server = Server::start().await;
    let (id, client, secret) = create_principal(&server, "reader", false).await;
    let shown = server.client.get(&format!("{PRINCIPALS}/{id}")).await;
    assert!(!shown.text.contains(&secret) && !shown.text.contains("secret"), "{}", shown.text);
    assert_eq!(shown.expect(200)["name"], "reader");

    let rotated = change(&server.client, &id, "rotate").await.expect(200);
    let form = |secret: &str| {
        [("grant_type", "client_credentials"), ("client_id", "reader"), ("client_secret", secret)]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    };
    let anonymous = Client::anonymous(&server.url);
    let old = anonymous.send(anonymous.request(Method::POST, "/catalog/v1/oauth/tokens").form(&form(&secret))).await;
    assert_eq!(old.status, 401);
    let client = Client::login(&client.url, "reader", rotated["client-secret"].as_str().unwrap()).await;

    assert!(change(&server.client, &id, "disable").await.expect(200)["disabled-at"].is_string());
    change(&server.client, &id, "disable").await.expect(200);
    client.get("/catalog/v1/config").await.expect_error(401, "NotAuthorizedException");
    assert!(change(&server.client, &id, "enable").await.expect(200)["disabled-at"].is_null());
    change(&server.client, &id, "enable").await.expect(200);
    // What was taken away stays so: a new token is needed.
    client.get("/catalog/v1/config").await.expect_error(401, "NotAuthorizedException");
    let client = Client::login(&client.url, "reader", rotated["client-secret"].as_str().unwrap()).await;
    client.get("/catalog/v1/config").await.expect(200);

    for body in [json!({"name": "reader"}), json!({"name": "other", "client-id": "reader"})] {
        server.client.post(PRINCIPALS, &body).await.expect_error(409, "AlreadyExistsException");
    }
    for body in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "x", "client-id": "a:b"}),
        json!({"name": "x", "role": "king"}),
        json!({"name": "x", "administrator": 1}),
    ] {
        server.client.post(PRINCIPALS, &body).await.expect_error(400, "BadRequestException");
    }
    let missing = "01890a5d-ac96-774b-bcce-b302099a8057";
    for action in ["rotate", "disable", "enable"] {
        change(&server.client, missing, action).await.expect_error(404, "NotFoundException");
    }
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let server = Server::start().await;
    let first = administrator_id(&server).await;
    let message = change(&server.client, &first, "disable").await.expect_error(409, "ConflictException");
    assert!(message.contains("last administrator"), "{message}");
    // Somebody who administers nothing does not count, and one who is disabled neither.
    create_principal(&server, "reader", false).await;
    let (second, _, secret) = create_principal(&server, "second", true).await;
    change(&server.client, &second, "disable").await.expect(200);
    change(&server.client, &first, "disable").await.expect_error(409, "ConflictException");
    change(&server.client, &second, "enable").await.expect(200);
    let client = Client::login(&server.url, "second", &secret).await;
    change(&server.client, &first, "disable").await.expect(200);
    change(&client, &second, "disable").await.expect_error(409, "ConflictException");
    change(&client, &first, "enable").await.expect(200);
    Client::login(&server.url, CLIENT_ID, CLIENT_SECRET).await.get(PRINCIPALS).await.expect(200);
}

#[tokio::test]
async fn of_the_last_two_administrators_that_disable_each_other_one_stays() {
    let server = Server::start().await;
    let first = administrator_id(&server).await;
    let (second, client, secret) = create_principal(&server, "second", true).await;
    for _ in 0..10 {
        let administrator = server.client.clone();
        let (one, two) = tokio::join!(change(&administrator, &second, "disable"), change(&client, &first, "disable"));
        let done = [&one, &two].iter().filter(|answer| answer.status == 200).count();
        assert_eq!(done, 1, "{one:?} {two:?}");
        assert!([&one, &two].iter().all(|answer| matches!(answer.status, 200 | 401 | 409)), "{one:?} {two:?}");
        let (survivor, gone) = if one.status == 200 { (&administrator, &second) } else { (&client, &first) };
        change(survivor, gone, "enable").await.expect(200);
    }
    Client::login(&server.url, CLIENT_ID, CLIENT_SECRET).await;
    Client::login(&server.url, "second", &secret).await;
}

#[tokio::test]
async fn others_than_administrators_use_the_catalog_and_manage_nothing() {
    let server = Server::start().await;
    let (id, client, _) = create_principal(&server, "reader", false).await;
    let forbidden = [
        (Method::GET, WAREHOUSES.to_owned(), None),
        (Method::POST, WAREHOUSES.to_owned(), Some(json!({"name": "w", "storage": memory()}))),
        (Method::GET, format!("{WAREHOUSES}/default"), None),
        (Method::GET, format!("{WAREHOUSES}/missing"), None),
        (Method::PATCH, format!("{WAREHOUSES}/default"), Some(json!({"name": "mine"}))),
        (Method::DELETE, format!("{WAREHOUSES}/default"), None),
        (Method::GET, PRINCIPALS.to_owned(), None),
        (Method::POST, PRINCIPALS.to_owned(), Some(json!({"name": "me", "administrator": true}))),
        (Method::GET, format!("{PRINCIPALS}/{id}"), None),
        (Method::POST, format!("{PRINCIPALS}/{id}/rotate"), None),
        (Method::POST, format!("{PRINCIPALS}/{id}/disable"), None),
        (Method::POST, format!("{PRINCIPALS}/{id}/enable"), None),
        (Method::POST, "/api/v1/signing-keys/rotate".to_owned(), None),
    ];
    // None of the management API's routes is missing here.
    let document = server.client.get("/api/v1/openapi.json").await.expect(200);
    let methods = document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum::<usize>();
    assert_eq!(methods, forbidden.len(), "one route is here twice, and one, the version, everybody may ask for");
    for (method, path, body) in forbidden {
        let request = client.request(method.clone(), &path);
        let answer = client.send(if let Some(body) = body { request.json(&body) } else { request }).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text);
        assert!(answer.expect_error(403, "ForbiddenException").contains("reader"));
    }
    assert_eq!(client.get("/api/v1/version").await.expect(200)["version"], env!("CARGO_PKG_VERSION"));
    let reader = Server { client, ..server };
    use_warehouse(&reader, "default").await;
}
