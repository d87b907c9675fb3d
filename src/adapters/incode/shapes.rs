//! The shapes of answers about one session of Incode's.

use crate::adapters::shape::{Leaf, List, Raw, shape};

shape! {
    /// A session.
    struct Session {
        id: Leaf = "interviewId",
        external_customer_id: Leaf = "externalCustomerId",
        external_id: Leaf = "externalId",
        status: Leaf = "onboardingStatus",
        created_at: Leaf = "createdAt",
        finished_at: Leaf = "finishedAt",
        flow_id: Leaf = "flowId",
        custom_fields: Raw = "customFields",
        scores: Scores = "scores" | "score",
        ocr: Raw = "ocrData" | "ocr",
        watchlist: Watchlist = "watchlist",
        second: Raw = "secondId",
        images: Images = "images",
        company: Ekyb = "ekyb",
    }

    /// Pictures, as their links or the ids of what the customer has put somewhere.
    struct Images {
        front: Leaf = "fullFrameFrontID" | "croppedFrontID",
        back: Leaf = "fullFrameBackID" | "croppedBackID",
        selfie: Leaf = "selfie",
    }

    /// A look at a company: what was asked, and what was found of each.
    struct Ekyb { request: Business = "request", result: Raw = "result" }

    /// A company.
    struct Business {
        name: Leaf = "businessName",
        street: Leaf = "street",
        line2: Leaf = "addressLine2",
        city: Leaf = "city",
        state: Leaf = "state",
        postal_code: Leaf = "postalCode",
        country: Leaf = "country",
        tax_id: Leaf = "taxId",
        owners: List<Leaf> = "uboNames",
    }

    /// How sure each part of it is.
    struct Scores {
        overall: Score = "overall",
        id: Part = "idValidation",
        liveness: Part = "liveness",
        face: Face = "faceRecognition",
        government: Part = "governmentValidation",
    }

    /// A value and what it means.
    struct Score { value: Leaf = "value", status: Leaf = "status", key: Leaf = "key" }

    /// A part and its tests.
    struct Part {
        overall: Score = "overall",
        quality: List<Score> = "photoSecurityAndQuality",
        specific: List<Score> = "idSpecific",
        custom: List<Score> = "customFields",
        rule: Rule = "appliedRule",
    }

    /// A rule of the customer's own that made it what it is.
    struct Rule { name: Leaf = "name" }

    /// The likeness.
    struct Face {
        overall: Score = "overall",
        mask: Score = "maskCheck",
        lenses: Score = "lensesCheck",
        brightness: Score = "faceBrightness",
        name_match: Score = "nameMatch",
        rule: Rule = "appliedRule",
        existing_interview: Leaf = "existingInterviewId",
        customer_id: Leaf = "customerId",
    }

    /// Hits on watchlists.
    struct Watchlist { status: Leaf = "match_status", hits: Leaf = "total_hits" }

    /// What was read; a later version of the API puts it into a member of its own.
    struct Ocr {
        inner: Raw = "ocrData",
        name: Name = "name",
        address: Leaf = "address",
        checked_address: Leaf = "checkedAddress",
        address_fields: AddressFields = "addressFields",
        kind: Leaf = "typeOfId",
        birth_date: Leaf = "birthDate",
        issued_at: Leaf = "issuedAt",
        expire_at: Leaf = "expireAt",
        issue_year: Leaf = "issueDate",
        expiration_year: Leaf = "expirationDate",
        gender: Leaf = "gender",
        document_number: Leaf = "documentNumber",
        reference_number: Leaf = "refNumber",
        personal_number: Leaf = "personalNumber",
        curp: Leaf = "curp",
        issuing_country: Leaf = "issuingCountry",
        nationality: Leaf = "nationality",
        nationality_mrz: Leaf = "nationalityMrz",
    }

    /// An address in its parts.
    struct AddressFields {
        street: Leaf = "street",
        colony: Leaf = "colony",
        postal_code: Leaf = "postalCode",
        city: Leaf = "city",
        state: Leaf = "state",
    }

    /// A name in its parts.
    struct Name {
        full: Leaf = "fullName",
        first: Leaf = "firstName",
        middle: Leaf = "middleName",
        given: Leaf = "givenName",
        given_mrz: Leaf = "givenNameMrz",
        paternal: Leaf = "paternalLastName",
        maternal: Leaf = "maternalLastName",
        last_mrz: Leaf = "lastNameMrz",
    }
}
