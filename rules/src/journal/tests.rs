use proptest::prelude::*;

use super::*;
use crate::state::Life;

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn alert(rule: u64, service: &str, life: Life) -> StoredAlert {
    StoredAlert {
        rule: RuleKey { exact: rule, loose: rule / 2, group: "g".to_owned(), name: format!("Rule{rule}") },
        life,
        value: 12.5,
        evaluated_at: time(5000),
        labels: LabelSet::from_pairs([("alertname", "x"), ("service", service)]).expect("valid"),
        result_labels: LabelSet::from_pairs([("service", service)]).expect("valid"),
        annotations: vec![("summary".to_owned(), "it burns é".to_owned())],
        receivers: vec!["ops".to_owned()],
    }
}

fn lives() -> impl Strategy<Value = Life> {
    prop_oneof![
        any::<i32>().prop_map(|a| Life::Pending { active_at: time(a.into()) }),
        (any::<i32>(), any::<i32>(), any::<Option<i32>>()).prop_map(|(a, f, k)| Life::Firing {
            active_at: time(a.into()),
            fired_at: time(f.into()),
            kept_since: k.map(|k| time(k.into())),
        }),
        (any::<i32>(), any::<i32>(), any::<i32>()).prop_map(|(a, f, r)| Life::Resolved {
            active_at: time(a.into()),
            fired_at: time(f.into()),
            resolved_at: time(r.into()),
        }),
    ]
}

fn changes() -> impl Strategy<Value = Vec<Entry>> {
    let change = prop_oneof![
        4 => (0u64..3, "[abc]", lives()).prop_map(|(rule, service, life)| Entry::Put(alert(rule, &service, life))),
        2 => (0u64..3, "[abc]").prop_map(|(rule, service)| {
            Entry::Forget { rule, labels: alert(rule, &service, Life::Pending { active_at: time(0) }).labels }
        }),
        1 => any::<i32>().prop_map(|at| Entry::Clock(time(at.into()))),
    ];
    proptest::collection::vec(change, 1..20)
}

fn encode(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = match entry {
        Entry::Put(alert) => put(&mut bytes, alert),
        Entry::Forget { rule, labels } => forget(&mut bytes, *rule, labels),
        Entry::Clock(at) => clock(&mut bytes, *at),
    };
    assert!(written);
    bytes
}

/// The state after the first `count` changes.
fn model(changes: &[Entry], count: usize) -> Replayed {
    let mut state = Replayed::default();
    changes.iter().take(count).cloned().for_each(|entry| state.apply(entry));
    state
}

/// A journal with these changes, and the length of the file after each.
fn written(dir: &Path, changes: &[Entry]) -> Vec<u64> {
    let (mut journal, ..) = Journal::open(dir).expect("opens");
    changes
        .iter()
        .map(|change| {
            journal.append(&encode(change), 1).expect("appends");
            journal.bytes
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_cut_anywhere_leaves_the_state_at_the_last_whole_entry(changes in changes(), at: prop::sample::Index) {
        let dir = tempfile::tempdir().expect("a folder");
        let ends = written(dir.path(), &changes);
        let path = dir.path().join(FILE);
        let length = fs::metadata(&path).expect("is there").len();
        let header = FILE_HEADER_BYTES as u64;
        let cut = header + at.index((length - header + 1) as usize) as u64;
        OpenOptions::new().write(true).open(&path).expect("opens").set_len(cut).expect("cuts");
        let whole = ends.iter().filter(|end| **end <= cut).count();
        for round in 0..2 {
            let (_, replayed, report) = Journal::open(dir.path()).expect("opens");
            prop_assert_eq!(&replayed, &model(&changes, whole));
            prop_assert_eq!(&report.damaged, &[]);
            let last_good = whole.checked_sub(1).map_or(header, |at| ends[at]);
            // The second time the torn end is gone.
            prop_assert_eq!(report.cut_bytes, if round == 0 { cut - last_good } else { 0 });
        }
    }

    #[test]
    fn a_flipped_byte_costs_its_entry_alone_and_is_reported(
        changes in changes(),
        at: prop::sample::Index,
        flip in 1u8..,
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let ends = written(dir.path(), &changes);
        let path = dir.path().join(FILE);
        let mut content = fs::read(&path).expect("reads");
        let at = FILE_HEADER_BYTES + at.index(content.len() - FILE_HEADER_BYTES);
        content[at] ^= flip;
        fs::write(&path, &content).expect("writes");
        let hit = ends.iter().filter(|end| **end <= at as u64).count();
        let mut rest = changes.clone();
        rest.remove(hit);
        for round in 0..2 {
            let (_, replayed, report) = Journal::open(dir.path()).expect("opens");
            let expected = model(&rest, rest.len());
            prop_assert_eq!(&replayed.alerts, &expected.alerts);
            let is_told = report.cut_bytes > 0 || !report.damaged.is_empty();
            prop_assert_eq!(is_told, round == 0);
            prop_assert_eq!(dir.path().join("rules.journal.damaged").exists(), hit + 1 < changes.len());
        }
    }

    #[test]
    fn a_rewrite_keeps_the_state(changes in changes()) {
        let dir = tempfile::tempdir().expect("a folder");
        written(dir.path(), &changes);
        let (mut journal, replayed, _) = Journal::open(dir.path()).expect("opens");
        journal.rewrite(replayed.alerts.values(), replayed.last_seen).expect("rewrites");
        let more = Entry::Put(alert(9, "z", Life::Pending { active_at: time(1) }));
        journal.append(&encode(&more), 1).expect("appends");
        let (_, again, report) = Journal::open(dir.path()).expect("opens");
        let mut expected = replayed.alerts;
        if let Entry::Put(alert) = more {
            expected.insert((9, alert.labels.clone()), alert);
        }
        prop_assert_eq!(again.alerts, expected);
        prop_assert_eq!((report.cut_bytes, report.damaged), (0, Vec::new()));
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300), with_header: bool) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut content = if with_header { header().to_vec() } else { Vec::new() };
        content.extend(bytes);
        fs::write(dir.path().join(FILE), content).expect("writes");
        let _ = Journal::open(dir.path());
    }
}

