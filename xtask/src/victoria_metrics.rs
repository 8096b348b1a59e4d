//! VictoriaMetrics and its vmalert, for benches and for what we send to it and ask of it: unpacked from Debian's unstable, as its stable has none. Cached outside of the repository.

use std::path::Path;
use std::process::Command;

use crate::fetch::{Work, run, unpack};
use crate::real;

const SOURCE: &str =
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main\n";

/// What of the package is run.
const PROGRAMS: [&str; 2] = ["victoria-metrics", "vmalert"];

/// Makes sure that they are there, or says why not.
pub fn provide() {
    let folder = real::victoria_metrics_folder();
    if PROGRAMS.iter().all(|program| folder.join("usr/bin").join(program).is_file()) {
        return;
    }
    match fetch(&folder) {
        Ok(()) => println!("VictoriaMetrics lies in {}", folder.display()),
        Err(why) => println!("SKIP: VictoriaMetrics: {why}"),
    }
}

/// Downloads it with folders of apt of its own, so that the system keeps its sources.
fn fetch(into: &Path) -> Result<(), String> {
    let work = Work::new()?;
    let apt = work.0.join("apt");
    let failed = |error: std::io::Error| error.to_string();
    for folder in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(apt.join(folder)).map_err(failed)?;
    }
    std::fs::write(apt.join("sources.list"), SOURCE).map_err(failed)?;
    std::fs::write(apt.join("status"), "").map_err(failed)?;
    let at = |name: &str| apt.join(name).display().to_string();
    let options: Vec<String> = [
        format!("Dir::Etc::sourcelist={}", at("sources.list")),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        format!("Dir::State::lists={}", at("lists")),
        format!("Dir::Cache={}", at("cache")),
        format!("Dir::State::status={}", at("status")),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect();
    run(Command::new("apt-get").args(&options).args(["update", "-q"]))?;
    unpack("victoria-metrics", &options, into)
}
