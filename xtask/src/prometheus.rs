//! The newest Prometheus and promtool: built from the module proxy's source where Go is, or unpacked from Debian's
//! older package. Both are cached outside of the repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::real::{self, PROMETHEUS, PROMETHEUS_MODULE};

const MODULE: &str = "github.com/prometheus/prometheus";
const PROGRAMS: [&str; 2] = ["prometheus", "promtool"];

/// Makes sure that one of them is there, and says which.
pub fn provide() {
    let newest = real::prometheus_folder();
    if has_all(&newest) {
        return;
    }
    println!("building Prometheus {PROMETHEUS} into {}", newest.display());
    let begun = Instant::now();
    match build(&newest) {
        Ok(()) => return println!("built in {} s", begun.elapsed().as_secs()),
        Err(why) => println!("Prometheus {PROMETHEUS} could not be built: {why}"),
    }
    let debian = real::debian_prometheus_folder();
    let unpacked = if has_all(&debian.join("usr/bin")) { Ok(()) } else { unpack(&debian) };
    match unpacked {
        Ok(()) => println!("SKIP: Prometheus {PROMETHEUS}: Debian's older package stands in for it"),
        Err(why) => println!("SKIP: Prometheus: {why}"),
    }
}

fn has_all(folder: &Path) -> bool {
    PROGRAMS.iter().all(|program| folder.join(program).is_file())
}

/// Builds both without service discovery and pages, which are half of the work.
fn build(into: &Path) -> Result<(), String> {
    let told = output(Command::new("go").args(["mod", "download", "-json", &format!("{MODULE}@{PROMETHEUS_MODULE}")]))?;
    let source = json_text(&told, "Dir").ok_or("`go mod download` names no folder")?;
    let work = Work::new()?;
    let copy = work.0.join("source");
    // The module's folder is not to be written, and a build in it would go by its own list of replacements.
    run(Command::new("cp").arg("-r").arg(source).arg(&copy))?;
    run(Command::new("chmod").args(["-R", "u+w"]).arg(&copy))?;
    let out = work.0.join("bin");
    let packages = PROGRAMS.map(|program| format!("./cmd/{program}"));
    run(Command::new("go")
        .args(["build", "-tags", "remove_all_sd", "-ldflags", "-s -w", "-o"])
        .arg(format!("{}/", out.display()))
        .args(packages)
        .current_dir(&copy)
        .env("GOWORK", "off")
        .env("GOFLAGS", "-buildvcs=false")
        .env("CGO_ENABLED", "0"))?;
    keep(&out, into)
}

/// Unpacks Debian's package without installing it: an installed one starts a server.
fn unpack(into: &Path) -> Result<(), String> {
    let work = Work::new()?;
    run(Command::new("apt-get").args(["download", "-q", "prometheus"]).current_dir(&work.0))?;
    let entries = std::fs::read_dir(&work.0).map_err(|error| error.to_string())?;
    let package = entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "deb"));
    let package = package.ok_or("apt-get has downloaded no package")?;
    let out = work.0.join("unpacked");
    run(Command::new("dpkg").arg("-x").arg(package).arg(&out))?;
    keep(&out, into)
}

/// Puts what was made in its place: whole, or not at all.
fn keep(made: &Path, into: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", into.display());
    std::fs::create_dir_all(into.parent().unwrap_or(into)).map_err(failed)?;
    let beside = into.with_extension("new");
    run(Command::new("rm").arg("-rf").arg(&beside).arg(into))?;
    run(Command::new("cp").arg("-r").arg(made).arg(&beside))?;
    std::fs::rename(&beside, into).map_err(failed)
}

/// A folder to work in, removed at the end.
struct Work(PathBuf);

impl Work {
    fn new() -> Result<Work, String> {
        let folder = std::env::temp_dir().join(format!("watchfire-servers-{}", std::process::id()));
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

fn run(command: &mut Command) -> Result<(), String> {
    output(command).map(drop)
}

fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{program}: {}: {}", done.status, said.lines().last().unwrap_or_default()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// A plain text of a JSON object without nesting.
fn json_text<'j>(json: &'j str, name: &str) -> Option<&'j str> {
    let after = json.split_once(&format!("\"{name}\": \""))?.1;
    after.split_once('"').map(|(text, _)| text)
}