#[test]
fn refuses_a_newer_version() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(FILE);
    let mut newer = header();
    newer[8] = 9;
    let crc = crc32fast::hash(&newer[..12]);
    newer[12..].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, newer).expect("writes");
    let Err(error @ JournalError::Newer { found: 9, .. }) = Journal::open(dir.path()) else { panic!("refused") };
    assert!(error.to_string().contains("use the newer program"), "{error}");
}

/// As after a power cut while the file was made.
#[test]
fn a_header_cut_short_is_reported_and_begun_anew() {
    let change = Entry::Put(alert(1, "a", Life::Pending { active_at: time(1) }));
    for length in 0..FILE_HEADER_BYTES {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(FILE);
        fs::write(&path, &header()[..length]).expect("writes");
        let (mut journal, replayed, report) = Journal::open(dir.path()).expect("opens");
        assert_eq!((replayed, &report.damaged[..]), (Replayed::default(), &[(0, length as u64)][..]));
        assert_eq!(fs::read(dir.path().join("rules.journal.damaged")).expect("kept"), &header()[..length]);
        journal.append(&encode(&change), 1).expect("appends");
        let (_, replayed, report) = Journal::open(dir.path()).expect("opens");
        assert_eq!(replayed, model(std::slice::from_ref(&change), 1), "{length}");
        assert_eq!(report, JournalReport { alerts: 1, ..JournalReport::default() }, "{length}");
    }
}

#[test]
fn what_is_no_journal_is_set_aside_and_begun_anew() {
    for content in ["something else altogether", "hello"] {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join(FILE), content).expect("writes");
        let (_, replayed, report) = Journal::open(dir.path()).expect("opens");
        assert_eq!((replayed, report.damaged.len()), (Replayed::default(), 1));
        assert_eq!(fs::read_to_string(dir.path().join("rules.journal.damaged")).expect("kept"), content);
        let (.., report) = Journal::open(dir.path()).expect("opens");
        assert_eq!(report, JournalReport::default());
    }
}

#[test]
fn a_zeroed_header_is_reported_and_the_entries_are_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let change = Entry::Put(alert(1, "a", Life::Pending { active_at: time(1) }));
    written(dir.path(), std::slice::from_ref(&change));
    let path = dir.path().join(FILE);
    let mut content = fs::read(&path).expect("reads");
    content[..FILE_HEADER_BYTES].fill(0);
    fs::write(&path, &content).expect("writes");
    let (_, replayed, report) = Journal::open(dir.path()).expect("opens");
    assert_eq!((replayed, report.damaged), (model(&[change], 1), vec![(0, 16)]));
    assert_eq!(fs::read(dir.path().join("rules.journal.damaged")).expect("kept"), content);
}

#[test]
fn a_damaged_header_is_reported_and_the_entries_are_kept() {
    for at in 0..FILE_HEADER_BYTES {
        let dir = tempfile::tempdir().expect("a folder");
        let change = Entry::Put(alert(1, "a", Life::Pending { active_at: time(1) }));
        written(dir.path(), std::slice::from_ref(&change));
        let path = dir.path().join(FILE);
        let mut content = fs::read(&path).expect("reads");
        content[at] ^= 1;
        fs::write(&path, content).expect("writes");
        let (_, replayed, report) = Journal::open(dir.path()).expect("opens");
        assert_eq!(replayed, model(&[change], 1), "byte {at}");
        assert_eq!(report.damaged, [(0, 16)], "byte {at}");
    }
}

/// A journal as version 1 wrote it, byte for byte: later versions must read it.
#[test]
fn reads_the_sample_of_version_1() {
    let dir = tempfile::tempdir().expect("a folder");
    let life = Life::Firing { active_at: time(1000), fired_at: time(2000), kept_since: Some(time(3000)) };
    let change = Entry::Put(alert(7, "api", life));
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/rules.journal.v1");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        written(dir.path(), std::slice::from_ref(&change));
        fs::copy(dir.path().join(FILE), &sample).expect("writes the sample");
    }
    fs::copy(&sample, dir.path().join(FILE)).expect("copies the sample");
    let (_, replayed, report) = Journal::open(dir.path()).expect("opens");
    assert_eq!(replayed, model(&[change], 1));
    assert_eq!(report, JournalReport { alerts: 1, ..JournalReport::default() });
}
