//! One consistent cut of everything, while the server runs.
//!
//! Whoever derives from the queue is cut before it: alerts, then series, then records, then the queue itself, which
//! keeps its segments meanwhile. So the copy opens as after a crash at the moment of the queue's cut: what the engine and
//! the log store do not have yet they read from the queue again.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use watchfire_backup::{Cut, pack};
use watchfire_dashboard_api::backup::Packing;
use watchfire_dashboard_api::maintenance::Refusal;
use watchfire_model::Timestamp;

use super::parts::Parts;

/// Where files are linked, in the data folder.
const STAGING: &str = "backup.staging";
/// Copies of all series, made by the admin API, in the data folder. They are no part of a backup.
const SNAPSHOTS: &str = "snapshots";
/// A file that is replaced while we look at its folder makes us look again, so often.
const LOOKS: usize = 5;

/// Removes what a backup has left behind that was interrupted.
pub fn tidy(data_dir: &Path) {
    if let Err(error) = std::fs::remove_dir_all(data_dir.join(STAGING))
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "what an interrupted backup left behind cannot be removed");
    }
}

/// Makes the cut; what it answers writes it out. Blocks.
pub fn begin(parts: &Arc<Parts>) -> Result<Packing, Refusal> {
    let turn = parts.backing_up.take().ok_or(Refusal::Busy)?;
    let created = Timestamp::now().to_rfc3339();
    let cut = cut(parts).map_err(Refusal::Failed)?;
    tracing::info!(bytes = cut.bytes(), "a backup begins");
    Ok(Box::new(move |out: &mut dyn Write| {
        let _turn = turn;
        let packed = pack(&cut, env!("CARGO_PKG_VERSION"), &created, out);
        match &packed {
            Ok(manifest) => {
                tracing::info!(bytes = manifest.bytes(), files = manifest.files.len(), "a backup is made")
            }
            Err(error) => tracing::warn!(%error, "a backup was not finished"),
        }
        packed.map(drop).map_err(|error| error.to_string())
    }))
}

/// Writes a copy of all series into a folder of its own below the data folder, which opens as a data folder; gives the
/// folder's name. Blocks.
pub fn snapshot(parts: &Parts) -> Result<String, String> {
    let now = Timestamp::now();
    // As Prometheus names them: the time, and what tells two of one second apart.
    let time: String =
        now.to_rfc3339().chars().filter(char::is_ascii_alphanumeric).take("20060102T150405".len()).collect();
    let mut apart = [0; 8];
    getrandom::fill(&mut apart).map_err(|error| format!("there is no randomness: {error}"))?;
    let name = format!("{time}Z-{:016x}", u64::from_be_bytes(apart));
    let folder = parts.data_dir.join(SNAPSHOTS).join(&name);
    if let Err(error) = parts.engine.backup_to(&folder.join("engine")) {
        // Half of a copy is none.
        let _ = std::fs::remove_dir_all(&folder);
        return Err(format!("the series cannot be written: {error}"));
    }
    tracing::info!(name, "a snapshot of all series is made");
    Ok(name)
}

fn cut(parts: &Parts) -> Result<Cut, String> {
    let dir = &parts.data_dir;
    let mut cut = Cut::begin(&dir.join(STAGING)).map_err(|error| format!("{STAGING} cannot be made: {error}"))?;
    let held = parts.queue.hold();
    for name in ["alerting", "rules"] {
        link(&mut cut, dir, name)?;
    }
    let failed = |error: std::io::Error| format!("the series cannot be written: {error}");
    parts.engine.backup_to(&cut.room("engine")).map_err(failed)?;
    cut.add_written("engine").map_err(failed)?;
    let linked = parts.store.while_still(move |logs| {
        let linked = cut.link(logs, "logs", is_of_the_process);
        (cut, linked)
    });
    let (mut cut, linked) = linked.map_err(|error| error.to_string())?;
    linked.map_err(|error| format!("the blocks of the log store cannot be linked: {error}"))?;
    for entry in std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))? {
        let name = entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let name = name.map_err(|error| format!("{}: {error}", dir.display()))?;
        // What is small and stands alone, as saved searches; the queue comes last of all.
        if !["alerting", "rules", "engine", "logs", "queue", STAGING, SNAPSHOTS].contains(&name.as_str()) {
            link(&mut cut, dir, &name)?;
        }
    }
    link(&mut cut, dir, "queue")?;
    drop(held);
    Ok(cut)
}

/// Links a file, or a folder whose files only grow or are replaced as a whole.
fn link(cut: &mut Cut, dir: &Path, name: &str) -> Result<(), String> {
    let mut look = 1;
    loop {
        match cut.link(&dir.join(name), name, is_of_the_process) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && look < LOOKS => {
                cut.unlink(name).map_err(|error| format!("{STAGING}: {error}"))?;
                look += 1;
            }
            Err(error) => return Err(format!("{name} cannot be linked: {error}")),
        }
    }
}

/// Files that mean something to the running process only, as those that are not finished yet.
fn is_of_the_process(name: &str) -> bool {
    name.ends_with("/lock") || name == "logs/archive.name" || name.ends_with(".tmp") || name.ends_with(".new")
}
