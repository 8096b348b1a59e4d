//! What every adapter of the `Queue` port has to do, run on the embedded one.

use watchfire_queue::{EmbeddedQueue, Queue};

use crate::{suite, support};

struct Embedded(tempfile::TempDir);

impl suite::Backend for Embedded {
    fn open(&mut self) -> Box<dyn Queue> {
        Box::new(EmbeddedQueue::open(support::config(self.0.path()), 1).unwrap().0)
    }
}

#[test]
fn the_embedded_queue_conforms() {
    suite::run(&mut || Box::new(Embedded(tempfile::tempdir().unwrap())));
}
