//! Veriff: decisions, full-auto webhooks, session events, and a decision joined with its media and
//! watchlist hits.

mod full_auto;

use super::{
    draft::Draft,
    metadata::Metadata,
    normal::{self, Verdict, fold},
    person::{Person, no_id, no_verdict},
    registry::Export,
    shape::{self, Leaf, List, Part, Raw, shape},
};
use crate::{
    canonical::{
        document::DocumentType,
        status::{FeatureStatus, SessionStatus},
    },
    domain::{
        import::{ImportType, ProviderOptions},
        issue::{Issue, IssueCode},
    },
};

shape! {
    /// A decision with what its customer has fetched besides.
    struct Bundle { decision: Decision = "decision", media: Media = "media", watchlist: Watchlist = "watchlist" }

    /// A decision, or an event of a session that has none yet.
    struct Decision {
        verification: Verification = "verification",
        technical: Technical = "technicalData",
        id: Leaf = "id",
        attempt_id: Leaf = "attemptId",
        code: Leaf = "code",
        action: Leaf = "action",
        vendor_data: Leaf = "vendorData",
        end_user_id: Leaf = "endUserId",
    }

    /// The session and its outcome.
    struct Verification {
        id: Leaf = "id",
        attempt_id: Leaf = "attemptId",
        status: Leaf = "status",
        code: Leaf = "code",
        reason: Leaf = "reason",
        reason_code: Leaf = "reasonCode",
        vendor_data: Leaf = "vendorData",
        end_user_id: Leaf = "endUserId",
        acceptance_time: Leaf = "acceptanceTime",
        decision_time: Leaf = "decisionTime",
        person: Holder = "person",
        document: Document = "document",
        insights: List<Insight> = "insights",
        risk_score: Raw = "riskScore",
        risk_labels: List<RiskLabel> = "riskLabels",
        additional: Raw = "additionalVerifiedData",
        comments: Raw = "comments",
    }

    /// Whose document it is.
    struct Holder {
        first_name: Leaf = "firstName",
        last_name: Leaf = "lastName",
        date_of_birth: Leaf = "dateOfBirth",
        year_of_birth: Leaf = "yearOfBirth",
        place_of_birth: Leaf = "placeOfBirth",
        nationality: Leaf = "nationality",
        citizenship: Leaf = "citizenship",
        gender: Leaf = "gender",
        id_number: Leaf = "idNumber",
        address: Leaf = "address",
        addresses: List<Address> = "addresses",
        pep: Leaf = "pepSanctionMatch",
    }

    /// An address as it was printed.
    struct Address { full: Leaf = "fullAddress" }

    /// The document.
    struct Document {
        kind: Leaf = "type",
        number: Leaf = "number",
        country: Leaf = "country",
        valid_from: Leaf = "validFrom",
        valid_until: Leaf = "validUntil",
        first_issue: Leaf = "firstIssue",
        issued_by: Leaf = "issuedBy",
        place_of_issue: Leaf = "placeOfIssue",
    }

    /// A question and its answer.
    struct Insight { label: Leaf = "label", result: Leaf = "result" }

    /// What looked odd.
    struct RiskLabel { label: Leaf = "label" }

    /// Where it came from.
    struct Technical { ip: Leaf = "ip" }

    /// Pictures and films, which only Veriff's own client can fetch.
    struct Media { images: List<Picture> = "images", videos: List<Picture> = "videos" }

    /// One of them.
    struct Picture {
        id: Leaf = "id",
        context: Leaf = "context",
        mimetype: Leaf = "mimetype",
        url: Leaf = "url",
    }

    /// Hits on watchlists.
    struct Watchlist {
        session_id: Leaf = "sessionId",
        matches: Leaf = "matchStatus",
        hits: Raw = "hits",
        total: Leaf = "totalHits",
    }
}

/// Reads a record of Veriff's.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    let top = &export.top;
    let decided = |top: &shape::Top<'_>| {
        top.object("verification").is_some_and(|inner| inner.has("vendorData") || inner.has("code"))
            || (top.has("verification") && top.get("verification").get().is_none() && top.has("status"))
    };
    let is_bundle = top.object("decision").is_some_and(|decision| decision.has("verification"));
    let is_event = top.has("feature") && top.has("action") && top.has("code");
    if top.get("eventType").text().as_deref() == Some("fullauto") && top.has("sessionId") {
        return Some(full_auto::read(export, draft));
    }
    if top.has("checkType") && top.has("matchStatus") {
        let message = "the webhook is about a watchlist; join it to the decision as its member watchlist";
        return Some(Err(Issue::of_record(IssueCode::InvalidValue, message)));
    }
    if !is_bundle && !is_event && !decided(top) {
        return None;
    }
    Some(read_decision(export, is_bundle, draft))
}

