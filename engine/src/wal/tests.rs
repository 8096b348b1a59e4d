//! The log against the list of its records: whole, cut, flipped, written by many, on a full disk.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::wal::segment::Damage;

/// All records of a folder, and the damages.
fn read_all(folder: &Path) -> (BTreeMap<u64, Vec<u8>>, Vec<Damage>) {
    let (mut records, mut damages) = (BTreeMap::new(), Vec::new());
    let files = segment::list(folder).expect("lists");
    for (index, (_, path)) in files.iter().enumerate() {
        let found = segment::read(path, index + 1 == files.len(), |record| {
            assert!(record.synced <= record.lsn);
            assert_eq!(records.insert(record.lsn, record.payload.to_vec()), None, "no number twice");
            Ok(())
        });
        damages.extend(found.unwrap_or_else(|error| panic!("{error:?}")).damages);
    }
    (records, damages)
}

/// Bytes of the file without the room behind what is written.
fn written(wal: &Wal) -> usize {
    wal.state.lock().file.as_ref().map_or(0, |output| output.bytes() as usize)
}

fn append(wal: &Wal, body: &[u8]) -> u64 {
    wal.append(&head(body), &[], &points()).expect("appends")
}

/// Heads have a number of their own first.
fn head(body: &[u8]) -> Vec<u8> {
    [&[3], body].concat()
}

/// No groups, no samples.
fn points() -> Columnar {
    Columnar { bytes: vec![0, 0], ..Columnar::default() }
}

/// What a record holds: its head, no definitions, no groups, no samples.
fn payload(body: &[u8]) -> Vec<u8> {
    [&head(body), &[0, 0, 0][..]].concat()
}

fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    // Some are long and even enough to be packed.
    let body = (prop::collection::vec(any::<u8>(), 0..60), prop_oneof![9 => Just(1), 1 => 1usize..40]);
    prop::collection::vec(body.prop_map(|(piece, times)| piece.repeat(times)), 1..60)
}

proptest! {
    #[test]
    fn what_was_written_is_read(bodies in bodies(), segment_bytes in 30u64..2000) {
        let dir = tempfile::tempdir().expect("a folder");
        let wal = Wal::start(dir.path(), segment_bytes, 1, 0, create).expect("starts");
        for (index, body) in bodies.iter().enumerate() {
            prop_assert_eq!(append(&wal, body), index as u64 + 1);
        }
        wal.sync().expect("syncs");
        prop_assert_eq!(wal.synced(), bodies.len() as u64 + 1);
        let (records, damages) = read_all(dir.path());
        prop_assert_eq!(damages, []);
        let wanted: BTreeMap<u64, Vec<u8>> = (1..).zip(bodies.iter().map(|body| payload(body))).collect();
        prop_assert_eq!(records, wanted);
    }

    #[test]
    fn a_cut_leaves_a_prefix(bodies in bodies(), cut in 0.0f64..1.0, zeros in any::<bool>()) {
        let dir = tempfile::tempdir().expect("a folder");
        let wal = Wal::start(dir.path(), 1 << 20, 1, 0, create).expect("starts");
        for body in &bodies {
            append(&wal, body);
        }
        let path = segment::path_of(dir.path(), 1);
        let bytes = std::fs::read(&path).expect("reads");
        let kept = (written(&wal) as f64 * cut) as usize;
        // The rest may be cut off, or be there as the zeros that stood in its place.
        let rest = if zeros { vec![0; bytes.len() - kept] } else { Vec::new() };
        std::fs::write(&path, [&bytes[..kept], &rest].concat()).expect("writes");
        let (records, damages) = read_all(dir.path());
        prop_assert!(damages.len() <= 1 && damages.iter().all(|damage| damage.torn_tail));
        for (number, (lsn, record)) in records.iter().enumerate() {
            prop_assert_eq!(*lsn, number as u64 + 1);
            prop_assert_eq!(record, &payload(&bodies[number]));
        }
    }

    /// Of the last write each sector is on the disk or not, and so is what the file is longer by.
    #[test]
    fn what_a_power_cut_leaves_of_a_write_is_a_torn_end(
        bodies in bodies(), last in prop::collection::vec(any::<u8>(), 0..3000), there in prop::collection::vec(any::<bool>(), 10), cut in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let wal = Wal::start(dir.path(), 1 << 20, 1, 0, create).expect("starts");
        for body in &bodies {
            append(&wal, body);
        }
        let begun = written(&wal);
        append(&wal, &last);
        let (path, end) = (segment::path_of(dir.path(), 1), written(&wal));
        let mut bytes = std::fs::read(&path).expect("reads");
        for at in (begun..end).filter(|at| !there[(at / 512 - begun / 512) % there.len()]) {
            bytes[at] = 0;
        }
        bytes.truncate(if cut { begun.next_multiple_of(512) } else { bytes.len() });
        std::fs::write(&path, &bytes).expect("writes");
        let (records, damages) = read_all(dir.path());
        prop_assert!(damages.iter().all(|damage| damage.torn_tail), "{:?}", damages);
        prop_assert!(records.len() >= bodies.len());
    }

    /// Who writes over the end of a log is no crash.
    #[test]
    fn an_end_that_is_written_over_is_damage(bodies in bodies(), from in 0.0f64..1.0, garbage in 1u8..=255) {
        let dir = tempfile::tempdir().expect("a folder");
        let wal = Wal::start(dir.path(), 1 << 20, 1, 0, create).expect("starts");
        for body in &bodies {
            append(&wal, body);
        }
        let begun = written(&wal);
        append(&wal, b"the last one");
        wal.rotate().expect("rotates");
        let path = segment::path_of(dir.path(), 1);
        let mut bytes = std::fs::read(&path).expect("reads");
        let payload = begun + segment::RECORD_HEAD_BYTES;
        let from = payload + ((bytes.len() - payload) as f64 * from) as usize;
        bytes[from..].fill(garbage);
        if bytes != std::fs::read(&path).expect("reads") {
            std::fs::remove_file(segment::path_of(dir.path(), bodies.len() as u64 + 2)).expect("the next file");
            std::fs::write(&path, &bytes).expect("writes");
            let (records, damages) = read_all(dir.path());
            let told: Vec<_> = damages.iter().map(|it| (it.offset as usize, it.torn_tail)).collect();
            prop_assert_eq!((records.len(), told), (bodies.len(), vec![(begun, false)]));
        }
    }

    #[test]
    fn a_flipped_bit_costs_one_record(bodies in bodies(), place in 0.0f64..1.0, bit in 0u8..8) {
        let dir = tempfile::tempdir().expect("a folder");
        let wal = Wal::start(dir.path(), 1 << 20, 1, 0, create).expect("starts");
        for body in &bodies {
            append(&wal, body);
        }
        let path = segment::path_of(dir.path(), 1);
        let mut bytes = std::fs::read(&path).expect("reads");
        let place = segment::HEAD_BYTES + ((written(&wal) - segment::HEAD_BYTES) as f64 * place) as usize;
        bytes[place] ^= 1 << bit;
        std::fs::write(&path, &bytes).expect("writes");
        let (records, damages) = read_all(dir.path());
        prop_assert_eq!(damages.len(), 1);
        prop_assert_eq!(records.len(), bodies.len() - 1);
        prop_assert!(records.iter().all(|(lsn, record)| *record == payload(&bodies[*lsn as usize - 1])));
    }
}

