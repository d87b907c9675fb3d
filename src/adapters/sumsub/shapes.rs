//! The shapes of Sumsub's records.

use crate::adapters::shape::{Leaf, List, Raw, shape};

shape! {
    /// An applicant with what its customer has fetched besides.
    struct Bundle {
        applicant: Applicant = "applicant",
        steps: Raw = "requiredIdDocsStatus",
        inspection: Inspection = "inspection",
        images: Images = "images",
        aml: AmlCase = "amlCase",
    }

    /// What an older look-up by the customer's id gives.
    struct Listed { list: Items = "list" }

    /// Its items.
    struct Items { items: List<Raw> = "items" }

    /// An applicant, or a webhook about one.
    struct Applicant {
        id: Leaf = "id",
        applicant_id: Leaf = "applicantId",
        inspection_id: Leaf = "inspectionId",
        external_user_id: Leaf = "externalUserId",
        applicant_type: Leaf = "applicantType",
        type_or_event: Leaf = "type",
        created_at: Leaf = "createdAt",
        info: Info = "info",
        fixed: Info = "fixedInfo",
        email: Leaf = "email",
        phone: Leaf = "phone",
        lang: Leaf = "lang",
        ip_country: Leaf = "ipCountry",
        source_key: Leaf = "sourceKey",
        client_id: Leaf = "clientId",
        platform: Leaf = "applicantPlatform",
        level_name: Leaf = "levelName",
        sandbox: Leaf = "sandboxMode",
        deleted: Leaf = "deleted",
        tags: List<Leaf> = "tags",
        metadata: Raw = "metadata",
        questionnaires: Raw = "questionnaires",
        review: Review = "review",
        review_status: Leaf = "reviewStatus",
        review_result: ReviewResult = "reviewResult",
    }

    /// A review.
    struct Review {
        status: Leaf = "reviewStatus",
        result: ReviewResult = "reviewResult",
        review_date: Leaf = "reviewDate",
        level_name: Leaf = "levelName",
        attempt_id: Leaf = "attemptId",
    }

    /// Its outcome.
    struct ReviewResult {
        answer: Leaf = "reviewAnswer",
        labels: List<Leaf> = "rejectLabels",
        reject_type: Leaf = "reviewRejectType",
        moderation_comment: Leaf = "moderationComment",
        client_comment: Leaf = "clientComment",
    }

    /// What is known of a person, from documents or as they said it.
    struct Info {
        first_name: Leaf = "firstName",
        first_name_en: Leaf = "firstNameEn",
        middle_name: Leaf = "middleName",
        last_name: Leaf = "lastName",
        last_name_en: Leaf = "lastNameEn",
        dob: Leaf = "dob",
        gender: Leaf = "gender",
        nationality: Leaf = "nationality",
        place_of_birth: Leaf = "placeOfBirth",
        tin: Leaf = "tin",
        phone: Leaf = "phone",
        addresses: List<Address> = "addresses",
        id_docs: List<IdDoc> = "idDocs",
        company: Raw = "companyInfo",
    }

    /// An address.
    struct Address {
        formatted: Leaf = "formattedAddress",
        street: Leaf = "street",
        sub_street: Leaf = "subStreet",
        building: Leaf = "buildingNumber",
        flat: Leaf = "flatNumber",
        town: Leaf = "town",
        state: Leaf = "state",
        post_code: Leaf = "postCode",
        country: Leaf = "country",
    }

    /// A document.
    struct IdDoc {
        kind: Leaf = "idDocType",
        country: Leaf = "country",
        number: Leaf = "number",
        additional_number: Leaf = "additionalNumber",
        issued: Leaf = "issuedDate",
        valid_until: Leaf = "validUntil",
        first_name: Leaf = "firstName",
        last_name: Leaf = "lastName",
        dob: Leaf = "dob",
    }

    /// A step and what became of it.
    struct Step { result: ReviewResult = "reviewResult", kind: Leaf = "idDocType" }

    /// Checks that ran.
    struct Inspection { checks: List<Check> = "checks" }

    /// One of them.
    struct Check { kind: Leaf = "checkType", answer: Leaf = "answer" }

    /// Images, which only Sumsub's own client can fetch.
    struct Images { items: List<Image> = "items" }

    /// One of them.
    struct Image { id: Leaf = "id", definition: ImageKind = "idDocDef", file: ImageFile = "fileMetadata" }

    /// What it shows.
    struct ImageKind { kind: Leaf = "idDocType", side: Leaf = "idDocSubType", country: Leaf = "country" }

    /// Its file.
    struct ImageFile { name: Leaf = "fileName", kind: Leaf = "fileType" }

    /// Screening of a name.
    struct AmlCase { id: Leaf = "id", review: ReviewResult = "review", labels: List<Leaf> = "riskLabels" }
}

impl Applicant<'_> {
    /// What it is: an applicant's `type`, or the type a webhook gives of its applicant.
    pub(super) fn kind(&self) -> Option<&str> {
        self.applicant_type.get().or(self.type_or_event.get())
    }

    /// Whether whoever was refused could have tried again.
    pub(super) fn may_retry(&self) -> bool {
        [&self.review.result, &self.review_result].iter().find_map(|result| result.reject_type.get())
            == Some("RETRY")
    }
}
