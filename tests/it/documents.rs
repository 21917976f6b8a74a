//! What the server says of itself: the API descriptions, the list of endpoints, the metrics, the ids of requests.

use std::collections::BTreeSet;
use std::path::Path;

use nunatak::api::{catalog_document, management_document};
use reqwest::Method;
use serde_json::Value;

use crate::support::{Client, Server};

fn written(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_written_documents_are_those_of_the_code() {
    let documents = [("catalog", catalog_document()), ("management", management_document())];
    for (name, document) in documents {
        let current = document.to_pretty_json().unwrap() + "\n";
        assert!(written(&format!("{name}.json")) == current, "run: cargo run -q -- openapi {name} > openapi/{name}.json");
    }
}

/// Every method and path of a document.
fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap().iter();
    let methods = paths.flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method, path)));
    methods.map(|(method, path)| format!("{} {path}", method.to_uppercase())).collect()
}

#[tokio::test]
async fn config_lists_the_endpoints_that_are_described() {
    let server = Server::start().await;
    let document = server.client.get("/catalog/openapi.json").await.expect(200);
    let described = operations(&document).into_iter().filter(|operation| operation.contains("{prefix}")).collect::<BTreeSet<_>>();
    let config = server.client.get("/catalog/v1/config").await.expect(200);
    let listed: Vec<String> = serde_json::from_value(config["endpoints"].clone()).unwrap();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), described);
    assert_eq!(listed.len(), described.len(), "none is listed twice");
}

#[tokio::test]
async fn every_route_that_is_described_is_served() {
    let server = Server::start().await;
    let pages = [("/catalog/openapi.json", "/catalog"), ("/api/v1/openapi.json", "")];
    for (page, base) in pages {
        for operation in operations(&server.client.get(page).await.expect(200)) {
            let (method, path) = operation.split_once(' ').unwrap();
            let path = format!("{base}{}", path.replace(['{', '}'], ""));
            let answer = server.client.send(server.client.request(method.parse().unwrap(), &path)).await;
            assert!(answer.status != 405 && !answer.text.contains("No such route"), "{operation}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn the_documents_and_their_pages_are_served_to_everybody() {
    let server = Server::start().await;
    let anonymous = Client::anonymous(&server.url);
    for (path, name) in [("/catalog/openapi.json", "catalog.json"), ("/api/v1/openapi.json", "management.json")] {
        let document = anonymous.get(path).await.expect(200);
        assert_eq!(document, serde_json::from_str::<Value>(&written(name)).unwrap(), "{path}");
    }
    let page = anonymous.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
    let settings = anonymous.get("/docs/swagger-initializer.js").await.text;
    assert!(settings.contains("/catalog/openapi.json") && settings.contains("/api/v1/openapi.json"), "{settings}");
}

#[tokio::test]
async fn health_is_told_to_everybody() {
    let server = Server::start().await;
    let anonymous = Client::anonymous(&server.url);
    assert_eq!(anonymous.get("/health/live").await.text, "live\n");
    assert_eq!(anonymous.get("/health/ready").await.text, "ready\n");
    server.app.catalog.store().close().await;
    assert_eq!(anonymous.get("/health/live").await.status, 200);
    assert_eq!(anonymous.get("/health/ready").await.status, 503);
}

#[tokio::test]
async fn without_the_database_a_read_is_503_and_a_change_429_because_it_surely_did_not_happen() {
    let server = Server::start().await;
    server.app.catalog.store().close().await;
    let path = "/catalog/v1/default/namespaces";
    let read = server.client.get(path).await;
    let change = server.client.post(path, &serde_json::json!({"namespace": ["n"]})).await;
    for (answer, status) in [(read, 503), (change, 429)] {
        assert_eq!(answer.headers["retry-after"], "1");
        answer.expect_error(status, "ServiceUnavailableException");
    }
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_status() {
    let server = Server::start().await;
    server.client.get("/catalog/v1/default/namespaces").await.expect(200);
    server.client.get("/catalog/v1/default/namespaces/missing").await.expect(404);
    server.client.get("/no/such/route/at/all").await.expect(404);
    Client::anonymous(&server.url).get("/catalog/v1/config").await.expect(401);
    let metrics = Client::anonymous(&server.url).get("/metrics").await.text;
    let counted = |route: &str, status: u16| {
        let labels = format!("{{method=\"GET\",route=\"{route}\",status=\"{status}\"}}");
        metrics.contains(&format!("nunatak_http_requests_total{labels}"))
    };
    assert!(counted("/catalog/v1/{prefix}/namespaces", 200), "{metrics}");
    assert!(counted("/catalog/v1/{prefix}/namespaces/{namespace}", 404), "{metrics}");
    assert!(counted("/catalog/v1/config", 401), "{metrics}");
    assert!(counted("unmatched", 404), "{metrics}");
    // A name that a client made up is no label: there would be no end of them.
    assert!(!metrics.contains("no/such/route") && !metrics.contains("namespaces/missing"), "{metrics}");
    for name in ["nunatak_http_request_seconds_bucket", "nunatak_database_connections", "# HELP nunatak_http_requests_total"] {
        assert!(metrics.contains(name), "{name}");
    }
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let server = Server::start().await;
    let ask = |id: Option<&'static str>| {
        let client = server.client.clone();
        let request = client.request(Method::GET, "/catalog/v1/config");
        let request = if let Some(id) = id { request.header("x-request-id", id) } else { request };
        async move { client.send(request).await.headers["x-request-id"].to_str().unwrap().to_owned() }
    };
    assert_eq!(ask(Some("my-request.42")).await, "my-request.42");
    let (one, two) = (ask(None).await, ask(None).await);
    assert!(one != two && one.parse::<uuid::Uuid>().is_ok(), "{one} {two}");
    for not_plain in ["", "with space", "x".repeat(200).leak()] {
        assert!(ask(Some(not_plain)).await.parse::<uuid::Uuid>().is_ok(), "{not_plain}");
    }
    let refused = Client::anonymous(&server.url).get("/catalog/v1/config").await;
    assert!(refused.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_want_it() {
    let server = Server::start().await;
    for encoding in ["gzip", "zstd"] {
        let request = server.client.request(Method::GET, "/catalog/openapi.json").header("accept-encoding", encoding);
        assert_eq!(request.send().await.unwrap().headers()["content-encoding"], encoding);
    }
    let short = server.client.request(Method::GET, "/catalog/v1/default/namespaces").header("accept-encoding", "gzip");
    assert!(!short.send().await.unwrap().headers().contains_key("content-encoding"));
}
