//! Whole records out of a sealed block.

use std::collections::HashMap;

use watchfire_model::{Level, LogRecord, Timestamp};

use super::block::Failure;
use super::sealed::SealedView;
use crate::sealed::directory::system;
use crate::sealed::wire::Wire;
use crate::values::rest::RestEntries;
use crate::values::{Arena, Raw};

/// Reads whole records of some rows, column by column.
pub(super) struct RecordReader<'v, 'a> {
    view: &'v SealedView<'a>,
    rows: &'v [u32],
    /// By column of the directory (from 1): its values, and by wanted row the index of its value.
    columns: HashMap<u64, (Arena, Vec<Option<u32>>)>,
}

impl<'v, 'a> RecordReader<'v, 'a> {
    pub fn read(view: &'v SealedView<'a>, rows: &'v [u32]) -> Result<Vec<LogRecord>, Failure> {
        let mut reader = RecordReader { view, rows, columns: HashMap::new() };
        let (shapes, with_shape) = view.values_of(view.system(system::SHAPE)?, &mut reader.wanted())?;
        if with_shape.len() != rows.len() {
            return Err(view.damaged("rows without a shape"));
        }
        let mut columns_of_rows = Vec::with_capacity(rows.len());
        for index in 0..rows.len() {
            let mut wire = Wire::new(shapes.get(index).bytes());
            let mut columns = Vec::new();
            while !wire.is_empty() {
                columns.push(wire.varint().map_err(|error| view.damaged(error))?);
            }
            for column in &columns {
                reader.load(*column)?;
            }
            columns_of_rows.push(columns);
        }
        let records = columns_of_rows.iter().enumerate();
        records.map(|(index, columns)| reader.record(index, columns)).collect()
    }

    fn wanted(&self) -> impl Iterator<Item = usize> + use<'v> {
        let rows = self.rows;
        rows.iter().map(|row| *row as usize)
    }

    /// Reads the values that the wanted rows have in a column; 0 is the rest.
    fn load(&mut self, number: u64) -> Result<(), Failure> {
        if self.columns.contains_key(&number) {
            return Ok(());
        }
        let view = self.view;
        let column = match number.checked_sub(1) {
            None => view.system(system::REST)?,
            Some(at) => {
                let column = usize::try_from(at).ok().and_then(|at| view.directory.columns.get(at));
                column.ok_or_else(|| view.damaged("a shape of an unknown column"))?
            }
        };
        let (values, with_value) = view.values_of(column, &mut self.wanted())?;
        let mut of_rows = vec![None; self.rows.len()];
        for (index, row) in with_value.iter().enumerate() {
            if let Ok(at) = self.rows.binary_search(row) {
                of_rows[at] = Some(index as u32);
            }
        }
        self.columns.insert(number, (values, of_rows));
        Ok(())
    }

    fn value(&self, number: u64, index: usize) -> Result<Raw<'_>, Failure> {
        let missing = || self.view.damaged("a value is missing");
        let (values, of_rows) = self.columns.get(&number).ok_or_else(missing)?;
        let at = of_rows.get(index).copied().flatten().ok_or_else(missing)?;
        Ok(values.get(at as usize))
    }

    fn record(&self, index: usize, columns: &[u64]) -> Result<LogRecord, Failure> {
        let view = self.view;
        let row = self.rows[index] as usize;
        let (levels, planes) = view.levels()?;
        let mut record = LogRecord {
            timestamp: Timestamp::from_millis(view.int_at(system::TIMESTAMP, row)?),
            accepted_at: Timestamp::from_millis(view.int_at(system::ACCEPTED_AT, row)?),
            level: levels.get(planes.id(row)).and_then(|level| Level::from_u8(*level)).unwrap_or_default(),
            received_bytes: view.int_at(system::RECEIVED_BYTES, row)? as u32,
            imported: view.directory.system(system::IMPORTED).is_some() && view.int_at(system::IMPORTED, row)? == 1,
            ..LogRecord::default()
        };
        let mut rest = Vec::new();
        let entries;
        if columns.contains(&0) {
            entries = RestEntries::read(self.value(0, index)?.bytes()).map_err(|error| view.damaged(error))?;
            rest = entries.iter().collect();
            rest.reverse();
        }
        for number in columns {
            if *number == 0 {
                if let Some((column, value)) = rest.pop() {
                    record.put(column, value);
                }
                continue;
            }
            let column = usize::try_from(*number - 1).ok().and_then(|at| view.directory.columns.get(at));
            let name = column.and_then(|column| column.name.column());
            let value = self.value(*number, index)?.value();
            match (name, value) {
                (Some(name), Some(value)) => record.put(name, value),
                _ => return Err(view.damaged("a value that cannot be read")),
            }
        }
        Ok(record)
    }
}
