//! A transaction as any provider tells of it, and how it becomes cells.

use std::borrow::Cow;

use super::{
    draft::Draft,
    metadata::Metadata,
    normal::{self, fold},
    person::Pick,
};
use crate::canonical::{
    schema::FieldId,
    transaction::{
        Direction, PaymentMethodType, TransactionCategory, TransactionField as F, TransactionStatus,
    },
};

/// A transaction in the provider's own forms; writing it brings each value into the contract's.
#[derive(Debug, Default)]
pub(super) struct Payment<'a> {
    pub(super) external_id: Pick<'a>,
    pub(super) transaction_id: Pick<'a>,
    pub(super) at: Pick<'a>,
    pub(super) category: Option<TransactionCategory>,
    pub(super) action_type: Pick<'a>,
    pub(super) direction: Option<Direction>,
    pub(super) amount: Pick<'a>,
    pub(super) currency: Pick<'a>,
    pub(super) currency_kind: Pick<'a>,
    pub(super) amount_in_default: Pick<'a>,
    pub(super) default_currency: Pick<'a>,
    pub(super) details: Pick<'a>,
    pub(super) reference: Pick<'a>,
    pub(super) time_zone: Pick<'a>,
    pub(super) status: Option<TransactionStatus>,
    pub(super) source_status: Pick<'a>,
    pub(super) score: Pick<'a>,
    pub(super) subject: Party<'a>,
    pub(super) counterparty: Party<'a>,
    /// A JSON list of objects.
    pub(super) results: Option<String>,
    /// A JSON object.
    pub(super) properties: Option<&'a str>,
    /// A JSON list of texts.
    pub(super) tags: Option<&'a str>,
}

/// A side of a transaction.
#[derive(Debug, Default)]
pub(super) struct Party<'a> {
    /// In the contract's word.
    pub(super) kind: Option<&'static str>,
    pub(super) vendor_data: Pick<'a>,
    pub(super) full_name: Pick<'a>,
    pub(super) first_name: Pick<'a>,
    pub(super) last_name: Pick<'a>,
    pub(super) date_of_birth: Pick<'a>,
    pub(super) country: Pick<'a>,
    pub(super) town: Pick<'a>,
    pub(super) state: Pick<'a>,
    pub(super) street: Pick<'a>,
    pub(super) post_code: Pick<'a>,
    pub(super) method: Pick<'a>,
    pub(super) account_id: Pick<'a>,
    pub(super) issuing_country: Pick<'a>,
    /// JSON objects.
    pub(super) institution: Option<&'a str>,
    pub(super) device: Option<&'a str>,
}

/// The contract's word for a way to pay.
fn method(word: &str) -> PaymentMethodType {
    match fold(word).as_str() {
        "bankcard" | "card" => PaymentMethodType::BankCard,
        "bankaccount" | "account" | "iban" => PaymentMethodType::BankAccount,
        "ewallet" => PaymentMethodType::EWallet,
        "crypto" | "cryptowallet" => PaymentMethodType::CryptoWallet,
        "unhostedwallet" => PaymentMethodType::UnhostedWallet,
        _ => PaymentMethodType::Other,
    }
}

