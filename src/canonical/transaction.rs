//! The canonical transaction of a customer (contract §2.4). A rename of a column costs one line here.

use chrono::{DateTime, Utc};

use super::{
    arena::Text,
    party::{Party, Side},
    schema::schema,
    status::SessionStatus,
};
use crate::domain::import::words;

schema! {
    /// Fields of a transaction.
    TransactionField, TRANSACTION,
    required [ExternalId | TransactionId] [TransactionCategory] [Direction] [Amount] [Currency]
        [SubjectVendorData] [SubjectFullName],
    keys [ExternalId, TransactionId],
    groups [
        "transaction_details", "subject", "subject.address", "subject.payment_method", "counterparty",
        "counterparty.address", "counterparty.payment_method"
    ],
    ExternalId = "external_id",
    TransactionId = "transaction_id",
    Provider = "provider",
    TransactionAt = "transaction_at",
    TimeZone = "time_zone",
    TransactionCategory = "transaction_category",
    ActionType = "transaction_details.action_type" / "action_type",
    Direction = "transaction_details.direction" / "direction",
    Amount = "transaction_details.amount" / "amount",
    Currency = "transaction_details.currency" / "currency",
    CurrencyKind = "transaction_details.currency_kind" / "currency_kind",
    AmountInDefaultCurrency = "transaction_details.amount_in_default_currency" / "amount_in_default_currency",
    DefaultCurrency = "transaction_details.default_currency" / "default_currency",
    PaymentDetails = "transaction_details.payment_details" / "payment_details" ! sensitive,
    PaymentReferenceId = "transaction_details.payment_reference_id" / "payment_reference_id",
    Status = "status",
    Score = "score",
    Severity = "severity",
    DecisionReasonCode = "decision_reason_code",
    DecisionReasonLabel = "decision_reason_label",
    SubjectEntityType = "subject.entity_type" / "subject_entity_type",
    SubjectVendorData = "subject.vendor_data" / "subject_vendor_data",
    SubjectFullName = "subject.full_name" / "subject_full_name" ! sensitive,
    SubjectFirstName = "subject.first_name" / "subject_first_name" ! sensitive,
    SubjectLastName = "subject.last_name" / "subject_last_name" ! sensitive,
    SubjectDateOfBirth = "subject.date_of_birth" / "subject_date_of_birth" ! sensitive,
    SubjectCountry = "subject.address.country" / "subject_country",
    SubjectTown = "subject.address.town" / "subject_town" ! sensitive,
    SubjectState = "subject.address.state" / "subject_state" ! sensitive,
    SubjectStreet = "subject.address.street" / "subject_street" ! sensitive,
    SubjectPostCode = "subject.address.post_code" / "subject_post_code" ! sensitive,
    SubjectAddress = "subject_address" / "subject_address_json" : Json ! sensitive,
    SubjectMethodType = "subject.payment_method.method_type" / "subject_payment_method_type",
    SubjectAccountId = "subject.payment_method.account_id" / "subject_payment_account_id"
        | "subject_payment_method_account_id" ! sensitive,
    SubjectIssuingCountry = "subject.payment_method.issuing_country" / "subject_payment_issuing_country"
        | "subject_payment_method_issuing_country",
    SubjectInstitutionDetails = "subject.institution_details" / "subject_institution_details_json"
        | "subject_institution_details" : Json,
    SubjectDeviceContext = "subject.device_context" / "subject_device_context_json"
        | "subject_device_context" : Json ! sensitive,
    CounterpartyEntityType = "counterparty.entity_type" / "counterparty_entity_type",
    CounterpartyVendorData = "counterparty.vendor_data" / "counterparty_vendor_data",
    CounterpartyFullName = "counterparty.full_name" / "counterparty_full_name" ! sensitive,
    CounterpartyFirstName = "counterparty.first_name" / "counterparty_first_name" ! sensitive,
    CounterpartyLastName = "counterparty.last_name" / "counterparty_last_name" ! sensitive,
    CounterpartyDateOfBirth = "counterparty.date_of_birth" / "counterparty_date_of_birth" ! sensitive,
    CounterpartyCountry = "counterparty.address.country" / "counterparty_country",
    CounterpartyTown = "counterparty.address.town" / "counterparty_town" ! sensitive,
    CounterpartyState = "counterparty.address.state" / "counterparty_state" ! sensitive,
    CounterpartyStreet = "counterparty.address.street" / "counterparty_street" ! sensitive,
    CounterpartyPostCode = "counterparty.address.post_code" / "counterparty_post_code" ! sensitive,
    CounterpartyAddress = "counterparty_address" / "counterparty_address_json" : Json ! sensitive,
    CounterpartyMethodType = "counterparty.payment_method.method_type" / "counterparty_payment_method_type",
    CounterpartyAccountId = "counterparty.payment_method.account_id" / "counterparty_payment_account_id"
        | "counterparty_payment_method_account_id" ! sensitive,
    CounterpartyIssuingCountry = "counterparty.payment_method.issuing_country"
        / "counterparty_payment_issuing_country" | "counterparty_payment_method_issuing_country",
    CounterpartyInstitutionDetails = "counterparty.institution_details"
        / "counterparty_institution_details_json" | "counterparty_institution_details" : Json,
    CounterpartyDeviceContext = "counterparty.device_context" / "counterparty_device_context_json"
        | "counterparty_device_context" : Json ! sensitive,
    ProviderResults = "provider_results" / "provider_results_json" : Json,
    TravelRuleDetails = "travel_rule_details" / "travel_rule_details_json" : Json ! sensitive,
    NetworkSnapshot = "network_snapshot" / "network_snapshot_json" : Json,
    CustomProperties = "custom_properties" / "custom_properties_json" : Json,
    Tags = "tags",
    Metadata = "metadata" / "metadata_json" : Json ! sensitive,
}

