//! Rotation of followed files, slow and fast, met between any two of its steps, with the server killed and started at
//! any moment: each written line is stored once.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use watchfire_test_support::lines::Random;
use watchfire_test_support::logs::{assert_numbers, gzip, line, runs, stored, total, wait_at_least, wait_total};
use watchfire_test_support::{Logs, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

/// How files are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    fn ending(self) -> &'static str {
        match self {
            Packing::Gzip => "gz",
            Packing::Zstd => "zst",
        }
    }

    fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Packing::Gzip => gzip(bytes),
            Packing::Zstd => zstd::encode_all(bytes, 1).expect("memory takes it"),
        }
    }
}

/// How files are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Renamed and packed at once.
    Packed,
    /// Renamed, and packed at the next rotation.
    Delayed,
    /// Copied and cut, and packed at the next rotation.
    Copied,
}

/// A thing that a rotation does.
#[derive(Clone, Debug)]
enum Step {
    Rename(String, String),
    /// Writes what is made of a file, in so many pieces; the last one is left for [`Step::Finish`].
    Begin {
        from: String,
        to: String,
        pieces: usize,
    },
    /// The rest, and the time of the original.
    Finish {
        from: String,
        to: String,
    },
    Remove(String),
    /// A new file, which is written to from now on.
    Create(String),
    Cut(String),
}

/// Rotates one file.
#[derive(Clone, Debug)]
struct Rotation {
    name: String,
    way: Way,
    packing: Packing,
    /// How many rotated files are kept.
    keep: usize,
    /// Whether what is packed gets the time of its original, as `gzip` and `logrotate` give it.
    keeps_time: bool,
}

impl Rotation {
    /// What is to be done, as the files are now.
    fn steps(&self, logs: &Logs) -> Vec<Step> {
        let plain = |number: usize| format!("{}.{number}", self.name);
        let packed = |number: usize| format!("{}.{number}.{}", self.name, self.packing.ending());
        let mut steps = Vec::new();
        let is_there = |name: &str| logs.path(name).exists();
        if is_there(&packed(self.keep)) {
            steps.push(Step::Remove(packed(self.keep)));
        }
        let first_packed = if self.way == Way::Packed { 1 } else { 2 };
        for number in (first_packed..self.keep).rev().filter(|number| is_there(&packed(*number))) {
            steps.push(Step::Rename(packed(number), packed(number + 1)));
        }
        let pack = |from: String, to: String| {
            let finish = Step::Finish { from: from.clone(), to: to.clone() };
            [Step::Begin { from: from.clone(), to, pieces: 3 }, finish, Step::Remove(from)]
        };
        if self.way != Way::Packed && is_there(&plain(1)) {
            steps.extend(pack(plain(1), packed(2)));
        }
        if self.way == Way::Copied {
            let (from, to) = (self.name.clone(), plain(1));
            steps.push(Step::Begin { from: from.clone(), to: to.clone(), pieces: 3 });
            steps.extend([Step::Finish { from: from.clone(), to }, Step::Cut(from)]);
        } else {
            steps.extend([Step::Rename(self.name.clone(), plain(1)), Step::Create(self.name.clone())]);
        }
        if self.way == Way::Packed {
            steps.extend(pack(plain(1), packed(1)));
        }
        steps
    }

    fn bytes(&self, logs: &Logs, from: &str, to: &str) -> Vec<u8> {
        let bytes = fs::read(logs.path(from)).expect("the file is there");
        if to.ends_with(self.packing.ending()) { self.packing.pack(&bytes) } else { bytes }
    }

