//! Appending: the newest chunk, and when what is open is cut off to be sealed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender;
use watchfire_model::Timestamp;

use super::config::{AppendError, AppendReport};
use super::lost::{self, Lost};
use super::shared::{Cut, Message, Shared};
use crate::open_block::Chunk;

/// Longest that appending waits for sealing.
const WAIT: Duration = Duration::from_secs(1);
/// Largest record that is taken, bytes; the queue takes no larger ones either.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// The appending side of the store.
pub(crate) struct Writer {
    /// The open block's chunks; the last is appended to.
    open: Vec<Arc<Chunk>>,
    /// Rows and bytes in all of `open` but the last chunk.
    rows_before: usize,
    bytes_before: usize,
    /// Offsets below are visible.
    next_offset: u64,
    /// Where the open block begins.
    cut_start: u64,
    /// Every record below is there, or known to be lost.
    whole_until: u64,
    /// Earliest and latest time of the record before that, milliseconds.
    last_times: (i64, i64),
    /// What is lost of the open block's stretch.
    lost: Vec<Lost>,
    /// When the open block was first seen to have rows.
    open_since: Option<Timestamp>,
    /// Nothing has to be sealed before records up to this offset are visible.
    seal_from: u64,
    /// What waits for that.
    waiting: Vec<Cut>,
}

impl Writer {
    /// `last_ms`: about when the record before `offset` was, if there is any.
    pub fn new(offset: u64, last_ms: Option<i64>) -> Writer {
        Writer {
            open: vec![Arc::new(Chunk::default())],
            rows_before: 0,
            bytes_before: 0,
            next_offset: offset,
            cut_start: offset,
            whole_until: offset,
            last_times: (last_ms.unwrap_or(i64::MIN), last_ms.unwrap_or(i64::MIN)),
            lost: Vec::new(),
            open_since: None,
            seal_from: offset,
            waiting: Vec::new(),
        }
    }

    /// What is full before records below `offset` are visible waits to be sealed until they are, as far as it may wait
    /// at all.
    pub fn seal_from(&mut self, offset: u64) {
        self.seal_from = offset;
    }

    /// The chunk that is appended to.
    pub fn chunk(&self) -> Arc<Chunk> {
        // There always is one.
        self.open.last().map_or_else(|| Arc::new(Chunk::default()), Arc::clone)
    }

    pub fn next_offset(&self) -> u64 {
        self.next_offset
    }

