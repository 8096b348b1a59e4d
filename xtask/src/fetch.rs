//! Programs that are built or unpacked for tests and benches: a place to work in, and one to keep them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Unpacks a package of Debian without installing it: an installed one starts a server. `options` are apt's.
pub fn unpack(package: &str, options: &[String], into: &Path) -> Result<(), String> {
    let work = Work::new()?;
    run(Command::new("apt-get").args(options).args(["download", "-q", package]).current_dir(&work.0))?;
    let entries = std::fs::read_dir(&work.0).map_err(|error| error.to_string())?;
    let package = entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "deb"));
    let package = package.ok_or("apt-get has downloaded no package")?;
    let out = work.0.join("unpacked");
    run(Command::new("dpkg").arg("-x").arg(package).arg(&out))?;
    keep(&out, into)
}

/// Puts what was made in its place: whole, or not at all.
pub fn keep(made: &Path, into: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", into.display());
    std::fs::create_dir_all(into.parent().unwrap_or(into)).map_err(failed)?;
    let beside = into.with_extension("new");
    run(Command::new("rm").arg("-rf").arg(&beside).arg(into))?;
    run(Command::new("cp").arg("-r").arg(made).arg(&beside))?;
    std::fs::rename(&beside, into).map_err(failed)
}

/// A folder to work in, removed at the end.
pub struct Work(pub PathBuf);

impl Work {
    pub fn new() -> Result<Work, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("watchfire-servers-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Work(folder))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What stays behind lies in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn run(command: &mut Command) -> Result<(), String> {
    output(command).map(drop)
}

pub fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{program}: {}: {}", done.status, said.lines().last().unwrap_or_default()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
