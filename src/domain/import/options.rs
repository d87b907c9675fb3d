//! Judgement calls about the records of providers.

use serde::{Deserialize, Serialize};

/// Which of two readings an import chooses where what a provider says has both. What holds without a choice
/// stands beside each in `provider_options.proto`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderOptions {
    /// An outcome nobody can tell is a row error.
    pub unknown_outcome_fails: bool,
    /// Links of providers are kept, and not fetched.
    pub links_are_references: bool,
    /// RED with RETRY is Expired.
    pub sumsub_retry_is_expired: bool,
    /// `awaitingUser` is In Review.
    pub sumsub_awaiting_user_is_in_review: bool,
    /// Member of a verification's metadata with the customer's id; empty for the likely ones.
    pub metamap_vendor_data_key: String,
    /// A full name is split at its last blank.
    pub metamap_full_name_is_split: bool,
    /// Days after which what is pending is Expired.
    pub metamap_pending_days: Option<i32>,
    /// `resubmission_requested` is Declined.
    pub veriff_resubmission_is_declined: bool,
    /// Every `consider` is In Review.
    pub onfido_consider_is_in_review: bool,
    /// The applicant's id is the customer's where there is no other.
    pub onfido_applicant_is_vendor_data: bool,
    /// What a tag begins with that holds the customer's id; empty for none.
    pub onfido_vendor_data_tag: String,
    /// `completed` without a decision is In Review.
    pub persona_completed_is_in_review: bool,
    /// `pending` is Expired.
    pub persona_pending_is_expired: bool,
    /// `customerInternalReference` comes before `userReference`.
    pub jumio_internal_reference_is_vendor_data: bool,
    /// A verdict that is not final counts.
    pub idenfy_provisional_is_final: bool,
    /// Authentications by face are sessions.
    pub idenfy_face_authentications: bool,
}

/// Providers that options are about, as names of options begin.
const PROVIDERS: [&str; 7] = ["sumsub", "metamap", "veriff", "onfido", "persona", "jumio", "idenfy"];

impl ProviderOptions {
    /// Names of the options that are set and about another provider than this, by its folded label.
    pub fn of_others(&self, provider: &str) -> Vec<String> {
        let (Ok(serde_json::Value::Object(set)), Ok(unset)) =
            (serde_json::to_value(self), serde_json::to_value(Self::default()))
        else {
            return Vec::new();
        };
        let is_of_another = |name: &String| {
            let begin = name.split('_').next().unwrap_or_default();
            PROVIDERS.contains(&begin) && begin != provider
        };
        set.into_iter()
            .filter(|(name, value)| unset[name] != *value)
            .map(|(name, _)| name)
            .filter(is_of_another)
            .collect()
    }
}
