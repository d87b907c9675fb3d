//! Companies of Trulioo: transaction records of business products, whose lists are often texts of JSON.

use std::borrow::Cow;

use super::record::{self, Transaction};
use crate::{
    adapters::{
        company::{Company, Member},
        draft::Draft,
        metadata::Metadata,
        normal::fold,
        person::{no_id, no_verdict},
        registry::Export,
        shape::{Leaf, List, Raw, shape},
    },
    domain::issue::Issue,
};

shape! {
    /// A transaction, as far as sources tell of a company.
    struct Told { record: ToldRecord = "Record" }

    /// Its outcome.
    struct ToldRecord { sources: List<ToldSource> = "DatasourceResults" }

    /// A source of data.
    struct ToldSource { appended: List<ToldField> = "AppendedFields" }

    /// What it tells: a text, a list, or a text of a list.
    struct ToldField { name: Leaf = "FieldName", data: Raw = "Data" }

    /// Somebody who runs a company, or owns a part of it.
    struct Somebody {
        name: Leaf = "FullName" | "Name",
        designation: Leaf = "Designation" | "Position",
        kind: Leaf = "BeneficiaryType",
    }
}

impl<'a> Told<'a> {
    fn raw(&self, name: &str) -> Raw<'a> {
        let fields = self.record.sources.iter().flat_map(|source| source.appended.iter());
        let of_name = fields.filter(|field| field.name.get() == Some(name));
        of_name.map(|field| field.data).find(|data| data.get().is_some()).unwrap_or_default()
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.raw(name).text()
    }

    /// Those a list names; one that was cut off names nobody.
    fn people(&self, name: &str) -> Vec<Member<'static>> {
        let raw = self.raw(name);
        let encoded = raw.encoded();
        let told = raw.decoded(&encoded);
        let is_list = |raw: &Raw<'_>| raw.get().is_some_and(|text| text.starts_with('['));
        let list = [told].into_iter().chain(told.top().members().map(|(_, raw)| raw)).find(is_list);
        let people: List<'_, Somebody<'_>> = list.unwrap_or_default().read();
        let owned = |leaf: &Leaf<'_>| leaf.get().map(|text| Cow::Owned(text.to_owned()));
        let member = |one: &Somebody<'_>| Member {
            name: owned(&one.name),
            designation: owned(&one.designation),
            roles: owned(&one.designation).into_iter().collect(),
            is_company: one.kind.get().map(fold).as_deref() == Some("company"),
            ..Member::default()
        };
        people.iter().map(member).collect()
    }
}

/// Reads a company.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let transaction: Transaction<'_> = export.record.read();
    let told: Told<'_> = export.record.read();
    let verdict = record::verdict_of(&transaction);
    let status = verdict.as_ref().map(|verdict| draft.judge(verdict));
    let mut metadata = Metadata::default();
    record::tell(&transaction, &mut metadata);
    metadata.text("business_status", told.text("BusinessStatus").as_deref());
    let input = |names: &[&str]| transaction.input(names).map(Cow::Borrowed);
    let date = || {
        let part = |name: &str| told.text(name).or_else(|| input(&[name]));
        let (year, month) = (part("YearOfIncorporation")?, part("MonthOfIncorporation")?);
        Some(format!("{year:0>4}-{month:0>2}-{:0>2}", part("DayOfIncorporation")?))
    };
    // A state may stand behind the country, as in `US-DE`.
    let place = input(&["JurisdictionOfIncorporation", "Country"]).or_else(|| transaction.country.pick());
    let country =
        place.as_deref().and_then(|place| place.split('-').next()).map(|code| Cow::Owned(code.to_owned()));
    let company = Company {
        external_id: transaction.id(),
        vendor_data: transaction.customer.pick(),
        status,
        source_status: verdict.map(|verdict| verdict.word),
        created_at: transaction.uploaded.pick(),
        completed_at: transaction.completed.pick(),
        name: told.text("BusinessName").or_else(|| input(&["BusinessName", "TradestyleName"])),
        registration_number: told
            .text("BusinessRegistrationNumber")
            .or_else(|| input(&["BusinessRegistrationNumber"])),
        country,
        kind: told.text("BusinessLegalForm"),
        incorporated_on: date().map(Cow::Owned),
        address: record::address(&transaction).map(Cow::Owned).or_else(|| told.text("Address1")),
        tax_number: input(&["TaxIDNumber"]),
        email: input(&["EmailAddress"]),
        phone: input(&["Telephone", "MobileNumber"]),
        officers: told.people("StandardizedDirectorsOfficers"),
        owners: told.people("StandardizedCompanyOwnershipHierarchy"),
        ..Company::default()
    };
    let result = match (&company.external_id, status) {
        (None, _) => Err(no_id("Record.TransactionRecordID")),
        (_, None) => Err(no_verdict("Record.RecordStatus and no Status")),
        _ => Ok(()),
    };
    company.write(metadata, draft);
    result
}
