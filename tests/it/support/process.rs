//! The real binary as a process, with its embedded PostgreSQL, to be killed.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::Client;
use super::server::{CLIENT_ID, CLIENT_SECRET};

const READY_SECONDS_MAX: u64 = 90;

/// Where a server's data is, and the server while it runs.
pub struct Process {
    directory: TempDir,
    port: u16,
    settings: Vec<(String, String)>,
    child: Option<Child>,
}

impl Process {
    /// A server that was never started.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // PostgreSQL's user must be able to enter it.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { directory, port, settings: Vec::new(), child: None }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn data(&self) -> &Path {
        self.directory.path()
    }

    /// Sets a variable of its environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.directory.path().join("server.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_nunatak"))
            .arg("serve")
            .env("NUNATAK_DATA_DIR", self.directory.path())
            .env("NUNATAK_BIND", format!("127.0.0.1:{}", self.port))
            .env("NUNATAK_BOOTSTRAP_CLIENT_ID", CLIENT_ID)
            .env("NUNATAK_BOOTSTRAP_CLIENT_SECRET", CLIENT_SECRET)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(READY_SECONDS_MAX);
        while !self.is_ready().await {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "the server does not start: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn is_ready(&self) -> bool {
        let request = Client::anonymous(&self.url()).http.get(format!("{}/health/ready", self.url()));
        request.send().await.is_ok_and(|response| response.status() == 200)
    }

    /// Waits until it is ready again.
    pub async fn wait_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(READY_SECONDS_MAX);
        while !self.is_ready().await {
            assert!(Instant::now() < deadline, "the server does not come back: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn login(&self) -> Client {
        Client::login(&self.url(), CLIENT_ID, CLIENT_SECRET).await
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; whether it ended well.
    pub fn terminate(&mut self) -> bool {
        let mut child = self.child.take().unwrap();
        signal("-TERM", child.id());
        child.wait().unwrap().success()
    }

    /// The process of its PostgreSQL.
    pub fn postgres(&self) -> Option<u32> {
        let text = fs::read_to_string(self.directory.path().join("postgres/postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("server.log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.terminate();
        }
    }
}

/// Sends a signal to a process.
pub fn signal(name: &str, process: u32) {
    Command::new("kill").args([name, &process.to_string()]).stderr(Stdio::null()).status().unwrap();
}

/// Whether a process is there.
pub fn is_alive(process: u32) -> bool {
    Path::new(&format!("/proc/{process}/stat")).exists()
}
