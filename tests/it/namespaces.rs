//! Namespaces, as clients of every kind spell them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::{Answer, Client, Server, table_request};

const NAMESPACES: &str = "/catalog/v1/default/namespaces";

fn encoded(levels: &[&str]) -> String {
    utf8_percent_encode(&levels.join("\u{1f}"), NON_ALPHANUMERIC).to_string()
}

fn at(levels: &[&str]) -> String {
    format!("{NAMESPACES}/{}", encoded(levels))
}

async fn create(client: &Client, levels: &[&str]) -> Answer {
    client.post(NAMESPACES, &json!({"namespace": levels})).await
}

/// Those directly below, all in one answer.
async fn children(client: &Client, parent: &[&str]) -> Value {
    let list = client.get(&format!("{NAMESPACES}?parent={}", encoded(parent))).await.expect(200);
    assert!(list["next-page-token"].is_null());
    list["namespaces"].clone()
}

#[tokio::test]
async fn namespaces_nest() {
    let client = Server::start().await.client;
    for levels in [&["a"][..], &["a", "b"], &["a", "b", "c"], &["a", "d"], &["b"]] {
        let made = create(&client, levels).await.expect(200);
        assert_eq!(made, json!({"namespace": levels, "properties": {}}));
    }
    assert_eq!(children(&client, &[]).await, json!([["a"], ["b"]]));
    assert_eq!(client.get(NAMESPACES).await.expect(200)["namespaces"], json!([["a"], ["b"]]));
    assert_eq!(children(&client, &["a"]).await, json!([["a", "b"], ["a", "d"]]));
    assert_eq!(children(&client, &["a", "b"]).await, json!([["a", "b", "c"]]));
    assert_eq!(children(&client, &["b"]).await, json!([]));
    let spelled = client.get(&format!("{NAMESPACES}?parent=a%1Fb")).await.expect(200);
    assert_eq!(spelled["namespaces"], json!([["a", "b", "c"]]));
    assert_eq!(client.get(&format!("{NAMESPACES}/a%1fb%1Fc")).await.expect(200)["namespace"], json!(["a", "b", "c"]));

    create(&client, &["a"]).await.expect_error(409, "AlreadyExistsException");
    create(&client, &["a", "b"]).await.expect_error(409, "AlreadyExistsException");
    create(&client, &["x", "y"]).await.expect_error(404, "NoSuchNamespaceException");
    client.get(&format!("{NAMESPACES}?parent=x")).await.expect_error(404, "NoSuchNamespaceException");
    client.get(&at(&["b", "c"])).await.expect_error(404, "NoSuchNamespaceException");
}

#[tokio::test]
async fn a_namespace_that_holds_something_is_not_dropped() {
    let client = Server::start().await.client;
    for levels in [&["a"][..], &["a", "b"]] {
        create(&client, levels).await.expect(200);
    }
    client.post(&format!("{}/tables", at(&["a", "b"])), &table_request("t")).await.expect(200);
    client.delete(&at(&["a"])).await.expect_error(409, "NamespaceNotEmptyException");
    client.delete(&at(&["a", "b"])).await.expect_error(409, "NamespaceNotEmptyException");
    client.delete(&format!("{}/tables/t", at(&["a", "b"]))).await.expect(204);
    for levels in [&["a", "b"][..], &["a"]] {
        let dropped = client.delete(&at(levels)).await;
        assert_eq!((dropped.status, dropped.text.as_str()), (204, ""));
        client.delete(&at(levels)).await.expect_error(404, "NoSuchNamespaceException");
    }
    assert_eq!(children(&client, &[]).await, json!([]));
}

