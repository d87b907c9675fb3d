//! A canonical record of any kind.

use super::{
    arena::{Arena, Text},
    business_verification::BusinessVerification,
    status_rule::StatusRule,
    transaction::Transaction,
    user_verification::UserVerification,
};
use crate::domain::ids::{ApplicationId, RecordKind, WorkflowId, derive};

/// What a row became.
#[derive(Debug, Clone)]
pub enum Record {
    /// A verification of a person.
    User(UserVerification),
    /// A verification of a company.
    Business(BusinessVerification),
    /// A transaction.
    Transaction(Transaction),
    /// A status rule.
    Rule(Box<StatusRule>),
}

impl Record {
    /// The id of the record, derived from its key; `provider` is the import's source label.
    pub fn id(
        &self,
        arena: &Arena,
        application: ApplicationId,
        provider: &str,
        workflow: Option<WorkflowId>,
    ) -> uuid::Uuid {
        let of_key = |kind, own: Option<Text>, external_id| {
            let provider = arena.find(own).unwrap_or(provider);
            derive(application, kind, &[provider.as_bytes(), arena.get(external_id).as_bytes()])
        };
        match self {
            Self::User(record) => of_key(RecordKind::UserSession, record.provider, record.external_id),
            Self::Business(record) => {
                of_key(RecordKind::BusinessSession, record.provider, record.external_id)
            }
            // A transaction id is unique in the application by itself, whoever provided it.
            Self::Transaction(record) if record.has_transaction_id => {
                derive(application, RecordKind::TransactionId, &[arena.get(record.txn_id).as_bytes()])
            }
            Self::Transaction(record) => of_key(RecordKind::Transaction, record.provider, record.external_id),
            Self::Rule(rule) => rule_id(application, workflow, rule),
        }
    }
}

/// A rule is identified by its external id, or else by what it looks at.
fn rule_id(application: ApplicationId, workflow: Option<WorkflowId>, rule: &StatusRule) -> uuid::Uuid {
    let workflow = workflow.map_or(uuid::Uuid::nil(), |id| id.0);
    let workflow: &[u8] = workflow.as_bytes();
    match &rule.external_id {
        Some(external_id) => {
            derive(application, RecordKind::StatusRule, &[workflow, b"id", external_id.as_bytes()])
        }
        None => {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let (node, value) = (text(&rule.node_id), text(&rule.value));
            let parts: [&str; 5] =
                [rule.feature.as_str(), &node, &rule.field, rule.operator.as_str(), &value];
            let mut all: Vec<&[u8]> = vec![workflow, b"content"];
            all.extend(parts.iter().map(|part| part.as_bytes()));
            derive(application, RecordKind::StatusRule, &all)
        }
    }
}
