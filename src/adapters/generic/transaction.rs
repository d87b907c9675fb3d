//! Transactions (contract §2.4): flat columns of a CSV, inner objects of NDJSON, one record.

mod attached;

use serde::Deserialize;

use super::reader::{Reader, TEXT_CHARS, missing};
use crate::{
    canonical::{
        arena::Text,
        cell::Cell,
        decimal,
        object_writer::ObjectWriter,
        party::{EntityType, Party},
        scalar,
        schema::FieldId,
        transaction::{
            CurrencyKind, Direction, PaymentMethodType, Severity, Transaction, TransactionCategory,
            TransactionField, TransactionStatus,
        },
    },
    domain::issue::{Issue, IssueCode},
};

/// Most characters of an id (contract §6).
const ID_CHARS: usize = 128;

/// Highest risk score.
const MAX_SCORE: i32 = 100;

use TransactionField as F;

/// Fields of the counterparty stand in the schema in the order of the subject's, this far behind.
const COUNTERPARTY: u8 = F::CounterpartyEntityType as u8 - F::SubjectEntityType as u8;

/// Reads a transaction; what has no column is written to `details` first.
pub(super) fn read(reader: &mut Reader<'_>, details: &mut String) -> Transaction {
    let cells = reader.cells;
    let mut record = Draft::default();
    let mut writer = ObjectWriter::new(details);
    let (before, rest) = split(cells, F::SubjectEntityType);
    let (subject, rest) = split(rest, F::CounterpartyEntityType);
    let (counterparty, rest) = split(rest, F::ProviderResults);
    for &cell in before {
        read_field(&mut record, reader, cell, &mut writer);
    }
    let mut party = Party::default();
    writer.object("subject", |out| read_party(&mut party, reader, subject, 0, out));
    record.subject = party;
    if !counterparty.is_empty() {
        let mut party = Party::default();
        writer.object("counterparty", |out| read_party(&mut party, reader, counterparty, COUNTERPARTY, out));
        record.counterparty = Some(party);
    }
    for &cell in rest {
        read_field(&mut record, reader, cell, &mut writer);
    }
    writer.close();
    let details = (!details.is_empty()).then(|| reader.arena.push(details));
    record.finish(reader, details)
}

/// Cells before a field, and those from it on.
fn split(cells: &[Cell], field: F) -> (&[Cell], &[Cell]) {
    cells.split_at(cells.partition_point(|cell| cell.field.0 < field.id().0))
}

/// A transaction whose mandatory fields may be missing yet.
#[derive(Default)]
struct Draft {
    external_id: Option<Text>,
    transaction_id: Option<Text>,
    provider: Option<Text>,
    transaction_at: Option<chrono::DateTime<chrono::Utc>>,
    category: Option<TransactionCategory>,
    action_type: Option<Text>,
    direction: Option<Direction>,
    amount: Option<Text>,
    currency: Option<Text>,
    status: Option<TransactionStatus>,
    score: i32,
    severity: Option<Severity>,
    subject: Party,
    counterparty: Option<Party>,
    metadata: Option<Text>,
}

impl Draft {
    /// Tells what is missing. A record that misses something is never written, so the stand-ins are not.
    fn finish(self, reader: &mut Reader<'_>, details: Option<Text>) -> Transaction {
        let key = self.external_id.or(self.transaction_id);
        if key.is_none() && !reader.issues.iter().any(|issue| issue.field.ends_with("_id")) {
            let is_null = [F::ExternalId, F::TransactionId].map(|id| reader.nulls.contains(id.id()));
            let (code, message) = missing(is_null.contains(&true), "must be given, or transaction_id");
            reader.issues.push(Issue::of_field(code, "external_id", message));
        }
        for (given, field) in [
            (self.transaction_at.is_some(), F::TransactionAt),
            (self.category.is_some(), F::TransactionCategory),
            (self.direction.is_some(), F::Direction),
            (self.amount.is_some(), F::Amount),
            (self.currency.is_some(), F::Currency),
            (self.subject.vendor_data.is_some(), F::SubjectVendorData),
            (self.subject.full_name.is_some(), F::SubjectFullName),
        ] {
            reader.require(given, field.id());
        }
        Transaction {
            external_id: key.unwrap_or_default(),
            provider: self.provider,
            txn_id: self.transaction_id.or(self.external_id).unwrap_or_default(),
            has_transaction_id: self.transaction_id.is_some(),
            transaction_at: self.transaction_at,
            category: self.category.unwrap_or(TransactionCategory::Finance),
            action_type: self.action_type,
            direction: self.direction.unwrap_or(Direction::Inbound),
            amount: self.amount.unwrap_or_default(),
            currency: self.currency.unwrap_or_default(),
            status: self.status.unwrap_or(TransactionStatus::Approved),
            score: self.score,
            severity: self.severity,
            subject: self.subject,
            counterparty: self.counterparty,
            details,
            metadata: self.metadata,
        }
    }
}

