//! Extents for who asks under the lock of a series: a disk is read when nobody waits for it.

use std::sync::Arc;

use super::extent::{Extent, Loaded, Place};

/// So often what is missing is read without the lock before it is read under it: a series that changes under each
/// question must have an answer in the end.
const ROUNDS_MAX: u32 = 4;

/// What is at hand, and what was missing.
///
/// A question is asked under the lock with what is at hand; while [`Loads::fetch`] says that something was missing, it is
/// asked again.
#[derive(Default)]
pub(crate) struct Loads {
    /// By file and place; nothing where it cannot be read.
    have: Vec<(u64, Place, Option<Arc<Loaded>>)>,
    missing: Vec<Extent>,
    rounds: u32,
    reads_at_once: bool,
}

impl Loads {
    /// The pieces of an extent; `None` if they are missing, or cannot be read.
    pub(crate) fn get(&mut self, extent: &Extent) -> Option<Arc<Loaded>> {
        let is_it = |(file, place, _): &&(u64, Place, _)| *file == extent.file.number() && *place == extent.place;
        if let Some((.., loaded)) = self.have.iter().find(is_it) {
            return loaded.clone();
        }
        if self.reads_at_once {
            return self.read(extent);
        }
        let recent = extent.recent();
        if recent.is_none() {
            self.missing.push(extent.clone());
        }
        recent
    }

    fn read(&mut self, extent: &Extent) -> Option<Arc<Loaded>> {
        let loaded = extent.load_shared();
        self.have.push((extent.file.number(), extent.place, loaded.clone()));
        loaded
    }

    /// Reads what was missing; says whether anything was.
    pub(crate) fn fetch(&mut self) -> bool {
        let missing = std::mem::take(&mut self.missing);
        for extent in &missing {
            self.read(extent);
        }
        self.rounds += 1;
        self.reads_at_once |= self.rounds >= ROUNDS_MAX;
        !missing.is_empty()
    }
}
