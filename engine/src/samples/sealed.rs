//! What of a series goes to a block, and comes back from one.

use std::sync::Arc;

use super::Samples;
use super::packed::Packed;
use super::raw::Raw;
use super::tail::Tail;
use crate::blocks::Sealed;
use crate::chunk::{Chunk, Codec};
use crate::natives::Run;

impl Samples {
    /// The sealed chunks and the runs of native histograms that end before a time. If everything does, what is still open
    /// is sealed for it: the series is quiet, and nothing of it need stay.
    pub(crate) fn sealed_before(&mut self, time: i64, codec: &mut Codec) -> Sealed {
        if self.newest_float().is_some_and(|newest| newest < time) {
            self.seal_all(codec);
        }
        let sealed = self.packed.as_ref().map_or(&[][..], |packed| &packed.sealed);
        Sealed {
            chunks: sealed.iter().take_while(|chunk| chunk.last() < time).cloned().collect(),
            runs: self.natives.as_ref().map_or_else(Vec::new, |natives| natives.runs_before(time)),
        }
    }

    fn seal_all(&mut self, codec: &mut Codec) {
        let mut run = Vec::new();
        let packed: &mut Packed = self.packed.get_or_insert_default();
        packed.read_tail(codec, &mut run);
        run.extend(self.raw.iter());
        self.raw = Raw::default();
        packed.tail = Tail::default();
        packed.sealed.extend(codec.seal(&run).map(Arc::new));
    }

    /// Takes sealed chunks and runs out if they are the first ones; else nothing changes.
    pub(crate) fn take_first(&mut self, sealed: &Sealed) -> bool {
        let (chunks, runs) = (sealed.chunks.len(), sealed.runs.len());
        let have = self.packed.as_ref().and_then(|packed| packed.sealed.get(..chunks)).unwrap_or_default();
        let has_chunks = have.len() == chunks && have.iter().zip(&sealed.chunks).all(|(a, b)| Arc::ptr_eq(a, b));
        let has_runs = runs == 0 || self.natives.as_ref().is_some_and(|natives| natives.begins_with(&sealed.runs));
        if !has_chunks || !has_runs {
            return false;
        }
        if let Some(packed) = self.packed.as_mut().filter(|_| chunks > 0) {
            packed.sealed.drain(..chunks);
            packed.sealed.shrink_to_fit();
        }
        self.packed.take_if(|packed| packed.is_empty());
        if let Some(natives) = self.natives.as_mut().filter(|_| runs > 0) {
            natives.drop_first(runs);
        }
        self.natives.take_if(|natives| natives.is_empty());
        true
    }

    /// Puts what was in blocks before everything else.
    pub(crate) fn put_before(&mut self, chunks: Vec<Arc<Chunk>>, runs: Vec<Arc<Run>>) {
        if !chunks.is_empty() {
            self.packed.get_or_insert_default().sealed.splice(..0, chunks);
        }
        if !runs.is_empty() {
            self.natives.get_or_insert_default().put_before(runs);
        }
    }
}
