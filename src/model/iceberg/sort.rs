//! Sort orders (the table specification, "Sorting").

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::partition::{check_length, check_transform, sources};
use super::{Extra, Schema};
use crate::model::Result;

/// A sort order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SortOrder {
    /// Its id in the table's list of orders; 0 is the unsorted one.
    #[serde(default)]
    pub order_id: i32,
    /// The keys, the most significant first.
    pub fields: Vec<SortField>,
    /// Whatever else it came with.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// One key of a sort order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SortField {
    /// The column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<i32>,
    /// The columns, for a transform of several arguments (format 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ids: Option<Vec<i32>>,
    /// The transform, as text.
    pub transform: String,
    /// Up or down.
    pub direction: SortDirection,
    /// Where nulls go.
    pub null_order: NullOrder,
    /// Whatever else it came with.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the specification's names")]
pub enum SortDirection {
    Asc,
    Desc,
}

/// Where nulls go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the specification's names")]
pub enum NullOrder {
    NullsFirst,
    NullsLast,
}

impl SortField {
    /// The columns it is made from.
    #[must_use]
    pub fn sources(&self) -> Vec<i32> {
        sources(self.source_id, self.source_ids.as_deref())
    }
}

impl SortOrder {
    /// The order of a table that has none.
    #[must_use]
    pub fn unsorted() -> Self {
        Self { order_id: 0, fields: Vec::new(), extra: Extra::new() }
    }

    /// Checks the order against a schema.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] when a column is missing or a transform does not apply to it.
    pub fn check(&self, schema: &Schema, format_version: u8) -> Result<()> {
        check_length("sort order", self.fields.len())?;
        let types = schema.types_by_id();
        for field in &self.fields {
            check_transform("sort field", &field.transform, &field.sources(), &types, format_version)?;
        }
        Ok(())
    }
}
