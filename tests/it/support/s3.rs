//! A real S3-compatible store: a MinIO of its own for each test, where `make test` has put the program.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

pub const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY";
const BUCKET: &str = "bucket";
const READY_SECONDS_MAX: u64 = 60;

/// A running store with one bucket; it ends with the test.
pub struct S3 {
    pub endpoint: String,
    drive: TempDir,
    process: Child,
}

impl S3 {
    pub async fn start() -> Self {
        let drive = tempfile::tempdir().unwrap();
        // A directory on the drive is a bucket.
        fs::create_dir(drive.path().join(BUCKET)).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new(program())
            .args(["server", "--quiet", "--address", &address.to_string()])
            .arg(drive.path())
            .envs([("MINIO_ROOT_USER", ACCESS_KEY_ID), ("MINIO_ROOT_PASSWORD", SECRET_ACCESS_KEY)])
            .envs([("MINIO_BROWSER", "off"), ("MINIO_UPDATE", "off"), ("MINIO_CONFIG_DIR", "/nonexistent")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let store = Self { endpoint: format!("http://{address}"), drive, process };
        let deadline = Instant::now() + Duration::from_secs(READY_SECONDS_MAX);
        let http = super::client::Client::anonymous(&store.endpoint).http;
        let url = format!("{}/minio/health/ready", store.endpoint);
        while !http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
            assert!(Instant::now() < deadline, "MinIO does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        store
    }

    /// The profile of a warehouse in it, with its secret.
    pub fn profile(&self, prefix: &str) -> Value {
        profile(&self.endpoint, prefix)
    }

    /// The keys of all objects, with their bucket: MinIO keeps each in a directory of its name.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        objects(self.drive.path(), &self.drive.path().join(BUCKET), &mut keys);
        keys.sort();
        keys
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn objects(drive: &Path, directory: &Path, keys: &mut Vec<String>) {
    if directory.join("xl.meta").exists() {
        keys.push(directory.strip_prefix(drive).unwrap().to_str().unwrap().to_owned());
        return;
    }
    for entry in fs::read_dir(directory).unwrap().flatten() {
        objects(drive, &entry.path(), keys);
    }
}

/// Where `make test` says that MinIO is, or where it puts it.
fn program() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("NUNATAK_CACHE").or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("nunatak")));
    let cache = cache.or_else(|| set("HOME").map(|home| home.join(".cache/nunatak"))).unwrap_or_default();
    let program = set("NUNATAK_TEST_MINIO").unwrap_or_else(|| cache.join("tools/bin/minio"));
    assert!(program.is_file(), "there is no MinIO at {}: `make test` builds it", program.display());
    program
}

/// The profile of a warehouse in a store that may or may not be there.
pub fn profile(endpoint: &str, prefix: &str) -> Value {
    json!({
        "type": "s3", "bucket": BUCKET, "prefix": prefix, "region": "us-east-1", "endpoint": endpoint, "path-style": true,
        "access-key-id": ACCESS_KEY_ID, "secret-access-key": SECRET_ACCESS_KEY,
    })
}
