//! Partition specs and transforms (the table specification, "Partitioning").

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Extra, Primitive, Schema, Type};
use crate::model::{Error, Result};

/// The first partition field id; one less stands for 'none assigned'.
pub const PARTITION_FIELD_ID_FIRST: i32 = 1_000;

/// A transform from a column's value to a partition's or a sort key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the specification's names")]
pub enum Transform {
    Identity,
    Void,
    Bucket(u32),
    Truncate(u32),
    Year,
    Month,
    Day,
    Hour,
}

impl FromStr for Transform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("Unknown transform: {}", text.chars().take(100).collect::<String>()));
        let width = |name: &str| {
            let inner = text.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            inner.parse::<u32>().ok().filter(|width| *width > 0 && *width <= i32::MAX.unsigned_abs())
        };
        Ok(match text {
            "identity" => Self::Identity,
            "void" => Self::Void,
            "year" => Self::Year,
            "month" => Self::Month,
            "day" => Self::Day,
            "hour" => Self::Hour,
            _ if text.starts_with("bucket") => Self::Bucket(width("bucket").ok_or_else(wrong)?),
            _ if text.starts_with("truncate") => Self::Truncate(width("truncate").ok_or_else(wrong)?),
            _ => return Err(wrong()),
        })
    }
}

impl Transform {
    /// Whether it applies to values of this type.
    #[must_use]
    pub fn applies_to(self, r#type: &Type) -> bool {
        use Primitive as P;
        let Type::Primitive(primitive) = r#type else { return self == Self::Void };
        match self {
            Self::Void => true,
            Self::Identity => !matches!(primitive, P::Variant | P::Geometry(_) | P::Geography(_)),
            Self::Bucket(_) => {
                primitive.is_timestamp()
                    || matches!(
                        primitive,
                        P::Int | P::Long | P::Decimal { .. } | P::Date | P::Time | P::String | P::Uuid | P::Fixed(_) | P::Binary
                    )
            }
            Self::Truncate(_) => matches!(primitive, P::Int | P::Long | P::Decimal { .. } | P::String | P::Binary),
            Self::Year | Self::Month | Self::Day => *primitive == P::Date || primitive.is_timestamp(),
            Self::Hour => primitive.is_timestamp(),
        }
    }
}

/// A partition spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PartitionSpec {
    /// Its id in the table's list of specs.
    #[serde(default)]
    pub spec_id: i32,
    /// The partition fields; none for an unpartitioned table.
    pub fields: Vec<PartitionField>,
    /// Whatever else it came with.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// One field of a partition spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PartitionField {
    /// The column it is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<i32>,
    /// The columns it is made from, for a transform of several arguments (format 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ids: Option<Vec<i32>>,
    /// Its own id; assigned here when the client names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_id: Option<i32>,
    /// Its name.
    pub name: String,
    /// Its transform, as text.
    pub transform: String,
    /// Whatever else it came with.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

impl PartitionField {
    /// The columns it is made from.
    #[must_use]
    pub fn sources(&self) -> Vec<i32> {
        sources(self.source_id, self.source_ids.as_deref())
    }
}

/// One source, or several.
#[must_use]
pub fn sources(one: Option<i32>, several: Option<&[i32]>) -> Vec<i32> {
    several.map_or_else(|| one.into_iter().collect(), <[i32]>::to_vec)
}

/// Brings sources into the form that every reader knows: one source goes without a list.
pub fn simplify_sources(one: &mut Option<i32>, several: &mut Option<Vec<i32>>) {
    if let Some([only]) = several.as_deref() {
        *one = Some(*only);
        *several = None;
    }
}

/// The most fields that a partition spec or a sort order may have.
const FIELDS_MAX: usize = 1_000;

/// Refuses a spec or an order that nobody could mean.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when it has too many fields.
pub fn check_length(what: &str, fields: usize) -> Result<()> {
    if fields > FIELDS_MAX {
        return Err(Error::invalid(format!("Invalid {what}: {fields} fields, at most {FIELDS_MAX} are allowed")));
    }
    Ok(())
}

/// Checks the transform of a partition or sort field against the columns it is made from.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when a column is missing or the transform does not apply to it.
pub fn check_transform(
    what: &str,
    transform: &str,
    sources: &[i32],
    types: &BTreeMap<i32, &Type>,
    format_version: u8,
) -> Result<Transform> {
    let parsed: Transform = transform.parse()?;
    if sources.is_empty() {
        return Err(Error::invalid(format!("Invalid {what}: it names no source column")));
    }
    if sources.len() > 1 && (format_version < 3 || !matches!(parsed, Transform::Bucket(_) | Transform::Void)) {
        return Err(Error::invalid(format!("Invalid {what}: {transform} takes one source column in v{format_version}")));
    }
    for source in sources {
        match types.get(source) {
            None if parsed == Transform::Void => {}
            None => return Err(Error::invalid(format!("Cannot find source column for {what}: {source}"))),
            Some(r#type) if !parsed.applies_to(r#type) => {
                return Err(Error::invalid(format!("Invalid {what}: {transform} does not apply to source column {source}")));
            }
            Some(_) => {}
        }
    }
    Ok(parsed)
}

impl PartitionSpec {
    /// The spec of an unpartitioned table.
    #[must_use]
    pub fn unpartitioned() -> Self {
        Self { spec_id: 0, fields: Vec::new(), extra: Extra::new() }
    }

    /// Whether it partitions as `other` does, ids apart.
    #[must_use]
    pub fn compatible_with(&self, other: &Self) -> bool {
        let key = |field: &PartitionField| (field.sources(), field.name.clone(), field.transform.clone());
        self.fields.iter().map(key).eq(other.fields.iter().map(key))
    }

