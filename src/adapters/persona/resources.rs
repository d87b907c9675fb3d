//! The shapes of Persona's resources.

use std::borrow::Cow;

use crate::{
    adapters::{
        normal::fold,
        shape::{Leaf, List, Raw, Top, shape},
    },
    canonical::status::FeatureStatus,
};

shape! {
    /// What stands around a resource.
    struct Envelope { data: Raw = "data", included: List<Resource> = "included" }

    /// A resource of any type.
    struct Resource {
        id: Leaf = "id",
        kind: Leaf = "type",
        attributes: Raw = "attributes",
        relationships: Raw = "relationships",
    }

    /// An inquiry. Old versions of the API give what was filled in flat, new ones in `fields`.
    struct Inquiry {
        status: Leaf = "status",
        reference_id: Leaf = "reference-id",
        created_at: Leaf = "created-at",
        completed_at: Leaf = "completed-at",
        failed_at: Leaf = "failed-at",
        decisioned_at: Leaf = "decisioned-at",
        expired_at: Leaf = "expired-at",
        redacted_at: Leaf = "redacted-at",
        reviewer_comment: Leaf = "reviewer-comment",
        note: Leaf = "note",
        tags: List<Leaf> = "tags",
        fields: Raw = "fields",
        name_first: Leaf = "name-first",
        name_middle: Leaf = "name-middle",
        name_last: Leaf = "name-last",
        birthdate: Leaf = "birthdate",
        street_1: Leaf = "address-street-1",
        street_2: Leaf = "address-street-2",
        city: Leaf = "address-city",
        subdivision: Leaf = "address-subdivision",
        postal_code: Leaf = "address-postal-code",
        country: Leaf = "address-country-code",
        email: Leaf = "email-address",
        phone: Leaf = "phone-number",
        number: Leaf = "identification-number",
    }

    /// A verification within an inquiry, or a report about whom it is of.
    struct Verification {
        status: Leaf = "status",
        created_at: Leaf = "created-at",
        country_code: Leaf = "country-code",
        checks: List<Check> = "checks",
        has_match: Leaf = "has-match",
        id_class: Leaf = "id-class",
        name_first: Leaf = "name-first",
        name_middle: Leaf = "name-middle",
        name_last: Leaf = "name-last",
        native_first: Leaf = "native-name-first",
        native_last: Leaf = "native-name-last",
        birthdate: Leaf = "birthdate",
        birthplace: Leaf = "birthplace",
        sex: Leaf = "sex",
        nationality: Leaf = "nationality",
        street_1: Leaf = "address-street-1",
        street_2: Leaf = "address-street-2",
        city: Leaf = "address-city",
        subdivision: Leaf = "address-subdivision",
        postal_code: Leaf = "address-postal-code",
        document_number: Leaf = "document-number",
        identification_number: Leaf = "identification-number",
        issue_date: Leaf = "issue-date",
        expiration_date: Leaf = "expiration-date",
        front: Leaf = "front-photo-url",
        back: Leaf = "back-photo-url",
        selfie: Leaf = "center-photo-url",
        video: Leaf = "video-url",
        similarity: Leaf = "document-similarity-score",
        phone: Leaf = "phone-number",
        email: Leaf = "email-address",
    }

    /// A check of a verification.
    struct Check {
        name: Leaf = "name",
        status: Leaf = "status",
        reasons: List<Leaf> = "reasons",
        requirement: Leaf = "requirement",
    }

    /// A value of a form.
    struct Valued { value: Leaf = "value" }
}

/// An inquiry and what came with it.
pub(super) struct Record<'a> {
    pub(super) resource: Resource<'a>,
    pub(super) inquiry: Inquiry<'a>,
    pub(super) included: Vec<Resource<'a>>,
}

impl<'a> Record<'a> {
    /// Whether its template asks for a company.
    pub(super) fn is_company(&self) -> bool {
        let is_of_company =
            |kind: &str| kind == "verification/database-business" || kind.starts_with("report/business-");
        self.field("business-name").is_some()
            || self.included.iter().filter_map(|resource| resource.kind.get()).any(is_of_company)
    }

    /// A value that was filled in.
    pub(super) fn field(&self, name: &str) -> Option<Cow<'a, str>> {
        field(self.inquiry.fields, name)
    }

    /// Verifications and reports of a kind, the newest last; those that are tries again count alone.
    pub(super) fn all(&self, kind: &str) -> Vec<Verification<'a>> {
        let of_kind =
            |resource: &&Resource<'a>| resource.kind.get().is_some_and(|found| found.starts_with(kind));
        let mut all: Vec<Verification<'a>> =
            self.included.iter().filter(of_kind).map(|resource| resource.attributes.read()).collect();
        all.sort_by(|a, b| a.created_at.get().cmp(&b.created_at.get()));
        all
    }

    /// The reference of the account that came with it.
    pub(super) fn account_reference(&self) -> Option<Cow<'a, str>> {
        let accounts = self.included.iter().filter(|resource| resource.kind.get() == Some("account"));
        accounts.map(|account| account.attributes.dig(&["reference-id"])).find_map(|raw| raw.text())
    }

    /// The id of what it is related to.
    pub(super) fn related(&self, name: &str) -> Option<Cow<'a, str>> {
        self.resource.relationships.dig(&[name, "data", "id"]).text()
    }
}

/// A value of a form by its name.
pub(super) fn field<'a>(fields: Raw<'a>, name: &str) -> Option<Cow<'a, str>> {
    fields.dig(&[name]).read::<Valued<'a>>().value.take()
}

/// What a verification's word says of its feature.
pub(super) fn status_of(verification: &Verification<'_>) -> FeatureStatus {
    match verification.status.get().map(fold).as_deref() {
        Some("passed" | "confirmed") => FeatureStatus::Approved,
        Some("failed") => FeatureStatus::Declined,
        Some("tentativelypassed" | "tentativelyfailed" | "submitted") => FeatureStatus::InReview,
        _ => FeatureStatus::NotFinished,
    }
}

/// Names and values of a form that the contract has no field for.
pub(super) fn other_fields<'a>(fields: Raw<'a>) -> Vec<(Cow<'a, str>, Option<Cow<'a, str>>)> {
    const KNOWN: [&str; 19] = [
        "namefirst",
        "namemiddle",
        "namelast",
        "birthdate",
        "addressstreet1",
        "addressstreet2",
        "addresscity",
        "addresssubdivision",
        "addresspostalcode",
        "addresscountrycode",
        "emailaddress",
        "phonenumber",
        "identificationnumber",
        "identificationclass",
        "selectedcountrycode",
        "selectedidclass",
        "currentgovernmentid",
        "currentselfie",
        // Whoever has no need of it should not keep it.
        "socialsecuritynumber",
    ];
    let others =
        fields.read::<Top<'a>>().into_members().filter(|(name, _)| !KNOWN.contains(&fold(name).as_str()));
    others.map(|(name, raw)| (name, Raw::of(raw).read::<Valued<'a>>().value.take())).collect()
}
