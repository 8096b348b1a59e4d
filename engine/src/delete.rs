//! Samples that are deleted: by series and range, exactly, at once. A record of the log says so, which a replay obeys in
//! its turn, so that nothing has to be remembered beside the data.
//!
//! Counts and observations cannot be deleted: their totals follow from the records that they were taken from.

use std::io;

use watchfire_model::Matcher;

use crate::bytes::{Cursor, Damaged, put_varint, put_zigzag};
use crate::chunk::with_codec;
use crate::engine::Engine;
use crate::kind::SeriesKind;
use crate::select::SelectError;
use crate::series::TimeRange;
use crate::wal::record::put_deletion_head;

/// Series of one record of the log.
const SERIES_AT_ONCE: usize = 1 << 16;

/// Why nothing was deleted, or not all.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// Everything would be meant.
    #[error("{0}")]
    Select(#[from] SelectError),
    /// A series that is meant is counted.
    #[error("`{metric}` is counted from logs or other events and cannot be deleted; leave it out of the selector")]
    Counted {
        /// Its metric.
        metric: String,
    },
    /// The log could not be written or synced; a retry can help when the disk has room again.
    #[error("the log of the engine cannot be written: {0}")]
    Log(#[from] io::Error),
}

/// What is deleted, as it stands in the log: samples with `after < time <= until` of some series.
///
/// ```text
/// deletion = zigzag after | zigzag until | varint series | (zigzag id - id before)*
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deletion {
    pub(crate) after: i64,
    pub(crate) until: i64,
    pub(crate) ids: Vec<u64>,
}

impl Deletion {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_zigzag(out, self.after);
        put_zigzag(out, self.until);
        put_varint(out, self.ids.len() as u64);
        let mut before = 0u64;
        for id in &self.ids {
            put_zigzag(out, id.wrapping_sub(before).cast_signed());
            before = *id;
        }
    }

    pub(crate) fn read(cursor: &mut Cursor) -> Result<Deletion, Damaged> {
        let (after, until, count) = (cursor.zigzag()?, cursor.zigzag()?, cursor.varint()?);
        let (mut ids, mut id) = (Vec::new(), 0u64);
        for _ in 0..count {
            id = id.wrapping_add(cursor.zigzag()?.cast_unsigned());
            ids.push(id);
        }
        Ok(Deletion { after, until, ids })
    }
}

impl Engine {
    /// Deletes the samples of a range of all series that satisfy the matchers; says how many there were. When this
    /// returns they are gone for good.
    ///
    /// Errors: nothing is deleted if a counted series is meant; of several selectors those before a failing one are done.
    pub fn delete(&self, matchers: &[Matcher], range: TimeRange) -> Result<u64, DeleteError> {
        let found = self.select(matchers, range)?;
        if let Some(counted) = found.iter().find(|view| !matches!(view.kind(), SeriesKind::Samples(_))) {
            return Err(DeleteError::Counted { metric: counted.labels().metric_name().to_owned() });
        }
        let (after, until) = (range.start.millis(), range.end.millis());
        let mut deleted = 0;
        for views in found.chunks(SERIES_AT_ONCE) {
            let deletion = Deletion { after, until, ids: views.iter().map(|view| view.series.id).collect() };
            // The log first: what is gone from memory must not come back by a replay.
            let mut head = Vec::with_capacity(64);
            put_deletion_head(&deletion, &mut head);
            let lsn = self.wal.append_head(&head)?;
            for view in views {
                deleted += with_codec(|codec| view.series.state.lock().remove_samples(after, until, codec));
            }
            self.wal.sync_to(lsn)?;
        }
        Ok(deleted)
    }
}
