//! Workflow executions of the Jumio platform.

use std::borrow::Cow;

use super::{document_type, given};
use crate::{
    adapters::{
        draft::Draft,
        metadata::{self, Metadata},
        normal::{self, Verdict, fold, joined},
        person::{Person, no_id, no_verdict},
        registry::Export,
        shape::{self, Leaf, List, Part, Raw, shape},
    },
    canonical::status::{FeatureStatus, SessionStatus},
    domain::issue::{Issue, IssueCode},
};

shape! {
    /// An execution, or a callback about one.
    struct Execution {
        workflow: Workflow = "workflow" | "workflowExecution",
        user_reference: Leaf = "userReference",
        account: Account = "account",
        created_at: Leaf = "createdAt",
        completed_at: Leaf = "completedAt",
        callback_sent_at: Leaf = "callbackSentAt",
        wiped_out_at: Leaf = "wipedOutAt",
        decision: Decision = "decision",
        feedback: Feedback = "feedback",
        credentials: List<Credential> = "credentials",
        capabilities: Capabilities = "capabilities",
    }

    /// What was executed.
    struct Workflow {
        id: Leaf = "id",
        status: Leaf = "status",
        definition: Leaf = "definitionKey",
        user_reference: Leaf = "userReference",
        internal_reference: Leaf = "customerInternalReference",
    }

    /// Whose data it is about.
    struct Account { id: Leaf = "id" }

    /// A decision.
    struct Decision { kind: Leaf = "type", details: Details = "details", risk: Risk = "risk" }

    /// Why.
    struct Details { label: Leaf = "label" }

    /// How bad.
    struct Risk { score: Leaf = "score" }

    /// What the customer said of it later.
    struct Feedback { status: Leaf = "status", reason: Leaf = "reason" }

    /// Something that was handed in.
    struct Credential { category: Leaf = "category", ip: Leaf = "clientIp", parts: List<CredentialPart> = "parts" }

    /// A part of it, which only Jumio's own client can fetch.
    struct CredentialPart { classifier: Leaf = "classifier", href: Leaf = "href" }

    /// What ran.
    struct Capabilities {
        usability: List<Capability> = "usability",
        image_checks: List<Capability> = "imageChecks",
        extraction: List<Extraction> = "extraction",
        data_checks: List<Capability> = "dataChecks",
        liveness: List<Capability> = "liveness",
        similarity: List<Capability> = "similarity",
        watchlist: List<Capability> = "watchlistScreening",
        address: List<Capability> = "addressValidation",
        residency: List<Capability> = "proofOfResidency",
    }

    /// One of them.
    struct Capability { decision: Decision = "decision", data: Raw = "data" }

    /// Reading a document.
    struct Extraction { decision: Decision = "decision", data: Document = "data" }

    /// What was read.
    struct Document {
        kind: Leaf = "type",
        within: Leaf = "subType",
        country: Leaf = "issuingCountry",
        first_name: Leaf = "firstName",
        last_name: Leaf = "lastName",
        date_of_birth: Leaf = "dateOfBirth",
        expiry_date: Leaf = "expiryDate",
        issuing_date: Leaf = "issuingDate",
        number: Leaf = "documentNumber",
        personal_number: Leaf = "personalNumber",
        gender: Leaf = "gender",
        nationality: Leaf = "nationality",
        place_of_birth: Leaf = "placeOfBirth",
        address: Address = "address",
    }

    /// An address on it.
    struct Address {
        formatted: Leaf = "formattedAddress",
        line1: Leaf = "line1",
        line2: Leaf = "line2",
        city: Leaf = "city",
        subdivision: Leaf = "subdivision",
        postal_code: Leaf = "postalCode",
        country: Leaf = "country",
    }
}