#[tokio::test]
async fn whether_a_namespace_exists_is_told_without_a_body() {
    let client = Server::start().await.client;
    create(&client, &["a"]).await.expect(200);
    create(&client, &["a", "b"]).await.expect(200);
    for (levels, status) in [(&["a"][..], 204), (&["a", "b"], 204), (&["b"], 404), (&["a", "c"], 404), (&["\n"], 400)] {
        let answer = client.head(&at(levels)).await;
        assert_eq!((answer.status, answer.text.as_str()), (status, ""), "{levels:?}");
    }
}

#[tokio::test]
async fn properties_are_set_and_removed() {
    let client = Server::start().await.client;
    let made = json!({"namespace": ["a"], "properties": {"owner": "me", "old": "x", "": "empty name"}});
    assert_eq!(client.post(NAMESPACES, &made).await.expect(200), made);
    assert_eq!(client.get(&at(&["a"])).await.expect(200), made);

    let properties = format!("{}/properties", at(&["a"]));
    let change = json!({"removals": ["old", "none", "old"], "updates": {"owner": "you", "new": "naïve 表 \"'\\"}});
    let changed = client.post(&properties, &change).await.expect(200);
    assert_eq!(changed, json!({"updated": ["new", "owner"], "removed": ["old"], "missing": ["none"]}));
    let expected = json!({"": "empty name", "new": "naïve 表 \"'\\", "owner": "you"});
    assert_eq!(client.get(&at(&["a"])).await.expect(200)["properties"], expected);

    let both = json!({"removals": ["owner"], "updates": {"owner": "x"}});
    let message = client.post(&properties, &both).await.expect_error(422, "UnprocessableEntityException");
    assert!(message.contains("owner"), "{message}");
    assert_eq!(client.get(&at(&["a"])).await.expect(200)["properties"], expected);
    let nothing = client.post(&properties, &json!({})).await.expect(200);
    assert_eq!(nothing, json!({"updated": [], "removed": [], "missing": []}));
    let missing = format!("{}/properties", at(&["b"]));
    client.post(&missing, &change).await.expect_error(404, "NoSuchNamespaceException");
}

#[tokio::test]
async fn lists_come_whole_unless_pages_are_asked_for() {
    let client = Server::start().await.client;
    create(&client, &["p"]).await.expect(200);
    let names: Vec<String> = (0..25).map(|number| format!("n{number:02}")).collect();
    for name in names.iter().rev() {
        create(&client, &["p", name]).await.expect(200);
    }
    let expected: Vec<Vec<String>> = names.iter().map(|name| vec!["p".to_owned(), name.clone()]).collect();
    assert_eq!(children(&client, &["p"]).await, json!(expected));
    // A size without a token asks for no pages.
    let whole = client.get(&format!("{NAMESPACES}?parent=p&pageSize=3")).await.expect(200);
    assert_eq!((whole["namespaces"].as_array().unwrap().len(), whole["next-page-token"].is_null()), (25, true));
    for size in [1, 7, 24, 25, 26, 1_000_000] {
        let mut found: Vec<Vec<String>> = Vec::new();
        let (mut token, mut pages) = (String::new(), 0);
        loop {
            let page = client.get(&format!("{NAMESPACES}?parent=p&pageToken={token}&pageSize={size}")).await.expect(200);
            let items: Vec<Vec<String>> = serde_json::from_value(page["namespaces"].clone()).unwrap();
            assert!(items.len() <= size);
            found.extend(items);
            pages += 1;
            let Some(next) = page["next-page-token"].as_str() else { break };
            token = next.to_owned();
        }
        assert_eq!((&found, pages), (&expected, 25_usize.div_ceil(size)), "{size}");
    }
    let first = client.get(&format!("{NAMESPACES}?parent=p&pageToken=")).await.expect(200);
    assert_eq!(first["namespaces"].as_array().unwrap().len(), 25);
}