    /// Does it; `pause` is called between what takes time.
    fn run(&self, logs: &Logs, step: &Step, mut pause: impl FnMut()) {
        match step {
            Step::Rename(from, to) => logs.rename(from, to),
            Step::Begin { from, to, pieces } => {
                let bytes = self.bytes(logs, from, to);
                let mut file = File::create(logs.path(to)).expect("the folder can be written");
                pause();
                for piece in bytes.chunks(bytes.len() / pieces + 1).take(pieces - 1) {
                    file.write_all(piece).expect("the folder can be written");
                    pause();
                }
            }
            Step::Finish { from, to } => {
                let bytes = self.bytes(logs, from, to);
                let file = OpenOptions::new().append(true).open(logs.path(to));
                let mut file = file.expect("it was begun");
                let written = file.metadata().map_or(0, |file| file.len() as usize);
                file.write_all(&bytes[written..]).expect("the folder can be written");
                let modified = fs::metadata(logs.path(from)).and_then(|from| from.modified());
                if self.keeps_time && to.ends_with(self.packing.ending()) {
                    file.set_modified(modified.expect("the file is there")).expect("its time can be set");
                }
            }
            Step::Remove(name) => fs::remove_file(logs.path(name)).expect("the file is there"),
            Step::Create(name) => drop(File::create_new(logs.path(name)).expect("the name is free")),
            Step::Cut(name) => {
                let file = OpenOptions::new().write(true).open(logs.path(name));
                file.and_then(|file| file.set_len(0)).expect("it can be cut");
            }
        }
    }

    fn run_all(&self, logs: &Logs, steps: &[Step]) {
        steps.iter().for_each(|step| self.run(logs, step, || ()));
    }
}

/// Numbered lines, each given out once.
#[derive(Default)]
struct Numbers(AtomicU64);

