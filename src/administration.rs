//! What an admin may ask: applications, keys and workflows; and who a caller is.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    clock,
    domain::{
        certificate_name::CertificateName,
        ids::{ApiKeyId, ApplicationId, WorkflowId},
        limits::LimitSettings,
        refusal::{FieldViolation, Refusal, Role},
    },
    error::Error,
    store::{ApiKey, Application, ApplicationChange, AuditEvent, Caller, Store, Workflow, WorkflowKind},
};

/// Administration of all applications; cheap to clone.
#[derive(Clone)]
pub struct Administration {
    store: Store,
}

/// A key to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewApiKey<'a> {
    /// Whose it is; none for admin keys.
    pub application_id: Option<ApplicationId>,
    /// What it may do.
    pub role: Role,
    /// Its name, for people.
    pub name: &'a str,
    /// Name of a client's certificate that stands for it, in place of a secret.
    pub certificate_name: Option<&'a str>,
}

/// How every key of ours begins, so that scanners for leaked secrets can find one.
const KEY_PREFIX: &str = "carryover_";

/// Longest name of anything.
const NAME_CHARS: usize = 255;

/// Longest text that is looked up as a key.
const KEY_BYTES: usize = 256;

/// Active imports of a new application: one, as in the contract.
const ACTIVE_IMPORTS: i32 = 1;

impl Administration {
    /// Administration over this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Whom a key belongs to.
    pub async fn authenticate(&self, key: &str) -> Result<Caller, Error> {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(Refusal::Unauthenticated.into());
        }
        Ok(self.store.find_caller(hash(key)).await?.ok_or(Refusal::Unauthenticated)?)
    }

    /// Whom the names of a client's certificate stand for.
    pub async fn identify(&self, names: &[CertificateName]) -> Result<Caller, Error> {
        if names.is_empty() {
            return Err(Refusal::Unauthenticated.into());
        }
        let found = self.store.find_caller_of_certificate(names).await?;
        Ok(found.ok_or(Refusal::Unauthenticated)?)
    }

    /// Makes an application.
    pub async fn create_application(
        &self,
        caller: Caller,
        name: &str,
        imports_enabled: bool,
        sandbox: bool,
    ) -> Result<Application, Error> {
        check_name("name", name)?;
        let application = Application {
            id: ApplicationId(clock::new_id()),
            name: name.to_owned(),
            imports_enabled,
            sandbox,
            max_active_imports: ACTIVE_IMPORTS,
            limits: LimitSettings::default(),
            created_at: clock::now(),
        };
        Ok(self.store.add_application(application, caller).await?)
    }

    /// Changes an application's switches and limits.
    pub async fn change_application(
        &self,
        caller: Caller,
        id: ApplicationId,
        change: ApplicationChange,
    ) -> Result<Application, Error> {
        let mut violations = Vec::new();
        if change.max_active_imports.is_some_and(|limit| !(1..=1_000).contains(&limit)) {
            violations.push(FieldViolation::new("max_active_imports", "must be from 1 to 1,000"));
        }
        if let Some(limits) = &change.limits {
            check_limits(limits, &mut violations);
        }
        if !violations.is_empty() {
            return Err(Refusal::InvalidFields(violations).into());
        }
        Ok(self.store.change_application(id, change, caller, clock::now()).await?)
    }

    /// Lists what was done, newest first; of one application, or of all.
    pub async fn list_audit_events(
        &self,
        application: Option<ApplicationId>,
        before: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<AuditEvent>, Error> {
        Ok(self.store.list_audit_events(application, before, limit).await?)
    }

    /// Lists applications in the order they were made.
    pub async fn list_applications(
        &self,
        after: Option<ApplicationId>,
        limit: u64,
    ) -> Result<Vec<Application>, Error> {
        Ok(self.store.list_applications(after, limit).await?)
    }

    /// Makes a key; gives its secret, which is kept nowhere. A key that a certificate stands for has none.
    pub async fn create_api_key(
        &self,
        caller: Caller,
        new: NewApiKey<'_>,
    ) -> Result<(ApiKey, Option<String>), Error> {
        let secret = new_secret();
        let has_secret = new.certificate_name.is_none();
        let key = self.add_api_key(caller, new, &secret).await?;
        Ok((key, Some(secret).filter(|_| has_secret)))
    }

    async fn add_api_key(&self, caller: Caller, new: NewApiKey<'_>, secret: &str) -> Result<ApiKey, Error> {
        let NewApiKey { application_id, role, name, certificate_name } = new;
        let mut violations = Vec::new();
        if (role == Role::Admin) == application_id.is_some() {
            let text = "admin keys belong to no application, all others to one";
            violations.push(FieldViolation::new("application_id", text));
        }
        if name.chars().count() > NAME_CHARS {
            violations.push(FieldViolation::new("name", "must have at most 255 characters"));
        }
        let bound = certificate_name.map(CertificateName::parse);
        if bound == Some(None) {
            let text = "must be a DNS name without a wildcard, or a URI, of at most 512 bytes";
            violations.push(FieldViolation::new("certificate_name", text));
        }
        if !violations.is_empty() {
            return Err(Refusal::InvalidFields(violations).into());
        }
        let key = ApiKey {
            id: ApiKeyId(clock::new_id()),
            application_id,
            name: name.to_owned(),
            certificate_name: bound.flatten().map(|name| name.as_str().to_owned()),
            role,
            created_at: clock::now(),
            revoked_at: None,
        };
        Ok(self.store.add_api_key(key, hash(secret), caller).await?)
    }

    /// Makes an admin key: of `given`, where it was never a key before, or at random, where there is none at
    /// all. Gives the secret of a new one.
    pub async fn bootstrap(&self, given: Option<&str>) -> Result<Option<String>, Error> {
        let is_there = match given {
            // One that was revoked does not come back.
            Some(secret) => self.store.knows_key(hash(secret)).await?,
            None => self.store.has_admin_key().await?,
        };
        if is_there {
            return Ok(None);
        }
        let secret = given.map_or_else(new_secret, str::to_owned);
        let new = NewApiKey {
            application_id: None,
            role: Role::Admin,
            name: "admin key of the server",
            certificate_name: None,
        };
        self.add_api_key(Caller::SERVER, new, &secret).await?;
        Ok(Some(secret))
    }

    /// Ends a key at once.
    pub async fn revoke_api_key(&self, caller: Caller, id: ApiKeyId) -> Result<ApiKey, Error> {
        Ok(self.store.revoke_api_key(id, caller, clock::now()).await?)
    }

    /// Lists the keys of an application, or the admin keys, in the order they were made.
    pub async fn list_api_keys(
        &self,
        application: Option<ApplicationId>,
        after: Option<ApiKeyId>,
        limit: u64,
    ) -> Result<Vec<ApiKey>, Error> {
        Ok(self.store.list_api_keys(application, after, limit).await?)
    }

    /// Makes a workflow.
    pub async fn create_workflow(
        &self,
        caller: Caller,
        application_id: ApplicationId,
        name: &str,
        kind: WorkflowKind,
    ) -> Result<Workflow, Error> {
        check_name("name", name)?;
        let workflow = Workflow {
            id: WorkflowId(clock::new_id()),
            application_id,
            name: name.to_owned(),
            kind,
            version: 0,
            created_at: clock::now(),
        };
        Ok(self.store.add_workflow(workflow, caller).await?)
    }

    /// A workflow of the application.
    pub async fn get_workflow(&self, application: ApplicationId, id: WorkflowId) -> Result<Workflow, Error> {
        Ok(self.store.find_workflow(application, id).await?.ok_or(Refusal::NotFound("workflow"))?)
    }

    /// Lists the workflows of an application in the order they were made.
    pub async fn list_workflows(
        &self,
        application: ApplicationId,
        after: Option<WorkflowId>,
        limit: u64,
    ) -> Result<Vec<Workflow>, Error> {
        Ok(self.store.list_workflows(application, after, limit).await?)
    }
}

