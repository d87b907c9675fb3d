//! Binary COPY of records.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, postgres::PgCopyIn};
use uuid::Uuid;

use crate::{
    canonical::{arena::Arena, user_verification::Details},
    store::commit::{Commit, KEY_COLUMNS, SESSION_COLUMN_COUNT, SESSION_COLUMNS, SessionRow},
};

/// Bytes of one message of a COPY.
const COPY_PIECE_BYTES: usize = 256 << 10;

/// Days from 1970 to 2000, PostgreSQL's day 0.
const PG_EPOCH_DAYS: i32 = 10_957;

/// Microseconds from 1970 to 2000, PostgreSQL's time 0.
const PG_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Writes the records, after those they take the place of are gone.
pub(super) async fn copy(
    tx: &mut PgConnection,
    commit: &Commit,
    fresh: &[&SessionRow],
    displaced: &[Uuid],
) -> Result<(), sqlx::Error> {
    let (table, columns) = match commit.dry_run {
        true => ("dry_run_keys", KEY_COLUMNS),
        false => ("user_sessions", SESSION_COLUMNS),
    };
    let application = commit.claim.application_id.0;
    if !displaced.is_empty() {
        let import = if commit.dry_run { "AND import_id = $3" } else { "AND $3 IS NOT NULL" };
        let delete = format!("DELETE FROM {table} WHERE application_id = $1 AND id = ANY($2) {import}");
        sqlx::query(sqlx::AssertSqlSafe(delete))
            .bind(application)
            .bind(displaced)
            .bind(commit.claim.import_id.0)
            .execute(&mut *tx)
            .await?;
    }
    let mut copy = tx.copy_in_raw(&format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)")).await?;
    match send(&mut copy, commit, fresh).await {
        Ok(()) => copy.finish().await.map(drop),
        Err(error) => {
            copy.abort("the copy was given up").await?;
            Err(error)
        }
    }
}

/// Encodes and sends, a piece at a time, so that a segment never exists twice.
async fn send(
    copy: &mut PgCopyIn<&mut PgConnection>,
    commit: &Commit,
    fresh: &[&SessionRow],
) -> Result<(), sqlx::Error> {
    let mut encoder = Encoder::new();
    for session in fresh {
        if commit.dry_run {
            encoder.key(commit, session)
        } else {
            encoder.session(commit, session)
        }
        if encoder.bytes.len() >= COPY_PIECE_BYTES {
            copy.send(encoder.bytes.as_slice()).await?;
            encoder.bytes.clear();
        }
    }
    encoder.end();
    copy.send(encoder.bytes.as_slice()).await?;
    Ok(())
}

/// Writes rows in PostgreSQL's binary COPY format.
struct Encoder {
    bytes: Vec<u8>,
    /// The details of one record.
    details: String,
}

impl Encoder {
    fn new() -> Self {
        let mut bytes = Vec::with_capacity(COPY_PIECE_BYTES + (COPY_PIECE_BYTES >> 2));
        bytes.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        Self { bytes, details: String::new() }
    }

    fn end(&mut self) {
        self.bytes.extend_from_slice(&(-1i16).to_be_bytes());
    }

    fn tuple(&mut self, columns: usize) {
        self.bytes.extend_from_slice(&(columns as i16).to_be_bytes());
    }

    fn cell(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    fn null(&mut self) {
        self.bytes.extend_from_slice(&(-1i32).to_be_bytes());
    }

    fn text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.cell(text.as_bytes()),
            None => self.null(),
        }
    }

    fn time(&mut self, time: Option<DateTime<Utc>>) {
        match time {
            Some(time) => self.cell(&(time.timestamp_micros() - PG_EPOCH_MICROS).to_be_bytes()),
            None => self.null(),
        }
    }

    fn date(&mut self, date: Option<NaiveDate>) {
        match date {
            Some(date) => self.cell(&(date.to_epoch_days() - PG_EPOCH_DAYS).to_be_bytes()),
            None => self.null(),
        }
    }

    fn details(&mut self, details: &Details, arena: &Arena) {
        let mut json = std::mem::take(&mut self.details);
        json.clear();
        details.write_json(arena, &mut json);
        self.text(Some(json.as_str()).filter(|json| !json.is_empty()));
        self.details = json;
    }

    fn key(&mut self, commit: &Commit, session: &SessionRow) {
        self.tuple(4);
        self.cell(commit.claim.application_id.0.as_bytes());
        self.cell(commit.claim.import_id.0.as_bytes());
        self.cell(session.id.0.as_bytes());
        self.cell(&commit.row_number(session.row).to_be_bytes());
    }

    /// One row of `user_sessions`, in the order of [`SESSION_COLUMNS`].
    fn session(&mut self, commit: &Commit, session: &SessionRow) {
        let (record, arena) = (&session.record, &commit.batch.arena);
        self.tuple(SESSION_COLUMN_COUNT);
        self.cell(commit.claim.application_id.0.as_bytes());
        self.cell(session.id.0.as_bytes());
        self.cell(&commit.session_number(session.row).to_be_bytes());
        self.cell(commit.claim.import_id.0.as_bytes());
        self.cell(&commit.row_number(session.row).to_be_bytes());
        self.cell(commit.workflow_id.0.as_bytes());
        self.cell(commit.provider(record).as_bytes());
        self.cell(arena.get(record.external_id).as_bytes());
        self.text(arena.find(record.vendor_data));
        self.cell(record.status().as_str().as_bytes());
        self.time(Some(record.created_at.unwrap_or(commit.imported_at)));
        self.time(record.expires_at);
        self.text(record.document_type.map(|document| document.as_str()));
        self.text(arena.find(record.document_subtype));
        self.text(arena.find(record.document_number));
        self.text(arena.find(record.personal_number));
        self.text(arena.find(record.first_name));
        self.text(arena.find(record.last_name));
        self.text(arena.find(record.full_name));
        self.date(record.date_of_birth);
        self.text(record.gender.map(|gender| gender.as_str()));
        self.text(arena.find(record.nationality));
        self.text(record.issuing_state);
        self.date(record.date_of_issue);
        self.date(record.expiration_date);
        self.text(arena.find(record.address));
        self.text(arena.find(record.place_of_birth));
        self.text(record.id_verification_status.map(|status| status.as_str()));
        self.text(arena.find(record.email));
        self.text(arena.find(record.phone));
        self.details(&record.details, arena);
        self.text(arena.find(record.metadata));
    }
}
