//! A company's verification as any provider tells of it, and how it becomes cells.

use std::borrow::Cow;

use super::{
    draft::Draft,
    metadata::Metadata,
    normal::{self, fold},
    person::Pick,
};
use crate::canonical::{
    business_verification::BusinessField as F,
    country,
    object_writer::{ObjectWriter, push_json_text},
    schema::FieldId,
    status::SessionStatus,
};
use crate::domain::issue::IssueCode;

/// A verification in the provider's own forms; writing it brings each value into the contract's.
#[derive(Debug, Default)]
pub(super) struct Company<'a> {
    pub(super) external_id: Pick<'a>,
    pub(super) vendor_data: Pick<'a>,
    pub(super) status: Option<SessionStatus>,
    pub(super) source_status: Pick<'a>,
    pub(super) created_at: Pick<'a>,
    pub(super) completed_at: Pick<'a>,
    pub(super) name: Pick<'a>,
    pub(super) registration_number: Pick<'a>,
    pub(super) country: Pick<'a>,
    pub(super) kind: Pick<'a>,
    pub(super) incorporated_on: Pick<'a>,
    pub(super) address: Pick<'a>,
    pub(super) tax_number: Pick<'a>,
    pub(super) website: Pick<'a>,
    pub(super) email: Pick<'a>,
    pub(super) phone: Pick<'a>,
    /// JSON lists of texts.
    pub(super) tags: Option<&'a str>,
    pub(super) alternative_names: Option<&'a str>,
    pub(super) officers: Vec<Member<'a>>,
    pub(super) owners: Vec<Member<'a>>,
}

/// Somebody who runs a company or owns a part of it.
#[derive(Debug, Default, Clone)]
pub(super) struct Member<'a> {
    pub(super) first_name: Pick<'a>,
    pub(super) last_name: Pick<'a>,
    /// The whole name, where the parts are absent.
    pub(super) name: Pick<'a>,
    pub(super) is_company: bool,
    pub(super) date_of_birth: Pick<'a>,
    pub(super) email: Pick<'a>,
    pub(super) designation: Pick<'a>,
    /// Roles in the provider's words.
    pub(super) roles: Vec<Cow<'a, str>>,
    /// Percent, with the digits it was written with.
    pub(super) share: Pick<'a>,
}

/// A role in the contract's spelling: `authorizedSignatory` is `authorized_signatory`.
fn role(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    for c in word.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        out.push(if matches!(c, ' ' | '-') { '_' } else { c.to_ascii_lowercase() });
    }
    out
}

impl Member<'_> {
    fn name(&self) -> Option<Cow<'_, str>> {
        let whole = normal::spaced([self.first_name.as_deref(), self.last_name.as_deref()]);
        whole.or_else(|| normal::spaced([self.name.as_deref()]))
    }

    /// The member as an owner; nothing of one without a name.
    fn owner(&self) -> Option<String> {
        let name = self.name()?;
        let mut json = String::new();
        let mut out = ObjectWriter::new(&mut json);
        out.text("name", &name);
        put(&mut out, "first_name", self.first_name.as_deref());
        put(&mut out, "last_name", self.last_name.as_deref());
        out.word("entity_type", if self.is_company { "company" } else { "person" });
        put(&mut out, "date_of_birth", self.date_of_birth.as_deref().and_then(normal::date));
        put(&mut out, "email", self.email.as_deref());
        put(&mut out, "designation", self.designation.as_deref());
        let mut roles = String::from("[");
        for word in &self.roles {
            if roles.len() > 1 {
                roles.push(',');
            }
            push_json_text(&mut roles, &role(word));
        }
        out.raw("roles", &(roles + "]"));
        let share =
            self.share.as_deref().filter(|share| share.bytes().all(|byte| b"0123456789.".contains(&byte)));
        put(&mut out, "ownership_min_shares", share);
        out.close();
        Some(json)
    }

    /// The member as an officer; nothing of one without a name.
    fn officer(&self) -> Option<String> {
        let name = self.name()?;
        let mut json = String::new();
        let mut out = ObjectWriter::new(&mut json);
        out.text("name", &name);
        if let Some(word) = self.roles.first() {
            out.text("role", &role(word));
        }
        put(&mut out, "designation", self.designation.as_deref());
        out.close();
        Some(json)
    }
}

