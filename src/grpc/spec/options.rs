//! Judgement calls about the records of providers.

use super::Violations;
use crate::{domain::import::ProviderOptions, grpc::pb};

/// Most characters of an option that is a text.
const TEXT_CHARS: usize = 64;

/// Most days an option may count.
const DAYS: i32 = 3_650;

/// Reads the options of an import of that provider.
pub(super) fn provider_options(
    options: Option<pb::ProviderOptions>,
    provider: &str,
    wrong: &mut Violations,
) -> ProviderOptions {
    let options = options.unwrap_or_default();
    let texts = [
        ("metamap_vendor_data_key", &options.metamap_vendor_data_key),
        ("onfido_vendor_data_tag", &options.onfido_vendor_data_tag),
    ];
    for (name, text) in texts {
        let is_good = text.chars().count() <= TEXT_CHARS && !text.contains(char::is_control);
        let why = "must have at most 64 characters, none of them a control character";
        wrong.check(is_good, &path(name), why);
    }
    let days = options.metamap_pending_days.is_none_or(|days| (1..=DAYS).contains(&days));
    wrong.check(days, &path("metamap_pending_days"), "must be from 1 to 3,650");
    let pb::ProviderOptions {
        unknown_outcome_fails,
        links_are_references,
        sumsub_retry_is_expired,
        sumsub_awaiting_user_is_in_review,
        metamap_vendor_data_key,
        metamap_full_name_is_split,
        metamap_pending_days,
        veriff_resubmission_is_declined,
        onfido_consider_is_in_review,
        onfido_applicant_is_vendor_data,
        onfido_vendor_data_tag,
        persona_completed_is_in_review,
        persona_pending_is_expired,
        jumio_internal_reference_is_vendor_data,
        idenfy_provisional_is_final,
        idenfy_face_authentications,
    } = options;
    let options = ProviderOptions {
        unknown_outcome_fails,
        links_are_references,
        sumsub_retry_is_expired,
        sumsub_awaiting_user_is_in_review,
        metamap_vendor_data_key,
        metamap_full_name_is_split,
        metamap_pending_days,
        veriff_resubmission_is_declined,
        onfido_consider_is_in_review,
        onfido_applicant_is_vendor_data,
        onfido_vendor_data_tag,
        persona_completed_is_in_review,
        persona_pending_is_expired,
        jumio_internal_reference_is_vendor_data,
        idenfy_provisional_is_final,
        idenfy_face_authentications,
    };
    for name in options.of_others(provider) {
        wrong.add(&path(&name), "is about records of another provider than the import is of");
    }
    options
}

fn path(name: &str) -> String {
    format!("spec.provider_options.{name}")
}
