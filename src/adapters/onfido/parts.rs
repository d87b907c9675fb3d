//! The parts of an Onfido verification, and what a person's record takes from each: what was read off a
//! document for the document's fields, what somebody said of themselves for how to reach them.

use std::borrow::Cow;

use super::shapes::{Address, Applicant, Node, Properties, Report};
use crate::{
    adapters::{
        metadata::Metadata,
        normal::{self, fold, joined},
        person::{Person, Pick},
        shape::{Leaf, Part, Raw},
    },
    canonical::{document::DocumentType, status::FeatureStatus},
};

/// Reports by what they are about.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    pub(super) document: Option<Report<'a>>,
    pub(super) face: Option<Report<'a>>,
    pub(super) address: Option<Report<'a>>,
    pub(super) watchlists: Vec<Report<'a>>,
    pub(super) known_faces: Option<Report<'a>>,
    /// What a form of a workflow was filled in with.
    pub(super) capture: Applicant<'a>,
}

impl<'a> Parts<'a> {
    /// Sorts the reports of a check, which have names.
    pub(super) fn of_reports(raws: impl Iterator<Item = Report<'a>>) -> Self {
        let mut parts = Self::default();
        for report in raws {
            match report.name.get().unwrap_or_default() {
                "known_faces" => parts.known_faces = Some(report),
                "proof_of_address" => parts.address = Some(report),
                // Several are tries at one document: that with data tells more.
                name if name.starts_with("document")
                    && (parts.document.is_none() || report.properties.is_there()) =>
                {
                    parts.document = Some(report);
                }
                name if name.starts_with("facial_similarity") => parts.face = Some(report),
                name if name.starts_with("watchlist") => parts.watchlists.push(report),
                _ => {}
            }
        }
        parts
    }

    /// Sorts the output of a workflow, whose keys are anybody's, by what its parts look like.
    pub(super) fn of_output(output: Raw<'a>) -> Self {
        let mut parts = Self::default();
        for (_, raw) in output.top().members() {
            let report: Report<'a> = raw.read();
            let has = |key: &str| report.breakdown.dig(&[key]).get().is_some();
            let properties = &report.properties;
            if properties.issuer.get().is_some() || properties.issue_date.get().is_some() {
                parts.address = Some(report);
            } else if properties.document_type.get().is_some()
                && (report.sub_result.get().is_some() || report.breakdown.get().is_some())
            {
                parts.document = Some(report);
            } else if has("face_comparison") || has("spoofing_detection") || properties.score.get().is_some()
            {
                parts.face = Some(report);
            } else {
                let form: Applicant<'a> = raw.read();
                if form.first_name.get().is_some() && form.dob.get().is_some() {
                    parts.capture = form;
                }
            }
        }
        parts
    }

    /// Whether the document was called false or suspected to be.
    pub(super) fn is_document_refused(&self) -> bool {
        let sub_result = self.document.as_ref().and_then(|report| report.sub_result.get());
        sub_result.is_some_and(|word| matches!(fold(word).as_str(), "rejected" | "suspected"))
    }

    /// Fills in what the parts and the applicant tell.
    pub(super) fn fill<'p>(
        &'p self,
        person: &mut Person<'p>,
        applicant: &'p Applicant<'p>,
        metadata: &mut Metadata,
    ) {
        if let Some(report) = &self.document {
            add_document(person, &report.properties);
            person.document_status = Some(report_status(report));
        }
        for said in [&self.capture, applicant] {
            or(&mut person.first_name, &[&said.first_name]);
            or(&mut person.last_name, &[&said.last_name]);
            or(&mut person.date_of_birth, &[&said.dob]);
            or(&mut person.nationality, &[&said.nationality]);
        }
        for said in [applicant, &self.capture] {
            or(&mut person.email, &[&said.email]);
            or(&mut person.phone, &[&said.phone]);
            person.address = person.address.take().or_else(|| address(&said.address).map(Cow::Owned));
        }
        for report in [&self.document, &self.address].into_iter().flatten() {
            or(&mut person.address, &[&report.properties.address]);
        }
        if let Some(face) = &self.face {
            add_face(person, face);
        }
        self.tell(metadata);
    }

    fn tell(&self, metadata: &mut Metadata) {
        let single = [&self.document, &self.face, &self.address, &self.known_faces].into_iter().flatten();
        for report in single.chain(&self.watchlists) {
            if let Some(sub_result) = report.sub_result.get().filter(|word| *word != "clear") {
                metadata.reason(format!("sub_result:{sub_result}"));
            }
            tell_breakdown("", report.breakdown, 4, metadata);
        }
        if self.known_faces.as_ref().is_some_and(|report| report.result.get() == Some("consider")) {
            metadata.reason("KNOWN_FACE");
        }
        let address = self.address.as_ref().map(report_status);
        let aml = normal::worst(self.watchlists.iter().map(report_status));
        metadata.texts(
            "checks",
            &[
                ("proof_of_address", address.map(FeatureStatus::as_str)),
                ("aml", aml.map(FeatureStatus::as_str)),
            ],
        );
    }
}

