//! The fields of a record kind: what a source may call them and how their values are written.

use std::fmt;

/// A field, by its place in its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldId(pub u8);

/// How the value of a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As a text or a number.
    Text,
    /// As an object or a list; in a CSV cell as JSON text.
    Json,
    /// As any JSON; in a CSV cell as JSON text, or as plain text that is none.
    Any,
}

/// Some of a schema's fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FieldSet(u128);

impl FieldSet {
    /// Most fields that a schema may have.
    pub const FIELDS: usize = u128::BITS as usize;

    /// Adds a field; tells whether it is new.
    pub const fn insert(&mut self, field: FieldId) -> bool {
        let is_new = !self.contains(field);
        self.0 |= 1 << field.0;
        is_new
    }

    /// Whether a field is among them.
    pub const fn contains(self, field: FieldId) -> bool {
        self.0 & 1 << field.0 != 0
    }
}

/// What is known of a field.
#[derive(Debug)]
pub struct FieldSpec {
    /// Its name in NDJSON; a path with dots where it stands in an inner object.
    pub name: &'static str,
    /// Its name in a CSV header.
    pub column: &'static str,
    /// How its value is written.
    pub form: Form,
    /// Whether it holds personal data, which is masked where it is shown.
    pub sensitive: bool,
}

/// The fields of a record kind, in the order of the contract's template.
pub struct Schema {
    /// Every field.
    pub fields: &'static [FieldSpec],
    /// Paths of inner objects whose members are fields of their own.
    pub groups: &'static [&'static str],
    /// Fields a CSV header must name: one of each list.
    pub required: &'static [&'static [FieldId]],
    /// Fields that tell a row's key, the first that has a value.
    pub keys: &'static [FieldId],
    /// The field a name stands for, in any of its spellings.
    pub find: fn(&str) -> Option<FieldId>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("fields", &self.fields.len()).finish_non_exhaustive()
    }
}

impl Schema {
    /// What is known of a field of this schema.
    pub fn spec(&self, field: FieldId) -> &'static FieldSpec {
        &self.fields[usize::from(field.0)]
    }

    /// Whether no record can do without the field of that name. A header may lack `transaction_at`: then
    /// each row misses it.
    pub fn requires(&self, name: &str) -> bool {
        name == "transaction_at"
            || self.required.iter().copied().flatten().any(|field| self.spec(*field).name == name)
    }

    /// The field of a CSV column, or of a key: blanks around the name and its case do not count.
    pub fn find_column(&self, column: &str) -> Option<FieldId> {
        // U+00A0 and U+FEFF are what spreadsheets leave behind; `trim` takes only the first.
        let name = column.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        (self.find)(&name.to_lowercase())
    }
}

/// Makes the field enum of a record kind and its schema. A field is
/// `Variant = "name" / "column" | "alias" : Json ! sensitive`, all but the name where it applies.
macro_rules! schema {
    (
        $(#[$doc:meta])* $fields:ident, $schema:ident,
        required $([$($required:ident)|+])*, keys [$($key:ident),+], groups [$($group:literal),*],
        $($variant:ident = $name:literal $(/ $column:literal)? $(| $alias:literal)* $(: $form:ident)? $(! $sensitive:ident)?),+ $(,)?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $fields { $(#[doc = concat!("`", $name, "`.")] $variant),+ }

        impl $fields {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The field of this schema with that id.
            pub fn of(id: $crate::canonical::schema::FieldId) -> Self {
                Self::ALL[usize::from(id.0)]
            }

            /// Its id in the schema.
            pub const fn id(self) -> $crate::canonical::schema::FieldId {
                $crate::canonical::schema::FieldId(self as u8)
            }
        }

        #[doc = concat!("Schema of [`", stringify!($fields), "`].")]
        pub static $schema: $crate::canonical::schema::Schema = {
            use $crate::canonical::schema::{FieldId, FieldSpec, Form, Schema};
            const FIELDS: &[FieldSpec] = &[$({
                let (name, column, form, sensitive) = ($name, $name, Form::Text, false);
                $(let column = { let _ = column; $column };)?
                $(let form = { let _ = form; Form::$form };)?
                $(let sensitive = { let _ = (sensitive, stringify!($sensitive)); true };)?
                FieldSpec { name, column, form, sensitive }
            }),+];
            fn find(name: &str) -> Option<FieldId> {
                match name { $($name $(| $column)? $(| $alias)* => Some($fields::$variant.id()),)+ _ => None }
            }
            Schema {
                fields: FIELDS,
                groups: &[$($group),*],
                required: &[$(&[$($fields::$required.id()),+]),*],
                keys: &[$($fields::$key.id()),+],
                find,
            }
        };
    };
}
pub(crate) use schema;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::schema_of;
    use crate::domain::import::ImportType;

    #[test]
    fn every_spelling_of_a_field_finds_it() {
        for &import_type in ImportType::ALL {
            let schema = schema_of(import_type);
            assert!(schema.fields.len() < usize::from(u8::MAX));
            for (at, field) in schema.fields.iter().enumerate() {
                let id = Some(FieldId(at as u8));
                assert_eq!((schema.find)(field.name), id, "{}", field.name);
                assert_eq!(schema.find_column(&format!(" {}\u{a0}", field.column.to_uppercase())), id);
                // The members of a group are found under its path.
                if let Some((group, _)) = field.name.rsplit_once('.') {
                    assert!(schema.groups.contains(&group), "{group}");
                }
            }
        }
    }
}