    /// The highest field id, or the one before the first.
    #[must_use]
    pub fn last_field_id(&self) -> i32 {
        self.fields.iter().filter_map(|field| field.field_id).max().unwrap_or(PARTITION_FIELD_ID_FIRST - 1)
    }

    /// Gives an id to each field that has none, after `last_assigned`.
    pub fn assign_ids(&mut self, last_assigned: i32) {
        let mut last = last_assigned.max(self.last_field_id());
        for field in self.fields.iter_mut().filter(|field| field.field_id.is_none()) {
            last = last.saturating_add(1);
            field.field_id = Some(last);
        }
    }

    /// Checks the spec against a schema.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] with the first thing that is wrong.
    pub fn check(&self, schema: &Schema, format_version: u8) -> Result<()> {
        check_length("partition spec", self.fields.len())?;
        let columns = schema.visit();
        let types: BTreeMap<i32, &Type> = columns.iter().map(|column| (column.id, column.r#type)).collect();
        let repeated: HashMap<i32, &str> =
            columns.iter().filter(|column| column.repeated).map(|column| (column.id, column.path.as_str())).collect();
        let by_name: HashMap<&str, i32> = columns.iter().map(|column| (column.path.as_str(), column.id)).collect();
        let mut names = HashSet::new();
        let mut ids = HashSet::new();
        for (position, field) in self.fields.iter().enumerate() {
            if field.name.is_empty() {
                return Err(Error::invalid("Cannot use empty partition name"));
            }
            if !names.insert(field.name.as_str()) {
                return Err(Error::invalid(format!("Cannot use partition name more than once: {}", field.name)));
            }
            if let Some(id) = field.field_id
                && !ids.insert(id)
            {
                return Err(Error::invalid(format!("Cannot use partition field id more than once: {id}")));
            }
            let sources = field.sources();
            let transform = check_transform("partition field", &field.transform, &sources, &types, format_version)?;
            if transform != Transform::Void
                && let Some(inside) = sources.iter().find_map(|source| repeated.get(source))
            {
                return Err(Error::invalid(format!("Invalid partition field parent: {inside} is inside a list or map")));
            }
            // A column may be renamed to the name of a partition that is made from it, and from no other.
            let namesake = by_name.get(field.name.as_str());
            if transform != Transform::Void && namesake.is_some_and(|column| !sources.contains(column)) {
                return Err(Error::invalid(format!("Cannot create partition from name that exists in schema: {}", field.name)));
            }
            let expected = PARTITION_FIELD_ID_FIRST.saturating_add(i32::try_from(position).unwrap_or(i32::MAX));
            if format_version == 1 && field.field_id.is_some_and(|id| id != expected) {
                return Err(Error::invalid("Spec does not use sequential IDs that are required in v1"));
            }
        }
        Ok(())
    }
}

/// Checks a spec that is new: its fields are named apart from the columns, except that an identity partition may have its column's name.
///
/// # Errors
/// [`crate::model::Kind::Invalid`] when one is not.
pub fn check_new_names(spec: &PartitionSpec, schema: &Schema) -> Result<()> {
    let columns: HashSet<String> = schema.visit().into_iter().map(|column| column.path).collect();
    let taken = |field: &&PartitionField| {
        !matches!(field.transform.as_str(), "identity" | "void") && columns.contains(field.name.as_str())
    };
    match spec.fields.iter().find(taken) {
        Some(field) => Err(Error::invalid(format!("Cannot create partition from name that exists in schema: {}", field.name))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_transform_is_refused() {
        for text in ["", "Identity", "bucket", "bucket[]", "bucket[0]", "bucket[-1]", "bucket[2147483648]", "truncate[x]", "days"]
        {
            assert!(text.parse::<Transform>().is_err(), "{text}");
        }
        assert_eq!("bucket[16]".parse::<Transform>().unwrap(), Transform::Bucket(16));
        assert_eq!("truncate[2147483647]".parse::<Transform>().unwrap(), Transform::Truncate(2_147_483_647));
    }

    #[test]
    fn transforms_apply_to_the_types_that_the_specification_names() {
        let types = [
            "boolean",
            "int",
            "long",
            "float",
            "double",
            "decimal(9, 2)",
            "date",
            "time",
            "timestamp",
            "timestamptz",
            "timestamp_ns",
            "timestamptz_ns",
            "string",
            "uuid",
            "fixed[4]",
            "binary",
            "variant",
            "geometry",
            "geography",
        ];
        let timestamps = "timestamp timestamptz timestamp_ns timestamptz_ns";
        for (transform, expected) in [
            ("bucket[4]", format!("int long decimal date time {timestamps} string uuid fixed binary")),
            ("truncate[4]", "int long decimal string binary".to_owned()),
            ("year", format!("date {timestamps}")),
            ("month", format!("date {timestamps}")),
            ("day", format!("date {timestamps}")),
            ("hour", timestamps.to_owned()),
        ] {
            let transform: Transform = transform.parse().unwrap();
            let found = types
                .iter()
                .filter(|text| transform.applies_to(&Type::Primitive(text.parse().unwrap())))
                .map(|text| text.split(['(', '[']).next().unwrap())
                .collect::<Vec<_>>();
            assert_eq!(found.join(" "), expected, "{transform:?}");
        }
        let refused = |transform: Transform| {
            types.iter().filter(|text| !transform.applies_to(&Type::Primitive(text.parse().unwrap()))).count()
        };
        assert_eq!((refused(Transform::Identity), refused(Transform::Void)), (3, 0));
    }
}
