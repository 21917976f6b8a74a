//! Names of namespaces and tables. Spaces, dots, slashes and Unicode are names; what could be taken for a path step, or cannot be
//! seen, is not.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Error, Result};

/// Between the levels of a namespace where they travel as one text; no name has it.
pub const LEVEL_SEPARATOR: char = '\u{1f}';

const NAME_BYTES_MAX: usize = 255;
const LEVELS_MAX: usize = 32;
/// What PostgreSQL's index holds in one entry, with room to spare.
const PATH_BYTES_MAX: usize = 2_000;

/// Checks one name: not empty, not `.` or `..`, no control characters, at most 255 bytes.
///
/// # Errors
/// [`super::Kind::Invalid`] that says which rule was broken.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid(format!("Invalid {what} name: must not be empty")));
    }
    if name == "." || name == ".." {
        return Err(Error::invalid(format!("Invalid {what} name: '{name}' is not a name")));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::invalid(format!("Invalid {what} name: {} bytes, at most {NAME_BYTES_MAX} are allowed", name.len())));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::invalid(format!("Invalid {what} name: control characters are not allowed")));
    }
    Ok(())
}

/// A namespace's levels, outermost first; at least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(transparent)]
pub struct NamespaceIdent(Vec<String>);

impl NamespaceIdent {
    /// Checks the levels.
    ///
    /// # Errors
    /// [`super::Kind::Invalid`] for no level, too many, or one that is no name.
    pub fn new(levels: Vec<String>) -> Result<Self> {
        if levels.is_empty() {
            return Err(Error::invalid("Invalid namespace: must have at least one level"));
        }
        if levels.len() > LEVELS_MAX {
            return Err(Error::invalid(format!("Invalid namespace: more than {LEVELS_MAX} levels")));
        }
        for level in &levels {
            check_name("namespace", level)?;
        }
        if levels.iter().map(String::len).sum::<usize>() > PATH_BYTES_MAX {
            return Err(Error::invalid(format!("Invalid namespace: its levels have more than {PATH_BYTES_MAX} bytes")));
        }
        Ok(Self(levels))
    }

    /// The levels, outermost first.
    #[must_use]
    pub fn levels(&self) -> &[String] {
        &self.0
    }

    /// The levels in one text, with [`LEVEL_SEPARATOR`] between them.
    #[must_use]
    pub fn joined(&self) -> String {
        self.0.join("\u{1f}")
    }

    /// The last level.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The namespace around it, if it is not at the top.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        (!parent.is_empty()).then(|| Self(parent.to_vec()))
    }
}

impl fmt::Display for NamespaceIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl<'de> Deserialize<'de> for NamespaceIdent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A table's, or a view's, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
pub struct TableIdent {
    /// The namespace.
    pub namespace: NamespaceIdent,
    /// The name in it.
    pub name: String,
}

impl TableIdent {
    /// Checks the name.
    ///
    /// # Errors
    /// [`super::Kind::Invalid`] when it is no name.
    pub fn new(namespace: NamespaceIdent, name: String) -> Result<Self> {
        check_name("table", &name)?;
        Ok(Self { namespace, name })
    }

    /// The namespace and name of a view, which have the same form. Checks the name.
    ///
    /// # Errors
    /// [`super::Kind::Invalid`] when it is no name.
    pub fn of_view(namespace: NamespaceIdent, name: String) -> Result<Self> {
        check_name("view", &name)?;
        Ok(Self { namespace, name })
    }
}

impl fmt::Display for TableIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace, self.name)
    }
}

impl<'de> Deserialize<'de> for TableIdent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            namespace: NamespaceIdent,
            name: String,
        }
        let raw = Raw::deserialize(deserializer)?;
        Self::new(raw.namespace, raw.name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_dots_slashes_and_unicode_are_names() {
        for name in ["a b", "a.b", "a/b", "naïve", "表", "...", "%2e%2e", "a\\b", "*", "${x}", "'; drop table x; --"] {
            assert!(check_name("table", name).is_ok(), "{name}");
        }
    }

    #[test]
    fn empty_dots_control_characters_and_long_names_are_refused() {
        let long = "é".repeat(128);
        for name in ["", ".", "..", "a\u{0}b", "a\nb", "\u{1f}", "\u{7f}", "\u{85}", &long] {
            assert!(check_name("table", name).is_err(), "{name:?}");
        }
        assert!(NamespaceIdent::new(vec![]).is_err());
        assert!(NamespaceIdent::new(vec!["a".into(); 33]).is_err());
        assert!(NamespaceIdent::new(vec!["a".repeat(255); 8]).is_err());
    }
}
