//! `watchfire backup`: everything of a running server, as one consistent cut in a folder.

use std::io::{self, Read};
use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use tokio::sync::mpsc;
use watchfire_backup::{expect_empty, unpack};
use watchfire_model::text::count;

use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::server::Connection;

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire backup backup-monday

`watchfire restore` makes a data folder of it.

Exit codes: 0 good, 1 rejected or not whole, 2 usage, 4 server not reached";

/// Pieces of the stream that wait to be written.
const PIECES: usize = 16;

/// `backup`
#[derive(Args, Clone, Debug)]
pub struct Backup {
    /// Folder of the backup; it must be empty or not there.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

impl Backup {
    /// Asks for the stream and writes it into the folder.
    pub async fn run(self) -> Result<Outcome, Failure> {
        let server = self.connection.open_patiently()?;
        // Before the server begins with what nobody would take.
        expect_empty(&self.dir).map_err(|error| Failure::Local(error.to_string()))?;
        let response = server.send(server.request(Method::POST, "/api/v1/backup", &[])).await?;
        let mut response = server.accepted(response, None).await?;
        let (pieces, taken) = mpsc::channel(PIECES);
        let dir = self.dir.clone();
        let unpacking = tokio::task::spawn_blocking(move || unpack(Incoming { taken, rest: Vec::new(), at: 0 }, &dir));
        let lost = loop {
            match response.chunk().await {
                Ok(Some(piece)) if pieces.send(piece.to_vec()).await.is_ok() => {}
                // Nobody takes it any more: unpacking says why.
                Ok(_) => break None,
                Err(error) => break Some(server.unreached(&error)),
            }
        };
        drop(pieces);
        let unpacked = unpacking.await.map_err(|error| Failure::Local(error.to_string()))?;
        match (unpacked, lost) {
            (Ok(manifest), _) => {
                let mut output = Output::stdout();
                output.line(&format!(
                    "{}: {}, {:.1} MB, of {}",
                    self.dir.display(),
                    count(manifest.files.len(), "file"),
                    manifest.bytes() as f64 / 1e6,
                    manifest.created
                ))?;
                output.flush()?;
                Ok(Outcome::Complete)
            }
            (Err(_), Some(lost)) => Err(lost),
            (Err(error), None) => Err(Failure::Local(error.to_string())),
        }
    }
}

/// The stream, as a blocking reader.
struct Incoming {
    taken: mpsc::Receiver<Vec<u8>>,
    rest: Vec<u8>,
    at: usize,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.rest.len() {
            let Some(piece) = self.taken.blocking_recv() else { return Ok(0) };
            (self.rest, self.at) = (piece, 0);
        }
        let left = self.rest.get(self.at..).unwrap_or_default();
        let count = left.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), left.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}
