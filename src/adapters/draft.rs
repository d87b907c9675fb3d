//! Where an adapter of a provider puts what it has read: cells of the open row, and warnings.

use super::normal::{Verdict, storable_json, trimmed};
use super::shape::{Leaf, shape};
use crate::{
    canonical::{
        arena::Arena,
        cell::{Cell, Value},
        schema::FieldId,
        status::SessionStatus,
    },
    domain::issue::{Issue, IssueCode, WARNINGS_OF_A_ROW},
};

shape! {
    /// Links to media that the customer has put somewhere of their own, beside the provider's record.
    struct Sidecar {
        front: Leaf = "front",
        back: Leaf = "back",
        selfie: Leaf = "selfie",
        video: Leaf = "video",
    }
}

/// The row that an adapter fills.
#[derive(Debug)]
pub struct Draft<'r> {
    arena: &'r mut Arena,
    cells: &'r mut Vec<Cell>,
    warnings: &'r mut Vec<Issue>,
    /// Why nobody can tell what became of the record; nothing where somebody can.
    no_outcome: Option<&'static str>,
}

impl<'r> Draft<'r> {
    /// A row whose cells go to the end of `cells`.
    pub const fn new(arena: &'r mut Arena, cells: &'r mut Vec<Cell>, warnings: &'r mut Vec<Issue>) -> Self {
        Self { arena, cells, warnings, no_outcome: None }
    }

    /// Adds a text, unless it is blank.
    pub(super) fn text(&mut self, field: FieldId, text: &str) {
        let text = trimmed(text);
        if !text.is_empty() {
            let value = Value::Text(self.arena.push(text));
            self.cells.push(Cell { field, value });
        }
    }

    /// Adds a JSON object or list.
    pub(super) fn json(&mut self, field: FieldId, json: &str) {
        let value = Value::Json(self.arena.push(&storable_json(json)));
        self.cells.push(Cell { field, value });
    }

    /// Adds an object that is [made](Value::Made) to be kept.
    pub(super) fn made(&mut self, field: FieldId, json: &str) {
        let value = Value::Made(self.arena.push(json));
        self.cells.push(Cell { field, value });
    }

    /// Adds a text that must hold JSON, unless it is blank.
    pub(super) fn encoded(&mut self, field: FieldId, text: &str) {
        if !text.trim().is_empty() {
            let value = Value::EncodedJson(self.arena.push(text));
            self.cells.push(Cell { field, value });
        }
    }

    /// Tells the row's owner that a value was left out, and why.
    pub(super) fn leave_out(&mut self, issue: Issue) {
        if self.warnings.len() < WARNINGS_OF_A_ROW {
            self.warnings.push(issue.into_warning());
        }
    }

    /// Tells the row's owner something.
    pub(super) fn warn(&mut self, code: IssueCode, field: &str, message: impl Into<String>) {
        if self.warnings.len() < WARNINGS_OF_A_ROW {
            self.warnings.push(Issue::of_field(code, field, message));
        }
    }

    /// Tells whoever sent a status that is not known what the record is taken for.
    pub(super) fn warn_of_status(&mut self, word: &str, taken: &str) {
        const WHY: &str = "the provider's word is not known";
        self.no_outcome = Some(WHY);
        if self.warnings.len() < WARNINGS_OF_A_ROW {
            let issue =
                Issue::of_field(IssueCode::UnknownSourceStatus, "status", [WHY, ", so ", taken].concat());
            self.warnings.push(issue.with_value(word, false));
        }
    }

    /// Tells of members whose JSON type is another than the provider gives them.
    pub(super) fn warn_of_types(&mut self, members: &[&'static str]) {
        for member in members {
            self.warn(IssueCode::WrongType, member, format!("left out: {member} has the wrong JSON type"));
        }
    }

    /// Why nobody can tell what became of the record; nothing where somebody can. Some imports refuse it.
    pub(super) const fn no_outcome(&self) -> Option<&'static str> {
        self.no_outcome
    }

    /// Tells why nobody can say what became of the record, and what it is taken for.
    pub(super) fn warn_of_outcome(&mut self, code: IssueCode, why: &'static str, taken: &str) {
        self.warn(code, "status", [why, ", so ", taken].concat());
        self.no_outcome = Some(why);
    }

    /// The status of a verdict, Expired for a word that is not known.
    pub(super) fn judge(&mut self, verdict: &Verdict<'_>) -> SessionStatus {
        verdict.status.unwrap_or_else(|| {
            self.warn_of_status(&verdict.word, "the session is Expired");
            SessionStatus::Expired
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_bounded_and_blank_texts_are_no_cells() {
        let (mut arena, mut cells, mut warnings) = (Arena::default(), Vec::new(), Vec::new());
        let mut draft = Draft::new(&mut arena, &mut cells, &mut warnings);
        draft.text(FieldId(0), " \u{a0} ");
        (0..100).for_each(|_| draft.warn(IssueCode::Sandbox, "field", "message"));
        assert_eq!((cells.len(), warnings.len()), (0, WARNINGS_OF_A_ROW));
    }
}
