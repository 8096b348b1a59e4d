//! stdout, written in pieces and flushed when a reader shall see it.

use std::io::{BufWriter, ErrorKind, Result, Stdout, Write};

use crate::failure::Failure;

/// Shows a whole text; whoever reads no more of it has seen enough.
pub fn show(text: &str) -> std::result::Result<(), Failure> {
    let mut output = Output::stdout();
    match output.text(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// stdout; nothing panics when its reader leaves.
pub struct Output(BufWriter<Stdout>);

impl Output {
    /// Of this process.
    pub fn stdout() -> Output {
        Output(BufWriter::with_capacity(64 << 10, std::io::stdout()))
    }

    /// A text as it is.
    pub fn text(&mut self, text: &str) -> Result<()> {
        self.0.write_all(text.as_bytes())
    }

    /// A text and the end of its line.
    pub fn line(&mut self, text: &str) -> Result<()> {
        self.0.write_all(text.as_bytes())?;
        self.0.write_all(b"\n")
    }

    /// Lets the reader see what was written.
    pub fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}
