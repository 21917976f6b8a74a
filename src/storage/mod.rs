//! Where the files are: storage profiles, and the few things that the server itself does with files.

mod files;
mod local;
mod profile;

pub use files::{FileStore, Files};
pub use profile::{Profile, ProfileSecret, S3Profile};
