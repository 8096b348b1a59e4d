//! The newest Prometheus and promtool: built from the module proxy's source where Go is, or unpacked from Debian's
//! older package. Both are cached outside of the repository.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::fetch::{Work, keep, output, run, unpack};
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
    let unpacked = if has_all(&debian.join("usr/bin")) { Ok(()) } else { unpack("prometheus", &[], &debian) };
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

/// A plain text of a JSON object without nesting.
fn json_text<'j>(json: &'j str, name: &str) -> Option<&'j str> {
    let after = json.split_once(&format!("\"{name}\": \""))?.1;
    after.split_once('"').map(|(text, _)| text)
}
