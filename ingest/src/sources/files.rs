//! Following files: which there are, what became of them, and whose turn it is.
//!
//! One thread reads all of them in turns, so memory does not grow with their number, and few are open at a time
//! (`Limits::followed_open`). Lines of several files go to the queue together, each file's new position in the same frame as its lines. When
//! the queue is full nothing moves: the files keep what is not stored.

mod asked;
mod astray;
mod barred;
mod commit;
mod gone;
mod judging;
mod known;
mod listing;
mod met;
mod moved;
mod names;
mod past;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use watchfire_model::Timestamp;

use super::metrics::SourceMetrics;
use super::position::{FileId, Head, Position};
use super::settings::FileSource;
use super::tracked::{OpenFault, Standing, Tracked};
use super::turn::{self, Outcome, Read, TURN_BYTES, Turn};
use super::waking::{Notices, Poke, Waking};
use crate::intake::Intake;
use crate::metrics::SourceCounters;
use asked::Links;
use judging::Judged;
use known::Known;
use met::Source;
use past::Missing;

/// How often folders are listed even if nothing is heard of them, and sizes looked at.
const LIST_EVERY_MS: i64 = 5000;
/// Not more often than this.
const LIST_PAUSE_MS: i64 = 50;
const LOOK_EVERY_MS: i64 = 1000;
/// A file that is not under its name any more and did not grow for so long is let go.
const LET_GO_AFTER_MS: i64 = 60_000;
/// First and longest wait before the queue is asked again.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// After how long something that the system refused is tried again.
const REFUSED_RETRY_MS: i64 = 5000;

/// Follows files until it is stopped.
pub struct FilesReader {
    control: Arc<Control>,
    poke: Poke,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Control {
    stop: AtomicBool,
    /// Other sources, from the next turn on.
    next: Mutex<Option<Vec<FileSource>>>,
}

impl FilesReader {
    /// Starts the thread.
    ///
    /// Errors: there are no threads left.
    pub fn start(
        sources: Vec<FileSource>,
        intake: Arc<Intake>,
        metrics: SourceMetrics,
        runtime: Handle,
    ) -> std::io::Result<FilesReader> {
        let (control, poke) = (Arc::new(Control::default()), Poke::default());
        *control.next.lock() = Some(sources);
        let counters = intake.metrics.source("files");
        let files = Files {
            waking: Waking::new(poke.clone()),
            control: control.clone(),
            intake,
            metrics,
            counters,
            runtime,
            host: super::host_name(),
            sources: Vec::new(),
            tracked: BTreeMap::new(),
            by_path: HashMap::new(),
            links: Links::default(),
            barred: barred::Barred::default(),
            astray: astray::Astray::default(),
            judged: HashMap::new(),
            known: None,
            kept: 0,
            bounded: 0,
            missing: Vec::new(),
            ready: VecDeque::new(),
            due: BTreeSet::new(),
            open: HashSet::new(),
            opened: VecDeque::new(),
            turn_bytes: TURN_BYTES,
            buffer: Vec::new(),
            unreadable: names::Unreadable::default(),
            list_at_ms: 0,
            listed_ms: 0,
            list_pause_ms: LIST_PAUSE_MS,
            look_at_ms: 0,
            knows_orphans: false,
        };
        let thread = std::thread::Builder::new().name("files".into()).spawn(move || files.run())?;
        Ok(FilesReader { control, poke, thread })
    }

    /// Puts other sources in force.
    pub fn replace(&self, sources: Vec<FileSource>) {
        *self.control.next.lock() = Some(sources);
        self.poke.poke();
    }

