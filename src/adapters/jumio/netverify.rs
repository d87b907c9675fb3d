//! Netverify, the older Jumio: scans as fetched, and callbacks whose inner objects are texts of JSON.

use std::borrow::Cow;

use super::{document_type, given};
use crate::{
    adapters::{
        draft::Draft,
        metadata::Metadata,
        normal::{self, Verdict, fold, joined},
        person::{Person, no_id, no_verdict},
        registry::Export,
        shape::{self, Leaf, List, Raw, shape},
    },
    canonical::status::{FeatureStatus, SessionStatus},
    domain::issue::{Issue, IssueCode},
};

shape! {
    /// A scan, or a flat callback about one.
    struct Scan {
        scan: Leaf = "scanReference" | "jumioIdScanReference",
        document: Document = "document",
        transaction: Transaction = "transaction",
        verification: Verification = "verification",
        timestamp: Leaf = "timestamp" | "callbackDate",
    }

    /// A document; a callback has its members at the top.
    struct Document {
        status: Leaf = "status" | "verificationStatus",
        kind: Leaf = "type" | "idType",
        within: Leaf = "idSubtype",
        country: Leaf = "issuingCountry" | "idCountry",
        first_name: Leaf = "firstName" | "idFirstName",
        last_name: Leaf = "lastName" | "idLastName",
        dob: Leaf = "dob" | "idDob",
        expiry: Leaf = "expiry" | "idExpiry",
        issuing_date: Leaf = "issuingDate",
        number: Leaf = "number" | "idNumber",
        personal_number: Leaf = "personalNumber",
        gender: Leaf = "gender",
        nationality: Leaf = "nationality",
        place_of_birth: Leaf = "placeOfBirth",
        address: Raw = "address" | "idAddress",
        front: Leaf = "idScanImage",
        back: Leaf = "idScanImageBackside",
        face: Leaf = "idScanImageFace",
    }

    /// How it came about; a callback has its members at the top.
    struct Transaction {
        customer_id: Leaf = "customerId",
        client_ip: Leaf = "clientIp",
        date: Leaf = "date" | "transactionDate",
        criteria: Leaf = "merchantReportingCriteria",
        reference: Leaf = "merchantScanReference" | "merchantIdScanReference",
        source: Leaf = "source" | "idScanSource",
        status: Leaf = "status",
        result: Leaf = "transactionResult",
    }

    /// What was wrong; a callback has its members at the top.
    struct Verification { identity: Raw = "identityVerification", reject: Raw = "rejectReason" }

    /// Whether face and document are of one person.
    struct Identity { similarity: Leaf = "similarity", validity: Leaf = "validity", reason: Leaf = "reason" }

    /// Why it was rejected.
    struct Reject {
        code: Leaf = "rejectReasonCode",
        description: Leaf = "rejectReasonDescription",
        details: List<RejectDetail> = "rejectReasonDetails",
    }

    /// What about it.
    struct RejectDetail { description: Leaf = "detailsDescription" }

    /// An address.
    struct Address {
        formatted: Leaf = "formattedAddress",
        line1: Leaf = "line1" | "streetName",
        line2: Leaf = "line2",
        city: Leaf = "city",
        subdivision: Leaf = "subdivision" | "stateCode",
        postal_code: Leaf = "postalCode",
        country: Leaf = "country",
    }
}

/// States of papers, such as bank statements, that were only read.
const NO_VERDICTS: [&str; 3] = ["uploaded", "extracted", "discarded"];

