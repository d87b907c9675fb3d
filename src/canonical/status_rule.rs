//! A status rule of a workflow (contract §2.3). A rename of a column costs one line here.

use super::schema::schema;
use crate::domain::import::words;

schema! {
    /// Fields of a status rule.
    RuleField, STATUS_RULE,
    required [Feature] [Field] [Operator] [Status], keys [ExternalId], groups [],
    ExternalId = "external_id",
    Feature = "feature",
    NodeId = "node_id",
    Field = "field",
    Operator = "operator",
    Value = "value" : Any,
    ValueJson = "value_json" : Json,
    ValueType = "value_type",
    Score = "score",
    Status = "status",
    Priority = "priority" | "position",
}

/// A status rule that passed every rule of ours. Imports of rules are small, so it owns its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRule {
    /// The caller's id of it.
    pub external_id: Option<String>,
    /// Which check it is about.
    pub feature: RuleFeature,
    /// Node of the workflow, where it has several of the feature.
    pub node_id: Option<String>,
    /// Path of what is looked at, such as `kyc.issuing_state`.
    pub field: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what, as JSON.
    pub value: Option<String>,
    /// What the value is.
    pub value_type: ValueType,
    /// Least similarity of a fuzzy match, 0 to 100.
    pub score: Option<String>,
    /// What the feature's status becomes.
    pub status: RuleStatus,
    /// Place among the rules of its feature; rules without one come in file order.
    pub priority: Option<i32>,
}

words! {
    /// A check that has rules, by the workflow's name of it.
    RuleFeature {
        /// Identity document.
        Ocr = "OCR",
        /// Chip.
        Nfc = "NFC",
        /// Liveness.
        Liveness = "LIVENESS",
        /// Comparison of face and document.
        FaceMatch = "FACE_MATCH",
        /// Proof of address.
        ProofOfAddress = "PROOF_OF_ADDRESS",
        /// Questionnaire.
        Questionnaire = "QUESTIONNAIRE",
        /// Phone.
        PhoneVerification = "PHONE_VERIFICATION",
        /// E-mail.
        EmailVerification = "EMAIL_VERIFICATION",
        /// Registers of persons.
        DatabaseValidation = "DATABASE_VALIDATION",
        /// Money laundering.
        Aml = "AML",
        /// IP address.
        IpAnalysis = "IP_ANALYSIS",
        /// Age.
        AgeEstimation = "AGE_ESTIMATION",
        /// Registry of companies.
        KybRegistry = "KYB_REGISTRY",
        /// Documents of a company.
        KybDocuments = "KYB_DOCUMENTS",
        /// People of a company.
        KybKeyPeople = "KYB_KEY_PEOPLE",
        /// Custom documents.
        DocumentAi = "DOCUMENT_AI",
    }
}

impl RuleFeature {
    /// Reads the workflow's name or the one decisions use, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_str() {
            "ID_VERIFICATION" => Self::Ocr,
            "POA" => Self::ProofOfAddress,
            "PHONE" => Self::PhoneVerification,
            "EMAIL" => Self::EmailVerification,
            word => Self::from_word(word)?,
        })
    }
}

words! {
    /// How a rule compares.
    Operator {
        /// Equal.
        Equals = "equals",
        /// Not equal.
        NotEquals = "not_equals",
        /// Greater.
        GreaterThan = "greater_than",
        /// Greater or equal.
        GreaterThanOrEquals = "greater_than_or_equals",
        /// Less.
        LessThan = "less_than",
        /// Less or equal.
        LessThanOrEquals = "less_than_or_equals",
        /// Has it as a part.
        Contains = "contains",
        /// Has it not as a part.
        NotContains = "not_contains",
        /// One of a list.
        In = "in",
        /// None of a list.
        NotIn = "not_in",
        /// Nothing there.
        IsEmpty = "is_empty",
        /// Something there.
        IsNotEmpty = "is_not_empty",
        /// Matches a regular expression.
        Regex = "regex",
        /// Similar enough.
        FuzzyMatch = "fuzzy_match",
    }
}

words! {
    /// What a rule's value is.
    ValueType {
        /// Itself.
        Literal = "literal",
        /// The path of another field.
        Field = "field",
        /// A list.
        List = "list",
        /// A date that moves with today.
        RelativeDate = "relative_date",
    }
}

words! {
    /// What a rule makes of its feature's status.
    RuleStatus {
        /// Approved.
        Approved = "Approved",
        /// Declined.
        Declined = "Declined",
        /// In review.
        InReview = "In Review",
        /// What it was.
        NoAction = "No Action",
    }
}

/// First parts of the paths that a rule may look at.
pub const FIELD_PREFIXES: [&str; 14] = [
    "kyc",
    "nfc",
    "liveness",
    "face",
    "face_match",
    "poa",
    "phone",
    "email",
    "aml",
    "database_validation",
    "ip_analysis",
    "age_estimation",
    "questionnaire",
    "document_ai",
];
