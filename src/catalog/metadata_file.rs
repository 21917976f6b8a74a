//! Metadata files: their names, and their bytes in the two forms that are kept (the file, and the compressed copy in the database).

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use uuid::Uuid;

use super::locations;
use crate::model::iceberg::{TableMetadata, ViewMetadata};
use crate::model::{Error, Location, Result};

/// The longest metadata that is read.
pub const METADATA_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Fast, and within a tenth of the smallest.
const ZSTD_LEVEL: i32 = 1;

/// A metadata file, ready to be written.
#[derive(Debug)]
pub struct MetadataFile {
    /// Where it goes.
    pub location: Location,
    /// What is written there.
    pub bytes: Bytes,
    /// The JSON.
    pub json: Bytes,
    /// The JSON compressed with zstd, for the database.
    pub packed: Vec<u8>,
}

/// Makes the metadata file of a table's `version`.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when the table names a directory or codec for it that cannot be used.
pub fn render(metadata: &TableMetadata, version: i64) -> Result<MetadataFile> {
    make("table", metadata.to_json()?, &metadata.location, &metadata.properties, version)
}

/// Makes the metadata file of a view's `version` (its place in the order of commits).
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when the view names a directory or codec for it that cannot be used.
pub fn render_view(metadata: &ViewMetadata, version: i64) -> Result<MetadataFile> {
    make("view", metadata.to_json()?, &metadata.location, &metadata.properties, version)
}

fn make(what: &str, json: Vec<u8>, location: &str, properties: &BTreeMap<String, String>, version: i64) -> Result<MetadataFile> {
    let json = Bytes::from(json);
    if json.len() as u64 > METADATA_BYTES_MAX {
        return Err(Error::invalid(format!("Invalid {what}: its metadata would have more than {METADATA_BYTES_MAX} bytes")));
    }
    let (suffix, bytes) = match properties.get("write.metadata.compression-codec").map(|codec| codec.to_ascii_lowercase()) {
        Some(codec) if codec == "gzip" => (".gz.metadata.json", gzip(&json)?),
        Some(codec) if codec != "none" => return Err(Error::invalid(format!("Unknown metadata compression codec: {codec}"))),
        _ => (".metadata.json", json.clone()),
    };
    let name = format!("{version:05}-{}{suffix}", Uuid::new_v4());
    let location = locations::metadata_directory(location, properties)?.join(&name)?;
    let packed = zstd::bulk::compress(&json, ZSTD_LEVEL).map_err(Error::internal)?;
    Ok(MetadataFile { location, bytes, json, packed })
}

/// The JSON of what the database keeps.
///
/// # Errors
/// [`crate::model::Kind::Internal`] when it is not what was stored.
pub fn unpack(packed: &[u8]) -> Result<Bytes> {
    let mut json = Vec::new();
    unpack_into(&mut json, "", packed, "")?;
    Ok(Bytes::from(json))
}

/// How long the JSON of what the database keeps is, as its frame says (RFC 8878, section 3.1.1.1.4).
#[must_use]
pub fn unpacked_size(packed: &[u8]) -> usize {
    let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten().unwrap_or_default();
    usize::try_from(size.min(METADATA_BYTES_MAX)).unwrap_or_default()
}

/// Writes `head`, the JSON of what the database keeps, and `tail`, in one allocation where the JSON's length is known. Where the JSON
/// is in it.
///
/// # Errors
/// [`crate::model::Kind::Internal`] when it is not what was stored.
pub fn unpack_into(text: &mut Vec<u8>, head: &str, packed: &[u8], tail: &str) -> Result<Range<usize>> {
    // One more, so that the end is noticed without growing.
    text.reserve_exact(head.len() + unpacked_size(packed) + tail.len() + 1);
    text.extend_from_slice(head.as_bytes());
    let start = text.len();
    let decoder = zstd::Decoder::with_buffer(packed).map_err(Error::internal)?;
    decoder.take(METADATA_BYTES_MAX + 1).read_to_end(text).map_err(Error::internal)?;
    let json = start..text.len();
    if json.len() as u64 > METADATA_BYTES_MAX {
        return Err(Error::internal("stored metadata is longer than any that was stored"));
    }
    text.extend_from_slice(tail.as_bytes());
    Ok(json)
}

/// The JSON of a metadata file that somebody else wrote, compressed or not, and its form for the database.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when it cannot be decompressed or is too long.
pub fn read_file(bytes: Bytes) -> Result<(Bytes, Vec<u8>)> {
    let json = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut json = Vec::new();
        GzDecoder::new(&bytes[..])
            .take(METADATA_BYTES_MAX + 1)
            .read_to_end(&mut json)
            .map_err(|error| Error::invalid(format!("Invalid metadata file: {error}")))?;
        if json.len() as u64 > METADATA_BYTES_MAX {
            return Err(Error::invalid("Invalid metadata file: too long"));
        }
        Bytes::from(json)
    } else {
        bytes
    };
    let packed = zstd::bulk::compress(&json, ZSTD_LEVEL).map_err(Error::internal)?;
    Ok((json, packed))
}

fn gzip(json: &[u8]) -> Result<Bytes> {
    let mut bytes = Vec::new();
    GzEncoder::new(json, Compression::default()).read_to_end(&mut bytes).map_err(Error::internal)?;
    Ok(Bytes::from(bytes))
}