impl Numbers {
    fn lines(&self, count: u64) -> String {
        let first = self.0.fetch_add(count, Ordering::Relaxed);
        (first..first + count).map(|number| line(number) + "\n").collect()
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All ways to rotate, each file met after another number of steps.
fn cases(glob: &str) -> Vec<(Rotation, usize)> {
    let mut cases = Vec::new();
    for way in [Way::Packed, Way::Delayed, Way::Copied] {
        for packing in [Packing::Gzip, Packing::Zstd] {
            // Three renames of what is packed, and the rest.
            for done in 0..=9 {
                let keeps_time = done % 2 == 0;
                let name = format!("{way:?}-{}-{done}.log", packing.ending()).to_lowercase();
                let name = if glob.ends_with("log*") { name.replace('-', "") } else { name };
                cases.push((Rotation { name, way, packing, keep: 9, keeps_time }, done));
            }
        }
    }
    cases
}

/// Each file is rotated so far while the server is down (or runs), and further while it runs (or is down). Some of what
/// was written before was not read when the server died.
fn meet_between_steps(glob: &str, is_down_first: bool) {
    let (logs, numbers) = (Logs::new(), Numbers::default());
    let cases = cases(glob);
    for (rotation, _) in &cases {
        logs.append(&rotation.name, &numbers.lines(60));
    }
    if glob.starts_with("links/") {
        let names = cases.iter().map(|(rotation, _)| rotation.name.as_str());
        names.chain(["marker.log", "last.log"]).for_each(|name| logs.link(name));
    }
    let mut server = Server::start(BINARY, &logs.config(glob, ""));
    wait_total(&server, numbers.count());
    for _ in 0..2 {
        for (rotation, _) in &cases {
            rotation.run_all(&logs, &rotation.steps(&logs));
            logs.append(&rotation.name, &numbers.lines(60));
        }
        wait_total(&server, numbers.count());
    }
    // Which steps there are depends on what is there before the first.
    let steps: Vec<_> = cases.iter().map(|(rotation, _)| rotation.steps(&logs)).collect();
    let cut = |at: usize| cases[at].1.min(steps[at].len());
    let run = |at: usize, steps: &[Step]| {
        for step in steps {
            cases[at].0.run(&logs, step, || ());
            if matches!(step, Step::Create(_) | Step::Cut(_)) {
                logs.append(&cases[at].0.name, &numbers.lines(3));
            }
        }
    };
    if is_down_first {
        server.kill();
    }
    for at in 0..cases.len() {
        logs.append(&cases[at].0.name, &numbers.lines(10));
        run(at, &steps[at][..cut(at)]);
    }
    if is_down_first {
        server.restart();
        // The first look is over when a new file is read.
        let marker = line(numbers.count());
        logs.append("marker.log", &numbers.lines(1));
        while !stored(&server).contains_key(&marker) {
            std::thread::sleep(Duration::from_millis(20));
        }
    } else {
        server.kill();
    }
    for at in 0..cases.len() {
        run(at, &steps[at][cut(at)..]);
    }
    if !is_down_first {
        server.restart();
    }
    wait_total(&server, numbers.count());
    // Nothing is left that a further rotation or a further start would bring to light.
    for (rotation, _) in &cases {
        rotation.run_all(&logs, &rotation.steps(&logs));
        logs.append(&rotation.name, &numbers.lines(2));
    }
    wait_total(&server, numbers.count());
    server.restart();
    logs.append("last.log", &numbers.lines(1));
    wait_total(&server, numbers.count());
    assert_numbers(&server, numbers.count());
}

#[test]
fn a_start_between_any_two_steps_of_a_rotation_loses_and_doubles_nothing() {
    meet_between_steps("*.log", true);
}

#[test]
fn rotation_behind_links_loses_and_doubles_nothing() {
    meet_between_steps("links/*.log", true);
    meet_between_steps("links/*.log", false);
}

#[test]
fn death_between_any_two_steps_of_a_rotation_loses_and_doubles_nothing() {
    meet_between_steps("*.log", false);
}

#[test]
fn rotated_names_that_are_asked_for_lose_and_double_nothing() {
    meet_between_steps("*.log*", true);
    meet_between_steps("*.log*", false);
}

/// A rotated file is empty and has the inode of one that was read, as when an inode is given to a new file at once: what
/// was not read is in a packed copy, which must not wait for that file to get contents.
#[test]
fn an_empty_file_with_the_inode_of_one_that_was_packed_holds_no_copy_back() {
    for packing in [Packing::Gzip, Packing::Zstd] {
        let (logs, numbers) = (Logs::new(), Numbers::default());
        logs.append("app.log", &numbers.lines(20));
        let mut server = Server::start(BINARY, &logs.config("*.log", ""));
        wait_total(&server, numbers.count());
        server.kill();
        logs.append("app.log", &numbers.lines(20));
        let bytes = fs::read(logs.path("app.log")).expect("the file is there");
        fs::write(logs.path(&format!("app.log.2.{}", packing.ending())), packing.pack(&bytes)).expect("it can be made");
        logs.rename("app.log", "app.log.1");
        logs.write("app.log.1", "");
        logs.append("app.log", &numbers.lines(3));
        server.restart();
        wait_total(&server, numbers.count());
        assert_numbers(&server, numbers.count());
    }
}

/// Writes to files and rotates them for a while; each file has a thread that writes and one that rotates.
struct Stress<'a> {
    logs: &'a Logs,
    numbers: &'a Numbers,
    stop: &'a AtomicBool,
    /// Counts up when a rotation shall begin at once.
    rotate_now: &'a AtomicU64,
    /// Whether nothing is written and no rotation begins.
    is_held: &'a AtomicBool,
    /// How often all that was written was stored.
    settled: &'a AtomicU64,
    period: Duration,
}

impl Stress<'_> {
    /// Writes lines to what `file` holds; who holds its lock keeps the writer waiting.
    fn write(&self, file: &Mutex<File>, seed: u64) {
        let mut random = Random::new(seed);
        while !self.stop.load(Ordering::Relaxed) {
            let mut file = file.lock().expect("nobody panics");
            if !self.is_held.load(Ordering::Relaxed) {
                let text = self.numbers.lines(1 + random.below(25));
                // In two writes, so that half lines are met.
                let (first, second) = text.split_at(random.below(text.len() as u64) as usize);
                file.write_all(first.as_bytes()).expect("it can be written");
                file.write_all(second.as_bytes()).expect("it can be written");
            }
            drop(file);
            // Now and then a rotation finds nothing, or a line or two.
            let most = if random.below(30) == 0 { 400_000 } else { 20_000 };
            std::thread::sleep(Duration::from_micros(random.below(most)));
        }
    }

    fn rotate(&self, rotation: &Rotation, file: &Mutex<File>, seed: u64) {
        let mut random = Random::new(seed);
        let (mut heard, mut settled, mut rotations) = (0, 0, 0);
        let mut next = Instant::now() + self.period;
        while !self.stop.load(Ordering::Relaxed) {
            let asked = self.rotate_now.load(Ordering::Relaxed);
            if std::mem::replace(&mut settled, self.settled.load(Ordering::Relaxed)) != settled {
                rotations = 0;
            }
            // What is deleted before it was read is lost, however slow the machine is: rotation waits then.
            let would_lose = rotations + 1 >= rotation.keep;
            let is_early = Instant::now() < next && asked == heard;
            if is_early || would_lose || self.is_held.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            (heard, next) = (asked, Instant::now() + self.period);
            self.rotate_once(rotation, file, &mut random);
            rotations += 1;
        }
    }

