//! The canonical verification of a company (contract §2.2). A rename of a column costs one line here.

use chrono::{DateTime, Utc};

use super::{arena::Text, schema::schema, status::SessionStatus};
use crate::domain::import::words;

schema! {
    /// Fields of a business verification.
    BusinessField, BUSINESS_VERIFICATION,
    required [ExternalId] [CompanyName], keys [ExternalId], groups [],
    ExternalId = "external_id",
    Provider = "provider",
    VendorData = "vendor_data",
    Status = "status",
    CreatedAt = "created_at",
    CompanyName = "company_name",
    RegistrationNumber = "registration_number",
    CountryCode = "country_code",
    Region = "region",
    CompanyType = "company_type",
    IncorporationDate = "incorporation_date",
    RegisteredAddress = "registered_address" | "legal_address" ! sensitive,
    RegistryStatus = "registry_status",
    TaxNumber = "tax_number" ! sensitive,
    VerificationStatus = "verification_status",
    RiskLevel = "risk_level",
    AlternativeNames = "alternative_names",
    NatureOfBusiness = "nature_of_business",
    RegisteredCapital = "registered_capital",
    RegisteredCapitalAmount = "registered_capital_amount",
    RegisteredCapitalCurrency = "registered_capital_currency",
    Website = "website",
    Email = "email" ! sensitive,
    Phone = "phone" ! sensitive,
    LegalEntityIdentifier = "legal_entity_identifier",
    LocationOfRegistration = "location_of_registration",
    VatNumber = "vat_number",
    Officers = "officers" / "officers_json" : Json ! sensitive,
    BeneficialOwners = "beneficial_owners" / "beneficial_owners_json" : Json ! sensitive,
    Addresses = "addresses" / "addresses_json" : Json,
    Industries = "industries" / "industries_json" : Json,
    Documents = "documents" / "documents_json" : Json ! sensitive,
    Tags = "tags",
    Metadata = "metadata" / "metadata_json" : Json ! sensitive,
}

/// A company's verification that passed every rule. Texts are pieces of the batch's arena.
#[derive(Debug, Clone, Default)]
pub struct BusinessVerification {
    /// Id at the old provider.
    pub external_id: Text,
    /// Source label; absent means the import's.
    pub provider: Option<Text>,
    /// The customer's own id of the business.
    pub vendor_data: Option<Text>,
    /// Where it stands; absent means Expired.
    pub status: Option<SessionStatus>,
    /// When the old provider made it.
    pub created_at: Option<DateTime<Utc>>,
    /// Name in the registry.
    pub company_name: Text,
    /// Number in the registry.
    pub registration_number: Option<Text>,
    /// Country of the registry, alpha-2.
    pub country_code: Option<&'static str>,
    /// What has no column, a JSON object; its keys are field names.
    pub details: Option<Text>,
    /// Free data, a JSON object.
    pub metadata: Option<Text>,
}

impl BusinessVerification {
    /// Where the session stands; without a word of the row it has no usable outcome.
    pub fn status(&self) -> SessionStatus {
        self.status.unwrap_or(SessionStatus::Expired)
    }
}

words! {
    /// What a registry says of a company.
    RegistryStatus {
        /// In business.
        Active = "active",
        /// Dissolved.
        Dissolved = "dissolved",
        /// Taken off the registry.
        Deregistered = "deregistered",
        /// The registry says more than a word.
        SeeFullDetails = "see full details",
        /// Authorised.
        Authorised = "authorised",
        /// Appointed representative.
        AppointedRepresentative = "appointed representative",
        /// Not authorised.
        Unauthorised = "unauthorised",
        /// Not in business.
        Inactive = "inactive",
        /// Authorised once.
        NoLongerAuthorised = "no longer authorised",
        /// Closed.
        Closed = "closed",
        /// Struck off.
        StruckOff = "struck off",
    }
}

words! {
    /// Whether the registry's data were confirmed.
    VerificationStatus {
        /// Confirmed.
        Verified = "verified",
        /// Not confirmed.
        Failed = "failed",
        /// Not known.
        Unknown = "unknown",
    }
}

words! {
    /// Risk of a company.
    RiskLevel {
        /// Low.
        Low = "LOW",
        /// Medium.
        Medium = "MEDIUM",
        /// High.
        High = "HIGH",
    }
}

words! {
    /// What a person or company is to a company.
    PartyRole {
        /// Director.
        Director = "director",
        /// Director who does not run the company.
        NonExecutiveDirector = "non_executive_director",
        /// Secretary.
        Secretary = "secretary",
        /// Head of the board.
        Chairman = "chairman",
        /// Ultimate beneficial owner.
        Ubo = "ubo",
        /// Shareholder.
        Shareholder = "shareholder",
        /// Representative.
        Representative = "representative",
        /// Founder.
        Founder = "founder",
        /// Legal advisor.
        LegalAdvisor = "legal_advisor",
        /// May sign for the company.
        AuthorizedSignatory = "authorized_signatory",
        /// Trustee.
        Trustee = "trustee",
        /// Beneficiary.
        Beneficiary = "beneficiary",
        /// Settlor.
        Settlor = "settlor",
        /// Protector.
        Protector = "protector",
        /// Officer.
        CompanyOfficer = "company_officer",
        /// Investor.
        Investor = "investor",
        /// Any other; the row's own word is kept as the designation.
        Other = "other",
    }
}

words! {
    /// Kind of a company's document.
    BusinessDocumentType {
        /// That the company exists.
        LegalPresence = "LEGAL_PRESENCE",
        /// Its data.
        CompanyDetails = "COMPANY_DETAILS",
        /// Who owns it.
        OwnershipStructure = "OWNERSHIP_STRUCTURE",
        /// Who acts for it.
        RepresentativesAuthorization = "REPRESENTATIVES_AUTHORIZATION",
        /// Any other.
        Other = "OTHER",
    }
}
