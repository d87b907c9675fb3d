//! Document types, genders and marital states of an identity verification (contract §2.1).

use crate::domain::import::words;

words! {
    /// Type of an identity document, by its code.
    DocumentType {
        /// Passport.
        Passport = "P",
        /// Driver's licence.
        DriversLicense = "DL",
        /// Identity card.
        IdentityCard = "ID",
        /// Residence permit.
        ResidencePermit = "RP",
        /// Social security card.
        SocialSecurityCard = "SSC",
        /// Health insurance card.
        HealthInsuranceCard = "HIC",
        /// Work permit.
        WorkPermit = "WP",
        /// Tax card.
        TaxCard = "TC",
        /// Visa.
        Visa = "VISA",
        /// Public service card.
        PublicServiceCard = "PSC",
        /// Birth certificate.
        BirthCertificate = "BC",
        /// Any other.
        Other = "OTHER",
    }
}

impl DocumentType {
    /// Reads a code in any case, or the long name of one of the common six.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.iter().copied().find(|document| {
            document.as_str().eq_ignore_ascii_case(text)
                || document.long_name().is_some_and(|name| name.eq_ignore_ascii_case(text))
        })
    }

    /// Name under which lists and decisions show it: the long name, else the code.
    pub const fn display_name(self) -> &'static str {
        match self.long_name() {
            Some(name) => name,
            None => self.as_str(),
        }
    }

    const fn long_name(self) -> Option<&'static str> {
        Some(match self {
            Self::Passport => "Passport",
            Self::DriversLicense => "Driver's License",
            Self::IdentityCard => "Identity Card",
            Self::ResidencePermit => "Residence Permit",
            Self::HealthInsuranceCard => "Health Insurance Card",
            Self::TaxCard => "Tax Card",
            _ => return None,
        })
    }
}

words! {
    /// Gender on a document.
    Gender {
        /// Male.
        Male = "M",
        /// Female.
        Female = "F",
        /// Unspecified.
        Unspecified = "U",
    }
}

words! {
    /// Marital status on a document.
    MaritalStatus {
        /// Single.
        Single = "SINGLE",
        /// Married.
        Married = "MARRIED",
        /// Divorced.
        Divorced = "DIVORCED",
        /// Widowed.
        Widowed = "WIDOWED",
        /// Unknown.
        Unknown = "UNKNOWN",
    }
}

/// Finds a word of a closed set in any case.
fn find_word<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|value| word(*value).eq_ignore_ascii_case(text.trim()))
}

impl Gender {
    /// Reads a letter in any case.
    pub fn parse(text: &str) -> Option<Self> {
        find_word(Self::ALL, Self::as_str, text)
    }
}

impl MaritalStatus {
    /// Reads a word in any case.
    pub fn parse(text: &str) -> Option<Self> {
        find_word(Self::ALL, Self::as_str, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_long_names() {
        assert_eq!(DocumentType::parse("dl"), Some(DocumentType::DriversLicense));
        assert_eq!(DocumentType::parse("Driver's License"), Some(DocumentType::DriversLicense));
        assert_eq!(DocumentType::parse("driving licence"), None);
        assert_eq!(DocumentType::Visa.display_name(), "VISA");
        assert_eq!(Gender::parse("f"), Some(Gender::Female));
        assert_eq!(MaritalStatus::parse("Married"), Some(MaritalStatus::Married));
    }
}
