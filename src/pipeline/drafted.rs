//! Rows that an adapter fills, which brings another system's form into the canonical schema.

use super::rows::Rows;
use crate::{
    adapters::draft::Draft,
    canonical::schema::Schema,
    domain::issue::{Issue, IssueCode},
    store::RowWarning,
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
    let (first, mut warnings) = (rows.cells.len(), Vec::new());
    let mut draft = Draft::new(&mut rows.arena, &mut rows.cells, &mut warnings);
    let Some(faults) = read(&mut draft) else { return false };
    let (limit, row) = (rows.cell_bytes, rows.rows.len().saturating_sub(1) as u32);
    let Some(open) = rows.rows.last_mut() else { return false };
    open.is_lenient = lenient;
    open.faults.extend(faults);
    let mut at = first;
    while let Some(cell) = rows.cells.get(at) {
        if rows.arena.get(cell.value.text()).len() <= limit {
            at += 1;
            continue;
        }
        let message = format!("has more than {limit} bytes (limit cell_bytes)");
        let issue = Issue::of_field(IssueCode::TooLong, schema.spec(cell.field).name, message);
        if lenient {
            warnings.push(issue.into());
        } else {
            open.faults.push(issue);
        }
        rows.cells.swap_remove(at);
    }
    rows.warnings.extend(warnings.into_iter().map(|warning| RowWarning { row, warning }));
    true
}
