//! Locations: where a warehouse, a table or a file lies. One canonical text each, so that the string that is checked is the string
//! that is used.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Error, Result};

const BYTES_MAX: usize = 1_024;

/// A canonical location, `scheme://authority/path` without a slash at the end.
///
/// `file:/x` and `file:///x` are one, `s3`, `s3a` and `s3n` are one. A path has no empty step, no `.` or `..` (also when
/// percent-encoded), no control character, and none of `?`, `#`, `*` and `\`, which mean something else to one reader or another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Location(String);

impl Location {
    /// Reads a location and brings it into its canonical form.
    ///
    /// # Errors
    /// [`super::Kind::Invalid`] for an unknown scheme or a path that is not plain.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::invalid(format!("Invalid location: {why}: {}", printable(text)));
        if text.len() > BYTES_MAX {
            return Err(Error::invalid(format!("Invalid location: more than {BYTES_MAX} bytes")));
        }
        if text.chars().any(|c| c.is_control() || matches!(c, '?' | '#' | '*' | '\\')) {
            return Err(wrong("control characters and any of ?, #, * and \\ are not allowed"));
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(|| wrong("it has no scheme"))?;
        let (scheme, authority, path) = match scheme.to_ascii_lowercase().as_str() {
            scheme @ ("file" | "memory") => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                (if scheme == "file" { "file" } else { "memory" }, "", path)
            }
            "s3" | "s3a" | "s3n" => {
                let rest = rest.strip_prefix("//").ok_or_else(|| wrong("// expected after the scheme"))?;
                let (bucket, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
                if bucket.is_empty() || !bucket.chars().all(plain) {
                    return Err(wrong("a bucket's name expected"));
                }
                ("s3", bucket, path)
            }
            _ => return Err(wrong("its scheme is not one of file, s3 and memory")),
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        if !path.is_empty() {
            let steps = path.strip_prefix('/').ok_or_else(|| wrong("an absolute path expected"))?;
            for step in steps.split('/') {
                check_step(step).map_err(wrong)?;
            }
        }
        Ok(Self(format!("{scheme}://{authority}{path}")))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bucket of an S3 location; empty for others.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or("")
    }

    /// The path with its leading slash; empty at the top of a bucket.
    #[must_use]
    pub fn path(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.get(self.authority().len()..).unwrap_or("")
    }

    /// Whether `other` is this location or lies below it. Siblings that share a prefix (`orders`, `orders2`) are apart.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether one of the two contains the other.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// The location of `steps` below this one.
    ///
    /// # Errors
    /// [`super::Kind::Invalid`] when the result is no location.
    pub fn join(&self, steps: &str) -> Result<Self> {
        Self::parse(&format!("{}/{steps}", self.0))
    }

    /// Every location above this one, nearest first, without the top of the bucket or file system.
    #[must_use]
    pub fn ancestors(&self) -> Vec<String> {
        let top = self.0.len() - self.path().len();
        let slashes = self.0.char_indices().filter(|(at, c)| *c == '/' && *at > top).map(|(at, _)| at);
        let mut above: Vec<String> = slashes.filter_map(|at| self.0.get(..at)).map(ToOwned::to_owned).collect();
        above.reverse();
        above
    }
}

fn check_step(step: &str) -> std::result::Result<(), &'static str> {
    if step.is_empty() {
        return Err("it has an empty step (//)");
    }
    let decoded = percent_encoding::percent_decode_str(step).decode_utf8_lossy();
    if decoded == "." || decoded == ".." {
        return Err("it has a step . or ..");
    }
    if decoded.len() < step.len() && decoded.chars().any(|c| c.is_control() || matches!(c, '/' | '\\' | '%')) {
        return Err("it has an encoded separator");
    }
    Ok(())
}

/// At most 200 characters of a caller's text, without control characters, for a message.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    #[test]
    fn spellings_of_one_place_are_one() {
        assert_eq!(at("file:/x/y").as_str(), "file:///x/y");
        assert_eq!(at("file:///x/y/").as_str(), "file:///x/y");
        assert_eq!(at("s3a://b/x/").as_str(), "s3://b/x");
        assert_eq!(at("S3N://b").as_str(), "s3://b");
        assert_eq!(at("s3://b/x").authority(), "b");
        assert_eq!(at("s3://b/x/y").path(), "/x/y");
        assert_eq!(at("file:///x").path(), "/x");
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        for text in [
            "",
            "x",
            "/x",
            "gopher://x/y",
            "s3:/b/x",
            "s3:///x",
            "s3://b//x",
            "s3://b/x//y",
            "s3://b/./x",
            "s3://b/x/..",
            "s3://b/%2e%2e/x",
            "s3://b/%2E./x",
            "s3://b/a%2fb",
            "s3://b/a%252e",
            "s3://b/x?y",
            "s3://b/x#y",
            "s3://b/*",
            "s3://b/a\\b",
            "s3://b/\u{0}",
            "s3://b@c/x",
            "file://host/x",
            "file:x",
            "file:////x",
            "s3://b/x//",
        ] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prefix_siblings_are_apart() {
        let orders = at("s3://b/orders");
        assert!(orders.contains(&at("s3://b/orders/data")));
        assert!(orders.contains(&orders));
        assert!(!orders.contains(&at("s3://b/orders2")));
        assert!(!orders.overlaps(&at("s3://b/orders2")));
        assert!(orders.overlaps(&at("s3://b")));
    }

    #[test]
    fn ancestors_are_every_location_above() {
        assert_eq!(at("s3://b/x/y/z").ancestors(), ["s3://b/x/y", "s3://b/x"]);
        assert_eq!(at("file:///x/y").ancestors(), ["file:///x"]);
        assert!(at("s3://b").ancestors().is_empty());
    }
}
