//! Which rows of a block have a value in a column.

use super::section::{ReadSections, Section, SectionWriter};
use super::wire::{Wire, WireError, put_varint};

/// The rows that have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// All of them.
    Every,
    /// Steps from row to row, as varints.
    Steps(Section),
    /// A bit per row.
    Flags(Section),
}

const EVERY: u8 = 0;
const STEPS: u8 = 1;
const FLAGS: u8 = 2;
/// Of so many rows, fewer than one with a value are written as steps.
const STEPS_BELOW: usize = 16;

impl Presence {
    pub fn write(present: Option<&[u32]>, rows: usize, sections: &mut SectionWriter) -> Presence {
        let Some(present) = present else { return Presence::Every };
        if present.len() < rows / STEPS_BELOW {
            let mut steps = Vec::new();
            let mut next = 0;
            for row in present {
                put_varint(&mut steps, u64::from(row - next));
                next = row + 1;
            }
            return Presence::Steps(sections.add(&steps));
        }
        let mut flags = vec![0u8; rows.div_ceil(8)];
        for row in present {
            flags[*row as usize / 8] |= 1 << (row % 8);
        }
        Presence::Flags(sections.add(&flags))
    }

    /// Its section, if it has one.
    pub fn section(&self) -> Option<&Section> {
        match self {
            Presence::Every => None,
            Presence::Steps(section) | Presence::Flags(section) => Some(section),
        }
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Presence::Every => out.push(EVERY),
            Presence::Steps(section) => {
                out.push(STEPS);
                section.put(out);
            }
            Presence::Flags(section) => {
                out.push(FLAGS);
                section.put(out);
            }
        }
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<Presence, WireError> {
        Ok(match wire.u8()? {
            EVERY => Presence::Every,
            STEPS => Presence::Steps(Section::read(wire)?),
            FLAGS => Presence::Flags(Section::read(wire)?),
            _ => return wire.fail("an unknown kind of presence"),
        })
    }

    /// The rows with a value, ascending, below `rows` and `values` in number; `None` if that is every row.
    pub fn rows(&self, rows: usize, values: usize, file: &dyn ReadSections) -> Result<Option<Vec<u32>>, String> {
        let present: Vec<u32> = match self {
            Presence::Every if values == rows => return Ok(None),
            Presence::Every => return Err("a column with values missing".to_owned()),
            Presence::Steps(section) => {
                let steps = file.section(section)?;
                let mut wire = Wire::new(&steps);
                let mut next = 0u64;
                let mut present = Vec::new();
                while !wire.is_empty() {
                    let row = next.saturating_add(wire.varint().map_err(|error| error.to_string())?);
                    let row = u32::try_from(row).ok().filter(|row| (*row as usize) < rows);
                    let row = row.ok_or("a row beyond the block")?;
                    present.push(row);
                    next = u64::from(row) + 1;
                }
                present
            }
            Presence::Flags(section) => {
                let flags = file.section(section)?;
                let is_set = |row: &u32| flags.get(*row as usize / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1);
                (0..rows as u32).filter(is_set).collect()
            }
        };
        if present.len() != values {
            return Err(format!("{} rows for {values} values of a column", present.len()));
        }
        Ok(Some(present))
    }
}
