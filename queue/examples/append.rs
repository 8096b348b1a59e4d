//! What an append costs: `cargo run --release -p watchfire-queue --example append [FOLDER]`.
//!
//! Prints wall time and CPU time (of the whole process, as the system counts it) for batches of a megabyte and for
//! single records from 64 tasks, with and without keys, while a reader follows.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use watchfire_queue::{Batch, DedupKey, EmbeddedQueue, QueueConfig, QueueStats, ReadError};

const RECORD_BYTES: usize = 300;

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "queue-bench".to_owned());
    let folder = Path::new(&folder);
    for keyed in [false, true] {
        run(folder, &format!("1 MB batches, 4 tasks, keys: {keyed}"), 4, 3_000_000, 3400, keyed);
        run(folder, &format!("single records, 64 tasks, keys: {keyed}"), 64, 400_000, 1, keyed);
        run(folder, &format!("single records, 1 task, keys: {keyed}"), 1, 10_000, 1, keyed);
        run(folder, &format!("single records, 4 tasks, keys: {keyed}"), 4, 40_000, 1, keyed);
    }
}

fn run(folder: &Path, name: &str, tasks: u64, records: u64, per_batch: u64, keyed: bool) {
    let _ = std::fs::remove_dir_all(folder);
    let (queue, _) = EmbeddedQueue::open(QueueConfig::new(folder), 0).expect("the folder can be used");
    let queue = Arc::new(queue);
    let mut reader = queue.reader(0);
    let reading = std::thread::spawn(move || {
        let mut bytes = 0;
        loop {
            match reader.next(Duration::from_secs(10)) {
                Ok(Some(batch)) => bytes += batch.records().map(<[u8]>::len).sum::<usize>(),
                Ok(None) => {}
                Err(ReadError::Closed) => return bytes,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("threads can be made");
    let (cpu, committer, wall) = (cpu_time(""), cpu_time("queue-commit"), Instant::now());
    runtime.block_on(async {
        let handles: Vec<_> = (0..tasks)
            .map(|task| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move {
                    let mut number = task << 40;
                    for _ in 0..records / tasks / per_batch {
                        let mut batch = Batch::with_capacity(per_batch as usize * (RECORD_BYTES + 4));
                        for _ in 0..per_batch {
                            number += 1;
                            batch.push(&[7; RECORD_BYTES], keyed.then(|| key(number)));
                        }
                        queue.append(batch).await.expect("there is room");
                    }
                })
            })
            .collect();
        for handle in handles {
            handle.await.expect("no task panics");
        }
    });
    let (cpu, committer, wall) = (cpu_time("") - cpu, cpu_time("queue-commit") - committer, wall.elapsed());
    let QueueStats { records_total, commits_total, sync_nanos_total, .. } = queue.stats();
    queue.close();
    assert_eq!(reading.join().expect("the reader does not panic") as u64, records_total * RECORD_BYTES as u64);
    println!(
        "{name}: {:.0} records/s, CPU {:.3} us/record (committer {:.3}), {:.1} records/commit, sync {:.0} us",
        records_total as f64 / wall.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / records_total as f64,
        committer.as_secs_f64() * 1e6 / records_total as f64,
        records_total as f64 / commits_total as f64,
        sync_nanos_total as f64 / 1e3 / commits_total as f64,
    );
    drop(queue);
    let _ = std::fs::remove_dir_all(folder);
}

fn key(number: u64) -> DedupKey {
    let mixed = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    DedupKey::new(mixed.to_le_bytes())
}

/// CPU time of the threads of that name, or of all: user and system, nanoseconds as the scheduler counts them.
fn cpu_time(name: &str) -> Duration {
    let read = |task: &Path, file: &str| std::fs::read_to_string(task.join(file)).unwrap_or_default();
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten().map(|task| task.path());
    let named = tasks.filter(|task| name.is_empty() || read(task, "comm").trim() == name);
    let nanos = named.filter_map(|task| read(&task, "schedstat").split(' ').next()?.parse::<u64>().ok());
    nanos.map(Duration::from_nanos).sum()
}
