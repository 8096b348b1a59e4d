//! `watchfire users`: names and passwords for basic authentication, kept as argon2id hashes.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use watchfire_dashboard_api::auth::{Scopes, Users, user_line};

use crate::secret_file;

/// Adds a user, or gives one that is there another password and other scopes. Answers which of both.
///
/// Errors: an unknown scope, a name or password that cannot be kept, a file that cannot be read or written.
pub fn add(file: &Path, scopes: Scopes, name: &str) -> Result<&'static str, String> {
    let text = secret_file::read(file)?;
    let known = parse(file, &text)?.find(name).is_some();
    let line = user_line(name, &ask_password()?, scopes)?;
    secret_file::write(file, &secret_file::with_line(without(&text, name), &line))?;
    Ok(if known { "changed" } else { "added" })
}

/// Takes a user out.
pub fn remove(file: &Path, name: &str) -> Result<(), String> {
    let text = secret_file::read(file)?;
    if parse(file, &text)?.find(name).is_none() {
        return Err(format!("{}: there is no user `{name}`", file.display()));
    }
    secret_file::write(file, &without(&text, name))
}

/// A line per user: name, scopes.
pub fn list(file: &Path) -> Result<String, String> {
    let users = parse(file, &secret_file::read(file)?)?;
    Ok(users.iter().map(|user| format!("{}  {}\n", user.name, user.scopes)).collect())
}

fn parse(file: &Path, text: &str) -> Result<Users, String> {
    Users::parse(text).map_err(|errors| secret_file::told(file, &errors).join("\n"))
}

/// The text without the line of a user.
fn without(text: &str, name: &str) -> String {
    let is_other = |line: &&str| line.trim().split_once(':').is_none_or(|(have, _)| have != name);
    text.lines().filter(is_other).map(|line| format!("{line}\n")).collect()
}

/// The first line of the standard input; at a terminal it is asked for and not shown.
fn ask_password() -> Result<String, String> {
    let stdin = std::io::stdin();
    let hidden = stdin.is_terminal().then(|| {
        eprint!("password: ");
        // A prompt that cannot be written is only a prompt.
        let _ = std::io::stderr().flush();
        HiddenEcho::start()
    });
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if hidden.is_some() {
        drop(hidden);
        eprintln!();
    }
    read.map_err(|error| format!("the password cannot be read: {error}"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// While it lives, the terminal does not show what is typed.
struct HiddenEcho(Option<libc::termios>);

impl HiddenEcho {
    fn start() -> HiddenEcho {
        let mut terminal = std::mem::MaybeUninit::<libc::termios>::zeroed();
        // SAFETY: tcgetattr writes a whole termios to the pointer, for which zeroes are valid; tcsetattr only reads.
        unsafe {
            if libc::tcgetattr(libc::STDIN_FILENO, terminal.as_mut_ptr()) != 0 {
                return HiddenEcho(None);
            }
            let before = terminal.assume_init();
            let mut hidden = before;
            hidden.c_lflag &= !libc::ECHO;
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &hidden);
            HiddenEcho(Some(before))
        }
    }
}

impl Drop for HiddenEcho {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // SAFETY: the pointer is that of a whole termios, which is only read.
            unsafe {
                libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, before);
            }
        }
    }
}
