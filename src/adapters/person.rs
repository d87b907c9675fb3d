//! A person's verification as any provider tells of it, and how it becomes cells.

use std::borrow::Cow;

use super::{draft::Draft, metadata::Metadata, normal, registry::Export};
use crate::{
    canonical::{
        document::DocumentType,
        schema::FieldId,
        status::{FeatureStatus, SessionStatus},
        user_verification::UserField as F,
    },
    domain::issue::{Issue, IssueCode},
};

/// A text of a record, in the provider's own form.
pub(super) type Pick<'a> = Option<Cow<'a, str>>;

/// The links a provider gives to media.
#[derive(Debug, Default)]
pub(super) struct Links<'a> {
    pub(super) front: Pick<'a>,
    pub(super) back: Pick<'a>,
    pub(super) selfie: Pick<'a>,
    pub(super) video: Pick<'a>,
}

/// A verification in the provider's own forms; writing it brings each value into the contract's.
#[derive(Debug, Default)]
pub(super) struct Person<'a> {
    pub(super) external_id: Pick<'a>,
    pub(super) vendor_data: Pick<'a>,
    pub(super) status: Option<SessionStatus>,
    pub(super) source_status: Pick<'a>,
    pub(super) created_at: Pick<'a>,
    pub(super) completed_at: Pick<'a>,
    pub(super) document_type: Option<DocumentType>,
    pub(super) document_subtype: Pick<'a>,
    pub(super) document_number: Pick<'a>,
    pub(super) personal_number: Pick<'a>,
    pub(super) first_name: Pick<'a>,
    pub(super) last_name: Pick<'a>,
    pub(super) full_name: Pick<'a>,
    pub(super) date_of_birth: Pick<'a>,
    pub(super) gender: Pick<'a>,
    pub(super) nationality: Pick<'a>,
    pub(super) issuing_state: Pick<'a>,
    pub(super) date_of_issue: Pick<'a>,
    pub(super) expiration_date: Pick<'a>,
    pub(super) address: Pick<'a>,
    pub(super) place_of_birth: Pick<'a>,
    pub(super) document_status: Option<FeatureStatus>,
    pub(super) liveness_status: Option<FeatureStatus>,
    pub(super) liveness_score: Pick<'a>,
    pub(super) face_match_status: Option<FeatureStatus>,
    pub(super) face_match_score: Pick<'a>,
    pub(super) email: Pick<'a>,
    pub(super) phone: Pick<'a>,
    /// A JSON list of texts.
    pub(super) tags: Option<&'a str>,
    pub(super) links: Links<'a>,
}

/// The issue of a record without an id.
pub(super) fn no_id(member: &str) -> Issue {
    Issue::of_field(IssueCode::Required, "external_id", format!("the record has no {member}"))
}

/// The issue of a record that says nothing of an outcome.
pub(super) fn no_verdict(member: &str) -> Issue {
    Issue::of_field(IssueCode::Required, "status", format!("the record has no {member}"))
}

