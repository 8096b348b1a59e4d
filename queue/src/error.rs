//! What can go wrong, an enum per operation, and what opening found.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a queue cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the folder.
    #[error("the queue folder {} is in use by another process; stop it or choose another data folder", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// A file was written by a newer version.
    #[error("{} has format version {version}, this program reads up to {supported}; use the newer program", path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version that can be read.
        supported: u32,
    },
    /// A file belongs to another queue.
    #[error("{} belongs to another queue (epoch {found:016x}, here {expected:016x}); move it away", path.display())]
    OtherQueue {
        /// The file.
        path: PathBuf,
        /// The epoch of the file.
        found: u64,
        /// The epoch of the folder.
        expected: u64,
    },
    /// Neither the state file nor any segment has a readable header. Nothing was changed.
    #[error("nothing in the queue folder {} is readable; restore it, or move it away to start anew", dir.display())]
    Unreadable {
        /// The folder.
        dir: PathBuf,
    },
    /// The disk limit leaves no room for segments.
    #[error("a disk limit of {disk_limit_bytes} bytes is too small for a queue; at least {least} are needed")]
    LimitTooSmall {
        /// The configured limit.
        disk_limit_bytes: u64,
        /// The smallest limit.
        least: u64,
    },
    /// The system refused something.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Why a batch was not appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk limit is reached. It recovers by itself when consumers release what they have read.
    #[error(
        "the queue is full: {disk_bytes} of {limit_bytes} bytes are used by records that its readers have not released yet"
    )]
    Full {
        /// The limit.
        limit_bytes: u64,
        /// What is used.
        disk_bytes: u64,
    },
    /// The batch can never fit.
    #[error("a batch of {bytes} bytes is too large, {limit_bytes} are allowed; send less at once")]
    TooLarge {
        /// What the batch would take.
        bytes: u64,
        /// The most that a batch may take.
        limit_bytes: u64,
        /// Whether it is that little because of the disk limit, a quarter of which a batch may take.
        is_of_disk_limit: bool,
    },
    /// A source of the batch does not stand where its checkpoint says. Nothing was stored.
    #[error("the source stands elsewhere in the queue than the batch says")]
    Moved {
        /// Which source.
        key: Vec<u8>,
        /// Where it stands.
        current: Option<Vec<u8>>,
    },
    /// A key of the batch was used before, for other contents. Nothing was stored.
    #[error("its key was used before, for other contents")]
    Reused,
    /// The system refused to write or to sync. Nothing was acknowledged; a later attempt may succeed.
    #[error("cannot write to the queue: {0}")]
    Io(Arc<io::Error>),
    /// The queue is closed, or closes.
    #[error("the queue is closed")]
    Closed,
}

impl AppendError {
    /// Whether the same batch can succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            AppendError::Full { .. } | AppendError::Io(_) => true,
            AppendError::TooLarge { .. } | AppendError::Moved { .. } | AppendError::Reused | AppendError::Closed => {
                false
            }
        }
    }
}

/// Why there is no next batch.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Records were deleted before this reader came to them. The next call goes on at `first_offset`.
    #[error("records from offset {wanted} to {first_offset} are deleted already")]
    Deleted {
        /// Where the reader stood.
        wanted: u64,
        /// The first offset that is there.
        first_offset: u64,
    },
    /// The system refused to read. The next call tries again.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The queue is closed and all of it has been read.
    #[error("the queue is closed")]
    Closed,
}

/// Offsets whose records were acknowledged once and cannot be read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub segment: PathBuf,
    /// First lost offset.
    pub first_offset: u64,
    /// Offset of the next good record.
    pub next_offset: u64,
    /// False if they may belong to a commit that was cut off by a power failure and never acknowledged.
    pub certain: bool,
}

/// What a cut-off write left at the end of the newest segment; none of it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub segment: PathBuf,
    /// Where it was cut.
    pub position: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The folder was empty, and is a new queue now.
    pub created: bool,
    /// Number of segment files.
    pub segments: usize,
    /// Offset of the oldest record.
    pub first_offset: u64,
    /// Offset that the next record gets.
    pub next_offset: u64,
    /// Keys that are remembered.
    pub dedup_keys: usize,
    /// The cut end of the newest segment, if there was one.
    pub torn_tail: Option<TornTail>,
    /// What is damaged in the middle, as far as it was checked: readers check the rest.
    pub damaged: Vec<Damage>,
    /// Number of offsets in `damaged`. Those are lost that not all consumers had taken before.
    pub damaged_records: u64,
    /// Files of keys or state that could not be used; keys in them are forgotten.
    pub damaged_files: Vec<PathBuf>,
}
