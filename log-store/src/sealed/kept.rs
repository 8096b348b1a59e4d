//! What a search has found out about the different texts of a whole block, kept as long as the block's directory: the
//! block does not change, and a page that counts users asks for them every few seconds.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::query::Field;

/// Fields of which a block keeps this at once.
const FIELDS_MAX: usize = 4;

/// The different texts of a field in all rows of a block.
#[derive(Debug)]
pub(crate) struct DistinctTexts {
    /// Texts in all, equal ones included.
    pub(crate) seen: u64,
    pub(crate) different: DifferentTexts,
}

/// See [`DistinctTexts`].
#[derive(Debug)]
pub(crate) enum DifferentTexts {
    /// Their hashes.
    Hashes(Box<[u64]>),
    /// The registers of an estimate that are not 0: number << 8 | value.
    Registers(Box<[u32]>),
}

/// Those of the fields that were asked for last.
#[derive(Debug, Default)]
pub(crate) struct KeptDistinct {
    // Guards the map only.
    fields: Mutex<HashMap<Field, Arc<DistinctTexts>>>,
}

impl DistinctTexts {
    fn memory(&self) -> usize {
        match &self.different {
            DifferentTexts::Hashes(hashes) => size_of_val(&**hashes),
            DifferentTexts::Registers(registers) => size_of_val(&**registers),
        }
    }
}

impl KeptDistinct {
    /// What is known of a field.
    pub fn get(&self, field: &Field) -> Option<Arc<DistinctTexts>> {
        self.fields.lock().get(field).cloned()
    }

    /// Keeps it.
    pub fn put(&self, field: &Field, texts: DistinctTexts) {
        let mut fields = self.fields.lock();
        if fields.len() >= FIELDS_MAX {
            fields.clear();
        }
        fields.insert(field.clone(), Arc::new(texts));
    }

    /// About the memory in use, bytes.
    pub fn memory(&self) -> usize {
        self.fields.lock().values().map(|texts| texts.memory()).sum()
    }

    /// Lets all go.
    pub fn forget(&self) {
        self.fields.lock().clear();
    }
}
