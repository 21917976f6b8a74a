//! View metadata (the view specification, format 1), and what a client asks of a view at a commit (the REST specification,
//! `ViewRequirement` and `ViewUpdate`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Extra, FORMAT_VERSION_MAX, Schema};
use crate::model::{Error, Result};

/// The newest view format that can be written.
pub const VIEW_FORMAT_VERSION_MAX: u8 = 1;
/// The one type of representation that the specification has.
const SQL: &str = "sql";

/// A view's metadata (the view specification, "View Metadata").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub struct ViewMetadata {
    pub view_uuid: Uuid,
    pub format_version: u8,
    pub location: String,
    pub schemas: Vec<Schema>,
    pub current_version_id: i32,
    pub versions: Vec<ViewVersion>,
    pub version_log: Vec<VersionLogEntry>,
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// A version of a view's definition (the view specification, "Versions").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub struct ViewVersion {
    pub version_id: i32,
    pub timestamp_ms: i64,
    /// In a request, -1 stands for the schema added last.
    pub schema_id: i32,
    pub summary: BTreeMap<String, String>,
    pub representations: Vec<Representation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_catalog: Option<String>,
    /// No level at all is a namespace here.
    pub default_namespace: Vec<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// A view's definition in one dialect of SQL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub struct Representation {
    /// Always `sql`.
    pub r#type: String,
    pub sql: String,
    pub dialect: String,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// When a version became the current one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub struct VersionLogEntry {
    pub timestamp_ms: i64,
    pub version_id: i32,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// One change of a view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "action", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub enum ViewUpdate {
    AssignUuid {
        uuid: Uuid,
    },
    UpgradeFormatVersion {
        format_version: u8,
    },
    AddSchema {
        schema: Schema,
    },
    SetLocation {
        location: String,
    },
    SetProperties {
        /// Older Java clients spell it `updated`.
        #[serde(alias = "updated")]
        updates: BTreeMap<String, String>,
    },
    RemoveProperties {
        /// Older Java clients spell it `removed`.
        #[serde(alias = "removed")]
        removals: Vec<String>,
    },
    AddViewVersion {
        view_version: ViewVersion,
    },
    SetCurrentViewVersion {
        /// -1 stands for the version added last.
        view_version_id: i32,
    },
}

/// What must hold of a view for a commit to be applied to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub enum ViewRequirement {
    AssertViewUuid { uuid: Uuid },
}

impl ViewMetadata {
    /// Reads a view's metadata file.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] when it is not valid view metadata.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let metadata: Self =
            serde_json::from_slice(json).map_err(|error| Error::invalid(format!("Invalid view metadata: {error}")))?;
        metadata.check()?;
        Ok(metadata)
    }

    /// The JSON of the metadata file.
    ///
    /// # Errors
    /// [`crate::model::Kind::Internal`] when it cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(Error::internal)
    }

    /// Checks that what the metadata names is in it.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] with the first thing that is missing.
    pub fn check(&self) -> Result<()> {
        if self.format_version == 0 || self.format_version > VIEW_FORMAT_VERSION_MAX {
            return Err(Error::invalid(format!("Unsupported format version: {}", self.format_version)));
        }
        self.schemas.iter().try_for_each(Schema::check_size)?;
        let schema_id = self.current_version()?.schema_id;
        if !self.has_schema(schema_id) {
            return Err(Error::invalid(format!("Cannot find current schema {schema_id}")));
        }
        Ok(())
    }

    /// A version by its id.
    #[must_use]
    pub fn version(&self, id: i32) -> Option<&ViewVersion> {
        self.versions.iter().find(|version| version.version_id == id)
    }

    /// The current version.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] when the metadata lacks it.
    pub fn current_version(&self) -> Result<&ViewVersion> {
        let id = self.current_version_id;
        self.version(id).ok_or_else(|| Error::invalid(format!("Cannot find current version {id} in view versions")))
    }

    /// Whether it has a schema of this id.
    #[must_use]
    pub fn has_schema(&self, id: i32) -> bool {
        self.schemas.iter().any(|schema| schema.schema_id == id)
    }
}

impl ViewVersion {
    /// Whether it says the same as `other`, whatever their ids are and whenever they were made.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.schema_id == other.schema_id
            && self.default_namespace == other.default_namespace
            && self.default_catalog == other.default_catalog
            && self.summary == other.summary
            && self.representations == other.representations
            && self.extra == other.extra
    }

    /// The dialects that it is written in, in small letters: they are compared so.
    #[must_use]
    pub fn dialects(&self) -> BTreeSet<String> {
        self.representations.iter().map(|representation| representation.dialect.to_lowercase()).collect()
    }

    /// Checks what the specification demands of a version by itself.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] with the first thing that is wrong.
    pub fn check(&self) -> Result<()> {
        if self.representations.is_empty() {
            return Err(Error::invalid("Invalid view version: it has no representation"));
        }
        let mut dialects = BTreeSet::new();
        for representation in &self.representations {
            if representation.r#type != SQL {
                let found = &representation.r#type;
                return Err(Error::invalid(format!("Found unsupported view representations: [{found}]; {SQL} expected")));
            }
            if representation.dialect.is_empty() {
                return Err(Error::invalid("Invalid view version: a representation's dialect is empty"));
            }
            let dialect = representation.dialect.to_lowercase();
            if dialects.contains(&dialect) {
                return Err(Error::invalid(format!("Invalid view version: Cannot add multiple queries for dialect {dialect}")));
            }
            dialects.insert(dialect);
        }
        Ok(())
    }
}

/// Checks a view's schema: it has no format of its own, and any type may be in it.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] with the first thing that is wrong.
pub fn check_schema(schema: &Schema) -> Result<()> {
    schema.check(FORMAT_VERSION_MAX)
}