fn read_field(record: &mut Draft, reader: &mut Reader<'_>, cell: Cell, details: &mut ObjectWriter<'_>) {
    match F::of(cell.field) {
        F::ExternalId => record.external_id = reader.text(cell, ID_CHARS),
        F::TransactionId => record.transaction_id = reader.text(cell, ID_CHARS),
        F::Provider => record.provider = reader.provider(cell),
        F::TransactionAt => record.transaction_at = reader.past_timestamp(cell),
        F::TransactionCategory => record.category = reader.word(cell, TransactionCategory::parse),
        F::ActionType => record.action_type = reader.text(cell, TEXT_CHARS),
        F::Direction => record.direction = reader.word(cell, Direction::parse),
        F::Amount => record.amount = reader.decimal(cell, decimal::AMOUNT),
        F::Currency => record.currency = reader.text(cell, 16),
        F::Status => record.status = reader.word(cell, TransactionStatus::parse),
        F::Score => {
            let message = "is not a whole number from 0 to 100";
            record.score = reader.integer(cell, 0..=MAX_SCORE, message).unwrap_or_default();
        }
        F::Severity => record.severity = reader.word(cell, parse_severity),
        F::Metadata => record.metadata = reader.object(cell),
        F::TimeZone => {
            let zone = reader.shaped(cell, scalar::is_time_zone, "is not a time zone such as Europe/Madrid");
            text("time_zone", zone, reader, details);
        }
        F::CurrencyKind => {
            let parse = |word: &str| CurrencyKind::from_word(&word.to_ascii_lowercase());
            if let Some(kind) = reader.word(cell, parse) {
                details.word("currency_kind", kind.as_str());
            }
        }
        F::AmountInDefaultCurrency => {
            let amount = reader.decimal(cell, decimal::AMOUNT);
            text("amount_in_default_currency", amount, reader, details);
        }
        F::DefaultCurrency => text("default_currency", reader.text(cell, 16), reader, details),
        F::PaymentDetails => text("payment_details", reader.text(cell, 2_000), reader, details),
        F::PaymentReferenceId => {
            text("payment_reference_id", reader.text(cell, TEXT_CHARS), reader, details);
        }
        F::DecisionReasonCode => {
            text("decision_reason_code", reader.text(cell, TEXT_CHARS), reader, details);
        }
        F::DecisionReasonLabel => {
            text("decision_reason_label", reader.text(cell, 2_000), reader, details);
        }
        F::ProviderResults => {
            if let Some(results) = attached::provider_results(reader, cell) {
                details.raw("provider_results", &results);
            }
        }
        F::TravelRuleDetails => {
            raw("travel_rule_details", attached::travel_rule(reader, cell), reader, details);
        }
        F::NetworkSnapshot => {
            raw("network_snapshot", attached::network_snapshot(reader, cell), reader, details);
        }
        F::CustomProperties => raw("custom_properties", reader.object(cell), reader, details),
        F::Tags => raw("tags", reader.tags(cell), reader, details),
        _ => {}
    }
}

fn text(key: &str, value: Option<Text>, reader: &Reader<'_>, out: &mut ObjectWriter<'_>) {
    if let Some(value) = value {
        out.text(key, reader.arena.get(value));
    }
}

fn raw(key: &str, json: Option<Text>, reader: &Reader<'_>, out: &mut ObjectWriter<'_>) {
    if let Some(json) = json {
        out.raw(key, reader.arena.get(json));
    }
}

fn parse_severity(word: &str) -> Option<Severity> {
    Severity::ALL.iter().copied().find(|severity| severity.as_str().eq_ignore_ascii_case(word))
}