/// Reads a scan.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let mut scan = shape::read::<Scan<'_>>(export.record, draft);
    if export.top.has("jumioIdScanReference") {
        let flat = export.record;
        (scan.document, scan.transaction, scan.verification) = (flat.read(), flat.read(), flat.read());
    }
    let Scan { document, transaction, verification, .. } = &scan;
    if document.status.get().map(fold).is_some_and(|word| NO_VERDICTS.contains(&word.as_str())) {
        let message = "the scan is of a paper that was read and not verified; it holds no verdict";
        return Err(Issue::of_record(IssueCode::InvalidValue, message));
    }
    // What stands inside a callback's members is written as texts of JSON.
    let (identity, reject) = (verification.identity.encoded(), verification.reject.encoded());
    let identity: Identity<'_> = verification.identity.decoded(&identity).read();
    let reject: Reject<'_> = verification.reject.decoded(&reject).read();
    let verdict = verdict_of(document, transaction, &identity);
    let mut metadata = Metadata::default();
    let mut person = Person {
        external_id: scan.scan.pick(),
        vendor_data: transaction.customer_id.pick(),
        status: verdict.as_ref().map(|verdict| draft.judge(verdict)),
        created_at: transaction.date.pick(),
        completed_at: scan.timestamp.pick(),
        ..Person::default()
    };
    person.source_status = verdict.map(|verdict| verdict.word);
    add_document(&mut person, document);
    add_identity(&mut person, &identity);
    for (key, text) in [
        ("merchant_scan_reference", transaction.reference.get()),
        ("merchant_reporting_criteria", transaction.criteria.get()),
        ("client_ip", transaction.client_ip.get()),
        ("source", transaction.source.get()),
    ] {
        metadata.text(key, text);
    }
    let code = reject.code.get().map(|code| format!("jumio:{code}"));
    let reasons = [code.as_deref(), reject.description.get(), identity.reason.get()];
    reasons.into_iter().flatten().for_each(|reason| metadata.reason(reason));
    reject
        .details
        .iter()
        .filter_map(|detail| detail.description.get())
        .for_each(|detail| metadata.reason(detail));
    for (kind, url) in [("front", &document.front), ("back", &document.back), ("face", &document.face)] {
        if let Some(url) = url.get() {
            metadata.media(&[("kind", Some(kind)), ("url", Some(normal::without_query(url)))]);
        }
    }
    let result = match (&person.external_id, person.status) {
        (None, _) => Err(no_id("scanReference")),
        (_, None) => Err(no_verdict("document.status and no transaction.status")),
        _ => Ok(()),
    };
    person.write(metadata, export, draft);
    result
}

/// The verdict: the document's status says nothing of the face, so what is known of that comes on top.
fn verdict_of<'a>(
    document: &'a Document<'_>,
    transaction: &'a Transaction<'_>,
    identity: &Identity<'_>,
) -> Option<Verdict<'a>> {
    use SessionStatus as S;
    let word = document.status.get().or(transaction.result.get()).or(transaction.status.get())?;
    let similarity = identity.similarity.get().map(fold);
    let is_other = matches!(similarity.as_deref(), Some("nomatch" | "notmatch"))
        || identity.validity.get() == Some("false");
    let is_unknown = similarity.as_deref() == Some("notpossible");
    let status = match fold(word).as_str() {
        "approvedverified" if is_other => Some(S::Declined),
        "approvedverified" if is_unknown => Some(S::InReview),
        "approvedverified" => Some(S::Approved),
        "deniedfraud" | "deniedunsupportedidtype" | "deniedunsupportedidcountry" | "errornotreadableid" => {
            Some(S::Declined)
        }
        "passed" if document.status.get().is_none() => Some(S::Approved),
        "failed" | "invalid" if transaction.result.get() == Some(word) => Some(S::Declined),
        "noiduploaded" | "failed" | "expired" => Some(S::Expired),
        "pending" => Some(S::InReview),
        _ => None,
    };
    Some(Verdict { status, word: word.into() })
}

fn add_document<'a>(person: &mut Person<'a>, document: &'a Document<'a>) {
    person.document_type = document.kind.get().map(|kind| document_type(kind, document.within.get()));
    person.document_subtype = document.within.pick().or_else(|| document.kind.pick());
    person.document_number = given(&document.number);
    person.personal_number = given(&document.personal_number);
    person.first_name = given(&document.first_name);
    person.last_name = given(&document.last_name);
    person.date_of_birth = given(&document.dob);
    person.gender = given(&document.gender);
    person.nationality = given(&document.nationality);
    person.place_of_birth = given(&document.place_of_birth);
    person.issuing_state = given(&document.country);
    person.date_of_issue = given(&document.issuing_date);
    person.expiration_date = given(&document.expiry);
    let encoded = document.address.encoded();
    let Address { formatted, line1, line2, city, subdivision, postal_code, country, .. } =
        document.address.decoded(&encoded).read();
    let parts = [&line1, &line2, &city, &subdivision, &postal_code, &country].map(Leaf::get);
    person.address = formatted.get().map(str::to_owned).or_else(|| joined(parts)).map(Cow::Owned);
    person.document_status = document.status.get().map(|word| match fold(word).as_str() {
        "approvedverified" => FeatureStatus::Approved,
        "noiduploaded" => FeatureStatus::NotFinished,
        _ => FeatureStatus::Declined,
    });
}

fn add_identity(person: &mut Person<'_>, identity: &Identity<'_>) {
    person.face_match_status = identity.similarity.get().map(|word| match fold(word).as_str() {
        "match" => FeatureStatus::Approved,
        "nomatch" | "notmatch" => FeatureStatus::Declined,
        _ => FeatureStatus::NotFinished,
    });
    person.liveness_status = match identity.validity.get() {
        Some("true") => Some(FeatureStatus::Approved),
        Some("false") => Some(FeatureStatus::Declined),
        _ => None,
    };
}