/// A transaction that passed every rule. Texts are pieces of the batch's arena.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Id at the old provider; the transaction id where the row gave none.
    pub external_id: Text,
    /// Source label; absent means the import's.
    pub provider: Option<Text>,
    /// The customer's own id of the transaction; the external id where the row gave none.
    pub txn_id: Text,
    /// Whether the row gave a transaction id, which identifies it by itself.
    pub has_transaction_id: bool,
    /// When it happened.
    pub transaction_at: Option<DateTime<Utc>>,
    /// What it is about.
    pub category: TransactionCategory,
    /// Deposit, withdrawal, …
    pub action_type: Option<Text>,
    /// Seen from the subject.
    pub direction: Direction,
    /// An exact decimal, as [`super::decimal`] writes it.
    pub amount: Text,
    /// Currency code.
    pub currency: Text,
    /// The verdict.
    pub status: TransactionStatus,
    /// Risk score, 0 to 100.
    pub score: i32,
    /// How grave it is.
    pub severity: Option<Severity>,
    /// Whose transaction it is.
    pub subject: Party,
    /// The other side, where the row told it.
    pub counterparty: Option<Party>,
    /// What has no column, a JSON object.
    pub details: Option<Text>,
    /// Free data, a JSON object.
    pub metadata: Option<Text>,
}

impl Transaction {
    /// Those it is between.
    pub fn parties(&self) -> impl Iterator<Item = (Side, &Party)> {
        let counterparty = self.counterparty.as_ref().map(|party| (Side::Counterparty, party));
        std::iter::once((Side::Subject, &self.subject)).chain(counterparty)
    }
}

words! {
    /// What a transaction is about, as it is stored.
    TransactionCategory {
        /// Money.
        Finance = "finance",
        /// A check of a person.
        Kyc = "kyc",
        /// A transfer under the Travel Rule.
        TravelRule = "travelRule",
        /// Something a user did.
        UserPlatformEvent = "userPlatformEvent",
        /// A bet.
        GamblingBet = "gamblingBet",
        /// A change of a limit.
        GamblingLimitChange = "gamblingLimitChange",
        /// A change of a bonus.
        GamblingBonusChange = "gamblingBonusChange",
        /// An entry of an audit trail.
        AuditTrailEvent = "auditTrailEvent",
    }
}

impl TransactionCategory {
    /// Reads a word of the contract or its camel-case alias, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        const SNAKE_CASE: [(&str, TransactionCategory); 6] = [
            ("travel_rule", TransactionCategory::TravelRule),
            ("user_event", TransactionCategory::UserPlatformEvent),
            ("gambling_bet", TransactionCategory::GamblingBet),
            ("gambling_limit_change", TransactionCategory::GamblingLimitChange),
            ("gambling_bonus_change", TransactionCategory::GamblingBonusChange),
            ("audit_trail_event", TransactionCategory::AuditTrailEvent),
        ];
        let stored = Self::ALL.iter().map(|category| (category.as_str(), *category));
        stored.chain(SNAKE_CASE).find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, found)| found)
    }
}