/// Fills what is empty yet with the first of these that says anything.
fn or<'p>(pick: &mut Pick<'p>, leaves: &[&'p Leaf<'p>]) {
    if pick.as_deref().and_then(normal::name).is_none() {
        *pick = leaves.iter().find_map(|leaf| leaf.pick());
    }
}

fn add_document<'p>(person: &mut Person<'p>, read: &'p Properties<'p>) {
    let known = |leaf: &'p Leaf<'p>| leaf.pick().filter(|word| word != "unknown");
    let kind = known(&read.document_type).or_else(|| known(&read.class.document_type));
    person.document_type = kind.as_deref().map(|kind| normal::document(kind).unwrap_or(DocumentType::Other));
    person.document_subtype = kind;
    person.first_name = normal::spaced([read.first_name.get(), read.middle_name.get()]);
    or(&mut person.last_name, &[&read.last_name]);
    or(&mut person.date_of_birth, &[&read.date_of_birth]);
    or(&mut person.gender, &[&read.gender]);
    or(&mut person.nationality, &[&read.nationality]);
    or(&mut person.place_of_birth, &[&read.place_of_birth]);
    let number = |kind: &str| {
        let numbers = read.document_numbers.iter();
        numbers.filter(|number| number.kind.get() == Some(kind)).find_map(|number| number.value.pick())
    };
    person.document_number = number("document_number").or_else(|| read.document_number.pick());
    person.personal_number = read.personal_number.pick().or_else(|| number("personal_number"));
    or(&mut person.issuing_state, &[&read.issuing_country, &read.class.issuing_country]);
    or(&mut person.date_of_issue, &[&read.issuing_date, &read.valid_from]);
    or(&mut person.expiration_date, &[&read.date_of_expiry]);
    if let Some(barcode) = read.barcode.first() {
        or(&mut person.first_name, &[&barcode.first_name]);
        or(&mut person.last_name, &[&barcode.last_name]);
        or(&mut person.date_of_birth, &[&barcode.date_of_birth]);
        or(&mut person.expiration_date, &[&barcode.date_of_expiry]);
        or(&mut person.gender, &[&barcode.gender]);
        or(&mut person.document_number, &[&barcode.document_number]);
    }
}

/// Scores of faces lie between 0 and 1.
fn add_face(person: &mut Person<'_>, face: &Report<'_>) {
    let score = |path: &[&str]| face.breakdown.dig(path).text().and_then(|token| normal::percent(&token));
    person.face_match_status = Some(report_status(face));
    person.face_match_score = score(&["face_comparison", "breakdown", "face_match", "properties", "score"])
        .or_else(|| normal::percent(face.properties.score.get()?))
        .map(Cow::Owned);
    let genuine = face.breakdown.dig(&["visual_authenticity", "result"]).text();
    person.liveness_status = genuine.map(|word| result_status(&word));
    person.liveness_score =
        score(&["visual_authenticity", "breakdown", "spoofing_detection", "properties", "score"])
            .map(Cow::Owned);
}

/// Where a report stands.
fn report_status(report: &Report<'_>) -> FeatureStatus {
    match (report.result.get(), report.sub_result.get()) {
        (Some("consider"), Some("rejected" | "suspected")) => FeatureStatus::Declined,
        (Some(result), _) => result_status(result),
        (None, _) => match report.status.get() {
            Some("cancelled" | "withdrawn") => FeatureStatus::Expired,
            _ => FeatureStatus::NotFinished,
        },
    }
}

fn result_status(result: &str) -> FeatureStatus {
    match result {
        "clear" => FeatureStatus::Approved,
        "consider" | "unidentified" => FeatureStatus::InReview,
        _ => FeatureStatus::NotFinished,
    }
}

/// Paths of a breakdown whose result is not clear, and what stands out beneath them.
fn tell_breakdown(path: &str, breakdown: Raw<'_>, depth: usize, metadata: &mut Metadata) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for (key, raw) in breakdown.top().members() {
        let node: Node<'_> = raw.read();
        let path = if path.is_empty() { key.into_owned() } else { format!("{path}.{key}") };
        if node.result.get().is_some_and(|result| result != "clear") {
            metadata.reason(path.clone());
            for (property, raw) in node.properties.top().members() {
                let is_odd = raw.text().is_some_and(|word| matches!(&*word, "consider" | "unidentified"));
                if is_odd {
                    metadata.reason(format!("{path}.{property}"));
                }
            }
        }
        tell_breakdown(&path, node.breakdown, depth, metadata);
    }
}

fn address(address: &Address<'_>) -> Option<String> {
    let lines = joined([&address.line1, &address.line2, &address.line3].map(Leaf::get));
    let street = [&address.flat, &address.name, &address.number, &address.street].map(Leaf::get);
    let street = lines.or_else(|| normal::spaced(street).map(Cow::into_owned));
    let rest = [&address.sub_street, &address.town, &address.state, &address.postcode, &address.country];
    joined([street.as_deref()].into_iter().chain(rest.map(Leaf::get)))
}