impl Payment<'_> {
    /// Writes the record as cells; what it says beyond them goes to `metadata`.
    pub(super) fn write(self, mut metadata: Metadata, draft: &mut Draft<'_>) {
        let at = self.at.as_deref().map(|at| normal::timestamp(at).unwrap_or_else(|| at.to_owned()));
        let decimal = |amount: &Pick<'_>| amount.as_deref().map(|token| normal::decimal(token).into_owned());
        let (amount, in_default) = (decimal(&self.amount), decimal(&self.amount_in_default));
        for (field, text) in [
            (F::ExternalId, self.external_id.as_deref()),
            (F::TransactionId, self.transaction_id.as_deref()),
            (F::TransactionAt, at.as_deref()),
            (F::TransactionCategory, self.category.map(TransactionCategory::as_str)),
            (F::ActionType, self.action_type.as_deref()),
            (F::Direction, self.direction.map(Direction::as_str)),
            (F::Amount, amount.as_deref()),
            (F::Currency, self.currency.as_deref()),
            (F::CurrencyKind, self.currency_kind.as_deref()),
            (F::AmountInDefaultCurrency, in_default.as_deref()),
            (F::DefaultCurrency, self.default_currency.as_deref()),
            (F::PaymentDetails, self.details.as_deref()),
            (F::PaymentReferenceId, self.reference.as_deref()),
            (F::TimeZone, self.time_zone.as_deref()),
            (F::Status, self.status.map(TransactionStatus::as_str)),
            (F::Score, self.score.as_deref()),
        ] {
            put(draft, field.id(), text);
        }
        self.subject.write(0, draft);
        self.counterparty.write(F::CounterpartyEntityType as u8 - F::SubjectEntityType as u8, draft);
        for (field, json) in [
            (F::ProviderResults, self.results.as_deref()),
            (F::CustomProperties, self.properties),
            (F::Tags, self.tags),
        ] {
            if let Some(json) = json {
                draft.json(field.id(), json);
            }
        }
        metadata.text("source_status", self.source_status.as_deref());
        if let Some(metadata) = metadata.finish() {
            draft.made(F::Metadata.id(), &metadata);
        }
    }
}

impl Party<'_> {
    /// Writes the party into the fields of its side, which stand `offset` behind the subject's.
    fn write(&self, offset: u8, draft: &mut Draft<'_>) {
        let whole = normal::spaced([self.first_name.as_deref(), self.last_name.as_deref()]);
        let full_name = self.full_name.as_deref().or(whole.as_deref());
        let country = |text: &Pick<'_>| {
            text.as_deref().map(|text| normal::country(text).map_or_else(|| text.to_owned(), str::to_owned))
        };
        let (lives_in, issued_in) = (country(&self.country), country(&self.issuing_country));
        let of = |field: F| FieldId(field.id().0 + offset);
        for (field, text) in [
            (F::SubjectEntityType, self.kind),
            (F::SubjectVendorData, self.vendor_data.as_deref()),
            (F::SubjectFullName, full_name),
            (F::SubjectFirstName, self.first_name.as_deref()),
            (F::SubjectLastName, self.last_name.as_deref()),
            (F::SubjectDateOfBirth, self.date_of_birth.as_deref()),
            (F::SubjectCountry, lives_in.as_deref()),
            (F::SubjectTown, self.town.as_deref()),
            (F::SubjectState, self.state.as_deref()),
            (F::SubjectStreet, self.street.as_deref()),
            (F::SubjectPostCode, self.post_code.as_deref()),
            (F::SubjectMethodType, self.method.as_deref().map(|word| method(word).as_str())),
            (F::SubjectAccountId, self.account_id.as_deref()),
            (F::SubjectIssuingCountry, issued_in.as_deref()),
        ] {
            put(draft, of(field), text);
        }
        for (field, json) in
            [(F::SubjectInstitutionDetails, self.institution), (F::SubjectDeviceContext, self.device)]
        {
            if let Some(json) = json {
                draft.json(of(field), json);
            }
        }
    }
}

fn put(draft: &mut Draft<'_>, field: FieldId, text: Option<&str>) {
    if let Some(text) = text {
        draft.text(field, text);
    }
}

/// A whole number of 0 to 100, of a number with a fraction.
pub(super) fn score(token: &str) -> Option<Cow<'static, str>> {
    let number: f64 = token.parse().ok()?;
    (0.0..=100.0).contains(&number).then(|| Cow::Owned(format!("{number:.0}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_providers() {
        assert_eq!(method("bankAccount"), PaymentMethodType::BankAccount);
        assert_eq!(method("cheque"), PaymentMethodType::Other);
        assert_eq!(
            ["72", "72.6", "101", "-1", "x"].map(|token| score(token).map(Cow::into_owned)),
            [Some("72".to_owned()), Some("73".to_owned()), None, None, None]
        );
    }
}