#[test]
fn one_sync_serves_many_and_covers_all_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let wal = Wal::start(dir.path(), 500, 1, 0, create).expect("starts");
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let wal = &wal;
            scope.spawn(move || {
                for _ in 0..50 {
                    let lsn = append(wal, &[thread; 20]);
                    wal.sync_to(lsn).expect("syncs");
                    assert!(wal.synced() > lsn);
                }
            });
        }
    });
    let (records, damages) = read_all(dir.path());
    assert_eq!((records.len(), damages.len()), (200, 0));
}

#[test]
fn the_room_behind_the_records_goes_with_the_file_and_what_stands_in_it_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let wal = Wal::start(dir.path(), 1 << 20, 1, 0, create).expect("starts");
    let path = segment::path_of(dir.path(), 1);
    let length = || std::fs::metadata(&path).expect("is there").len() as usize;
    append(&wal, b"x");
    let (first, with_room) = (written(&wal), length());
    assert!(first < with_room);
    append(&wal, b"y");
    assert!(written(&wal) > first && length() == with_room, "the second takes the place of zeros");
    let mut bytes = std::fs::read(&path).expect("reads");
    bytes[with_room - 10] = 1;
    std::fs::write(&path, &bytes).expect("writes");
    let (records, damages) = read_all(dir.path());
    let told: Vec<_> = damages.iter().map(|it| (it.offset as usize, it.bytes as usize, it.torn_tail)).collect();
    assert_eq!((records.len(), told), (2, vec![(written(&wal), with_room - 9 - written(&wal), true)]));
    let end = written(&wal);
    wal.rotate().expect("rotates");
    assert_eq!((length(), read_all(dir.path()).1), (end, Vec::new()));
}

#[test]
fn files_are_deleted_only_as_far_as_a_snapshot_reaches() {
    let dir = tempfile::tempdir().expect("a folder");
    let wal = Wal::start(dir.path(), 1 << 20, 1, 0, create).expect("starts");
    let mut cuts = Vec::new();
    for _ in 0..4 {
        append(&wal, b"x");
        append(&wal, b"y");
        cuts.push(wal.rotate().expect("rotates"));
    }
    assert_eq!(cuts, [3, 5, 7, 9]);
    assert_eq!(wal.rotate().expect("rotates"), 9, "an empty file is not followed by another");
    wal.delete_before(5).expect("deletes");
    assert_eq!(read_all(dir.path()).0.keys().copied().collect::<Vec<_>>(), [5, 6, 7, 8]);
}

#[test]
fn a_full_disk_is_an_error_until_a_snapshot_mends_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let wal = Wal::start(dir.path(), 1 << 20, 1, 0, create).expect("starts");
    append(&wal, b"before");
    wal.break_for_test();
    assert!(wal.append(b"lost", &[], &points()).is_err());
    assert!(wal.is_broken(), "what cannot be cut back is not written to again");
    assert!(wal.append(b"lost", &[], &points()).is_err());
    let cut = wal.rotate().expect("rotates");
    wal.mend(cut);
    assert_eq!(append(&wal, b"after"), 2);
    wal.sync().expect("syncs");
    let (records, _) = read_all(dir.path());
    assert_eq!(records.into_values().collect::<Vec<_>>(), [payload(b"before"), payload(b"after")]);
}