/// Owners, and those who run the company or act for it; some are both.
pub(super) fn sorted(members: Vec<Member<'_>>) -> (Vec<Member<'_>>, Vec<Member<'_>>) {
    let (mut owners, mut officers) = (Vec::new(), Vec::new());
    for member in members {
        let owns = |role: &Cow<'_, str>| matches!(fold(role).as_str(), "ubo" | "shareholder" | "beneficiary");
        let is_owner = member.roles.iter().any(owns);
        if !is_owner || !member.roles.iter().all(owns) {
            let roles = member.roles.iter().filter(|role| !owns(role)).cloned().collect();
            officers.push(Member { roles, ..member.clone() });
        }
        if is_owner {
            owners.push(member);
        }
    }
    (owners, officers)
}

fn put(out: &mut ObjectWriter<'_>, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        out.text(key, text);
    }
}

impl Company<'_> {
    /// Writes the record as cells; what it says beyond them goes to `metadata`. The contract wants a name
    /// of every company: one that was never told is called by its number or id, and its owner is told.
    pub(super) fn write(self, mut metadata: Metadata, draft: &mut Draft<'_>) {
        let name = self.name.as_deref().and_then(normal::name);
        let number = self.registration_number.as_deref();
        if name.is_none() {
            draft.warn(
                IssueCode::NameNotTold,
                "company_name",
                "the record names no company; its number or id stands for it",
            );
        }
        text_of(draft, F::CompanyName.id(), name.or(number).or(self.external_id.as_deref()));
        for (field, text) in [
            (F::ExternalId, &self.external_id),
            (F::VendorData, &self.vendor_data),
            (F::RegistrationNumber, &self.registration_number),
            (F::CompanyType, &self.kind),
            (F::RegisteredAddress, &self.address),
            (F::TaxNumber, &self.tax_number),
            (F::Website, &self.website),
            (F::Email, &self.email),
            (F::Phone, &self.phone),
        ] {
            text_of(draft, field.id(), text.as_deref());
        }
        text_of(draft, F::Status.id(), self.status.map(SessionStatus::as_str));
        if let Some(created) = self.created_at.as_deref() {
            match normal::timestamp(created) {
                Some(created) => draft.text(F::CreatedAt.id(), &created),
                None => {
                    draft.warn(IssueCode::InvalidTimestamp, "created_at", "left out: it is no point in time")
                }
            }
        }
        if let Some(date) = self.incorporated_on.as_deref() {
            match normal::date(date) {
                Some(date) => draft.text(F::IncorporationDate.id(), date),
                None => draft.warn(IssueCode::InvalidDate, "incorporation_date", "left out: it is no date"),
            }
        }
        if let Some(text) = self.country.as_deref() {
            match normal::country(text).and_then(country::parse_alpha2) {
                Some(code) => draft.text(F::CountryCode.id(), code),
                None => draft.warn(IssueCode::UnknownCountry, "country_code", "left out: no such country"),
            }
        }
        for (field, list) in [(F::Tags, self.tags), (F::AlternativeNames, self.alternative_names)] {
            if let Some(list) = list {
                draft.json(field.id(), list);
            }
        }
        list_of(draft, F::Officers.id(), self.officers.iter().filter_map(Member::officer));
        list_of(draft, F::BeneficialOwners.id(), self.owners.iter().filter_map(Member::owner));
        metadata.text("source_status", self.source_status.as_deref());
        metadata.text("completed_at", self.completed_at.as_deref().and_then(normal::timestamp).as_deref());
        if let Some(metadata) = metadata.finish() {
            draft.made(F::Metadata.id(), &metadata);
        }
    }
}

fn text_of(draft: &mut Draft<'_>, field: FieldId, text: Option<&str>) {
    if let Some(text) = text {
        draft.text(field, text);
    }
}

fn list_of(draft: &mut Draft<'_>, field: FieldId, items: impl Iterator<Item = String>) {
    let items: Vec<_> = items.collect();
    if !items.is_empty() {
        draft.json(field, &format!("[{}]", items.join(",")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_members() {
        assert_eq!(role("authorizedSignatory"), "authorized_signatory");
        assert_eq!(role("Company Officer"), "company_officer");
        let member = Member {
            first_name: Some("Dana".into()),
            last_name: Some("\"O\"".into()),
            roles: vec!["ubo".into()],
            share: Some("62.5".into()),
            ..Member::default()
        };
        assert_eq!(
            member.owner().as_deref(),
            Some(
                r#"{"name":"Dana \"O\"","first_name":"Dana","last_name":"\"O\"","entity_type":"person","roles":["ubo"],"ownership_min_shares":"62.5"}"#
            )
        );
        assert_eq!(Member::default().owner(), None);
    }
}
