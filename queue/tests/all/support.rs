//! What the tests of the queue share.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use watchfire_queue::{Batch, DedupKey, EmbeddedQueue, QueueConfig, ReadError, Reader};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A queue of small segments.
pub fn config(dir: &Path) -> QueueConfig {
    QueueConfig { segment_bytes: 64 << 10, ..QueueConfig::new(dir) }
}

/// A batch of records without keys.
pub fn batch<T: AsRef<[u8]>>(records: impl IntoIterator<Item = T>) -> Batch {
    let mut batch = Batch::new();
    records.into_iter().for_each(|record| batch.push(record.as_ref(), None));
    batch
}

/// A key from a number.
pub fn key(number: u64) -> DedupKey {
    DedupKey::new(std::array::from_fn(|at| number.to_le_bytes()[at % 8]))
}

/// All records that are there now, with their offsets.
pub fn read_all(queue: &EmbeddedQueue, from: u64) -> Vec<(u64, Vec<u8>)> {
    read_on(&mut queue.reader(from))
}

/// All records that a reader finds now.
pub fn read_on(reader: &mut Reader) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    loop {
        match reader.next(Duration::ZERO) {
            Ok(Some(batch)) => {
                assert_eq!(batch.records().count(), batch.len());
                found.extend((batch.first_offset()..).zip(batch.records().map(<[u8]>::to_vec)));
            }
            Ok(None) | Err(ReadError::Closed) => return found,
            Err(ReadError::Deleted { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Looks again until it is true; for what other threads do soon.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if is_true() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it never came true: {what}");
}