/// Reads the cells of a party, whose fields stand `offset` behind the subject's.
fn read_party(
    party: &mut Party,
    reader: &mut Reader<'_>,
    cells: &[Cell],
    offset: u8,
    out: &mut ObjectWriter<'_>,
) {
    let field = |cell: &Cell| F::of(FieldId(cell.field.0 - offset));
    let in_address = |field| {
        matches!(
            field,
            F::SubjectCountry
                | F::SubjectTown
                | F::SubjectState
                | F::SubjectStreet
                | F::SubjectPostCode
                | F::SubjectAddress
        )
    };
    let in_method =
        |field| matches!(field, F::SubjectMethodType | F::SubjectAccountId | F::SubjectIssuingCountry);
    for &cell in cells.iter().filter(|cell| !in_address(field(cell)) && !in_method(field(cell))) {
        match field(&cell) {
            F::SubjectEntityType => party.entity_type = reader.word(cell, EntityType::parse),
            F::SubjectVendorData => party.vendor_data = reader.text(cell, TEXT_CHARS),
            F::SubjectFullName => party.full_name = reader.text(cell, 512),
            F::SubjectFirstName => text("first_name", reader.text(cell, TEXT_CHARS), reader, out),
            F::SubjectLastName => text("last_name", reader.text(cell, TEXT_CHARS), reader, out),
            F::SubjectDateOfBirth => {
                if let Some(date) = reader.past_date(cell) {
                    out.word("date_of_birth", &date.to_string());
                }
            }
            F::SubjectInstitutionDetails => raw("institution_details", reader.object(cell), reader, out),
            F::SubjectDeviceContext => raw("device_context", reader.object(cell), reader, out),
            _ => {}
        }
    }
    out.object("address", |out| {
        for &cell in cells.iter().filter(|cell| in_address(field(cell))) {
            let (key, max) = match field(&cell) {
                F::SubjectCountry => {
                    party.country = reader.text(cell, 64);
                    text("country", party.country, reader, out);
                    continue;
                }
                F::SubjectTown => ("town", TEXT_CHARS),
                F::SubjectState => ("state", TEXT_CHARS),
                F::SubjectStreet => ("street", TEXT_CHARS),
                F::SubjectPostCode => ("post_code", 64),
                _ => {
                    read_address(party, reader, cell, out);
                    continue;
                }
            };
            text(key, reader.text(cell, max), reader, out);
        }
    });
    out.object("payment_method", |out| {
        for &cell in cells.iter().filter(|cell| in_method(field(cell))) {
            match field(&cell) {
                F::SubjectMethodType => {
                    if let Some(kind) = reader.word(cell, PaymentMethodType::parse) {
                        out.word("method_type", kind.as_str());
                    }
                }
                F::SubjectAccountId => text("account_id", reader.text(cell, TEXT_CHARS), reader, out),
                _ => text("issuing_country", reader.text(cell, 64), reader, out),
            }
        }
    });
}

/// An address in one CSV cell.
#[derive(Deserialize)]
struct Address {
    country: Option<String>,
    town: Option<String>,
    state: Option<String>,
    street: Option<String>,
    post_code: Option<String>,
}

fn read_address(party: &mut Party, reader: &mut Reader<'_>, cell: Cell, out: &mut ObjectWriter<'_>) {
    let Some(object) = reader.object(cell) else { return };
    let Ok(address) = serde_json::from_str::<Address>(reader.arena.get(object)) else {
        return reader.refuse(cell, IssueCode::WrongType, "must be an object of texts").unwrap_or_default();
    };
    for (key, value, max) in [
        ("country", address.country, 64),
        ("town", address.town, TEXT_CHARS),
        ("state", address.state, TEXT_CHARS),
        ("street", address.street, TEXT_CHARS),
        ("post_code", address.post_code, 64),
    ] {
        let Some(value) = value.as_deref().map(str::trim).filter(|value| !value.is_empty()) else { continue };
        if value.chars().count() > max {
            let message = format!("{key} has more than {max} characters");
            return reader.refuse(cell, IssueCode::TooLong, message).unwrap_or_default();
        }
        if key == "country" {
            if party.country.is_some() {
                continue;
            }
            party.country = Some(reader.arena.push(value));
        }
        out.text(key, value);
    }
}
