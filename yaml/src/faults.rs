//! What a reader has to tell of a file.

use std::ops::{Deref, DerefMut};

use crate::outline::Outline;
use crate::tree::Fault;

/// The faults of a file, gathered while it is read; beside them, if that is wanted, what its reader asks for.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    all: Vec<Fault>,
    outline: Option<Outline>,
}

impl From<Vec<Fault>> for Faults {
    fn from(all: Vec<Fault>) -> Faults {
        Faults { all, outline: None }
    }
}

/// It is the list of its faults.
impl Deref for Faults {
    type Target = Vec<Fault>;

    fn deref(&self) -> &Vec<Fault> {
        &self.all
    }
}

impl DerefMut for Faults {
    fn deref_mut(&mut self) -> &mut Vec<Fault> {
        &mut self.all
    }
}

impl Faults {
    /// None yet; what is asked for is added to an outline.
    pub fn outlining(outline: Outline) -> Faults {
        Faults { all: Vec::new(), outline: Some(outline) }
    }

    /// All of them in the order of the file.
    pub fn sorted(mut self) -> Vec<Fault> {
        self.all.sort();
        self.all
    }

    /// What was asked for; empty if that was not wanted.
    pub fn into_outline(self) -> Outline {
        self.outline.unwrap_or_default()
    }

    pub(crate) fn outline(&mut self) -> Option<&mut Outline> {
        self.outline.as_mut()
    }
}
