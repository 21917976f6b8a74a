//! Traces, against a collector that keeps what it gets; logs and ids.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;

use crate::support::Process;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

type Received = Arc<Mutex<Vec<u8>>>;

async fn collector() -> (String, Received) {
    let received = Received::default();
    let keep = |State(received): State<Received>, body: Bytes| async move { received.lock().unwrap().extend_from_slice(&body) };
    let router = Router::new().route("/v1/traces", post(keep)).with_state(Arc::clone(&received));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, received)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_traced_within_the_callers_trace_and_logged_as_json_with_their_id() {
    let (url, received) = collector().await;
    let mut server = Process::new();
    server.set("NUNATAK_OTLP_ENDPOINT", &url);
    server.set("NUNATAK_LOG_FORMAT", "json");
    server.start().await;
    let client = server.login().await;
    let request = client
        .request(reqwest::Method::GET, "/catalog/v1/config?warehouse=nowhere")
        .header("traceparent", format!("00-{TRACE_ID}-00f067aa0ba902b7-01"))
        .header("x-request-id", "told-by-the-client");
    let answer = client.send(request).await;
    assert_eq!((answer.status, &answer.headers["x-request-id"]), (404, &"told-by-the-client".parse().unwrap()));

    let trace_id: Vec<u8> = (0..16).map(|at| u8::from_str_radix(&TRACE_ID[2 * at..2 * at + 2], 16).unwrap()).collect();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !contains(&received.lock().unwrap(), &trace_id) {
        assert!(tokio::time::Instant::now() < deadline, "no trace arrived: {}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(contains(&received.lock().unwrap(), b"GET /catalog/v1/config"));

    let log = server.log();
    let line = log.lines().find(|line| line.contains("request refused") && line.contains("nowhere")).expect("a line in the log");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["span"]["request_id"], "told-by-the-client");
    assert_eq!(line["fields"]["status"], 404);
}
