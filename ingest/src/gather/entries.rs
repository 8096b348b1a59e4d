//! Entries of a journal of which those that belong together are one record.

use super::{Gatherer, LongEntry, Place};
use crate::formats::journald;
use crate::sources::cut::End;
use crate::sources::entries::{Entries, Taken};
use crate::sources::multiline::Multiline;

impl Gatherer<'_> {
    /// Entries of the journal's export format, those of a stack trace joined; `end` says what may come behind them. Says how
    /// many bytes are done with: entries behind those may belong to what comes next.
    pub fn journal_entries(&mut self, body: &[u8], multiline: Multiline, end: End) -> usize {
        let mut entries = Entries::of(body, multiline, self.origin.line_max, false, end);
        loop {
            let done = entries.taken().bytes;
            let Some(stretch) = entries.next_stretch() else { break };
            let Taken { bytes, skipping, .. } = entries.taken();
            // The rest of an entry that was cut would be one of its own in the next text.
            if end == End::Open && skipping && journald::next_entry(body, bytes).is_none() {
                return done;
            }
            for entry in stretch {
                let named = self.named_errors();
                self.journal_entry(&entry.cut(), LongEntry::Refused);
                if let Some(error) = self.out.errors.get_mut(named) {
                    let from = (entry.first.text.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
                    error.line = Some(Place::of(body, from).line);
                }
            }
        }
        entries.taken().bytes
    }
}
