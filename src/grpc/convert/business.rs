//! Sessions of companies.

use super::{
    IMPORTED_NODE, find_object, object, session::feature_status, session::session_status, timestamp,
};
use crate::{
    grpc::pb,
    records::{
        business::{self, Details, Document, Feature, Officer, Owner},
        part_id,
    },
    store::StoredBusinessSession,
};

pub(super) fn session(session: StoredBusinessSession) -> pb::Session {
    let status = feature_status(business::feature_status(&session));
    let feature = |feature: Feature| pb::Feature { feature: feature.as_str().to_owned(), status };
    pb::Session {
        session_id: session.id.to_string(),
        session_kind: pb::SessionKind::Business as i32,
        session_number: session.session_number,
        session_type: pb::SessionType::Migrated as i32,
        country: session.country_code.clone(),
        status: session_status(session.status),
        didit_internal_id: business::profile_id(&session).map(|id| id.to_string()),
        created_at: Some(timestamp(session.created_at)),
        features: Details::of(&session).features().into_iter().map(feature).collect(),
        vendor_data: session.vendor_data,
        provider: session.provider,
        external_id: session.external_id,
        workflow_id: Some(session.workflow_id.to_string()),
        import_id: session.import_id.to_string(),
        row_number: session.row_number,
        company_name: Some(session.company_name),
        registration_number: session.registration_number,
        ..pb::Session::default()
    }
}

pub(super) fn decision(session: StoredBusinessSession) -> pb::Decision {
    let details = Details::of(&session);
    let features = details.features();
    let status = feature_status(business::feature_status(&session));
    let node_id = || IMPORTED_NODE.to_owned();
    let id = |name: &str, place| part_id(session.application_id, session.id, name, place).to_string();
    let documents = details.documents.iter().enumerate().map(|(place, document)| {
        let Document { document_type } = document.clone();
        pb::CompanyDocument { uuid: id("document", place), document_type, status }
    });
    let documents = documents.collect();
    let company = company(&session, details, &id);
    let registry = pb::KeyPeopleRegistry {
        officers: company.officers.clone(),
        beneficial_owners: company.beneficial_owners.clone(),
    };
    let when = |feature| features.contains(&feature);
    pb::Decision {
        session_id: session.id.to_string(),
        session_kind: pb::SessionKind::Business as i32,
        session_number: session.session_number,
        status: session_status(session.status),
        workflow_id: Some(session.workflow_id.to_string()),
        features: features.iter().map(|feature| feature.as_str().to_owned()).collect(),
        metadata: find_object(session.metadata.as_ref()),
        created_at: Some(timestamp(session.created_at)),
        environment: "live".to_owned(),
        session_type: pb::SessionType::Migrated as i32,
        key_people_checks: when(Feature::KeyPeople)
            .then(|| pb::KeyPeopleCheck { node_id: node_id(), status, registry: Some(registry) })
            .into_iter()
            .collect(),
        document_verifications: when(Feature::Documents)
            .then(|| pb::DocumentVerification { node_id: node_id(), status, items: documents })
            .into_iter()
            .collect(),
        registry_checks: vec![pb::RegistryCheck {
            node_id: node_id(),
            status,
            data_resolved: true,
            company: Some(company),
        }],
        vendor_data: session.vendor_data,
        provider: session.provider,
        external_id: session.external_id,
        ..pb::Decision::default()
    }
}

fn company(
    session: &StoredBusinessSession,
    details: Details,
    id: &impl Fn(&str, usize) -> String,
) -> pb::Company {
    let officers = details.officers.into_iter().enumerate();
    let owners = details.beneficial_owners.into_iter().enumerate();
    pb::Company {
        uuid: id("company", 0),
        node_id: IMPORTED_NODE.to_owned(),
        registry_status: details.registry_status,
        data_resolved: true,
        company_name: session.company_name.clone(),
        registration_number: session.registration_number.clone(),
        country_code: session.country_code.clone(),
        region: details.region,
        company_type: details.company_type,
        incorporation_date: details.incorporation_date,
        registered_address: details.registered_address,
        tax_number: details.tax_number,
        risk_level: details.risk_level,
        verification_status: details.verification_status,
        is_from_registry: false,
        alternative_names: details.alternative_names,
        nature_of_business: details.nature_of_business,
        registered_capital: details.registered_capital,
        registered_capital_amount: details.registered_capital_amount,
        registered_capital_currency: details.registered_capital_currency,
        website: details.website,
        email: details.email,
        phone: details.phone,
        legal_entity_identifier: details.legal_entity_identifier,
        location_of_registration: details.location_of_registration,
        vat_number: details.vat_number,
        officers: officers.map(|(place, one)| officer(id("officer", place), one)).collect(),
        beneficial_owners: owners.map(|(place, one)| owner(id("owner", place), one)).collect(),
        addresses: details.addresses.iter().map(object).collect(),
        industries: details.industries.iter().map(object).collect(),
    }
}

fn officer(uuid: String, officer: Officer) -> pb::Officer {
    pb::Officer {
        uuid,
        name: officer.name,
        designation: officer.designation,
        role: officer.role,
        nationality: officer.nationality,
        appointment_date: officer.appointment_date,
        termination_date: officer.termination_date,
        is_active: officer.is_active,
        address: officer.address,
    }
}

fn owner(uuid: String, owner: Owner) -> pb::BeneficialOwner {
    pb::BeneficialOwner {
        uuid,
        effective_ownership_percent: owner.ownership_percent(),
        name: owner.name,
        first_name: owner.first_name,
        last_name: owner.last_name,
        date_of_birth: owner.date_of_birth,
        country_of_birth: owner.country_of_birth,
        email: owner.email,
        company_name: owner.company_name,
        registration_number: owner.registration_number,
        entity_type: owner.entity_type,
        nationality: owner.nationality,
        designation: owner.designation,
        roles: owner.roles,
        ownership_min_shares: owner.ownership_min_shares,
        ownership_max_shares: owner.ownership_max_shares,
        is_active: owner.is_active,
    }
}
