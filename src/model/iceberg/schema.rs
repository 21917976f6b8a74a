//! Schemas: a struct of fields with ids.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::types::Nested;
use super::{Extra, Field, Primitive, Type};
use crate::model::{Error, Result};

/// A schema (the table specification, "Schemas").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Schema {
    /// Always `struct`.
    #[serde(rename = "type", default)]
    #[schema(value_type = Option<String>)]
    tag: StructTag,
    /// Its id in the table's list of schemas.
    #[serde(default)]
    pub schema_id: i32,
    /// The fields that identify a row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identifier_field_ids: Vec<i32>,
    /// The columns.
    pub fields: Vec<Field>,
    /// Whatever else it came with.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum StructTag {
    #[default]
    #[serde(rename = "struct")]
    Struct,
}

/// What is known of one field when all are looked at in turn.
pub struct Visited<'a> {
    /// The field's id.
    pub id: i32,
    /// The names from the top, joined by dots (`element`, `key` and `value` for the inside of lists and maps).
    pub path: String,
    /// Its type.
    pub r#type: &'a Type,
    /// Whether it and everything around it is required.
    pub required: bool,
    /// Whether a list or map is around it.
    pub repeated: bool,
}

impl Schema {
    /// Every field, also the nested ones, outermost first.
    #[must_use]
    pub fn visit(&self) -> Vec<Visited<'_>> {
        let mut found = Vec::new();
        visit_struct(&self.fields, "", true, false, &mut found);
        found
    }

    /// The highest field id, 0 without fields.
    #[must_use]
    pub fn highest_field_id(&self) -> i32 {
        self.visit().iter().map(|field| field.id).max().unwrap_or(0)
    }

    /// The types of all fields by id.
    #[must_use]
    pub fn types_by_id(&self) -> BTreeMap<i32, &Type> {
        self.visit().into_iter().map(|field| (field.id, field.r#type)).collect()
    }

    /// The id of a top-level column.
    #[must_use]
    pub fn column_id(&self, name: &str) -> Option<i32> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.id)
    }

    /// Whether it says the same as `other`, ids of the schemas apart.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.fields == other.fields
            && self.identifier_field_ids.iter().collect::<HashSet<_>>()
                == other.identifier_field_ids.iter().collect::<HashSet<_>>()
    }

    /// Checks what the specification demands of a schema in a table of `format_version`.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] with the first thing that is wrong.
    pub fn check(&self, format_version: u8) -> Result<()> {
        check_names(&self.fields)?;
        let fields = self.visit();
        let mut ids = HashSet::new();
        for field in &fields {
            if field.id < 0 {
                return Err(Error::invalid(format!("Invalid schema: field {} has the negative id {}", field.path, field.id)));
            }
            if !ids.insert(field.id) {
                return Err(Error::invalid(format!("Invalid schema: multiple fields have the id {}", field.id)));
            }
            let Type::Primitive(primitive) = field.r#type else { continue };
            if primitive.format_version_min() > format_version {
                return Err(Error::invalid(format!(
                    "Invalid schema for v{format_version}: {} is of type {primitive}, which needs v{}",
                    field.path,
                    primitive.format_version_min()
                )));
            }
            if *primitive == Primitive::Unknown && field.required {
                return Err(Error::invalid(format!("Invalid schema: {} is of type unknown and must be optional", field.path)));
            }
        }
        self.check_identifier(&fields)
    }

    fn check_identifier(&self, fields: &[Visited<'_>]) -> Result<()> {
        for id in &self.identifier_field_ids {
            let field = fields
                .iter()
                .find(|field| field.id == *id)
                .ok_or_else(|| Error::invalid(format!("Cannot add field {id} as an identifier field: not in the schema")))?;
            let wrong = |why: &str| Err(Error::invalid(format!("Cannot add field {} as an identifier field: {why}", field.path)));
            match field.r#type {
                Type::Nested(_) => return wrong("not a primitive type field"),
                Type::Primitive(Primitive::Float | Primitive::Double) => return wrong("must not be float or double"),
                Type::Primitive(_) if field.repeated => return wrong("must not be inside a list or map"),
                Type::Primitive(_) if !field.required => return wrong("not a required field"),
                Type::Primitive(_) => {}
            }
        }
        Ok(())
    }

    /// Gives every field a new id, from 1 on: all fields of a struct before what is inside them. Returns old id to new.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] when two fields had one id (then nothing could refer to either).
    pub fn assign_fresh_ids(&mut self) -> Result<BTreeMap<i32, i32>> {
        let mut fresh = FreshIds::default();
        fresh.fields(&mut self.fields);
        if fresh.duplicate {
            return Err(Error::invalid("Invalid schema: multiple fields have the same id"));
        }
        for id in &mut self.identifier_field_ids {
            *id = *fresh
                .ids
                .get(id)
                .ok_or_else(|| Error::invalid(format!("Cannot add field {id} as an identifier field: not in the schema")))?;
        }
        Ok(fresh.ids)
    }
}

