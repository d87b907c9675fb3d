//! What an admin may ask: applications, keys and workflows; and who a caller is.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    clock,
    domain::{
        ids::{ApiKeyId, ApplicationId, WorkflowId},
        refusal::{FieldViolation, Refusal, Role},
    },
    error::Error,
    store::{ApiKey, Application, Caller, Store, Workflow, WorkflowKind},
};

/// Administration of all applications; cheap to clone.
#[derive(Clone)]
pub struct Administration {
    store: Store,
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

    /// Makes an application.
    pub async fn create_application(
        &self,
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
            created_at: clock::now(),
        };
        Ok(self.store.add_application(application).await?)
    }

    /// Changes an application's switches; what is `None` stays.
    pub async fn change_application(
        &self,
        id: ApplicationId,
        imports_enabled: Option<bool>,
        max_active_imports: Option<i32>,
    ) -> Result<Application, Error> {
        if max_active_imports.is_some_and(|limit| !(1..=1_000).contains(&limit)) {
            return Err(Refusal::field("max_active_imports", "must be from 1 to 1,000").into());
        }
        Ok(self.store.change_application(id, imports_enabled, max_active_imports).await?)
    }

    /// Lists applications in the order they were made.
    pub async fn list_applications(
        &self,
        after: Option<ApplicationId>,
        limit: u64,
    ) -> Result<Vec<Application>, Error> {
        Ok(self.store.list_applications(after, limit).await?)
    }

    /// Makes a key; gives its secret, which is kept nowhere.
    pub async fn create_api_key(
        &self,
        application_id: Option<ApplicationId>,
        role: Role,
        name: &str,
    ) -> Result<(ApiKey, String), Error> {
        let secret = new_secret();
        let key = self.add_api_key(application_id, role, name, &secret).await?;
        Ok((key, secret))
    }

    async fn add_api_key(
        &self,
        application_id: Option<ApplicationId>,
        role: Role,
        name: &str,
        secret: &str,
    ) -> Result<ApiKey, Error> {
        let mut violations = Vec::new();
        if (role == Role::Admin) == application_id.is_some() {
            let text = "admin keys belong to no application, all others to one";
            violations.push(FieldViolation::new("application_id", text));
        }
        if name.chars().count() > NAME_CHARS {
            violations.push(FieldViolation::new("name", "must have at most 255 characters"));
        }
        if !violations.is_empty() {
            return Err(Refusal::InvalidFields(violations).into());
        }
        let key = ApiKey {
            id: ApiKeyId(clock::new_id()),
            application_id,
            name: name.to_owned(),
            role,
            created_at: clock::now(),
            revoked_at: None,
        };
        Ok(self.store.add_api_key(key, hash(secret)).await?)
    }

    /// Makes the first admin key, from `given` or at random, where there is none; gives its secret.
    pub async fn bootstrap(&self, given: Option<&str>) -> Result<Option<String>, Error> {
        if self.store.has_admin_key().await? {
            return Ok(None);
        }
        let secret = given.map_or_else(new_secret, str::to_owned);
        self.add_api_key(None, Role::Admin, "first admin key", &secret).await?;
        Ok(Some(secret))
    }

    /// Ends a key at once.
    pub async fn revoke_api_key(&self, id: ApiKeyId) -> Result<ApiKey, Error> {
        Ok(self.store.revoke_api_key(id, clock::now()).await?)
    }

    /// Lists the keys of an application, or the admin keys.
    pub async fn list_api_keys(&self, application: Option<ApplicationId>) -> Result<Vec<ApiKey>, Error> {
        Ok(self.store.list_api_keys(application).await?)
    }

    /// Makes a workflow.
    pub async fn create_workflow(
        &self,
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
            created_at: clock::now(),
        };
        Ok(self.store.add_workflow(workflow).await?)
    }

    /// A workflow of the application.
    pub async fn get_workflow(&self, application: ApplicationId, id: WorkflowId) -> Result<Workflow, Error> {
        Ok(self.store.find_workflow(application, id).await?.ok_or(Refusal::NotFound("workflow"))?)
    }

    /// Lists the workflows of an application.
    pub async fn list_workflows(&self, application: ApplicationId) -> Result<Vec<Workflow>, Error> {
        Ok(self.store.list_workflows(application).await?)
    }
}

/// Two random UUIDs hold 244 random bits, so a fast hash is enough to keep them by.
fn new_secret() -> String {
    format!("{KEY_PREFIX}{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

fn check_name(field: &str, name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS || name.contains(char::is_control) {
        return Err(Refusal::field(field, "must have 1 to 255 characters, none of them a control character"));
    }
    Ok(())
}
