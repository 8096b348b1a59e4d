//! Sending lines once more that were refused: what refuses them may be otherwise today.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use super::super::known::{Known, Place, places};
use super::{Fault, PIECE_BYTES, PIECE_BYTES_MAX, Patience, Progress, Sending, Sent, Server};

/// What a text may begin with that is no part of its first line.
const BOM_BYTES: u64 = 3;

/// Whether nothing of a file is stored: all of it was refused.
pub(super) async fn is_all(
    server: &Server,
    known: &Known,
    patience: &mut Patience,
    progress: &Progress,
) -> Result<bool, Fault> {
    let places = patience.ask(|text| progress.say(text), || places(server, &known.file)).await?;
    let mut reached = Some(places.first().map_or(0, |first| first.from).min(BOM_BYTES));
    for Place { from, to } in places {
        reached = reached.filter(|reached| *reached == from).map(|_| to);
    }
    Ok(known.unplaced == 0 && reached == Some(known.position))
}

impl Sending<'_> {
    /// Sends what was refused of the file; it stands before all of that, and behind it then.
    pub(super) async fn again(
        &mut self,
        path: &Path,
        patience: &mut Patience,
        progress: &mut Progress,
    ) -> Result<(), Fault> {
        let mut left = self.places(patience, progress).await?;
        while let Some(place) = left.pop_front() {
            // Each place is behind the one before, so that this ends whatever the server says.
            if place.from < self.position || place.to <= place.from {
                continue;
            }
            self.advance(place.from, path, progress).await?;
            if !self.place(place, path, patience, progress).await? {
                self.advance(self.position + 1, path, progress).await?;
                left = self.places(patience, progress).await?;
            }
        }
        Ok(())
    }

    /// Where the refused lines of the file stand.
    async fn places(&self, patience: &mut Patience, progress: &Progress) -> Result<VecDeque<Place>, Fault> {
        Ok(patience.ask(|text| progress.say(text), || places(self.server, &self.name)).await?.into())
    }

    /// Sends one of them. False: it is not there any more, as an answer was lost, or somebody else imports the same file.
    async fn place(
        &mut self,
        place: Place,
        path: &Path,
        patience: &mut Patience,
        progress: &mut Progress,
    ) -> Result<bool, Fault> {
        let mut wanted = PIECE_BYTES;
        while self.position < place.to {
            let length = usize::try_from(place.to - self.position).unwrap_or(usize::MAX);
            self.bytes.fill(wanted.min(length)).await;
            let piece = self.bytes.held.get(..wanted.min(length)).unwrap_or(&self.bytes.held).to_vec();
            if piece.is_empty() {
                self.bytes.fault()?;
                let problem = format!("it ends before position {}, up to which it was imported", place.to);
                return Err(io::Error::other(problem).into());
            }
            let sent = patience.ask(|text| progress.say(text), || self.send(&piece, ("again", "true")));
            let Sent::Taken(taken) = sent.await? else { return Ok(false) };
            progress.took_again(self.piece(&taken));
            let moved = taken.position.saturating_sub(self.position);
            match (moved, piece.len() == length) {
                (0, true) => self.advance(place.to, path, progress).await?,
                (0, false) if wanted >= PIECE_BYTES_MAX => {
                    let problem = format!("{wanted} bytes behind position {} hold no whole record", self.position);
                    return Err(io::Error::other(problem).into());
                }
                (0, false) => wanted *= 2,
                _ => {
                    wanted = PIECE_BYTES;
                    self.advance(taken.position, path, progress).await?;
                }
            }
        }
        Ok(true)
    }
}