    pub fn append<'a>(
        &mut self,
        shared: &Shared,
        messages: &Sender<Message>,
        first_offset: u64,
        mut records: impl Iterator<Item = &'a [u8]>,
    ) -> Result<AppendReport, AppendError> {
        let mut report = AppendReport::default();
        let mut offset = first_offset;
        loop {
            let chunk = self.chunk();
            let rows_max = shared.config.block_rows.saturating_sub(self.rows_before);
            let mut rows = chunk.rows.write();
            while !rows.is_full(rows_max) {
                let Some(bytes) = records.next() else {
                    drop(rows);
                    if self.next_offset >= self.seal_from {
                        self.send_waiting(messages);
                    }
                    report.visible_offset = self.next_offset;
                    return Ok(report);
                };
                let seq = offset;
                offset = offset.saturating_add(1);
                if seq < self.next_offset {
                    report.skipped += 1;
                    continue;
                }
                if bytes.len() > RECORD_BYTES_MAX {
                    tracing::warn!(seq, bytes = bytes.len(), "a record is too large and is left out");
                    report.damaged += 1;
                    shared.counters.damaged_records.fetch_add(1, Ordering::Relaxed);
                } else {
                    match rows.push(seq, bytes) {
                        Ok(record) => {
                            let (at, accepted) = (record.timestamp().millis(), record.accepted_at().millis());
                            self.note_lost(shared, seq, (at.min(accepted), at.max(accepted)));
                            report.appended += 1;
                        }
                        Err(error) => {
                            tracing::warn!(seq, %error, "a record of the queue cannot be read and is left out");
                            report.damaged += 1;
                            shared.counters.damaged_records.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                self.next_offset = offset;
            }
            let (rows_open, bytes_open) = (self.rows_before + rows.len(), self.bytes_before + rows.bytes);
            // What follows reads the chunk.
            drop(rows);
            if rows_open >= shared.config.block_rows || bytes_open >= shared.config.block_bytes {
                self.wait_for_sealing(shared)?;
                self.cut(shared, messages);
            } else {
                (self.rows_before, self.bytes_before) = (rows_open, bytes_open);
                self.add_chunk(shared, &chunk);
            }
        }
    }

    /// Takes note of those that are missing before record `seq`, which has these times.
    fn note_lost(&mut self, shared: &Shared, seq: u64, times: (i64, i64)) {
        if seq > self.whole_until {
            let lost = Lost {
                start: self.whole_until,
                end: seq,
                records: seq - self.whole_until,
                time_min: self.last_times.0.min(times.0),
                time_max: self.last_times.1.max(times.1),
            };
            let (from, to) = (lost.start, lost.end);
            tracing::error!(from, to, "records of the queue never came and are missing; totals of their time say so");
            lost::add(&mut self.lost, lost.clone());
            shared.update(|snapshot| lost::add(&mut snapshot.lost, lost));
        }
        self.whole_until = seq.saturating_add(1);
        self.last_times = times;
    }

    fn add_chunk(&mut self, shared: &Shared, before: &Chunk) {
        let chunk = Arc::new(Chunk::like(before));
        self.open.push(Arc::clone(&chunk));
        shared.update(|snapshot| snapshot.chunks.push(chunk));
    }

    fn wait_for_sealing(&self, shared: &Shared) -> Result<(), AppendError> {
        let most = shared.config.pending_blocks_max.max(1);
        let mut backlog = shared.backlog.lock();
        if backlog.pending >= most && !backlog.is_closed {
            shared.backlog_shrank.wait_while_for(&mut backlog, |b| b.pending >= most && !b.is_closed, WAIT);
        }
        if backlog.is_closed {
            return Err(AppendError::Closed);
        }
        if backlog.pending >= most {
            return Err(AppendError::Behind { pending: backlog.pending, reason: backlog.seal_error.clone() });
        }
        Ok(())
    }

    /// Hands what is open to the sealing thread and begins a new block.
    pub fn cut(&mut self, shared: &Shared, messages: &Sender<Message>) {
        if self.cut_start == self.next_offset {
            return;
        }
        let last = self.chunk();
        // Records at its end that could not be read.
        self.note_lost(shared, self.next_offset, self.last_times);
        self.whole_until = self.next_offset;
        let cut = Cut {
            chunks: std::mem::take(&mut self.open),
            start: self.cut_start,
            end: self.next_offset,
            lost: std::mem::take(&mut self.lost),
        };
        self.waiting.push(cut);
        let pending = {
            let mut backlog = shared.backlog.lock();
            backlog.pending += 1;
            backlog.pending
        };
        if self.next_offset >= self.seal_from || pending >= shared.config.pending_blocks_max {
            self.send_waiting(messages);
        }
        (self.rows_before, self.bytes_before) = (0, 0);
        self.cut_start = self.next_offset;
        self.open_since = None;
        self.add_chunk(shared, &last);
    }

    /// Nothing waits any longer to be sealed.
    pub fn send_waiting(&mut self, messages: &Sender<Message>) {
        for cut in self.waiting.drain(..) {
            // Refused only after the store was closed; then the queue is replayed.
            let _ = messages.send(Message::Seal(cut));
        }
    }

    /// Cuts if the open block is old enough.
    pub fn cut_if_aged(&mut self, shared: &Shared, messages: &Sender<Message>, now: Timestamp) {
        if self.cut_start == self.next_offset {
            return;
        }
        let since = *self.open_since.get_or_insert(now);
        let is_busy = shared.backlog.lock().pending >= shared.config.pending_blocks_max;
        if now.since(since) >= shared.config.seal_age_ms && !is_busy {
            self.cut(shared, messages);
        }
    }
}
