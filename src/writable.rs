//! Whether what the configuration has us write can be written, as far as that can be told without making anything.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::config::Config;

/// What cannot be written by who asks, a line each. Another user may run the server, so this need not be wrong.
pub fn unwritable(config: &Config) -> Vec<String> {
    let folders = [("data_dir", Some(&config.data_dir)), ("logs.archive.dir", config.logs.archive_dir.as_ref())];
    let folders = folders.into_iter().filter_map(|(key, folder)| Some((key, folder?, folder_can_be_written(folder?))));
    let of_jobs = config.scrape.iter().filter_map(|job| Some(("scrape_failure_log_file", job.failure_log.as_ref()?)));
    let files = config.query_log.iter().map(|file| ("query_log_file", file)).chain(of_jobs);
    let files = files.map(|(key, file)| (key, file, file_can_be_written(file)));
    let mut told: Vec<String> = Vec::new();
    for (key, path, outcome) in folders.chain(files) {
        let Err(why) = outcome else { continue };
        let line = format!("`{key}`: {} cannot be written by who runs this check: {why}", path.display());
        // Jobs may share a file.
        if !told.contains(&line) {
            told.push(line);
        }
    }
    told
}

/// A folder, or the nearest one above it that is there, in which it would be made.
fn folder_can_be_written(folder: &Path) -> Result<(), String> {
    let there = folder.ancestors().map(or_here).find(|part| part.exists()).unwrap_or(Path::new("."));
    may_write(there, libc::W_OK | libc::X_OK).map_err(|error| {
        let there = there.display();
        format!("{there}: {error}; give the server's user the rights w and x there, or write another path")
    })
}

/// A file, which is made where it is not there; its folder is not.
fn file_can_be_written(file: &Path) -> Result<(), String> {
    if file.exists() {
        return may_write(file, libc::W_OK)
            .map_err(|error| format!("{error}; give the server's user the right w for it, or write another path"));
    }
    let folder = or_here(file.parent().unwrap_or(Path::new("")));
    if folder.exists() {
        return folder_can_be_written(folder);
    }
    Err(format!("there is no folder {}; make it, or write another path", folder.display()))
}

fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Asks the system, which also knows of file systems that nobody may write.
fn may_write(path: &Path, rights: libc::c_int) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` ends with a zero byte, and faccessat keeps nothing of it.
    match unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), rights, libc::AT_EACCESS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