#[tokio::test]
async fn pages_of_tables_go_by_name() {
    let server = Server::start().await;
    for name in ["t3", "T1", "t 2", "é"] {
        server.create_table("ns", name).await;
    }
    let tables = format!("{NAMESPACES}/ns/tables");
    let names = |list: &Value| -> Vec<String> {
        list["identifiers"].as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&server.client.get(&tables).await.expect(200)), ["T1", "t 2", "t3", "é"]);
    let page = server.client.get(&format!("{tables}?pageToken=&pageSize=2")).await.expect(200);
    assert_eq!(names(&page), ["T1", "t 2"]);
    let token = page["next-page-token"].as_str().unwrap();
    // What comes and goes between two pages does not disturb the second.
    server.create_table("ns", "a").await;
    server.client.delete(&format!("{tables}/t%202")).await.expect(204);
    let page = server.client.get(&format!("{tables}?pageToken={token}&pageSize=2")).await.expect(200);
    assert_eq!((names(&page), page["next-page-token"].is_null()), (vec!["t3".to_owned(), "é".to_owned()], true));
}

#[tokio::test]
async fn a_space_is_a_plus_for_some_clients_and_a_plus_is_never_a_space() {
    let client = Server::start().await.client;
    create(&client, &["a b"]).await.expect(200);
    create(&client, &["a+b"]).await.expect(200);
    for (spelled, name) in [("a%20b", "a b"), ("a+b", "a b"), ("a%2Bb", "a+b"), ("a%2bb", "a+b")] {
        assert_eq!(client.get(&format!("{NAMESPACES}/{spelled}")).await.expect(200)["namespace"], json!([name]), "{spelled}");
        create(&client, &[name, "inner"]).await;
        let list = client.get(&format!("{NAMESPACES}?parent={spelled}")).await.expect(200);
        assert_eq!(list["namespaces"], json!([[name, "inner"]]), "{spelled}");
    }
    client.post(&format!("{NAMESPACES}/a+b/tables"), &table_request("x y")).await.expect(200);
    assert_eq!(client.head(&format!("{NAMESPACES}/a%20b/tables/x+y")).await.status, 204);
    assert_eq!(client.head(&format!("{NAMESPACES}/a%2Bb/tables/x+y")).await.status, 404);
}

#[tokio::test]
async fn names_may_hold_almost_anything() {
    let server = Server::start().await;
    let client = &server.client;
    let names = [
        "a.b",
        "a/b",
        "/",
        "...",
        "naïve",
        "表 ❄",
        "e\u{301}",
        "%",
        "%2F",
        "%2e%2e",
        "a\\b",
        "*",
        "?x=1",
        "#",
        "&",
        ";",
        "'; DROP TABLE tabular; --",
        "${jndi}",
        "null",
        "tables",
        "properties",
        "A",
        "a",
        " ",
        "-",
        &"x".repeat(255),
    ];
    for name in names {
        assert_eq!(create(client, &[name]).await.expect(200)["namespace"], json!([name]));
        assert_eq!(client.get(&at(&[name])).await.expect(200)["namespace"], json!([name]));
        let tables = format!("{}/tables", at(&[name]));
        client.post(&tables, &table_request(name)).await.expect(200);
        let table = format!("{tables}/{}", encoded(&[name]));
        let location = client.get(&table).await.expect(200)["metadata"]["location"].as_str().unwrap().to_owned();
        let root = format!("file://{}", server.directory.path().canonicalize().unwrap().display());
        let rest = location.strip_prefix(&root).unwrap();
        assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-')), "{location}");
        let listed = client.get(&tables).await.expect(200);
        assert_eq!(listed["identifiers"], json!([{"namespace": [name], "name": name}]));
    }
    let mut expected: Vec<Vec<&str>> = names.iter().map(|name| vec![*name]).collect();
    expected.sort_unstable();
    assert_eq!(children(client, &[]).await, json!(expected));
    // A dot separates nothing, and a slash neither.
    create(client, &["a", "b"]).await.expect(200);
    assert_eq!(children(client, &["a"]).await, json!([["a", "b"]]));
    assert_eq!(children(client, &["a.b"]).await, json!([]));
}
