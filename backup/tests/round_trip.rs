//! From a data folder to a stream, to a backup, to a data folder: everything comes back, or it is no backup.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::tempdir;
use watchfire_backup::{Cut, Manifest, ManifestError, RestoreError, UnpackError, pack, restore, unpack};

type Tree = BTreeMap<String, Vec<u8>>;

fn write(tree: &Tree, dir: &Path) {
    for (name, content) in tree {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
}

fn read(dir: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below").to_str().expect("UTF-8").to_owned();
                tree.insert(name, fs::read(path).expect("a file"));
            }
        }
    }
    tree
}

fn packed(tree: &Tree) -> Vec<u8> {
    let dir = tempdir().expect("a folder");
    write(tree, &dir.path().join("data"));
    let mut cut = Cut::begin(&dir.path().join("staging")).expect("begun");
    cut.link(&dir.path().join("data"), "", |_| false).expect("linked");
    let mut stream = Vec::new();
    pack(&cut, "1.2.3", "2026-01-02T03:04:05.000Z", &mut stream).expect("packed");
    stream
}

fn sample() -> Tree {
    [("queue/00.seg", b"first".to_vec()), ("logs/2026-01-02/1.wfb", vec![7; 100_000]), ("rules/empty", Vec::new())]
        .map(|(name, content)| (name.to_owned(), content))
        .into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn everything_comes_back(
        tree in prop::collection::btree_map("[a-z]{1,8}/[a-z0-9]{1,150}", prop::collection::vec(any::<u8>(), 0..3000), 0..12)
    ) {
        let dir = tempdir().expect("a folder");
        let (backup, data) = (dir.path().join("backup"), dir.path().join("restored"));
        let stream = packed(&tree);
        let unpacked = unpack(stream.as_slice(), &backup).expect("unpacked");
        prop_assert_eq!(unpacked.files.len(), tree.len());
        let restored = restore(&backup, &data).expect("restored");
        prop_assert_eq!(&restored, &unpacked);
        prop_assert_eq!(read(&data), tree);
    }

    #[test]
    fn a_stream_that_broke_off_is_no_backup(share in 0.0..1.0f64) {
        let stream = packed(&sample());
        // The end of a tar stream is padding; all that matters lies before.
        let end = stream.len() - 2048;
        let dir = tempdir().expect("a folder");
        let backup = dir.path().join("backup");
        let cut = (end as f64 * share) as usize;
        prop_assert!(unpack(&stream[..cut], &backup).is_err());
        let has_no_list = matches!(Manifest::read(&backup), Err(ManifestError::Missing { .. }));
        prop_assert!(has_no_list);
        prop_assert!(restore(&backup, &dir.path().join("data")).is_err());
        prop_assert!(!dir.path().join("data").exists());
    }

    #[test]
    fn no_stream_makes_us_panic_or_write_elsewhere(mut stream in Just(packed(&sample())), at in 0usize..1_000_000, byte: u8) {
        let length = stream.len();
        stream[at % length] = byte;
        let dir = tempdir().expect("a folder");
        let backup = dir.path().join("inner/backup");
        if unpack(stream.as_slice(), &backup).is_ok() {
            // A changed byte in the padding or in a mode does not matter.
            prop_assert_eq!(restore(&backup, &dir.path().join("data")).expect("whole").files.len(), 3);
        }
        let outside: Vec<_> = read(dir.path()).into_keys().filter(|name| !name.starts_with("inner/backup") && !name.starts_with("data")).collect();
        prop_assert_eq!(outside, Vec::<String>::new());
    }
}

#[test]
fn what_is_appended_after_the_cut_is_not_in_it() {
    let dir = tempdir().expect("a folder");
    let data = dir.path().join("data");
    write(&sample(), &data);
    let mut cut = Cut::begin(&dir.path().join("staging")).expect("begun");
    cut.link(&data, "", |name| name.ends_with("empty")).expect("linked");
    fs::OpenOptions::new()
        .append(true)
        .open(data.join("queue/00.seg"))
        .and_then(|mut file| std::io::Write::write_all(&mut file, b" and more"))
        .expect("appended");
    fs::remove_file(data.join("logs/2026-01-02/1.wfb")).expect("deleted after the cut");
    let mut stream = Vec::new();
    pack(&cut, "1.2.3", "now", &mut stream).expect("packed");
    drop(cut);
    assert!(!dir.path().join("staging").exists(), "nothing stays beside the data");
    let backup = dir.path().join("backup");
    unpack(stream.as_slice(), &backup).expect("unpacked");
    let data = dir.path().join("restored");
    restore(&backup, &data).expect("restored");
    let mut wanted = sample();
    wanted.remove("rules/empty");
    assert_eq!(read(&data), wanted);
}

#[test]
fn damage_is_told_file_by_file_and_nothing_is_restored() {
    let dir = tempdir().expect("a folder");
    let (backup, data) = (dir.path().join("backup"), dir.path().join("data"));
    unpack(packed(&sample()).as_slice(), &backup).expect("unpacked");
    let path = backup.join("logs/2026-01-02/1.wfb");
    let mut content = fs::read(&path).expect("a file");
    content[50_000] ^= 1;
    fs::write(&path, content).expect("written");
    fs::remove_file(backup.join("queue/00.seg")).expect("deleted");
    let told = restore(&backup, &data).expect_err("damaged").to_string();
    assert!(told.contains("damaged files of the backup: 2"), "{told}");
    assert!(told.contains("logs/2026-01-02/1.wfb: wrong checksum") && told.contains("queue/00.seg"), "{told}");
    assert!(!data.exists());
}

#[test]
fn folders_with_something_in_them_are_left_alone() {
    let dir = tempdir().expect("a folder");
    let (backup, data) = (dir.path().join("backup"), dir.path().join("data"));
    let stream = packed(&sample());
    unpack(stream.as_slice(), &backup).expect("unpacked");
    assert!(matches!(unpack(stream.as_slice(), &backup), Err(UnpackError::NotEmpty { .. })));
    fs::create_dir(&data).expect("a folder");
    fs::write(data.join("mine"), "").expect("a file");
    assert!(matches!(restore(&backup, &data), Err(RestoreError::NotEmpty { .. })));
    assert_eq!(read(&data).len(), 1);
}

#[test]
fn names_that_lead_outside_and_later_versions_are_refused() {
    let dir = tempdir().expect("a folder");
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.as_old_mut().name[..7].copy_from_slice(b"../evil");
    header.set_cksum();
    builder.append(&header, &b"x"[..]).expect("in memory");
    let stream = builder.into_inner().expect("in memory");
    let backup = dir.path().join("a/backup");
    assert!(matches!(unpack(stream.as_slice(), &backup), Err(UnpackError::Outside { .. })));
    assert!(!dir.path().join("a/evil").exists());

    let list = dir.path().join("WATCHFIRE-BACKUP.json");
    fs::write(&list, r#"{"watchfire_backup": 9, "program": "7.0", "more": []}"#).expect("written");
    assert!(matches!(Manifest::read(dir.path()), Err(ManifestError::Newer { version: 9, .. })));
    fs::write(
        &list,
        r#"{"watchfire_backup": 1, "program": "1", "created": "", "files": {"../x": {"bytes": 0, "xxh3": ""}}}"#,
    )
    .expect("written");
    assert!(matches!(Manifest::read(dir.path()), Err(ManifestError::Outside { .. })));
}
