//! API keys, and whom they belong to.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select, sea_query::Expr,
};

use super::{
    Store,
    audit::{self, AuditEvent},
    entities::{api_key, application},
    error::Error,
};
use crate::domain::{
    certificate_name::CertificateName,
    ids::{ApiKeyId, ApplicationId},
    refusal::{Refusal, Role},
};

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose it is; none for admin keys.
    pub application_id: Option<ApplicationId>,
    /// Its name, for people.
    pub name: String,
    /// Name of the certificate that stands for it, in place of a secret.
    pub certificate_name: Option<String>,
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

impl TryFrom<api_key::Model> for ApiKey {
    type Error = Error;

    fn try_from(row: api_key::Model) -> Result<Self, Error> {
        Ok(Self {
            id: ApiKeyId(row.id),
            application_id: row.application_id.map(ApplicationId),
            name: row.name,
            certificate_name: row.certificate_name,
            role: Role::from_word(&row.role).ok_or(Error::Corrupt("api_keys.role"))?,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
        })
    }
}

impl TryFrom<api_key::Model> for Caller {
    type Error = Error;

    fn try_from(row: api_key::Model) -> Result<Self, Error> {
        let key = ApiKey::try_from(row)?;
        Ok(Self { key: Some(key.id), application: key.application_id, role: key.role })
    }
}

/// Keys that names of certificates stand for, but those that are revoked.
fn good_keys_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Select<api_key::Entity> {
    api_key::Entity::find()
        .filter(api_key::Column::CertificateName.is_in(names))
        .filter(api_key::Column::RevokedAt.is_null())
}

impl Store {
    /// Adds an API key by the hash of its secret.
    pub async fn add_api_key(&self, new: ApiKey, hash: [u8; 32], caller: Caller) -> Result<ApiKey, Error> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut event =
                    AuditEvent::new(caller, new.application_id, "create_api_key", new.id.to_string())
                        .with("role", new.role.as_str());
                if let Some(name) = &new.certificate_name {
                    event = event.with("certificate_name", name.as_str());
                    if good_keys_of([name.as_str()]).count(tx).await? > 0 {
                        let text = "is the name of another key; revoke that one first";
                        return Err(Refusal::field("certificate_name", text).into());
                    }
                }
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
                    certificate_name: Set(new.certificate_name),
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
        row.map(Caller::try_from).transpose()
    }

    /// Whom one of the names of a certificate stands for. Names that stand for several are nobody's: which of them
    /// is meant cannot be known.
    pub async fn find_caller_of_certificate(
        &self,
        names: &[CertificateName],
    ) -> Result<Option<Caller>, Error> {
        let keys = good_keys_of(names.iter().map(CertificateName::as_str));
        let mut rows = keys.limit(2).all(&self.db).await?;
        let row = rows.pop().filter(|_| rows.is_empty());
        row.map(Caller::try_from).transpose()
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
}
