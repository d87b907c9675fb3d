//! Rows that an adapter fills, which brings another system's form into the canonical schema.

use super::rows::Rows;
use crate::{
    adapters::draft::Draft,
    canonical::schema::Schema,
    domain::issue::{Issue, IssueCode, WARNINGS_OF_A_ROW},
};

/// Lets an adapter fill the open row, and gives the row what it finds wrong. Tells whether it did: where `read`
/// gives nothing, the row is none of the adapter's. Where it is `lenient`, odd values are left out and do not
/// fail the row.
pub(super) fn fill(
    rows: &mut Rows,
    schema: &Schema,
    lenient: bool,
    read: impl FnOnce(&mut Draft<'_>) -> Option<Vec<Issue>>,
) -> bool {
    let Some(row) = rows.rows.last_mut() else { return false };
    let first = rows.cells.len();
    let mut draft = Draft::new(&mut rows.arena, &mut rows.cells, &mut row.warnings);
    let Some(faults) = read(&mut draft) else { return false };
    row.is_lenient = lenient;
    row.faults.extend(faults);
    let limit = rows.cell_bytes;
    let mut at = first;
    while let Some(cell) = rows.cells.get(at) {
        if cell.value.text().len() <= limit {
            at += 1;
            continue;
        }
        let message = format!("has more than {limit} bytes (limit cell_bytes)");
        let issue = Issue::of_field(IssueCode::TooLong, schema.spec(cell.field).name, message);
        if lenient {
            row.warnings.push(issue.into_warning());
        } else {
            row.faults.push(issue);
        }
        rows.cells.swap_remove(at);
    }
    row.warnings.truncate(WARNINGS_OF_A_ROW);
    true
}
