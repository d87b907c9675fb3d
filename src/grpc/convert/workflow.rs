//! Workflows, their versions and status rules.

use super::{json, timestamp, word};
use crate::{
    grpc::pb,
    store::{StoredRule, Workflow, WorkflowKind, WorkflowVersion},
};

pub(in crate::grpc) fn workflow(workflow: Workflow) -> pb::Workflow {
    pb::Workflow {
        id: workflow.id.to_string(),
        application_id: workflow.application_id.to_string(),
        name: workflow.name,
        kind: match workflow.kind {
            WorkflowKind::User => pb::WorkflowKind::User,
            WorkflowKind::Business => pb::WorkflowKind::Business,
        } as i32,
        version: workflow.version,
        created_at: Some(timestamp(workflow.created_at)),
    }
}

pub(in crate::grpc) fn workflow_version(version: WorkflowVersion) -> pb::WorkflowVersion {
    pb::WorkflowVersion {
        version: version.version,
        import_id: version.import_id.to_string(),
        created_at: Some(timestamp(version.created_at)),
    }
}

pub(in crate::grpc) fn status_rule(rule: StoredRule) -> pb::StatusRule {
    pb::StatusRule {
        id: rule.id.to_string(),
        status: word("RULE_STATUS", &rule.status, pb::RuleStatus::from_str_name) as i32,
        external_id: rule.external_id,
        feature: rule.feature,
        node_id: rule.node_id,
        field: rule.field,
        operator: rule.operator,
        value: rule.value.map(|value| json(&value, 0)),
        value_type: rule.value_type,
        score: rule.score,
        priority: rule.priority,
        since_version: rule.version,
        import_id: rule.import_id.to_string(),
        row_number: rule.row_number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::status_rule::RuleStatus;

    #[test]
    fn every_status_has_its_wire_value() {
        for status in RuleStatus::ALL {
            let wire = word("RULE_STATUS", status.as_str(), pb::RuleStatus::from_str_name);
            assert_ne!(wire, pb::RuleStatus::Unspecified, "{status:?}");
        }
    }
}
