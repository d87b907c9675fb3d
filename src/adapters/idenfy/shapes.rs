//! The shapes of iDenfy's records.

use crate::adapters::shape::{Leaf, List, Raw, shape};

shape! {
    /// An identification.
    struct Identification {
        scan_ref: Leaf = "scanRef",
        client_id: Leaf = "clientId",
        external_ref: Leaf = "externalRef",
        company_id: Leaf = "companyId",
        beneficiary_id: Leaf = "beneficiaryId",
        is_final: Leaf = "final",
        platform: Leaf = "platform",
        start_time: Leaf = "startTime",
        finish_time: Leaf = "finishTime",
        client_ip: Leaf = "clientIp",
        client_ip_country: Leaf = "clientIpCountry",
        status: Raw = "status",
        data: Data = "data",
        files: Raw = "fileUrls",
        aml_check: AmlCheck = "amlCheck",
        aml: List<Aml> = "AML",
        address: AddressCheck = "addressVerification",
        manual_address: Leaf = "manualAddress",
        email: EmailCheck = "emailVerification",
        phone: PhoneCheck = "phoneVerification",
        risk: Raw = "riskAssessment",
        questionnaire: Raw = "questionnaireAnswers",
        client_location: Leaf = "clientLocation",
        lid: Raw = "LID",
        criminal: Raw = "CRIMINAL_CHECK",
        steps: Raw = "additionalSteps",
    }

    /// Its outcome.
    struct Status {
        overall: Leaf = "overall",
        auto_document: Leaf = "autoDocument",
        manual_document: Leaf = "manualDocument",
        auto_face: Leaf = "autoFace",
        manual_face: Leaf = "manualFace",
        fraud_tags: List<Leaf> = "fraudTags",
        mismatch_tags: List<Leaf> = "mismatchTags",
        suspicion_reasons: List<Leaf> = "suspicionReasons",
        deny_reasons: List<Leaf> = "denyReasons",
        aml: Leaf = "amlResultClass",
        steps: Leaf = "additionalSteps",
    }

    /// What was read off a document, in Latin and in its own script.
    struct Data {
        first_name: Leaf = "docFirstName",
        last_name: Leaf = "docLastName",
        full_name: Leaf = "fullName",
        number: Leaf = "docNumber",
        personal_code: Leaf = "docPersonalCode",
        dob: Leaf = "docDob",
        expiry: Leaf = "docExpiry",
        date_of_issue: Leaf = "docDateOfIssue",
        kind: Leaf = "docType",
        sex: Leaf = "docSex",
        nationality: Leaf = "docNationality",
        issuing_country: Leaf = "docIssuingCountry",
        selected_country: Leaf = "selectedCountry",
        birth_place: Leaf = "birthPlace",
        authority: Leaf = "authority",
        address: Leaf = "address",
        org_first_name: Leaf = "orgFirstName",
        org_last_name: Leaf = "orgLastName",
        org_birth_place: Leaf = "orgBirthPlace",
        org_address: Leaf = "orgAddress",
        duplicate_faces: Raw = "duplicateFaces",
        duplicate_doc_faces: Raw = "duplicateDocFaces",
    }

    /// Screening of a name, as it is now.
    struct AmlCheck { overall: Leaf = "overallStatus" }

    /// Screening of a name, as it was.
    struct Aml { status: AmlStatus = "status" }

    /// Its outcome.
    struct AmlStatus { overall: Leaf = "overallStatus", ran: Leaf = "checkSuccessful" }

    /// A look at an address.
    struct AddressCheck { address: Leaf = "address", status: Leaf = "status" }

    /// A look at an e-mail address.
    struct EmailCheck { email: Leaf = "email", verified: Leaf = "emailVerified" }

    /// A look at a phone number.
    struct PhoneCheck { phone: Leaf = "phone", verified: Leaf = "phoneVerified" }
}