fn read_decision(export: &Export<'_>, is_bundle: bool, draft: &mut Draft<'_>) -> Result<(), Issue> {
    export.must_be(ImportType::UserVerification, "a verification of a person")?;
    let bundle = if is_bundle {
        shape::read::<Bundle<'_>>(export.record, draft)
    } else {
        let decision = shape::read::<Decision<'_>>(export.record, draft);
        Bundle { decision, ..Bundle::default() }
    };
    let Decision { verification, .. } = &bundle.decision;
    let mut metadata = Metadata::default();
    let mut person = Person {
        external_id: session_id(&bundle).map(Into::into),
        vendor_data: first([
            &verification.vendor_data,
            &verification.end_user_id,
            &bundle.decision.vendor_data,
            &bundle.decision.end_user_id,
        ]),
        ..Person::default()
    };
    let verdict = verdict_of(&bundle.decision, &export.native.options);
    let result = match (&person.external_id, &verdict) {
        (None, _) => Err(no_id("verification.id")),
        (_, None) if verification.is_there() => Err(no_verdict("verification.status and no code")),
        _ => Ok(()),
    };
    let status = match &verdict {
        Some(verdict) => draft.judge(verdict),
        None => {
            draft.warn_of_outcome(
                IssueCode::NoVerdict,
                "there was no decision yet",
                "the session is Expired",
            );
            SessionStatus::Expired
        }
    };
    person.status = Some(status);
    person.source_status = verdict.map(|verdict| verdict.word);
    person.created_at = verification.acceptance_time.pick();
    person.completed_at = verification.decision_time.pick();
    add_holder(&mut person, &verification.person, &mut metadata);
    add_document(&mut person, &verification.document, &mut metadata);
    let insights = verification.insights.iter().map(|insight| (insight.label.get(), insight.result.get()));
    add_insights(&mut person, insights, &mut metadata);
    if verification.insights.is_empty() && verification.document.is_there() {
        person.document_status = Some(status.as_feature());
    }
    add_reasons(verification, &mut metadata);
    metadata.text("attempt_id", first([&verification.attempt_id, &bundle.decision.attempt_id]).as_deref());
    metadata.text("end_user_id", verification.end_user_id.get());
    metadata.text("ip", bundle.decision.technical.ip.get());
    metadata.raw("risk_score", verification.risk_score.get());
    metadata.raw("additional_verified_data", verification.additional.get());
    metadata.raw("comments", verification.comments.get());
    add_aml(verification, &bundle.watchlist, &mut metadata);
    for picture in bundle.media.images.iter().chain(bundle.media.videos.iter()) {
        metadata.media(&[
            ("kind", picture.context.get()),
            ("id", picture.id.get()),
            ("type", picture.mimetype.get()),
            ("url", picture.url.get().map(normal::without_query)),
        ]);
    }
    person.write(metadata, export, draft);
    result
}

/// The session, in lower case: decisions and webhooks write it in different ones.
fn session_id(bundle: &Bundle<'_>) -> Option<String> {
    let ids = [&bundle.decision.verification.id, &bundle.decision.id, &bundle.watchlist.session_id];
    ids.into_iter().find_map(Leaf::get).map(str::to_ascii_lowercase)
}

/// The first of these that says anything.
fn first<'a>(leaves: impl IntoIterator<Item = &'a Leaf<'a>>) -> super::person::Pick<'a> {
    leaves.into_iter().find_map(Leaf::pick)
}

/// The verdict by its word, and by its number only where there is no word: one of Veriff's own pages
/// gives a number another meaning.
fn verdict_of<'a>(decision: &'a Decision<'a>, options: &ProviderOptions) -> Option<Verdict<'a>> {
    let Decision { verification, .. } = decision;
    let word = verification.status.get().or(decision.action.get());
    let word = word.or(verification.code.get()).or(decision.code.get())?;
    Some(Verdict { status: status_of(word, options), word: word.into() })
}

/// What a word or code of Veriff's means. Whoever is asked to submit again has not.
fn status_of(word: &str, options: &ProviderOptions) -> Option<SessionStatus> {
    Some(match fold(word).as_str() {
        "resubmissionrequested" | "9103" if options.veriff_resubmission_is_declined => {
            SessionStatus::Declined
        }
        "approved" | "9001" => SessionStatus::Approved,
        "declined" | "9102" => SessionStatus::Declined,
        "review" | "9121" | "submitted" | "7002" => SessionStatus::InReview,
        "resubmissionrequested"
        | "9103"
        | "expired"
        | "abandoned"
        | "9104"
        | "started"
        | "7001"
        | "created" => SessionStatus::Expired,
        _ => return None,
    })
}

