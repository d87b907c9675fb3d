//! A segment that cannot be settled as a whole: the rows to blame are found and failed, the others settled.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use tokio::sync::Semaphore;
use tracing::{Instrument, info, warn};

use super::{Failed, InWork, Worker};
use crate::{
    clock,
    domain::{
        import::{Import, SourceFormat},
        isolation::{Isolation, Step},
        issue::{Issue, IssueCode},
        segment::SegmentRange,
    },
    intake::splitter,
    pipeline::{self, Reading},
    store::{self, Batch},
};

impl Worker {
    /// Settles a segment some of whose rows make a stage panic or are refused by the database, while others go
    /// their usual way.
    pub(super) fn find_spoilers(&self, work: InWork, bytes: Bytes, failed: &Failed) {
        failed.log(&work);
        let worker = self.clone();
        let span = work.span.clone();
        let isolated = async move {
            let isolation = Isolation::begin(work.held.claim().range().rows.unsigned_abs());
            worker.isolate(work, bytes, isolation, Kept::InMind).await;
        };
        self.isolations.spawn(isolated.instrument(span));
    }

    /// Settles a segment some of whose rows may kill this process.
    pub(super) async fn find_killers(&self, work: InWork, bytes: Bytes) {
        let claim = work.held.claim().clone();
        let rows = claim.range().rows.unsigned_abs();
        let mut isolation = claim.isolation().cloned().unwrap_or_else(|| Isolation::begin(rows));
        if claim.isolation().is_some() && isolation.has_killed(claim.deaths()) {
            isolation.killed(rows);
        }
        self.isolate(work, bytes, isolation, Kept::Stored).await;
    }

    async fn isolate(&self, work: InWork, bytes: Bytes, mut isolation: Isolation, kept: Kept) {
        let claim = work.held.claim().clone();
        loop {
            let is_helpless = isolation.is_helpless();
            if kept == Kept::Stored {
                isolation.begin_step(claim.deaths());
                let known = Some(&isolation).filter(|_| !is_helpless);
                if let Err(error) = self.store.save_isolation(&claim, known).await {
                    return self.fail(&work, Failed::Store(error)).await;
                }
            }
            if is_helpless {
                return self.fail(&work, Failed::Helpless).await;
            }
            let step = isolation.next();
            match self.step(&work, &bytes, &isolation, &step).await {
                Ok(()) if step == Step::Settle => return,
                Ok(()) => isolation.passed(),
                Err(failed) if failed.is_of_rows() => {
                    warn!(import.id = %work.import.id, segment.seq = claim.range().seq, ?step, "rows that cannot be settled");
                    isolation.failed(claim.range().rows.unsigned_abs());
                }
                Err(failed) => return self.fail(&work, failed).await,
            }
        }
    }

    async fn step(
        &self,
        work: &InWork,
        bytes: &Bytes,
        isolation: &Isolation,
        step: &Step,
    ) -> Result<(), Failed> {
        let (import, range) = (work.import.clone(), *work.held.claim().range());
        let (bytes, isolation, live) = (bytes.clone(), isolation.clone(), live(step, &range));
        let now = clock::now();
        let batch =
            tokio::task::spawn_blocking(move || transform(&import, &range, bytes, &isolation, &live, now));
        let batch = batch.await.map_err(|_| Failed::Panicked)?.map_err(Failed::Source)?;
        let claim = work.held.claim().clone();
        match step {
            Step::Try(_) => Ok(self.store.try_segment(claim, &work.import, batch, now).await?),
            Step::Settle => {
                let turn = Arc::new(Semaphore::new(1)).acquire_owned().await.map_err(|_| Failed::Panicked)?;
                let committed = self.store.commit_segment(claim, &work.import, batch, now, turn).await?;
                info!(import.id = %work.import.id, segment.seq = range.seq, "segment settled row by row");
                self.committed(&work.import, committed);
                Ok(())
            }
        }
    }
}

/// Where it is kept what is known between two steps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// With whoever takes them: they do not kill.
    InMind,
    /// In the database, so that a step that kills its worker tells the next one.
    Stored,
}

impl From<store::Error> for Failed {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

fn live(step: &Step, range: &SegmentRange) -> Range<u32> {
    match step {
        Step::Try(rows) => rows.clone(),
        Step::Settle => 0..range.rows.unsigned_abs(),
    }
}

/// The batch of the live rows of a segment, without those that are given up.
fn transform(
    import: &Import,
    range: &SegmentRange,
    bytes: Bytes,
    isolation: &Isolation,
    live: &Range<u32>,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Batch, crate::domain::fault::SourceFault> {
    let reading = Reading::of(import)?;
    let format = import.format.unwrap_or(SourceFormat::Csv);
    let spans = splitter::record_spans(format, import.delimiter.unwrap_or(b','), range, &bytes);
    let is_live = |row: u32| live.contains(&row) && !isolation.is_poisonous(row);
    let out: Vec<_> = (0..).zip(spans).filter(|(row, _)| !is_live(*row)).map(|(_, span)| span).collect();
    let blanked = pipeline::blank_out(&bytes, &out, format == SourceFormat::Ndjson);
    let rows = pipeline::parse(&reading, range, blanked, &import.limits).with_source(bytes);
    let mut batch = pipeline::transform(import, rows, now);
    batch.failures.retain(|failure| live.contains(&failure.row));
    for failure in batch.failures.iter_mut().filter(|failure| isolation.is_poisonous(failure.row)) {
        let message = "the server cannot process this row; the rows around it were processed";
        failure.issues = vec![Issue::of_record(IssueCode::Unprocessable, message)];
    }
    Ok(batch)
}
