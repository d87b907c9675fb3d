//! Applications, keys and the audit trail.

use super::{object, timestamp};
use crate::{
    domain::{limits::LimitSettings, refusal::Role},
    grpc::pb,
    store::{ApiKey, Application, AuditEvent},
};

pub(in crate::grpc) fn application(application: Application) -> pb::Application {
    pb::Application {
        id: application.id.to_string(),
        name: application.name,
        imports_enabled: application.imports_enabled,
        sandbox: application.sandbox,
        max_active_imports: application.max_active_imports,
        limits: Some(limits(application.limits)),
        created_at: Some(timestamp(application.created_at)),
    }
}

fn limits(limits: LimitSettings) -> pb::ApplicationLimits {
    let number = |limit: Option<u64>| limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
    pb::ApplicationLimits {
        upload_bytes: number(limits.upload_bytes),
        rows: number(limits.rows),
        rows_per_day: number(limits.rows_per_day),
        row_bytes: number(limits.row_bytes),
        columns: number(limits.columns),
        cell_bytes: number(limits.cell_bytes),
        json_depth: number(limits.json_depth),
        stored_row_errors: number(limits.stored_row_errors),
        stored_warnings: number(limits.stored_warnings),
        source_retention_days: number(limits.source_retention_days),
    }
}

pub(in crate::grpc) fn audit_event(event: AuditEvent) -> pb::AuditEvent {
    pb::AuditEvent {
        id: event.id.to_string(),
        application_id: event.application_id.map(|id| id.to_string()).unwrap_or_default(),
        api_key_id: event.api_key_id.map(|id| id.to_string()).unwrap_or_default(),
        role: event.role,
        action: event.action,
        target: event.target,
        details: Some(object(&event.details)),
        created_at: Some(timestamp(event.created_at)),
    }
}

pub(in crate::grpc) fn api_key(key: ApiKey) -> pb::ApiKey {
    pb::ApiKey {
        id: key.id.to_string(),
        application_id: key.application_id.map(|id| id.to_string()).unwrap_or_default(),
        name: key.name,
        certificate_name: key.certificate_name.unwrap_or_default(),
        role: match key.role {
            Role::Reader => pb::Role::Reader,
            Role::Importer => pb::Role::Importer,
            Role::Operator => pb::Role::Operator,
            Role::Admin => pb::Role::Admin,
        } as i32,
        created_at: Some(timestamp(key.created_at)),
        revoked_at: key.revoked_at.map(timestamp),
    }
}
