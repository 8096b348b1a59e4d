//! A sealed block as plain rows again, to be merged with others.

use hashbrown::HashMap;

use super::directory::{Column, Directory, system};
use super::read::{BlockFile, read_column, read_ints};
use super::wire::Wire;
use crate::open_block::Rows;
use crate::open_block::chunk::OpenColumn;
use crate::open_block::shapes::REST;
use crate::values::Raw;
use crate::values::raw::tag;

/// Reads the whole block.
pub(crate) fn read_rows(directory: &Directory, file: &BlockFile) -> Result<Rows, String> {
    let count = directory.info.rows as usize;
    let system_ints = |kind: u8| -> Result<Vec<i64>, String> {
        let values = read_ints(directory.system(kind).ok_or("a column is missing")?, file)?;
        if values.len() == count { Ok(values) } else { Err("a column is short".to_owned()) }
    };
    let mut rows = Rows::default();
    rows.timestamps = system_ints(system::TIMESTAMP)?;
    rows.accepted_at = system_ints(system::ACCEPTED_AT)?;
    rows.seqs = system_ints(system::SEQ)?.into_iter().map(|seq| seq as u64).collect();
    rows.received_bytes = system_ints(system::RECEIVED_BYTES)?.into_iter().map(|bytes| bytes as u32).collect();
    rows.imported = match directory.system(system::IMPORTED) {
        Some(_) => system_ints(system::IMPORTED)?.into_iter().map(|imported| imported == 1).collect(),
        None => vec![false; count],
    };
    (rows.level_counts, rows.time_min, rows.time_max) =
        (directory.info.level_counts, directory.info.time_min, directory.info.time_max);
    let system_column = |kind: u8| -> Result<&Column, String> {
        directory.system(kind).ok_or_else(|| "a column is missing".to_owned())
    };
    let levels = read_column(system_column(system::LEVEL)?, count, file)?;
    rows.levels = (0..levels.len()).map(|index| levels.get(index).bits() as u8).collect();
    // Numbers of the directory's columns among the rows' own.
    let mut own = HashMap::new();
    for (number, column) in directory.columns.iter().enumerate().filter(|(_, column)| column.is_own()) {
        let values = read_column(column, count, file)?;
        let at = u16::try_from(rows.columns.len()).ok().filter(|at| *at != REST).ok_or("too many columns")?;
        own.insert(number as u64 + 1, at);
        rows.columns.push(OpenColumn { name: column.name.clone(), values });
    }
    if let Some(rest) = directory.system(system::REST) {
        rows.rest = read_column(rest, count, file)?;
    }
    let shapes = read_column(system_column(system::SHAPE)?, count, file)?;
    let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
    for index in 0..shapes.len() {
        let Raw::Object(bytes) = shapes.get(index) else {
            return Err(format!("a shape of kind {} instead of {}", shapes.get(index).tag(), tag::OBJECT));
        };
        let shape = match known.get(bytes) {
            Some(shape) => *shape,
            None => {
                let shape = add_shape(&mut rows, bytes, &own)?;
                known.insert(bytes.to_vec(), shape);
                shape
            }
        };
        rows.shape_ids.push(shape);
    }
    let lengths = [rows.timestamps.len(), rows.seqs.len(), rows.levels.len(), rows.shape_ids.len()];
    if lengths.iter().any(|length| *length != count) { Err("rows are missing".to_owned()) } else { Ok(rows) }
}

fn add_shape(rows: &mut Rows, bytes: &[u8], own: &HashMap<u64, u16>) -> Result<u32, String> {
    let mut wire = Wire::new(bytes);
    let mut walk = rows.shapes.start();
    while !wire.is_empty() {
        let place = wire.varint().map_err(|error| error.to_string())?;
        let column = match place {
            0 => REST,
            place => *own.get(&place).ok_or("a shape of an unknown column")?,
        };
        rows.shapes.step(&mut walk, column);
    }
    Ok(rows.shapes.finish(walk))
}