words! {
    /// Which way a transaction goes, seen from its subject.
    Direction {
        /// To the subject.
        Inbound = "INBOUND",
        /// From the subject.
        Outbound = "OUTBOUND",
    }
}

impl Direction {
    /// Reads a word, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        let is = |name: &str| name.eq_ignore_ascii_case(word);
        match () {
            () if is("inbound") || is("in") => Some(Self::Inbound),
            () if is("outbound") || is("out") => Some(Self::Outbound),
            () => None,
        }
    }
}

words! {
    /// Verdict on a transaction.
    TransactionStatus {
        /// Let through.
        Approved = "APPROVED",
        /// Looked at.
        InReview = "IN_REVIEW",
        /// Refused.
        Declined = "DECLINED",
        /// The user must act.
        AwaitingUser = "AWAITING_USER",
    }
}

impl TransactionStatus {
    /// Reads a word of its own, or a session's (contract §3), in any case.
    pub fn parse(word: &str) -> Option<Self> {
        if let Some(own) = Self::ALL.iter().find(|status| status.as_str().eq_ignore_ascii_case(word)) {
            return Some(*own);
        }
        match SessionStatus::parse(word) {
            Some(SessionStatus::Approved) => Some(Self::Approved),
            Some(SessionStatus::Declined) => Some(Self::Declined),
            Some(SessionStatus::InReview) => Some(Self::InReview),
            _ => None,
        }
    }
}

words! {
    /// How grave something is.
    Severity {
        /// Not known.
        Unknown = "UNKNOWN",
        /// Low.
        Low = "LOW",
        /// Medium.
        Medium = "MEDIUM",
        /// High.
        High = "HIGH",
        /// Critical.
        Critical = "CRITICAL",
    }
}

words! {
    /// How a party pays or is paid, as it is stored.
    PaymentMethodType {
        /// Card.
        BankCard = "bank_card",
        /// Account.
        BankAccount = "bank_account",
        /// Electronic wallet.
        EWallet = "e_wallet",
        /// Wallet of a crypto currency.
        CryptoWallet = "crypto_wallet",
        /// Wallet nobody hosts.
        UnhostedWallet = "unhosted_wallet",
        /// Any other.
        Other = "other",
    }
}

impl PaymentMethodType {
    /// Reads a word, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        if word.eq_ignore_ascii_case("ewallet") {
            return Some(Self::EWallet);
        }
        Self::ALL.iter().copied().find(|kind| kind.as_str().eq_ignore_ascii_case(word))
    }
}

words! {
    /// What kind of money an amount counts.
    CurrencyKind {
        /// Issued by a state.
        Fiat = "fiat",
        /// Not.
        Crypto = "crypto",
    }
}

words! {
    /// What kind of check a provider's result is of.
    ProviderResultType {
        /// Monitoring of fiat money.
        FiatMonitoring = "FIAT_MONITORING",
        /// Screening of a wallet.
        WalletScreening = "WALLET_SCREENING",
        /// Screening of a transaction.
        TransactionScreening = "TRANSACTION_SCREENING",
        /// Travel Rule.
        TravelRule = "TRAVEL_RULE",
        /// Graph of a network.
        NetworkGraph = "NETWORK_GRAPH",
        /// Any other.
        Custom = "CUSTOM",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_their_aliases() {
        for (word, category) in [
            ("travel_rule", Some(TransactionCategory::TravelRule)),
            ("travelRule", Some(TransactionCategory::TravelRule)),
            ("user_event", Some(TransactionCategory::UserPlatformEvent)),
            ("audit_trail_event", Some(TransactionCategory::AuditTrailEvent)),
            ("GAMBLING_BET", Some(TransactionCategory::GamblingBet)),
            ("money", None),
        ] {
            assert_eq!(TransactionCategory::parse(word), category, "{word}");
        }
        assert_eq!(TransactionStatus::parse("awaiting_user"), Some(TransactionStatus::AwaitingUser));
        assert_eq!(TransactionStatus::parse("in review"), Some(TransactionStatus::InReview));
        assert_eq!(TransactionStatus::parse("green"), Some(TransactionStatus::Approved));
        assert_eq!(TransactionStatus::parse("expired"), None);
        assert_eq!(Direction::parse("OUT"), Some(Direction::Outbound));
        assert_eq!(PaymentMethodType::parse("eWallet"), Some(PaymentMethodType::EWallet));
    }
}
