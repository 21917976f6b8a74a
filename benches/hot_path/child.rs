//! Processes that end with this one, however it ends.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::generator::INTERRUPTED;
use crate::target::Target;

const READY_TIME_MAX: Duration = Duration::from_secs(90);
const STOP_TIME_MAX: Duration = Duration::from_secs(40);

/// A process that was started here.
pub struct Child {
    name: &'static str,
    process: std::process::Child,
    /// Ends it when this process is killed.
    guard: std::process::Child,
}

impl Child {
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &'static str, command: &mut Command) -> anyhow::Result<Self> {
        // An interrupt at the terminal is for this process, which then ends the others in order.
        let process = command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| format!("cannot start {name}"))?;
        let guard = Command::new("/bin/sh")
            .args(["-c", "read -r _; kill -KILL \"$0\"", &process.id().to_string()])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { name, process, guard })
    }

    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Waits until the path answers well.
    ///
    /// # Errors
    /// When it ended, or takes too long. The log is where it says why.
    pub fn wait_ready(&mut self, target: &Target, path: &str, log: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIME_MAX;
        while target.get(path).is_err() {
            let interrupted = INTERRUPTED.load(std::sync::atomic::Ordering::Relaxed);
            if interrupted || self.ended().is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(log).unwrap_or_default();
                bail!("{} does not start: {said}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What it has in memory now, and had at most, in bytes.
    pub fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|text| text.parse::<u64>().ok());
            kilobytes.unwrap_or_default() * 1024
        };
        (field("VmRSS:"), field("VmHWM:"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).stderr(Stdio::null()).status();
        let deadline = Instant::now() + STOP_TIME_MAX;
        while self.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        // The guard first: its process is gone, and the number may become another's.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// # Errors
/// When there is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
