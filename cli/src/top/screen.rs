//! A screen that is drawn again and again, and the shell's own that comes back at the end.

use std::io::{Result, Write};

use crate::color::cut_painted;

/// Other screen, cursor hidden.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
/// Cursor shown, the shell's screen.
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";

/// The other screen of the terminal, for as long as it lives.
pub struct Screen(());

impl Screen {
    /// Goes to the other screen.
    pub fn enter() -> Result<Screen> {
        write(ENTER)?;
        Ok(Screen(()))
    }

    /// Shows a page from the upper left corner; lines below what fits are left out.
    pub fn show(&self, page: &str, columns: usize, rows: usize) -> Result<()> {
        let mut frame = "\u{1b}[H".to_owned();
        for line in page.lines().take(rows.saturating_sub(1)) {
            frame.push_str(&cut_painted(line, columns));
            // The rest of the line, from the page before.
            frame.push_str("\u{1b}[K\n");
        }
        frame.push_str("\u{1b}[J");
        write(&frame)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = write(LEAVE);
    }
}

fn write(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
