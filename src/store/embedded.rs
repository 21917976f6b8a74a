//! A PostgreSQL of our own, from installed binaries: in the data directory, over a Unix socket only, started with the server, watched,
//! and stopped with it.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// The role and the database that the server uses.
const NAME: &str = "nunatak";
const START_SECONDS_MAX: u64 = 60;
const STOP_SECONDS_MAX: u64 = 30;
/// How much longer it may take to start while its process lives: it may be recovering from a crash.
const RECOVERY_TIME_MAX: Duration = Duration::from_mins(30);
/// What a Unix socket's path may have in bytes, with the name of PostgreSQL's socket file.
const SOCKET_DIRECTORY_BYTES_MAX: usize = 80;
const SOCKET_FILE: &str = ".s.PGSQL.5432";
/// The oldest PostgreSQL that the catalog's SQL runs on.
const VERSION_MIN: u32 = 14;

/// Where things are, and as whom PostgreSQL runs.
#[derive(Clone, Debug)]
struct Setup {
    binaries: PathBuf,
    data: PathBuf,
    sockets: PathBuf,
    /// User and group to run as where we are root, which PostgreSQL refuses.
    user: Option<(u32, u32)>,
}

/// A running PostgreSQL of our own.
#[derive(Debug)]
pub struct Embedded {
    options: PgConnectOptions,
    stopping: Arc<Notify>,
    watcher: tokio::task::JoinHandle<()>,
    /// Held for as long as the server runs: one owner at a time.
    _lock: File,
}

impl Embedded {
    /// Starts PostgreSQL in `<directory>/postgres`, making the database first if there is none.
    ///
    /// # Errors
    /// A line that says what to install, to set or to change.
    pub async fn start(directory: &Path) -> anyhow::Result<Self> {
        let lock = own(directory)?;
        let setup = Setup::find(directory)?;
        setup.initialise().await?;
        let (child, guard) = setup.launch().await?;
        let options = setup.options();
        create_database(&options).await?;
        let stopping = Arc::new(Notify::new());
        let watcher = tokio::spawn(watch(setup, child, guard, Arc::clone(&stopping)));
        Ok(Self { options: options.database(NAME), stopping, watcher, _lock: lock })
    }

    /// How to connect to the database.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// Stops PostgreSQL and waits for it.
    pub async fn stop(self) {
        self.stopping.notify_one();
        if timeout(Duration::from_secs(STOP_SECONDS_MAX), self.watcher).await.is_err() {
            tracing::error!("PostgreSQL did not stop in time");
        }
    }
}

