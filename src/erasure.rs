//! Erasing a person or company: records, what row errors say of them, and their rows in stored sources.
//!
//! The records go first, in one transaction that leaves tombstones, so that nothing brings them back.
//! Then every source the application still keeps is gone over, and each row about them is blanked out:
//! its segment is stored again under a new name, with the row's bytes as blanks, before the old object is
//! deleted. Rows keep their numbers, lines and bytes their places. What cannot be parsed cannot be told
//! apart: records larger than a row may be stay as they are and are counted.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::Mutex;

use crate::{
    canonical::{schema::FieldId, schema_of},
    clock,
    domain::{
        ids::{ApplicationId, ImportId, RecordKind, SessionId, derive},
        import::{Import, ImportType, SourceFormat},
        refusal::Refusal,
        segment::{SegmentKind, SegmentRange},
    },
    error::Error,
    objects::{self, Objects},
    pipeline::{self, Reading, Rows},
    store::{self, AuditEvent, Caller, Erased, ErasedKind, SourceRows, Store},
};

/// Imports looked at in one go.
const PAGE: u64 = 100;

/// Erases people and companies; cheap to clone.
#[derive(Clone)]
pub struct Erasure {
    store: Store,
    objects: Objects,
    /// Sources are gone over for one erasure at a time.
    turn: Arc<Mutex<()>>,
}

/// What was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Sessions, decisions and media references with them.
    pub sessions: u64,
    /// Transactions in which a party was made nameless.
    pub transactions: u64,
    /// Rows of stored sources that were blanked out.
    pub source_rows: u64,
    /// Rows of stored sources that nobody could read, and so may still hold something.
    pub unreadable_rows: u64,
}

/// Fields of a source that may name somebody.
struct Places {
    vendor_data: Vec<FieldId>,
    /// Of the provider and the id there.
    key: Option<(FieldId, FieldId)>,
}

impl Places {
    fn are_none(&self) -> bool {
        self.vendor_data.is_empty() && self.key.is_none()
    }
}

/// Whose rows are looked for.
struct Wanted {
    kind: ErasedKind,
    /// The customer's own id; none when a single session goes.
    vendor_data: Option<String>,
    erased: Erased,
}

impl Erasure {
    /// Erasure over these stores.
    pub fn new(store: Store, objects: Objects) -> Self {
        Self { store, objects, turn: Arc::default() }
    }

    /// Erases a user.
    pub async fn erase_user(&self, caller: Caller, vendor_data: &str) -> Result<Report, Error> {
        self.erase_entity(caller, ErasedKind::User, vendor_data).await
    }

    /// Erases a business.
    pub async fn erase_business(&self, caller: Caller, vendor_data: &str) -> Result<Report, Error> {
        self.erase_entity(caller, ErasedKind::Business, vendor_data).await
    }

