//! The shapes of Onfido's records.

use crate::adapters::shape::{Leaf, List, Raw, shape};

shape! {
    /// A check with what its customer has fetched besides.
    struct Bundle {
        applicant: Applicant = "applicant",
        check: Check = "check",
        reports: List<Report> = "reports",
        documents: List<File> = "documents",
        photos: List<File> = "live_photos",
        videos: List<File> = "live_videos",
        webhook: Webhook = "webhook",
    }

    /// A check, with its reports in it where an old version of the API gave it.
    struct Check {
        id: Leaf = "id",
        applicant_id: Leaf = "applicant_id",
        created_at: Leaf = "created_at",
        status: Leaf = "status",
        result: Leaf = "result",
        tags: List<Leaf> = "tags",
        results_uri: Leaf = "results_uri",
        sandbox: Leaf = "sandbox",
        reports: List<Report> = "reports",
        applicant: Applicant = "applicant",
    }

    /// A run of a workflow.
    struct Run {
        id: Leaf = "id",
        applicant_id: Leaf = "applicant_id",
        applicant: Applicant = "applicant",
        workflow_id: Leaf = "workflow_id",
        workflow_version: Leaf = "workflow_version_id",
        customer_user_id: Leaf = "customer_user_id",
        status: Leaf = "status",
        output: Raw = "output",
        reasons: List<Leaf> = "reasons",
        error: Fault = "error",
        tags: List<Leaf> = "tags",
        dashboard_url: Leaf = "dashboard_url",
        created_at: Leaf = "created_at",
        updated_at: Leaf = "updated_at",
    }

    /// What stopped a run.
    struct Fault { kind: Leaf = "type", message: Leaf = "message" }

    /// What somebody says of themselves: an applicant, or a form of a workflow.
    struct Applicant {
        id: Leaf = "id",
        first_name: Leaf = "first_name",
        last_name: Leaf = "last_name",
        email: Leaf = "email",
        dob: Leaf = "dob",
        phone: Leaf = "phone_number",
        nationality: Leaf = "nationality",
        address: Address = "address",
        location: Location = "location",
        sandbox: Leaf = "sandbox",
    }

    /// An address.
    struct Address {
        flat: Leaf = "flat_number",
        number: Leaf = "building_number",
        name: Leaf = "building_name",
        street: Leaf = "street",
        sub_street: Leaf = "sub_street",
        town: Leaf = "town",
        state: Leaf = "state",
        postcode: Leaf = "postcode",
        country: Leaf = "country",
        line1: Leaf = "line1",
        line2: Leaf = "line2",
        line3: Leaf = "line3",
    }

    /// Where they were.
    struct Location { ip: Leaf = "ip_address", country: Leaf = "country_of_residence" }

    /// A report, or the part of a workflow's output that is one.
    struct Report {
        name: Leaf = "name",
        status: Leaf = "status",
        result: Leaf = "result",
        sub_result: Leaf = "sub_result",
        breakdown: Raw = "breakdown",
        properties: Properties = "properties",
    }

    /// A part of a report's breakdown.
    struct Node { result: Leaf = "result", properties: Raw = "properties", breakdown: Raw = "breakdown" }

    /// What a report has read.
    struct Properties {
        document_type: Leaf = "document_type",
        class: Class = "document_classification",
        first_name: Leaf = "first_name",
        middle_name: Leaf = "middle_name",
        last_name: Leaf = "last_name",
        date_of_birth: Leaf = "date_of_birth",
        date_of_expiry: Leaf = "date_of_expiry",
        issuing_date: Leaf = "issuing_date",
        valid_from: Leaf = "valid_from",
        document_number: Leaf = "document_number",
        document_numbers: List<Number> = "document_numbers",
        personal_number: Leaf = "personal_number",
        issuing_country: Leaf = "issuing_country",
        nationality: Leaf = "nationality",
        gender: Leaf = "gender",
        place_of_birth: Leaf = "place_of_birth",
        address: Leaf = "address",
        barcode: List<Barcode> = "barcode",
        score: Leaf = "score",
        issuer: Leaf = "issuer",
        issue_date: Leaf = "issue_date",
    }

    /// What a document was taken for.
    struct Class { document_type: Leaf = "document_type", issuing_country: Leaf = "issuing_country" }

    /// A number on a document.
    struct Number { kind: Leaf = "type", value: Leaf = "value" }

    /// What its barcode says.
    struct Barcode {
        first_name: Leaf = "first_name",
        last_name: Leaf = "last_name",
        date_of_birth: Leaf = "date_of_birth",
        date_of_expiry: Leaf = "date_of_expiry",
        gender: Leaf = "gender",
        document_number: Leaf = "document_number",
    }

    /// A file, which only Onfido's own client can fetch.
    struct File {
        id: Leaf = "id",
        kind: Leaf = "type",
        side: Leaf = "side",
        file_type: Leaf = "file_type",
        file_name: Leaf = "file_name",
    }

    /// A webhook.
    struct Webhook { payload: Payload = "payload" }

    /// What it says.
    struct Payload { resource_type: Leaf = "resource_type", object: Object = "object", resource: Raw = "resource" }

    /// What it is about.
    struct Object {
        id: Leaf = "id",
        status: Leaf = "status",
        started_at: Leaf = "started_at_iso8601",
        completed_at: Leaf = "completed_at_iso8601",
    }
}
