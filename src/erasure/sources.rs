//! Which rows of a source are about whom, and what is left of them.

use bytes::Bytes;
use memchr::memmem;

use crate::{
    canonical::{
        party::{EntityType, PartyKind},
        schema::FieldId,
        schema_of,
    },
    domain::{
        import::{Import, ImportType, SourceFormat},
        segment::SegmentRange,
    },
    pipeline::{self, Reading, Rows},
    store::{ErasedKind, PendingErasure},
};

/// Fields of a source that may name somebody.
pub(super) struct Places {
    /// Of those a record is about: the customer's own id, and for parties of transactions their type.
    parties: Vec<(FieldId, Option<FieldId>)>,
    /// Of the provider and the id there.
    key: Option<(FieldId, FieldId)>,
}

impl Places {
    /// Where rows of that type may name whom is erased; nothing when they cannot be about them.
    pub(super) fn of(import_type: ImportType, erasure: &PendingErasure) -> Option<Self> {
        let find = |name: &str| (schema_of(import_type).find)(name);
        let has_vendor_data = erasure.vendor_data.is_some();
        match (import_type, erasure.kind) {
            (ImportType::UserVerification, ErasedKind::User)
            | (ImportType::BusinessVerification, ErasedKind::Business) => Some(Self {
                parties: find("vendor_data")
                    .filter(|_| has_vendor_data)
                    .map(|id| (id, None))
                    .into_iter()
                    .collect(),
                key: find("provider").zip(find("external_id")),
            }),
            (ImportType::Transactions, _) if has_vendor_data => {
                let party = |side: &str| {
                    let own = find(&format!("{side}.vendor_data"))?;
                    Some((own, find(&format!("{side}.entity_type"))))
                };
                Some(Self {
                    parties: ["subject", "counterparty"].into_iter().filter_map(party).collect(),
                    key: None,
                })
            }
            _ => None,
        }
    }

    fn name(&self, erasure: &PendingErasure, import: &Import, rows: &Rows, row: usize) -> bool {
        let text = |field: FieldId| rows.find(row, field);
        let is_party = |(own, entity_type): &(FieldId, Option<FieldId>)| {
            let is_kind = entity_type.is_none_or(|entity_type| {
                PartyKind::of(text(entity_type).and_then(EntityType::parse), true) == erasure.kind.as_party()
            });
            is_kind && text(*own).is_some_and(|text| erasure.vendor_data.as_deref() == Some(text))
        };
        if self.parties.iter().any(is_party) {
            return true;
        }
        let Some((provider, external_id)) = self.key else { return false };
        let Some(external_id) = text(external_id) else { return false };
        let provider = text(provider).unwrap_or(&import.spec.provider);
        erasure.keys.iter().any(|(own, id)| id == external_id && own.eq_ignore_ascii_case(provider))
    }
}

/// What was found in a segment.
pub(super) struct Found {
    /// The segment's bytes with the rows blanked out; none where there are no such rows.
    pub(super) bytes: Option<Bytes>,
    /// Numbers of the rows.
    pub(super) rows: Vec<i64>,
    /// Rows that cannot be read, and hold a text that names whom is erased.
    pub(super) unreadable: u64,
}

/// Blanks the rows of a segment out that are about whom is erased.
pub(super) fn blank_out_rows(
    erasure: &PendingErasure,
    places: &Places,
    import: &Import,
    reading: &Reading,
    range: &SegmentRange,
    bytes: &Bytes,
) -> Found {
    let rows = pipeline::parse(reading, range, bytes.clone(), &import.limits);
    let (found, others): (Vec<usize>, Vec<usize>) =
        (0..rows.len()).partition(|row| places.name(erasure, import, &rows, *row));
    let texts = erasure.vendor_data.iter().chain(erasure.keys.iter().map(|(_, external_id)| external_id));
    let needles: Vec<_> = texts.map(|text| memmem::Finder::new(text.as_bytes())).collect();
    let names = |row: usize| needles.iter().any(|needle| needle.find(&bytes[rows.span(row)]).is_some());
    let unreadable = others.iter().filter(|row| rows.is_faulty(**row) && names(**row)).count() as u64;
    let spans: Vec<_> = found.iter().map(|row| rows.span(*row)).collect();
    let is_ndjson = import.format == Some(SourceFormat::Ndjson);
    Found {
        bytes: (!found.is_empty()).then(|| pipeline::blank_out(bytes, &spans, is_ndjson)),
        rows: found.iter().map(|row| range.first_row + *row as i64).collect(),
        unreadable,
    }
}
