//! Applications and workflows.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, TryIntoModel,
};

use super::{
    Store,
    api_keys::Caller,
    audit::{self, AuditEvent},
    entities::{application, workflow},
    error::Error,
};
use crate::domain::{
    ids::{ApplicationId, WorkflowId},
    import::words,
    limits::LimitSettings,
    refusal::Refusal,
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
