//! Business verifications (contract §2.2).

use super::{
    party,
    reader::{Reader, TEXT_CHARS},
};
use crate::canonical::{
    business_verification::{
        BusinessField, BusinessVerification, RegistryStatus, RiskLevel, VerificationStatus,
    },
    cell::{Cell, Value},
    country, decimal,
    object_writer::ObjectWriter,
    scalar,
    status::SessionStatus,
};

/// Reads a business verification; what has no column is written to `details` first.
pub(super) fn read(reader: &mut Reader<'_>, details: &mut String) -> BusinessVerification {
    let mut record = BusinessVerification::default();
    let mut writer = ObjectWriter::new(details);
    for &cell in reader.cells {
        read_field(&mut record, reader, cell, &mut writer);
    }
    writer.close();
    record.details = (!details.is_empty()).then(|| reader.arena.push(details));
    reader.require(!record.external_id.is_empty(), BusinessField::ExternalId.id());
    reader.require(!record.company_name.is_empty(), BusinessField::CompanyName.id());
    record
}

fn read_field(
    record: &mut BusinessVerification,
    reader: &mut Reader<'_>,
    cell: Cell,
    details: &mut ObjectWriter<'_>,
) {
    use BusinessField as F;
    match F::of(cell.field) {
        F::ExternalId => record.external_id = reader.text(cell, TEXT_CHARS).unwrap_or_default(),
        F::Provider => record.provider = reader.provider(cell),
        F::VendorData => record.vendor_data = reader.text(cell, TEXT_CHARS),
        F::Status => record.status = reader.word(cell, SessionStatus::parse),
        F::CreatedAt => record.created_at = reader.past_timestamp(cell),
        F::CompanyName => record.company_name = reader.text(cell, TEXT_CHARS).unwrap_or_default(),
        F::RegistrationNumber => record.registration_number = reader.text(cell, 100),
        F::CountryCode => record.country_code = reader.word(cell, country::parse_alpha2),
        F::Metadata => record.metadata = reader.object(cell),
        F::IncorporationDate => {
            if reader.past_date(cell).is_some() {
                keep(reader, cell, details);
            }
        }
        F::RegistryStatus => word(reader.word(cell, find_registry_status), cell, reader, details),
        F::VerificationStatus => word(
            reader.word(cell, |word| find(VerificationStatus::ALL, VerificationStatus::as_str, word)),
            cell,
            reader,
            details,
        ),
        F::RiskLevel => {
            let level = reader.word(cell, |word| find(RiskLevel::ALL, RiskLevel::as_str, word));
            word(level, cell, reader, details);
        }
        F::RegisteredCapitalAmount => {
            if let Some(amount) = reader.decimal(cell, decimal::CAPITAL) {
                details.text(reader.schema.spec(cell.field).name, reader.arena.get(amount));
            }
        }
        F::Tags | F::AlternativeNames => {
            if let Some(list) = reader.tags(cell) {
                details.raw(reader.schema.spec(cell.field).name, reader.arena.get(list));
            }
        }
        F::Officers => json(party::officers(reader, cell), cell, reader, details),
        F::BeneficialOwners => json(party::beneficial_owners(reader, cell), cell, reader, details),
        F::Documents => json(party::documents(reader, cell), cell, reader, details),
        F::Addresses | F::Industries => {
            if let Some(list) = reader.objects(cell) {
                details.raw(reader.schema.spec(cell.field).name, reader.arena.get(list));
            }
        }
        _ => read_text(reader, cell, details),
    }
}

/// Fields that are texts, with their longest length.
fn read_text(reader: &mut Reader<'_>, cell: Cell, details: &mut ObjectWriter<'_>) {
    use BusinessField as F;
    let text = match F::of(cell.field) {
        F::Region => reader.text(cell, 10),
        F::CompanyType | F::TaxNumber | F::RegisteredCapital => reader.text(cell, 100),
        F::LegalEntityIdentifier => reader.text(cell, 50),
        F::VatNumber => reader.text(cell, 64),
        F::Website => reader.text(cell, 500),
        F::NatureOfBusiness | F::RegisteredAddress => reader.text(cell, 2_000),
        F::Email => reader.email(cell),
        F::Phone => reader.shaped(cell, scalar::is_loose_phone, "is not a phone number of 7 to 15 digits"),
        F::RegisteredCapitalCurrency => {
            reader.shaped(cell, scalar::is_currency_code, "is not a currency code of three letters")
        }
        _ => reader.text(cell, TEXT_CHARS),
    };
    if let Some(text) = text {
        details.text(reader.schema.spec(cell.field).name, reader.arena.get(text));
    }
}

/// Keeps a cell's text as it is.
fn keep(reader: &Reader<'_>, cell: Cell, details: &mut ObjectWriter<'_>) {
    if let Value::Text(text) = cell.value {
        details.text(reader.schema.spec(cell.field).name, reader.arena.get(text));
    }
}

fn word(word: Option<&'static str>, cell: Cell, reader: &Reader<'_>, details: &mut ObjectWriter<'_>) {
    if let Some(word) = word {
        details.word(reader.schema.spec(cell.field).name, word);
    }
}

fn json(json: Option<String>, cell: Cell, reader: &Reader<'_>, details: &mut ObjectWriter<'_>) {
    if let Some(json) = json {
        details.raw(reader.schema.spec(cell.field).name, &json);
    }
}

/// Finds a word of a closed set in any case.
fn find<T: Copy>(all: &[T], as_str: impl Fn(T) -> &'static str, word: &str) -> Option<&'static str> {
    all.iter().map(|value| as_str(*value)).find(|known| known.eq_ignore_ascii_case(word))
}

fn find_registry_status(word: &str) -> Option<&'static str> {
    let spaced = word.replace(['_', '-'], " ");
    find(RegistryStatus::ALL, RegistryStatus::as_str, &spaced)
}