    /// Ends it; what was read and is not durable yet is read again at the next start. Blocks.
    pub fn stop(self) {
        self.control.stop.store(true, Ordering::Release);
        self.poke.poke();
        if self.thread.join().is_err() {
            tracing::error!("the reader of files panicked");
        }
    }
}

struct Files {
    control: Arc<Control>,
    intake: Arc<Intake>,
    metrics: SourceMetrics,
    counters: SourceCounters,
    runtime: Handle,
    host: Option<String>,
    sources: Vec<Source>,
    tracked: BTreeMap<FileId, Tracked>,
    by_path: HashMap<PathBuf, FileId>,
    links: Links,
    barred: barred::Barred,
    astray: astray::Astray,
    /// What was found of files that are not followed, so that it need not be found again.
    judged: HashMap<FileId, Judged>,
    /// What was read before this turn, once it was asked for.
    known: Option<Known>,
    /// How often contents were kept that no file has any more.
    kept: u64,
    /// How often it was when it was last looked whether that is too much.
    bounded: u64,
    /// What was seen and not read of such contents.
    missing: Vec<Missing>,
    /// Whose turn it is next.
    ready: VecDeque<FileId>,
    /// Who must be looked at when, even if nothing happens.
    due: BTreeSet<(i64, FileId)>,
    /// Whose handles are open, and in which order they were opened.
    open: HashSet<FileId>,
    opened: VecDeque<FileId>,
    /// How much one turn takes; less when the queue takes only little at once.
    turn_bytes: usize,
    waking: Waking,
    buffer: Vec<u8>,
    unreadable: names::Unreadable,
    list_at_ms: i64,
    listed_ms: i64,
    /// Folders are not listed more often than this, however much happens in them.
    list_pause_ms: i64,
    look_at_ms: i64,
    /// Whether files of the last run that are under other names now were looked for.
    knows_orphans: bool,
}

impl Files {
    fn run(mut self) {
        let mut retry = RETRY.0;
        while !self.is_stopped() {
            let now_ms = Timestamp::now().millis();
            let next = self.control.next.lock().take();
            if let Some(sources) = next {
                self.set_sources(sources);
            }
            if now_ms >= self.list_at_ms {
                self.list(now_ms);
            }
            if now_ms >= self.look_at_ms {
                self.look_at_all(now_ms);
            }
            match self.take_turn(now_ms) {
                Outcome::Moved => retry = RETRY.0,
                Outcome::Idle => {
                    let notices = self.waking.wait(self.patience(now_ms));
                    self.take_note(notices);
                }
                Outcome::Refused => {
                    self.waking.wait(retry);
                    retry = (retry * 2).min(RETRY.1);
                }
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.control.stop.load(Ordering::Acquire)
    }

    fn set_sources(&mut self, sources: Vec<FileSource>) {
        // Files stay open, under the place that their source has now; those of a source that is gone are let go.
        let now_at: Vec<Option<usize>> = (self.sources.iter())
            .map(|before| sources.iter().position(|source| source.name() == before.settings.name()))
            .collect();
        for (before, now_at) in self.sources.iter().zip(&now_at) {
            if now_at.is_none() {
                self.metrics.forget(before.settings.name());
            }
        }
        let mut gone = Vec::new();
        for (id, file) in &mut self.tracked {
            match now_at.get(file.source).copied().flatten() {
                Some(at) => file.source = at,
                None => gone.push(*id),
            }
        }
        gone.into_iter().for_each(|id| self.drop_file(id));
        let met = |settings| Source::new(settings, self.intake.queue.as_ref(), &self.metrics);
        self.sources = sources.into_iter().map(met).collect();
        self.move_links(&now_at);
        self.judged.clear();
        (self.list_at_ms, self.barred.look_at_ms) = (0, 0);
        self.knows_orphans = false;
    }

    /// How long nothing needs to be done.
    fn patience(&self, now_ms: i64) -> Duration {
        let due = self.due.first().map_or(i64::MAX, |(due_ms, _)| *due_ms);
        let next = due.min(self.list_at_ms).min(self.look_at_ms);
        Duration::from_millis(u64::try_from(next.saturating_sub(now_ms)).unwrap_or(0).clamp(1, 1000))
    }

    fn take_note(&mut self, notices: Notices) {
        if notices.names {
            self.list_at_ms = self.list_at_ms.min(self.listed_ms.saturating_add(self.list_pause_ms));
        }
        if notices.all {
            self.look_at_ms = 0;
        }
        let now_ms = Timestamp::now().millis();
        for path in notices.paths {
            let by_path = self.by_path.get(&path).or_else(|| self.by_path.get(path.strip_prefix(".").ok()?)).copied();
            // Its folder may be known under another name.
            let id = by_path.or_else(|| Some(FileId::of(&std::fs::metadata(&path).ok()?)));
            // Otherwise it is none of ours, or one that is found when folders are listed next.
            id.into_iter().for_each(|id| self.look_at(id, now_ms));
        }
    }

    fn look_at_all(&mut self, now_ms: i64) {
        self.look_at_ms = now_ms + LOOK_EVERY_MS;
        let ids: Vec<FileId> = self.tracked.keys().copied().collect();
        ids.into_iter().for_each(|id| self.look_at(id, now_ms));
        self.show_figures();
    }

    fn look_at(&mut self, id: FileId, now_ms: i64) {
        let Some(file) = self.tracked.get_mut(&id) else { return };
        match file.look(now_ms) {
            Ok(true) => self.make_ready(id),
            Ok(false) | Err(OpenFault::Refused(_)) => {}
            Err(OpenFault::Gone) => self.list_at_ms = 0,
        }
        self.let_go_if_done(id, now_ms);
    }

    fn make_ready(&mut self, id: FileId) {
        if let Some(file) = self.tracked.get_mut(&id).filter(|file| !file.is_ready) {
            file.is_ready = true;
            self.ready.push_back(id);
        }
    }

    /// A file that has no name that is asked for is followed until it is quiet.
    fn let_go_if_done(&mut self, id: FileId, now_ms: i64) {
        let Some(file) = self.tracked.get(&id) else { return };
        let is_quiet = now_ms.saturating_sub(file.grown_ms) >= LET_GO_AFTER_MS;
        if file.standing != Standing::Live && is_quiet && !file.is_ready && file.unread_bytes() == 0 {
            let deleted = (file.standing == Standing::Deleted).then(|| (file.position.clone(), file.stored.clone()));
            self.drop_file(id);
            if let Some((position, stored)) = deleted {
                let mut turn = Turn::default();
                self.give_up(id, &position, stored, &mut turn);
                // If that fails the position stays, and is found to be of no file at the next start.
                self.try_commit(&mut turn);
            }
        }
    }

    fn drop_file(&mut self, id: FileId) {
        self.set_due(id, None);
        self.open.remove(&id);
        if let Some(file) = self.tracked.remove(&id)
            && self.by_path.get(&file.path) == Some(&id)
        {
            self.by_path.remove(&file.path);
        }
    }

    fn show_figures(&self) {
        let mut sums = vec![(0i64, 0i64); self.sources.len()];
        for file in self.tracked.values() {
            if let Some((files, bytes)) = sums.get_mut(file.source) {
                *files += 1;
                *bytes = bytes.saturating_add(i64::try_from(file.unread_bytes()).unwrap_or(i64::MAX));
            }
        }
        for (source, (files, bytes)) in self.sources.iter().zip(sums) {
            source.figures.files.set(files);
            source.figures.lag_bytes.set(bytes);
        }
    }

    /// One turn: some of the lines that are there, stored together.
    fn take_turn(&mut self, now_ms: i64) -> Outcome {
        while let Some((due_ms, id)) = self.due.first().copied().filter(|(due_ms, _)| *due_ms <= now_ms) {
            self.due.remove(&(due_ms, id));
            if let Some(file) = self.tracked.get_mut(&id) {
                file.due_ms = None;
            }
            self.make_ready(id);
        }
        let mut turn = Turn::default();
        self.known = None;
        while !turn.is_full(self.turn_bytes)
            && let Some(id) = self.ready.pop_front()
        {
            // One that was dropped and met again may wait twice: read twice in one turn, its lines would come twice.
            if let Some(file) = self.tracked.get_mut(&id).filter(|file| file.is_ready) {
                file.is_ready = false;
                turn.visits(id);
                self.visit(id, &mut turn, now_ms);
                self.bound_handles(id);
            }
        }
        self.commit(turn)
    }

    /// Reads some of one file.
    fn visit(&mut self, id: FileId, turn: &mut Turn, now_ms: i64) {
        if self.awaits_look(id) {
            return;
        }
        let Some(file) = self.tracked.get_mut(&id) else { return };
        let Some(source) = self.sources.get(file.source) else { return };
        if file.position.packed {
            // A file that cannot be looked at cannot be read either, and that is told below.
            file.look(now_ms).ok();
            if file.is_still_damaged() {
                return;
            }
        }
        let reader = turn::Reader {
            intake: &self.intake,
            source: &source.settings,
            host: self.host.as_deref(),
            turn_bytes: self.turn_bytes,
            now_ms,
        };
        match reader.read(file, &mut self.buffer, turn) {
            Read::Done { due_ms } => self.set_due(id, due_ms),
            Read::Damaged(fault) => {
                tracing::warn!(
                    file = %file.path.display(), %fault,
                    "all lines before are stored; the rest is tried again when the file changes"
                );
                file.set_damaged();
                self.open.remove(&id);
                self.set_due(id, None);
            }
            Read::Changed => self.restart(id, turn, now_ms),
            Read::Failed(OpenFault::Gone) => self.list_at_ms = 0,
            Read::Failed(OpenFault::Refused(error)) => {
                if !std::mem::replace(&mut file.failing, true) {
                    tracing::warn!(file = %file.path.display(), %error, "cannot be read; it is tried again");
                }
                self.set_due(id, Some(now_ms + REFUSED_RETRY_MS));
            }
        }
    }

    /// The file was cut, or holds something else: what a copy has of the old contents is read from there when it is
    /// found, the new ones from their beginning. Under a name that rotation gives they may be a copy themselves.
    fn restart(&mut self, id: FileId, turn: &mut Turn, now_ms: i64) {
        let is_copy = self.holds_what_was_read(id);
        let Some(file) = self.tracked.get_mut(&id) else { return };
        let (position, stored, source) = (file.position.clone(), file.stored.clone(), file.source);
        let missed = std::mem::take(&mut file.reached).saturating_sub(position.at);
        let (path, modified_ms, is_live) = (file.path.clone(), file.modified_ms(), file.standing == Standing::Live);
        let head = file.head_now().map(|head| Head::of(&head)).unwrap_or_default();
        let (name, at, size) = (&file.name, position.at, file.seen.0);
        if is_copy {
            tracing::debug!(file = %name, at, size, "has the inode of another file, and what was read of one");
        } else if file.was_read {
            tracing::info!(file = %name, at, size, "cut or replaced: read from its beginning");
        } else {
            tracing::warn!(
                file = %name, at, size,
                "not the file that was read to this position: cut or replaced meanwhile, and read from its beginning"
            );
        }
        if let Some(source) = self.sources.get(source).filter(|_| !is_copy) {
            source.figures.restarts.inc();
        }
        self.miss_bytes(&position, missed, source, now_ms);
        if is_live && !is_copy && !self.is_rotated(&path, source) {
            turn.keep(&position, None, |key| self.intake.queue.checkpoint(key).is_some());
            turn.place(id, stored, Position { modified_ms, head, ..self.links.named(&path) });
            turn.has_more(id);
        } else {
            self.give_up(id, &position, stored, turn);
            turn.dropped.push(id);
            self.judged.remove(&id);
            self.list_at_ms = 0;
        }
    }

    fn set_due(&mut self, id: FileId, due_ms: Option<i64>) {
        let Some(file) = self.tracked.get_mut(&id) else { return };
        if let Some(before) = std::mem::replace(&mut file.due_ms, due_ms) {
            self.due.remove(&(before, id));
        }
        self.due.extend(due_ms.map(|due_ms| (due_ms, id)));
    }

    /// Closes the handle that was opened first when there are too many; a deleted file has nothing else.
    fn bound_handles(&mut self, id: FileId) {
        let is_new = self.tracked.get(&id).is_some_and(Tracked::is_open) && self.open.insert(id);
        if is_new {
            self.opened.push_back(id);
        }
        while self.open.len() > self.intake.limits.followed_open
            && let Some(oldest) = self.opened.pop_front()
        {
            self.open.remove(&oldest);
            match self.tracked.get_mut(&oldest) {
                Some(file) if file.standing == Standing::Deleted => {}
                Some(file) => file.close(),
                None => {}
            }
        }
    }
}