    async fn erase_entity(
        &self,
        caller: Caller,
        kind: ErasedKind,
        vendor_data: &str,
    ) -> Result<Report, Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        if vendor_data.is_empty() {
            return Err(Refusal::field("vendor_data", "must be given").into());
        }
        let (record_kind, action) = match kind {
            ErasedKind::User => (RecordKind::User, "erase_user"),
            ErasedKind::Business => (RecordKind::Business, "erase_business"),
        };
        // The derived id tells an auditor which erasure it was, and nobody who it was about.
        let id = derive(application, record_kind, &[vendor_data.as_bytes()]);
        let event = AuditEvent::new(caller, Some(application), action, id.to_string());
        let erased = self.store.erase_entity(application, kind, vendor_data, event, clock::now()).await?;
        let wanted = Wanted { kind, vendor_data: Some(vendor_data.to_owned()), erased };
        self.clean_sources(application, wanted).await
    }

    /// Erases one session; gives its number, too.
    pub async fn delete_session(&self, caller: Caller, id: SessionId) -> Result<(i64, Report), Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        let (kind, number) = match self.store.find_session(application, id).await? {
            Some(session) => (ErasedKind::User, session.columns.session_number),
            None => {
                let found = self.store.find_business_session(application, id).await?;
                let session = found.ok_or(Refusal::NotFound("session"))?;
                (ErasedKind::Business, session.session_number)
            }
        };
        let event = AuditEvent::new(caller, Some(application), "delete_session", id.to_string());
        let erased = self.store.erase_session(application, kind, id, event, clock::now()).await?;
        let wanted = Wanted { kind, vendor_data: None, erased };
        Ok((number, self.clean_sources(application, wanted).await?))
    }

    /// Goes over the sources in a task of its own: a caller who hangs up does not stop it half-way.
    #[expect(clippy::disallowed_methods, reason = "it outlives the call")]
    async fn clean_sources(&self, application: ApplicationId, wanted: Wanted) -> Result<Report, Error> {
        let erasure = self.clone();
        let cleaning = tokio::spawn(async move {
            let _turn = erasure.turn.lock().await;
            erasure.go_over_sources(application, &wanted).await
        });
        cleaning.await.map_err(store::Error::from)?
    }

    async fn go_over_sources(&self, application: ApplicationId, wanted: &Wanted) -> Result<Report, Error> {
        let Erased { sessions, transactions, .. } = wanted.erased;
        let mut report = Report { sessions, transactions, ..Report::default() };
        let mut after = None;
        loop {
            let imports = self.store.list_imports_with_source(application, after, PAGE).await?;
            let Some(last) = imports.last() else { return Ok(report) };
            after = Some(last.id);
            for import in &imports {
                let places = wanted.places(import.spec.import_type);
                if let (false, Ok(reading)) = (places.are_none(), Reading::of(import)) {
                    self.clean_source(import, &reading, &places, wanted, &mut report).await?;
                }
            }
        }
    }

    async fn clean_source(
        &self,
        import: &Import,
        reading: &Reading,
        places: &Places,
        wanted: &Wanted,
        report: &mut Report,
    ) -> Result<(), Error> {
        let (application, id) = (import.application_id, import.id);
        for range in self.store.list_segments(application, id, 0).await? {
            let bytes = match self.objects.get_segment(application, id, &range).await {
                Ok(bytes) => bytes,
                Err(objects::Error::Gone) => continue,
                Err(error) => return Err(error.into()),
            };
            if range.kind != SegmentKind::Records {
                report.unreadable_rows += u64::from(range.rows.unsigned_abs());
                continue;
            }
            let rows = pipeline::parse(reading, &range, bytes.clone(), &import.limits);
            let found: Vec<usize> =
                (0..rows.len()).filter(|row| wanted.is_about(import, &rows, *row, places)).collect();
            if found.is_empty() {
                continue;
            }
            report.source_rows += found.len() as u64;
            let spans: Vec<_> = found.iter().map(|row| rows.span(*row)).collect();
            let blanked = blank_out(&bytes, &spans, import.format == Some(SourceFormat::Ndjson));
            let numbers = found.iter().map(|row| range.first_row + *row as i64).collect();
            self.revise(application, id, range, blanked, numbers).await?;
        }
        Ok(())
    }

    async fn revise(
        &self,
        application: ApplicationId,
        id: ImportId,
        before: SegmentRange,
        bytes: Bytes,
        rows: Vec<i64>,
    ) -> Result<(), Error> {
        // A number that another process, revising the same segment, does not come upon.
        let revision = (clock::new_id().as_u128() as i32 & i32::MAX).max(1);
        let after = SegmentRange { crc32c: crc32c::crc32c(&bytes), revision, ..before };
        self.objects.put_segment(application, id, &after, bytes).await?;
        if let Err(error) =
            self.store.revise_segment(application, id, SourceRows { before, after, rows }).await
        {
            self.objects.delete_segment(application, id, &after).await?;
            return Err(error.into());
        }
        Ok(self.objects.delete_segment(application, id, &before).await?)
    }
}

impl Wanted {
    /// Where rows of that type may name whom is erased; nothing when they cannot be about them.
    fn places(&self, import_type: ImportType) -> Places {
        let find = |name: &str| (schema_of(import_type).find)(name);
        let vendor_data = |names: &[&str]| match self.vendor_data {
            Some(_) => names.iter().filter_map(|name| find(name)).collect(),
            None => Vec::new(),
        };
        match (import_type, self.kind) {
            (ImportType::UserVerification, ErasedKind::User)
            | (ImportType::BusinessVerification, ErasedKind::Business) => Places {
                vendor_data: vendor_data(&["vendor_data"]),
                key: find("provider").zip(find("external_id")),
            },
            (ImportType::Transactions, _) => Places {
                vendor_data: vendor_data(&["subject.vendor_data", "counterparty.vendor_data"]),
                key: None,
            },
            _ => Places { vendor_data: Vec::new(), key: None },
        }
    }

    fn is_about(&self, import: &Import, rows: &Rows, row: usize, places: &Places) -> bool {
        let text = |field: &FieldId| rows.find(row, *field);
        if places.vendor_data.iter().filter_map(text).any(|text| self.vendor_data.as_deref() == Some(text)) {
            return true;
        }
        let Some((provider, external_id)) = &places.key else { return false };
        let Some(external_id) = text(external_id) else { return false };
        let provider = text(provider).unwrap_or(&import.spec.provider);
        self.erased.keys.iter().any(|(own, id)| id == external_id && own.eq_ignore_ascii_case(provider))
    }
}

/// The bytes of a segment with rows blanked out: as long as before, so that everything else keeps its
/// place. An NDJSON row becomes an empty object, since a blank line would be no row.
fn blank_out(bytes: &[u8], spans: &[std::ops::Range<usize>], ndjson: bool) -> Bytes {
    let mut out = BytesMut::from(bytes);
    for span in spans {
        let row = &mut out[span.clone()];
        let content = row.trim_ascii_end().len();
        row[..content].fill(b' ');
        if ndjson && content >= 2 {
            row[..2].copy_from_slice(b"{}");
        }
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanked_rows_keep_their_place_and_their_line_ends() {
        let bytes = b"id\na,\"x\ny\"\r\nb,z\n";
        assert_eq!(
            &blank_out(bytes, std::slice::from_ref(&(3..11)), false)[..],
            b"id\n       \r\nb,z\n".as_slice()
        );
        assert_eq!(
            &blank_out(b"{\"a\":1}\n{\"b\":2}\n", std::slice::from_ref(&(8..16)), true)[..],
            b"{\"a\":1}\n{}     \n"
        );
    }
}