impl Person<'_> {
    /// Writes the record as cells; what it says beyond them goes to `metadata`.
    pub(super) fn write(self, mut metadata: Metadata, export: &Export<'_>, draft: &mut Draft<'_>) {
        for (field, text) in [
            (F::ExternalId, &self.external_id),
            (F::VendorData, &self.vendor_data),
            (F::DocumentSubtype, &self.document_subtype),
            (F::Address, &self.address),
            (F::PlaceOfBirth, &self.place_of_birth),
            (F::LivenessScore, &self.liveness_score),
            (F::FaceMatchScore, &self.face_match_score),
            (F::Email, &self.email),
        ] {
            put(draft, field.id(), text.as_deref().filter(|text| normal::given(text).is_some()));
        }
        if let Some(status) = self.status {
            draft.text(F::Status.id(), status.as_str());
        }
        for (field, name) in
            [(F::FirstName, &self.first_name), (F::LastName, &self.last_name), (F::FullName, &self.full_name)]
        {
            put_plain(export, draft, field.id(), name.as_deref().and_then(normal::name));
        }
        for (field, number) in
            [(F::DocumentNumber, &self.document_number), (F::PersonalNumber, &self.personal_number)]
        {
            put_plain(export, draft, field.id(), number.as_deref().and_then(normal::given));
        }
        self.put_times(&mut metadata, draft);
        self.put_words(draft);
        self.put_links(&mut metadata, export, draft);
        if let Some(tags) = self.tags {
            draft.json(F::Tags.id(), tags);
        }
        metadata.text("source_status", self.source_status.as_deref());
        if let Some(metadata) = metadata.finish() {
            draft.made(F::Metadata.id(), &metadata);
        }
    }

    /// Links of the customer's own come before the provider's, which then are no more than references, as all
    /// of them are where the import says so.
    fn put_links(&self, metadata: &mut Metadata, export: &Export<'_>, draft: &mut Draft<'_>) {
        let (links, sidecar) = (&self.links, &export.sidecar);
        for (field, kind, link, own) in [
            (F::FrontImageUrl, "front", &links.front, &sidecar.front),
            (F::BackImageUrl, "back", &links.back, &sidecar.back),
            (F::SelfieImageUrl, "selfie", &links.selfie, &sidecar.selfie),
            (F::LivenessVideoUrl, "video", &links.video, &sidecar.video),
        ] {
            let is_fetched = own.get().is_none() && !export.native.options.links_are_references;
            put(draft, field.id(), own.get().or(link.as_deref().filter(|_| is_fetched)));
            if let Some(link) = link.as_deref().filter(|_| !is_fetched) {
                metadata.media(&[("kind", Some(kind)), ("url", Some(normal::without_query(link)))]);
            }
        }
    }

    fn put_times(&self, metadata: &mut Metadata, draft: &mut Draft<'_>) {
        for (field, name, date) in [
            (F::DateOfBirth, "date_of_birth", &self.date_of_birth),
            (F::DateOfIssue, "date_of_issue", &self.date_of_issue),
            (F::ExpirationDate, "expiration_date", &self.expiration_date),
        ] {
            let Some(date) = date.as_deref() else { continue };
            match normal::date(date) {
                Some(date) => draft.text(field.id(), date),
                None => draft.warn(IssueCode::InvalidDate, name, "left out: it is no date"),
            }
        }
        if let Some(created) = self.created_at.as_deref() {
            match normal::timestamp(created) {
                Some(created) => draft.text(F::CreatedAt.id(), &created),
                None => {
                    draft.warn(IssueCode::InvalidTimestamp, "created_at", "left out: it is no point in time")
                }
            }
        }
        let completed = self.completed_at.as_deref().and_then(normal::timestamp);
        metadata.text("completed_at", completed.as_deref());
    }

    fn put_words(&self, draft: &mut Draft<'_>) {
        if let Some(document) = self.document_type {
            draft.text(F::DocumentType.id(), document.as_str());
        }
        if let Some(gender) = self.gender.as_deref() {
            draft.text(F::Gender.id(), normal::gender(gender));
        }
        if let Some(phone) = self.phone.as_deref() {
            draft.text(F::Phone.id(), &normal::phone(phone));
        }
        match self.nationality.as_deref().map(|text| (text, normal::country(text))) {
            Some((_, Some(code))) => draft.text(F::Nationality.id(), code),
            Some((text, None)) if normal::is_stateless(text) => draft.text(F::Nationality.id(), text),
            Some(_) => draft.warn(IssueCode::UnknownCountry, "nationality", "left out: no such country"),
            None => {}
        }
        match self.issuing_state.as_deref().map(normal::country) {
            Some(Some(code)) => draft.text(F::IssuingState.id(), code),
            Some(None) => draft.warn(IssueCode::UnknownCountry, "issuing_state", "left out: no such country"),
            None => {}
        }
        for (field, status) in [
            (F::IdVerificationStatus, self.document_status),
            (F::LivenessStatus, self.liveness_status),
            (F::FaceMatchStatus, self.face_match_status),
        ] {
            if let Some(status) = status {
                draft.text(field.id(), status.as_str());
            }
        }
    }
}

/// Puts a name or a number; in plain signs where the provider is known to leave others in.
fn put_plain(export: &Export<'_>, draft: &mut Draft<'_>, field: FieldId, text: Option<&str>) {
    match text {
        Some(text) if export.native.provider.leaves_marks() => {
            draft.text(field, &normal::without_marks(text));
        }
        text => put(draft, field, text),
    }
}

fn put(draft: &mut Draft<'_>, field: FieldId, text: Option<&str>) {
    if let Some(text) = text {
        draft.text(field, text);
    }
}