fn add_holder<'a>(person: &mut Person<'a>, holder: &'a Holder<'a>, metadata: &mut Metadata) {
    person.first_name = holder.first_name.pick();
    person.last_name = holder.last_name.pick();
    person.date_of_birth = holder.date_of_birth.pick();
    person.gender = holder.gender.pick();
    person.nationality = first([&holder.nationality, &holder.citizenship]);
    person.personal_number = holder.id_number.pick();
    person.place_of_birth = holder.place_of_birth.pick();
    let printed = holder.addresses.first().and_then(|address| address.full.pick());
    person.address = printed.or_else(|| holder.address.pick());
    if holder.date_of_birth.get().is_none() {
        metadata.text("year_of_birth", holder.year_of_birth.get());
    }
    metadata.text("pep_sanction_match", holder.pep.get());
}

fn add_document<'a>(person: &mut Person<'a>, document: &'a Document<'a>, metadata: &mut Metadata) {
    person.document_type = document.kind.get().map(document_type);
    person.document_subtype = document.kind.pick();
    person.document_number = document.number.pick();
    person.issuing_state = document.country.pick();
    person.date_of_issue = document.valid_from.pick();
    person.expiration_date = document.valid_until.pick();
    metadata.text("first_issue", document.first_issue.get());
    metadata.text("issued_by", document.issued_by.get());
    metadata.text("place_of_issue", document.place_of_issue.get());
}

fn document_type(word: &str) -> DocumentType {
    normal::document(word).unwrap_or(DocumentType::Other)
}

/// Answers about the document, the living person and the likeness make these checks' statuses; the rest
/// are kept as they are.
fn add_insights<'i>(
    person: &mut Person<'_>,
    insights: impl Iterator<Item = (Option<&'i str>, Option<&'i str>)>,
    metadata: &mut Metadata,
) {
    let (mut document, mut liveness, mut likeness) = (Vec::new(), Vec::new(), Vec::new());
    let mut others = Vec::new();
    for (label, result) in insights {
        let Some(label) = label else { continue };
        let status = match result {
            Some("yes") => FeatureStatus::Approved,
            Some("no") => FeatureStatus::Declined,
            _ => FeatureStatus::NotFinished,
        };
        if status == FeatureStatus::Declined {
            metadata.reason(format!("veriff:{label}"));
        }
        match label {
            "faceLiveness" | "faceImageAvailable" | "faceImageQualitySufficient" => liveness.push(status),
            "faceSimilarToPortrait" | "faceNotInBlocklist" => likeness.push(status),
            _ if label.starts_with("document")
                || matches!(label, "validDocumentAppearance" | "physicalDocumentPresent") =>
            {
                document.push(status);
            }
            _ => others.push((label, result)),
        }
    }
    person.document_status = normal::worst(document);
    person.liveness_status = normal::worst(liveness);
    person.face_match_status = normal::worst(likeness);
    metadata.texts("insights", &others);
}

/// Codes of reasons stand with their texts, since there are hundreds of them.
fn add_reasons(verification: &Verification<'_>, metadata: &mut Metadata) {
    if let Some(code) = verification.reason_code.get() {
        metadata.reason(format!("veriff:{code}"));
    }
    metadata.text("reason", verification.reason.get());
    if verification.status.get().map(fold).as_deref() == Some("resubmissionrequested") {
        metadata.reason("RESUBMISSION_ALLOWED");
    }
    verification
        .risk_labels
        .iter()
        .filter_map(|risk| risk.label.get())
        .for_each(|label| metadata.reason(label));
}

/// Screening of the name: what a watchlist said, or that the reason for declining was a likely hit.
fn add_aml(verification: &Verification<'_>, watchlist: &Watchlist<'_>, metadata: &mut Metadata) {
    const LIKELY_PEP: &str = "126";
    let status = match (watchlist.matches.get(), verification.reason_code.get()) {
        (Some("no_match"), _) => FeatureStatus::Approved,
        (Some("possible_match"), _) | (_, Some(LIKELY_PEP)) => FeatureStatus::InReview,
        _ => return,
    };
    metadata.texts("checks", &[("aml", Some(status.as_str()))]);
    metadata.text("watchlist_hits", watchlist.total.get());
    metadata.raw("watchlist", watchlist.hits.get());
}
