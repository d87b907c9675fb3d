//! User verifications (contract §2.1).

use super::reader::{Reader, TEXT_CHARS};
use crate::{
    canonical::{
        arena::Text,
        cell::Cell,
        country,
        document::{DocumentType, Gender, MaritalStatus},
        object_writer::ObjectWriter,
        scalar,
        status::{FeatureStatus, SessionStatus},
        user_verification::{MediaLink, UserField, UserVerification, detail},
    },
    domain::media::{MediaSlot, without_query},
};

/// Reads a user verification; what has no column is written to `details` first.
pub(super) fn read(reader: &mut Reader<'_>, details: &mut String) -> UserVerification {
    let mut record = UserVerification::default();
    let mut writer = ObjectWriter::new(details);
    for &cell in reader.cells {
        read_field(&mut record, reader, cell, &mut writer);
    }
    writer.close();
    record.details = (!details.is_empty()).then(|| reader.arena.push(details));
    reader.require(!record.external_id.is_empty(), UserField::ExternalId.id());
    record
}

fn read_field(
    record: &mut UserVerification,
    reader: &mut Reader<'_>,
    cell: Cell,
    details: &mut ObjectWriter<'_>,
) {
    use UserField as F;
    match F::of(cell.field) {
        F::ExternalId => record.external_id = reader.text(cell, TEXT_CHARS).unwrap_or_default(),
        F::Provider => record.provider = reader.provider(cell),
        F::VendorData => record.vendor_data = reader.text(cell, TEXT_CHARS),
        F::Status => record.status = reader.word(cell, SessionStatus::parse),
        F::CreatedAt => record.created_at = reader.past_timestamp(cell),
        F::ExpiresAt => record.expires_at = reader.timestamp(cell),
        F::DocumentType => record.document_type = reader.word(cell, DocumentType::parse),
        F::DocumentSubtype => record.document_subtype = reader.text(cell, 128),
        F::DocumentNumber => record.document_number = reader.text(cell, TEXT_CHARS),
        F::PersonalNumber => record.personal_number = reader.text(cell, TEXT_CHARS),
        F::FirstName => record.first_name = reader.text(cell, TEXT_CHARS),
        F::LastName => record.last_name = reader.text(cell, TEXT_CHARS),
        F::FullName => record.full_name = reader.text(cell, 512),
        F::DateOfBirth => record.date_of_birth = reader.past_date(cell),
        F::Gender => record.gender = reader.word(cell, Gender::parse),
        F::Nationality => record.nationality = reader.text(cell, 32),
        F::IssuingState => record.issuing_state = reader.word(cell, country::parse_alpha3),
        F::DateOfIssue => record.date_of_issue = reader.date(cell),
        F::ExpirationDate => record.expiration_date = reader.date(cell),
        F::Address => record.address = reader.text(cell, TEXT_CHARS),
        F::PlaceOfBirth => record.place_of_birth = reader.text(cell, TEXT_CHARS),
        F::IdVerificationStatus => {
            // A document is never asked for again (contract §3).
            let parse = |word: &str| {
                FeatureStatus::parse(word).filter(|status| *status != FeatureStatus::ResubRequested)
            };
            record.id_verification_status = reader.word(cell, parse);
        }
        F::Email => record.email = reader.email(cell),
        F::Phone => {
            record.phone = reader.shaped(cell, scalar::is_phone, "is not a phone number in E.164 form");
        }
        F::Metadata => record.metadata = reader.object(cell),
        _ => read_detail(reader, cell, details),
    }
}

fn read_detail(reader: &mut Reader<'_>, cell: Cell, details: &mut ObjectWriter<'_>) {
    use UserField as F;
    match F::of(cell.field) {
        F::MaritalStatus => {
            if let Some(status) = reader.word(cell, MaritalStatus::parse) {
                details.word(detail::MARITAL_STATUS, status.as_str());
            }
        }
        F::ParsedAddress => raw(reader.object(cell), detail::PARSED_ADDRESS, reader, details),
        F::ExtraFields => raw(reader.object(cell), detail::EXTRA_FIELDS, reader, details),
        F::Tags => raw(reader.tags(cell), detail::TAGS, reader, details),
        F::LivenessScore => raw(reader.score(cell), detail::LIVENESS_SCORE, reader, details),
        F::FaceMatchScore => raw(reader.score(cell), detail::FACE_MATCH_SCORE, reader, details),
        F::LivenessStatus => status(detail::LIVENESS_STATUS, reader, cell, details),
        F::FaceMatchStatus => status(detail::FACE_MATCH_STATUS, reader, cell, details),
        F::FrontImageUrl => link(MediaSlot::FrontImage, reader, cell, details),
        F::BackImageUrl => link(MediaSlot::BackImage, reader, cell, details),
        F::PortraitImageUrl => link(MediaSlot::PortraitImage, reader, cell, details),
        F::SelfieImageUrl => link(MediaSlot::SelfieImage, reader, cell, details),
        F::FrontVideoUrl => link(MediaSlot::FrontVideo, reader, cell, details),
        F::BackVideoUrl => link(MediaSlot::BackVideo, reader, cell, details),
        F::LivenessVideoUrl => link(MediaSlot::LivenessVideo, reader, cell, details),
        _ => {}
    }
}

fn raw(json: Option<Text>, key: &str, reader: &Reader<'_>, details: &mut ObjectWriter<'_>) {
    if let Some(json) = json {
        details.raw(key, reader.arena.get(json));
    }
}

fn status(key: &str, reader: &mut Reader<'_>, cell: Cell, details: &mut ObjectWriter<'_>) {
    if let Some(status) = reader.word(cell, FeatureStatus::parse) {
        details.word(key, status.as_str());
    }
}

/// Keeps that there is a link, and the link itself for whoever fetches it: its query may hold a token.
fn link(slot: MediaSlot, reader: &mut Reader<'_>, cell: Cell, details: &mut ObjectWriter<'_>) {
    if let Some(url) = reader.url(cell) {
        details.text(slot.as_str(), without_query(reader.arena.get(url)));
        reader.links.push(MediaLink { slot, url });
    }
}
