//! Files on the local file system, written so that they are there after a crash: the file and every directory on the way are synced.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::model::Location;

/// The path of a `file` location.
pub(super) fn path(location: &Location) -> PathBuf {
    PathBuf::from(location.path())
}

/// Writes a new file; one that is there already is an error.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::other("a file lies in a directory"))?;
    let mut file = match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_directories(directory)?;
            File::create_new(path)?
        }
        opened => opened?,
    };
    file.write_all(bytes)?;
    file.sync_all()?;
    File::open(directory)?.sync_all()
}

/// Makes a directory and those above it that are missing, each synced into the one that holds it.
fn create_directories(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let Some(parent) = directory.parent() else { return Ok(()) };
    create_directories(parent)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(parent)?.sync_all(),
    }
}

/// Reads a file of at most `bytes_max`; `None` for one that is longer.
pub(super) fn read(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    // Looked at before it is opened: opening a pipe would wait for whoever writes to it.
    let found = fs::metadata(path).map_err(|error| match error.kind() {
        // A file lies where a directory would have to be: then nothing is below it.
        io::ErrorKind::NotADirectory => io::Error::new(io::ErrorKind::NotFound, error),
        _ => error,
    })?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "not a file"));
    }
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= bytes_max).then_some(bytes))
}

/// Deletes a file; one that is gone already is deleted.
pub(super) fn delete(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
