//! The canonical verification of a person (contract §2.1). A rename of a column costs one line here.

use chrono::{DateTime, NaiveDate, Utc};

use super::{
    arena::Text,
    document::{DocumentType, Gender},
    schema::schema,
    status::{FeatureStatus, SessionStatus},
};
use crate::domain::media::MediaSlot;

schema! {
    /// Fields of a user verification.
    UserField, USER_VERIFICATION,
    required [ExternalId], keys [ExternalId], groups [],
    ExternalId = "external_id",
    Provider = "provider",
    VendorData = "vendor_data",
    Status = "status",
    CreatedAt = "created_at",
    ExpiresAt = "expires_at",
    DocumentType = "document_type",
    DocumentSubtype = "document_subtype",
    DocumentNumber = "document_number" ! sensitive,
    PersonalNumber = "personal_number" ! sensitive,
    FirstName = "first_name" ! sensitive,
    LastName = "last_name" ! sensitive,
    FullName = "full_name" ! sensitive,
    DateOfBirth = "date_of_birth" ! sensitive,
    Gender = "gender",
    Nationality = "nationality",
    IssuingState = "issuing_state",
    DateOfIssue = "date_of_issue",
    ExpirationDate = "expiration_date",
    Address = "address" ! sensitive,
    ParsedAddress = "parsed_address" / "parsed_address_json" : Json ! sensitive,
    PlaceOfBirth = "place_of_birth" ! sensitive,
    MaritalStatus = "marital_status",
    ExtraFields = "extra_fields" / "extra_fields_json" : Json ! sensitive,
    IdVerificationStatus = "id_verification_status",
    FrontImageUrl = "front_image_url",
    BackImageUrl = "back_image_url",
    PortraitImageUrl = "portrait_image_url",
    SelfieImageUrl = "selfie_image_url",
    FrontVideoUrl = "front_video_url",
    BackVideoUrl = "back_video_url",
    LivenessVideoUrl = "liveness_video_url",
    LivenessStatus = "liveness_status",
    LivenessScore = "liveness_score",
    FaceMatchStatus = "face_match_status",
    FaceMatchScore = "face_match_score",
    Email = "email" ! sensitive,
    Phone = "phone" ! sensitive,
    Tags = "tags",
    Metadata = "metadata" / "metadata_json" : Json ! sensitive,
}

/// A verification that passed every rule. Texts are pieces of the batch's arena.
#[derive(Debug, Clone, Default)]
pub struct UserVerification {
    /// Id at the old provider.
    pub external_id: Text,
    /// Source label; absent means the import's.
    pub provider: Option<Text>,
    /// The customer's own id of the user.
    pub vendor_data: Option<Text>,
    /// Where it stands; absent means Expired.
    pub status: Option<SessionStatus>,
    /// When the old provider made it.
    pub created_at: Option<DateTime<Utc>>,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// Type of the document.
    pub document_type: Option<DocumentType>,
    /// Finer type, as the provider named it.
    pub document_subtype: Option<Text>,
    /// Number of the document.
    pub document_number: Option<Text>,
    /// Personal number on it.
    pub personal_number: Option<Text>,
    /// Given names.
    pub first_name: Option<Text>,
    /// Family names.
    pub last_name: Option<Text>,
    /// Whole name, where the parts are absent.
    pub full_name: Option<Text>,
    /// Date of birth.
    pub date_of_birth: Option<NaiveDate>,
    /// Gender.
    pub gender: Option<Gender>,
    /// Nationality.
    pub nationality: Option<Text>,
    /// Issuing state, alpha-3.
    pub issuing_state: Option<&'static str>,
    /// Date of issue.
    pub date_of_issue: Option<NaiveDate>,
    /// Expiration date.
    pub expiration_date: Option<NaiveDate>,
    /// Address in one line.
    pub address: Option<Text>,
    /// Place of birth.
    pub place_of_birth: Option<Text>,
    /// Status of the document check, where the row gave one.
    pub id_verification_status: Option<FeatureStatus>,
    /// E-mail address.
    pub email: Option<Text>,
    /// Phone number.
    pub phone: Option<Text>,
    /// What has no column, a JSON object; its keys are those of [`detail`].
    pub details: Option<Text>,
    /// Free data, a JSON object.
    pub metadata: Option<Text>,
}

impl UserVerification {
    /// Where the session stands; without a word of the row it has no usable outcome.
    pub fn status(&self) -> SessionStatus {
        self.status.unwrap_or(SessionStatus::Expired)
    }
}

/// A link of a row to a medium.
#[derive(Debug, Clone, Copy)]
pub struct MediaLink {
    /// What the medium shows.
    pub slot: MediaSlot,
    /// Where it is; its query may hold a token.
    pub url: Text,
}

/// Keys of [`UserVerification::details`].
pub mod detail {
    use crate::domain::media::MediaSlot;

    /// Address in parts, an object.
    pub const PARSED_ADDRESS: &str = "parsed_address";
    /// Marital status.
    pub const MARITAL_STATUS: &str = "marital_status";
    /// Further fields, an object.
    pub const EXTRA_FIELDS: &str = "extra_fields";
    /// Status of the liveness check.
    pub const LIVENESS_STATUS: &str = "liveness_status";
    /// Its score, a number.
    pub const LIVENESS_SCORE: &str = "liveness_score";
    /// Status of the face comparison.
    pub const FACE_MATCH_STATUS: &str = "face_match_status";
    /// Its score, a number.
    pub const FACE_MATCH_SCORE: &str = "face_match_score";
    /// Tags, a list of texts.
    pub const TAGS: &str = "tags";
    /// Media of the document, each kept as its URL without the query.
    pub const DOCUMENT_MEDIA: [&str; 5] = [
        MediaSlot::FrontImage.as_str(),
        MediaSlot::BackImage.as_str(),
        MediaSlot::PortraitImage.as_str(),
        MediaSlot::FrontVideo.as_str(),
        MediaSlot::BackVideo.as_str(),
    ];
    /// Media of the liveness check.
    pub const LIVENESS_MEDIA: [&str; 2] =
        [MediaSlot::SelfieImage.as_str(), MediaSlot::LivenessVideo.as_str()];
}
