//! Applications, workflows and API keys.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, TryIntoModel, sea_query::Expr,
};

use super::{
    Store,
    audit::{self, AuditEvent},
    entities::{api_key, application, workflow},
    error::Error,
};
use crate::domain::{
    ids::{ApiKeyId, ApplicationId, WorkflowId},
    import::words,
    limits::LimitSettings,
    refusal::{Refusal, Role},
};

words! {
    /// What sessions a workflow is for.
    WorkflowKind {
        /// People.
        User = "user",
        /// Companies.
        Business = "business",
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Its id.
    pub id: ApplicationId,
    /// Its name, for people.
    pub name: String,
    /// Whether it may import.
    pub imports_enabled: bool,
    /// Whether it is a sandbox, which never may.
    pub sandbox: bool,
    /// How many imports may be active at a time.
    pub max_active_imports: i32,
    /// Limits of its own.
    pub limits: LimitSettings,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What is to be changed of an application; what is `None` stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApplicationChange {
    /// Whether it may import.
    pub imports_enabled: Option<bool>,
    /// How many imports may be active at a time.
    pub max_active_imports: Option<i32>,
    /// Its own limits, all of them.
    pub limits: Option<LimitSettings>,
}

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose it is; none for admin keys.
    pub application_id: Option<ApplicationId>,
    /// Its name, for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The key; none for the server itself.
    pub key: Option<ApiKeyId>,
    /// The application of the key; none for admin keys.
    pub application: Option<ApplicationId>,
    /// What the key may do.
    pub role: Role,
}

impl Caller {
    /// The server itself, which may do all that it does.
    pub const SERVER: Self = Self { key: None, application: None, role: Role::Admin };
}

/// A workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    /// Its id.
    pub id: WorkflowId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// Its name, for people.
    pub name: String,
    /// What sessions it is for.
    pub kind: WorkflowKind,
    /// Version of its status rules in force; 0 before the first.
    pub version: i32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The limits an application has of its own.
pub(super) fn limit_settings(row: &application::Model) -> Result<LimitSettings, Error> {
    match &row.limits {
        Some(limits) => {
            serde_json::from_value(limits.clone()).map_err(|_| Error::Corrupt("applications.limits"))
        }
        None => Ok(LimitSettings::default()),
    }
}

impl TryFrom<application::Model> for Application {
    type Error = Error;

    fn try_from(row: application::Model) -> Result<Self, Error> {
        Ok(Self {
            limits: limit_settings(&row)?,
            id: ApplicationId(row.id),
            name: row.name,
            imports_enabled: row.imports_enabled,
            sandbox: row.sandbox,
            max_active_imports: row.max_active_imports,
            created_at: row.created_at,
        })
    }
}

impl TryFrom<api_key::Model> for ApiKey {
    type Error = Error;

    fn try_from(row: api_key::Model) -> Result<Self, Error> {
        Ok(Self {
            id: ApiKeyId(row.id),
            application_id: row.application_id.map(ApplicationId),
            name: row.name,
            role: Role::from_word(&row.role).ok_or(Error::Corrupt("api_keys.role"))?,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
        })
    }
}

impl TryFrom<workflow::Model> for Workflow {
    type Error = Error;

    fn try_from(row: workflow::Model) -> Result<Self, Error> {
        Ok(Self {
            id: WorkflowId(row.id),
            application_id: ApplicationId(row.application_id),
            name: row.name,
            kind: WorkflowKind::from_word(&row.kind).ok_or(Error::Corrupt("workflows.kind"))?,
            version: row.version,
            created_at: row.created_at,
        })
    }
}

impl Store {
    /// Adds an application.
    pub async fn add_application(&self, new: Application, caller: Caller) -> Result<Application, Error> {
        self.write(move |tx| {
            Box::pin(async move {
                let event = AuditEvent::new(caller, Some(new.id), "create_application", new.id.to_string())
                    .with("imports_enabled", new.imports_enabled)
                    .with("sandbox", new.sandbox);
                audit::record(tx, event, new.created_at).await?;
                let row = application::ActiveModel {
                    id: Set(new.id.0),
                    name: Set(new.name),
                    imports_enabled: Set(new.imports_enabled),
                    sandbox: Set(new.sandbox),
                    max_active_imports: Set(new.max_active_imports),
                    next_session_number: Set(1),
                    created_at: Set(new.created_at),
                    limits: Set(None),
                    tombstone_salt: Set(None),
                    media_swept_at: Set(None),
                };
                row.insert(tx).await?.try_into()
            })
        })
        .await
    }

    /// Changes an application's switches and limits.
    pub async fn change_application(
        &self,
        id: ApplicationId,
        change: ApplicationChange,
        caller: Caller,
        now: DateTime<Utc>,
    ) -> Result<Application, Error> {
        self.write(move |tx| {
            Box::pin(async move {
                let row = application::Entity::find_by_id(id.0).one(tx).await?;
                let mut row = row.ok_or(Refusal::NotFound("application"))?.into_active_model();
                let mut event = AuditEvent::new(caller, Some(id), "update_application", id.to_string());
                if let Some(enabled) = change.imports_enabled {
                    row.imports_enabled = Set(enabled);
                    event = event.with("imports_enabled", enabled);
                }
                if let Some(limit) = change.max_active_imports {
                    row.max_active_imports = Set(limit);
                    event = event.with("max_active_imports", limit);
                }
                if let Some(limits) = change.limits {
                    let limits = serde_json::to_value(limits).map_err(|_| Error::Corrupt("limits"))?;
                    event = event.with("limits", limits.clone());
                    row.limits = Set(Some(limits));
                }
                if !row.is_changed() {
                    return row.try_into_model()?.try_into();
                }
                audit::record(tx, event, now).await?;
                row.update(tx).await?.try_into()
            })
        })
        .await
    }

    /// The limits an application has of its own.
    pub async fn own_limits(&self, id: ApplicationId) -> Result<LimitSettings, Error> {
        let row = application::Entity::find_by_id(id.0).one(&self.db).await?;
        limit_settings(&row.ok_or(Refusal::NotFound("application"))?)
    }

    /// Lists applications in the order they were made, those behind `after` only.
    pub async fn list_applications(
        &self,
        after: Option<ApplicationId>,
        limit: u64,
    ) -> Result<Vec<Application>, Error> {
        let mut query = application::Entity::find();
        if let Some(after) = after {
            query = query.filter(application::Column::Id.gt(after.0));
        }
        let rows = query.order_by_asc(application::Column::Id).limit(limit).all(&self.db).await?;
        rows.into_iter().map(Application::try_from).collect()
    }

    /// Adds an API key by the hash of its secret.
    pub async fn add_api_key(&self, new: ApiKey, hash: [u8; 32], caller: Caller) -> Result<ApiKey, Error> {
        self.write(move |tx| {
            Box::pin(async move {
                let event = AuditEvent::new(caller, new.application_id, "create_api_key", new.id.to_string())
                    .with("role", new.role.as_str());
                audit::record(tx, event, new.created_at).await?;
                if let Some(application) = new.application_id {
                    let found = application::Entity::find_by_id(application.0).one(tx).await?;
                    found.ok_or(Refusal::NotFound("application"))?;
                }
                let row = api_key::ActiveModel {
                    id: Set(new.id.0),
                    application_id: Set(new.application_id.map(|id| id.0)),
                    name: Set(new.name),
                    role: Set(new.role.as_str().to_owned()),
                    hash: Set(hash.to_vec()),
                    created_at: Set(new.created_at),
                    revoked_at: Set(None),
                };
                row.insert(tx).await?.try_into()
            })
        })
        .await
    }

    /// Ends a key; the first end counts.
    pub async fn revoke_api_key(
        &self,
        id: ApiKeyId,
        caller: Caller,
        now: DateTime<Utc>,
    ) -> Result<ApiKey, Error> {
        self.write(move |tx| {
            Box::pin(async move {
                let revoked = api_key::Entity::update_many()
                    .col_expr(api_key::Column::RevokedAt, Expr::value(now))
                    .filter(api_key::Column::Id.eq(id.0))
                    .filter(api_key::Column::RevokedAt.is_null())
                    .exec(tx)
                    .await?;
                let row = api_key::Entity::find_by_id(id.0).one(tx).await?;
                let key = ApiKey::try_from(row.ok_or(Refusal::NotFound("API key"))?)?;
                if revoked.rows_affected == 1 {
                    let event = AuditEvent::new(caller, key.application_id, "revoke_api_key", id.to_string());
                    audit::record(tx, event, now).await?;
                }
                Ok(key)
            })
        })
        .await
    }

    /// Lists the keys of an application, or the admin keys, in the order they were made, those behind
    /// `after` only.
    pub async fn list_api_keys(
        &self,
        application: Option<ApplicationId>,
        after: Option<ApiKeyId>,
        limit: u64,
    ) -> Result<Vec<ApiKey>, Error> {
        let mut query = api_key::Entity::find().order_by_asc(api_key::Column::Id).limit(limit);
        query = match application {
            Some(application) => query.filter(api_key::Column::ApplicationId.eq(application.0)),
            None => query.filter(api_key::Column::ApplicationId.is_null()),
        };
        if let Some(after) = after {
            query = query.filter(api_key::Column::Id.gt(after.0));
        }
        query.all(&self.db).await?.into_iter().map(ApiKey::try_from).collect()
    }

    /// Whom a secret's hash belongs to; revoked keys belong to nobody.
    pub async fn find_caller(&self, hash: [u8; 32]) -> Result<Option<Caller>, Error> {
        let row = api_key::Entity::find()
            .filter(api_key::Column::Hash.eq(hash.to_vec()))
            .filter(api_key::Column::RevokedAt.is_null())
            .one(&self.db)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let key = ApiKey::try_from(row)?;
        Ok(Some(Caller { key: Some(key.id), application: key.application_id, role: key.role }))
    }

    /// Whether a key was ever made, revoked ones included.
    pub async fn knows_key(&self, hash: [u8; 32]) -> Result<bool, Error> {
        let found = api_key::Entity::find().filter(api_key::Column::Hash.eq(hash.to_vec())).count(&self.db);
        Ok(found.await? > 0)
    }

    /// Whether there is any admin key, revoked ones included.
    pub async fn has_admin_key(&self) -> Result<bool, Error> {
        Ok(api_key::Entity::find()
            .filter(api_key::Column::Role.eq(Role::Admin.as_str()))
            .count(&self.db)
            .await?
            > 0)
    }

    /// Adds a workflow.
    pub async fn add_workflow(&self, new: Workflow, caller: Caller) -> Result<Workflow, Error> {
        self.write(move |tx| {
            Box::pin(async move {
                let application = new.application_id;
                let event = AuditEvent::new(caller, Some(application), "create_workflow", new.id.to_string());
                audit::record(tx, event, new.created_at).await?;
                let found = application::Entity::find_by_id(new.application_id.0).one(tx).await?;
                found.ok_or(Refusal::NotFound("application"))?;
                let row = workflow::ActiveModel {
                    application_id: Set(new.application_id.0),
                    id: Set(new.id.0),
                    name: Set(new.name),
                    kind: Set(new.kind.as_str().to_owned()),
                    created_at: Set(new.created_at),
                    version: Set(0),
                };
                row.insert(tx).await?.try_into()
            })
        })
        .await
    }

    /// A workflow of the application.
    pub async fn find_workflow(
        &self,
        application: ApplicationId,
        id: WorkflowId,
    ) -> Result<Option<Workflow>, Error> {
        let row = workflow::Entity::find_by_id((application.0, id.0)).one(&self.db).await?;
        row.map(Workflow::try_from).transpose()
    }

    /// Lists the workflows of an application in the order they were made, those behind `after` only.
    pub async fn list_workflows(
        &self,
        application: ApplicationId,
        after: Option<WorkflowId>,
        limit: u64,
    ) -> Result<Vec<Workflow>, Error> {
        let mut query = workflow::Entity::find().filter(workflow::Column::ApplicationId.eq(application.0));
        if let Some(after) = after {
            query = query.filter(workflow::Column::Id.gt(after.0));
        }
        let rows = query.order_by_asc(workflow::Column::Id).limit(limit).all(&self.db).await?;
        rows.into_iter().map(Workflow::try_from).collect()
    }
}