    /// Nothing is written until all that was written is stored.
    fn settle(&self, server: &Server, files: &[Mutex<File>]) {
        self.is_held.store(true, Ordering::Relaxed);
        // Nobody is in the middle of a write after that.
        files.iter().for_each(|file| drop(file.lock().expect("nobody panics")));
        wait_stored(server, self.logs, self.numbers.count());
        self.settled.fetch_add(1, Ordering::Relaxed);
        self.is_held.store(false, Ordering::Relaxed);
    }

    fn rotate_once(&self, rotation: &Rotation, file: &Mutex<File>, random: &mut Random) {
        let steps = rotation.steps(self.logs);
        // What is written between copying and cutting is lost to every reader: the writer stands still.
        let copies_live = |step: &Step| matches!(step, Step::Begin { from, .. } if *from == rotation.name);
        let mut held = None;
        for step in &steps {
            if copies_live(step) {
                held = Some(file.lock().expect("nobody panics"));
            }
            rotation.run(self.logs, step, || std::thread::sleep(Duration::from_micros(random.below(4000))));
            match step {
                Step::Cut(_) => held = None,
                Step::Create(name) => {
                    // The writer goes on with the old file for a moment.
                    std::thread::sleep(Duration::from_micros(random.below(3000)));
                    let new = OpenOptions::new().append(true).open(self.logs.path(name)).expect("it was made");
                    *file.lock().expect("nobody panics") = new;
                }
                Step::Rename(..) | Step::Begin { .. } | Step::Finish { .. } | Step::Remove(_) => {}
            }
            if random.below(10) == 0 {
                std::thread::sleep(Duration::from_micros(random.below(20_000)));
            }
        }
        drop(held);
    }
}

/// Ends writing and rotating, also when something fails.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Kills and starts the server until the time is over, and never waits for it for long.
fn kill_at_random_moments(
    server: &mut Server,
    random: &mut Random,
    stress: &Stress<'_>,
    files: &[Mutex<File>],
    end: Instant,
) {
    for round in 0u64.. {
        if Instant::now() >= end {
            break;
        }
        if random.below(3) == 0 {
            stress.rotate_now.fetch_add(1, Ordering::Relaxed);
        }
        let life_ms = match random.below(4) {
            0 => random.below(20),
            1 => random.below(100),
            2 => random.below(500),
            _ => random.below(2500),
        };
        if round % 4 == 3 {
            // A life that gets somewhere.
            server.become_ready();
            stress.settle(server, files);
        }
        let dies_at = Instant::now() + Duration::from_millis(life_ms);
        while Instant::now() < dies_at {
            if random.below(20) == 0 {
                stress.rotate_now.fetch_add(1, Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_millis(10.min(life_ms)));
        }
        server.kill();
        let period = stress.period.as_millis() as u64;
        let down_ms = if random.below(2) == 0 { 0 } else { random.below(2 * period.max(200)) };
        std::thread::sleep(Duration::from_millis(down_ms));
        server.respawn();
    }
    server.restart();
}

/// One run with a seed.
fn rotate_and_kill(period: Duration, seed: u64, duration: Duration) {
    let (logs, numbers) = (Logs::new(), Numbers::default());
    let (stop, is_held) = (AtomicBool::new(false), AtomicBool::new(false));
    let (rotate_now, settled) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut random = Random::new(seed);
    let glob = ["*.log*", "links/*.log", "*.log", "*.log"][random.below(4) as usize];
    // So many that rotation hardly ever has to wait until nothing is deleted that was not read.
    let keep = 3 + (Duration::from_secs(15).as_millis() / period.as_millis()) as usize;
    let ways = [("renamed.log", Way::Delayed), ("packed.log", Way::Packed), ("copied.log", Way::Copied)];
    let mut rotations = Vec::new();
    for (name, way) in ways {
        let packing = if random.below(2) == 0 { Packing::Gzip } else { Packing::Zstd };
        let keeps_time = random.below(2) == 0;
        rotations.push(Rotation { name: name.to_owned(), way, packing, keep, keeps_time });
        logs.append(name, &numbers.lines(1));
    }
    if glob.starts_with("links/") {
        ways.map(|(name, _)| name).into_iter().chain(["more.log", "last.log"]).for_each(|name| logs.link(name));
    }
    println!("seed {seed}, every {period:?}, {glob}: {rotations:?}");
    let environment = [("WATCHFIRE_LOG", "info,watchfire_ingest=debug,watchfire::request=error")];
    let mut server = Server::start_with(BINARY, &logs.config(glob, ""), &environment);
    // What is rotated before the first look is not asked for.
    wait_total(&server, numbers.count());
    let files: Vec<_> = (rotations.iter())
        .map(|rotation| OpenOptions::new().append(true).open(logs.path(&rotation.name)).expect("it was made"))
        .map(Mutex::new)
        .collect();
    let stress = Stress {
        logs: &logs,
        numbers: &numbers,
        stop: &stop,
        rotate_now: &rotate_now,
        is_held: &is_held,
        settled: &settled,
        period,
    };
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        for (at, (rotation, file)) in rotations.iter().zip(&files).enumerate() {
            let (stress, seed) = (&stress, seed * 100 + at as u64);
            scope.spawn(move || stress.write(file, seed));
            scope.spawn(move || stress.rotate(rotation, file, seed + 50));
        }
        kill_at_random_moments(&mut server, &mut random, &stress, &files, Instant::now() + duration);
    });
    wait_stored(&server, &logs, numbers.count());
    // A further look, and one of a new start, find nothing that was read.
    logs.append("more.log", &numbers.lines(1));
    wait_at_least(&server, numbers.count());
    server.restart();
    logs.append("last.log", &numbers.lines(1));
    wait_at_least(&server, numbers.count());
    tell_where(&server, &logs, numbers.count());
    assert_numbers(&server, numbers.count());
}

