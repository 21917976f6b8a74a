//! Data types and fields (the table specification, "Schemas and Data Types").

use std::fmt;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::Extra;

/// A type: primitive, or nested.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// One value.
    Primitive(Primitive),
    /// Named fields, a list, or a map.
    Nested(Box<Nested>),
}

/// A nested type, as JSON has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Nested {
    /// Named fields.
    Struct {
        /// The fields.
        fields: Vec<Field>,
        /// Whatever else it came with.
        #[serde(flatten)]
        extra: Extra,
    },
    /// A list of elements of one type.
    #[serde(rename_all = "kebab-case")]
    List {
        /// The element's field id.
        element_id: i32,
        /// The element's type.
        element: Type,
        /// Whether an element is never null.
        element_required: bool,
        /// Whatever else it came with.
        #[serde(flatten)]
        extra: Extra,
    },
    /// A map.
    #[serde(rename_all = "kebab-case")]
    Map {
        /// The key's field id.
        key_id: i32,
        /// The key's type.
        key: Type,
        /// The value's field id.
        value_id: i32,
        /// The value's type.
        value: Type,
        /// Whether a value is never null.
        value_required: bool,
        /// Whatever else it came with.
        #[serde(flatten)]
        extra: Extra,
    },
}

/// A primitive type, or one of format 3 without fields of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the specification's names")]
pub enum Primitive {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Decimal {
        precision: u32,
        scale: u32,
    },
    Date,
    Time,
    Timestamp,
    Timestamptz,
    TimestampNs,
    TimestamptzNs,
    String,
    Uuid,
    Fixed(u64),
    Binary,
    Unknown,
    Variant,
    /// With its parameters, as written.
    Geometry(std::string::String),
    /// With its parameters, as written.
    Geography(std::string::String),
}

impl Primitive {
    /// The first format that has this type.
    #[must_use]
    pub fn format_version_min(&self) -> u8 {
        match self {
            Self::TimestampNs | Self::TimestamptzNs | Self::Unknown | Self::Variant | Self::Geometry(_) | Self::Geography(_) => 3,
            _ => 1,
        }
    }

    /// A timestamp of any kind.
    #[must_use]
    pub fn is_timestamp(&self) -> bool {
        matches!(self, Self::Timestamp | Self::Timestamptz | Self::TimestampNs | Self::TimestamptzNs)
    }
}

impl FromStr for Primitive {
    type Err = std::string::String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.trim().to_ascii_lowercase();
        let unknown = || format!("'{}' is not a type", text.chars().take(100).collect::<std::string::String>());
        Ok(match lower.as_str() {
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "date" => Self::Date,
            "time" => Self::Time,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::Timestamptz,
            "timestamp_ns" => Self::TimestampNs,
            "timestamptz_ns" => Self::TimestamptzNs,
            "string" => Self::String,
            "uuid" => Self::Uuid,
            "binary" => Self::Binary,
            "unknown" => Self::Unknown,
            "variant" => Self::Variant,
            _ if lower.starts_with("geometry") => Self::Geometry(parameters(text, "geometry").ok_or_else(unknown)?),
            _ if lower.starts_with("geography") => Self::Geography(parameters(text, "geography").ok_or_else(unknown)?),
            _ => {
                if let Some(length) = lower.strip_prefix("fixed[").and_then(|rest| rest.strip_suffix(']')) {
                    return length.trim().parse().map(Self::Fixed).map_err(|_| unknown());
                }
                let inner = lower.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(unknown)?;
                let (precision, scale) = inner.split_once(',').ok_or_else(unknown)?;
                let number = |text: &str| text.trim().parse::<u32>().map_err(|_| unknown());
                let (precision, scale) = (number(precision)?, number(scale)?);
                if precision == 0 || precision > 38 || scale > precision {
                    return Err(format!("{text}: a decimal has 1 to 38 digits and no more after the point"));
                }
                Self::Decimal { precision, scale }
            }
        })
    }
}

/// What follows the name of a parametrised type: nothing, or text in parentheses.
fn parameters(text: &str, name: &str) -> Option<std::string::String> {
    let rest = text.trim().get(name.len()..)?;
    (rest.is_empty() || (rest.starts_with('(') && rest.ends_with(')'))).then(|| rest.to_owned())
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision}, {scale})"),
            Self::Fixed(length) => return write!(f, "fixed[{length}]"),
            Self::Geometry(parameters) => return write!(f, "geometry{parameters}"),
            Self::Geography(parameters) => return write!(f, "geography{parameters}"),
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::Timestamptz => "timestamptz",
            Self::TimestampNs => "timestamp_ns",
            Self::TimestamptzNs => "timestamptz_ns",
            Self::String => "string",
            Self::Uuid => "uuid",
            Self::Binary => "binary",
            Self::Unknown => "unknown",
            Self::Variant => "variant",
        };
        f.write_str(name)
    }
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Primitive(primitive) => serializer.collect_str(primitive),
            Self::Nested(nested) => nested.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Type;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type: a primitive type's name, or an object of type struct, list or map")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Type, E> {
                text.parse().map(Type::Primitive).map_err(E::custom)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Type, A::Error> {
                Ok(Type::Nested(Box::new(Nested::deserialize(MapAccessDeserializer::new(map))?)))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Field {
    /// Its id, unique in the table for ever.
    pub id: i32,
    /// Its name, unique in its struct.
    pub name: String,
    /// Whether it is never null.
    pub required: bool,
    /// Its type: a primitive type's name, or an object of type struct, list or map.
    #[serde(rename = "type")]
    #[schema(value_type = Value)]
    pub r#type: Type,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    /// What rows written before the field existed have (format 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_default: Option<Value>,
    /// What writers put where a row names no value (format 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_default: Option<Value>,
    /// Whatever else it came with.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_primitive_type_survives_the_round_trip() {
        for text in [
            "boolean",
            "int",
            "long",
            "float",
            "double",
            "decimal(38, 10)",
            "date",
            "time",
            "timestamp",
            "timestamptz",
            "timestamp_ns",
            "timestamptz_ns",
            "string",
            "uuid",
            "fixed[16]",
            "binary",
            "unknown",
            "variant",
            "geometry",
            "geometry(srid:4326)",
            "geography(OGC:CRS84, spherical)",
        ] {
            assert_eq!(text.parse::<Primitive>().unwrap().to_string(), text);
        }
        assert_eq!("decimal(9,2)".parse::<Primitive>().unwrap().to_string(), "decimal(9, 2)");
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in
            ["", "integer", "decimal", "decimal(39,0)", "decimal(2,3)", "decimal(0,0)", "fixed", "fixed[x]", "geometryx", "list"]
        {
            assert!(text.parse::<Primitive>().is_err(), "{text}");
        }
    }
}
