//! The terminal that we write to: is there one, and how large.

use std::io::IsTerminal;

/// Columns where nobody says how many there are.
const COLUMNS: usize = 80;
/// Rows, likewise.
const ROWS: usize = 24;

/// Is stdout a terminal?
pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Columns and rows: of `COLUMNS` and `LINES` if they are set, else of the terminal, else 80 by 24.
pub fn size() -> (usize, usize) {
    let variable = |name: &str| std::env::var(name).ok()?.parse().ok().filter(|count| (1..=10_000).contains(count));
    let (asked_columns, asked_rows) = asked_size();
    let columns = variable("COLUMNS").or(asked_columns).unwrap_or(COLUMNS);
    let rows = variable("LINES").or(asked_rows).unwrap_or(ROWS);
    (columns, rows)
}

/// Columns that a line may take: those of the terminal, and any number in pipes and files.
pub fn room() -> usize {
    if is_terminal() { size().0 } else { usize::MAX }
}

/// What the terminal itself says; it may know one and not the other.
fn asked_size() -> (Option<usize>, Option<usize>) {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the call writes a winsize to the pointer, which is one, and keeps nothing.
    let status = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    let known = |count: u16| (status == 0 && count > 0).then(|| usize::from(count));
    (known(size.ws_col), known(size.ws_row))
}