/// Waits until all is stored; if that takes long, tells what is missing where.
fn wait_stored(server: &Server, logs: &Logs, count: u64) {
    let begun = Instant::now();
    while total(server) < count {
        if begun.elapsed() > Duration::from_secs(30) {
            tell_where(server, logs, count);
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    wait_at_least(server, count);
}

/// Tells which files hold the lines that are not stored once.
fn tell_where(server: &Server, logs: &Logs, count: u64) {
    let found = stored(server);
    let wrong: HashSet<String> = (0..count).map(line).filter(|line| found.get(line) != Some(&1)).collect();
    if wrong.is_empty() {
        return;
    }
    println!("wrong: {:?}", runs((0..count).filter(|number| wrong.contains(&line(*number)))));
    let mut paths: Vec<_> = fs::read_dir(logs.folder()).expect("a folder").flatten().map(|it| it.path()).collect();
    paths.sort();
    for path in paths {
        let bytes = fs::read(&path).unwrap_or_default();
        let text = match path.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => gunzip(&bytes),
            Some("zst") => zstd::decode_all(&bytes[..]).unwrap_or_default(),
            _ => bytes,
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        let wrong = text.lines().filter(|line| wrong.contains(*line)).count();
        if wrong > 0 {
            println!("{wrong} of {} lines are wrong: {}", text.lines().count(), path.display());
        }
    }
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // What is cut off is shown as far as it goes.
    let _ = flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out);
    out
}

fn number_of(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// `WATCHFIRE_ROTATION_SEEDS` and `WATCHFIRE_ROTATION_SECONDS` (of each seed and period) ask for more,
/// `WATCHFIRE_ROTATION_FIRST_SEED` for others.
#[test]
fn rotation_and_kill_at_random_moments_lose_and_double_nothing() {
    let first = number_of("WATCHFIRE_ROTATION_FIRST_SEED", 2);
    let duration = Duration::from_secs(number_of("WATCHFIRE_ROTATION_SECONDS", 6));
    for seed in first..first + number_of("WATCHFIRE_ROTATION_SEEDS", 1) {
        for period_ms in [200, 1000, 3000] {
            rotate_and_kill(Duration::from_millis(period_ms), seed * 10 + period_ms, duration);
        }
    }
}
