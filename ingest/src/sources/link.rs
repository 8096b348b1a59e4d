//! Where symbolic links lead, also through other links: `containers/web.log` to `pods/web/0.log`, and that to
//! `docker/ID/ID-json.log`.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The system follows no more of them either.
const LINKS_MAX: usize = 40;

/// What a link leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// The file at the end; there may be none.
    pub target: PathBuf,
    /// The folders of the links on the way, but the first one's, and of the target.
    pub folders: Vec<PathBuf>,
}

/// The way from a link; `None` if the name is none, or one that leads to itself.
pub(super) fn way_from(name: &Path) -> Option<Way> {
    let mut way = Way { target: name.to_owned(), folders: Vec::new() };
    for _ in 0..LINKS_MAX {
        let Ok(next) = fs::read_link(&way.target) else {
            return (!way.folders.is_empty()).then_some(way);
        };
        way.target = plain(way.target.parent().unwrap_or(Path::new("")).join(next));
        way.folders.push(way.target.parent().unwrap_or(Path::new("")).to_owned());
    }
    None
}

/// The path without `..`, so that a file has one path whichever link leads to it. Names of folders stay as they were
/// written otherwise: so they are those that patterns have.
fn plain(path: PathBuf) -> PathBuf {
    if !path.components().any(|part| part == Component::ParentDir) {
        return path.components().filter(|part| *part != Component::CurDir).collect();
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return path };
    fs::canonicalize(folder).map(|folder| folder.join(name)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_to_files_over_other_links() {
        let folder = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(folder.path()).unwrap();
        for name in ["a", "b", "c"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        fs::write(folder.join("c/file"), "").unwrap();
        symlink(folder.join("b/link"), folder.join("a/absolute")).unwrap();
        symlink("../b/link", folder.join("a/relative")).unwrap();
        symlink("../c/file", folder.join("b/link")).unwrap();
        symlink("../c/none", folder.join("a/none")).unwrap();
        symlink("file", folder.join("c/beside")).unwrap();
        symlink("./file", folder.join("c/dot")).unwrap();
        symlink("itself", folder.join("a/itself")).unwrap();
        symlink("../none/file", folder.join("a/nowhere")).unwrap();
        let nowhere = folder.join("a/../none/file").display().to_string();
        let nowhere_folder = folder.join("a/../none").display().to_string();
        for (name, wanted) in [
            ("a/absolute", Some(("c/file", vec!["b", "c"]))),
            ("a/relative", Some(("c/file", vec!["b", "c"]))),
            ("a/none", Some(("c/none", vec!["c"]))),
            ("c/beside", Some(("c/file", vec!["c"]))),
            ("c/dot", Some(("c/file", vec!["c"]))),
            ("c/file", None),
            ("a/itself", None),
            ("a/missing", None),
            ("a/nowhere", Some((&*nowhere, vec![&*nowhere_folder]))),
        ] {
            let wanted = wanted.map(|(target, folders)| Way {
                target: folder.join(target),
                folders: folders.into_iter().map(|name| folder.join(name)).collect(),
            });
            assert_eq!(way_from(&folder.join(name)), wanted, "{name}");
        }
    }
}