/// Reads an execution. A callback that one was processed says nothing of how.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let record = shape::read::<Execution<'_>>(export.record, draft);
    let Execution { workflow, capabilities, .. } = &record;
    let is_processed = workflow.status.get().map(fold).as_deref() == Some("processed");
    if record.callback_sent_at.get().is_some() && is_processed && !record.decision.is_there() {
        let message = "the callback holds no verdict; export the workflow execution that it names";
        return Err(Issue::of_record(IssueCode::InvalidValue, message));
    }
    let verdict = verdict_of(&record);
    let none = Document::default();
    let document = primary(capabilities).unwrap_or(&none);
    let mut metadata = Metadata::default();
    let mut users = [&workflow.user_reference, &record.user_reference, &workflow.internal_reference];
    if export.native.options.jumio_internal_reference_is_vendor_data {
        users.rotate_right(1);
    }
    let mut person = Person {
        external_id: workflow.id.pick(),
        vendor_data: users.into_iter().find_map(Leaf::pick),
        status: verdict.as_ref().map(|verdict| draft.judge(verdict)),
        created_at: record.created_at.pick(),
        completed_at: record.completed_at.pick().or_else(|| record.callback_sent_at.pick()),
        ..Person::default()
    };
    person.source_status = verdict.map(|verdict| verdict.word);
    add_document(&mut person, document);
    tell_documents(capabilities, document, &mut metadata);
    if record.decision.details.label.get() == Some("TECHNICAL_ERROR") {
        draft.warn(IssueCode::NoVerdict, "status", "the provider could not decide for a fault of its own");
    }
    add_checks(&mut person, capabilities, &mut metadata);
    if record.wiped_out_at.get().is_some() {
        draft.warn(IssueCode::DataWiped, "", "the provider had wiped out the data of the record");
        metadata.flag("source_wiped", true);
    }
    if let Some(feedback) = record.feedback.status.get() {
        metadata.reason(format!("customer_feedback:{feedback}"));
    }
    for (key, text) in [
        ("user_reference", workflow.user_reference.get().or(record.user_reference.get())),
        ("customer_internal_reference", workflow.internal_reference.get()),
        ("definition_key", workflow.definition.get()),
        ("account_id", record.account.id.get()),
        ("risk_score", record.decision.risk.score.get()),
        ("decision_label", record.decision.details.label.get()),
        ("feedback_reason", record.feedback.reason.get()),
        ("client_ip", record.credentials.iter().find_map(|credential| credential.ip.get())),
    ] {
        metadata.text(key, text);
    }
    for credential in record.credentials.iter() {
        for part in credential.parts.iter() {
            metadata.media(&[
                ("kind", credential.category.get()),
                ("side", part.classifier.get()),
                ("url", part.href.get().map(normal::without_query)),
            ]);
        }
    }
    let result = match (&person.external_id, person.status) {
        (None, _) => Err(no_id("workflow.id")),
        (_, None) => Err(no_verdict("decision.type and no workflow.status")),
        _ => Ok(()),
    };
    person.write(metadata, export, draft);
    result
}

/// The verdict: of what was never processed its state, else the decision, else what all checks together
/// say, of old records that have no decision.
fn verdict_of<'a>(record: &'a Execution<'_>) -> Option<Verdict<'a>> {
    let state = record.workflow.status.get();
    let of_state = match state.map(fold).as_deref() {
        Some("sessionexpired" | "tokenexpired" | "initiated" | "acquisitionstarted") => {
            Some(SessionStatus::Expired)
        }
        Some("acquired") => Some(SessionStatus::InReview),
        _ => None,
    };
    if let (Some(status), Some(word)) = (of_state, state) {
        return Some(Verdict { status: Some(status), word: word.into() });
    }
    if let Some(word) = record.decision.kind.get() {
        return Some(Verdict { status: decided(word), word: word.into() });
    }
    let word = state?;
    let status = (fold(word) == "processed").then(|| derived(&record.capabilities));
    Some(Verdict { status, word: word.into() })
}

fn decided(word: &str) -> Option<SessionStatus> {
    Some(match fold(word).as_str() {
        "passed" => SessionStatus::Approved,
        "rejected" => SessionStatus::Declined,
        "warning" => SessionStatus::InReview,
        "notexecuted" => SessionStatus::Expired,
        _ => return None,
    })
}

/// What all checks together say: approved only where every one of them passed, of those that tell who somebody
/// is, and none of the others said anything else.
fn derived(capabilities: &Capabilities<'_>) -> SessionStatus {
    let is_beside =
        |name: &str| matches!(name, "watchlistScreening" | "addressValidation" | "proofOfResidency");
    let all: Vec<_> = named(capabilities)
        .flat_map(|(name, decisions)| decisions.into_iter().map(move |decision| (name, feature(decision))))
        .filter(|(name, status)| !is_beside(name) || *status != FeatureStatus::NotFinished)
        .map(|(_, status)| status)
        .collect();
    let any = |status: FeatureStatus| all.contains(&status);
    if any(FeatureStatus::Declined) {
        SessionStatus::Declined
    } else if any(FeatureStatus::InReview) {
        SessionStatus::InReview
    } else if any(FeatureStatus::Approved) {
        if any(FeatureStatus::NotFinished) { SessionStatus::InReview } else { SessionStatus::Approved }
    } else {
        SessionStatus::Expired
    }
}

fn feature(decision: &Decision<'_>) -> FeatureStatus {
    match decision.kind.get().and_then(decided) {
        Some(SessionStatus::Expired) | None => FeatureStatus::NotFinished,
        Some(status) => status.as_feature(),
    }
}

