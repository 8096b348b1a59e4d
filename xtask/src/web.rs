//! The dashboard's built files must be what its sources build: rebuilt with the locked packages, compared byte by byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What came of the check.
pub enum Outcome {
    /// The committed files are those of a fresh build.
    Same,
    /// It could not be checked here.
    Skipped(String),
    /// They differ, or the sources do not build.
    Failed(String),
}

/// Rebuilds `web/` beside the committed files and compares.
pub fn check() -> Outcome {
    let web = root().join("web");
    if !runs(Command::new("npm").arg("--version")) {
        return Outcome::Skipped("web-check: no Node with npm is installed".to_owned());
    }
    if !runs(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&web)) {
        return Outcome::Skipped("web-check: `npm ci` failed; the packages may be out of reach".to_owned());
    }
    let fresh = root().join("target/web-check");
    let build = Command::new("npm")
        .args(["run", "--silent", "build", "--", "--logLevel", "warn", "--emptyOutDir", "--outDir"])
        .arg(&fresh)
        .current_dir(&web)
        .status();
    if !build.is_ok_and(|status| status.success()) {
        return Outcome::Failed("the sources in web/ do not build".to_owned());
    }
    let (fresh, committed) = (files(&fresh), files(&web.join("dist")));
    let mut names = fresh.keys().chain(committed.keys());
    match names.find(|name| fresh.get(*name) != committed.get(*name)) {
        None => Outcome::Same,
        Some(name) => {
            let name = name.display();
            Outcome::Failed(format!("web/dist/{name} is not what web/ builds: run `npm run build` in web/ and commit"))
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Whether a command can be run and succeeds; what it prints is shown only if it fails.
fn runs(command: &mut Command) -> bool {
    match command.output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            false
        }
        Err(_) => false,
    }
}

/// All files below a folder, by their path in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in std::fs::read_dir(next).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if let (Ok(name), Ok(bytes)) = (path.strip_prefix(folder), std::fs::read(&path)) {
                found.insert(name.to_owned(), bytes);
            }
        }
    }
    found
}
