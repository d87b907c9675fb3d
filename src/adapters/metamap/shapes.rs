//! The shapes of MetaMap's records.

use std::borrow::Cow;

use crate::adapters::shape::{Leaf, List, Raw, shape};

shape! {
    /// A webhook; customers put the verification it names in its place.
    struct Webhook {
        event: Leaf = "eventName",
        resource: Raw = "resource",
        status: Leaf = "status",
        identity_status: Leaf = "identityStatus",
        flow_id: Leaf = "flowId",
        metadata: Raw = "metadata",
        timestamp: Leaf = "timestamp",
        device: Device = "deviceFingerprint",
    }

    /// A verification. Its identity is an object with a status, or no more than an id.
    struct Verification {
        id: Leaf = "id" | "_id",
        created_at: Leaf = "createdAt",
        identity: Raw = "identity",
        verification_status: Leaf = "verificationStatus",
        identity_status: Leaf = "identityStatus",
        status: Leaf = "status",
        expired: Leaf = "expired",
        flow: Flow = "flow",
        metadata: Raw = "metadata",
        documents: List<Document> = "documents",
        steps: List<Step> = "steps",
        computed: Raw = "computed",
        device: Device = "deviceFingerprint",
        summary: Summary = "summary",
    }

    /// What was asked for.
    struct Flow { id: Leaf = "id" | "_id", name: Leaf = "name" }

    /// Where it came from.
    struct Device { ip: Leaf = "ip" }

    /// A short form of the whole.
    struct Summary { identity: Identity = "identity" }

    /// Who somebody is.
    struct Identity { full_name: Leaf = "fullName" }

    /// A document.
    struct Document {
        kind: Leaf = "type",
        country: Leaf = "country",
        photos: List<Raw> = "photos",
        fields: Fields = "fields",
        steps: List<Step> = "steps",
    }

    /// What was read off it.
    struct Fields {
        full_name: Valued = "fullName",
        first_name: Valued = "firstName",
        surname: Valued = "surname",
        date_of_birth: Valued = "dateOfBirth",
        document_number: Valued = "documentNumber",
        expiration_date: Valued = "expirationDate",
        emission_date: Valued = "emissionDate",
        address: Valued = "address",
        nationality: Valued = "nationality",
        sex: Valued = "sex" | "gender",
        personal_number: Valued = "personalNumber",
        curp: Valued = "curp",
    }

    /// A value.
    struct Valued { value: Leaf = "value" }

    /// A step of the flow, or of a document.
    struct Step {
        id: Leaf = "id",
        status: Leaf = "status",
        data: Raw = "data",
        error: Fault = "error",
        completed_at: Leaf = "completedAt",
    }

    /// What was wrong.
    struct Fault { code: Leaf = "code" }

    /// What a step found, of any kind.
    struct StepData {
        video: Raw = "videoUrl",
        selfie: Raw = "selfieUrl" | "selfiePhotoUrl",
        dialing_code: Leaf = "dialingCode",
        phone: Leaf = "phoneNumber",
        email: Leaf = "emailAddress",
        score: Leaf = "score" | "facematchScore",
    }

    /// A link that is an object.
    struct Media { media: Leaf = "media" }
}

/// A link, which is a text or an object that holds one.
pub(super) fn link(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    match raw.get()?.starts_with('{') {
        true => raw.read::<Media<'_>>().media.take(),
        false => raw.text(),
    }
}