/// Two random UUIDs hold 244 random bits, so a fast hash is enough to keep them by.
fn new_secret() -> String {
    format!("{KEY_PREFIX}{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// What a limit may be at least and at most.
fn check_limits(limits: &LimitSettings, violations: &mut Vec<FieldViolation>) {
    const MANY: u64 = 1 << 40;
    for (name, limit, least, most) in [
        ("upload_bytes", limits.upload_bytes, 1, MANY),
        ("rows", limits.rows, 1, MANY),
        ("rows_per_day", limits.rows_per_day, 1, MANY),
        ("row_bytes", limits.row_bytes, 64, 4 << 20),
        ("columns", limits.columns, 1, 10_000),
        ("cell_bytes", limits.cell_bytes, 1, 4 << 20),
        ("json_depth", limits.json_depth, 1, 120),
        ("stored_row_errors", limits.stored_row_errors, 0, 100_000_000),
        ("stored_warnings", limits.stored_warnings, 0, 100_000_000),
        ("source_retention_days", limits.source_retention_days, 0, 3_650),
    ] {
        if limit.is_some_and(|limit| !(least..=most).contains(&limit)) {
            violations.push(FieldViolation::new(
                format!("limits.{name}"),
                format!("must be from {least} to {most}"),
            ));
        }
    }
}

fn check_name(field: &str, name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS || name.contains(char::is_control) {
        return Err(Refusal::field(field, "must have 1 to 255 characters, none of them a control character"));
    }
    Ok(())
}
