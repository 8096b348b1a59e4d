//! Reading configuration and rule files from disk, with every fault told as `FILE:line:col: what`.

use std::path::{Path, PathBuf};

use watchfire_rules::RuleSet;

use crate::config::{self, Config};

/// What is wrong with a file, a line each.
#[derive(Debug)]
pub struct Faults(pub Vec<String>);

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads a configuration file; without one, the defaults. Relative paths in it are meant from where we run.
pub fn config(file: Option<&Path>) -> Result<Config, Faults> {
    let Some(file) = file else { return Ok(Config::default()) };
    let text = read(file)?;
    config::parse(&text, &environment).map_err(|faults| {
        let line = |fault: config::Fault| {
            format!("{}:{}:{}: {}", file.display(), fault.place.line, fault.place.column, fault.message)
        };
        Faults(faults.into_iter().map(line).collect())
    })
}

fn read(file: &Path) -> Result<String, Faults> {
    std::fs::read_to_string(file).map_err(|error| Faults(vec![format!("{}:1:1: cannot be read: {error}", file.display())]))
}

/// The rule files that the configuration names: files and globs; a file that was not asked for by name need not
/// be there.
pub fn rule_files(config: &Config) -> Result<Vec<PathBuf>, Faults> {
    let mut files = Vec::new();
    let mut faults = Vec::new();
    for path in &config.alerting.rules_path {
        if path.contains(['*', '?', '[']) {
            match glob::glob(path) {
                Ok(found) => files.extend(found.flatten().filter(|file| file.is_file())),
                Err(error) => faults.push(format!("alerting.rules_path: `{path}`: {error}")),
            }
        } else if Path::new(path).exists() || config.alerting.rules_path_given {
            files.push(PathBuf::from(path));
        }
    }
    files.sort();
    files.dedup();
    if faults.is_empty() { Ok(files) } else { Err(Faults(faults)) }
}

/// Reads rule files, all faults of all of them at once.
pub fn rules(files: &[PathBuf]) -> Result<RuleSet, Faults> {
    let mut texts = Vec::new();
    let mut faults = Vec::new();
    for file in files {
        match read(file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(Faults(lines)) => faults.extend(lines),
        }
    }
    let loaded = RuleSet::load(&texts);
    match loaded {
        Ok(rules) if faults.is_empty() => Ok(rules),
        Ok(_) => Err(Faults(faults)),
        Err(errors) => {
            faults.extend(errors.iter().map(ToString::to_string));
            Err(Faults(faults))
        }
    }
}