/// Makes the directory and takes its lock.
fn own(directory: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make the data directory {}", directory.display()))?;
    let path = directory.join("lock");
    let lock =
        File::options().create(true).append(true).open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!("another nunatak uses the data directory {}", directory.display()),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

impl Setup {
    fn find(directory: &Path) -> anyhow::Result<Self> {
        let directory = fs::canonicalize(directory)?;
        let binaries = find_binaries().context(
            "no PostgreSQL found: install one (Debian: apt-get install postgresql; Homebrew: brew install postgresql), \
             or set NUNATAK_DATABASE_URL",
        )?;
        let data = directory.join("postgres");
        let user = unprivileged_user(&data, &directory)?;
        let mut sockets = directory.join("run");
        if sockets.as_os_str().len() > SOCKET_DIRECTORY_BYTES_MAX {
            // Too deep for a socket: a directory of the same owner elsewhere, named after this one.
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, directory.as_os_str().as_encoded_bytes());
            let name = URL_SAFE_NO_PAD.encode(digest.as_ref().get(..12).unwrap_or_default());
            sockets = std::env::temp_dir().join(format!("nunatak-{name}"));
        }
        Ok(Self { binaries, data, sockets, user })
    }

    fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.sockets).port(5432).username(NAME).database("postgres")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = std::process::Command::new(self.binaries.join(program));
        command.stdin(Stdio::null()).current_dir("/").env_remove("PGDATA").env("LC_ALL", "C");
        // Not ours to be stopped with: an interrupt at the terminal must not reach it before the server has drained.
        command.process_group(0);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        Command::from(command)
    }

    /// A directory that only PostgreSQL's user can enter.
    fn private_directory(&self, path: &Path) -> anyhow::Result<()> {
        let done = (|| {
            fs::create_dir_all(path)?;
            if let Some((uid, gid)) = self.user {
                chown(path, Some(uid), Some(gid))?;
            }
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        })();
        done.with_context(|| format!("cannot make {} ready for PostgreSQL", path.display()))
    }

    /// `initdb`, unless it was done. It works in a directory of its own that gets its name at the end, so that one that was cut short
    /// is done again.
    async fn initialise(&self) -> anyhow::Result<()> {
        self.private_directory(&self.sockets)?;
        if self.data.join("PG_VERSION").exists() {
            return Ok(());
        }
        let draft = self.data.with_extension("new");
        if draft.exists() {
            fs::remove_dir_all(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
        }
        self.private_directory(&draft)?;
        let output = self
            .command("initdb")
            .arg("--pgdata")
            .arg(&draft)
            .args(["--username", NAME, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"])
            .output()
            .await
            .context("cannot run initdb")?;
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        fs::rename(&draft, &self.data).with_context(|| format!("cannot make {}", self.data.display()))?;
        Ok(())
    }

    /// Starts PostgreSQL and waits until it answers. One that an earlier server left behind is stopped first.
    async fn launch(&self) -> anyhow::Result<(Child, Child)> {
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        let mut asked_to_stop = false;
        loop {
            let mut child = self.spawn()?;
            let pid = child.id().context("PostgreSQL ended at once")?;
            // From now on it ends when this process, or only this start, does.
            let mut guard = self.guard(pid)?;
            loop {
                if child.try_wait()?.is_some() {
                    let _ = guard.kill().await;
                    break;
                }
                // The file names the one that owns the directory: ours, and not one that is still there from before.
                if self.owner() == Some(pid) && self.answers().await {
                    return Ok((child, guard));
                }
                if Instant::now() > deadline + RECOVERY_TIME_MAX {
                    bail!("PostgreSQL does not answer; see {}", self.log().display());
                }
                sleep(Duration::from_millis(20)).await;
            }
            // It ended: most likely one from before still has the directory, or the memory, for a moment.
            if Instant::now() > deadline {
                bail!("PostgreSQL does not start; see {}", self.log().display());
            }
            if !asked_to_stop && self.owner().is_some() && self.answers().await {
                asked_to_stop = true;
                self.stop().await;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log = File::options().create(true).append(true).open(self.log()).context("cannot open PostgreSQL's log")?;
        self.command("postgres")
            .arg("-D")
            .arg(&self.data)
            .arg("-k")
            .arg(&self.sockets)
            .args(["-p", "5432", "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", "max_connections=200"])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot run postgres")
    }

    /// Tells whoever owns the directory to roll back what is open and to end.
    async fn stop(&self) {
        let status = self.command("pg_ctl").args(["stop", "-m", "fast", "-W", "-s", "-D"]).arg(&self.data).status().await;
        if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
            tracing::warn!(?status, "pg_ctl stop failed");
        }
    }

    /// Waits until nobody owns the directory.
    async fn wait_stopped(&self) {
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
        while self.owner().is_some() && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// A process that waits for the end of its input, which comes when this one ends, however it ends, and stops PostgreSQL then.
    fn guard(&self, pid: u32) -> anyhow::Result<Child> {
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", "read -r _; kill -INT \"$0\"", &pid.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/").process_group(0);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        Command::from(command).spawn().context("cannot run /bin/sh")
    }

    /// The process that `postmaster.pid` names.
    fn owner(&self) -> Option<u32> {
        fs::read_to_string(self.data.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    async fn answers(&self) -> bool {
        if !self.sockets.join(SOCKET_FILE).exists() {
            return false;
        }
        let options = self.options();
        match timeout(Duration::from_secs(5), options.connect()).await {
            Ok(Ok(connection)) => connection.close().await.is_ok(),
            _ => false,
        }
    }
}

/// Creates the database that the server uses, if it is not there.
async fn create_database(options: &PgConnectOptions) -> anyhow::Result<()> {
    let mut connection: PgConnection = options.connect().await?;
    let exists = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) AS "exists!""#, NAME)
        .fetch_one(&mut connection)
        .await?;
    if !exists {
        sqlx::query("CREATE DATABASE nunatak").execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}

/// Starts PostgreSQL again whenever it ends, until it is to stop.
async fn watch(setup: Setup, mut child: Child, mut guard: Child, stopping: Arc<Notify>) {
    loop {
        tokio::select! {
            () = stopping.notified() => {
                setup.stop().await;
                let _ = child.wait().await;
                let _ = guard.kill().await;
                return;
            }
            status = child.wait() => {
                tracing::error!(?status, "PostgreSQL ended; starting it again");
                // Its process is gone, and so must be the one that would tell that process to stop.
                let _ = guard.kill().await;
            }
        }
        loop {
            let launched = tokio::select! {
                launched = setup.launch() => launched,
                // What was started ends with its guard, which is dropped here.
                () = stopping.notified() => return setup.wait_stopped().await,
            };
            match launched {
                Ok(started) => {
                    (child, guard) = started;
                    break;
                }
                Err(error) => tracing::error!("{error:#}"),
            }
            if timeout(Duration::from_secs(1), stopping.notified()).await.is_ok() {
                return;
            }
        }
    }
}

/// The directory of `initdb` and `postgres`: on the PATH, where Debian or Homebrew put them; the newest.
fn find_binaries() -> Option<PathBuf> {
    let mut candidates: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let mut installed = Vec::new();
    for (parent, below) in [
        ("/usr/lib/postgresql", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
        ("/usr", "bin"),
        ("/usr/local/pgsql", "bin"),
    ] {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version: u32 = name.rsplit(['@', '-']).next().and_then(|text| text.parse().ok()).unwrap_or(0);
            if version > 0 || name.starts_with("postgresql") {
                installed.push((version, entry.path().join(below)));
            }
        }
    }
    installed.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    candidates.extend(installed.into_iter().map(|(_, path)| path));
    candidates.into_iter().find(|directory| is_installation(directory))
}

fn is_installation(directory: &Path) -> bool {
    if !["initdb", "postgres", "pg_ctl"].iter().all(|program| directory.join(program).is_file()) {
        return false;
    }
    let output = std::process::Command::new(directory.join("postgres")).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version = text.split_whitespace().nth(2).and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    version.is_some_and(|version| version >= VERSION_MIN)
}

/// As whom PostgreSQL is to run where we are root: as the owner of what is there already, else as `postgres`, else as `nobody`.
fn unprivileged_user(data: &Path, directory: &Path) -> anyhow::Result<Option<(u32, u32)>> {
    let ours = std::process::Command::new("id").arg("-u").output().context("cannot run id")?;
    if ours.stdout.trim_ascii() != b"0" {
        return Ok(None);
    }
    let (uid, gid) = match fs::metadata(data) {
        Ok(existing) if existing.uid() != 0 => (existing.uid(), existing.gid()),
        _ => passwd_entry("postgres").or_else(|| passwd_entry("nobody")).unwrap_or((65_534, 65_534)),
    };
    for ancestor in directory.ancestors() {
        let metadata = fs::metadata(ancestor)?;
        let mode = metadata.mode();
        let enters =
            (metadata.uid() == uid && mode & 0o100 != 0) || (metadata.gid() == gid && mode & 0o010 != 0) || mode & 0o001 != 0;
        if !enters {
            bail!(
                "PostgreSQL does not run as root, and user {uid}, as whom it would run, may not enter {}: choose another \
                 NUNATAK_DATA_DIR, or chmod o+x that directory",
                ancestor.display()
            );
        }
    }
    Ok(Some((uid, gid)))
}

fn passwd_entry(user: &str) -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