fn visit_struct<'a>(fields: &'a [Field], path: &str, required: bool, repeated: bool, found: &mut Vec<Visited<'a>>) {
    for field in fields {
        let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
        visit_field(field.id, path, &field.r#type, required && field.required, repeated, found);
    }
}

fn visit_field<'a>(id: i32, path: String, r#type: &'a Type, required: bool, repeated: bool, found: &mut Vec<Visited<'a>>) {
    found.push(Visited { id, path: path.clone(), r#type, required, repeated });
    let Type::Nested(nested) = r#type else { return };
    match &**nested {
        Nested::Struct { fields } => visit_struct(fields, &path, required, repeated, found),
        Nested::List { element_id, element, element_required } => {
            visit_field(*element_id, format!("{path}.element"), element, required && *element_required, true, found);
        }
        Nested::Map { key_id, key, value_id, value, value_required } => {
            visit_field(*key_id, format!("{path}.key"), key, required, true, found);
            visit_field(*value_id, format!("{path}.value"), value, required && *value_required, true, found);
        }
    }
}

fn check_names(fields: &[Field]) -> Result<()> {
    let mut names = HashSet::new();
    for field in fields {
        if !names.insert(field.name.as_str()) {
            return Err(Error::invalid(format!("Invalid schema: multiple fields have the name {}", field.name)));
        }
        check_nested_names(&field.r#type)?;
    }
    Ok(())
}

fn check_nested_names(r#type: &Type) -> Result<()> {
    let Type::Nested(nested) = r#type else { return Ok(()) };
    match &**nested {
        Nested::Struct { fields } => check_names(fields),
        Nested::List { element, .. } => check_nested_names(element),
        Nested::Map { key, value, .. } => check_nested_names(key).and_then(|()| check_nested_names(value)),
    }
}

#[derive(Default)]
struct FreshIds {
    ids: BTreeMap<i32, i32>,
    duplicate: bool,
}

impl FreshIds {
    fn next(&mut self, id: &mut i32) {
        let fresh = i32::try_from(self.ids.len() + 1).unwrap_or(i32::MAX);
        self.duplicate |= self.ids.insert(*id, fresh).is_some();
        *id = fresh;
    }

    fn fields(&mut self, fields: &mut [Field]) {
        for field in &mut *fields {
            self.next(&mut field.id);
        }
        for field in fields {
            self.inside(&mut field.r#type);
        }
    }

    fn inside(&mut self, r#type: &mut Type) {
        let Type::Nested(nested) = r#type else { return };
        match &mut **nested {
            Nested::Struct { fields } => self.fields(fields),
            Nested::List { element_id, element, .. } => {
                self.next(element_id);
                self.inside(element);
            }
            Nested::Map { key_id, key, value_id, value, .. } => {
                self.next(key_id);
                self.next(value_id);
                self.inside(key);
                self.inside(value);
            }
        }
    }
}
