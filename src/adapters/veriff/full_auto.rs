//! Veriff's full-auto webhook, in which each value stands beside how sure it is.

use super::{add_insights, document_type, status_of};
use crate::{
    adapters::{
        draft::Draft,
        metadata::Metadata,
        normal::Verdict,
        person::{Person, no_id, no_verdict},
        registry::Export,
        shape::{self, Leaf, List, shape},
    },
    domain::{import::ImportType, issue::Issue},
};

shape! {
    /// The webhook.
    struct FullAuto {
        session_id: Leaf = "sessionId",
        attempt_id: Leaf = "attemptId",
        vendor_data: Leaf = "vendorData",
        end_user_id: Leaf = "endUserId",
        acceptance_time: Leaf = "acceptanceTime",
        time: Leaf = "time",
        data: Data = "data",
    }

    /// Its payload.
    struct Data { verification: Verification = "verification" }

    /// The outcome.
    struct Verification {
        decision: Leaf = "decision",
        score: Leaf = "decisionScore",
        person: Holder = "person",
        document: Document = "document",
        insights: List<Insight> = "insights",
    }

    /// A question and its answer.
    struct Insight { label: Leaf = "label", result: Leaf = "result" }

    /// A value.
    struct Valued { value: Leaf = "value" }

    /// Whose document it is.
    struct Holder {
        first_name: Valued = "firstName",
        last_name: Valued = "lastName",
        date_of_birth: Valued = "dateOfBirth",
        gender: Valued = "gender",
        nationality: Valued = "nationality",
        id_number: Valued = "idNumber",
        place_of_birth: Valued = "placeOfBirth",
        address: Valued = "address",
    }

    /// The document.
    struct Document {
        kind: Valued = "type",
        number: Valued = "number",
        country: Valued = "country",
        valid_from: Valued = "validFrom",
        valid_until: Valued = "validUntil",
    }
}

/// Reads a full-auto webhook.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    export.must_be(ImportType::UserVerification, "a verification of a person")?;
    let webhook = shape::read::<FullAuto<'_>>(export.record, draft);
    let Verification { decision, score, person: holder, document, insights, .. } = &webhook.data.verification;
    let word = decision.get();
    let verdict =
        word.map(|word| Verdict { status: status_of(word, &export.native.options), word: word.into() });
    let mut metadata = Metadata::default();
    let mut person = Person {
        external_id: webhook.session_id.get().map(|id| id.to_ascii_lowercase().into()),
        vendor_data: webhook.vendor_data.pick().or_else(|| webhook.end_user_id.pick()),
        status: verdict.as_ref().map(|verdict| draft.judge(verdict)),
        source_status: decision.pick(),
        created_at: webhook.acceptance_time.pick(),
        completed_at: webhook.time.pick(),
        first_name: holder.first_name.value.pick(),
        last_name: holder.last_name.value.pick(),
        date_of_birth: holder.date_of_birth.value.pick(),
        gender: holder.gender.value.pick(),
        nationality: holder.nationality.value.pick(),
        personal_number: holder.id_number.value.pick(),
        place_of_birth: holder.place_of_birth.value.pick(),
        address: holder.address.value.pick(),
        document_type: document.kind.value.get().map(document_type),
        document_subtype: document.kind.value.pick(),
        document_number: document.number.value.pick(),
        issuing_state: document.country.value.pick(),
        date_of_issue: document.valid_from.value.pick(),
        expiration_date: document.valid_until.value.pick(),
        ..Person::default()
    };
    let answers = insights.iter().map(|insight| (insight.label.get(), insight.result.get()));
    add_insights(&mut person, answers, &mut metadata);
    metadata.text("attempt_id", webhook.attempt_id.get());
    metadata.text("end_user_id", webhook.end_user_id.get());
    metadata.text("decision_score", score.get());
    let result = match (&person.external_id, word) {
        (None, _) => Err(no_id("sessionId")),
        (_, None) => Err(no_verdict("data.verification.decision")),
        _ => Ok(()),
    };
    person.write(metadata, export, draft);
    result
}