/// Decisions by the name of the check.
fn named<'a>(of: &'a Capabilities<'a>) -> impl Iterator<Item = (&'static str, Vec<&'a Decision<'a>>)> {
    let lists = [
        ("usability", &of.usability),
        ("imageChecks", &of.image_checks),
        ("dataChecks", &of.data_checks),
        ("liveness", &of.liveness),
        ("similarity", &of.similarity),
        ("watchlistScreening", &of.watchlist),
        ("addressValidation", &of.address),
        ("proofOfResidency", &of.residency),
    ];
    let decisions = |list: &'a List<'a, Capability<'a>>| list.iter().map(|one| &one.decision).collect();
    let extraction = ("extraction", of.extraction.iter().map(|one| &one.decision).collect());
    lists.map(|(name, list)| (name, decisions(list))).into_iter().chain([extraction])
}

/// The first document that was read well, and better one with a number.
fn primary<'a>(capabilities: &'a Capabilities<'a>) -> Option<&'a Document<'a>> {
    let read = |one: &&'a Extraction<'a>| {
        feature(&one.decision) == FeatureStatus::Approved && one.data.kind.get().is_some()
    };
    let all = || capabilities.extraction.iter();
    let best = all().filter(read).find(|one| one.data.number.get().is_some());
    best.or_else(|| all().find(read)).or_else(|| all().next()).map(|one| &one.data)
}

/// Documents beside the one that tells who somebody is.
fn tell_documents(capabilities: &Capabilities<'_>, primary: &Document<'_>, metadata: &mut Metadata) {
    let others = capabilities.extraction.iter().map(|one| &one.data);
    let others = others.filter(|other| !std::ptr::eq(*other, primary)).filter_map(|other| {
        metadata::object(&[
            ("type", other.kind.get()),
            ("number", other.number.get()),
            ("country", other.country.get()),
            ("valid_until", other.expiry_date.get()),
        ])
    });
    metadata.list("other_documents", others);
}

fn add_document<'a>(person: &mut Person<'a>, document: &'a Document<'a>) {
    let kind = document.kind.get();
    person.document_type = kind.map(|kind| document_type(kind, document.within.get()));
    person.document_subtype = document.within.pick().or_else(|| document.kind.pick());
    person.document_number = given(&document.number);
    person.personal_number = given(&document.personal_number);
    person.first_name = given(&document.first_name);
    person.last_name = given(&document.last_name);
    person.date_of_birth = given(&document.date_of_birth);
    person.gender = given(&document.gender);
    person.nationality = given(&document.nationality);
    person.place_of_birth = given(&document.place_of_birth);
    person.issuing_state = given(&document.country);
    person.date_of_issue = given(&document.issuing_date);
    person.expiration_date = given(&document.expiry_date);
    let Address { formatted, line1, line2, city, subdivision, postal_code, country, .. } = &document.address;
    let parts = [line1, line2, city, subdivision, postal_code, country].map(Leaf::get);
    person.address = formatted.pick().or_else(|| joined(parts).map(Cow::Owned));
}

fn add_checks(person: &mut Person<'_>, of: &Capabilities<'_>, metadata: &mut Metadata) {
    let status = |names: &[&str]| {
        let of_names =
            named(of).filter(|(name, _)| names.contains(name)).flat_map(|(_, decisions)| decisions);
        normal::worst(of_names.map(feature))
    };
    person.document_status = status(&["usability", "imageChecks", "dataChecks", "extraction"]);
    person.liveness_status = status(&["liveness"]);
    person.face_match_status = status(&["similarity"]);
    let alert = of.watchlist.iter().any(|one| one.decision.details.label.get() == Some("ALERT"));
    let aml = if alert { Some(FeatureStatus::InReview) } else { status(&["watchlistScreening"]) };
    let address = status(&["proofOfResidency", "addressValidation"]);
    metadata.texts(
        "checks",
        &[("aml", aml.map(FeatureStatus::as_str)), ("proof_of_address", address.map(FeatureStatus::as_str))],
    );
    for (name, decisions) in named(of) {
        for decision in decisions.into_iter().filter(|one| feature(one) != FeatureStatus::Approved) {
            let label = decision.details.label.get();
            if let Some(label) = label.filter(|label| *label != "PRECONDITION_NOT_FULFILLED") {
                metadata.reason(format!("{name}:{label}"));
            }
        }
    }
    if let Some(found) = of.watchlist.iter().find_map(|one| one.data.dig(&["searchResults"]).text()) {
        metadata.text("watchlist_results", Some(&found));
    }
}
