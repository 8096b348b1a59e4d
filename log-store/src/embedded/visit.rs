//! Every record of a range, block by block: for who counts again, fills in or writes away, not for searches.

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::sync::Arc;

use watchfire_model::{LogRecord, Timestamp};

use super::EmbeddedStore;
use crate::open_block::{Chunk, Rows};
use crate::sealed::block::SealedBlock;
use crate::sealed::rows::read_rows;
use crate::search::TimeRange;

/// Rows of a chunk that are copied out under its lock at once.
const ROWS_AT_ONCE: usize = 256;
/// By so much the order in which records were accepted may differ from the order of the queue, milliseconds: a sender
/// that had to wait for room.
const ORDER_SLACK_MS: i64 = 3_600_000;

/// Which records a visit is about; both must be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitRange {
    /// When they happened.
    pub event: TimeRange,
    /// When they were accepted.
    pub accepted: TimeRange,
}

/// What a visit has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VisitReport {
    /// Records shown.
    pub records: u64,
    /// Blocks that could not be read, and whose records were not shown.
    pub damaged_blocks: u64,
}

type Visit<'v> = &'v mut dyn FnMut(u64, &LogRecord) -> ControlFlow<()>;

impl EmbeddedStore {
    /// Shows every record of a range with its sequence number, in no particular order, each once, until it is told to
    /// stop. One block at a time is in memory. Blocks.
    pub fn visit(&self, range: VisitRange, visit: Visit<'_>) -> VisitReport {
        let snapshot = self.inner.shared.snapshot();
        let mut report = VisitReport::default();
        for chunk in &snapshot.chunks {
            if visit_chunk(chunk, range, visit, &mut report).is_break() {
                return report;
            }
        }
        let mut blocks: Vec<&Arc<SealedBlock>> = snapshot.sealed.iter().collect();
        // Newest in the queue first: those accepted before the range are all at the end.
        blocks.sort_by_key(|block| Reverse(block.info.seq_max));
        let too_early = range.accepted.start.plus_millis(-ORDER_SLACK_MS).millis();
        for block in blocks {
            if block.info.time_max < range.event.start.millis() || block.info.time_min >= range.event.end.millis() {
                continue;
            }
            let rows = match block.open().and_then(|(directory, file)| read_rows(&directory, &file)) {
                Ok(rows) => rows,
                Err(reason) => {
                    tracing::error!(%reason, path = %block.path.display(), "a block cannot be read");
                    block.note_damage();
                    report.damaged_blocks += 1;
                    continue;
                }
            };
            if visit_rows(&rows, range, visit, &mut report).is_break() {
                return report;
            }
            if rows.accepted_at.iter().all(|at| *at < too_early) {
                break;
            }
        }
        report
    }
}

fn contains(range: VisitRange, rows: &Rows, row: usize) -> bool {
    let time = |millis: &[i64]| millis.get(row).copied().map(Timestamp::from_millis);
    time(&rows.timestamps).is_some_and(|at| range.event.contains(at))
        && time(&rows.accepted_at).is_some_and(|at| range.accepted.contains(at))
}

fn visit_rows(rows: &Rows, range: VisitRange, visit: Visit<'_>, report: &mut VisitReport) -> ControlFlow<()> {
    for (row, seq) in rows.seqs.iter().enumerate() {
        if contains(range, rows, row) {
            report.records += 1;
            visit(*seq, &rows.record(row))?;
        }
    }
    ControlFlow::Continue(())
}

/// A chunk may still be appended to: its lock is held for a few rows only, and never while somebody looks at them.
fn visit_chunk(chunk: &Chunk, range: VisitRange, visit: Visit<'_>, report: &mut VisitReport) -> ControlFlow<()> {
    let mut from = 0;
    loop {
        let copied: Vec<(u64, LogRecord)> = {
            let rows = chunk.rows.read();
            let until = rows.seqs.len().min(from + ROWS_AT_ONCE);
            if from == until {
                return ControlFlow::Continue(());
            }
            let wanted = (from..until).filter(|row| contains(range, &rows, *row));
            let copied = wanted.filter_map(|row| Some((*rows.seqs.get(row)?, rows.record(row)))).collect();
            from = until;
            copied
        };
        for (seq, record) in copied {
            report.records += 1;
            visit(seq, &record)?;
        }
    }
}
