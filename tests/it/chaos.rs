//! What was acknowledged is there, whatever was killed: the server, its PostgreSQL, at any moment.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Process, is_alive, signal, table_request};

const WRITERS: usize = 4;
const KILLS_OF_THE_SERVER: u64 = 100;
const KILLS_OF_POSTGRES: u64 = 12;

/// One writer's table: it counts up a property, each commit requiring nothing but writing the next number.
#[derive(Default)]
struct Counter {
    tried: AtomicU64,
    acknowledged: AtomicU64,
}

fn path(writer: usize) -> String {
    format!("/catalog/v1/default/namespaces/ns/tables/t{writer}")
}

/// A number that looks random, the same in every run.
fn scatter(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Commits as fast as it can, until it is told to stop.
async fn write(client: Client, writer: usize, counter: Arc<Counter>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        let next = counter.tried.fetch_add(1, Ordering::SeqCst) + 1;
        let body = json!({
            "requirements": [],
            "updates": [{"action": "set-properties", "updates": {"n": next.to_string()}}],
        });
        let request = client.request(reqwest::Method::POST, &path(writer)).json(&body).timeout(Duration::from_secs(20));
        match request.send().await {
            Ok(response) if response.status() == 200 => {
                // The body may still be cut off: then nothing was acknowledged to anyone.
                if response.bytes().await.is_ok() {
                    counter.acknowledged.store(next, Ordering::SeqCst);
                }
            }
            Ok(response) => {
                let status = response.status().as_u16();
                let body: Value = response.json().await.unwrap_or_default();
                let kind = body["error"]["type"].as_str().unwrap_or_default().to_owned();
                let told = matches!((status, kind.as_str()), (500, "CommitStateUnknownException") | (429 | 503, _));
                assert!(told, "{status} {body}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Every table loads; what was acknowledged is there; no pointer and no log names a missing file.
async fn check(client: &Client, counters: &[Arc<Counter>]) {
    for (writer, counter) in counters.iter().enumerate() {
        // Writers may go on meanwhile: what was acknowledged before the load, and tried after it.
        let acknowledged = counter.acknowledged.load(Ordering::SeqCst);
        let loaded = client.get(&path(writer)).await.expect(200);
        let metadata = &loaded["metadata"];
        let found: u64 = metadata["properties"]["n"].as_str().map_or(0, |text| text.parse().unwrap());
        let tried = counter.tried.load(Ordering::SeqCst);
        assert!(acknowledged <= found && found <= tried, "acknowledged {acknowledged}, found {found}, tried {tried}");
        let file = file_of(&loaded["metadata-location"]);
        let on_disk: Value = serde_json::from_slice(&std::fs::read(&file).expect("the pointer's file is there")).unwrap();
        assert_eq!(on_disk, *metadata, "the file says what the catalog says");
        for entry in metadata["metadata-log"].as_array().unwrap() {
            assert!(file_of(&entry["metadata-file"]).exists(), "{entry} is missing");
        }
    }
}

fn file_of(location: &Value) -> PathBuf {
    PathBuf::from(location.as_str().unwrap().strip_prefix("file://").unwrap())
}

async fn tables(client: &Client) -> Vec<Arc<Counter>> {
    client.post("/catalog/v1/default/namespaces", &json!({"namespace": ["ns"]})).await.expect(200);
    for writer in 0..WRITERS {
        let name = format!("t{writer}");
        client.post("/catalog/v1/default/namespaces/ns/tables", &table_request(&name)).await.expect(200);
    }
    (0..WRITERS).map(|_| Arc::default()).collect()
}

fn writers(client: &Client, counters: &[Arc<Counter>], stop: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<()>> {
    let start = |(writer, counter): (usize, &Arc<Counter>)| {
        tokio::spawn(write(client.clone(), writer, Arc::clone(counter), Arc::clone(stop)))
    };
    counters.iter().enumerate().map(start).collect()
}

async fn join(writers: Vec<tokio::task::JoinHandle<()>>) {
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_a_hundred_times_loses_nothing_it_acknowledged() {
    let mut server = Process::new();
    server.start().await;
    let counters = tables(&server.login().await).await;
    for kill in 0..KILLS_OF_THE_SERVER {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = writers(&server.login().await, &counters, &stop);
        tokio::time::sleep(Duration::from_micros(scatter(kill) % 300_000)).await;
        server.kill();
        stop.store(true, Ordering::SeqCst);
        join(writers).await;
        server.start().await;
        check(&server.login().await, &counters).await;
    }
    let acknowledged: Vec<u64> = counters.iter().map(|counter| counter.acknowledged.load(Ordering::SeqCst)).collect();
    println!("acknowledged commits by writer: {acknowledged:?}");
    assert!(acknowledged.iter().all(|count| *count > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_is_killed_under_loads_and_commits_loses_nothing_and_comes_back() {
    let mut server = Process::new();
    server.start().await;
    let client = server.login().await;
    let counters = tables(&client).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers = writers(&client, &counters, &stop);
    let loads = {
        let (client, stop) = (client.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut answered = 0_u64;
            while !stop.load(Ordering::SeqCst) {
                match client.get(&path(0)).await.status {
                    200 => answered += 1,
                    503 => tokio::time::sleep(Duration::from_millis(20)).await,
                    status => panic!("a load answered {status}"),
                }
            }
            answered
        })
    };
    for kill in 0..KILLS_OF_POSTGRES {
        tokio::time::sleep(Duration::from_micros(300_000 + scatter(kill) % 700_000)).await;
        let before: Vec<u64> = counters.iter().map(|counter| counter.acknowledged.load(Ordering::SeqCst)).collect();
        let process = server.postgres().expect("PostgreSQL runs");
        // At once; as the system would in an emergency; as an administrator would.
        signal(["-KILL", "-QUIT", "-INT"][usize::try_from(kill % 3).unwrap()], process);
        let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
        while is_alive(process) {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server.wait_ready().await;
        check(&client, &counters).await;
        let now = counters.iter().map(|counter| counter.acknowledged.load(Ordering::SeqCst));
        assert!(now.zip(before).all(|(now, before)| now >= before));
    }
    stop.store(true, Ordering::SeqCst);
    join(writers).await;
    assert!(loads.await.unwrap() > 0);
    check(&client, &counters).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_no_postgres_behind_and_a_terminated_one_neither() {
    let mut server = Process::new();
    server.start().await;
    let first = server.postgres().unwrap();
    server.kill();
    gone(first).await;
    server.start().await;
    let second = server.postgres().unwrap();
    assert!(server.terminate(), "{}", server.log());
    assert!(!is_alive(second), "PostgreSQL stops with the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_has_one_owner_at_a_time() {
    let mut server = Process::new();
    server.start().await;
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_nunatak"))
        .arg("serve")
        .env("NUNATAK_DATA_DIR", server.data())
        .env("NUNATAK_BIND", "127.0.0.1:0")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("another nunatak uses the data directory"), "{message}");
    server.login().await;
}

async fn gone(process: u32) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while is_alive(process) {
        assert!(tokio::time::Instant::now() < deadline, "PostgreSQL outlives its server");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
