//! What fields hold, where values of other systems have a usual other form.

use std::borrow::Cow;

use crate::{adapters::normal, canonical::country};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Date,
    Time,
    /// A country by three letters.
    Alpha3,
    /// A country by two letters.
    Alpha2,
    Gender,
    Phone,
    Document,
    Decimal,
    /// Anything else.
    Free,
}

impl Kind {
    /// What the field of that name holds.
    pub(super) fn of(name: &str) -> Self {
        match name.rsplit('.').next().unwrap_or_default() {
            "date_of_birth" | "date_of_issue" | "expiration_date" | "incorporation_date" => Self::Date,
            "created_at" | "expires_at" | "transaction_at" => Self::Time,
            "nationality" | "issuing_state" | "country" | "issuing_country" => Self::Alpha3,
            "country_code" => Self::Alpha2,
            "gender" => Self::Gender,
            "phone" => Self::Phone,
            "document_type" => Self::Document,
            "amount" | "amount_in_default_currency" => Self::Decimal,
            _ => Self::Free,
        }
    }

    /// A text in the form the field has; as it is where it does not look like what the field holds, so that
    /// the schema judges it.
    pub(super) fn tidy(self, text: &str) -> Cow<'_, str> {
        let borrowed = |tidied: Option<&'static str>| Cow::Borrowed(tidied.unwrap_or(text));
        match self {
            Self::Date => Cow::Borrowed(normal::date(text).unwrap_or(text)),
            Self::Time => normal::timestamp(text).map_or(Cow::Borrowed(text), Cow::Owned),
            Self::Alpha3 => borrowed(normal::country(text)),
            Self::Alpha2 => borrowed(normal::country(text).and_then(country::parse_alpha2)),
            Self::Gender => borrowed(Some(normal::gender(text)).filter(|letter| *letter != "U")),
            Self::Phone => Cow::Owned(normal::phone(text)),
            Self::Document => borrowed(normal::document(text).map(|document| document.as_str())),
            Self::Decimal => normal::decimal(text),
            Self::Free => Cow::Borrowed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{canonical::schema_of, domain::import::ImportType};

    #[test]
    fn every_kind_is_met_in_a_schema_and_tidies() {
        let schemas = ImportType::ALL.iter().map(|import_type| schema_of(*import_type));
        let names: Vec<_> = schemas.flat_map(|schema| schema.fields).map(|field| field.name).collect();
        for (name, text, tidied) in [
            ("date_of_birth", "1990-01-02T00:00:00Z", "1990-01-02"),
            ("subject.date_of_birth", "02/01/1990", "02/01/1990"),
            ("incorporation_date", "1990-01-02", "1990-01-02"),
            ("transaction_at", "2024-02-06 10:15:42", "2024-02-06T10:15:42Z"),
            ("expires_at", "soon", "soon"),
            ("issuing_state", "es", "ESP"),
            ("subject.address.country", "Spain", "Spain"),
            ("country_code", "ESP", "ES"),
            ("gender", "female", "F"),
            ("gender", "X", "X"),
            ("phone", "(+34) 600-000", "+34600000"),
            ("document_type", "DRIVERS_LICENSE", "DL"),
            ("transaction_details.amount", "1.5e3", "1500"),
            ("address", "a  b", "a  b"),
        ] {
            assert!(names.contains(&name), "{name}");
            assert_eq!(Kind::of(name).tidy(text), tidied, "{name}");
        }
    }
}
