//! Session and feature statuses (contract §3).

use crate::domain::import::words;

words! {
    /// Where an imported session stands; written as the contract writes it.
    SessionStatus {
        /// Approved, green, verified.
        Approved = "Approved",
        /// Declined, red, rejected.
        Declined = "Declined",
        /// Manual review, pending.
        InReview = "In Review",
        /// Incomplete, or no usable outcome.
        Expired = "Expired",
        /// Given up by the user.
        Abandoned = "Abandoned",
        /// Verified once, no longer valid.
        KycExpired = "Kyc Expired",
    }
}

words! {
    /// Where one check of a session stands.
    FeatureStatus {
        /// Approved.
        Approved = "Approved",
        /// Declined.
        Declined = "Declined",
        /// In review.
        InReview = "In Review",
        /// Expired.
        Expired = "Expired",
        /// Not finished.
        NotFinished = "Not Finished",
        /// To be done again.
        ResubRequested = "Resub Requested",
    }
}

/// Longest status word, normalised; longer text is none.
const WORD_BYTES: usize = 32;

/// Lower-cases a word and folds `_`, `-` and blanks to one blank, without allocating.
fn normalised<'b>(word: &str, buffer: &'b mut [u8; WORD_BYTES]) -> Option<&'b str> {
    let mut len = 0;
    let mut gap = false;
    for byte in word.trim().bytes() {
        if matches!(byte, b'_' | b'-' | b' ' | b'\t') {
            gap = len > 0;
            continue;
        }
        if len + usize::from(gap) >= WORD_BYTES {
            return None;
        }
        if std::mem::take(&mut gap) {
            buffer[len] = b' ';
            len += 1;
        }
        buffer[len] = byte.to_ascii_lowercase();
        len += 1;
    }
    std::str::from_utf8(&buffer[..len]).ok()
}

impl SessionStatus {
    /// Reads a canonical word or one of the contract's synonyms, in any case. States of work still
    /// going on ("In Progress", …) make no sense for a finished record and are none.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match normalised(word, &mut [0; WORD_BYTES])? {
            "approved" | "green" | "verified" => Self::Approved,
            "declined" | "red" | "rejected" => Self::Declined,
            "in review" | "manual review" | "pending" | "review needed" => Self::InReview,
            "expired" | "incomplete" | "init" | "unknown" => Self::Expired,
            "abandoned" => Self::Abandoned,
            "kyc expired" => Self::KycExpired,
            _ => return None,
        })
    }

    /// The status of a check that has none of its own.
    pub const fn as_feature(self) -> FeatureStatus {
        match self {
            Self::Approved => FeatureStatus::Approved,
            Self::Declined => FeatureStatus::Declined,
            Self::InReview => FeatureStatus::InReview,
            Self::Expired | Self::KycExpired => FeatureStatus::Expired,
            Self::Abandoned => FeatureStatus::NotFinished,
        }
    }
}

impl FeatureStatus {
    /// Reads a word, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match normalised(word, &mut [0; WORD_BYTES])? {
            "approved" => Self::Approved,
            "declined" => Self::Declined,
            "in review" => Self::InReview,
            "expired" => Self::Expired,
            "not finished" => Self::NotFinished,
            "resub requested" => Self::ResubRequested,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_words_synonyms_and_nothing_else() {
        for (word, status) in [
            ("Approved", Some(SessionStatus::Approved)),
            (" aPPROVED ", Some(SessionStatus::Approved)),
            ("IN_REVIEW", Some(SessionStatus::InReview)),
            ("in - review", Some(SessionStatus::InReview)),
            ("review needed", Some(SessionStatus::InReview)),
            ("kyc-expired", Some(SessionStatus::KycExpired)),
            ("unknown", Some(SessionStatus::Expired)),
            ("unknown_status", None),
            ("In Progress", None),
            ("Approved!", None),
            ("", None),
        ] {
            assert_eq!(SessionStatus::parse(word), status, "{word:?}");
        }
        assert_eq!(SessionStatus::parse(&"a".repeat(1000)), None);
        for &status in SessionStatus::ALL {
            assert_eq!(SessionStatus::parse(status.as_str()), Some(status));
        }
        for &status in FeatureStatus::ALL {
            assert_eq!(FeatureStatus::parse(status.as_str()), Some(status));
        }
    }
}
