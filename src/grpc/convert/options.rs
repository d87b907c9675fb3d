//! Judgement calls about the records of providers.

use crate::{domain::import::ProviderOptions, grpc::pb};

/// The options of an import.
pub(super) fn provider_options(options: ProviderOptions) -> pb::ProviderOptions {
    let ProviderOptions {
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
    pb::ProviderOptions {
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
    }
}
