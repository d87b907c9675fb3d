//! The columns of the canonical user verification, in the order of the contract's template
//! (contract §2.1). A rename costs one line here.

/// Makes the field enum and its name table.
macro_rules! fields {
    ($($variant:ident = $name:literal $(/ $csv:literal)? $(! $sensitive:ident)?),+ $(,)?) => {
        /// A canonical field.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Field { $(#[doc = concat!("`", $name, "`.")] $variant),+ }

        impl Field {
            /// Every field, in template order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name, as NDJSON writes it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The field a name stands for; NDJSON and CSV spellings are both taken.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name $(| $csv)? => Some(Self::$variant),)+ _ => None }
            }

            /// Its name, as a CSV header writes it: JSON cells end in `_json`.
            pub const fn csv_name(self) -> &'static str {
                match self { $(Self::$variant => { let name = $name; $(let name = { let _ = name; $csv };)? name }),+ }
            }

            /// Whether it holds personal data, which is masked where it is shown.
            pub const fn is_sensitive(self) -> bool {
                match self { $(Self::$variant => false $(|| stringify!($sensitive).len() > 0)?),+ }
            }
        }
    };
}

fields! {
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
    ParsedAddress = "parsed_address" / "parsed_address_json" ! sensitive,
    PlaceOfBirth = "place_of_birth" ! sensitive,
    MaritalStatus = "marital_status",
    ExtraFields = "extra_fields" / "extra_fields_json" ! sensitive,
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
    Metadata = "metadata" / "metadata_json" ! sensitive,
}

impl Field {
    /// Whether it holds a JSON object.
    pub const fn is_json(self) -> bool {
        matches!(self, Self::ParsedAddress | Self::ExtraFields | Self::Metadata)
    }

    /// The field of a CSV column: blanks around the name and its case do not count.
    pub fn from_column(column: &str) -> Option<Self> {
        // U+00A0 and U+FEFF are what spreadsheets leave behind; `trim` takes only the first.
        let name = column.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        Self::from_name(&name.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_field_finds_it() {
        for &field in Field::ALL {
            assert_eq!(Field::from_name(field.name()), Some(field));
            assert_eq!(
                Field::from_column(&format!(" {}\u{a0}", field.csv_name().to_uppercase())),
                Some(field)
            );
        }
        assert_eq!(Field::Metadata.csv_name(), "metadata_json");
        assert_eq!(Field::Tags.csv_name(), "tags");
        assert!(Field::FirstName.is_sensitive() && !Field::Status.is_sensitive());
    }
}
