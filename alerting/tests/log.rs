//! The notification log against cuts, flipped bytes and other versions.

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use watchfire_alerting::entry::Entry;
use watchfire_alerting::flow::SentState;
use watchfire_alerting::journal::{Journal, JournalOpenError, JournalRecovery};
use watchfire_alerting::notification::{FlowKey, IntegrationKind, Notification, NotifiedAlert, Reason, Target};
use watchfire_model::{LabelSet, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A folder in memory where there is one: thousands of files, each waited for, are a matter of logic here.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

fn id(number: u8) -> Arc<str> {
    format!("{number:032x}").into()
}

fn intent(number: u8) -> Entry {
    let target = Target { receiver: "ops".into(), kind: IntegrationKind::Webhook, index: 0 };
    let alert = NotifiedAlert {
        labels: LabelSet::empty().with("alertname", "A").with("n", &number.to_string()),
        annotations: vec![("summary".to_owned(), "x".repeat(usize::from(number)))],
        starts_at: NOW,
        ends_at: number.is_multiple_of(3).then_some(NOW),
        value: 1.0,
    };
    Entry::Intent(Arc::new(Notification {
        id: id(number),
        flow: FlowKey { group_key: format!("group {}", number % 4).into(), target },
        group_labels: LabelSet::empty().with("alertname", "A"),
        created_at: NOW,
        reason: Reason::NewAlertsAdded,
        alerts: vec![Arc::new(alert)],
    }))
}

fn open(path: &Path) -> (Journal, JournalRecovery, SentState) {
    let mut state = SentState::default();
    let (journal, recovery) = Journal::open(path, |payload| match Entry::decode(payload) {
        Ok(entry) => {
            state.apply(&entry);
            true
        }
        Err(_) => false,
    })
    .expect("opens");
    (journal, recovery, state)
}

fn open_ids(state: &SentState) -> BTreeSet<Arc<str>> {
    state.open().map(|open| Arc::clone(&open.id)).collect()
}

/// Where in the file each fact was safe, and what it was.
struct Written {
    bytes: Vec<u8>,
    facts: Vec<(usize, Entry)>,
}

/// Messages in the given order, each with an end (delivered, failed) or none, in commits of the given size, with a
/// compaction where asked for.
fn write(ends: &[u8], per_commit: usize, compact_at: Option<usize>) -> Written {
    let dir = folder();
    let path = dir.path().join("log");
    let (mut journal, _, mut state) = open(&path);
    let mut facts = Vec::new();
    let mut pending = Vec::new();
    let mut entries: Vec<Entry> = Vec::new();
    for (number, end) in (0u8..).zip(ends) {
        entries.push(intent(number));
        match end {
            0 => {}
            1 => entries.push(Entry::Delivered { id: id(number), at: NOW }),
            _ => entries.push(Entry::Failed { id: id(number), at: NOW }),
        }
    }
    let last = entries.len();
    for (at, entry) in entries.into_iter().enumerate() {
        state.apply(&entry);
        journal.append(&entry.encode());
        pending.push(entry);
        if pending.len() == per_commit || at + 1 == last {
            journal.commit().expect("written");
            let safe = usize::try_from(journal.file_bytes()).expect("small");
            facts.extend(pending.drain(..).map(|entry| (safe, entry)));
            if compact_at == Some(at) {
                journal.rewrite(state.snapshot().map(|entry| entry.encode())).expect("rewritten");
                let safe = usize::try_from(journal.file_bytes()).expect("small");
                facts.iter_mut().for_each(|fact| fact.0 = safe);
            }
        }
    }
    drop(journal);
    Written { bytes: std::fs::read(&path).expect("readable"), facts }
}

/// What must be sent again, by the facts that were safe within so many bytes, and what must never be.
fn expected(written: &Written, cut: usize) -> (BTreeSet<Arc<str>>, BTreeSet<Arc<str>>) {
    let (mut undelivered, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for (_, entry) in written.facts.iter().filter(|(safe, _)| *safe <= cut) {
        match entry {
            Entry::Intent(message) => {
                undelivered.insert(Arc::clone(&message.id));
            }
            Entry::Delivered { id, .. } | Entry::Failed { id, .. } => {
                undelivered.remove(id);
                ended.insert(Arc::clone(id));
            }
            Entry::Forgotten { .. } | Entry::Flow(..) => {}
        }
    }
    (undelivered, ended)
}

/// Messages whose end was written behind the cut's last safe point may or may not have ended.
fn may_have_ended(written: &Written, cut: usize) -> BTreeSet<Arc<str>> {
    let later = written.facts.iter().filter(|(safe, _)| *safe > cut);
    later
        .filter_map(|(_, entry)| match entry {
            Entry::Delivered { id, .. } | Entry::Failed { id, .. } => Some(Arc::clone(id)),
            Entry::Intent(_) | Entry::Forgotten { .. } | Entry::Flow(..) => None,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_loses_nothing_acknowledged_and_repeats_nothing_delivered(
        ends in prop::collection::vec(0u8..3, 1..12),
        per_commit in 1usize..4,
        compact_at in prop::option::of(0usize..12),
    ) {
        let written = write(&ends, per_commit, compact_at);
        let dir = folder();
        for cut in 0..=written.bytes.len() {
            let path = dir.path().join(cut.to_string());
            std::fs::write(&path, &written.bytes[..cut]).expect("written");
            let (mut journal, recovery, state) = open(&path);
            prop_assert_eq!(recovery.damaged_bytes, 0);
            let (undelivered, ended) = expected(&written, cut);
            let sent_again = open_ids(&state);
            let maybe = may_have_ended(&written, cut);
            let lost: Vec<_> = undelivered.difference(&sent_again).filter(|id| !maybe.contains(*id)).collect();
            prop_assert!(lost.is_empty(), "cut at {}: lost {:?}", cut, lost);
            prop_assert!(ended.is_disjoint(&sent_again), "cut at {cut}: delivered ones are sent again");
            // The log goes on from there.
            let mut grown = state.clone();
            let entry = intent(200);
            grown.apply(&entry);
            journal.append(&entry.encode());
            journal.commit().expect("written");
            drop(journal);
            let (_, recovery, read_back) = open(&path);
            prop_assert_eq!((recovery.torn_bytes, recovery.damaged_bytes), (0, 0));
            prop_assert_eq!(read_back, grown);
            std::fs::remove_file(&path).expect("removed");
        }
    }

    #[test]
    fn a_flipped_byte_is_found_and_costs_its_own_entry_at_most(
        ends in prop::collection::vec(0u8..3, 2..12),
        place in 0.0f64..1.0,
        bit in 0u8..8,
    ) {
        let written = write(&ends, 1, None);
        let whole = {
            let dir = folder();
            let path = dir.path().join("log");
            std::fs::write(&path, &written.bytes).expect("written");
            open(&path).1.entries
        };
        let mut bytes = written.bytes.clone();
        let at = ((bytes.len() as f64 * place) as usize).min(bytes.len() - 1);
        bytes[at] ^= 1 << bit;
        let dir = folder();
        let path = dir.path().join("log");
        std::fs::write(&path, &bytes).expect("written");
        let (_, recovery, _) = open(&path);
        let in_header = at < 16;
        prop_assert_eq!(recovery.entries, if in_header { whole } else { whole - 1 });
        prop_assert!(recovery.damaged_bytes + recovery.torn_bytes > 0, "the flip at {at} was not found");
        if recovery.damaged_bytes > 0 {
            let copy = recovery.damaged_copy.expect("kept");
            prop_assert_eq!(std::fs::read(copy).expect("readable"), bytes);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let dir = folder();
        let path = dir.path().join("log");
        std::fs::write(&path, &bytes).expect("written");
        let (_, recovery, _) = open(&path);
        prop_assert_eq!(recovery.entries, 0);
    }
}

#[test]
fn a_newer_version_is_refused_and_left_alone() {
    let mut bytes = write(&[0, 1], 1, None).bytes;
    bytes[8..12].copy_from_slice(&3u32.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    let dir = folder();
    let path = dir.path().join("log");
    std::fs::write(&path, &bytes).expect("written");
    let error = Journal::open(&path, |_| true).expect_err("newer");
    assert!(matches!(error, JournalOpenError::NewerVersion { found: 3, .. }), "{error}");
    assert!(error.to_string().contains("start the newer program again"));
    assert_eq!(std::fs::read(&path).expect("readable"), bytes);
}

#[test]
fn the_first_version_of_the_format_is_read() {
    let (dir, state) = open_sample("notifications-v1.log");
    assert_eq!(open_reasons(&state), [Reason::Unknown], "version 1 did not keep it");
    // It goes on as a file of the present version, with what was in it.
    let path = dir.path().join("log");
    let (mut journal, _, mut grown) = open(&path);
    assert_eq!(std::fs::read(&path).expect("readable")[8], 2);
    grown.apply(&intent(200));
    journal.append(&intent(200).encode());
    journal.commit().expect("written");
    drop(journal);
    let (_, recovery, state) = open(&path);
    assert_eq!((recovery.entries, recovery.torn_bytes, recovery.damaged_bytes), (6, 0, 0));
    assert_eq!(state, grown);
    assert_eq!(open_reasons(&state), [Reason::Unknown, Reason::NewAlertsAdded]);
}

#[test]
fn the_second_version_of_the_format_is_read() {
    let sample = data("notifications-v2.log");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&sample, write(&[0, 1, 2], 1, None).bytes).expect("written");
    }
    let (_, state) = open_sample("notifications-v2.log");
    assert_eq!(open_reasons(&state), [Reason::NewAlertsAdded]);
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The state of a log with three messages, the second delivered, the third given up, and a folder with a copy of it.
fn open_sample(name: &str) -> (tempfile::TempDir, SentState) {
    let dir = folder();
    let path = dir.path().join("log");
    std::fs::copy(data(name), &path).expect("the sample is there");
    let (_, recovery, state) = open(&path);
    assert_eq!((recovery.entries, recovery.torn_bytes, recovery.damaged_bytes), (5, 0, 0));
    assert_eq!(open_ids(&state), BTreeSet::from([id(0)]));
    assert_eq!(state.flow_count(), 2, "the resolved alert of message 0 leaves no flow");
    (dir, state)
}

fn open_reasons(state: &SentState) -> Vec<Reason> {
    state.open().map(|open| open.reason).collect()
}
