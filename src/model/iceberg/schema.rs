//! Schemas: a struct of fields with ids.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::types::Nested;
use super::{Extra, Field, Primitive, Type};
use crate::model::{Error, Result};

/// What the full names of a schema's fields may have together.
const PATHS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The first format whose readers know initial defaults.
const DEFAULTS_FORMAT_VERSION_MIN: u8 = 3;

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
    /// The field, unless it is the inside of a list or map.
    pub field: Option<&'a Field>,
    /// Whether it may be null where what is around it is not.
    pub optional: bool,
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
        self.check_size()?;
        let fields = self.visit();
        let mut ids = HashSet::new();
        let mut names = HashSet::new();
        for field in &fields {
            if field.id < 0 {
                return Err(Error::invalid(format!("Invalid schema: field {} has the negative id {}", field.path, field.id)));
            }
            if !ids.insert(field.id) {
                return Err(Error::invalid(format!("Invalid schema: multiple fields have the id {}", field.id)));
            }
            // Readers look columns up by their full names: a column `a.b` and a column `b` in a struct `a` are one to them.
            if !names.insert(field.path.as_str()) {
                return Err(Error::invalid(format!("Invalid schema: multiple fields have the name {}", field.path)));
            }
            check_defaults(field, format_version)?;
            let Type::Primitive(primitive) = field.r#type else { continue };
            if primitive.format_version_min() > format_version {
                return Err(Error::invalid(format!(
                    "Invalid schema for v{format_version}: {} is of type {primitive}, which needs v{}",
                    field.path,
                    primitive.format_version_min()
                )));
            }
            if *primitive == Primitive::Unknown && !field.optional {
                return Err(Error::invalid(format!("Invalid schema: {} is of type unknown and must be optional", field.path)));
            }
        }
        self.check_identifier(&fields)
    }

    /// Refuses a schema whose columns' full names, each with those of all around it, would take more memory than they are worth.
    ///
    /// # Errors
    /// [`crate::model::Kind::Invalid`] when they do.
    pub fn check_size(&self) -> Result<()> {
        if path_bytes(&self.fields, 0) > PATHS_BYTES_MAX {
            return Err(Error::invalid(format!(
                "Invalid schema: the full names of its fields have more than {PATHS_BYTES_MAX} bytes"
            )));
        }
        Ok(())
    }

    fn check_identifier(&self, fields: &[Visited<'_>]) -> Result<()> {
        for id in &self.identifier_field_ids {
            let field = fields
                .iter()
                .find(|field| field.id == *id)
                .ok_or_else(|| Error::invalid(format!("Cannot add field {id} as an identifier field: not in the schema")))?;
            let wrong = |why: &str| Err(Error::invalid(format!("Cannot add field {} as an identifier field: {why}", field.path)));
            match field.r#type {
                Type::Nested(_) | Type::Primitive(Primitive::Variant) => return wrong("not a primitive type field"),
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

/// Rows written before a column was added read its initial default; readers from before format 3 would read null. The write default
/// is the writers' affair, whatever the format. Types that have no default values are null by default.
fn check_defaults(visited: &Visited<'_>, format_version: u8) -> Result<()> {
    let Some(field) = visited.field else { return Ok(()) };
    if let Some(value) = &field.initial_default
        && format_version < DEFAULTS_FORMAT_VERSION_MIN
    {
        return Err(Error::invalid(format!(
            "Invalid schema for v{format_version}: Invalid initial default for {}: non-null default ({value}) is not supported until \
             v{DEFAULTS_FORMAT_VERSION_MIN}",
            visited.path
        )));
    }
    let none_allowed = matches!(
        visited.r#type,
        Type::Primitive(Primitive::Unknown | Primitive::Variant | Primitive::Geometry(_) | Primitive::Geography(_))
    );
    if none_allowed && (field.initial_default.is_some() || field.write_default.is_some()) {
        return Err(Error::invalid(format!("Invalid schema: {} is of a type that must default to null", visited.path)));
    }
    Ok(())
}

/// The bytes of the full names of these fields and all inside them, where those around them have `before`.
fn path_bytes(fields: &[Field], before: usize) -> usize {
    fields.iter().fold(0, |sum, field| {
        let path = before.saturating_add(field.name.len() + 1);
        sum.saturating_add(path).saturating_add(path_bytes_inside(&field.r#type, path))
    })
}

fn path_bytes_inside(r#type: &Type, path: usize) -> usize {
    let Type::Nested(nested) = r#type else { return 0 };
    let inside = path.saturating_add("element.".len());
    match &**nested {
        Nested::Struct { fields, .. } => path_bytes(fields, path),
        Nested::List { element, .. } => inside.saturating_add(path_bytes_inside(element, inside)),
        Nested::Map { key, value, .. } => {
            let both = path_bytes_inside(key, inside).saturating_add(path_bytes_inside(value, inside));
            both.saturating_add(2 * inside)
        }
    }
}

fn visit_struct<'a>(fields: &'a [Field], path: &str, required: bool, repeated: bool, found: &mut Vec<Visited<'a>>) {
    for field in fields {
        let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
        let visited = Visited {
            id: field.id,
            path,
            r#type: &field.r#type,
            field: Some(field),
            optional: !field.required,
            required: required && field.required,
            repeated,
        };
        visit_field(visited, found);
    }
}

fn visit_field<'a>(visited: Visited<'a>, found: &mut Vec<Visited<'a>>) {
    let Visited { r#type, required, repeated, .. } = visited;
    let path = visited.path.clone();
    found.push(visited);
    let Type::Nested(nested) = r#type else { return };
    let inside = |id: &i32, name: &str, r#type: &'a Type, optional: bool| Visited {
        id: *id,
        path: format!("{path}.{name}"),
        r#type,
        field: None,
        optional,
        required: required && !optional,
        repeated: true,
    };
    match &**nested {
        Nested::Struct { fields, .. } => visit_struct(fields, &path, required, repeated, found),
        Nested::List { element_id, element, element_required, .. } => {
            visit_field(inside(element_id, "element", element, !element_required), found);
        }
        Nested::Map { key_id, key, value_id, value, value_required, .. } => {
            visit_field(inside(key_id, "key", key, false), found);
            visit_field(inside(value_id, "value", value, !value_required), found);
        }
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
            Nested::Struct { fields, .. } => self.fields(fields),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fresh_ids_number_the_columns_before_what_is_inside_them() {
        let mut schema: Schema = serde_json::from_value(json!({"identifier-field-ids": [40], "fields": [
            {"id": 10, "name": "m", "required": false, "type": {
                "type": "map", "key-id": 11, "key": "string", "value-id": 12, "value-required": false,
                "value": {"type": "struct", "fields": [{"id": 13, "name": "x", "required": false, "type": "int"}]},
            }},
            {"id": 20, "name": "l", "required": false, "type": {
                "type": "list", "element-id": 21, "element": "string", "element-required": false,
            }},
            {"id": 40, "name": "id", "required": true, "type": "long"},
        ]}))
        .unwrap();
        let fresh = schema.assign_fresh_ids().unwrap();
        assert_eq!(fresh, BTreeMap::from([(10, 1), (20, 2), (40, 3), (11, 4), (12, 5), (13, 6), (21, 7)]));
        let paths: Vec<_> = schema.visit().into_iter().map(|field| (field.id, field.path)).collect();
        let expected = [(1, "m"), (4, "m.key"), (5, "m.value"), (6, "m.value.x"), (2, "l"), (7, "l.element"), (3, "id")];
        assert_eq!(paths, expected.map(|(id, path)| (id, path.to_owned())));
        assert_eq!((schema.identifier_field_ids, schema.tag), (vec![3], StructTag::Struct));
    }

    #[test]
    fn ids_that_stand_for_two_fields_or_for_none_cannot_be_renewed() {
        let twice = json!({"fields": [
            {"id": 1, "name": "a", "required": false, "type": "int"}, {"id": 1, "name": "b", "required": false, "type": "int"},
        ]});
        let none = json!({"fields": [], "identifier-field-ids": [1]});
        for schema in [twice, none] {
            assert!(serde_json::from_value::<Schema>(schema).unwrap().assign_fresh_ids().is_err());
        }
    }
}
