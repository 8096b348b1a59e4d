//! `file_sd_configs`: JSON and YAML files, looked at each second and read again when they have changed.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Look, marked};
use crate::config::{FileDiscovery, TargetGroup};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Largest file, bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The label that names the file.
const FILE_LABEL: &str = "__meta_filepath";

/// What tells one state of a file from another: inode, size, time of change in nanoseconds.
type Stamp = (u64, u64, i64, i64);

/// The files of one source as they were at the last look.
#[derive(Default)]
struct Seen {
    files: BTreeMap<PathBuf, (Stamp, Vec<TargetGroup>)>,
    /// Whether there was a look.
    begun: bool,
}

pub(super) async fn watch<F: Future<Output = ()>>(files: FileDiscovery, tell: impl Fn(Look) -> F) {
    let mut seen = Seen::default();
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let patterns = files.files.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let told = seen.look(&patterns);
            (seen, told)
        });
        let Ok((next, told)) = looked.await else { return tracing::error!("reading files of targets panicked") };
        seen = next;
        for look in told {
            tell(look).await;
        }
    }
}

impl Seen {
    /// Reads what has changed. Answers what is to be told: faults, then all targets if they are others now. Blocks.
    fn look(&mut self, patterns: &[String]) -> Vec<Look> {
        let mut told = Vec::new();
        let mut changed = !std::mem::replace(&mut self.begun, true);
        let mut now = BTreeMap::new();
        // What is no pattern was told by who read the configuration.
        let paths = patterns.iter().flat_map(|pattern| glob::glob(pattern).into_iter().flatten().flatten());
        for path in paths {
            let Some(stamp) = stamp(&path) else { continue };
            let before = self.files.remove(&path);
            let groups = match before {
                Some((seen, groups)) if seen == stamp => groups,
                before => match read(&path) {
                    Ok(groups) => {
                        changed = true;
                        groups
                    }
                    Err(reason) => {
                        told.push(Err(format!("{}: {reason}; what it said before stays in force", path.display())));
                        before.map(|(_, groups)| groups).unwrap_or_default()
                    }
                },
            };
            now.insert(path, (stamp, groups));
        }
        // Those that are left have gone.
        changed |= !self.files.is_empty();
        self.files = now;
        if changed {
            told.push(Ok(self.files.values().flat_map(|(_, groups)| groups.clone()).collect()));
        }
        told
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}

fn read(path: &Path) -> Result<Vec<TargetGroup>, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let groups: Option<Vec<Option<super::Group>>> = match is_json {
        true => serde_json::from_slice(&bytes).map_err(|error| error.to_string())?,
        false => serde_yaml::from_slice(&bytes).map_err(|error| error.to_string())?,
    };
    Ok(marked(groups.unwrap_or_default(), FILE_LABEL, &path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once_and_a_bad_file_keeps_what_it_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let pattern =
            [folder.path().join("*.yml").display().to_string(), folder.path().join("b.json").display().to_string()];
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join("new"), text).expect("the folder can be written");
            std::fs::rename(folder.path().join("new"), folder.path().join(name)).expect("it can be moved");
        };
        let mut seen = Seen::default();
        let mut look = || {
            let told = seen.look(&pattern).into_iter().map(|look| match look {
                Ok(groups) => groups.iter().flat_map(|group| group.targets.clone()).collect::<Vec<_>>().join(" "),
                Err(reason) => format!("error: {}", reason.rsplit('/').next().unwrap_or_default()),
            });
            told.collect::<Vec<_>>()
        };
        assert_eq!(look(), [""], "that there is nothing is told once");
        assert!(look().is_empty());
        write("a.yml", "- targets: [x:1, y:1]\n  labels: {port: 80, name: z}\n");
        assert_eq!(look(), ["x:1 y:1"]);
        write("b.json", r#"[{"targets": ["z:1"], "labels": null}, null]"#);
        assert_eq!(look(), ["x:1 y:1 z:1"]);
        assert!(look().is_empty());
        write("a.yml", "- target: [x:1]\n");
        let told = look();
        assert!(told.len() == 1 && told[0].starts_with("error: a.yml: ") && told[0].contains("target"), "{told:?}");
        assert!(look().is_empty(), "it is told once");
        std::fs::remove_file(folder.path().join("b.json")).expect("it is there");
        assert_eq!(look(), ["x:1 y:1"]);
        let groups = seen.files.values().flat_map(|(_, groups)| groups);
        let labels: Vec<_> =
            groups.flat_map(|group| &group.labels).map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let path = folder.path().join("a.yml").display().to_string();
        assert_eq!(labels, [("name", "z"), ("port", "80"), (FILE_LABEL, path.as_str())]);
    }
}
