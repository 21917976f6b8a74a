//! A bound on a process's memory that the kernel keeps: a control group, of version 1 or 2, below the one that we are in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

const PREFIX: &str = "nunatak-hot-path-";

/// A control group with a bound, to vanish with this value.
pub struct Cgroup {
    directory: PathBuf,
    version: u8,
}

impl Cgroup {
    /// # Errors
    /// When there is no memory controller, or it is not ours to use.
    pub fn new(bytes: u64) -> anyhow::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").context("no control groups")?;
        let of_version_1 = own.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|name| name == "memory").then_some(path)
        });
        let of_version_2 = own.lines().find_map(|line| line.strip_prefix("0::"));
        let (version, root, path) = match (of_version_1, of_version_2) {
            (Some(path), _) => (1, Path::new("/sys/fs/cgroup/memory"), path),
            (None, Some(path)) => (2, Path::new("/sys/fs/cgroup"), path),
            _ => bail!("no memory controller"),
        };
        let mut parent = root.join(path.trim_start_matches('/'));
        if !parent.is_dir() {
            // In a container the path may be the host's.
            root.clone_into(&mut parent);
        }
        if version == 2 {
            // Only a group without processes of its own may hand the controller on, so this one's may have to be beside us.
            let handed_on = |parent: &Path| fs::write(parent.join("cgroup.subtree_control"), "+memory").is_ok();
            if !handed_on(&parent) {
                parent =
                    parent.parent().filter(|parent| parent.starts_with(root) && handed_on(parent)).context("no leave")?.into();
            }
        }
        remove_leftovers(&parent);
        let directory = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let group = Self { directory, version };
        group.limit(bytes)?;
        Ok(group)
    }

    fn limit(&self, bytes: u64) -> anyhow::Result<()> {
        let set = |file: &str, value: String| {
            fs::write(self.directory.join(file), value)
                .with_context(|| format!("cannot set {file} in {}", self.directory.display()))
        };
        if self.version == 1 {
            set("memory.limit_in_bytes", bytes.to_string())?;
            // Not there where the kernel does not count swap; then nothing may be swapped, if that can be said.
            if set("memory.memsw.limit_in_bytes", bytes.to_string()).is_err() {
                let _ = set("memory.swappiness", "0".to_owned());
            }
        } else {
            set("memory.max", bytes.to_string())?;
            let _ = set("memory.swap.max", "0".to_owned());
        }
        Ok(())
    }

    /// A command that enters the group and then becomes whatever it is given.
    pub fn wrapper(&self) -> Vec<String> {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.directory.display());
        ["/bin/sh", "-c", &enter, "sh"].map(ToOwned::to_owned).into()
    }

    /// The most that it counted (files' pages too, which it takes back when it needs to), and how often it killed.
    pub fn seen(&self) -> (u64, u64) {
        let read = |file: &str| fs::read_to_string(self.directory.join(file)).unwrap_or_default();
        let (peak, events) = if self.version == 1 {
            ("memory.max_usage_in_bytes", "memory.oom_control")
        } else {
            ("memory.peak", "memory.events")
        };
        let killed = read(events).lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        (read(peak).trim().parse().unwrap_or_default(), killed.unwrap_or_default())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Processes that have just ended may be in it for a moment.
        for _ in 0..50 {
            if fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        eprintln!("the control group {} stays", self.directory.display());
    }
}

/// Groups of runs that were killed. The kernel keeps those that have processes.
fn remove_leftovers(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}
