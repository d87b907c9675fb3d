//! Sources of CSV: columns, found in the header.

use super::Plan;
use crate::domain::fault::SourceFault;

/// Which column of a file each source of a mapping is.
#[derive(Debug, Clone)]
pub struct MappedSheet {
    columns: Vec<usize>,
    width: usize,
}

/// A column's name, to compare by: blanks around it and its case do not count.
fn name(column: &str) -> String {
    // U+00A0 and U+FEFF are what spreadsheets leave behind; `trim` takes only the first.
    column.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').to_lowercase()
}

fn shown(header: &[String]) -> String {
    SourceFault::shown(header.iter().map(String::as_str))
}

impl MappedSheet {
    /// Finds the columns of a plan in a header, which must have them all, and each once.
    pub fn resolve(plan: &Plan, header: &[String]) -> Result<Self, SourceFault> {
        let names: Vec<_> = header.iter().map(|column| name(column)).collect();
        let (mut columns, mut missing) = (Vec::with_capacity(plan.sources.len()), Vec::new());
        for source in &plan.sources {
            let wanted = name(source);
            let mut places = (0..names.len()).filter(|place| names[*place] == wanted);
            match (places.next(), places.next()) {
                (Some(place), None) => columns.push(place),
                (Some(_), Some(_)) => return Err(SourceFault::DuplicateColumn(source.clone())),
                (None, _) => missing.push(source.as_str()),
            }
        }
        if missing.is_empty() {
            return Ok(Self { columns, width: header.len() });
        }
        let missing = SourceFault::shown(missing);
        Err(SourceFault::UnmappedColumns { missing, found: shown(header) })
    }

    /// How many of these columns a plan reads.
    pub fn known<'c>(plan: &Plan, header: impl IntoIterator<Item = &'c str>) -> usize {
        let wanted: Vec<_> = plan.sources.iter().map(|source| name(source)).collect();
        header.into_iter().filter(|column| wanted.contains(&name(column))).count()
    }

    /// Whether a plan reads a column.
    pub fn reads(plan: &Plan, column: &str) -> bool {
        Self::known(plan, [column]) > 0
    }

    /// How many cells a record must have.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The column of each source.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }
}
