//! The shapes of Persona's resources.

use std::borrow::Cow;

use crate::{
    adapters::{
        normal::fold,
        shape::{Leaf, List, Raw, is_same, shape},
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
        left: Leaf = "left-photo-url",
        right: Leaf = "right-photo-url",
        files: List<File> = "files",
        video: Leaf = "video-url",
        similarity: Leaf = "document-similarity-score",
        phone: Leaf = "phone-number",
        email: Leaf = "email-address",
    }

    /// A file that somebody handed in.
    struct File { url: Leaf = "url" }

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

/// An inquiry or a transaction and what came with it, each part of it read once.
pub(super) struct Record<'a> {
    pub(super) resource: Resource<'a>,
    pub(super) inquiry: Inquiry<'a>,
    pub(super) included: Vec<Resource<'a>>,
    /// What was filled in, by name.
    fields: Vec<(Cow<'a, str>, Leaf<'a>)>,
    /// Verifications and reports by kind, the newest last.
    findings: Vec<(Cow<'a, str>, Verification<'a>)>,
}

impl<'a> Record<'a> {
    /// Reads a resource and what came with it.
    pub(super) fn new(resource: Resource<'a>, included: Vec<Resource<'a>>) -> Self {
        let inquiry: Inquiry<'a> = resource.attributes.read();
        let value = |(name, raw): (_, Raw<'a>)| (name, raw.read::<Valued<'a>>().value);
        let fields = inquiry.fields.top().members().map(value).collect();
        let mut findings: Vec<(Cow<'a, str>, Verification<'a>)> = included
            .iter()
            .filter_map(|part| Some((part.kind.clone().take()?, part)))
            .filter(|(kind, _)| kind.starts_with("verification/") || kind.starts_with("report/"))
            .map(|(kind, part)| (kind, part.attributes.read()))
            .collect();
        findings.sort_by(|(_, a), (_, b)| a.created_at.get().cmp(&b.created_at.get()));
        Self { resource, inquiry, included, fields, findings }
    }

    /// Whether its template asks for a company.
    pub(super) fn is_company(&self) -> bool {
        let is_of_company =
            |kind: &str| kind == "verification/database-business" || kind.starts_with("report/business-");
        self.field("business-name").is_some()
            || self.included.iter().filter_map(|resource| resource.kind.get()).any(is_of_company)
    }

    /// A value that was filled in.
    pub(super) fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.fields.iter().find(|(found, _)| is_same(found, name))?.1.pick()
    }

    /// Verifications and reports whose kind begins so, the newest last.
    pub(super) fn all(&self, kind: &str) -> impl DoubleEndedIterator<Item = &Verification<'a>> {
        self.findings.iter().filter(move |(found, _)| found.starts_with(kind)).map(|(_, found)| found)
    }

    /// The newest verification of each kind.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Verification<'a>> {
        let of_verification =
            self.findings.iter().enumerate().filter(|(_, (kind, _))| kind.starts_with("verification/"));
        let is_last = |at: usize, kind: &str| !self.findings[at + 1..].iter().any(|(later, _)| later == kind);
        of_verification.filter(move |(at, (kind, _))| is_last(*at, kind)).map(|(_, (_, found))| found)
    }

    /// Names and values that were filled in and that the contract has no field for.
    pub(super) fn other_fields(&self) -> Vec<(&str, Option<&str>)> {
        let others = self.fields.iter().filter(|(name, _)| !KNOWN.contains(&fold(name).as_str()));
        others.map(|(name, value)| (name.as_ref(), value.get())).collect()
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

/// Names that have fields of the contract, or none on purpose.
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
